//! What a server counts, in the text format of Prometheus.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Upper bounds of the classes of latencies, in seconds.
const SECONDS: [f64; 12] = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0];
/// Upper bounds of the classes of rows in a batch.
const ROWS: [f64; 10] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];

/// Counts of values in classes.
struct Histogram<const N: usize> {
    bounds: [f64; N],
    counts: [u64; N],
    sum: f64,
    all: u64,
}

impl<const N: usize> Histogram<N> {
    fn new(bounds: [f64; N]) -> Self {
        Self { bounds, counts: [0; N], sum: 0.0, all: 0 }
    }

    fn add(&mut self, value: f64) {
        self.sum += value;
        self.all += 1;
        if let Some(at) = self.bounds.iter().position(|bound| value <= *bound) {
            self.counts[at] += 1;
        }
    }

    fn write(&self, name: &str, help: &str, text: &mut String) {
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} histogram");
        let mut below = 0;
        for (bound, count) in self.bounds.iter().zip(self.counts) {
            below += count;
            let _ = writeln!(text, "{name}_bucket{{le=\"{bound}\"}} {below}");
        }
        let Self { sum, all, .. } = self;
        let _ = writeln!(text, "{name}_bucket{{le=\"+Inf\"}} {all}\n{name}_sum {sum}\n{name}_count {all}");
    }
}

struct Counts {
    /// By path and status.
    requests: BTreeMap<(&'static str, u16), u64>,
    latency: Histogram<12>,
    batches: Histogram<10>,
    rows: u64,
    /// Requests that the device has taken.
    taken: u64,
    /// Requests that were queued.
    queued: u64,
}

/// The counts of a server.
pub struct Metrics(Mutex<Counts>);

impl Metrics {
    pub fn new() -> Self {
        let (latency, batches) = (Histogram::new(SECONDS), Histogram::new(ROWS));
        Self(Mutex::new(Counts { requests: BTreeMap::new(), latency, batches, rows: 0, taken: 0, queued: 0 }))
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request was answered.
    pub fn answered(&self, path: &'static str, status: u16, took: Duration) {
        let mut counts = self.counts();
        *counts.requests.entry((path, status)).or_default() += 1;
        if path == "/predict" {
            counts.latency.add(took.as_secs_f64());
        }
    }

    /// A request waits for the device.
    pub fn queued(&self) {
        self.counts().queued += 1;
    }

    /// A request found no place in the queue.
    pub fn unqueued(&self) {
        let mut counts = self.counts();
        counts.queued = counts.queued.saturating_sub(1);
    }

    /// The device takes a batch of `rows` rows of `requests` requests.
    pub fn batch(&self, rows: usize, requests: usize) {
        let mut counts = self.counts();
        counts.batches.add(rows as f64);
        counts.rows += rows as u64;
        counts.taken += requests as u64;
    }

    /// All counts; `info` are the labels that tell which model this is.
    pub fn text(&self, info: &[(&str, &str)]) -> String {
        let counts = self.counts();
        let mut text = String::new();
        let label = |(name, value): &(&str, &str)| {
            let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            format!("{name}=\"{value}\"")
        };
        let labels = info.iter().map(label).collect::<Vec<_>>().join(",");
        let mut single = |name: &str, kind: &str, help: &str, lines: &str| {
            let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{lines}");
        };
        single(
            "gridlight_model_info",
            "gauge",
            "The model that answers.",
            &format!("gridlight_model_info{{{labels}}} 1\n"),
        );
        let line = |((path, status), count): (&(&str, u16), &u64)| {
            format!("gridlight_requests_total{{path=\"{path}\",status=\"{status}\"}} {count}\n")
        };
        let requests: String = counts.requests.iter().map(line).collect();
        single("gridlight_requests_total", "counter", "Answered requests.", &requests);
        let rows = format!("gridlight_rows_total {}\n", counts.rows);
        single("gridlight_rows_total", "counter", "Predicted rows.", &rows);
        let depth = format!("gridlight_queue_depth {}\n", counts.queued.saturating_sub(counts.taken));
        single("gridlight_queue_depth", "gauge", "Requests that wait for the device.", &depth);
        let help = "Seconds from the headers of a prediction's request to its answer.";
        counts.latency.write("gridlight_request_seconds", help, &mut text);
        counts.batches.write("gridlight_batch_rows", "Rows that the device predicted together.", &mut text);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_count_what_is_below_them() {
        let metrics = Metrics::new();
        for millis in [1, 3, 3, 9000] {
            metrics.answered("/predict", 200, Duration::from_millis(millis));
        }
        metrics.queued();
        metrics.queued();
        metrics.batch(3, 1);
        let text = metrics.text(&[("name", "a \"b\"")]);
        for line in [
            "gridlight_model_info{name=\"a \\\"b\\\"\"} 1",
            "gridlight_requests_total{path=\"/predict\",status=\"200\"} 4",
            "gridlight_request_seconds_bucket{le=\"0.001\"} 1",
            "gridlight_request_seconds_bucket{le=\"0.005\"} 3",
            "gridlight_request_seconds_bucket{le=\"5\"} 3",
            "gridlight_request_seconds_bucket{le=\"+Inf\"} 4",
            "gridlight_request_seconds_count 4",
            "gridlight_batch_rows_bucket{le=\"2\"} 0",
            "gridlight_batch_rows_bucket{le=\"4\"} 1",
            "gridlight_rows_total 3",
            "gridlight_queue_depth 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }
}
