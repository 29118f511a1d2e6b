//! Processes that were forked: they have none of the threads that compute, and would wait for them forever.

use std::sync::OnceLock;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

/// The process that first computed.
static PROCESS: OnceLock<u32> = OnceLock::new();

/// Refuses to compute in a process that was forked from one that did.
///
/// # Errors
/// What to do instead.
pub fn unforked() -> PyResult<()> {
    let now = std::process::id();
    if *PROCESS.get_or_init(|| now) == now {
        return Ok(());
    }
    let reason = "this process was forked from one in which Gridlight computed, and has none of its threads; start it by \
                  \"spawn\" or \"forkserver\", for example with multiprocessing.get_context(\"spawn\")";
    Err(PyRuntimeError::new_err(reason))
}
