//! The run directory: where a training keeps everything, and from which it is evaluated and resumed.

use std::io::Write;
use std::path::{Path, PathBuf};

use super::TrainError;
use super::checkpoint::{self, Meta, NamedTensor};
use super::events::Numbers;
use crate::experiment::Experiment;

/// Newest checkpoints kept.
const KEPT: usize = 3;

/// A run directory.
#[derive(Clone, Debug)]
pub struct RunDirectory {
    /// Its path.
    pub path: PathBuf,
}

/// One line of `metrics.csv`.
#[derive(Clone, Debug, PartialEq)]
pub struct HistoryRow {
    /// Epoch, from 1.
    pub epoch: u64,
    /// Steps done.
    pub step: u64,
    /// Learning rate of its last step.
    pub learning_rate: f64,
    /// Mean training loss.
    pub train_loss: f64,
    /// Validation loss and metrics.
    pub validation: Numbers,
}

impl RunDirectory {
    /// Opens `path` for a new run. An earlier run there is moved aside to `<path>-1`, `<path>-2`, ...; gives
    /// where it went.
    ///
    /// # Errors
    /// If the directory holds something else or cannot be made.
    pub fn create(path: &Path) -> Result<(Self, Option<PathBuf>), TrainError> {
        // Without a trailing separator, so that the earlier run goes beside this one and not into it.
        let path: &Path = &path.components().collect::<PathBuf>();
        let io = |e: std::io::Error| TrainError::io(path, &e);
        let mut moved = None;
        if path.exists() {
            let mut entries = std::fs::read_dir(path).map_err(io)?;
            if path.join("experiment.toml").exists() {
                let aside =
                    (1..).map(|n| PathBuf::from(format!("{}-{n}", path.display()))).find(|p| !p.exists());
                if let Some(aside) = aside {
                    std::fs::rename(path, &aside).map_err(io)?;
                    moved = Some(aside);
                }
            } else if entries.next().is_some() {
                let reason = "holds files that are not a run; choose another directory with --out";
                return Err(TrainError::Input(format!("{}: {reason}", path.display())));
            }
        }
        std::fs::create_dir_all(path.join("checkpoints")).map_err(io)?;
        Ok((Self { path: path.into() }, moved))
    }

    /// Opens an existing run.
    ///
    /// # Errors
    /// If `path` is not a run directory.
    pub fn open(path: &Path) -> Result<Self, TrainError> {
        if !path.join("experiment.toml").exists() {
            let reason =
                "is not a run directory (it has no experiment.toml); give the directory that `train` wrote";
            return Err(TrainError::Input(format!("{}: {reason}", path.display())));
        }
        Ok(Self { path: path.into() })
    }

    /// The experiment of the run.
    ///
    /// # Errors
    /// If its file was damaged.
    pub fn experiment(&self) -> Result<Experiment, TrainError> {
        Ok(Experiment::read(&self.path.join("experiment.toml"), &[])?)
    }

    /// Writes the experiment as resolved.
    ///
    /// # Errors
    /// If the directory cannot be written.
    pub fn write_experiment(&self, experiment: &Experiment) -> Result<(), TrainError> {
        checkpoint::write_atomically(&self.path.join("experiment.toml"), experiment.resolved().as_bytes())
    }

    /// Weights of the best epoch.
    pub fn best(&self) -> PathBuf {
        self.path.join("best.safetensors")
    }

    /// Writes a checkpoint and drops all but the newest few and the one at `best_step`.
    ///
    /// # Errors
    /// If the disk is full.
    pub fn save(
        &self,
        step: u64,
        best_step: u64,
        tensors: &[NamedTensor],
        meta: &Meta,
    ) -> Result<(), TrainError> {
        let directory = self.path.join("checkpoints");
        checkpoint::save(&directory.join(format!("step-{step}.safetensors")), tensors, meta)?;
        let all = checkpoint::list(&directory);
        for (step, old) in &all[..all.len().saturating_sub(KEPT)] {
            if *step != best_step {
                // A checkpoint that cannot be removed costs space, not correctness.
                let _ = std::fs::remove_file(old);
            }
        }
        Ok(())
    }

    /// The newest checkpoint that can be read, and its contents.
    ///
    /// # Errors
    /// If there is none.
    pub fn newest(&self) -> Result<(Vec<NamedTensor>, Meta), TrainError> {
        let mut last_error = None;
        for (_, path) in checkpoint::list(&self.path.join("checkpoints")).into_iter().rev() {
            match checkpoint::load(&path) {
                Ok((tensors, Some(meta))) => return Ok((tensors, meta)),
                Ok((_, None)) => {}
                Err(e) => last_error = Some(e),
            }
        }
        Err(last_error.unwrap_or_else(|| {
            TrainError::Input(format!("{}: there is no checkpoint to resume from", self.path.display()))
        }))
    }

    /// Writes `metrics.csv` anew.
    ///
    /// # Errors
    /// If the disk is full.
    pub fn write_history(&self, rows: &[HistoryRow]) -> Result<(), TrainError> {
        let path = self.path.join("metrics.csv");
        let fail = |e: csv::Error| TrainError::Io { path: path.clone(), reason: e.to_string() };
        let mut writer = csv::Writer::from_writer(vec![]);
        if let Some(first) = rows.first() {
            let names = first.validation.0.iter().map(|(n, _)| format!("validation_{n}"));
            let fixed = ["epoch", "step", "learning_rate", "train_loss"].map(String::from);
            writer.write_record(fixed.into_iter().chain(names)).map_err(fail)?;
        }
        for row in rows {
            let fixed = [
                row.epoch.to_string(),
                row.step.to_string(),
                row.learning_rate.to_string(),
                row.train_loss.to_string(),
            ];
            let metrics = row.validation.0.iter().map(|(_, x)| x.to_string());
            writer.write_record(fixed.into_iter().chain(metrics)).map_err(fail)?;
        }
        let bytes =
            writer.into_inner().map_err(|e| TrainError::Io { path: path.clone(), reason: e.to_string() })?;
        checkpoint::write_atomically(&path, &bytes)
    }

    /// Reads `metrics.csv` up to `epoch`; lines that do not parse are left out.
    pub fn read_history(&self, epoch: u64) -> Vec<HistoryRow> {
        const NAMES: [&str; 7] = ["loss", "mae", "rmse", "r2", "accuracy", "auc", "f1"];
        let Ok(mut reader) = csv::Reader::from_path(self.path.join("metrics.csv")) else { return vec![] };
        let header: Vec<String> =
            reader.headers().map(|h| h.iter().map(String::from).collect()).unwrap_or_default();
        let metric = |title: &String| {
            let name = title.strip_prefix("validation_")?;
            NAMES.iter().find(|n| **n == name).copied()
        };
        let parse = |record: &csv::StringRecord| {
            let validation =
                header.iter().zip(record.iter()).filter_map(|(t, x)| Some((metric(t)?, x.parse().ok()?)));
            Some(HistoryRow {
                epoch: record.get(0)?.parse().ok()?,
                step: record.get(1)?.parse().ok()?,
                learning_rate: record.get(2)?.parse().ok()?,
                train_loss: record.get(3)?.parse().ok()?,
                validation: Numbers(validation.collect()),
            })
        };
        let rows = reader.records().flatten().filter_map(|record| parse(&record));
        rows.filter(|row| row.epoch <= epoch).collect()
    }

    /// Writes a text file of the run.
    ///
    /// # Errors
    /// If the disk is full.
    pub fn write_text(&self, name: &str, text: &str) -> Result<(), TrainError> {
        checkpoint::write_atomically(&self.path.join(name), text.as_bytes())
    }
}

/// Whether a file can be made in `directory`, before hours are spent.
///
/// # Errors
/// If the directory cannot be written.
pub fn check_writable(directory: &Path) -> Result<(), TrainError> {
    let fail = |e: std::io::Error| TrainError::io(directory, &e);
    let mut file = tempfile::tempfile_in(directory).map_err(fail)?;
    file.write_all(b"ok").map_err(fail)
}
