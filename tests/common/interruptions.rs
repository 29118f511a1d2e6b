//! Training that is interrupted at chosen steps and resumed, on any device.

use std::path::{Path, PathBuf};

use gridlight::base::rng;
use gridlight::data::{Loaded, Target};
use gridlight::device::Device;
use gridlight::experiment::Experiment;
use gridlight::run::job::Options;
use gridlight::run::trainer;
use gridlight::train::checkpoint;
use gridlight::train::events::{Event, Observer, Tick};
use gridlight::train::{ErrorKind, TrainError};

use crate::synthetic;

/// Interrupts at a step and records notes.
#[derive(Default)]
pub struct Interrupter {
    pub at: Option<u64>,
    pub notes: Vec<String>,
    step: u64,
}

impl Interrupter {
    /// Interrupts at step `at`, if at all.
    #[allow(dead_code, reason = "each test binary compiles this module, not all need it")]
    pub fn at(at: Option<u64>) -> Self {
        Self { at, ..Self::default() }
    }
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

/// 128 steps, with clipping and a schedule.
const LONG: &str = "epochs = 8\nbatch_size = 16\nclip_norm = 1.0\nschedule = { type = \"cosine\" }\n";

/// Every model family, plus recurrent networks on text, which carry their states from step to step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    Mlp,
    Cnn,
    Rnn,
    Text,
    Vae,
    Gan,
}

/// Every model family.
#[allow(dead_code, reason = "each test binary compiles this module, not all need it")]
const FAMILIES: [Family; 6] = [Family::Mlp, Family::Cnn, Family::Rnn, Family::Text, Family::Vae, Family::Gan];

/// A text of words of random length, in each of which the letters follow the alphabet.
fn words(characters: usize) -> String {
    let word = |at: u32| {
        let random = rng::word([8, 3], 0, 0, at);
        "abcdefghij".chars().skip((random % 5) as usize).take(1 + (random >> 8) as usize % 5).chain([' '])
    };
    (0..).flat_map(word).take(characters).collect()
}

/// CSV of images of 6 x 6 pixels, columns `p0` to `p35`, with stripes of random phase; `label` is their
/// direction.
fn stripes(rows: u32) -> String {
    let mut text: String = (0..36).map(|pixel| format!("p{pixel},")).collect();
    text += "label\n";
    for row in 0..rows {
        let (upright, phase) = (row % 2 == 0, row / 2 % 4);
        for pixel in 0..36 {
            let along = if upright { pixel % 6 } else { pixel / 6 };
            let noise = rng::normal(rng::word([8, 2], pixel, 0, row));
            let light = if (along + phase) / 2 % 2 == 0 { 1.0 } else { 0.0 };
            text += &format!("{},", light + 0.1 * noise);
        }
        text += if upright { "upright\n" } else { "lying\n" };
    }
    text
}

/// A table, an experiment on it, and a directory for runs.
pub struct Bench {
    directory: tempfile::TempDir,
    pub experiment: Experiment,
    pub data: Loaded,
}

impl Bench {
    #[allow(dead_code, reason = "each test binary compiles this module, not all need it")]
    /// 128 steps, 16 per epoch, with noise, dropout, batch norm, clipping and a schedule.
    pub fn new() -> Self {
        Self::with(LONG)
    }

    /// The same with other keys in `[train]`.
    pub fn with(train: &str) -> Self {
        Self::of(Family::Mlp, train)
    }

    /// The same for one model family.
    pub fn of(family: Family, train: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let source = directory.path().join("table.csv");
        let (table, parts) = match family {
            Family::Mlp => (
                synthetic::table(430),
                "target = \"y\"\naugment = { noise = 0.1 }\n[model]\nhidden = [16]\ndropout = 0.1\n\
                 norm = \"batch\"\n",
            ),
            Family::Cnn => (
                stripes(430),
                "target = \"label\"\nimage = { shape = [1, 6, 6] }\n\
                 augment = { noise = 0.1, shift = 1, rotation = 10, flip_vertical = true }\n\
                 [model]\nfamily = \"cnn\"\nchannels = [4]\nhidden = [8]\ndropout = 0.1\nnorm = \"batch\"\n",
            ),
            Family::Rnn => (
                stripes(430),
                "target = \"label\"\nimage = { shape = [1, 6, 6] }\naugment = { noise = 0.1 }\n\
                 [model]\nfamily = \"rnn\"\nhidden = [6, 6]\nbidirectional = true\ndropout = 0.1\n",
            ),
            // 256 sequences for training.
            Family::Text => (
                words(3440),
                "text = { length = 8 }\n[model]\nfamily = \"rnn\"\nhidden = [6, 6]\ndropout = 0.1\n",
            ),
            Family::Vae => {
                (stripes(430), "exclude = [\"label\"]\n[model]\nfamily = \"vae\"\nhidden = [8]\nlatent = 2\n")
            }
            Family::Gan => (
                stripes(430),
                "target = \"label\"\nimage = { shape = [1, 6, 6] }\n[model]\nfamily = \"gan\"\nhidden = [8]\n\
                 channels = [4]\nlatent = 2\nnorm = \"batch\"\ndropout = 0.1\nconditional = true\n",
            ),
        };
        std::fs::write(&source, table).unwrap();
        let loss =
            if matches!(family, Family::Cnn | Family::Rnn) { "loss = \"cross_entropy\"\n" } else { "" };
        let by = if family == Family::Text { "order" } else { "random" };
        let text = format!(
            "name = \"bench\"\nseed = 3\n[data]\nsource = {:?}\n\
             split = {{ by = \"{by}\", validation = 0.2, test = 0.2 }}\n{parts}[train]\n{loss}{train}",
            source.to_str().unwrap()
        );
        let experiment = Experiment::parse(&text, "bench.toml", &[]).unwrap();
        let data = trainer::load_data(&experiment, Path::new("")).unwrap();
        Self { directory, experiment, data }
    }

    /// Writes `value` to the first training row: to feature `at`, or to the target.
    fn spoil(&mut self, at: Option<usize>, value: f32) {
        match (at, &mut self.data.train.target) {
            (Some(at), _) => self.data.train.x[at] = value,
            (None, Some(Target::Numbers(y))) => y[0] = value,
            _ => unreachable!(),
        }
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

    /// Trains until just after step `at` and returns the error of the interruption.
    pub fn interrupt(&self, device: &dyn Device, out: &str, at: u64, resume: bool) -> TrainError {
        // Events after every step limit groups to one step, so that the step is exact.
        let options = Options { log_every: Some(1), resume, ..self.options(out) };
        let mut observer = Interrupter { at: Some(at), ..Interrupter::default() };
        trainer::train(&self.experiment, &self.data, device, &options, &mut observer).unwrap_err()
    }

    /// Resumes to the end and returns the notes.
    pub fn resume(&self, device: &dyn Device, out: &str) -> Result<Vec<String>, TrainError> {
        let options = Options { resume: true, ..self.options(out) };
        let mut observer = Interrupter::default();
        trainer::train(&self.experiment, &self.data, device, &options, &mut observer)?;
        Ok(observer.notes)
    }

    /// All files of a run that must have the same bits: best weights, newest checkpoint, history.
    pub fn bits(&self, out: &str) -> Vec<Vec<u8>> {
        bits(&self.path(out))
    }
}

/// Like [`Bench::bits`], for any run.
pub fn bits(run: &Path) -> Vec<Vec<u8>> {
    let newest = checkpoint::list(&run.join("checkpoints")).pop().unwrap().1;
    [run.join("best.safetensors"), newest, run.join("metrics.csv")]
        .map(|p| std::fs::read(p).unwrap())
        .to_vec()
}

/// A run of any model family that is interrupted at steps 1, 37 and 100 of 128, separately and in sequence,
/// ends with the bits of an uninterrupted one.
#[allow(dead_code, reason = "each test binary compiles this module, not all need it")]
pub fn interrupted_runs_have_the_same_bits(device: &dyn Device) {
    for family in FAMILIES {
        let bench = Bench::of(family, LONG);
        bench.train(device, "whole").unwrap();
        let whole = bench.bits("whole");
        for at in [1, 37, 100] {
            let name = format!("stopped-{at}");
            let error = bench.interrupt(device, &name, at, false);
            assert!(
                matches!(error, TrainError::Interrupted { step, .. } if step == at),
                "{family:?}: {error}"
            );
            bench.resume(device, &name).unwrap();
            assert_eq!(bench.bits(&name), whole, "{family:?} interrupted at {at}");
        }
        for (number, at) in [1, 37, 100].into_iter().enumerate() {
            bench.interrupt(device, "often", at, number > 0);
        }
        bench.resume(device, "often").unwrap();
        assert_eq!(bench.bits("often"), whole, "{family:?} interrupted three times");
    }
}

/// The first non-finite step is named and is early, its first tensor is named too, and everything saved is
/// finite.
#[allow(dead_code, reason = "each test binary compiles this module, not all need it")]
fn assert_diverges(device: &dyn Device, bench: &Bench, what: &str) {
    let error = bench.train(device, "run").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Diverged, "{what}: {error}");
    let TrainError::Diverged { step, value, what: tensor, .. } = &error else { panic!("{what}: {error}") };
    assert!((1..=10).contains(step) && !value.is_finite(), "{what}: {error}");
    assert!(error.to_string().contains(&format!("at step {step}: the {tensor} is ")), "{what}: {error}");
    let saved = checkpoint::list(&bench.path("run/checkpoints"));
    assert!(!saved.is_empty(), "{what}");
    let mut names = vec!["training loss".to_string(), "training loss of the discriminator".to_string()];
    for (_, path) in saved {
        // Loading rejects non-finite numbers.
        let (tensors, _) = checkpoint::load(&path).unwrap();
        names.extend(tensors.into_iter().map(|(name, ..)| format!("tensor `{name}`")));
    }
    assert!(names.contains(tensor), "{what}: {error}");
}

/// A learning rate, feature or target that overflows or is not a number ends the run with its first bad step,
/// for every model family except the recurrent one.
#[allow(dead_code, reason = "each test binary compiles this module, not all need it")]
pub fn what_overflows_ends_the_run_at_once(device: &dyn Device) {
    // The gates of a recurrent network saturate, so its states stay finite whatever its weights.
    for family in FAMILIES.into_iter().filter(|family| ![Family::Rnn, Family::Text].contains(family)) {
        let optimizers: &[&str] =
            if family == Family::Mlp { &["sgd", "adam", "adamw", "rmsprop"] } else { &["sgd", "adam"] };
        for optimizer in optimizers {
            for every in ["", "checkpoint_every_steps = 1\n"] {
                let train =
                    format!("optimizer = \"{optimizer}\"\nlearning_rate = 1e30\nbatch_size = 16\n{every}");
                assert_diverges(device, &Bench::of(family, &train), &format!("{family:?} {train}"));
            }
        }
        let mut bench = Bench::of(family, "batch_size = 16\nepochs = 3\nshuffle = false\n");
        // In the middle of an image, so that no shift removes it.
        let feature = Some(if family == Family::Mlp { 0 } else { 14 });
        let target = matches!(bench.data.train.target, Some(Target::Numbers(_))).then_some(None);
        for at in [feature].into_iter().chain(target) {
            let before = bench.data.train.clone();
            // The number itself is within the range of f32, so a table with it is accepted, but its square is
            // not.
            for value in [3e38, f32::NAN, f32::INFINITY] {
                bench.spoil(at, value);
                assert_diverges(device, &bench, &format!("{family:?}, {at:?} is {value}"));
            }
            bench.data.train = before;
        }
    }
}
