//! What a training tells Python while it runs, and Ctrl-C.

use gridlight::train::events::{Event, Observer, Tick};
use pyo3::prelude::*;

/// Passes on to an object of Python, if there is one, what happens; and stops when Python has a signal, or that object
/// an exception.
pub struct Watcher {
    told: Option<Py<PyAny>>,
    /// Why training is to stop.
    pub stop: Option<PyErr>,
}

impl Watcher {
    pub fn new(told: Option<Py<PyAny>>) -> Self {
        Self { told, stop: None }
    }

    fn tell(&mut self, call: impl FnOnce(&Bound<'_, PyAny>) -> PyResult<()>) {
        let Some(told) = &self.told else { return };
        if let Err(error) = Python::attach(|py| call(told.bind(py))) {
            self.stop.get_or_insert(error);
        }
    }
}

impl Observer for Watcher {
    fn event(&mut self, event: &Event) {
        let text = serde_json::to_string(event).unwrap_or_default();
        self.tell(|told| told.call_method1("event", (text,)).map(drop));
    }

    fn tick(&mut self, tick: &Tick) {
        self.tell(|told| told.call_method1("tick", (tick.step, tick.steps, tick.epoch, tick.loss)).map(drop));
    }

    fn note(&mut self, text: &str) {
        self.tell(|told| told.call_method1("note", (text,)).map(drop));
    }

    fn interrupted(&mut self) -> bool {
        if self.stop.is_none() {
            // Signals come in the main thread; in any other this does nothing.
            self.stop = Python::attach(|py| py.check_signals()).err();
        }
        self.stop.is_some()
    }
}
