//! Errors of the library as exceptions of `gridlight.errors`, by what the user can do about them.

use gridlight::base::config::ConfigError;
use gridlight::data::DataError;
use gridlight::data::table::given;
use gridlight::device::DeviceError;
use gridlight::train::{ErrorKind, TrainError};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

/// Why something was not done.
pub enum Failure {
    /// What the library says.
    Train(TrainError),
    /// What was given cannot be.
    Input(String),
    /// A file could not be written.
    File(String),
    /// What Python says.
    Python(PyErr),
}

impl From<TrainError> for Failure {
    fn from(error: TrainError) -> Self {
        Self::Train(error)
    }
}

impl From<DeviceError> for Failure {
    fn from(error: DeviceError) -> Self {
        Self::Train(error.into())
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::Train(error.into())
    }
}

impl From<PyErr> for Failure {
    fn from(error: PyErr) -> Self {
        Self::Python(error)
    }
}

impl From<Failure> for PyErr {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Python(error) => error,
            Failure::Input(text) => input(text),
            Failure::File(text) => raise("FileError", text),
            Failure::Train(error) => raise(name(error.kind()), told(&error)),
        }
    }
}

/// The exception for what was given and cannot be.
pub fn input(text: impl Into<String>) -> PyErr {
    raise("InputError", text.into())
}

fn name(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Input => "InputError",
        ErrorKind::Diverged => "DivergedError",
        ErrorKind::Device => "DeviceError",
        ErrorKind::File => "FileError",
        ErrorKind::Interrupted => "Interrupted",
    }
}

/// An exception of `gridlight.errors`.
fn raise(name: &str, text: String) -> PyErr {
    Python::attach(|py| {
        let class = py.import("gridlight.errors").and_then(|module| module.getattr(name));
        match class.and_then(|class| class.call1((text.clone(),))) {
            Ok(exception) => PyErr::from_value(exception),
            Err(_) => PyRuntimeError::new_err(text),
        }
    })
}

/// Flags of the program that messages name, and what they are called here.
const NAMES: [(&str, &str); 4] = [
    ("--set ", "set "),
    ("--coverage", "coverage"),
    ("--dropout-samples", "dropout_samples"),
    ("--resume", "resume=True"),
];

/// The text of an error; a frame has rows, not lines, and no header.
fn told(error: &TrainError) -> String {
    let of_frame = matches!(
        error,
        TrainError::Data(
            DataError::MissingColumn { .. }
                | DataError::DuplicateColumn { .. }
                | DataError::TooManyColumns { .. }
        )
    );
    let text = NAMES.iter().fold(error.to_string(), |text, (flag, name)| text.replace(flag, name));
    [given::ROWS, given::FUTURE].iter().fold(text, |text, name| {
        let called = name.trim_matches(['<', '>']);
        if of_frame {
            return text.replace(&format!("{name}:1: "), &format!("{called}: "));
        }
        match text.contains(name) {
            true => rows_for_lines(&with_rows(&text, name, called).replace(name, called)),
            false => text,
        }
    })
}

/// `line 3` as `row 3`.
fn rows_for_lines(text: &str) -> String {
    let mut parts = text.split("line ");
    let first = parts.next().unwrap_or_default().to_string();
    parts.fold(first, |found, part| {
        let word = if part.starts_with(|c: char| c.is_ascii_digit()) { "row" } else { "line" };
        found + word + " " + part
    })
}

/// `<frame>:3: ` as `frame, row 3: `.
fn with_rows(text: &str, name: &str, called: &str) -> String {
    let named = format!("{name}:");
    let mut parts = text.split(&named);
    let mut found = parts.next().unwrap_or_default().to_string();
    for part in parts {
        found += &match part.split_once(": ") {
            Some((row, _)) if !row.is_empty() && row.bytes().all(|b| b.is_ascii_digit()) => {
                format!("{called}, row {part}")
            }
            _ => format!("{called}:{part}"),
        };
    }
    found
}
