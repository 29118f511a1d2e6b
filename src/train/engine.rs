//! A model on a device: its phases compiled into one program, its data and parameters in place.

use std::borrow::Cow;

use super::TrainError;
use super::checkpoint::NamedTensor;
use super::metrics::Predictions;
use crate::data::Dataset;
use crate::device::{Device, Session};
use crate::graph::ValueId;
use crate::nn::model::{self, Model, ModelGraph, State};
use crate::optim::Optimizer;
use crate::plan::{
    self, Augmentation, Compiled, DataColumn, DataSpec, Entry, ImageChanges, OptimizerSpec, PhaseSpec,
    PlanError, ProgramSpec, Slice,
};
use crate::rng::streams;
use crate::scalar::StepRecord;

/// Rows of an evaluation batch, where they fit; else a half of it, and so on.
const EVALUATION_BATCH: usize = 512;
/// Most places of a text that are evaluated side by side.
const EVALUATION_STREAMS: usize = 32;
/// Least rows of a text from each of these places on: its first characters come without what was before them.
const ROWS_OF_A_STREAM: usize = 16;
/// Steps whose losses are kept on the device before the host reads them.
const LOSS_SLOTS: usize = 4096;

/// What the training phase needs besides the model.
pub struct Training<'a> {
    /// Training rows.
    pub data: &'a Dataset,
    /// Rows of a step.
    pub batch: usize,
    /// Standard deviation of the noise on features.
    pub noise: f64,
    /// Random changes of images.
    pub images: Option<&'a ImageChanges>,
    /// Update rule.
    pub optimizer: Optimizer,
    /// Largest gradient norm.
    pub clip_norm: Option<f64>,
}

/// A compiled model on a device.
pub struct Engine {
    /// The program and where its contents lie.
    pub compiled: Compiled,
    session: Box<dyn Session>,
    /// The evaluation graph and, if it trains, the training graph's facts.
    pub graph: ModelGraph,
    training: Option<usize>,
    evaluation: usize,
    evaluation_rows: usize,
    evaluation_batch: usize,
    /// Where in the results each evaluation row is.
    positions: Vec<usize>,
    /// Values of a row's prediction.
    outputs: usize,
    truth: Vec<f64>,
    /// First stored row of each sample, by data set; empty where a sample is a row.
    starts: Vec<Vec<u32>>,
    optimizer: Option<Optimizer>,
    /// States of recurrent layers that go on from batch to batch: of training, and of evaluation.
    carried: [Vec<State>; 2],
}

/// Values of the training graph that are kept besides the loss.
pub type Watched<'a> = dyn Fn(&ModelGraph) -> Vec<(String, ValueId)> + 'a;

/// The program of a model: phase 0 trains if `training` is given, the last phase evaluates `evaluation`.
///
/// # Errors
/// If the layers do not fit together or the program does not fit the target.
pub fn compile(
    model: &Model,
    training: Option<&Training>,
    evaluation: &Dataset,
    target: &crate::device::Target,
) -> Result<(Compiled, ModelGraph), TrainError> {
    let built = compile_watching(model, training, evaluation, target, &|_| vec![])?;
    Ok((built.compiled, built.graph))
}

/// What [`compile`] gives, and more.
struct Built {
    compiled: Compiled,
    graph: ModelGraph,
    /// The carried states of training and evaluation.
    carried: [Vec<State>; 2],
    evaluation_batch: usize,
}

/// As [`compile`]; with `watched` values, training keeps the results of one step alone.
fn compile_watching(
    model: &Model,
    training: Option<&Training>,
    evaluation: &Dataset,
    target: &crate::device::Target,
    watched: &Watched,
) -> Result<Built, TrainError> {
    let mut batch = batch_of(model, evaluation);
    let mut first = None;
    loop {
        match compile_batches(model, training, evaluation, batch, target, watched) {
            Ok(built) => return Ok(built),
            // Places of a text stay as many.
            Err(error @ TrainError::Plan(PlanError::TooLarge { .. }))
                if batch > 1 && evaluation.text.is_none() =>
            {
                first.get_or_insert(error);
                batch /= 2;
            }
            // What does not fit whatever the batch is told as it was at first.
            Err(error) => return Err(first.unwrap_or(error)),
        }
    }
}

/// As [`compile_watching`], for evaluation batches of `evaluation_batch` rows.
fn compile_batches(
    model: &Model,
    training: Option<&Training>,
    evaluation: &Dataset,
    evaluation_batch: usize,
    target: &crate::device::Target,
    watched: &Watched,
) -> Result<Built, TrainError> {
    let evaluating = model.graph(evaluation_batch, false)?;
    let trained = training.map(|t| model.graph(t.batch, true)).transpose()?;
    let mut data = vec![];
    let mut phases = vec![];
    if let (Some(t), Some(graph)) = (training, &trained) {
        data.push(data_spec("training", t.data, t.data.rows.next_multiple_of(t.batch)));
        let watched = watched(graph);
        let slots = if watched.is_empty() { t.data.rows / t.batch } else { 1 };
        let changed = (t.noise > 0.0 || t.images.is_some()) && !t.data.features.is_empty();
        let change = Augmentation {
            column: model::X.into(),
            deviation: t.noise as f32,
            stream: streams::NOISE,
            images: t.images.cloned(),
        };
        phases.push(PhaseSpec {
            name: "train".into(),
            graph: &graph.graph,
            batch: t.batch,
            data: 0,
            augment: if changed { vec![change] } else { vec![] },
            slots: slots.clamp(1, LOSS_SLOTS),
            results: std::iter::once(("loss".into(), graph.loss)).chain(watched).collect(),
            gradients: graph.gradients.clone(),
            updates: graph.updates.clone(),
        });
    }
    let batches = evaluation.rows.div_ceil(evaluation_batch);
    let mut results =
        vec![("predictions".into(), evaluating.predictions), ("losses".into(), evaluating.loss_rows)];
    results.extend(evaluating.parts.iter().map(|(name, value)| (name.to_string(), *value)));
    data.push(data_spec("evaluation", evaluation, (batches * evaluation_batch).max(1)));
    phases.push(PhaseSpec {
        name: "evaluate".into(),
        graph: &evaluating.graph,
        batch: evaluation_batch,
        data: data.len() - 1,
        augment: vec![],
        slots: batches.max(1),
        results,
        gradients: vec![],
        updates: evaluating.updates.clone(),
    });
    let entry = |name: &String, shape: &[usize], decay| Entry {
        name: name.clone(),
        words: shape.iter().product(),
        decay,
    };
    let spec = ProgramSpec {
        parameters: evaluating.parameters.iter().map(|p| entry(&p.name, &p.shape, p.decay)).collect(),
        states: evaluating
            .states
            .iter()
            .chain(trained.iter().flat_map(|t| &t.carried))
            .chain(&evaluating.carried)
            .map(|s| entry(&s.name, &s.shape, false))
            .collect(),
        optimizer: training.map(|t| OptimizerSpec {
            slots: t.optimizer.slots(),
            body: t.optimizer.body(),
            max_norm: t.clip_norm.map(|n| n as f32),
        }),
        data,
        phases,
    };
    let compiled = plan::compile(&spec, target)?;
    let carried = [trained.map(|t| t.carried).unwrap_or_default(), evaluating.carried.clone()];
    Ok(Built { compiled, graph: evaluating, carried, evaluation_batch })
}

/// Rows of an evaluation batch.
fn batch_of(model: &Model, evaluation: &Dataset) -> usize {
    match evaluation.text {
        // All texts that are written, side by side.
        Some(_) if model.generates => evaluation.rows,
        Some(_) => (evaluation.rows / ROWS_OF_A_STREAM).clamp(1, EVALUATION_STREAMS),
        None => evaluation.rows.clamp(1, EVALUATION_BATCH),
    }
}

/// The rows of a data set as batches of `batch` rows, each row of a batch being followed in the next one by the row after
/// it. `None` stands where a stream has ended before others.
fn streams(rows: usize, batch: usize) -> Vec<Option<u32>> {
    let steps = rows.div_ceil(batch);
    let row = |at: usize| at % batch * steps + at / batch;
    (0..steps * batch).map(|at| Some(row(at)).filter(|&row| row < rows).map(|row| row as u32)).collect()
}

fn data_spec(name: &str, data: &Dataset, order: usize) -> DataSpec {
    if let Some(text) = &data.text {
        let length = text.length;
        // What is predicted is the same text, one symbol further on.
        let next = DataColumn { offset: 1, of: Some(model::X.into()), ..DataColumn::rows(model::Y, length) };
        let columns = vec![DataColumn::rows(model::X, length), next];
        let rows = text.symbols.len().saturating_sub(1) / length.max(1);
        return DataSpec { name: name.into(), rows: rows.max(1), order, columns };
    }
    let mut columns = vec![];
    let windows = data.windows.as_ref();
    if !data.features.is_empty() {
        let stride = data.features.len();
        columns.push(DataColumn { stride, ..DataColumn::rows(model::X, data.width()) });
    }
    columns.extend(data.categories.iter().map(|c| DataColumn::rows(model::category_source(&c.name), 1)));
    columns.push(windows.map_or_else(
        || DataColumn::rows(model::Y, 1),
        |w| DataColumn {
            stride: w.targets,
            offset: w.first_target * w.targets,
            ..DataColumn::rows(model::Y, w.outputs())
        },
    ));
    // Each start of a window is a row of its own, though windows share most of their words.
    let rows = windows.map_or(data.rows, |w| (w.stored + 1).saturating_sub(w.span()));
    DataSpec { name: name.into(), rows: rows.max(1), order, columns }
}

impl Engine {
    /// Compiles the model, loads it and uploads the data; parameters are not set yet.
    ///
    /// # Errors
    /// If the model does not fit, or the device fails.
    pub fn new(
        device: &dyn Device,
        model: &Model,
        training: Option<&Training>,
        evaluation: &Dataset,
    ) -> Result<Self, TrainError> {
        Self::watching(device, model, training, evaluation, &|_| vec![])
    }

    /// A generator of text, which reads one symbol of `alphabet` a row at a time ([`Engine::go_on`]).
    ///
    /// # Errors
    /// As [`Engine::new`].
    pub fn generating(device: &dyn Device, model: &Model, alphabet: &Dataset) -> Result<Self, TrainError> {
        let mut engine = Self::new(device, model, None, alphabet)?;
        engine.begin_anew(1)?;
        Ok(engine)
    }

    /// As [`Engine::new`], to run single training steps whose `watched` values are kept.
    ///
    /// # Errors
    /// As [`Engine::new`].
    pub fn watching(
        device: &dyn Device,
        model: &Model,
        training: Option<&Training>,
        evaluation: &Dataset,
        watched: &Watched,
    ) -> Result<Self, TrainError> {
        let Built { compiled, graph, carried, evaluation_batch } =
            compile_watching(model, training, evaluation, device.target(), watched)?;
        let session = device.load(&compiled.program)?;
        let evaluation_phase = compiled.program.phases.len() - 1;
        let outputs = graph.graph.ty(graph.predictions).elements() / evaluation_batch;
        let order: Vec<Option<u32>> = match &evaluation.text {
            Some(_) => streams(evaluation.rows, evaluation_batch),
            None => (0..evaluation.rows as u32).map(Some).collect(),
        };
        let mut places: Vec<(u32, usize)> =
            order.iter().enumerate().filter_map(|(place, row)| Some(((*row)?, place))).collect();
        places.sort_unstable();
        let mut engine = Self {
            session,
            graph,
            training: training.map(|t| t.batch),
            evaluation: evaluation_phase,
            evaluation_rows: evaluation.rows,
            evaluation_batch,
            positions: places.into_iter().map(|(_, place)| place).collect(),
            outputs,
            truth: evaluation.truth(),
            starts: training.map(|t| t.data).into_iter().chain([evaluation]).map(starts).collect(),
            optimizer: training.map(|t| t.optimizer.clone()),
            carried,
            compiled,
        };
        for (slice, words) in engine.compiled.layout.constants.clone() {
            engine.session.write(slice.buffer, slice.start, &words)?;
        }
        if let Some(training) = training {
            engine.upload(0, training.data)?;
        }
        let at = engine.compiled.layout.data.len() - 1;
        engine.upload(at, evaluation)?;
        let order: Vec<u32> = order.into_iter().map(Option::unwrap_or_default).collect();
        engine.set_order(at, &order)?;
        Ok(engine)
    }

    /// The device session, for counters and profiles.
    pub fn session(&mut self) -> &mut dyn Session {
        &mut *self.session
    }

    fn upload(&mut self, at: usize, data: &Dataset) -> Result<(), TrainError> {
        for (name, slice) in self.compiled.layout.data[at].columns.clone() {
            let column = data.categories.iter().find(|c| model::category_source(&c.name) == name);
            let words: Cow<[u32]> = match &data.target {
                // By far the largest block: not copied once more.
                _ if name == model::X => match &data.text {
                    Some(text) => Cow::Borrowed(&text.symbols[..]),
                    None => Cow::Borrowed(bytemuck::cast_slice(&data.x)),
                },
                // What is predicted of a text lies in the same words.
                _ if data.text.is_some() => continue,
                Some(target) if name == model::Y => target.words().into(),
                _ => column.map_or_else(Cow::default, |c| Cow::Borrowed(&c.ids[..])),
            };
            // The last stored rows are of no window's past: only what windows reach has a place on the device.
            self.session.write(slice.buffer, slice.start, &words[..words.len().min(slice.words)])?;
        }
        Ok(())
    }

    /// Sets the order of the samples of data set `at`; entries beyond `order` stay 0.
    ///
    /// # Errors
    /// If the device fails.
    pub fn set_order(&mut self, at: usize, order: &[u32]) -> Result<(), TrainError> {
        if let Some(slice) = self.compiled.layout.data[at].order {
            let order = &order[..order.len().min(slice.words)];
            let starts = &self.starts[at];
            let rows: Vec<u32> =
                order.iter().map(|&i| starts.get(i as usize).copied().unwrap_or(i)).collect();
            self.session.write(slice.buffer, slice.start, &rows)?;
        }
        Ok(())
    }

    /// Loss slots of the training phase: most steps one [`Engine::train`] call may run.
    pub fn loss_slots(&self) -> usize {
        let loss = self.compiled.layout.results.first().and_then(|r| r.first());
        loss.map_or(1, |r| r.slice.words / r.words)
    }

    /// Runs training steps (their slots are set here) and gives their losses.
    ///
    /// # Errors
    /// If the device fails.
    pub fn train(&mut self, steps: &mut [StepRecord]) -> Result<Vec<f32>, TrainError> {
        let batch = self.training.unwrap_or(1) as u32;
        debug_assert!(steps.iter().all(|s| s.batch_start % batch == 0), "batches do not overlap");
        for (slot, step) in steps.iter_mut().enumerate() {
            step.slot = slot as u32;
        }
        self.session.run(0, steps)?;
        let loss = self.compiled.layout.results[0][0].slice;
        let words = self.session.read(loss.buffer, loss.start, steps.len())?;
        Ok(words.into_iter().map(f32::from_bits).collect())
    }

    /// What phase `phase` kept of its first step, by name.
    ///
    /// # Errors
    /// If the device fails.
    pub fn results(&mut self, phase: usize) -> Result<Vec<(String, Vec<f32>)>, TrainError> {
        let mut results = vec![];
        for result in self.compiled.layout.results[phase].clone() {
            let words = self.session.read(result.slice.buffer, result.slice.start, result.words)?;
            results.push((result.name, words.into_iter().map(f32::from_bits).collect()));
        }
        Ok(results)
    }

    /// Evaluates the evaluation rows.
    ///
    /// # Errors
    /// If the device fails.
    pub fn evaluate(&mut self) -> Result<Predictions, TrainError> {
        self.evaluate_draw(0)
    }

    /// Evaluates the evaluation rows with random numbers of their own for each `draw`, if the model draws any.
    ///
    /// # Errors
    /// If the device fails.
    pub fn evaluate_draw(&mut self, draw: u32) -> Result<Predictions, TrainError> {
        self.begin_anew(1)?;
        let batches = self.evaluation_rows.div_ceil(self.evaluation_batch);
        let record = |slot: usize| StepRecord {
            batch_start: (slot * self.evaluation_batch) as u32,
            slot: slot as u32,
            step: slot as u32,
            seed_low: draw,
            ..StepRecord::default()
        };
        let steps: Vec<StepRecord> = (0..batches).map(record).collect();
        self.session.run(self.evaluation, &steps)?;
        let results = self.compiled.layout.results[self.evaluation].clone();
        let places = self.positions.iter().max().map_or(0, |last| last + 1);
        // The values of each row, in the order of the rows.
        let mut read = |at: usize, width: usize| -> Result<Vec<f32>, TrainError> {
            let slice: Slice = results[at].slice;
            let words = self.session.read(slice.buffer, slice.start, places * width)?;
            let row = |&place: &usize| words[place * width..(place + 1) * width].iter();
            Ok(self.positions.iter().flat_map(row).map(|&word| f32::from_bits(word)).collect())
        };
        let raw = read(0, self.outputs)?;
        let losses = read(1, 1)?;
        let names = self.graph.parts.iter().map(|(name, _)| *name).enumerate();
        let parts: Result<Vec<_>, TrainError> =
            names.map(|(at, name)| Ok((name, read(2 + at, 1)?))).collect();
        Ok(Predictions { raw, outputs: self.outputs, truth: self.truth.clone(), losses, parts: parts? })
    }

    /// Runs one evaluation batch of these rows, going on from the states that the batch before ended with, and gives its
    /// predictions.
    ///
    /// # Errors
    /// If the device fails.
    pub fn go_on(&mut self, rows: &[u32]) -> Result<Vec<f32>, TrainError> {
        let at = self.compiled.layout.data.len() - 1;
        self.set_order(at, rows)?;
        self.session.run(self.evaluation, &[StepRecord::default()])?;
        let slice = self.compiled.layout.results[self.evaluation][0].slice;
        let words = self.session.read(slice.buffer, slice.start, self.evaluation_batch * self.outputs)?;
        Ok(words.into_iter().map(f32::from_bits).collect())
    }

    /// Sets the carried states of training to 0: its next batch does not follow the one before.
    ///
    /// # Errors
    /// If the device fails.
    pub fn begin_streams(&mut self) -> Result<(), TrainError> {
        self.begin_anew(0)
    }

    fn begin_anew(&mut self, phase: usize) -> Result<(), TrainError> {
        for state in self.carried[phase].clone() {
            self.set(&state.name, &vec![state.initial; state.shape.iter().product()])?;
        }
        Ok(())
    }

    /// States of recurrent layers that the next training step goes on from, by name.
    ///
    /// # Errors
    /// If the device fails.
    pub fn carried(&mut self) -> Result<Vec<NamedTensor>, TrainError> {
        let mut tensors = vec![];
        for state in self.carried[0].clone() {
            let places = &self.compiled.layout.states;
            let Some((_, slice)) = places.iter().find(|(name, _)| *name == state.name).cloned() else {
                continue;
            };
            let words = self.session.read(slice.buffer, slice.start, slice.words)?;
            let data = words.into_iter().map(f32::from_bits).collect();
            tensors.push((state.name, state.shape, data));
        }
        Ok(tensors)
    }

    /// Sets parameters and running statistics to their first values.
    ///
    /// # Errors
    /// If the device fails.
    pub fn initialise(&mut self, seed: [u32; 2]) -> Result<(), TrainError> {
        let parameters = self.graph.parameters.clone();
        for (number, parameter) in parameters.iter().enumerate() {
            let data = parameter.init.elements(seed, number, parameter.shape.iter().product());
            self.set(&parameter.name, &data)?;
        }
        for state in self.graph.states.clone() {
            self.set(&state.name, &vec![state.initial; state.shape.iter().product()])?;
        }
        self.begin_streams()
    }

    fn set(&mut self, name: &str, data: &[f32]) -> Result<(), TrainError> {
        let layout = &self.compiled.layout;
        let places = layout.parameters.iter().chain(&layout.states);
        if let Some((_, slice)) = places.clone().find(|(n, _)| n == name) {
            let words: Vec<u32> = data.iter().map(|x| x.to_bits()).collect();
            self.session.write(slice.buffer, slice.start, &words)?;
        }
        Ok(())
    }

    /// Weights and running statistics by name.
    ///
    /// # Errors
    /// If the device fails.
    pub fn weights(&mut self) -> Result<Vec<NamedTensor>, TrainError> {
        let layout = &self.compiled.layout;
        let places: Vec<_> = layout.parameters.iter().chain(&layout.states).cloned().collect();
        let mut tensors = vec![];
        for ((name, shape), (_, slice)) in self.shapes().into_iter().zip(places) {
            let words = self.session.read(slice.buffer, slice.start, slice.words)?;
            tensors.push((name, shape, words.into_iter().map(f32::from_bits).collect()));
        }
        Ok(tensors)
    }

    fn shapes(&self) -> Vec<(String, Vec<usize>)> {
        let parameters = self.graph.parameters.iter().map(|p| (p.name.clone(), p.shape.clone()));
        parameters.chain(self.graph.states.iter().map(|s| (s.name.clone(), s.shape.clone()))).collect()
    }

    /// Optimizer state by name (`optimizer.<slot>.<parameter>`).
    ///
    /// # Errors
    /// If the device fails.
    pub fn optimizer_state(&mut self) -> Result<Vec<NamedTensor>, TrainError> {
        let mut tensors = vec![];
        for (slot, buffer) in self.compiled.layout.optimizer_state.clone().into_iter().enumerate() {
            let parameters = self.graph.parameters.clone();
            for (parameter, (_, slice)) in parameters.iter().zip(self.compiled.layout.parameters.clone()) {
                let words = self.session.read(buffer, slice.start, slice.words)?;
                let data = words.into_iter().map(f32::from_bits).collect();
                tensors.push((format!("optimizer.{slot}.{}", parameter.name), parameter.shape.clone(), data));
            }
        }
        Ok(tensors)
    }

    /// Sets weights, running statistics and (if `whole`) optimizer state and carried states from named tensors.
    ///
    /// # Errors
    /// If one is missing or has another shape, or the device fails.
    pub fn restore(&mut self, tensors: &[NamedTensor], whole: bool) -> Result<(), TrainError> {
        let find = |name: &str, shape: &[usize]| {
            let found = tensors.iter().find(|(n, _, _)| n == name);
            match found {
                Some((_, s, data)) if s == shape => Ok(data.clone()),
                Some((_, s, _)) => Err(TrainError::Input(format!(
                    "tensor `{name}` has shape {s:?}, the model expects {shape:?}"
                ))),
                None => Err(TrainError::Input(format!("the file has no tensor `{name}` of shape {shape:?}"))),
            }
        };
        for (name, shape) in self.shapes() {
            let data = find(&name, &shape)?;
            self.set(&name, &data)?;
        }
        if whole {
            for state in self.carried[0].clone() {
                let data = find(&state.name, &state.shape)?;
                self.set(&state.name, &data)?;
            }
            for (slot, buffer) in self.compiled.layout.optimizer_state.clone().into_iter().enumerate() {
                let parameters = self.graph.parameters.clone();
                for (parameter, (_, slice)) in parameters.iter().zip(self.compiled.layout.parameters.clone())
                {
                    let data = find(&format!("optimizer.{slot}.{}", parameter.name), &parameter.shape)?;
                    let words: Vec<u32> = data.iter().map(|x| x.to_bits()).collect();
                    self.session.write(buffer, slice.start, &words)?;
                }
            }
        }
        Ok(())
    }

    /// The optimizer's scalars of step `step` (from 1).
    pub fn optimizer_scalars(&self, step: u64) -> [f32; 4] {
        self.optimizer.as_ref().map_or([0.0; 4], |o| o.scalars(step))
    }
}

fn starts(data: &Dataset) -> Vec<u32> {
    data.windows.as_ref().map(|w| w.starts.clone()).unwrap_or_default()
}

/// The order in which an epoch reads the rows of a text: batch after batch, each row going on where the same row of the batch
/// before it ended. Rows at the end that fill no batch are left out.
pub(super) fn text_order(rows: usize, batch: usize) -> Vec<u32> {
    streams(rows / batch * batch, batch).into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_of_a_batch_goes_on_where_it_was() {
        assert_eq!(text_order(7, 3), [0, 2, 4, 1, 3, 5]);
        assert_eq!(text_order(4, 4), [0, 1, 2, 3]);
        let padded = streams(5, 2);
        assert_eq!(padded, [Some(0), Some(3), Some(1), Some(4), Some(2), None]);
    }
}
