//! Recovers when the device is lost: reopens it and resumes the run from its newest checkpoint, which gives
//! the same bits as an undisturbed run.

use std::time::Duration;

use super::job::{Options, Outcome};
use super::trainer;
use crate::data::Loaded;
use crate::device::open::{Spares, close};
use crate::device::{Device, DeviceError, DeviceInfo};
use crate::experiment::Experiment;
use crate::train::TrainError;
use crate::train::events::{Event, Observer, Tick};

/// Delays before each attempt to reopen the device: drivers need a moment after a reset.
const PAUSES: [Duration; 3] = [Duration::ZERO, Duration::from_millis(250), Duration::from_secs(1)];

/// A device, and the source of replacements when it is lost.
pub struct Recovery<'a> {
    device: Option<Box<dyn Device>>,
    info: DeviceInfo,
    spares: &'a mut dyn Spares,
    losses: usize,
    fell_back: bool,
}

impl<'a> Recovery<'a> {
    /// Starts with an opened device.
    pub fn new(device: Box<dyn Device>, spares: &'a mut dyn Spares) -> Self {
        let info = device.info().clone();
        Self { device: Some(device), info, spares, losses: 0, fell_back: false }
    }

    /// Name of the device.
    pub fn device_name(&self) -> String {
        self.info.name.clone()
    }

    /// Runs `work`, restarting it from the beginning on another device whenever one is lost.
    ///
    /// # Errors
    /// The errors of `work`; [`TrainError::Lost`] if the device is lost more often than it can be reopened.
    pub fn run<T>(
        &mut self,
        observer: &mut dyn Observer,
        mut work: impl FnMut(&dyn Device, &mut dyn Observer) -> Result<T, TrainError>,
    ) -> Result<T, TrainError> {
        loop {
            let result = match &self.device {
                Some(device) => work(&**device, observer),
                None => Err(DeviceError::Lost("no device is left".into()).into()),
            };
            match result {
                Err(TrainError::Device(DeviceError::Lost(cause))) => self.replace(&cause, observer)?,
                other => return other,
            }
        }
    }

    /// Like [`trainer::train`]. After a loss, training resumes from the newest checkpoint, and events already
    /// reported are not repeated.
    ///
    /// # Errors
    /// As for [`Recovery::run`].
    pub fn train(
        &mut self,
        experiment: &Experiment,
        data: &Loaded,
        options: &Options,
        observer: &mut dyn Observer,
    ) -> Result<Outcome, TrainError> {
        let mut told = Told::new(observer);
        let mut options = options.clone();
        loop {
            let Some(device) = &self.device else {
                return Err(DeviceError::Lost("no device is left".into()).into());
            };
            let result = trainer::train(experiment, data, &**device, &options, &mut told);
            let Err(TrainError::Device(DeviceError::Lost(cause))) = result else { return result };
            // Before the start event there is no run yet, or an earlier one of the same name.
            options.resume |= told.started;
            self.replace(&cause, &mut told)?;
        }
    }

    /// Replaces a device that was lost because of `cause`.
    fn replace(&mut self, cause: &str, observer: &mut dyn Observer) -> Result<(), TrainError> {
        let mut cause = cause.to_string();
        observer.note(&format!("the device was lost: {}: {cause}", self.info.name));
        if let Some(device) = self.device.take() {
            // First drop it: some systems return the lost device again while anyone holds it.
            close(device);
        }
        while !self.fell_back && self.losses < PAUSES.len() {
            std::thread::sleep(PAUSES[self.losses]);
            self.losses += 1;
            match self.spares.reopen(&self.info) {
                Ok(device) => {
                    observer.note(&format!(
                        "{} was reopened ({} of {}); resuming from the newest checkpoint",
                        self.info.name,
                        self.losses,
                        PAUSES.len()
                    ));
                    self.device = Some(device);
                    return Ok(());
                }
                Err(error) => cause = format!("{cause}; it could not be reopened: {error}"),
            }
        }
        if !self.fell_back
            && let Some(device) = self.spares.fallback()
        {
            self.fell_back = true;
            self.info = device.info().clone();
            observer.note(&format!("resuming from the newest checkpoint on {}", self.info.name));
            self.device = Some(device);
            return Ok(());
        }
        Err(TrainError::Lost { device: self.info.name.clone(), cause })
    }
}

/// Filters out events that the observer has already received.
pub(super) struct Told<O> {
    pub observer: O,
    /// Whether the start was reported, so that there is a run to go on with.
    pub started: bool,
    step: u64,
    epoch: u64,
}

impl<O> Told<O> {
    /// Nothing was reported yet.
    pub fn new(observer: O) -> Self {
        Self { observer, started: false, step: 0, epoch: 0 }
    }
}

impl<O: Observer> Observer for Told<O> {
    fn event(&mut self, event: &Event) {
        let news = match event {
            // Repeated, because it reports the new device and the step at which training resumes.
            Event::Start { .. } => {
                self.started = true;
                true
            }
            Event::Step { step, .. } => newer(&mut self.step, *step),
            Event::Epoch { epoch, .. } => newer(&mut self.epoch, *epoch),
            Event::End { .. } => true,
        };
        if news {
            self.observer.event(event);
        }
    }

    fn tick(&mut self, tick: &Tick) {
        self.observer.tick(tick);
    }

    fn note(&mut self, text: &str) {
        self.observer.note(text);
    }

    fn interrupted(&mut self) -> bool {
        self.observer.interrupted()
    }
}

/// Whether `now` is beyond what was last reported; records it if so.
fn newer(told: &mut u64, now: u64) -> bool {
    let is_newer = now > *told;
    *told = now.max(*told);
    is_newer
}
