//! Requests that wait for the device, and the batches that they become.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::{Duration, Instant};

use gridlight::data::Dataset;
use gridlight::run::serve::Answering;
use gridlight::train::TrainError;
use gridlight::train::metrics::Predictions;
use tokio::sync::oneshot;

use super::metrics::Metrics;

/// A request that waits for its predictions.
pub struct Job {
    /// Its rows.
    pub rows: Dataset,
    /// Where its rows and their predictions go.
    pub answer: oneshot::Sender<(Dataset, Predictions)>,
}

/// How batches are formed.
pub struct Batches {
    /// Rows that run at once.
    pub rows: usize,
    /// How long a request waits for others.
    pub wait: Duration,
}

/// Answers jobs until no more can come.
///
/// # Errors
/// If the device fails. Those that wait learn that there is no answer.
pub fn work(
    answering: &mut Answering,
    jobs: &Receiver<Job>,
    batches: &Batches,
    coming: &AtomicUsize,
    metrics: &Metrics,
) -> Result<(), TrainError> {
    while let Ok(first) = jobs.recv() {
        let batch = gather(first, jobs, batches, coming);
        let rows: Vec<&Dataset> = batch.iter().map(|job| &job.rows).collect();
        metrics.batch(rows.iter().map(|rows| rows.rows).sum(), batch.len());
        let found = answering.answer(&rows)?;
        for (job, predictions) in batch.into_iter().zip(found) {
            // Whoever asked may have gone.
            let _ = job.answer.send((job.rows, predictions));
        }
    }
    Ok(())
}

/// The requests of a batch: those that wait, and those that come soon. Where no other is on its way, none is waited
/// for.
fn gather(first: Job, jobs: &Receiver<Job>, batches: &Batches, coming: &AtomicUsize) -> Vec<Job> {
    let end = Instant::now() + batches.wait;
    let mut rows = first.rows.rows;
    let mut batch = vec![first];
    while rows < batches.rows {
        let next = match jobs.try_recv() {
            Err(TryRecvError::Empty) if coming.load(Ordering::SeqCst) <= batch.len() => break,
            Err(TryRecvError::Empty) => jobs.recv_timeout(end.saturating_duration_since(Instant::now())),
            Err(TryRecvError::Disconnected) => Err(RecvTimeoutError::Disconnected),
            Ok(job) => Ok(job),
        };
        let Ok(job) = next else { break };
        rows += job.rows.rows;
        batch.push(job);
    }
    batch
}
