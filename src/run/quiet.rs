//! An observer of trainings that are a part of something else.

use crate::train::events::{Event, Observer, Tick};

/// Forwards interrupts, progress and notes, but hides the events of the training.
pub(super) struct Quiet<'a>(pub(super) &'a mut dyn Observer);

impl Observer for Quiet<'_> {
    fn event(&mut self, _event: &Event) {}

    fn tick(&mut self, tick: &Tick) {
        self.0.tick(tick);
    }

    fn note(&mut self, text: &str) {
        self.0.note(text);
    }

    fn interrupted(&mut self) -> bool {
        self.0.interrupted()
    }
}
