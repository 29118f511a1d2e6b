//! Training steps of models whose parts are trained against each other, such as an adversarial pair.
//!
//! Each turn is a phase of the one program, with the set of parameters that it trains: so the parts share their
//! buffers and the memory of intermediate values, each update has the learning rate and the step number of its own
//! optimizer, and a turn that comes several times in a step is compiled once.

use super::training::{LOSS_SLOTS, TRAINING, Training, entry};
use super::{Engine, mean};
use crate::base::step::StepRecord;
use crate::device::Run;
use crate::nn::model::{Opponent, Turn};
use crate::nn::tensors::Parameter;
use crate::optim::Decay;
use crate::plan::{Batches, Gradients, OptimizerSpec, ParameterSet, PassSpec, PhaseSpec, Slice, UpdateSpec};
use crate::scalar::{BinaryFn, Body, Inst};
use crate::train::TrainError;

/// What the engine keeps of a turn.
pub(super) struct Played {
    name: &'static str,
    times: usize,
    has_loss: bool,
    opponent: Option<Opponent>,
}

/// The facts of `turns` that running them takes.
pub(super) fn played(turns: &[Turn]) -> Vec<Played> {
    let of = |turn: &Turn| Played {
        name: turn.name,
        times: turn.times,
        has_loss: turn.loss.is_some(),
        opponent: turn.opponent.clone(),
    };
    turns.iter().map(of).collect()
}

/// One phase for each turn.
pub(super) fn phases<'g>(t: &Training, turns: &'g [Turn]) -> Vec<PhaseSpec<'g>> {
    let batches = turns.iter().map(|turn| turn.times).max().unwrap_or(1).max(1);
    let steps = (t.data.rows / (t.batch * batches)).clamp(1, (LOSS_SLOTS / batches).max(1));
    let phase = |turn: &'g Turn| {
        let pass = PassSpec {
            graph: &turn.graph,
            batch: t.batch,
            batches: Batches::Of(TRAINING.into()),
            augment: t.augment(),
            slots: steps * turn.times,
            results: turn.loss.iter().map(|&loss| ("loss".into(), loss)).collect(),
            gradients: turn.gradients.clone(),
            into: Gradients::Replace,
            states: turn.updates.clone(),
        };
        let norm = turn.opponent.as_ref().map_or(t.clip_norm, |opponent| opponent.clip_norm);
        let update =
            turn.loss.map(|_| UpdateSpec { set: turn.name.into(), max_norm: norm.map(|n| n as f32) });
        PhaseSpec { name: turn.name.into(), pass: Some(pass), update, ..PhaseSpec::default() }
    };
    turns.iter().map(phase).collect()
}

/// The parameters of each turn that trains some.
pub(super) fn sets(t: &Training, turns: &[Turn], parameters: &[Parameter]) -> Vec<ParameterSet> {
    let set = |turn: &Turn| {
        let (optimizer, bound) = match &turn.opponent {
            Some(opponent) => (&opponent.optimizer, opponent.bound),
            None => (&t.optimizer, None),
        };
        let own = |p: &&Parameter| turn.gradients.iter().any(|(name, _)| *name == p.name);
        let decays = |p: &Parameter| p.decay || t.decay == Decay::All;
        ParameterSet {
            name: turn.name.into(),
            parameters: parameters.iter().filter(own).map(|p| entry(&p.name, &p.shape, decays(p))).collect(),
            optimizer: Some(match bound {
                Some(bound) => OptimizerSpec {
                    body: bounded(optimizer.body(), bound as f32),
                    ..OptimizerSpec::of(optimizer)
                },
                None => OptimizerSpec::of(optimizer),
            }),
        }
    };
    turns.iter().filter(|turn| turn.loss.is_some()).map(set).collect()
}

/// The update rule `body`, whose result is kept in `-bound..=bound`.
fn bounded(mut body: Body, bound: f32) -> Body {
    for at in 0..body.stores.len() {
        if let (new, 0) = body.stores[at] {
            let [least, most] = [-bound, bound].map(|b| body.constant(b));
            let above = body.push(Inst::Binary(BinaryFn::Max, new, least));
            let within = body.push(Inst::Binary(BinaryFn::Min, above, most));
            body.stores[at].0 = within;
        }
    }
    body
}

impl Engine {
    /// Returns the losses of the last turn that has one in the `count` steps that ran last, and keeps those of the
    /// other for [`Engine::opponent_losses`].
    pub(super) fn losses_of_turns(&mut self, count: usize) -> Result<Vec<f32>, TrainError> {
        let mut found = vec![];
        for (times, slice) in self.places_of_turns(count) {
            let words = self.session.read(slice.buffer, slice.start, slice.words)?;
            found.push(words.chunks(times).map(mean).collect::<Vec<f32>>());
        }
        let last = found.pop().unwrap_or_default();
        self.opponent_losses = found.pop().unwrap_or_default();
        Ok(last)
    }

    /// Runs training steps without reading their losses, and waits for them; they may be more than have places for
    /// losses.
    ///
    /// # Errors
    /// If the device fails.
    pub(crate) fn run_steps(&mut self, steps: &mut [StepRecord]) -> Result<(), TrainError> {
        if self.plays() {
            for steps in steps.chunks_mut(self.loss_slots()) {
                let runs = self.runs_of_turns(steps);
                self.run_on(0, &runs)?;
            }
        } else {
            let runs: Vec<Run> = steps.iter().map(|&step| Run { phase: 0, step }).collect();
            self.run_on(0, &runs)?;
        }
        Ok(self.session.wait()?)
    }

    /// How often each turn that has a loss is in a step, and where its losses of `count` steps are.
    pub(super) fn places_of_turns(&self, count: usize) -> Vec<(usize, Slice)> {
        let place = |(phase, turn): (usize, &Played)| {
            let result = self.compiled.layout.phases[phase].result("loss")?;
            let words = count * turn.times;
            turn.has_loss.then_some((turn.times, Slice { words, ..result.slice }))
        };
        self.turns.iter().enumerate().filter_map(place).collect()
    }

    /// The runs of steps, turn by turn.
    pub(super) fn runs_of_turns(&self, steps: &mut [StepRecord]) -> Vec<Run> {
        let batch = self.training.map_or(0, |(batch, _)| batch);
        let mut runs = vec![];
        for (slot, step) in steps.iter_mut().enumerate() {
            step.slot = slot as u32;
            // Every run of a step has random numbers of its own.
            let mut number = 0;
            let mut start = step.batch_start;
            for (phase, turn) in self.turns.iter().enumerate() {
                for at in 0..turn.times {
                    start =
                        if turn.opponent.is_some() { step.batch_start + (at * batch) as u32 } else { start };
                    let own = StepRecord {
                        batch_start: start,
                        slot: (slot * turn.times + at) as u32,
                        micro_batch: number,
                        ..turn.record(step, at)
                    };
                    runs.push(Run { phase, step: own });
                    number += 1;
                }
            }
        }
        runs
    }

    /// Losses of the discriminator in the last [`Engine::train`] call, the mean over its turns of each step; empty
    /// for other models.
    pub fn opponent_losses(&self) -> &[f32] {
        &self.opponent_losses
    }

    /// The phases of a training step, and how often each runs.
    pub fn step(&self) -> Vec<(usize, usize)> {
        match self.turns.is_empty() {
            true => super::step(self.micro_batches(), self.host.is_none()),
            false => self.turns.iter().map(|turn| turn.times).enumerate().collect(),
        }
    }

    /// Whether parts of the model are trained in turns.
    pub fn plays(&self) -> bool {
        !self.turns.is_empty()
    }

    /// Losses of steps that fit the device.
    pub(super) fn slots_of_turns(&self) -> Option<usize> {
        let phase = self.turns.iter().position(|turn| turn.has_loss)?;
        let words = self.compiled.layout.phases[phase].result("loss")?.slice.words;
        Some(words / self.turns[phase].times.max(1))
    }
}

impl Played {
    /// The record of run `at` of this turn in a step.
    fn record(&self, step: &StepRecord, at: usize) -> StepRecord {
        let Some(opponent) = &self.opponent else { return *step };
        let before = u64::from(step.step.saturating_sub(1)) * self.times as u64;
        StepRecord {
            learning_rate: (f64::from(step.learning_rate) * opponent.rate) as f32,
            optimizer: opponent.optimizer.scalars(before + at as u64 + 1),
            ..*step
        }
    }
}

impl std::fmt::Debug for Played {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} x {}", self.times, self.name)
    }
}
