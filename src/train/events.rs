//! What training reports to its observer: the events of `train --json`, and progress for a bar.

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
        /// Dispatches per step.
        kernels_per_step: usize,
        /// Bytes allocated on the device.
        peak_bytes: u64,
        /// Training rows.
        train_samples: usize,
        /// Validation rows.
        validation_samples: usize,
        /// Steps per epoch.
        steps_per_epoch: u64,
        /// Steps completed before this start.
        resumed_from_step: u64,
    },
    /// Every `--log-every` steps.
    Step {
        /// Step number, from 1.
        step: u64,
        /// Mean loss since the last such event.
        loss: Number,
        /// That of the discriminator, if there is one.
        #[serde(skip_serializing_if = "Option::is_none")]
        discriminator: Option<Number>,
        /// Learning rate of this step.
        learning_rate: f64,
    },
    /// After each epoch.
    Epoch {
        /// Epoch number, from 1.
        epoch: u64,
        /// Completed steps.
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
        /// Completed epochs.
        epochs: u64,
        /// Completed steps.
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
        /// Peak resident memory of the process in bytes; 0 if the system does not report it.
        peak_host_bytes: u64,
    },
}

/// Training progress, reported several times per second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tick {
    /// Completed steps.
    pub step: u64,
    /// Total planned steps.
    pub steps: u64,
    /// Current epoch, from 1.
    pub epoch: u64,
    /// Mean loss of the latest steps.
    pub loss: f64,
    /// That of the discriminator, if there is one.
    pub discriminator: Option<f64>,
}

/// Receives training events. The library itself prints nothing; `()` is the observer that ignores everything.
pub trait Observer {
    /// An event of `train --json` occurred.
    fn event(&mut self, _event: &Event) {}
    /// Some steps have completed.
    fn tick(&mut self, _tick: &Tick) {}
    /// A note for the user.
    fn note(&mut self, _text: &str) {}
    /// Whether the user wants to stop; checked between groups of steps.
    fn interrupted(&mut self) -> bool {
        false
    }
}

impl Observer for () {}

/// A borrowed observer is one, and so is a boxed one.
macro_rules! pass_on {
    ($($holder:ty),*) => {$(
        impl<O: Observer + ?Sized> Observer for $holder {
            fn event(&mut self, event: &Event) {
                (**self).event(event);
            }

            fn tick(&mut self, tick: &Tick) {
                (**self).tick(tick);
            }

            fn note(&mut self, text: &str) {
                (**self).note(text);
            }

            fn interrupted(&mut self) -> bool {
                (**self).interrupted()
            }
        }
    )*};
}

pass_on!(&mut O, Box<O>);
