//! The adding problem (Hochreiter and Schmidhuber 1997): each step has two numbers, and the second marks
//! which two of the first are to be added. Over 10 steps, gated cells solve it within 1,500 training steps.
//! Over 20 steps, a plain cell does not: for a long time it always predicts 1, the best guess without
//! information, with an error of 1/6.

use gridlight::base::rng;
use gridlight::base::step::StepRecord;
use gridlight::data::{Dataset, Target};
use gridlight::device::cpu::CpuDevice;
use gridlight::nn::Supervised;
use gridlight::nn::config::{Family, ModelConfig};
use gridlight::nn::inputs::{Inputs, SequenceShape};
use gridlight::nn::layers::recurrent::Cell;
use gridlight::nn::losses::Loss;
use gridlight::optim::Optimizer;
use gridlight::train::engine::{Engine, Training};

const BATCH: usize = 50;
const STEPS: usize = 1500;
const RATE: f32 = 2e-3;
/// Training steps between evaluations.
const LOOK: usize = 100;

/// Sequences of `length` steps of a number in 0..1 and a mark; the target is the sum of the two marked
/// numbers.
fn sums(rows: usize, length: usize, seed: u32) -> Dataset {
    let word = |row: usize, at: usize| rng::word([seed, 0], 0, row as u32, at as u32);
    let (mut x, mut y) = (vec![], vec![]);
    for row in 0..rows {
        // One mark in each half.
        let half = length / 2;
        let marks =
            [word(row, length) as usize % half, half + word(row, length + 1) as usize % (length - half)];
        let numbers: Vec<f32> = (0..length).map(|at| rng::uniform(word(row, at))).collect();
        x.extend(
            numbers.iter().enumerate().flat_map(|(at, &n)| [n, f32::from(u8::from(marks.contains(&at)))]),
        );
        y.push(marks.iter().map(|&at| numbers[at]).sum());
    }
    let features = (0..2 * length).map(|at| format!("x{at}")).collect();
    Dataset { rows, features, x, target: Some(Target::Numbers(y)), ..Dataset::default() }
}

/// The mean squared error on unseen sequences, every [`LOOK`] steps until it is at most `goal`.
fn errors(cell: Cell, length: usize, goal: f64, seed: u32) -> Vec<f64> {
    let config =
        ModelConfig { family: Family::Rnn, cell: Some(cell), hidden: vec![64], ..ModelConfig::default() };
    let sequence = Some(SequenceShape { length, width: 2 });
    let inputs = Inputs { features: 2 * length, sequence, ..Inputs::default() };
    let model = Supervised::new(&config, inputs, 1, Loss::Mse {});
    let (data, others) = (sums(STEPS * BATCH, length, 1), sums(1000, length, 2));
    let optimizer = Optimizer::default();
    let training = Training { clip_norm: Some(1.0), ..Training::new(&data, BATCH, optimizer.clone()) };
    let mut engine = Engine::new(&CpuDevice::new(Some(2)), &model, Some(&training), &others).unwrap();
    engine.initialise([seed, 0]).unwrap();
    engine.set_order(0, &(0..data.rows as u32).collect::<Vec<_>>()).unwrap();
    let mut errors = vec![];
    for first in (0..STEPS).step_by(LOOK) {
        let record = |at: usize| StepRecord {
            step: at as u32 + 1,
            batch_start: (at * BATCH) as u32,
            learning_rate: RATE,
            optimizer: optimizer.scalars(at as u64 + 1),
            ..StepRecord::default()
        };
        let mut steps: Vec<StepRecord> = (first..first + LOOK).map(record).collect();
        engine.train(&mut steps).unwrap();
        errors.push(engine.evaluate().unwrap().loss(&Loss::Mse {}));
        if errors.last().is_some_and(|&error| error <= goal) {
            break;
        }
    }
    errors
}

#[test]
fn an_lstm_learns_to_add_over_10_steps() {
    let errors = errors(Cell::Lstm, 10, 0.01, 0);
    assert!(errors.last().is_some_and(|&error| error <= 0.01), "{errors:?}");
}

#[test]
fn a_gru_learns_to_add_over_10_steps() {
    let errors = errors(Cell::Gru, 10, 0.01, 0);
    assert!(errors.last().is_some_and(|&error| error <= 0.01), "{errors:?}");
}

#[test]
fn a_plain_cell_does_not_learn_to_add_over_20_steps() {
    // Most seeds start to learn after 1,000 steps (0.02 to 0.07 at the end; with PyTorch, one in three), but
    // none of seven has solved it by step 1,500.
    let errors = errors(Cell::Tanh, 20, 0.01, 0);
    assert_eq!(errors.len(), STEPS / LOOK, "solved: {errors:?}");
    assert!(errors.iter().take(1000 / LOOK).all(|e| (0.12..0.22).contains(e)), "{errors:?}");
}
