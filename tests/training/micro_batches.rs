//! Batches cut into micro-batches: the same training in less memory.

use gridlight::base::target::{Family, Target};
use gridlight::device::cpu::CpuDevice;
use gridlight::experiment::Experiment;
use gridlight::run::job::Options;
use gridlight::run::trainer;
use gridlight::train::engine::{self, Training};
use gridlight::train::history::HistoryRow;

use crate::bench::{Bench, Recorder, SHORT};

/// As [`SHORT`], but for what depends on the micro-batch (the statistics of a batch norm) or makes a
/// difference in the last digit a large one (Adam divides by gradients that are almost 0).
const CUT: &str = "[data.augment]\nnoise = 0.1\n[model]\nhidden = [16]\ndropout = 0.1\n[train]\nepochs = 3\n\
    batch_size = 16\nclip_norm = 1.0\nlearning_rate = 0.02\noptimizer = { type = \"sgd\", momentum = 0.9 }\n";

#[test]
fn micro_batches_give_what_the_whole_batch_gives() {
    let losses = |parts: usize| {
        let bench = Bench::new(300, &format!("{CUT}accumulate = {parts}\n"));
        let mut recorder = Recorder::default();
        let outcome = bench.train(&bench.options("run"), &mut recorder).unwrap();
        assert_eq!(recorder.steps, 33, "steps are those of the optimizer");
        let both = |row: &HistoryRow| [row.train_loss, row.validation.get("loss").unwrap()];
        outcome.history.iter().flat_map(both).collect::<Vec<f64>>()
    };
    let whole = losses(1);
    for parts in [2, 4, 16] {
        let cut = losses(parts);
        for (cut, whole) in cut.iter().zip(&whole) {
            assert!((cut - whole).abs() <= 1e-6 * whole, "{parts} micro-batches: {cut}, whole: {whole}");
        }
    }
}

#[test]
fn micro_batches_of_one_row_have_the_bits_of_the_whole_batch_in_exact_mode() {
    let bits = |parts: usize| {
        let bench = Bench::new(300, &format!("{CUT}accumulate = {parts}\n"));
        let device = CpuDevice::new(Some(2)).exact(true);
        let mut recorder = Recorder::default();
        trainer::train(&bench.experiment, &bench.data, &device, &bench.options("run"), &mut recorder)
            .unwrap();
        bench.bits("run")[0].clone()
    };
    assert_eq!(bits(16), bits(1));
}

#[test]
fn a_resumed_run_of_micro_batches_has_the_bits_of_an_uninterrupted_one() {
    let bench = Bench::new(300, &format!("{SHORT}accumulate = 4\n"));
    bench.train(&bench.options("whole"), &mut Recorder::default()).unwrap();
    for stop in [5, 11, 27] {
        let out = format!("cut at {stop}");
        let cut = Options { max_steps: Some(stop), ..bench.options(&out) };
        bench.train(&cut, &mut Recorder::default()).unwrap();
        let resumed = Options { resume: true, ..bench.options(&out) };
        bench.train(&resumed, &mut Recorder::default()).unwrap();
        assert_eq!(bench.bits("whole"), bench.bits(&out), "cut at step {stop}");
    }
    let mut other = bench;
    other.experiment.train.accumulate = 2;
    let resumed = Options { resume: true, ..other.options("cut at 5") };
    let error = other.train(&resumed, &mut Recorder::default()).unwrap_err().to_string();
    assert!(error.contains("`accumulate = 4`") && error.contains("`accumulate = 2`"), "{error}");
}

#[test]
fn what_cannot_be_cut_into_micro_batches_is_refused() {
    let refused = |train: &str, says: &str| {
        let text = format!("name = \"b\"\n[data]\nsource = \"b.csv\"\ntarget = \"y\"\n{train}");
        let error = Experiment::parse(&text, "b.toml", &[]).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    };
    refused("[train]\naccumulate = 0\n", "= 0 is not in 1..=65536");
    refused("[train]\nbatch_size = 10\naccumulate = 3\n", "= 10 is not a multiple of train.accumulate = 3");
    let weights = "loss = { type = \"cross_entropy\", class_weights = [1.0, 2.0] }";
    refused(&format!("[train]\naccumulate = 2\n{weights}\n"), "cannot be used with `class_weights`");
    let normalised = "[model]\nhidden = [4]\nnorm = \"batch\"\n[train]\nbatch_size = 8\naccumulate = 8\n";
    refused(normalised, "leaves batch_norm nothing to normalise over");
    let text = "name = \"b\"\n[data]\nsource = \"b.txt\"\n[data.text]\n\
                [model]\nfamily = \"rnn\"\n[train]\naccumulate = 2\n";
    let error = Experiment::parse(text, "b.toml", &[]).unwrap_err().to_string();
    assert!(error.contains("cannot be used with a text"), "{error}");
}

#[test]
fn the_plan_of_micro_batches_needs_less_memory() {
    let plan = |parts: usize| {
        let bench = Bench::new(300, &format!("{CUT}accumulate = {parts}\n"));
        let model = trainer::model_of(&bench.experiment, &bench.data.fitted, &bench.data.train).unwrap();
        let training = Training {
            accumulate: parts,
            noise: 0.1,
            clip_norm: Some(1.0),
            ..Training::new(&bench.data.train, 16, bench.experiment.train.optimizer.clone())
        };
        let target = Target::webgpu_minimum(Family::Workgroup);
        let (compiled, _) =
            engine::compile(&*model, Some(&training), &bench.data.validation, &target).unwrap();
        compiled.report(&engine::step(parts, true), |_| [1, 1, 1])
    };
    let (whole, cut) = (plan(1), plan(4));
    let names = |times: usize| -> Vec<&str> {
        cut.kernels.iter().filter(|k| k.times == times).map(|k| k.name.as_str()).collect()
    };
    assert_eq!(names(1), ["pointwise", "gradient_norm", "gradient_norm", "optimizer"]);
    assert_eq!(cut.kernels_per_step, 4 + 4 * names(4).len());
    // The activations of evaluation are as many as before.
    assert!(cut.naive_bytes < whole.naive_bytes, "{} {}", cut.table(), whole.table());
    assert!(cut.table().lines().next().unwrap().ends_with("times"), "{}", cut.table());
    assert!(!whole.table().contains("times"));
}
