//! Progress of several models that train at the same time: one bar for the steps of all, and a line when one is done.

use std::collections::HashSet;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gridlight::base::number::shown;
use gridlight::train::events::{Event, Observer, Tick};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use super::progress::{is_terminal, tell_above};
use super::{Failure, output, signals};

/// What is told of each model.
#[derive(Clone, Copy, PartialEq)]
enum Telling {
    /// Its events, as JSON lines on standard output.
    Events,
    /// Its end and its notes, on standard error.
    Lines,
    /// Notes alone, and only once where several have the same.
    Notes,
}

/// What all models' observers share.
struct Board {
    telling: Telling,
    told: HashSet<String>,
    bar: ProgressBar,
    /// Done and planned steps of each model; none before its first.
    steps: Vec<Option<(u64, u64)>>,
    done: usize,
    /// Why standard output no longer takes events. Training goes on without them.
    lost: Option<std::io::Error>,
}

/// Prints the events of several models.
#[derive(Clone)]
pub struct Together(Arc<Mutex<Board>>);

impl Together {
    /// For `models` of them: JSON lines on standard output, or text on standard error.
    pub fn new(models: usize, json: bool) -> Self {
        Self::telling(if json { Telling::Events } else { Telling::Lines }, models)
    }

    /// For trials of a study, of which only the progress and new notes are shown.
    pub fn of_study() -> Self {
        Self::telling(Telling::Notes, 0)
    }

    /// Goes on with `models` other models.
    pub fn begin(&self, models: usize) {
        let mut board = self.board();
        board.steps = vec![None; models];
        board.done = 0;
        board.bar.set_message(format!("0/{models}"));
        board.bar.reset();
    }

    fn telling(telling: Telling, models: usize) -> Self {
        signals::listen();
        let bar = if is_terminal() { ProgressBar::new(0) } else { ProgressBar::hidden() };
        let template = "{msg} models done {bar:32} {pos}/{len} steps  {per_sec}  {eta} left";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_message(format!("0/{models}"));
        Self(Arc::new(Mutex::new(Board {
            telling,
            told: HashSet::new(),
            bar,
            steps: vec![None; models],
            done: 0,
            lost: None,
        })))
    }

    /// The observer of model `number`, which writes to the run directory `run`.
    pub fn of(&self, number: usize, run: &Path) -> OneOf {
        OneOf { board: self.clone(), number, run: run.display().to_string() }
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// To be called at the end.
    ///
    /// # Errors
    /// If standard output did not take all events.
    pub fn finish(&self) -> Result<(), Failure> {
        let board = self.board();
        board.bar.finish_and_clear();
        board.lost.as_ref().map_or(Ok(()), |e| Err(output::lost(e)))
    }
}

impl Board {
    fn line(&self, text: String) {
        if self.telling != Telling::Events {
            tell_above(&self.bar, text);
        }
    }

    /// A note, of the model with the run directory `run` or of all.
    fn note(&mut self, run: Option<&str>, text: &str) {
        match (self.telling, run) {
            (Telling::Notes, _) if self.told.insert(text.into()) => self.line(text.into()),
            (Telling::Notes, _) => {}
            (_, Some(run)) => self.line(format!("{run}: {text}")),
            (_, None) => self.line(text.into()),
        }
    }

    /// Shows the steps of all models. Those that have not begun have as many as the others on average.
    fn show(&self) {
        let begun: Vec<(u64, u64)> = self.steps.iter().flatten().copied().collect();
        let planned: u64 = begun.iter().map(|(_, planned)| planned).sum();
        let length = planned * self.steps.len() as u64 / begun.len().max(1) as u64;
        if self.bar.length() != Some(length) {
            self.bar.set_length(length);
        }
        self.bar.set_position(begun.iter().map(|(done, _)| done).sum());
    }
}

/// The observer of one model.
pub struct OneOf {
    board: Together,
    number: usize,
    run: String,
}

impl Observer for OneOf {
    fn event(&mut self, event: &Event) {
        let mut board = self.board.board();
        if board.telling == Telling::Events && board.lost.is_none() {
            let mut value = serde_json::to_value(event).unwrap_or_default();
            if let Value::Object(fields) = &mut value {
                fields.insert("run".into(), json!(self.run));
            }
            board.lost = output::write(&value.to_string()).err();
        }
        match event {
            // A model that goes on after its device was lost, or from a checkpoint.
            Event::Start { resumed_from_step, steps_per_epoch, .. } if *resumed_from_step > 0 => {
                let planned = board.steps[self.number].map_or(*steps_per_epoch, |(_, planned)| planned);
                let planned = planned.max(*resumed_from_step);
                board.steps[self.number] = Some((*resumed_from_step, planned));
            }
            Event::End { best_epoch, best, steps, .. } => {
                board.done += 1;
                let message = format!("{}/{}", board.done, board.steps.len());
                board.bar.set_message(message);
                // Fewer than planned if it stopped early.
                board.steps[self.number] = Some((*steps, *steps));
                if board.telling == Telling::Lines {
                    let numbers: Vec<String> =
                        best.0.iter().map(|(name, x)| format!("{name} {}", shown(*x))).collect();
                    let numbers = numbers.join("  ");
                    board.line(format!("{}: best epoch {best_epoch}: validation {numbers}", self.run));
                }
                board.show();
            }
            Event::Start { .. } | Event::Epoch { .. } | Event::Step { .. } => {}
        }
    }

    fn tick(&mut self, tick: &Tick) {
        let mut board = self.board.board();
        board.steps[self.number] = Some((tick.step, tick.steps));
        board.show();
    }

    fn note(&mut self, text: &str) {
        self.board.board().note(Some(&self.run), text);
    }

    fn interrupted(&mut self) -> bool {
        signals::asked()
    }
}

/// Notes that concern all models.
impl Observer for Together {
    fn note(&mut self, text: &str) {
        self.board().note(None, text);
    }

    fn interrupted(&mut self) -> bool {
        signals::asked()
    }
}
