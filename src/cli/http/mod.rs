//! HTTP for commands that answer browsers and programs: connections, their limits, and an end that loses nothing.

mod answer;

use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

pub use answer::{error, linger, page, text, whole};

use super::{Failure, signals};

/// Connections that are open at once; others wait to be accepted.
const MOST_CONNECTIONS: u32 = 1024;
/// Headers of a request at most, in bytes.
const HEADER_BYTES: usize = 64 << 10;
/// How long a client may take to send the headers of its next request.
const HEADER_TIME: Duration = Duration::from_secs(20);
/// How often requests to stop are looked for.
const GLANCE: Duration = Duration::from_millis(20);
/// How long connections without a request remain open at the end: a request may be on its way.
const GRACE: Duration = Duration::from_secs(1);
/// How long requests that were begun may take at the end.
const LAST: Duration = Duration::from_secs(60);

/// Binds an address; port 0 is any that is free.
///
/// # Errors
/// If there is no such address, or another program has it.
pub fn bind(host: &str, port: u16) -> Result<std::net::TcpListener, Failure> {
    let listener = std::net::TcpListener::bind((host, port)).and_then(|listener| {
        listener.set_nonblocking(true)?;
        Ok(listener)
    });
    listener.map_err(|e| {
        let advice = "choose another with --port, 0 for any that is free, or another address with --host";
        Failure::input(format!("{host}:{port}: {e}; {advice}"))
    })
}

/// The address that a listener has.
///
/// # Errors
/// If the system does not tell.
pub fn address(listener: &std::net::TcpListener) -> Result<SocketAddr, Failure> {
    listener.local_addr().map_err(|e| Failure::input(format!("the address is not known: {e}")))
}

/// Answers with `router` until the program is asked to stop or `stopped` says so: then accepts no more connections,
/// answers what was begun, and returns.
///
/// # Errors
/// If the system gives no threads or sockets.
pub fn run(
    listener: std::net::TcpListener,
    router: Router,
    stopped: &dyn Fn() -> bool,
) -> Result<(), std::io::Error> {
    let local = listener.local_addr()?.ip().is_loopback();
    let router = if local { router.layer(middleware::from_fn(only_this_machine)) } else { router };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
    let ended = runtime.block_on(async {
        accept(TcpListener::from_std(listener)?, router, stopped).await;
        Ok(())
    });
    runtime.shutdown_timeout(GRACE);
    ended
}

async fn accept(listener: TcpListener, router: Router, stopped: &dyn Fn() -> bool) {
    let places = Arc::new(Semaphore::new(MOST_CONNECTIONS as usize));
    let (ending, end) = watch::channel(false);
    let router = router.layer(middleware::from_fn({
        let end = end.clone();
        move |request, next| last_on_its_connection(end.clone(), request, next)
    }));
    let begin = |stream: TcpStream, place| {
        tokio::spawn(connection(stream, router.clone(), end.clone(), place));
    };
    let mut stop = None;
    // At the end, whoever had connected before is still answered.
    while stop.is_none_or(|at| Instant::now() < at) {
        if stop.is_none() && (signals::asked() || stopped()) {
            stop = Some(Instant::now() + GRACE);
            ending.send_replace(true);
        }
        let Ok(Ok(place)) = timeout(GLANCE, places.clone().acquire_owned()).await else { continue };
        match timeout(GLANCE, listener.accept()).await {
            Ok(Ok((stream, _))) => begin(stream, place),
            // Too many open files, for example: others may be closed soon.
            Ok(Err(_)) => tokio::time::sleep(GLANCE).await,
            Err(_) if stop.is_some() => break,
            Err(_) => {}
        }
    }
    drop(listener);
    let _ = timeout(LAST, places.acquire_many(MOST_CONNECTIONS)).await;
}

/// Answers the requests of a connection.
async fn connection<P>(stream: TcpStream, router: Router, mut end: watch::Receiver<bool>, place: P) {
    // Without it, small answers wait for the acknowledgement of others.
    let _ = stream.set_nodelay(true);
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEADER_TIME).max_buf_size(HEADER_BYTES);
    let mut requests = pin!(http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router)));
    let mut ending = pin!(async {
        let _ = end.wait_for(|ends| *ends).await;
        tokio::time::sleep(GRACE).await;
    });
    let mut told = false;
    // That a client breaks off concerns nobody else.
    let _ = poll_fn(|context| {
        if !told && ending.as_mut().poll(context).is_ready() {
            told = true;
            requests.as_mut().graceful_shutdown();
        }
        requests.as_mut().poll(context)
    })
    .await;
    drop(place);
}

/// Tells a client at the end that its connection is closed after this answer.
async fn last_on_its_connection(end: watch::Receiver<bool>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    if *end.borrow() {
        response.headers_mut().insert(header::CONNECTION, header::HeaderValue::from_static("close"));
    }
    response
}

/// Refuses requests that name another host: a page elsewhere may have its own name lead to this machine, and read
/// what the server answers.
async fn only_this_machine(request: Request, next: Next) -> Response {
    let named = request.headers().get(header::HOST).map(|host| host.to_str().unwrap_or_default());
    match named {
        Some(host) if !is_this_machine(host) => error(
            StatusCode::FORBIDDEN,
            &format!(
                "the host `{host}` is not this machine; ask for 127.0.0.1 or localhost, or start with --host"
            ),
        )
        .into_response(),
        _ => next.run(request).await,
    }
}

/// Whether the header `Host` names the machine itself, with or without a port.
fn is_this_machine(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) && !name.ends_with(':') => name,
        _ => host,
    };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::is_this_machine;

    #[test]
    fn hosts() {
        for host in
            ["localhost", "LOCALHOST:80", "127.0.0.1", "127.0.0.1:8080", "[::1]", "[::1]:8080", "127.1.2.3"]
        {
            assert!(is_this_machine(host), "{host}");
        }
        for host in
            ["", "evil.example", "evil.example:8080", "127.0.0.1.evil.example", "192.168.0.1", "localhost.x"]
        {
            assert!(!is_this_machine(host), "{host}");
        }
    }
}
