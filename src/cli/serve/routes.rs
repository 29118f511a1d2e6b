//! What is answered at which path.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use gridlight::data::Dataset;
use gridlight::run::serve::{Body as Rows, Description, Refused, Service};
use gridlight::tasks::Table;
use tokio::sync::oneshot;
use tokio::time::timeout_at;

use super::metrics::Metrics;
use super::queue::Job;
use crate::cli::http::{error, linger, page, text, whole};

const JSON: &str = "application/json";
const CSV: &str = "text/csv; charset=utf-8";
/// Larger bodies are read on a thread of their own, so that small ones need not wait.
const SMALL: usize = 64 << 10;

/// What requests may be.
#[derive(Clone, Copy)]
pub struct Limits {
    /// Bytes of a body.
    pub body: usize,
    /// Rows.
    pub rows: usize,
    /// Time to send a request, and to answer it.
    pub time: Duration,
}

/// What all requests share.
pub struct Shared {
    service: Arc<Service>,
    queue: SyncSender<Job>,
    metrics: Arc<Metrics>,
    limits: Limits,
    /// Requests for predictions that are neither answered nor refused.
    pub coming: Arc<AtomicUsize>,
    /// The answer of `/model`.
    model: String,
    /// Labels of the model for `/metrics`.
    info: [(&'static str, String); 4],
}

impl Shared {
    pub fn new(
        service: Arc<Service>,
        queue: SyncSender<Job>,
        metrics: Arc<Metrics>,
        limits: Limits,
        description: &Description,
    ) -> Arc<Self> {
        let model = serde_json::to_string(description).unwrap_or_default();
        let info = [
            ("name", description.name.clone()),
            ("digest", description.digest.clone()),
            ("parameters", description.parameters.to_string()),
            ("version", description.version.to_string()),
        ];
        Arc::new(Self { service, queue, metrics, limits, coming: Arc::default(), model, info })
    }
}

/// A request on its way, counted until it is answered.
struct Coming(Arc<AtomicUsize>);

impl Coming {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count.clone())
    }
}

impl Drop for Coming {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// All paths.
pub fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/", get(async || page(include_str!("page.html"))))
        .route("/model", get(async |State(shared): State<Arc<Shared>>| text(JSON, shared.model.clone())))
        .route("/health", get(async || text(JSON, "{\"status\":\"ready\"}")))
        .route("/metrics", get(counts))
        .route("/predict", post(predict))
        .method_not_allowed_fallback(not_so)
        .fallback(nowhere)
        .layer(middleware::from_fn_with_state(shared.clone(), counted))
        .with_state(shared)
}

async fn nowhere() -> Response {
    let paths = "there is nothing here; there are POST /predict, GET /, /model, /health and /metrics";
    error(StatusCode::NOT_FOUND, paths)
}

async fn not_so(method: Method, request: Request) -> Response {
    let how = if request.uri().path() == "/predict" { "POST" } else { "GET" };
    error(StatusCode::METHOD_NOT_ALLOWED, &format!("{method} is not possible here; send {how}"))
}

async fn counted(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let known = ["/", "/model", "/health", "/metrics", "/predict"];
    let path = known.into_iter().find(|path| *path == request.uri().path()).unwrap_or("other");
    let response = next.run(request).await;
    shared.metrics.answered(path, response.status().as_u16(), begun.elapsed());
    response
}

async fn counts(State(shared): State<Arc<Shared>>) -> Response {
    let info: Vec<(&str, &str)> = shared.info.iter().map(|(name, value)| (*name, value.as_str())).collect();
    text("text/plain; version=0.0.4", shared.metrics.text(&info))
}

/// What the body of a request is, by its type.
#[derive(Clone, Copy)]
enum Kind {
    Json,
    Lines,
    Csv,
    Picture,
}

fn kind(headers: &HeaderMap) -> Option<Kind> {
    let given = headers.get(header::CONTENT_TYPE).map_or(Some(JSON), |given| given.to_str().ok())?;
    let given = given.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match given.as_str() {
        JSON => Some(Kind::Json),
        "application/x-ndjson" | "application/jsonl" => Some(Kind::Lines),
        "text/csv" => Some(Kind::Csv),
        picture if picture.starts_with("image/") => Some(Kind::Picture),
        _ => None,
    }
}

async fn predict(State(shared): State<Arc<Shared>>, headers: HeaderMap, mut body: Body) -> Response {
    let _coming = Coming::new(&shared.coming);
    let Limits { body: most, time, .. } = shared.limits;
    let end = tokio::time::Instant::now() + time;
    let Some(kind) = kind(&headers) else {
        linger(&headers, body);
        let types = "send application/json, application/x-ndjson, text/csv, or a picture such as image/png, and say so \
                     in Content-Type";
        return error(StatusCode::UNSUPPORTED_MEDIA_TYPE, types);
    };
    let bytes = match timeout_at(end, whole(&headers, &mut body, most)).await {
        Ok(Ok(Some(bytes))) => bytes,
        Ok(Ok(None)) => {
            linger(&headers, body);
            let reason = format!(
                "the body is larger than {most} bytes; send fewer rows at once, or start with --max-body"
            );
            return last(error(StatusCode::PAYLOAD_TOO_LARGE, &reason));
        }
        Ok(Err(reason)) => return last(error(StatusCode::BAD_REQUEST, &reason)),
        Err(_) => {
            let reason = format!("the request was not complete after {} s", time.as_secs());
            return last(error(StatusCode::REQUEST_TIMEOUT, &reason));
        }
    };
    let as_csv = headers
        .get_all(header::ACCEPT)
        .iter()
        .any(|accept| accept.to_str().is_ok_and(|accept| accept.to_ascii_lowercase().contains("text/csv")));
    let rows = match read(&shared, kind, bytes).await {
        Ok(rows) => rows,
        Err((status, refused)) => {
            let body = serde_json::to_string(&refused).unwrap_or_default();
            return (status, text(JSON, body)).into_response();
        }
    };
    let (answer, answered) = oneshot::channel();
    shared.metrics.queued();
    match shared.queue.try_send(Job { rows, answer }) {
        Ok(()) => {}
        Err(refused) => {
            shared.metrics.unqueued();
            return busy(match refused {
                TrySendError::Full(_) => "too many requests wait; come again",
                TrySendError::Disconnected(_) => "the device has failed; the server ends",
            });
        }
    }
    match timeout_at(end, answered).await {
        Ok(Ok((rows, predictions))) => written(&shared.service.table(&rows, &predictions), as_csv),
        Ok(Err(_)) => error(StatusCode::INTERNAL_SERVER_ERROR, "the device has failed; the server ends"),
        Err(_) => busy("there was no time for the request; come again"),
    }
}

/// An answer after which the connection is closed.
fn last(mut response: Response) -> Response {
    response.headers_mut().insert(header::CONNECTION, header::HeaderValue::from_static("close"));
    response
}

fn busy(reason: &str) -> Response {
    ([(header::RETRY_AFTER, "1")], error(StatusCode::SERVICE_UNAVAILABLE, reason)).into_response()
}

/// The rows of a body.
async fn read(shared: &Arc<Shared>, kind: Kind, bytes: Vec<u8>) -> Result<Dataset, (StatusCode, Refused)> {
    let most = shared.limits.rows;
    let large = bytes.len() > SMALL;
    let service = shared.service.clone();
    let read = move || {
        let rows = service.read(match kind {
            Kind::Json => Rows::Json(&bytes),
            Kind::Lines => Rows::Lines(&bytes),
            Kind::Csv => Rows::Csv(&bytes),
            Kind::Picture => Rows::Picture(&bytes),
        });
        rows.map_err(|refused| (StatusCode::BAD_REQUEST, refused))
    };
    let rows = match large {
        false => read()?,
        true => tokio::task::spawn_blocking(read).await.unwrap_or_else(|_| {
            let refused = Refused { error: "the rows could not be read".into(), ..Refused::default() };
            Err((StatusCode::INTERNAL_SERVER_ERROR, refused))
        })?,
    };
    if rows.rows > most {
        let error =
            format!("the request has {} rows, at most {most} are predicted at once; send fewer", rows.rows);
        return Err((StatusCode::PAYLOAD_TOO_LARGE, Refused { error, ..Refused::default() }));
    }
    Ok(rows)
}

/// A table of predictions as an answer.
fn written(table: &Table, as_csv: bool) -> Response {
    if !as_csv {
        return text(JSON, json(table));
    }
    match table.csv() {
        Ok(csv) => text(CSV, csv),
        Err(problem) => error(StatusCode::INTERNAL_SERVER_ERROR, &problem.to_string()),
    }
}

/// A table as JSON: an object for each line, in the order of the columns.
fn json(table: &Table) -> String {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let titles: Vec<String> = table.titles.iter().map(|title| quoted(title) + ":").collect();
    let mut json = String::from("{\"predictions\":[");
    for (at, line) in table.lines.iter().enumerate() {
        json += if at == 0 { "{" } else { ",{" };
        for (column, (title, cell)) in titles.iter().zip(line).enumerate() {
            if column > 0 {
                json.push(',');
            }
            json += title;
            // Finite numbers are written as JSON writes them.
            let is_number = !table.texts[column] && cell.parse::<f64>().is_ok_and(f64::is_finite);
            if is_number { json += cell } else { json += &quoted(cell) }
        }
        json.push('}');
    }
    json.push(']');
    if let Some(note) = &table.note {
        json += &format!(",\"note\":{}", quoted(note));
    }
    json + "}"
}
