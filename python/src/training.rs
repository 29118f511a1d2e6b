//! Training, for `gridlight.train`.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use gridlight::base::config::ConfigError;
use gridlight::base::target::Family;
use gridlight::data::config::RowsIn;
use gridlight::data::table::{Table, given};
use gridlight::device::open::{Installed, open};
use gridlight::device::tuning::Tuning;
use gridlight::device::{Device, DeviceChoice};
use gridlight::experiment::Experiment;
use gridlight::run::directory::RunDirectory;
use gridlight::run::job::Options;
use gridlight::run::recovery::Recovery;
use gridlight::run::trainer;
use gridlight::train::TrainError;
use pyo3::exceptions::PyKeyboardInterrupt;
use pyo3::prelude::*;

use crate::failure::{Failure, input};
use crate::forked::unforked;
use crate::frame::Frame;
use crate::watcher::Watcher;

/// How messages call an experiment that is no file.
const PLACE: &str = "experiment";
/// Time that measuring kernels may take at the start of a training, as in the program.
const TUNING: Duration = Duration::from_millis(1500);

/// Where an experiment is from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum From {
    File,
    Toml,
    Json,
}

/// Trains an experiment (`kind` is "file", "toml" or "json") and returns the run directory.
#[pyfunction]
#[pyo3(signature = (kind, text, overrides, frame=None, out=None, device="auto", resume=false, watcher=None, report=true))]
#[allow(clippy::too_many_arguments, reason = "keywords in Python")]
pub fn train(
    py: Python<'_>,
    kind: &str,
    text: &str,
    overrides: Vec<String>,
    frame: Option<&Bound<'_, Frame>>,
    out: Option<PathBuf>,
    device: &str,
    resume: bool,
    watcher: Option<Py<PyAny>>,
    report: bool,
) -> PyResult<String> {
    unforked()?;
    let choice = device_of(device)?;
    let from = match kind {
        "file" => From::File,
        "toml" => From::Toml,
        _ => From::Json,
    };
    let mut experiment = read(from, text, overrides, frame.is_some())?;
    let mut watcher = Watcher::new(watcher);
    let mut rows = None;
    if let Some(frame) = frame {
        let mut frame = frame.borrow_mut();
        frame.prepare(&mut experiment)?;
        rows = Some(frame.take());
    }
    let out = out.unwrap_or_else(|| PathBuf::from("runs").join(&experiment.name));
    keep_rows_where_they_were(&mut experiment, &out, resume);
    let path = out.display().to_string();
    let begin = |watcher: &mut Watcher| run(&experiment, rows, &out, choice, resume, report, watcher);
    let ended = py.detach(|| begin(&mut watcher));
    match (watcher.stop, ended) {
        // After a checkpoint was saved: what Python says, with how to go on.
        (Some(stop), Err(error @ TrainError::Interrupted { .. }))
            if stop.is_instance_of::<PyKeyboardInterrupt>(py) =>
        {
            Err(Failure::Train(error).into())
        }
        (Some(stop), _) => Err(stop),
        (None, Err(error)) => Err(Failure::Train(error).into()),
        (None, Ok(())) => Ok(path),
    }
}

/// The device that a text names.
pub fn device_of(text: &str) -> PyResult<DeviceChoice> {
    text.parse().map_err(|wrong: String| input(format!("device = \"{text}\": {wrong}")))
}

fn read(from: From, text: &str, mut overrides: Vec<String>, has_frame: bool) -> Result<Experiment, Failure> {
    if has_frame {
        // First, so that the others are read with it.
        overrides.insert(0, format!("data.source=\"{}\"", given::ROWS));
    }
    let (mut experiment, directory) = match from {
        From::File => {
            (Experiment::read(Path::new(text), &overrides)?, Experiment::directory(Path::new(text)))
        }
        From::Toml => (Experiment::parse_in(text, PLACE, Path::new(""), &overrides)?, PathBuf::new()),
        From::Json => {
            let text = toml_of(text)?;
            let read = Experiment::parse_in(&text, PLACE, Path::new(""), &overrides);
            (read.map_err(|error| with_its_line(error, &text))?, PathBuf::new())
        }
    };
    experiment.make_paths_absolute(&directory);
    if has_frame {
        experiment.data.source = given::ROWS.into();
    }
    Ok(experiment)
}

/// A dictionary of Python, as JSON, as TOML.
fn toml_of(json: &str) -> Result<String, Failure> {
    let wrong = |e: String| Failure::Input(format!("{PLACE}: the dictionary cannot be written as TOML: {e}"));
    let value: serde_json::Value = serde_json::from_str(json).map_err(|e| wrong(e.to_string()))?;
    toml::to_string(&value).map_err(|e| wrong(e.to_string()))
}

/// An error in a dictionary, with the line of the TOML that it became, which nobody else sees.
fn with_its_line(error: ConfigError, text: &str) -> ConfigError {
    let mut parts = error.place.split(':').skip(1);
    let line = parts
        .next()
        .and_then(|line| line.parse::<usize>().ok())
        .and_then(|line| text.lines().nth(line.saturating_sub(1)));
    match line {
        Some(line) => ConfigError { place: PLACE.into(), reason: format!("{} (`{line:.80}`)", error.reason) },
        None => error,
    }
}

/// Writes a value as JSON as one of TOML in a line, for `--set`.
#[pyfunction]
pub fn inline(json: &str) -> PyResult<String> {
    let wrong = |e: String| input(format!("the value {json} cannot be written as TOML: {e}"));
    let value: serde_json::Value = serde_json::from_str(json).map_err(|e| wrong(e.to_string()))?;
    toml::Value::try_from(value).map(|value| value.to_string()).map_err(|e| wrong(e.to_string()))
}

/// Rows on disk have an order of their own, in which a run goes on even if there is room by now.
fn keep_rows_where_they_were(experiment: &mut Experiment, out: &Path, resume: bool) {
    if resume && experiment.data.memory.rows == RowsIn::Auto {
        let begun = RunDirectory::open(out).and_then(|run| run.experiment());
        if begun.is_ok_and(|begun| begun.data.memory.rows == RowsIn::Disk) {
            experiment.data.memory.rows = RowsIn::Disk;
        }
    }
}

fn run(
    experiment: &Experiment,
    rows: Option<(Table, String)>,
    out: &Path,
    choice: DeviceChoice,
    resume: bool,
    report: bool,
    watcher: &mut Watcher,
) -> Result<(), TrainError> {
    let started = Instant::now();
    let data = {
        let _loan = rows.map(|(table, digest)| given::give(given::ROWS, table, digest));
        trainer::load_data(experiment, Path::new(""))?
    };
    let exact = experiment.train.exact;
    let mut installed = Installed { choice, exact };
    let mut recovery = Recovery::new(tuned(choice, exact)?, &mut installed);
    let options = Options {
        out: out.into(),
        resume,
        started: Some(started),
        without_report: !report,
        ..Options::default()
    };
    recovery.train(experiment, &data, &options, watcher).map(drop)
}

/// The device, which measures its kernels as in the program.
fn tuned(choice: DeviceChoice, exact: bool) -> Result<Box<dyn Device>, TrainError> {
    let mut device = open(choice, exact)?;
    device.set_tuning(match device.target().family {
        Family::Registers => Tuning::Known,
        _ => Tuning::Measure(TUNING),
    });
    Ok(device)
}
