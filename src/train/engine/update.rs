//! Updates of parameters beside the device's own: on the host, and in parts among several processes.

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

/// The words of parameters that are updated here.
fn updated(set: &SetLayout) -> Option<Slice> {
    let (_, first) = set.parameters.first()?;
    let part = &set.updated;
    Some(Slice { start: part.start, words: part.len(), ..*first })
}

impl Engine {
    /// The gradients of all parameters.
    pub(crate) fn gradients(&self) -> Option<Slice> {
        self.compiled.layout.sets.first()?.gradient_range()
    }

    /// The runs of the phases that compute the gradients of these micro-batches.
    pub(super) fn runs_of_gradients(&self, step: &StepRecord, of: std::ops::Range<usize>) -> Vec<Run> {
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
        let Some(gradients) = self.gradients() else { return Ok(0.0) };
        let clock = Instant::now();
        let mut values = self.session.read(gradients.buffer, gradients.start, gradients.words)?;
        if self.host.is_some() {
            self.update(step, &mut values, None)?;
        } else {
            self.session.write(gradients.buffer, gradients.start, &values)?;
            if let Some(all) =
                self.compiled.layout.sets.first().filter(|set| set.parts.len() > 1).and_then(updated)
            {
                let mut words = vec![0; gradients.words];
                self.session.read_into(all.buffer, all.start, &mut words[..all.words])?;
                self.session.write(gradients.buffer, gradients.start, &words)?;
            }
        }
        Ok(clock.elapsed().as_secs_f64())
    }

    /// Runs training steps whose updates the host computes; returns their losses.
    pub(super) fn train_with_host(&mut self, steps: &mut [StepRecord]) -> Result<Vec<f32>, TrainError> {
        let Some(gradients) = self.gradients() else { return Ok(vec![]) };
        let mut values = vec![0; gradients.words];
        for (slot, step) in steps.iter_mut().enumerate() {
            step.slot = slot as u32;
            let runs = self.runs_of_gradients(step, 0..self.micro_batches());
            self.run_on(0, &runs)?;
            self.session.read_into(gradients.buffer, gradients.start, &mut values)?;
            self.update(step, &mut values, None)?;
        }
        self.losses_of(steps.len())
    }

    /// Updates the parameters with the `gradients` of a step, whose memory is used further: this process its part of them,
    /// and those of `group` the others.
    pub(super) fn update(
        &mut self,
        step: &StepRecord,
        gradients: &mut [u32],
        group: Option<&Group>,
    ) -> Result<(), TrainError> {
        let Some(place) = self.gradients() else { return Ok(()) };
        let Some(all) = self.compiled.layout.sets.first().and_then(updated) else { return Ok(()) };
        let (layout, part) = match &mut self.host {
            None => {
                self.session.write(place.buffer, place.start, gradients)?;
                let (phase, _) = super::step(self.micro_batches(), true).pop().unwrap_or_default();
                let update = self.micro_batch(phase, step, 0);
                self.session.run_all(&[update])?;
                (&self.compiled.layout, all)
            }
            Some(host) => {
                let layout = &host.compiled.layout;
                let Some((set, own)) = layout.sets.first().and_then(|set| Some((set, updated(set)?))) else {
                    return Ok(());
                };
                if host.is_behind {
                    let words = self.session.read(all.buffer, own.start, own.words)?;
                    host.session.write(own.buffer, own.start, &words)?;
                    host.is_behind = false;
                }
                if let Some(place) = set.gradient_range() {
                    host.session.write(place.buffer, place.start, gradients)?;
                }
                host.session.run_all(&[Run { phase: 0, step: *step }])?;
                (layout, own)
            }
        };
        let parts = layout.sets.first().map(|set| set.parts.clone()).unwrap_or_default();
        if self.host.is_none() && parts.len() < 2 {
            return Ok(());
        }
        // The gradients are not needed any more.
        let parameters = gradients;
        let own = &mut parameters[part.start..part.start + part.words];
        match &mut self.host {
            None => self.session.read_into(part.buffer, part.start, own)?,
            Some(host) => host.session.read_into(part.buffer, part.start, own)?,
        }
        if let Some(group) = group.filter(|_| parts.len() > 1) {
            group.share(parameters, &parts)?;
        }
        Ok(self.session.write(all.buffer, 0, parameters)?)
    }
}
