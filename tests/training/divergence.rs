//! A training whose numbers overflow can name the operator, or go on without the step.

use crate::interruptions::{Bench, Interrupter};
use gridlight::data::Target;
use gridlight::device::cpu::CpuDevice;
use gridlight::run::job::Options;
use gridlight::run::trainer;
use gridlight::train::checkpoint;
use gridlight::train::{ErrorKind, TrainError};

const TRAIN: &str = "batch_size = 16\nepochs = 3\nshuffle = false\ncheckpoint_every_steps = 5\n";

/// A bench whose row 100, in step 7 of each epoch, has a feature `x1` or target `y` of `value`.
fn spoilt(train: &str, column: &str, value: f32) -> Bench {
    let mut bench = Bench::with(train);
    let features = &bench.data.train.features;
    match (features.iter().position(|name| name == column), &mut bench.data.train.target) {
        (Some(at), _) => bench.data.train.x[100 * features.len() + at] = value,
        (None, Some(Target::Numbers(y))) => y[100] = value,
        _ => unreachable!(),
    }
    bench
}

fn train(bench: &Bench, out: &str, anomaly: bool) -> (Result<(), TrainError>, Vec<String>) {
    let options = Options { anomaly, ..bench.options(out) };
    let (mut observer, device) = (Interrupter::default(), CpuDevice::new(Some(2)));
    let result = trainer::train(&bench.experiment, &bench.data, &device, &options, &mut observer);
    (result.map(drop), observer.notes)
}

#[test]
fn the_operator_is_named() {
    let message = |bench: &Bench| {
        let error = train(bench, "run", true).0.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Diverged);
        error.to_string()
    };
    let cases: [(&str, f32, &[&str]); 4] = [
        ("x1", f32::NAN, &["at step 7:", "`x` is NaN", "training row 100"]),
        ("y", f32::INFINITY, &["at step 7:", "`y` is inf", "training row 100"]),
        // Batch norm hides the overflow from the loss.
        ("x1", 3e38, &["at step 7:", "`1.running_var` is inf", "layer 1 (batch_norm)"]),
        ("y", 3e38, &["at step 7:", "training loss is inf", "forward pass, `square` of loss", "3e38"]),
    ];
    for (column, value, parts) in cases {
        let message = message(&spoilt(TRAIN, column, value));
        for part in parts {
            assert!(message.contains(part), "{column} {value}: {part}: {message}");
        }
    }
    // Row 100 is the fifth of its batch, and so in the second of four micro-batches.
    let cut = message(&spoilt(&format!("{TRAIN}accumulate = 4\n"), "x1", f32::NAN));
    assert!(cut.contains("`x` is NaN at [0, ") && cut.contains("training row 100"), "{cut}");
    let message = message(&Bench::with(&format!("{TRAIN}optimizer = \"sgd\"\nlearning_rate = 1e38\n")));
    assert!(message.contains("pass, `") || message.contains("update of the weights"), "{message}");
    let without = train(&spoilt(TRAIN, "y", 3e38), "run", false).0.unwrap_err().to_string();
    assert!(without.contains("diverged") && !without.contains("square"), "{without}");
}

#[test]
fn a_run_may_go_on_without_the_step() {
    for (column, value) in [("x1", f32::NAN), ("x1", 3e38), ("y", f32::INFINITY)] {
        let skipping = |most: u32| spoilt(&format!("{TRAIN}skip_non_finite_steps = {most}\n"), column, value);
        let bench = skipping(3);
        let (result, notes) = train(&bench, "run", false);
        result.unwrap_or_else(|e| panic!("{column} = {value}: {e}"));
        for (number, step) in [(1, 7), (2, 23), (3, 39)] {
            let wanted = format!("step {step} is skipped ({number} of 3)");
            assert!(notes.iter().any(|n| n.contains(&wanted)), "{wanted}: {notes:?}");
        }
        let (tensors, meta) = checkpoint::load(&bench.path("run/best.safetensors")).unwrap();
        assert!(!tensors.is_empty() && meta.is_some());
        let newest = checkpoint::list(&bench.path("run/checkpoints")).pop().unwrap();
        assert_eq!(newest.0, 48, "all steps count");
        // Interrupted and resumed, the same.
        let device = CpuDevice::new(Some(2));
        for (at, resume) in [(4, false), (8, true), (30, true)] {
            bench.interrupt(&device, "cut", at, resume);
        }
        bench.resume(&device, "cut").unwrap();
        assert_eq!(bench.bits("cut"), bench.bits("run"), "{column} = {value}");
        // One more than allowed.
        let (result, notes) = train(&skipping(2), "run", false);
        assert!(matches!(result, Err(TrainError::Diverged { step: 39, .. })), "{result:?}");
        assert_eq!(notes.len(), 2, "{notes:?}");
    }
}

#[test]
fn nothing_else_changes_without_a_bad_step() {
    let bits = |more: &str| {
        let bench = Bench::with(&format!("{TRAIN}{more}"));
        train(&bench, "run", false).0.unwrap();
        bench.bits("run")[0].clone()
    };
    assert_eq!(bits("skip_non_finite_steps = 5\n"), bits(""));
}
