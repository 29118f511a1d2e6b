//! A small table, an experiment on it, and an observer that keeps what it is told.

use std::path::{Path, PathBuf};

use gridlight::data::Loaded;
use gridlight::device::cpu::CpuDevice;
use gridlight::experiment::Experiment;
use gridlight::run::job::{Options, Outcome};
use gridlight::run::trainer;
use gridlight::train::TrainError;
use gridlight::train::events::{Event, Observer, Tick};

use crate::synthetic;

/// Keeps events and interrupts after some steps.
#[derive(Default)]
pub struct Recorder {
    pub events: Vec<serde_json::Value>,
    pub notes: Vec<String>,
    pub steps: u64,
    pub interrupt_at: Option<u64>,
}

impl Observer for Recorder {
    fn event(&mut self, event: &Event) {
        self.events.push(serde_json::to_value(event).unwrap());
    }

    fn tick(&mut self, tick: &Tick) {
        self.steps = tick.step;
    }

    fn note(&mut self, text: &str) {
        self.notes.push(text.into());
    }

    fn interrupted(&mut self) -> bool {
        self.interrupt_at.is_some_and(|at| self.steps >= at)
    }
}

/// A table and an experiment on it, in a directory.
pub struct Bench {
    pub directory: tempfile::TempDir,
    pub experiment: Experiment,
    pub data: Loaded,
}

impl Bench {
    pub fn new(rows: u32, train: &str) -> Self {
        Self::with_table(&synthetic::table(rows), train)
    }

    pub fn with_table(table: &str, train: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let source = directory.path().join("table.csv");
        std::fs::write(&source, table).unwrap();
        let text = format!(
            "name = \"bench\"\nseed = 3\n[data]\nsource = {:?}\ntarget = \"y\"\n[data.split]\n\
             by = \"random\"\nvalidation = 0.2\ntest = 0.2\n{train}",
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
        Options { out: self.path(out), ..Options::default() }
    }

    pub fn train(&self, options: &Options, recorder: &mut Recorder) -> Result<Outcome, TrainError> {
        let device = CpuDevice::new(Some(2));
        trainer::train(&self.experiment, &self.data, &device, options, recorder)
    }

    /// All files of a run that must have the same bits: the best weights, the newest checkpoint, the history.
    pub fn bits(&self, out: &str) -> Vec<Vec<u8>> {
        let run = self.path(out);
        let checkpoints = gridlight::train::checkpoint::list(&run.join("checkpoints"));
        let newest = &checkpoints.last().unwrap().1;
        [&run.join("best.safetensors"), newest, &run.join("metrics.csv")]
            .map(|p| std::fs::read(p).unwrap())
            .to_vec()
    }
}

pub const SHORT: &str = "[data.augment]\nnoise = 0.1\n[model]\nhidden = [16]\ndropout = 0.1\n\
    norm = \"batch\"\n[train]\nepochs = 4\nbatch_size = 16\n";
