//! What training tells its observer: the objects of `train --json`, and progress for a bar.

use serde::Serialize;

use crate::base::number::{Number, Numbers};
use crate::device::DeviceInfo;

/// One line of `train --json`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// Before the first step.
    Start {
        /// Experiment.
        name: String,
        /// Device.
        device: DeviceInfo,
        /// Trained elements.
        parameters: u64,
        /// Dispatches of a step.
        kernels_per_step: usize,
        /// Bytes allocated on the device.
        peak_bytes: u64,
        /// Training rows.
        train_samples: usize,
        /// Validation rows.
        validation_samples: usize,
        /// Steps of an epoch.
        steps_per_epoch: u64,
        /// Steps done before this start.
        resumed_from_step: u64,
    },
    /// Every `--log-every` steps.
    Step {
        /// Step number, from 1.
        step: u64,
        /// Mean loss since the last such event.
        loss: Number,
        /// Learning rate of this step.
        learning_rate: f64,
    },
    /// After each epoch.
    Epoch {
        /// Epoch number, from 1.
        epoch: u64,
        /// Steps done.
        step: u64,
        /// Mean training loss of the epoch.
        train: Numbers,
        /// Loss and metrics of the validation rows.
        validation: Numbers,
    },
    /// At the end.
    End {
        /// Run directory.
        run: String,
        /// Epochs finished.
        epochs: u64,
        /// Steps done.
        steps: u64,
        /// Epoch of the best validation loss.
        best_epoch: u64,
        /// Its loss and metrics.
        best: Numbers,
        /// Seconds of training, evaluation included.
        seconds: f64,
        /// Training steps per second, without evaluation.
        steps_per_second: f64,
        /// Seconds from the program's start to the first finished step.
        first_step_seconds: f64,
        /// Largest resident memory of the process; 0 where the system does not tell.
        peak_host_bytes: u64,
    },
}

/// Where training stands, several times a second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tick {
    /// Steps done.
    pub step: u64,
    /// Steps planned.
    pub steps: u64,
    /// Current epoch, from 1.
    pub epoch: u64,
    /// Mean loss of the last steps.
    pub loss: f64,
}

/// Hears what training tells. The library itself prints nothing.
pub trait Observer {
    /// Something the contract names happened.
    fn event(&mut self, event: &Event);
    /// Some steps are done.
    fn tick(&mut self, tick: &Tick);
    /// Something the user should know.
    fn note(&mut self, text: &str);
    /// Whether the user wants to stop; asked between groups of steps.
    fn interrupted(&mut self) -> bool;
}
