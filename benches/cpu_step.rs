//! Training steps per second on the CPU backend, and where a step's time goes.
//!
//! The model is an MLP 64-128-64-1 with relu, mean squared error and Adam, on random data: small enough that
//! the overhead of each kernel besides its arithmetic dominates. `cargo bench --bench cpu_step`.

use std::time::Instant;

use gridlight::base::rng;
use gridlight::base::step::StepRecord;
use gridlight::data::{Dataset, Target};
use gridlight::device::cpu::CpuDevice;
use gridlight::nn::Supervised;
use gridlight::nn::config::ModelConfig;
use gridlight::nn::inputs::Inputs;
use gridlight::nn::losses::Loss;
use gridlight::optim::Optimizer;
use gridlight::train::engine::{Engine, Training};

const FEATURES: usize = 64;
const ROWS: usize = 4096;
/// Steps between reads of the losses.
const STEPS: usize = 256;
/// Number of reads; the median counts.
const ROUNDS: usize = 15;

fn random(count: usize, stream: u32) -> Vec<f32> {
    (0..count as u32).map(|i| rng::normal(rng::word([1, 2], stream, 0, i))).collect()
}

fn main() {
    println!("{:>7} {:>6} {:>12} {:>10}", "threads", "batch", "steps/s", "GFLOP/s");
    for threads in [1, 2] {
        for batch in [32, 1024] {
            measure(threads, batch);
        }
    }
}

/// Prints one line for the whole step and one per kernel.
fn measure(threads: usize, batch: usize) {
    let data = Dataset {
        rows: ROWS,
        features: (0..FEATURES).map(|i| format!("x{i}")).collect(),
        x: random(ROWS * FEATURES, 1),
        categories: vec![],
        target: Some(Target::Numbers(random(ROWS, 2))),
        source_rows: (0..ROWS).collect(),
        ..Dataset::default()
    };
    let inputs = Inputs { features: FEATURES, ..Inputs::default() };
    let model = Supervised::new(&ModelConfig::default(), inputs, 1, Loss::Mse {});
    let training = Training::new(&data, batch, Optimizer::default());
    let device = CpuDevice::new(Some(threads));
    let mut engine = Engine::new(&device, &model, Some(&training), &data).expect("the model fits");
    engine.initialise([1, 2]).expect("the CPU does not fail");
    engine.set_order(0, &(0..ROWS as u32).collect::<Vec<_>>()).expect("the CPU does not fail");

    let record = |step: u64, engine: &Engine| StepRecord {
        step: step as u32,
        batch_start: ((step as usize * batch) % ROWS) as u32,
        learning_rate: 1e-3,
        optimizer: engine.optimizer_scalars(step + 1),
        ..StepRecord::default()
    };
    let mut seconds = vec![];
    for round in 0..ROUNDS {
        let mut steps: Vec<StepRecord> =
            (0..STEPS).map(|i| record((round * STEPS + i) as u64, &engine)).collect();
        let start = Instant::now();
        // A read-back ends each group, as in training.
        for group in steps.chunks_mut(engine.loss_slots()) {
            let losses = engine.train(group).expect("the CPU does not fail");
            assert!(losses.iter().all(|l| l.is_finite()), "training diverged");
        }
        seconds.push(start.elapsed().as_secs_f64() / STEPS as f64);
    }
    seconds.sort_by(f64::total_cmp);
    let step = seconds[ROUNDS / 2];
    let flops = engine.compiled.program.phases[0].cost().flops as f64;
    println!("{threads:>7} {batch:>6} {:>12.0} {:>10.1}", 1.0 / step, flops / step / 1e9);

    let profile_step = record((ROUNDS * STEPS) as u64, &engine);
    let mut best = vec![f64::INFINITY; engine.compiled.program.phases[0].dispatches.len()];
    for _ in 0..200 {
        let times = engine.session().profile(0, &profile_step).expect("the CPU does not fail");
        for (b, t) in best.iter_mut().zip(times) {
            *b = b.min(t);
        }
    }
    for (dispatch, seconds) in engine.compiled.program.phases[0].dispatches.iter().zip(best) {
        let kernel = &dispatch.kernel;
        let rate = kernel.cost().flops as f64 / seconds / 1e9;
        println!("{:>14.2} us {rate:>8.1} GFLOP/s  {} {}", seconds * 1e6, kernel.name(), kernel.shape());
    }
}
