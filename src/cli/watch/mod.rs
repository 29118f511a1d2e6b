//! `gridlight watch`

use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use clap::Args;
use gridlight::run::watch::{follow, version};

use super::http::{self, error, page, text};
use super::{Failure, print, print_json, signals};

/// Show runs while they are trained, in a browser.
///
/// A page with losses, metrics, the learning rate, the norms of gradients, the distributions of weights and samples of
/// generators, of one run or of all in a directory; other processes train them. Training does not notice.
#[derive(Args)]
#[command(after_help = "Example:\n  gridlight watch runs --port 8090")]
pub struct Watch {
    /// Run directory, or a directory that holds some.
    #[arg(default_value = "runs")]
    directory: PathBuf,
    /// Port on this machine; 0 for any that is free, which is printed.
    #[arg(long, default_value_t = 8090)]
    port: u16,
    /// Print the address as JSON.
    #[arg(long)]
    json: bool,
}

impl Watch {
    pub fn run(self) -> Result<(), Failure> {
        follow(&self.directory)?;
        let listener = http::bind("127.0.0.1", self.port)?;
        let address = format!("http://{}", http::address(&listener)?);
        signals::listen();
        match self.json {
            true => print_json(&serde_json::json!({
                "event": "listening", "address": address, "directory": self.directory,
            }))?,
            false => print(&format!("{} is shown on {address}", self.directory.display()))?,
        }
        let router = Router::new()
            .route("/", get(async || page(include_str!("page.html"))))
            .route("/data", get(data))
            .route("/sample/{run}/{epoch}", get(sample))
            .fallback(async || {
                error(StatusCode::NOT_FOUND, "there is nothing here; there are /, /data and /sample")
            })
            .method_not_allowed_fallback(async || error(StatusCode::METHOD_NOT_ALLOWED, "send GET"))
            .with_state(Arc::new(self.directory));
        http::run(listener, router, &|| false).map_err(|e| Failure::input(format!("{address}: {e}")))
    }
}

/// The runs as they are now; nothing if they are those of `?since=VERSION`.
async fn data(State(directory): State<Arc<PathBuf>>, RawQuery(query): RawQuery) -> Response {
    let since = query.as_deref().and_then(|query| query.strip_prefix("since="));
    // The version first: what changes meanwhile is sent again, and not missed.
    let found = version(&directory).and_then(|version| match since == Some(version.as_str()) {
        true => Ok(None),
        false => Ok(Some(serde_json::json!({ "version": version, "runs": follow(&directory)? }))),
    });
    match found {
        Ok(None) => StatusCode::NO_CONTENT.into_response(),
        Ok(Some(data)) => text("application/json", data.to_string()),
        Err(problem) => error(StatusCode::INTERNAL_SERVER_ERROR, &problem.to_string()),
    }
}

/// Samples of an epoch of a run. Names are compared with those of the runs, and lead nowhere else.
async fn sample(State(directory): State<Arc<PathBuf>>, Path((run, epoch)): Path<(String, u64)>) -> Response {
    let file =
        follow(&directory).ok().and_then(|runs| runs.iter().find(|known| known.run == run)?.sample(epoch));
    match file.map(std::fs::read) {
        Some(Ok(picture)) => text("image/png", picture),
        _ => error(StatusCode::NOT_FOUND, "there are no such samples"),
    }
}
