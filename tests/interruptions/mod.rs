//! Training that is interrupted at chosen steps and resumed, on any device.

use std::path::{Path, PathBuf};

use gridlight::data::{Loaded, Target};
use gridlight::device::Device;
use gridlight::experiment::Experiment;
use gridlight::train::TrainError;
use gridlight::train::checkpoint;
use gridlight::train::events::{Event, Observer, Tick};
use gridlight::train::trainer::{self, Options};

use crate::synthetic;

/// Interrupts at a step and keeps notes.
#[derive(Default)]
pub struct Interrupter {
    pub at: Option<u64>,
    pub notes: Vec<String>,
    step: u64,
}

impl Observer for Interrupter {
    fn event(&mut self, _event: &Event) {}

    fn tick(&mut self, tick: &Tick) {
        self.step = tick.step;
    }

    fn note(&mut self, text: &str) {
        self.notes.push(text.into());
    }

    fn interrupted(&mut self) -> bool {
        self.at.is_some_and(|at| self.step >= at)
    }
}

/// A table, an experiment on it, and a directory for runs.
pub struct Bench {
    directory: tempfile::TempDir,
    pub experiment: Experiment,
    pub data: Loaded,
}

impl Bench {
    /// 128 steps, 16 an epoch; noise, dropout, batch norm, clipping and a schedule are all in it.
    pub fn new() -> Self {
        Self::with("epochs = 8\nbatch_size = 16\nclip_norm = 1.0\nschedule = { type = \"cosine\" }\n")
    }

    /// With other keys of `[train]`.
    pub fn with(train: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let source = directory.path().join("table.csv");
        std::fs::write(&source, synthetic::table(430)).unwrap();
        let text = format!(
            "name = \"bench\"\nseed = 3\n[data]\nsource = {:?}\ntarget = \"y\"\n[data.augment]\nnoise = 0.1\n\
             [data.split]\nby = \"random\"\nvalidation = 0.2\ntest = 0.2\n[model]\nhidden = [16]\ndropout = 0.1\n\
             norm = \"batch\"\n[train]\n{train}",
            source.to_str().unwrap()
        );
        let experiment = Experiment::parse(&text, "bench.toml", &[]).unwrap();
        let data = trainer::load_data(&experiment, Path::new("")).unwrap();
        Self { directory, experiment, data }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn options(&self, out: &str) -> Options {
        Options { out: self.path(out), without_report: true, ..Options::default() }
    }

    pub fn train(&self, device: &dyn Device, out: &str) -> Result<(), TrainError> {
        let options = self.options(out);
        trainer::train(&self.experiment, &self.data, device, &options, &mut Interrupter::default()).map(drop)
    }

    /// Trains until just after step `at`; gives the error that says so.
    pub fn interrupt(&self, device: &dyn Device, out: &str, at: u64, resume: bool) -> TrainError {
        // Events after every step make groups of one step, so that the step is exact.
        let options = Options { log_every: Some(1), resume, ..self.options(out) };
        let mut observer = Interrupter { at: Some(at), ..Interrupter::default() };
        trainer::train(&self.experiment, &self.data, device, &options, &mut observer).unwrap_err()
    }

    /// Goes on to the end; gives the notes.
    pub fn resume(&self, device: &dyn Device, out: &str) -> Result<Vec<String>, TrainError> {
        let options = Options { resume: true, ..self.options(out) };
        let mut observer = Interrupter::default();
        trainer::train(&self.experiment, &self.data, device, &options, &mut observer)?;
        Ok(observer.notes)
    }

    /// All files of a run that must have the same bits: the best weights, the newest checkpoint, the history.
    pub fn bits(&self, out: &str) -> Vec<Vec<u8>> {
        bits(&self.path(out))
    }
}

/// As [`Bench::bits`], of any run.
pub fn bits(run: &Path) -> Vec<Vec<u8>> {
    let newest = checkpoint::list(&run.join("checkpoints")).pop().unwrap().1;
    [run.join("best.safetensors"), newest, run.join("metrics.csv")]
        .map(|p| std::fs::read(p).unwrap())
        .to_vec()
}

/// Interrupted at steps 1, 37 and 100 of 128, alone and one after the other, a run ends with the bits of an
/// uninterrupted one.
#[allow(dead_code, reason = "each test binary compiles this module, not all need it")]
pub fn interrupted_runs_have_the_same_bits(device: &dyn Device) {
    let bench = Bench::new();
    bench.train(device, "whole").unwrap();
    let whole = bench.bits("whole");
    for at in [1, 37, 100] {
        let name = format!("stopped-{at}");
        let error = bench.interrupt(device, &name, at, false);
        assert!(matches!(error, TrainError::Interrupted { step, .. } if step == at), "{error}");
        bench.resume(device, &name).unwrap();
        assert_eq!(bench.bits(&name), whole, "interrupted at {at}");
    }
    for (number, at) in [1, 37, 100].into_iter().enumerate() {
        bench.interrupt(device, "often", at, number > 0);
    }
    bench.resume(device, "often").unwrap();
    assert_eq!(bench.bits("often"), whole, "interrupted three times");
}

/// The first step that is not finite is named and is early, and whatever was saved is finite.
#[allow(dead_code, reason = "each test binary compiles this module, not all need it")]
fn assert_diverges(device: &dyn Device, bench: &Bench, what: &str) {
    let error = bench.train(device, "run").unwrap_err();
    assert_eq!(error.exit_code(), 3, "{what}: {error}");
    let TrainError::Diverged { step, value, .. } = &error else { panic!("{what}: {error}") };
    assert!((1..=10).contains(step) && !value.is_finite(), "{what}: {error}");
    assert!(error.to_string().contains(&format!("at step {step}")), "{what}: {error}");
    let saved = checkpoint::list(&bench.path("run/checkpoints"));
    assert!(!saved.is_empty(), "{what}");
    for (_, path) in saved {
        // Loading refuses numbers that are not finite.
        checkpoint::load(&path).unwrap();
    }
}

/// A learning rate, a feature or a target that overflows, or is not a number, ends the run with its first bad step.
#[allow(dead_code, reason = "each test binary compiles this module, not all need it")]
pub fn what_overflows_ends_the_run_at_once(device: &dyn Device) {
    for optimizer in ["sgd", "adam", "adamw", "rmsprop"] {
        for every in ["", "checkpoint_every_steps = 1\n"] {
            let train =
                format!("optimizer = \"{optimizer}\"\nlearning_rate = 1e30\nbatch_size = 16\n{every}");
            assert_diverges(device, &Bench::with(&train), &train);
        }
    }
    // Within the range of f32, so that the table is accepted, but not its square.
    for column in ["x1", "y"] {
        let mut bench = Bench::with("batch_size = 16\nepochs = 3\nshuffle = false\n");
        let at = bench.data.train.features.iter().position(|name| name == column);
        match (at, &mut bench.data.train.target) {
            (Some(at), _) => bench.data.train.x[at] = 3e38,
            (None, Some(Target::Numbers(y))) => y[0] = 3e38,
            _ => unreachable!(),
        }
        assert_diverges(device, &bench, column);
        for (value, what) in [(f32::NAN, "NaN"), (f32::INFINITY, "inf")] {
            match (at, &mut bench.data.train.target) {
                (Some(at), _) => bench.data.train.x[at] = value,
                (None, Some(Target::Numbers(y))) => y[0] = value,
                _ => unreachable!(),
            }
            assert_diverges(device, &bench, &format!("{column} = {what}"));
        }
    }
}
