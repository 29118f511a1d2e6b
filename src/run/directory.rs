//! The run directory: where training stores everything, and what evaluation and resuming read.

use std::io::Write;
use std::path::{Path, PathBuf};

use super::manifest;
use crate::experiment::Experiment;
use crate::train::TrainError;
use crate::train::checkpoint::{self, Meta, NamedTensor};
pub use crate::train::history::HistoryRow;
use crate::train::lock::{self, Lock};

/// Number of newest checkpoints to keep.
const KEPT: usize = 3;

/// A run directory.
#[derive(Clone, Debug)]
pub struct RunDirectory {
    /// Its path.
    pub path: PathBuf,
    /// Locks the directory against other processes.
    lock: Option<Lock>,
}

/// A checkpoint to resume from.
#[derive(Clone, Debug)]
pub struct Newest {
    /// Weights and optimizer state.
    pub tensors: Vec<NamedTensor>,
    /// Its metadata.
    pub meta: Meta,
    /// Damaged newer checkpoints: what is wrong with each.
    pub damaged: Vec<TrainError>,
}

/// The file with which other runs have the same symbols, of a run that reads byte pairs.
pub(super) const TOKENS: &str = "tokenizer.json";

impl RunDirectory {
    /// Opens `path` for a new run. An earlier run there is moved aside to `<path>-1`, `<path>-2`, ...;
    /// returns its new path.
    ///
    /// # Errors
    /// If the directory holds other files, another process trains there, or it cannot be created.
    pub fn create(path: &Path) -> Result<(Self, Option<PathBuf>), TrainError> {
        // Without a trailing separator, so that the earlier run is moved beside this one, not into it.
        let path: &Path = &path.components().collect::<PathBuf>();
        let io = |e: std::io::Error| TrainError::io(path, &e);
        let mut moved = None;
        if path.join("experiment.toml").exists() || manifest::is_ensemble(path) {
            // Held until the new directory is locked, so that two processes cannot both move it aside.
            let mut earlier = Some(lock::take(path)?);
            if cfg!(windows) {
                // Windows does not rename directories with open files.
                earlier = None;
            }
            let aside = (1..).map(|n| PathBuf::from(format!("{}-{n}", path.display()))).find(|p| !p.exists());
            if let Some(aside) = aside {
                std::fs::rename(path, &aside).map_err(io)?;
                moved = Some(aside);
            }
            let run = Self::take_new(path)?;
            drop(earlier);
            return Ok((run, moved));
        }
        if path.exists() && !path.is_dir() {
            let reason = "is a file; choose another directory for the run";
            return Err(TrainError::unusable(path, reason));
        }
        if path.exists() {
            let mut entries = std::fs::read_dir(path).map_err(io)?.flatten();
            if entries.any(|entry| !may_be_begun_anew(&entry.file_name())) {
                return Err(TrainError::Occupied { directory: path.into() });
            }
        }
        Ok((Self::take_new(path)?, moved))
    }

    /// As [`RunDirectory::create`], for an ensemble; returns what locks it, and where an earlier run was moved.
    ///
    /// # Errors
    /// As [`RunDirectory::create`].
    pub fn create_ensemble(path: &Path) -> Result<(Option<Lock>, Option<PathBuf>), TrainError> {
        let (run, moved) = Self::create(path)?;
        // Only its members have checkpoints.
        let checkpoints = run.path.join("checkpoints");
        std::fs::remove_dir(&checkpoints).map_err(|e| TrainError::io(&checkpoints, &e))?;
        Ok((run.lock, moved))
    }

    /// What locks it.
    pub fn lock(self) -> Option<Lock> {
        self.lock
    }

    /// Creates and locks the directory, and removes what a process killed before its first checkpoint left
    /// there.
    fn take_new(path: &Path) -> Result<Self, TrainError> {
        let io = |e: std::io::Error| TrainError::io(path, &e);
        let checkpoints = path.join("checkpoints");
        std::fs::create_dir_all(&checkpoints).map_err(io)?;
        let run = Self { path: path.into(), lock: Some(lock::take(path)?) };
        if path.join("experiment.toml").exists() || manifest::is_ensemble(path) {
            // Another process started and ended a run here in the meantime.
            return Err(TrainError::InUse { run: path.into() });
        }
        run.remove_leftovers();
        for (_, old) in checkpoint::list(&checkpoints) {
            std::fs::remove_file(old).map_err(io)?;
        }
        Ok(run)
    }

    /// Whether a run at `path` has saved anything, intact or damaged, to go on from. Initial weights alone do
    /// not count until the experiment they belong to is written too.
    pub fn has_saved(path: &Path) -> bool {
        let begun = path.join("experiment.toml").exists();
        let entries = std::fs::read_dir(path.join("checkpoints")).into_iter().flatten().flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        names.filter(|name| name.starts_with("step-")).any(|name| begun || !name.starts_with("step-0."))
    }

    /// Opens an existing run for writing, and removes what killed processes left.
    ///
    /// # Errors
    /// If another process trains there.
    pub fn resume(path: &Path) -> Result<Self, TrainError> {
        let run = Self { path: path.into(), lock: Some(lock::take(path)?) };
        run.remove_leftovers();
        Ok(run)
    }

    fn remove_leftovers(&self) {
        checkpoint::remove_leftovers(&self.path);
        checkpoint::remove_leftovers(&self.path.join("checkpoints"));
    }

    /// Opens an existing run for reading.
    ///
    /// # Errors
    /// If `path` is not a run directory.
    pub fn open(path: &Path) -> Result<Self, TrainError> {
        if manifest::is_ensemble(path) {
            let reason = format!(
                "is an ensemble, of which predictions and evaluations can be had; for anything else give one of its \
                 members: {}",
                manifest::member(path, 0).display()
            );
            return Err(TrainError::unusable(path, reason));
        }
        if !path.join("experiment.toml").exists() {
            let reason =
                "is not a run directory (it has no experiment.toml); give the directory that `train` wrote";
            return Err(TrainError::unusable(path, reason));
        }
        Ok(Self { path: path.into(), lock: None })
    }

    /// The experiment of the run.
    ///
    /// # Errors
    /// If its file was damaged.
    pub fn experiment(&self) -> Result<Experiment, TrainError> {
        Ok(Experiment::read(&self.path.join("experiment.toml"), &[])?)
    }

    /// Writes the experiment with all defaults resolved.
    ///
    /// # Errors
    /// If the directory cannot be written.
    pub fn write_experiment(&self, experiment: &Experiment) -> Result<(), TrainError> {
        checkpoint::write_atomically(&self.path.join("experiment.toml"), experiment.resolved().as_bytes())
    }

    /// The experiment of the run; `None` if its file is missing.
    ///
    /// # Errors
    /// If it was damaged.
    pub fn experiment_if_any(&self) -> Result<Option<Experiment>, TrainError> {
        if self.path.join("experiment.toml").exists() { self.experiment().map(Some) } else { Ok(None) }
    }

    /// The checkpoint of a step.
    pub fn checkpoint(&self, step: u64) -> PathBuf {
        self.path.join("checkpoints").join(format!("step-{step}.safetensors"))
    }

    /// Weights of the best epoch.
    pub fn best(&self) -> PathBuf {
        self.path.join("best.safetensors")
    }

    /// Writes a checkpoint and removes all but the newest few and the one at `best_step`.
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
        checkpoint::save(&self.checkpoint(step), tensors, meta)?;
        let all = checkpoint::list(&directory);
        for (step, old) in &all[..all.len().saturating_sub(KEPT)] {
            if *step != best_step {
                // A checkpoint that cannot be removed costs space, not correctness.
                let _ = std::fs::remove_file(old);
            }
        }
        Ok(())
    }

    /// The newest readable checkpoint. Damaged newer ones are renamed to `step-<n>.damaged`.
    ///
    /// # Errors
    /// If there is none.
    pub fn newest(&self) -> Result<Newest, TrainError> {
        let mut damaged = vec![];
        for (_, path) in checkpoint::list(&self.path.join("checkpoints")).into_iter().rev() {
            match checkpoint::load(&path) {
                Ok((tensors, Some(meta))) if meta.progress.is_some() => {
                    return Ok(Newest { tensors, meta, damaged });
                }
                Ok(_) => damaged.push(TrainError::unusable(&path, "not a checkpoint")),
                // Another format is for another version of the program, not damage.
                Err(e @ (TrainError::Io { .. } | TrainError::Format { .. })) => return Err(e),
                Err(e) => damaged.push(e),
            }
            // If renaming fails, it will be found damaged again.
            let _ = std::fs::rename(&path, path.with_extension("damaged"));
        }
        let none = || TrainError::unusable(&self.path, "there is no checkpoint to resume from");
        Err(damaged.into_iter().next().unwrap_or_else(none))
    }

    /// `metrics.csv`
    pub fn history(&self) -> PathBuf {
        self.path.join("metrics.csv")
    }

    /// Writes a text file of the run.
    ///
    /// # Errors
    /// If the disk is full.
    pub fn write_text(&self, name: &str, text: &str) -> Result<(), TrainError> {
        checkpoint::write_atomically(&self.path.join(name), text.as_bytes())
    }
}

/// The experiment of a run, or of the members of an ensemble.
///
/// # Errors
/// If `path` is neither, or its file was damaged.
pub fn experiment_of(path: &Path) -> Result<Experiment, TrainError> {
    let first = manifest::member(path, 0);
    RunDirectory::open(if manifest::is_ensemble(path) { &first } else { path })?.experiment()
}

/// Whether a file is among those left by a process killed before its first checkpoint.
fn may_be_begun_anew(name: &std::ffi::OsStr) -> bool {
    let name = name.to_string_lossy();
    let whole = [lock::NAME, "checkpoints", "run.json"].contains(&&*name);
    whole || name.starts_with("events.out.tfevents.") || checkpoint::is_leftover(name.as_ref().as_ref())
}

/// Checks that files can be created in `directory`, before hours of training.
///
/// # Errors
/// If the directory cannot be written.
pub fn check_writable(directory: &Path) -> Result<(), TrainError> {
    let fail = |e: std::io::Error| TrainError::io(directory, &e);
    let mut file = tempfile::tempfile_in(directory).map_err(fail)?;
    file.write_all(b"ok").map_err(fail)
}
