//! Updates of parameters beside the device's own: on the host, and in parts among several processes.

use std::ops::Range;
use std::time::Instant;

use super::Engine;
use crate::base::step::StepRecord;
use crate::device::cpu::CpuDevice;
use crate::device::{Device, Run, Session};
use crate::mpi::Group;
use crate::plan::{Compiled, SetLayout, Slice};
use crate::train::TrainError;

/// The CPU, where it updates the parameters of a model on another device. It keeps the optimizer's state, and the parameters
/// that it updates.
pub(super) struct Host {
    pub(super) compiled: Compiled,
    pub(super) session: Box<dyn Session>,
    /// Whether parameters on the device were set since they were last read.
    pub(super) is_behind: bool,
}

impl Host {
    /// # Errors
    /// If its memory does not suffice.
    pub(super) fn new(compiled: Compiled, exact: bool) -> Result<Self, TrainError> {
        if cfg!(target_family = "wasm") {
            let reason = "`train.optimizer_state = \"host\"` is for programs, not for pages in a browser";
            return Err(TrainError::Input(reason.into()));
        }
        let mut session = CpuDevice::new(None).exact(exact).load(&compiled.program)?;
        for (slice, words) in &compiled.layout.constants {
            session.write(slice.buffer, slice.start, words)?;
        }
        Ok(Self { compiled, session, is_behind: true })
    }
}

/// Gives `change` the words of `place`: where they lie, if the host reaches them there; else in `scratch`, with those `read`
/// copied from the device before, and those `written` copied to it after.
fn changed(
    session: &mut dyn Session,
    place: Slice,
    [read, written]: [Range<usize>; 2],
    scratch: &mut Vec<u32>,
    change: impl FnOnce(&mut [u32]) -> Result<(), TrainError>,
) -> Result<(), TrainError> {
    if let Some(words) = session.words(place.buffer) {
        return change(&mut words[place.start..place.start + place.words]);
    }
    scratch.resize(place.words, 0);
    session.read_into(place.buffer, place.start + read.start, &mut scratch[read])?;
    change(scratch)?;
    Ok(session.write(place.buffer, place.start + written.start, &scratch[written])?)
}

impl Engine {
    /// The gradients of all parameters.
    pub(crate) fn gradients(&self) -> Option<Slice> {
        self.compiled.layout.sets.first()?.gradient_range()
    }

    /// The runs of the phases that compute the gradients of these micro-batches.
    pub(super) fn runs_of_gradients(&self, step: &StepRecord, of: Range<usize>) -> Vec<Run> {
        let phases = super::step(self.micro_batches(), false);
        let mut runs = vec![];
        for &(phase, times) in &phases {
            let own = if times == 1 { 0..1 } else { of.clone() };
            runs.extend(own.map(|at| self.micro_batch(phase, step, at)));
        }
        runs
    }

    /// Seconds in which gradients are read from the device and what is computed of them elsewhere is written to it, beside the
    /// phases of a step.
    ///
    /// # Errors
    /// If the device fails.
    pub(crate) fn exchange_seconds(&mut self, step: &StepRecord) -> Result<f64, TrainError> {
        let clock = Instant::now();
        let mut scratch = vec![];
        self.with_gradients(&mut scratch, |_| Ok(()))?;
        if self.host.is_some() {
            self.update(step)?;
        }
        self.put_parameters(&mut scratch, None)?;
        Ok(clock.elapsed().as_secs_f64())
    }

    /// Runs training steps whose updates the host computes; returns their losses.
    pub(super) fn train_with_host(&mut self, steps: &mut [StepRecord]) -> Result<Vec<f32>, TrainError> {
        let mut scratch = vec![];
        for (slot, step) in steps.iter_mut().enumerate() {
            step.slot = slot as u32;
            let runs = self.runs_of_gradients(step, 0..self.micro_batches());
            self.run_on(0, &runs)?;
            self.with_gradients(&mut scratch, |_| Ok(()))?;
            self.update(step)?;
            self.put_parameters(&mut scratch, None)?;
        }
        self.losses_of(steps.len())
    }

    /// The parameters as the device or the host that updates them has them.
    pub(super) fn updating(&self) -> Option<&SetLayout> {
        let compiled = self.host.as_ref().map_or(&self.compiled, |host| &host.compiled);
        compiled.layout.sets.first()
    }

    /// Gives `change` the gradients of all parameters, and what it makes of them to the update; `scratch` is memory for it.
    pub(super) fn with_gradients(
        &mut self,
        scratch: &mut Vec<u32>,
        change: impl FnOnce(&mut [u32]) -> Result<(), TrainError>,
    ) -> Result<(), TrainError> {
        let (Some(place), Some(set)) = (self.gradients(), self.updating()) else { return Ok(()) };
        let (needed, of_update) = (set.needed.clone(), set.gradient_range());
        let Self { session, host, .. } = self;
        match (host, of_update) {
            (Some(host), Some(of_update)) => {
                changed(&mut *host.session, of_update, [0..0, needed], scratch, |words| {
                    session.read_into(place.buffer, place.start, words)?;
                    change(words)
                })
            }
            _ => changed(&mut **session, place, [0..place.words, needed], scratch, change),
        }
    }

    /// Updates the parameters with the gradients of a step, or this process's part of them.
    pub(super) fn update(&mut self, step: &StepRecord) -> Result<(), TrainError> {
        let Some(parameters) = self.parameters() else { return Ok(()) };
        let Some(host) = &mut self.host else {
            let (phase, _) = super::step(self.micro_batches(), true).pop().unwrap_or_default();
            let update = self.micro_batch(phase, step, 0);
            return Ok(self.session.run_all(&[update])?);
        };
        if let Some(set) = host.compiled.layout.sets.first().filter(|_| host.is_behind) {
            let own = &set.updated;
            let words = self.session.read(parameters.buffer, own.start, own.len())?;
            if let Some((_, first)) = set.parameters.first() {
                host.session.write(first.buffer, own.start, &words)?;
            }
            host.is_behind = false;
        }
        Ok(host.session.run_all(&[Run { phase: 0, step: *step }])?)
    }

    /// Puts updated parameters on the device: those that the host updated, and those of the other processes of `group`.
    pub(super) fn put_parameters(
        &mut self,
        scratch: &mut Vec<u32>,
        group: Option<&Group>,
    ) -> Result<(), TrainError> {
        let (Some(place), Some(set)) = (self.parameters(), self.updating().cloned()) else { return Ok(()) };
        let Self { session, host, .. } = self;
        if host.is_none() && set.parts.len() < 2 {
            return Ok(());
        }
        let own = set.updated;
        let read = if host.is_some() { 0..0 } else { own.clone() };
        changed(&mut **session, place, [read, 0..place.words], scratch, |words| {
            if let (Some(host), Some((_, first))) = (host, set.parameters.first()) {
                host.session.read_into(first.buffer, own.start, &mut words[own])?;
            }
            match group {
                Some(group) if set.parts.len() > 1 => Ok(group.share(words, &set.parts)?),
                _ => Ok(()),
            }
        })
    }

    /// All parameters on the device, with the padding of the last block.
    fn parameters(&self) -> Option<Slice> {
        let set = self.compiled.layout.sets.first()?;
        let (_, first) = set.parameters.first()?;
        Some(Slice { start: 0, words: set.words, ..*first })
    }
}
