//! An observer that ignores everything.

use gridlight::train::events::{Event, Observer, Tick};

/// Ignores all events and never interrupts.
pub struct Silent;

impl Observer for Silent {
    fn event(&mut self, _event: &Event) {}

    fn tick(&mut self, _tick: &Tick) {}

    fn note(&mut self, _text: &str) {}

    fn interrupted(&mut self) -> bool {
        false
    }
}
