//! A model on a device: its phases compiled into one program, its data and parameters in place.

use std::borrow::Cow;

use super::TrainError;
use super::checkpoint::NamedTensor;
use super::metrics::Predictions;
use crate::data::Dataset;
use crate::device::{Device, Session};
use crate::graph::ValueId;
use crate::nn::model::{self, Model, ModelGraph};
use crate::optim::Optimizer;
use crate::plan::{
    self, Augmentation, Compiled, DataColumn, DataSpec, Entry, ImageChanges, OptimizerSpec, PhaseSpec,
    ProgramSpec, Slice,
};
use crate::rng::streams;
use crate::scalar::StepRecord;

/// Rows of an evaluation batch.
const EVALUATION_BATCH: usize = 512;
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
    outputs: usize,
    truth: Vec<f64>,
    /// First stored row of each sample, by data set; empty where a sample is a row.
    starts: Vec<Vec<u32>>,
    optimizer: Option<Optimizer>,
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
    compile_watching(model, training, evaluation, target, &|_| vec![])
}

/// As [`compile`]; with `watched` values, training keeps the results of one step alone.
fn compile_watching(
    model: &Model,
    training: Option<&Training>,
    evaluation: &Dataset,
    target: &crate::device::Target,
    watched: &Watched,
) -> Result<(Compiled, ModelGraph), TrainError> {
    let evaluation_batch = evaluation.rows.clamp(1, EVALUATION_BATCH);
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
        updates: vec![],
    });
    let entry = |name: &String, shape: &[usize], decay| Entry {
        name: name.clone(),
        words: shape.iter().product(),
        decay,
    };
    let spec = ProgramSpec {
        parameters: evaluating.parameters.iter().map(|p| entry(&p.name, &p.shape, p.decay)).collect(),
        states: evaluating.states.iter().map(|s| entry(&s.name, &s.shape, false)).collect(),
        optimizer: training.map(|t| OptimizerSpec {
            slots: t.optimizer.slots(),
            body: t.optimizer.body(),
            max_norm: t.clip_norm.map(|n| n as f32),
        }),
        data,
        phases,
    };
    let compiled = plan::compile(&spec, target)?;
    Ok((compiled, evaluating))
}

fn data_spec(name: &str, data: &Dataset, order: usize) -> DataSpec {
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
        let (compiled, graph) = compile_watching(model, training, evaluation, device.target(), watched)?;
        let session = device.load(&compiled.program)?;
        let evaluation_phase = compiled.program.phases.len() - 1;
        let mut engine = Self {
            session,
            graph,
            training: training.map(|t| t.batch),
            evaluation: evaluation_phase,
            evaluation_rows: evaluation.rows,
            evaluation_batch: evaluation.rows.clamp(1, EVALUATION_BATCH),
            outputs: model.outputs,
            truth: evaluation.truth(),
            starts: training.map(|t| t.data).into_iter().chain([evaluation]).map(starts).collect(),
            optimizer: training.map(|t| t.optimizer.clone()),
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
        engine.set_order(at, &(0..evaluation.rows as u32).collect::<Vec<_>>())?;
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
                _ if name == model::X => Cow::Borrowed(bytemuck::cast_slice(&data.x)),
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
        let mut read = |at: usize, words: usize| -> Result<Vec<f32>, TrainError> {
            let slice: Slice = results[at].slice;
            let words = self.session.read(slice.buffer, slice.start, words)?;
            Ok(words.into_iter().map(f32::from_bits).collect())
        };
        let raw = read(0, self.evaluation_rows * self.outputs)?;
        let losses = read(1, self.evaluation_rows)?;
        let names = self.graph.parts.iter().map(|(name, _)| *name).enumerate();
        let parts: Result<Vec<_>, TrainError> =
            names.map(|(at, name)| Ok((name, read(2 + at, self.evaluation_rows)?))).collect();
        Ok(Predictions { raw, outputs: self.outputs, truth: self.truth.clone(), losses, parts: parts? })
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
        Ok(())
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

    /// Sets weights, running statistics and (if `with_optimizer`) optimizer state from named tensors.
    ///
    /// # Errors
    /// If one is missing or has another shape, or the device fails.
    pub fn restore(&mut self, tensors: &[NamedTensor], with_optimizer: bool) -> Result<(), TrainError> {
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
        if with_optimizer {
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
