//! What ends a training early, by what the user can do about it.

use std::path::PathBuf;

use crate::base::config::ConfigError;
use crate::data::DataError;
use crate::device::DeviceError;
use crate::graph::GraphError;
use crate::mpi::MpiError;
use crate::plan::PlanError;

/// What an error is about: who asked can correct their input, or free a disk, or go on later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// What was asked for cannot be.
    Input,
    /// The numbers of a training are no longer finite.
    Diverged,
    /// The device failed.
    Device,
    /// A file could not be read or written.
    File,
    /// The user interrupted it.
    Interrupted,
}

/// Why training, evaluation or prediction did not finish.
#[derive(Clone, Debug, thiserror::Error, PartialEq)]
pub enum TrainError {
    /// The experiment file is wrong.
    #[error(transparent)]
    Experiment(#[from] ConfigError),
    /// The data are wrong.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The model's layers do not fit.
    #[error("[model]: {0}")]
    Graph(GraphError),
    /// The model does not fit the device.
    #[error("[model]: {0}")]
    Plan(PlanError),
    /// The device failed.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// Several processes cannot train together.
    #[error(transparent)]
    Mpi(#[from] MpiError),
    /// The plan is larger than the device's memory or limits.
    #[error(
        "{cause}; the plan needs {} bytes in all with train.batch_size = {batch}; {}",
        crate::plan::quantity(*bytes),
        super::fit::advice(*fitting)
    )]
    DoesNotFit {
        /// What was too much.
        cause: Box<TrainError>,
        /// Rows of a step.
        batch: usize,
        /// Bytes of all buffers.
        bytes: u64,
        /// The largest batch that would fit, and the bytes of all buffers with it.
        fitting: Option<(usize, u64)>,
    },
    /// The device was lost more often than it could be opened again.
    #[error("the device was lost: {device}: {cause}; what was saved before is kept")]
    Lost {
        /// Its name.
        device: String,
        /// Why, as far as is known.
        cause: String,
    },
    /// A file or a directory is not what it must be.
    #[error("{}: {reason}", path.display())]
    Unusable {
        /// Where it is.
        path: PathBuf,
        /// What is wrong, and how to go on.
        reason: String,
    },
    /// A setting of what was asked for is out of range, or not for this model.
    #[error(
        "{}`{name}` {problem}",
        run.as_ref().map_or_else(String::new, |run| format!("{}: ", run.display()))
    )]
    Setting {
        /// The run it was asked of, where that matters.
        run: Option<PathBuf>,
        /// Its name.
        name: &'static str,
        /// What was found and what is allowed.
        problem: String,
    },
    /// A tensor of a file is not of the model.
    #[error("{}", tensor(name, found.as_deref(), expected))]
    Tensor {
        /// Its name.
        name: String,
        /// Its shape, if the file has it.
        found: Option<Vec<usize>>,
        /// The shape that the model expects.
        expected: Vec<usize>,
    },
    /// A run is to go on with another experiment.
    #[error(
        "the run was begun with `{begun}`, the experiment now says `{now}`; undo the change, or train anew"
    )]
    Changed {
        /// The first line that differs, as it was.
        begun: String,
        /// As it is now.
        now: String,
    },
    /// A directory to train in that holds something else.
    #[error("{}: holds files that are not a run; choose another directory", directory.display())]
    Occupied {
        /// The directory.
        directory: PathBuf,
    },
    /// Something else that was asked for cannot be.
    #[error("{0}")]
    Input(String),
    /// Another process writes to the run directory.
    #[error(
        "{}: another gridlight process is training in this run directory; wait for it to end, or choose \
         another directory",
        run.display()
    )]
    InUse {
        /// The run directory.
        run: PathBuf,
    },
    /// A checkpoint of another version of the program.
    #[error("{}: format {found} is not known to this version (it knows {known})", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// What this version writes and reads.
        known: u32,
    },
    /// Loss or weights are no longer finite.
    #[error(
        "training diverged at step {step}: the {what} is {value}{}; what was saved before is kept; try a \
         smaller learning_rate, or clip_norm = 1.0",
        told(origin)
    )]
    Diverged {
        /// First bad step.
        step: u64,
        /// `training loss`, `validation loss`, or a tensor.
        what: String,
        /// NaN or an infinity.
        value: f64,
        /// Which operator it comes from, if that was asked for; else empty.
        origin: String,
    },
    /// A file could not be read or written.
    #[error("{}: {reason}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// No trial of a study came to anything.
    #[error(
        "none of {trials} trials {}; the first: {reason}",
        if *diverged { "stayed finite: search smaller learning rates, or set clip_norm" } else { "could be trained" }
    )]
    StudyFailed {
        /// How many there were.
        trials: usize,
        /// Whether some diverged.
        diverged: bool,
        /// Why the first failed.
        reason: String,
    },
    /// Interrupted by the user while settings were tried.
    #[error("interrupted in trial {trial}; what was tried is kept (study {})", study.display())]
    StudyInterrupted {
        /// Its number, from 1.
        trial: usize,
        /// The study's directory.
        study: PathBuf,
    },
    /// Interrupted by the user while a run was repeated.
    #[error("interrupted while the run was repeated; the run itself is as it was, start again to go on")]
    ReplayInterrupted,
    /// Interrupted by the user after a checkpoint was saved.
    #[error("interrupted at step {step}; a checkpoint was saved (run directory {})", run.display())]
    Interrupted {
        /// Last finished step.
        step: u64,
        /// The run directory.
        run: PathBuf,
    },
}

// By hand, because `#[from]` makes a source of what the message holds already, and a report with sources then
// says it twice.
impl From<GraphError> for TrainError {
    fn from(error: GraphError) -> Self {
        Self::Graph(error)
    }
}

impl From<PlanError> for TrainError {
    fn from(error: PlanError) -> Self {
        Self::Plan(error)
    }
}

impl TrainError {
    /// What it is about.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Experiment(_) | Self::Data(_) | Self::Graph(_) | Self::Plan(_) | Self::Input(_) => {
                ErrorKind::Input
            }
            Self::Unusable { .. } | Self::Setting { .. } | Self::Tensor { .. } => ErrorKind::Input,
            Self::Changed { .. } | Self::Occupied { .. } => ErrorKind::Input,
            Self::InUse { .. } | Self::Format { .. } => ErrorKind::Input,
            Self::Device(
                DeviceError::NoSuchAdapter(_)
                | DeviceError::NoBackend
                | DeviceError::Limit { .. }
                | DeviceError::Environment { .. },
            ) => ErrorKind::Input,
            Self::Mpi(
                MpiError::NotAvailable
                | MpiError::NotFound { .. }
                | MpiError::Unusable { .. }
                | MpiError::Launcher { .. },
            ) => ErrorKind::Input,
            Self::Device(_) | Self::Lost { .. } | Self::Mpi(_) => ErrorKind::Device,
            Self::DoesNotFit { cause, .. } => cause.kind(),
            Self::StudyFailed { diverged: false, .. } => ErrorKind::Input,
            Self::Diverged { .. } | Self::StudyFailed { .. } => ErrorKind::Diverged,
            Self::Io { .. } => ErrorKind::File,
            Self::Interrupted { .. } | Self::StudyInterrupted { .. } | Self::ReplayInterrupted => {
                ErrorKind::Interrupted
            }
        }
    }

    /// [`TrainError::Diverged`] without an origin.
    pub(crate) fn diverged(step: u64, what: String, value: f64) -> Self {
        Self::Diverged { step, what, value, origin: String::new() }
    }

    /// [`TrainError::Unusable`].
    pub(crate) fn unusable(path: &std::path::Path, reason: impl ToString) -> Self {
        Self::Unusable { path: path.into(), reason: reason.to_string() }
    }

    pub(crate) fn io(path: &std::path::Path, error: &std::io::Error) -> Self {
        let advice = match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                "; what was saved before is kept, free some space and resume"
            }
            _ => "",
        };
        Self::Io { path: path.into(), reason: format!("{error}{advice}") }
    }
}

/// How an error message goes on with what is known of the origin.
fn told(origin: &str) -> String {
    if origin.is_empty() { String::new() } else { format!(": {origin}") }
}

fn tensor(name: &str, found: Option<&[usize]>, expected: &[usize]) -> String {
    match found {
        Some(found) => format!("tensor `{name}` has shape {found:?}, the model expects {expected:?}"),
        None => format!("the file has no tensor `{name}` of shape {expected:?}"),
    }
}
