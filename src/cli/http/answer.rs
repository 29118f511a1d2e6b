//! Bodies of requests within limits, and answers.

use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};

/// How long, and how much, is read of a body that was refused, so that its sender comes to read why.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 64 << 20;

/// An answer of this type.
pub fn text(kind: &'static str, body: impl Into<Body>) -> Response {
    ([(header::CONTENT_TYPE, kind)], body.into()).into_response()
}

/// A page that loads nothing from elsewhere.
pub fn page(html: &'static str) -> Response {
    const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src \
                          'self'; img-src 'self' data: blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    let headers = [(header::CONTENT_SECURITY_POLICY, POLICY), (header::CACHE_CONTROL, "no-store")];
    (headers, text("text/html; charset=utf-8", html)).into_response()
}

/// An answer that says what is wrong.
pub fn error(status: StatusCode, reason: &str) -> Response {
    let body = serde_json::json!({ "error": reason }).to_string();
    (status, text("application/json", body)).into_response()
}

/// Reads a whole body of at most `most` bytes; `None` if it is larger, which may be known before it is read.
///
/// # Errors
/// If the client breaks off.
pub async fn whole(headers: &HeaderMap, body: &mut Body, most: usize) -> Result<Option<Vec<u8>>, String> {
    let length =
        headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > most as u64) {
        return Ok(None);
    }
    let mut bytes = Vec::with_capacity(length.unwrap_or(0) as usize);
    while let Some(frame) = poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await {
        let frame = frame.map_err(|e| format!("the request broke off: {e}"))?;
        let Ok(data) = frame.into_data() else { continue };
        if bytes.len() + data.len() > most {
            return Ok(None);
        }
        bytes.extend_from_slice(&data);
    }
    Ok(Some(bytes))
}

/// Reads on for a while what nobody wants: a client that only reads once it has sent all would not see the answer.
pub fn linger(headers: &HeaderMap, mut body: Body) {
    // Who waits to be told to go on has sent nothing, and is told not to.
    if headers.contains_key(header::EXPECT) {
        return;
    }
    let rest = async move {
        let mut read = 0;
        while read < LINGER_BYTES {
            match poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
                Some(Ok(frame)) => read += frame.data_ref().map_or(0, |data| data.len()),
                _ => break,
            }
        }
    };
    tokio::spawn(tokio::time::timeout(LINGER, rest));
}
