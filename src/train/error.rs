//! What ends a training early, by what the user can do about it.

use std::path::PathBuf;

use crate::base::config::ConfigError;
use crate::data::DataError;
use crate::device::DeviceError;
use crate::graph::GraphError;
use crate::plan::PlanError;

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
    #[error(
        "the device was lost: {device}: {cause}; what was saved before is kept, go on with --resume, or with \
         --resume --device cpu"
    )]
    Lost {
        /// Its name.
        device: String,
        /// Why, as far as is known.
        cause: String,
    },
    /// Something else the user asked for cannot be.
    #[error("{0}")]
    Input(String),
    /// Another process writes to the run directory.
    #[error(
        "{}: another gridlight process is training in this run directory; wait for it to end, or choose another \
         directory with --out",
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
        "training diverged at step {step}: the {what} is {value}{}; what was saved before is kept; try a smaller \
         learning_rate, or clip_norm = 1.0{}",
        told(origin),
        if origin.is_empty() { "; --anomaly names the operator" } else { "" }
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
    /// Interrupted by the user while settings were tried.
    #[error("interrupted while the settings of [tune] were tried; nothing was written, start again to go on")]
    TuningInterrupted,
    /// Interrupted by the user while a run was repeated.
    #[error("interrupted while the run was repeated; the run itself is as it was, start again to go on")]
    ReplayInterrupted,
    /// Interrupted by the user after a checkpoint was saved.
    #[error("interrupted at step {step}; a checkpoint was saved, go on with --resume (run directory {})", run.display())]
    Interrupted {
        /// Last finished step.
        step: u64,
        /// The run directory.
        run: PathBuf,
    },
}

// By hand, because `#[from]` makes a source of what the message holds already, and a report with sources then says
// it twice.
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
    /// The process exit code of the contract.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Data(DataError::Io { .. }) => 2,
            Self::Experiment(_) | Self::Data(_) | Self::Graph(_) | Self::Plan(_) | Self::Input(_) => 2,
            Self::InUse { .. } | Self::Format { .. } => 2,
            Self::Device(
                DeviceError::NoAdapter(_)
                | DeviceError::NoBackend
                | DeviceError::Limit { .. }
                | DeviceError::Environment { .. },
            ) => 2,
            Self::Device(_) | Self::Lost { .. } => 4,
            Self::DoesNotFit { cause, .. } => cause.exit_code(),
            Self::Diverged { .. } => 3,
            Self::Io { .. } => 5,
            Self::Interrupted { .. } | Self::TuningInterrupted | Self::ReplayInterrupted => 130,
        }
    }

    /// [`TrainError::Diverged`] without an origin.
    pub(crate) fn diverged(step: u64, what: String, value: f64) -> Self {
        Self::Diverged { step, what, value, origin: String::new() }
    }

    pub(crate) fn io(path: &std::path::Path, error: &std::io::Error) -> Self {
        let advice = match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                "; what was saved before is kept, free some space and go on with --resume"
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
