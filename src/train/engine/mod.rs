//! A model on a device, with its data and parameters in place: runs steps and reads their results.
//!
//! `program` compiles the model's phases, `rows` puts rows on the device and `order` says which rows of a text follow each
//! other, `evaluation` predicts all evaluation rows, and `state` reads and sets weights and everything else that a checkpoint
//! keeps. `ranks` shares steps with other processes, `update` makes updates that the device does not make alone, and `awaited`
//! is for hosts that must not wait.

mod awaited;
mod evaluation;
mod feed;
mod order;
mod program;
mod ranks;
mod rows;
mod state;
mod training;
mod turns;
mod update;

use std::sync::Arc;

use super::TrainError;
use crate::base::order::Order;
use crate::base::step::StepRecord;
use crate::data::{Dataset, Members, Text};
use crate::device::{Device, DeviceError, Run, Session};
use crate::nn::model::{Model, ModelGraph};
use crate::nn::tensors::State;
use crate::optim::Optimizer;
use crate::plan::{Compiled, PlanError, Slice};

use feed::Feed;
pub(crate) use order::text_order;
use program::{Built, Streams};
pub use program::{Watched, compile, phases, step};
pub use ranks::dismiss;
pub use training::Training;
use update::Host;

/// A compiled model on a device.
pub struct Engine {
    /// The program and the locations of its contents.
    pub compiled: Compiled,
    session: Box<dyn Session>,
    /// The evaluation graph and, for training, the facts of the training graph.
    pub graph: ModelGraph,
    /// Rows per training step, and the number of micro-batches it is split into.
    training: Option<(usize, usize)>,
    evaluation: usize,
    evaluation_rows: usize,
    evaluation_batch: usize,
    /// Position of each evaluation row in the results.
    positions: Vec<usize>,
    /// Values per prediction.
    outputs: usize,
    quantiles: Vec<f64>,
    truth: Vec<f64>,
    weights: Vec<f64>,
    /// The output that says how much a row counts.
    weighing: Option<usize>,
    members: Option<Arc<Members>>,
    /// Number of predicted characters of the evaluation rows, for texts.
    characters: Option<usize>,
    /// First stored row of each sample, by data set; empty where each sample is one row.
    starts: Vec<Vec<u32>>,
    optimizer: Option<Optimizer>,
    /// Recurrent states carried from batch to batch, in training and in evaluation.
    carried: [Vec<State>; 2],
    /// The turns of a training step, if the model's parts are trained against each other.
    turns: Vec<turns::Played>,
    opponent_losses: Vec<f32>,
    /// The rows of each data set that are not all on the device.
    feeds: Vec<Option<Feed>>,
    /// The ranges in which features count, by data set.
    bounds: Vec<feed::Bounds>,
    /// The other processes that share its steps.
    ranks: Option<ranks::Ranks>,
    /// The CPU, if it updates the parameters and keeps the optimizer's state.
    host: Option<Host>,
}

impl Engine {
    /// Compiles the model, loads it and uploads the data; parameters are not yet set.
    ///
    /// # Errors
    /// If the model does not fit, or the device fails.
    pub fn new(
        device: &dyn Device,
        model: &dyn Model,
        training: Option<&Training>,
        evaluation: &Dataset,
    ) -> Result<Self, TrainError> {
        Self::watching(device, model, training, evaluation, &|_| vec![])
    }

    /// A text generator: it reads one symbol of `alphabet` per row at a time ([`Engine::go_on`]), or the sequences
    /// that take its place ([`Engine::replace`]).
    ///
    /// # Errors
    /// As [`Engine::new`].
    pub fn generating(
        device: &dyn Device,
        model: &dyn Model,
        alphabet: &Dataset,
    ) -> Result<Self, TrainError> {
        let mut engine = Self::new(device, model, None, alphabet)?;
        engine.begin_anew(1)?;
        Ok(engine)
    }

    /// Like [`Engine::new`], for running single training steps whose `watched` values are kept.
    ///
    /// # Errors
    /// As [`Engine::new`].
    pub fn watching(
        device: &dyn Device,
        model: &dyn Model,
        training: Option<&Training>,
        evaluation: &Dataset,
        watched: &Watched,
    ) -> Result<Self, TrainError> {
        let first = Streams::of(training, evaluation);
        let load = |streams| {
            let built =
                program::compile_watching(model, training, evaluation, device.target(), watched, streams)?;
            let session = device.load(&built.compiled.program)?;
            Ok::<_, TrainError>((built, session))
        };
        let all = Streams::all(model, training, evaluation);
        let loaded = match load(first) {
            // There may be room for the model, if not for all rows.
            Err(error) if is_short(&error) && all != first => load(all).map_err(|_| error),
            loaded => loaded,
        };
        let (Built { compiled, graph, carried, evaluation_batch, turns, sent }, session) = loaded?;
        let evaluation_phase = compiled.program.phases.len() - 1;
        let outputs = graph.graph.ty(graph.predictions).elements() / evaluation_batch;
        let order: Vec<Option<u32>> = match &evaluation.text {
            Some(_) => order::streams(evaluation.rows, evaluation_batch),
            None => (0..evaluation.rows as u32).map(Some).collect(),
        };
        let mut places: Vec<(u32, usize)> =
            order.iter().enumerate().filter_map(|(place, row)| Some(((*row)?, place))).collect();
        places.order();
        let mut engine = Self {
            session,
            graph,
            training: training.map(|t| (t.batch, t.accumulate.max(1))),
            evaluation: evaluation_phase,
            evaluation_rows: evaluation.rows,
            evaluation_batch,
            positions: places.into_iter().map(|(_, place)| place).collect(),
            outputs,
            quantiles: model.quantiles().to_vec(),
            truth: evaluation.truth(),
            weights: evaluation.weights.clone(),
            weighing: model.weighs_rows(),
            members: evaluation.windows.as_ref().map(|w| w.members.clone()),
            characters: evaluation.text.as_ref().map(Text::predicted),
            starts: training.map(|t| t.data).into_iter().chain([evaluation]).map(feed::starts).collect(),
            optimizer: training.map(|t| t.optimizer.clone()),
            carried,
            turns: turns::played(&turns),
            opponent_losses: vec![],
            feeds: vec![],
            bounds: training.map(|t| t.data.bounds).into_iter().chain([evaluation.bounds]).collect(),
            ranks: None,
            host: compiled
                .update
                .clone()
                .map(|update| Host::new(*update, device.target().exact))
                .transpose()?,
            compiled,
        };
        for (slice, words) in engine.compiled.layout.constants.clone() {
            engine.session.write(slice.buffer, slice.start, &words)?;
        }
        let sets = training.map(|t| t.data).into_iter().chain([evaluation]);
        for (at, (data, sent)) in sets.zip(sent).enumerate() {
            match sent {
                Some((spec, sent)) => {
                    engine.feeds.push(Some(Feed::new(data, &spec, sent)));
                    engine.number_places(at)?;
                }
                None => {
                    engine.feeds.push(None);
                    engine.upload(at, data)?;
                }
            }
        }
        let at = engine.compiled.layout.data.len() - 1;
        let mut order: Vec<u32> = order.into_iter().map(Option::unwrap_or_default).collect();
        // What fills the last batch.
        order.resize(order.len().next_multiple_of(evaluation_batch), 0);
        engine.set_order(at, &order)?;
        Ok(engine)
    }

    /// The device session, for counters and profiles.
    pub fn session(&mut self) -> &mut dyn Session {
        &mut *self.session
    }

    /// Loss slots of the training phase: the maximum number of steps per [`Engine::train`] call.
    pub fn loss_slots(&self) -> usize {
        if let Some(slots) = self.slots_of_turns() {
            return slots;
        }
        self.losses().map_or(1, |place| place.words / self.micro_batches())
    }

    /// The place of the losses of micro-batches.
    fn losses(&self) -> Option<Slice> {
        let phase = self.compiled.layout.phases.get(program::pass(self.micro_batches()))?;
        phase.result("loss").map(|result| result.slice)
    }

    /// Micro-batches per training step.
    fn micro_batches(&self) -> usize {
        self.training.map_or(1, |(_, accumulate)| accumulate)
    }

    /// Kernels per training step.
    pub fn kernels_per_step(&self) -> usize {
        let phases = &self.compiled.program.phases;
        self.step().iter().map(|&(phase, times)| times * phases[phase].dispatches.len()).sum()
    }

    /// Runs training steps (this sets their slots) and returns their losses.
    ///
    /// # Errors
    /// If the device fails.
    pub fn train(&mut self, steps: &mut [StepRecord]) -> Result<Vec<f32>, TrainError> {
        let Some((batch, _)) = self.training else { return Ok(vec![]) };
        debug_assert!(steps.iter().all(|s| s.batch_start % batch as u32 == 0), "batches do not overlap");
        if let Some(ranks) = self.ranks.clone() {
            return self.train_shared(&ranks, steps);
        }
        if self.host.is_some() {
            return self.train_with_host(steps);
        }
        self.enqueue(steps)?;
        self.losses_of(steps.len())
    }

    /// Runs training steps (this sets their slots) without waiting for them.
    fn enqueue(&mut self, steps: &mut [StepRecord]) -> Result<(), TrainError> {
        let runs = if self.plays() {
            self.runs_of_turns(steps)
        } else {
            let phases = step(self.micro_batches(), true);
            let mut runs = vec![];
            for (slot, step) in steps.iter_mut().enumerate() {
                step.slot = slot as u32;
                for &(phase, times) in &phases {
                    runs.extend((0..times).map(|at| self.micro_batch(phase, step, at)));
                }
            }
            runs
        };
        self.run_on(0, &runs)
    }

    /// The losses of the `count` steps that ran last.
    fn losses_of(&mut self, count: usize) -> Result<Vec<f32>, TrainError> {
        if self.plays() {
            return self.losses_of_turns(count);
        }
        let micro_batches = self.micro_batches();
        let Some(losses) = self.losses() else { return Ok(vec![]) };
        let words = self.session.read(losses.buffer, losses.start, count * micro_batches)?;
        Ok(words.chunks(micro_batches).map(mean).collect())
    }

    /// The run of a phase for micro-batch `at` of a step, whose slot is among those of steps.
    fn micro_batch(&self, phase: usize, step: &StepRecord, at: usize) -> Run {
        let (batch, micro_batches) = self.training.unwrap_or((0, 1));
        let step = StepRecord {
            batch_start: step.batch_start + (at * (batch / micro_batches)) as u32,
            slot: step.slot * micro_batches as u32 + at as u32,
            micro_batch: at as u32,
            ..*step
        };
        Run { phase, step }
    }

    /// Results that the first training step kept of micro-batch `micro_batch`, by name.
    ///
    /// # Errors
    /// If the device fails.
    pub fn results(&mut self, micro_batch: usize) -> Result<Vec<(String, Vec<f32>)>, TrainError> {
        let mut results = vec![];
        let phase = program::pass(self.micro_batches());
        for result in self.compiled.layout.phases[phase].results.clone() {
            let start = result.slice.start + micro_batch * result.words;
            let words = self.session.read(result.slice.buffer, start, result.words)?;
            results.push((result.name, words.into_iter().map(f32::from_bits).collect()));
        }
        Ok(results)
    }

    /// Runs one evaluation batch of these rows, starting from the final states of the previous batch, and
    /// returns its predictions.
    ///
    /// # Errors
    /// If the device fails.
    pub fn go_on(&mut self, rows: &[u32]) -> Result<Vec<f32>, TrainError> {
        let at = self.compiled.layout.data.len() - 1;
        match &mut self.feeds[at] {
            Some(feed) => {
                feed.put(&mut *self.session, &self.compiled.layout.data[at], rows, &self.bounds[at])?;
            }
            None => self.set_order(at, rows)?,
        }
        self.session.run(self.evaluation, &[StepRecord::default()])?;
        let slice = self.compiled.layout.phases[self.evaluation].results[0].slice;
        let words = self.session.read(slice.buffer, slice.start, self.evaluation_batch * self.outputs)?;
        Ok(words.into_iter().map(f32::from_bits).collect())
    }

    /// The optimizer scalars of step `step` (from 1).
    pub fn optimizer_scalars(&self, step: u64) -> [f32; 4] {
        self.optimizer.as_ref().map_or([0.0; 4], |o| o.scalars(step))
    }
}

/// The loss of a step from those of its micro-batches.
fn mean(losses: &[u32]) -> f32 {
    match losses {
        [only] => f32::from_bits(*only),
        _ => {
            let sum: f64 = losses.iter().map(|&word| f64::from(f32::from_bits(word))).sum();
            (sum / losses.len() as f64) as f32
        }
    }
}

/// Whether an error is one of want of room.
fn is_short(error: &TrainError) -> bool {
    use DeviceError::{HostMemory, Limit, OutOfMemory};
    let of_device =
        |error: &DeviceError| matches!(error, OutOfMemory { .. } | HostMemory { .. } | Limit { .. });
    match error {
        TrainError::Plan(PlanError::TooLarge { .. }) => true,
        TrainError::Device(error) => of_device(error),
        _ => false,
    }
}
