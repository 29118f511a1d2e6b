//! `gridlight serve`

mod metrics;
mod queue;
mod routes;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use clap::Args;
use gridlight::device::DeviceChoice;
use gridlight::run::serve::Service;

use super::{Failure, http, is_exact, open_device, print, print_json, signals};
use metrics::Metrics;
use queue::{Batches, work};
use routes::{Limits, Shared};

/// Answer requests for predictions over HTTP.
///
/// `POST /predict` takes rows as JSON or CSV, or a picture, and answers with what `predict` would write. `GET /` is a
/// page to try the model; `/model` says what it reads, `/health` that it answers, `/metrics` what it counted.
#[derive(Args)]
#[command(
    after_help = "Example:\n  gridlight serve runs/houses --port 8080\n  curl http://127.0.0.1:8080/predict \
                  -H 'Content-Type: application/json' -d '{\"rows\": [{\"area\": 70.5, \"city\": \"Bonn\"}]}'"
)]
pub struct Serve {
    /// Run directory.
    run: PathBuf,
    /// Address to listen at; others than those of this machine let its network ask. There is no encryption and no
    /// password.
    #[arg(long, default_value = "127.0.0.1")]
    host: String,
    /// Port; 0 for any that is free, which is printed.
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// Rows that the device predicts together, at most.
    #[arg(long, value_name = "ROWS", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=512))]
    batch: u16,
    /// Milliseconds that a request waits for others that are on their way.
    #[arg(long, value_name = "MS", default_value_t = 1, value_parser = clap::value_parser!(u16).range(..=1000))]
    wait_ms: u16,
    /// Largest body of a request, in bytes.
    #[arg(long, value_name = "BYTES", default_value_t = 16 << 20, value_parser = clap::value_parser!(u32).range(1..=1 << 30))]
    max_body: u32,
    /// Rows of a request at most.
    #[arg(long, value_name = "ROWS", default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..))]
    max_rows: u32,
    /// Requests that wait at most; more are told to come again.
    #[arg(long, value_name = "REQUESTS", default_value_t = 1024, value_parser = clap::value_parser!(u32).range(1..=65536))]
    queue: u32,
    /// Seconds in which a request must have been sent, and in which it is answered.
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u16).range(1..=3600))]
    timeout: u16,
    /// auto, cpu, gpu or gpu:N (see `gridlight devices`).
    #[arg(long, default_value = "auto")]
    device: DeviceChoice,
    /// Print the address as JSON.
    #[arg(long)]
    json: bool,
}

impl Serve {
    pub fn run(self) -> Result<(), Failure> {
        let exact = is_exact(&self.run)?;
        let listener = http::bind(&self.host, self.port)?;
        let address = format!("http://{}", http::address(&listener)?);
        let device = open_device(self.device, exact)?;
        let service = Arc::new(Service::open(&self.run, None, &*device)?);
        let mut answering = service.answering(&*device, usize::from(self.batch))?;
        let description = service.description(answering.titles()?);
        signals::listen();
        let drawn = service.draws().then_some(usize::from(self.batch));
        let limits = Limits {
            body: self.max_body as usize,
            // What is drawn for a row depends on its place among those of the request.
            rows: drawn.unwrap_or(self.max_rows as usize),
            time: Duration::from_secs(u64::from(self.timeout)),
        };
        let (queue, jobs) = sync_channel(self.queue as usize);
        let metrics = Arc::new(Metrics::new());
        let shared = Shared::new(service.clone(), queue, metrics.clone(), limits, &description);
        let coming = shared.coming.clone();
        let failed = Arc::new(AtomicBool::new(false));
        let http = std::thread::Builder::new().name("http".into()).spawn({
            let failed = failed.clone();
            move || http::run(listener, routes::router(shared), &|| failed.load(Ordering::SeqCst))
        });
        let http = http.map_err(|e| Failure::input(format!("no thread for requests: {e}")))?;
        match self.json {
            true => print_json(&serde_json::json!({
                "event": "listening", "address": address, "run": self.run, "device": device.info(),
            }))?,
            false => print(&format!("{} answers on {address}", self.run.display()))?,
        }
        let batches =
            Batches { rows: usize::from(self.batch), wait: Duration::from_millis(u64::from(self.wait_ms)) };
        let worked = work(&mut answering, &jobs, &batches, &coming, &metrics);
        failed.store(true, Ordering::SeqCst);
        drop(jobs);
        let ended = http.join();
        worked?;
        match ended {
            Ok(ended) => ended.map_err(|e| Failure::input(format!("{address}: {e}"))),
            Err(_) => Err(Failure { code: 1, error: anyhow::Error::msg("the thread of requests ended") }),
        }
    }
}
