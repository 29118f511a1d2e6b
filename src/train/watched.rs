//! `watch.jsonl`: how weights are distributed at the ends of epochs, and how large the gradients of their last steps
//! were; one JSON object a line. It is for people who watch: nothing is computed from it.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::TrainError;
use super::checkpoint::{self, NamedTensor};

/// Name of the file in a run directory.
pub const NAME: &str = "watch.jsonl";
/// Classes of a histogram.
const CLASSES: usize = 30;
/// Epochs that are recorded of a training at most, about.
const MOST: u64 = 200;

/// The picture of what a generator of `run` draws after an epoch, from the same codes in every epoch.
pub fn samples(run: &Path, epoch: u64) -> PathBuf {
    run.join("samples").join(format!("epoch-{epoch:05}.png"))
}

/// A tensor of weights at the end of an epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Layer {
    /// Its name.
    pub name: String,
    /// Euclidean norm of the gradient of the epoch's last step, before it is clipped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gradient: Option<f64>,
    /// Euclidean norm of the weights.
    pub norm: f64,
    /// The smallest weight.
    pub low: f64,
    /// The largest weight.
    pub high: f64,
    /// How many weights lie in each of equal parts of the range from `low` to `high`.
    pub counts: Vec<u64>,
}

/// The weights of an epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Epoch, from 1.
    pub epoch: u64,
    /// Completed steps.
    pub step: u64,
    /// Tensors, in the order of the model.
    pub layers: Vec<Layer>,
}

/// Whether an epoch of a training of `epochs` is recorded.
pub fn is_recorded(epoch: u64, epochs: u64) -> bool {
    epoch == 1 || epoch == epochs || epoch.is_multiple_of(epochs.div_ceil(MOST).max(1))
}

impl Layer {
    /// A tensor and its gradient, if there is one.
    pub fn of((name, _, weights): &NamedTensor, gradient: Option<&[f32]>) -> Self {
        let squares = |values: &[f32]| values.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>();
        let (low, high) = weights.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), &x| {
            (l.min(f64::from(x)), h.max(f64::from(x)))
        });
        let mut counts = vec![0; CLASSES];
        for &x in weights {
            let part = (f64::from(x) - low) / (high - low) * CLASSES as f64;
            counts[(part as usize).min(CLASSES - 1)] += 1;
        }
        // Before the first step there are no gradients.
        let gradient = gradient.map(squares).filter(|sum| *sum > 0.0).map(f64::sqrt);
        Self { name: name.clone(), gradient, norm: squares(weights).sqrt(), low, high, counts }
    }
}

/// The file while a process trains.
#[derive(Default)]
pub struct Log {
    begun: bool,
}

impl Log {
    /// Appends a record. The first one of a process takes the place of those of its epoch and later ones, which are
    /// repeated after a resumption.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn append(&mut self, directory: &Path, record: &Record) -> Result<(), TrainError> {
        let path = directory.join(NAME);
        let line = serde_json::to_string(record).unwrap_or_default() + "\n";
        if self.begun {
            let mut file = File::options().append(true).open(&path).map_err(|e| TrainError::io(&path, &e))?;
            return file.write_all(line.as_bytes()).map_err(|e| TrainError::io(&path, &e));
        }
        let before = read(directory).into_iter().filter(|known| known.epoch < record.epoch);
        let lines = before.map(|known| serde_json::to_string(&known).unwrap_or_default() + "\n");
        checkpoint::write_atomically(&path, (lines.collect::<String>() + &line).as_bytes())?;
        self.begun = true;
        Ok(())
    }
}

/// The records of a run, up to one that a killed process did not complete; none of runs that have no such file.
pub fn read(directory: &Path) -> Vec<Record> {
    let text = std::fs::read_to_string(directory.join(NAME)).unwrap_or_default();
    text.lines().map_while(|line| serde_json::from_str(line).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(epoch: u64, weights: &[f32]) -> Record {
        let tensor = ("0.weight".to_string(), vec![weights.len()], weights.to_vec());
        Record { epoch, step: 10 * epoch, layers: vec![Layer::of(&tensor, Some(&[3.0, 4.0]))] }
    }

    #[test]
    fn weights_by_hand() {
        let found = &record(1, &[-1.0, 0.0, 0.1, 2.0]).layers[0];
        assert_eq!((found.low, found.high, found.gradient), (-1.0, 2.0, Some(5.0)));
        assert!((found.norm - (1.0f64 + 0.01 + 4.0).sqrt()).abs() < 1e-6);
        let filled: Vec<usize> = (0..CLASSES).filter(|&at| found.counts[at] > 0).collect();
        assert_eq!((filled, found.counts.iter().sum::<u64>()), (vec![0, 10, 11, 29], 4));
        // All alike, none at all, none known.
        assert_eq!(record(1, &[2.0, 2.0]).layers[0].counts.iter().sum::<u64>(), 2);
        let none = Layer::of(&("x".into(), vec![1], vec![1.0]), Some(&[0.0]));
        assert_eq!(none.gradient, None);
    }

    #[test]
    fn a_resumed_log_repeats_nothing_and_a_torn_line_is_left_out() {
        let place = tempfile::tempdir().unwrap();
        let mut log = Log::default();
        for epoch in 1..=3 {
            log.append(place.path(), &record(epoch, &[1.0, 2.0])).unwrap();
        }
        assert_eq!(read(place.path()).len(), 3);
        let path = place.path().join(NAME);
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, &text[..text.len() - 9]).unwrap();
        assert_eq!(read(place.path()).len(), 2);
        let mut log = Log::default();
        for epoch in [2, 3, 4] {
            log.append(place.path(), &record(epoch, &[1.0, 3.0])).unwrap();
        }
        let found = read(place.path());
        assert_eq!(found.iter().map(|r| r.epoch).collect::<Vec<_>>(), [1, 2, 3, 4]);
        assert_eq!(found[2].layers[0].high, 3.0);
    }

    #[test]
    fn long_trainings_are_thinned() {
        assert_eq!((1..=50).filter(|&epoch| is_recorded(epoch, 50)).count(), 50);
        let many = (1..=10_001).filter(|&epoch| is_recorded(epoch, 10_001)).count();
        assert!((190..=203).contains(&many), "{many}");
        assert!(is_recorded(10_001, 10_001));
    }
}
