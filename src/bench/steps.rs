//! Whole training steps: steps per second, and where the time goes.

use std::sync::Arc;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::fastest_of;
use super::workloads::{Input, Workload};
use crate::base::step::StepRecord;
use crate::data::Dataset;
use crate::device::Device;
use crate::kernels::Cost;
use crate::nn::inputs::Inputs;
use crate::nn::{Gan, Language, Model, Opponent, Supervised, Vae};
use crate::optim::Optimizer;
use crate::plan::Dispatch;
use crate::train::TrainError;
use crate::train::engine::{Engine, Training};

/// One network's training step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepMeasurement {
    /// Network and batch.
    pub name: String,
    /// Steps per second, over many consecutive steps.
    pub steps_per_second: f64,
    /// Each launch, timed separately.
    pub kernels: Vec<KernelTime>,
}

/// One launch of a step: a single kernel, or several that run concurrently.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KernelTime {
    /// Kernel family.
    pub name: String,
    /// Sizes.
    pub shape: String,
    /// The layers it computes.
    pub layer: String,
    /// Seconds: the fastest of several profiles.
    pub seconds: f64,
}

/// Number of profiles; the fastest counts.
const PROFILES: usize = 7;
/// Measures the training step of `workload`: the fastest of several short series, and each launch.
///
/// # Errors
/// If the device fails.
pub fn measure(device: &dyn Device, workload: &Workload) -> Result<StepMeasurement, TrainError> {
    let table = workload.data();
    let Ready { mut engine, records } = prepare(device, workload, &table)?;
    let seconds = of_a_step(&mut engine, &records)?;
    let phases: Vec<usize> = engine.step().into_iter().map(|(phase, _)| phase).collect();
    let mut kernels: Vec<KernelTime> = phases
        .iter()
        .flat_map(|&phase| engine.compiled.program.phases[phase].launches())
        .map(|launch| {
            let joined =
                |of: &dyn Fn(&Dispatch) -> String| launch.iter().map(of).collect::<Vec<_>>().join(" | ");
            KernelTime {
                name: joined(&|d| d.kernel.name().into()),
                shape: joined(&|d| d.kernel.shape()),
                layer: joined(&|d| d.label.clone()),
                seconds: f64::INFINITY,
            }
        })
        .collect();
    for _ in 0..PROFILES {
        let mut profile = vec![];
        for &phase in &phases {
            profile.extend(engine.session().profile(phase, &records[0])?);
        }
        for (kernel, seconds) in kernels.iter_mut().zip(profile) {
            kernel.seconds = kernel.seconds.min(seconds);
        }
    }
    Ok(StepMeasurement { name: workload.name.clone(), steps_per_second: 1.0 / seconds, kernels })
}

/// Seconds of a step: the fastest of several short series.
fn of_a_step(engine: &mut Engine, records: &[StepRecord]) -> Result<f64, TrainError> {
    fastest_of(&mut |count| {
        let mut steps: Vec<StepRecord> = records.iter().copied().cycle().take(count).collect();
        engine.run_steps(&mut steps)
    })
}

/// Seconds of a training step of `workload`, the fastest of several short series, and what a step costs.
///
/// # Errors
/// If the device fails.
pub(super) fn seconds(device: &dyn Device, workload: &Workload) -> Result<(f64, Cost), TrainError> {
    let table = workload.data();
    let Ready { mut engine, records } = prepare(device, workload, &table)?;
    let seconds = of_a_step(&mut engine, &records)?;
    let mut cost = Cost::default();
    for (phase, times) in engine.step() {
        let once = engine.compiled.program.phases[phase].cost();
        cost.flops += times as u64 * once.flops;
        cost.bytes += times as u64 * once.bytes;
    }
    Ok((seconds, cost))
}

/// A training step over some seconds, as the programs that are compared with this one measure theirs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sustained {
    /// Steps per second, over all of the time.
    pub steps_per_s: f64,
    /// Steps per second in the fastest quarter of a second.
    pub best_chunk_steps_per_s: f64,
}

/// Seconds of a part of [`sustained`].
const CHUNK_SECONDS: f64 = 0.25;

/// Runs the training step of `workload` for `seconds`, after a second in which caches and clock rates settle.
/// `first` is called after the first step.
///
/// # Errors
/// If the device fails.
pub fn sustained(
    device: &dyn Device,
    workload: &Workload,
    seconds: f64,
    first: &mut dyn FnMut(),
) -> Result<Sustained, TrainError> {
    let table = workload.data();
    let Ready { mut engine, records } = prepare(device, workload, &table)?;
    let mut records = records.iter().copied().cycle();
    let mut run = |count: usize| -> Result<f64, TrainError> {
        let start = Instant::now();
        let mut steps: Vec<StepRecord> = records.by_ref().take(count).collect();
        engine.run_steps(&mut steps)?;
        Ok(start.elapsed().as_secs_f64())
    };
    run(1)?;
    first();
    let (begin, mut count, mut took) = (Instant::now(), 1, run(1)?);
    while begin.elapsed().as_secs_f64() < 1.0 {
        count = (CHUNK_SECONDS * count as f64 / took.max(1e-9)).clamp(1.0, MOST_STEPS) as usize;
        took = run(count)?;
    }
    let (begin, mut total, mut best) = (Instant::now(), 0, 0.0f64);
    while begin.elapsed().as_secs_f64() < seconds || total == 0 {
        best = best.max(count as f64 / run(count)?);
        total += count;
    }
    Ok(Sustained { steps_per_s: total as f64 / begin.elapsed().as_secs_f64(), best_chunk_steps_per_s: best })
}

/// Most steps in a part of [`sustained`].
const MOST_STEPS: f64 = 1e6;

/// A workload that can run.
struct Ready {
    engine: Engine,
    /// Steps of an epoch.
    records: Vec<StepRecord>,
}

/// Compiles and initialises `workload` on `table`, its data.
fn prepare(device: &dyn Device, workload: &Workload, table: &Dataset) -> Result<Ready, TrainError> {
    let Workload { batch, config, input, outputs, loss, .. } = workload;
    let batch = *batch;
    let rows = table.rows;
    let (sequence, image) = match *input {
        Input::Features(_) | Input::Text(_) | Input::Nodes(_) => (None, None),
        Input::Image(image) => (None, Some(image)),
        Input::Sequence(sequence) => (Some(sequence), None),
    };
    let categories = table.categories.iter().map(|c| (c.name.clone(), c.vocabulary)).collect();
    let graph = match *input {
        Input::Nodes(shape) => Some(Arc::new(shape.draw())),
        _ => None,
    };
    let inputs = Inputs { features: input.width(), categories, sequence, graph, image, ..Inputs::default() };
    let optimizer = Optimizer::default();
    let opponent = Opponent { optimizer: optimizer.clone(), rate: 1.0, clip_norm: None, bound: None };
    let vae = Vae::new(config, inputs.features, image, *outputs);
    let gan = Gan::new(config, inputs.features, image, *outputs, opponent);
    let model: Box<dyn Model> = match (vae, gan, *input) {
        (Some(vae), _, _) => Box::new(vae),
        (None, Some(gan), _) => Box::new(gan),
        (None, None, Input::Text(text)) => Box::new(Language::new(config, text, loss.clone())),
        (None, None, _) => Box::new(Supervised::new(config, inputs, *outputs, loss.clone())),
    };
    let training = Training::new(table, batch, optimizer.clone());
    let mut engine = Engine::new(device, &*model, Some(&training), table)?;
    engine.initialise([1, 0])?;
    engine.set_order(0, &(0..rows as u32).collect::<Vec<_>>())?;
    let together = batch * config.batches_per_step();
    let record = |at: usize| StepRecord {
        step: at as u32,
        batch_start: (at * together) as u32,
        learning_rate: 1e-3,
        optimizer: optimizer.scalars(at as u64 + 1),
        ..StepRecord::default()
    };
    let records: Vec<StepRecord> = (0..rows / together).map(record).collect();
    Ok(Ready { engine, records })
}
