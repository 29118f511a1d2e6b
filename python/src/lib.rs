//! What the Python package `gridlight` is made of: trainings, runs and frames. The package itself is in `gridlight/`.

mod arrow;
mod buffers;
mod cells;
mod failure;
mod forked;
mod frame;
mod trained;
mod training;
mod watcher;

use pyo3::prelude::*;

/// The devices of this machine, as JSON.
#[pyfunction]
fn devices(py: Python<'_>) -> PyResult<String> {
    forked::unforked()?;
    let all = py.detach(gridlight::device::open::list);
    serde_json::to_string(&all).map_err(|e| failure::input(e.to_string()))
}

#[pymodule]
mod _gridlight {
    #[pymodule_export]
    use super::devices;
    #[pymodule_export]
    use super::frame::Frame;
    #[pymodule_export]
    use super::trained::{about, evaluate, export, predict};
    #[pymodule_export]
    use super::training::{inline, train};

    #[pymodule_export]
    const VERSION: &str = env!("CARGO_PKG_VERSION");
}
