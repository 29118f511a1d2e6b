//! `metrics.csv`: one line per epoch.

use std::path::Path;

use super::TrainError;
use super::checkpoint;
use crate::base::number::Numbers;

/// Metrics that may appear in the file, after `validation_`.
const NAMES: [&str; 21] = [
    "loss",
    "mae",
    "rmse",
    "r2",
    "pinball",
    "crps",
    "smape",
    "mase",
    "accuracy",
    "auc",
    "f1",
    "elbo",
    "reconstruction",
    "kl",
    "nats",
    "discriminator",
    "frechet",
    "precision",
    "recall",
    "mean_iou",
    "psnr",
];
/// The column of the discriminator's training loss, which only adversarial pairs have.
const DISCRIMINATOR: &str = "train_discriminator";
/// Larger files are rejected before they are read.
const MAX_BYTES: u64 = 1 << 30;

/// One line of `metrics.csv`.
#[derive(Clone, Debug, PartialEq)]
pub struct HistoryRow {
    /// Epoch, from 1.
    pub epoch: u64,
    /// Completed steps.
    pub step: u64,
    /// Learning rate of the epoch's last step.
    pub learning_rate: f64,
    /// Mean training loss.
    pub train_loss: f64,
    /// Mean training loss of the discriminator, if there is one.
    pub discriminator: Option<f64>,
    /// Validation loss and metrics.
    pub validation: Numbers,
}

/// The text of the file, kept so that each epoch only appends its own line.
#[derive(Default)]
pub struct Lines {
    text: Vec<u8>,
    /// Number of rows in it, without the header.
    rows: usize,
}

impl Lines {
    /// Rewrites the file with `rows`, which must start with the rows of the last call.
    ///
    /// # Errors
    /// If the disk is full.
    pub fn write(&mut self, path: &Path, rows: &[HistoryRow]) -> Result<(), TrainError> {
        let fail = |e: csv::Error| TrainError::Io { path: path.into(), reason: e.to_string() };
        let mut writer = csv::Writer::from_writer(&mut self.text);
        if let (0, Some(first)) = (self.rows, rows.first()) {
            let names = first.validation.0.iter().map(|(n, _)| format!("validation_{n}"));
            let fixed = ["epoch", "step", "learning_rate", "train_loss"].map(String::from);
            let own = first.discriminator.map(|_| DISCRIMINATOR.to_string());
            writer.write_record(fixed.into_iter().chain(own).chain(names)).map_err(fail)?;
        }
        for row in rows.iter().skip(self.rows) {
            let fixed = [
                row.epoch.to_string(),
                row.step.to_string(),
                row.learning_rate.to_string(),
                row.train_loss.to_string(),
            ];
            let metrics = row.validation.0.iter().map(|(_, x)| x.to_string());
            let own = row.discriminator.map(|loss| loss.to_string());
            writer.write_record(fixed.into_iter().chain(own).chain(metrics)).map_err(fail)?;
        }
        writer.flush().map_err(|e| TrainError::io(path, &e))?;
        drop(writer);
        self.rows = rows.len();
        checkpoint::write_atomically(path, &self.text)
    }
}

/// Reads all lines; none if there is no file.
///
/// # Errors
/// If the file is damaged.
pub fn read_all(path: &Path) -> Result<Vec<HistoryRow>, TrainError> {
    read_to(path, u64::MAX)
}

/// Reads the lines up to `epoch`, the position of a checkpoint; later ones belong to steps that will be
/// repeated. A missing file counts as empty, so that the user may remove a damaged one and resume.
///
/// # Errors
/// If the file is damaged or ends before `epoch`.
pub fn read(path: &Path, epoch: u64) -> Result<Vec<HistoryRow>, TrainError> {
    if epoch == 0 || !path.exists() {
        return Ok(vec![]);
    }
    let rows = read_to(path, epoch)?;
    if rows.last().is_none_or(|last| last.epoch != epoch) {
        let line = rows.len() as u64 + 2;
        let reason = format!("epoch {epoch}, which the checkpoint belongs to, is missing");
        return Err(damaged(path, line, &reason));
    }
    Ok(rows)
}

/// The error that a line of the file is wrong.
fn damaged(path: &Path, line: u64, reason: &str) -> TrainError {
    let place = format!("{}:{line}", path.display());
    let go_on = "restore the file, or remove it to go on without the figures of earlier epochs";
    TrainError::Unusable { path: place.into(), reason: format!("{reason}; {go_on}") }
}

/// The lines of epochs up to `last`.
fn read_to(path: &Path, last: u64) -> Result<Vec<HistoryRow>, TrainError> {
    let damaged = |line: u64, reason: &str| damaged(path, line, reason);
    let size = match std::fs::metadata(path) {
        Ok(metadata) => metadata.len(),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(vec![]),
        Err(e) => return Err(TrainError::io(path, &e)),
    };
    if size > MAX_BYTES {
        return Err(damaged(1, &format!("{size} bytes are more than the file can have")));
    }
    let bytes = std::fs::read(path).map_err(|e| TrainError::io(path, &e))?;
    let mut reader = csv::Reader::from_reader(&bytes[..]);
    let header = reader.headers().map_err(|_| damaged(1, "the header is not text"))?.clone();
    let mut names = vec![];
    let plays = header.get(4) == Some(DISCRIMINATOR);
    for title in header.iter().skip(4 + usize::from(plays)) {
        let known = NAMES.iter().find(|n| title.strip_prefix("validation_") == Some(n));
        names.push(*known.ok_or_else(|| damaged(1, &format!("there is no metric `{title:.80}`")))?);
    }
    let mut rows: Vec<HistoryRow> = vec![];
    for record in reader.records() {
        let record = record.map_err(|e| {
            damaged(e.position().map_or(1, csv::Position::line), "the line does not fit the header")
        })?;
        let line = record.position().map_or(1, csv::Position::line);
        let row = parse(&record, plays, &names).ok_or_else(|| damaged(line, "a cell is not a number"))?;
        if row.epoch > last {
            break;
        }
        if rows.last().is_some_and(|before| before.epoch.checked_add(1) != Some(row.epoch)) {
            return Err(damaged(line, &format!("epoch {} does not follow the previous one", row.epoch)));
        }
        rows.push(row);
    }
    Ok(rows)
}

/// A line of the file; `plays` if it has the column of a discriminator.
fn parse(record: &csv::StringRecord, plays: bool, names: &[&'static str]) -> Option<HistoryRow> {
    let number = |at: usize| record.get(at)?.parse::<f64>().ok();
    let mut validation = vec![];
    for (at, name) in names.iter().enumerate() {
        validation.push((*name, number(at + 4 + usize::from(plays))?));
    }
    Some(HistoryRow {
        epoch: record.get(0)?.parse().ok()?,
        step: record.get(1)?.parse().ok()?,
        learning_rate: number(2)?,
        train_loss: number(3)?,
        discriminator: if plays { Some(number(4)?) } else { None },
        validation: Numbers(validation),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_damage_is_told_with_its_line() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("metrics.csv");
        assert_eq!(read(&path, 3).unwrap(), [], "no file");
        let row = |epoch: u64| HistoryRow {
            epoch,
            step: 11 * epoch,
            learning_rate: 0.1,
            train_loss: 1.0 / 3.0,
            discriminator: None,
            validation: Numbers(vec![("loss", 0.7), ("r2", f64::NAN)]),
        };
        let mut lines = Lines::default();
        lines.write(&path, &[1].map(row)).unwrap();
        lines.write(&path, &[1, 2, 3].map(row)).unwrap();
        let rows = read(&path, 2).unwrap();
        assert_eq!((rows.len(), rows[1].train_loss), (2, 1.0 / 3.0));
        assert!(rows[1].validation.get("r2").unwrap().is_nan());
        assert_eq!(read(&path, 0).unwrap(), []);
        let error = read(&path, 4).unwrap_err().to_string();
        assert!(error.contains("metrics.csv:5") && error.contains("epoch 4"), "{error}");
        let text = std::fs::read_to_string(&path).unwrap();
        for (from, to, line) in [("\n2,", "\n7,", 3), ("\n2,", "\nx,", 3), ("_r2", "_r3", 1), ("0.7", "", 2)]
        {
            std::fs::write(&path, text.replacen(from, to, 1)).unwrap();
            let error = read(&path, 3).unwrap_err().to_string();
            assert!(error.contains(&format!("metrics.csv:{line}:")) || from == "\n2,", "{error}");
        }
    }
}
