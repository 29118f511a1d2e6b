//! What a run is used for: predictions, evaluations, exports.

use std::path::{Path, PathBuf};

use gridlight::base::number::Number;
use gridlight::data::Loaded;
use gridlight::data::table::Table;
use gridlight::data::table::given::{self, Loan};
use gridlight::device::open::open;
use gridlight::experiment::Experiment;
use gridlight::run::audit::Record;
use gridlight::run::directory::{HistoryRow, RunDirectory, experiment_of};
use gridlight::run::evaluate::{Evaluation, Extras, Request, evaluate_as, evaluate_loaded, predictions_with};
use gridlight::run::export::{Format, onnx, safetensors};
use gridlight::run::list::list;
use gridlight::run::{manifest, trainer};
use gridlight::tasks::Input;
use gridlight::train::TrainError;
use gridlight::train::{checkpoint, history, output};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};
use serde_json::json;

use crate::failure::{Failure, input};
use crate::forked::unforked;
use crate::frame::Frame;
use crate::training::device_of;

/// The rows of a frame, and their digest.
type Rows = (Table, String);

fn taken(frame: Option<&Bound<'_, Frame>>) -> Option<Rows> {
    frame.map(|frame| frame.borrow_mut().take())
}

fn lend(name: &'static str, rows: Option<Rows>) -> Option<Loan> {
    rows.map(|(table, digest)| given::give(name, table, digest))
}

/// Predictions of a run for the rows of a frame or a file: titles, columns (texts as a list, numbers as the bytes of
/// doubles), and what there is to know of them.
#[pyfunction]
#[pyo3(signature = (run, device, frame=None, file=None, future=None, coverage=None, dropout_samples=0, novelty=false))]
#[allow(clippy::too_many_arguments, reason = "keywords in Python")]
pub fn predict<'py>(
    py: Python<'py>,
    run: PathBuf,
    device: &str,
    frame: Option<&Bound<'py, Frame>>,
    file: Option<PathBuf>,
    future: Option<&Bound<'py, Frame>>,
    coverage: Option<f64>,
    dropout_samples: u32,
    novelty: bool,
) -> PyResult<(Vec<String>, Bound<'py, PyList>, Option<String>)> {
    unforked()?;
    let choice = device_of(device)?;
    let (rows, to_come) = (taken(frame), taken(future));
    let predict = || -> Result<_, TrainError> {
        let exact = experiment_of(&run)?.train.exact;
        let device = open(choice, exact)?;
        let file = file.unwrap_or_else(|| given::ROWS.into());
        let future = to_come.is_some().then(|| Path::new(given::FUTURE));
        let _loans = (lend(given::ROWS, rows), lend(given::FUTURE, to_come));
        let extras = Extras { keep: None, coverage, dropout_samples, novelty };
        predictions_with(&run, Input { file: &file, future }, &extras, &*device)
    };
    let table = py.detach(predict).map_err(Failure::Train)?;
    let columns = PyList::empty(py);
    for (at, is_text) in table.texts.iter().enumerate() {
        let cells = table.lines.iter().map(|line| line.get(at).map_or("", String::as_str));
        match is_text {
            true => columns.append(PyList::new(py, cells)?)?,
            false => {
                let number = |cell: &str| cell.parse::<f64>().unwrap_or(f64::NAN);
                let bytes: Vec<u8> = cells.flat_map(|cell| number(cell).to_ne_bytes()).collect();
                columns.append(PyBytes::new(py, &bytes))?;
            }
        }
    }
    Ok((table.titles, columns, table.note))
}

/// Loss and metrics of a run, as JSON: for the rows of a frame or a file, or a split of the run's data, which are those
/// of the frame if both are given.
#[pyfunction]
#[pyo3(signature = (run, device, frame=None, file=None, split=None, coverage=None))]
pub fn evaluate(
    py: Python<'_>,
    run: PathBuf,
    device: &str,
    frame: Option<&Bound<'_, Frame>>,
    file: Option<PathBuf>,
    split: Option<&str>,
    coverage: Option<f64>,
) -> PyResult<String> {
    unforked()?;
    let choice = device_of(device)?;
    let mut experiment = experiment_of(&run).map_err(Failure::Train)?;
    if let (Some(frame), Some(_)) = (frame, split) {
        frame.borrow_mut().adapt(&mut experiment);
    }
    let rows = taken(frame);
    let found = py.detach(|| -> Result<Evaluation, TrainError> {
        let device = open(choice, experiment.train.exact)?;
        match (rows, split) {
            (Some(rows), Some(_)) => {
                let rows_again = coverage.is_some().then(|| rows.clone());
                let data = again(&run, &experiment, rows)?;
                if rows_again.is_none() {
                    return evaluate_loaded(&run, &data, split, &*device);
                }
                let _loan = lend(given::ROWS, rows_again);
                evaluate_as(&run, &Request { split, coverage, ..Request::default() }, &*device)
            }
            (rows, _) => {
                let file = rows.is_some().then(|| PathBuf::from(given::ROWS)).or(file);
                let _loan = lend(given::ROWS, rows);
                let request = Request { file: file.as_deref(), split, coverage, ..Request::default() };
                evaluate_as(&run, &request, &*device)
            }
        }
    });
    let found = found.map_err(Failure::Train)?;
    serde_json::to_string(&found).map_err(|e| input(e.to_string()))
}

/// The data of a run of a frame again, from the rows of a frame.
fn again(run: &Path, experiment: &Experiment, rows: Rows) -> Result<Loaded, TrainError> {
    if !given::is_name(Path::new(&experiment.data.source)) {
        let reason = format!(
            "{}: the run was trained on {}, whose split needs no frame; leave the frame out, or `split`, to evaluate all rows \
             of the frame",
            run.display(),
            experiment.data.source
        );
        return Err(TrainError::Input(reason));
    }
    let _loan = lend(given::ROWS, Some(rows));
    let data = trainer::load_data(experiment, Path::new(""))?;
    let first = if manifest::is_ensemble(run) { manifest::member(run, 0) } else { run.into() };
    let meta = checkpoint::load(&RunDirectory::open(&first)?.best())?.1;
    if meta.is_none_or(|meta| meta.data_digest == data.digest) {
        return Ok(data);
    }
    let reason = "the frame is not the one that the run was trained on, so that its split would be another one; without \
                  `split`, all of its rows are evaluated";
    Err(TrainError::Input(reason.into()))
}

/// What is known of a run without its data, as JSON.
#[pyfunction]
pub fn about(run: PathBuf) -> PyResult<String> {
    let first = if manifest::is_ensemble(&run) { manifest::member(&run, 0) } else { run };
    let directory = RunDirectory::open(&first).map_err(Failure::Train)?;
    let (experiment, best) = (directory.experiment().map_err(Failure::Train)?, directory.best());
    let history = history::read_all(&directory.history()).map_err(Failure::Train)?;
    let record = Record::read(&directory).map_err(Failure::Train)?;
    let listed = list(&first).map_err(Failure::Train)?;
    let fitted = match best.exists() {
        true => checkpoint::load(&best).map_err(Failure::Train)?.1.map(|meta| meta.fitted),
        false => None,
    };
    let targets = fitted.as_ref().map(|fitted| fitted.target.columns()).unwrap_or_default();
    let classes = fitted.as_ref().map(|fitted| fitted.target.classes()).unwrap_or_default();
    let typed = targets.first().and_then(|name| experiment.data.types.get(*name));
    let about = json!({
        "name": experiment.name,
        "state": listed.first().map(|run| run.state),
        "experiment": experiment.resolved(),
        "trained": fitted.is_some(),
        "targets": targets,
        "classes": classes,
        "target_type": typed,
        "from_frame": given::is_name(Path::new(&experiment.data.source)),
        "best_epoch": listed.first().and_then(|run| run.best_epoch),
        "history": history.iter().map(epoch).collect::<Vec<_>>(),
        "test": record.map(|record| record.test).unwrap_or_default(),
    });
    Ok(about.to_string())
}

/// An epoch of a run, as `train --json` tells it.
fn epoch(row: &HistoryRow) -> serde_json::Value {
    json!({
        "epoch": row.epoch,
        "step": row.step,
        "learning_rate": row.learning_rate,
        "train_loss": Number(row.train_loss),
        "validation": row.validation,
    })
}

/// Writes a trained model to a file: ONNX or its weights, by the file's ending.
#[pyfunction]
#[pyo3(signature = (run, file, raw=false))]
pub fn export(py: Python<'_>, run: PathBuf, file: PathBuf, raw: bool) -> PyResult<()> {
    let Some(format) = Format::of(&file) else {
        return Err(input(format!("{}: expected a file that ends in .onnx or .safetensors", file.display())));
    };
    let written = py.detach(|| {
        let bytes = match format {
            Format::Onnx => onnx(&run, raw)?.bytes,
            Format::Safetensors => safetensors(&run)?,
        };
        output::write(&file, &bytes)
    });
    Ok(written.map_err(Failure::Train)?)
}
