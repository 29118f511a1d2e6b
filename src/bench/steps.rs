//! Whole training steps: how many a second, and where the time goes.

use serde::{Deserialize, Serialize};

use super::fastest;
use crate::data::{Dataset, Target};
use crate::device::Device;
use crate::experiment::model::ModelConfig;
use crate::nn::Model;
use crate::nn::losses::Loss;
use crate::nn::model::Inputs;
use crate::optim::Optimizer;
use crate::plan::Dispatch;
use crate::rng;
use crate::scalar::StepRecord;
use crate::train::TrainError;
use crate::train::engine::{Engine, Training};

/// One network's training step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepMeasurement {
    /// Network and batch.
    pub name: String,
    /// Steps a second, many in a row.
    pub steps_per_second: f64,
    /// Each launch, timed alone.
    pub kernels: Vec<KernelTime>,
}

/// One launch of a step: a kernel, or several that run at the same time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KernelTime {
    /// Kernel family.
    pub name: String,
    /// Sizes.
    pub shape: String,
    /// Layers computed.
    pub layer: String,
    /// Seconds: the fastest of several profiles.
    pub seconds: f64,
}

/// Profiles of which the fastest counts.
const PROFILES: usize = 7;
/// Rows of the synthetic table.
const ROWS: usize = 8192;
const FEATURES: usize = 64;

/// Names and batch sizes of the steps measured: Dense 64-128-64-1 with ReLU, MSE and Adam.
pub fn all() -> Vec<(String, usize)> {
    [32, 1024].map(|batch| (format!("mlp 64-128-64-1, batch {batch}"), batch)).to_vec()
}

/// Measures the step of batches of `batch` rows.
///
/// # Errors
/// If the device fails.
pub fn measure(device: &dyn Device, name: &str, batch: usize) -> Result<StepMeasurement, TrainError> {
    let table = table();
    let config = ModelConfig { hidden: vec![128, 64], ..ModelConfig::default() };
    let model =
        Model::new(&config, Inputs { features: FEATURES, categories: vec![], image: None }, 1, Loss::Mse);
    let optimizer = Optimizer::default();
    let training =
        Training { data: &table, batch, noise: 0.0, optimizer: optimizer.clone(), clip_norm: None };
    let mut engine = Engine::new(device, &model, Some(&training), &table)?;
    engine.initialise([1, 0])?;
    engine.set_order(0, &(0..ROWS as u32).collect::<Vec<_>>())?;
    let record = |at: usize| StepRecord {
        step: at as u32,
        batch_start: (at * batch) as u32,
        learning_rate: 1e-3,
        optimizer: optimizer.scalars(at as u64 + 1),
        ..StepRecord::default()
    };
    let records: Vec<StepRecord> = (0..ROWS / batch).map(record).collect();
    let seconds = fastest(engine.session(), &records)?;
    let mut kernels: Vec<KernelTime> = engine.compiled.program.phases[0]
        .launches()
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
        let profile = engine.session().profile(0, &records[0])?;
        for (kernel, seconds) in kernels.iter_mut().zip(profile) {
            kernel.seconds = kernel.seconds.min(seconds);
        }
    }
    Ok(StepMeasurement { name: name.into(), steps_per_second: 1.0 / seconds, kernels })
}

/// A table of normal numbers.
fn table() -> Dataset {
    let normal = |stream: u32, i: usize| rng::normal(rng::word([1, 0], stream, 0, i as u32));
    Dataset {
        rows: ROWS,
        features: (0..FEATURES).map(|c| format!("x{c}")).collect(),
        x: (0..ROWS * FEATURES).map(|i| normal(0, i)).collect(),
        categories: vec![],
        target: Some(Target::Numbers((0..ROWS).map(|i| normal(1, i)).collect())),
        source_rows: (0..ROWS).collect(),
    }
}
