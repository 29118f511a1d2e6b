//! What a study has come to: the best trial, which settings matter, and the page.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::journal::{Ended, Journal, State, Trial};
use crate::experiment::study::{Searched, Study};
use crate::report::study::{Axis, Page, Part, Trial as Shown};
use crate::search::importance::importance;
use crate::search::{Domain, Parameter, Setting};
use crate::train::TrainError;

/// The best trial.
#[derive(Clone, Debug, PartialEq)]
pub struct Best {
    /// Its number, from 1.
    pub trial: usize,
    /// Its metric.
    pub value: f64,
    /// Epochs it was trained.
    pub epochs: usize,
    /// The keys with their values.
    pub settings: Map<String, Value>,
    /// The numbers of the setting.
    pub numbers: Setting,
}

/// What a study has come to.
#[derive(Clone, Debug)]
pub struct Found {
    /// Its directory.
    pub directory: PathBuf,
    /// All trials in order.
    pub trials: Vec<Trial>,
    /// The parts of their trainings, in the order of time.
    pub course: Vec<Ended>,
    /// The best one; `None` if all failed.
    pub best: Option<Best>,
    /// The part of the variance that each key alone explains, in the order of the study's keys; empty if too little
    /// was tried.
    pub importance: Vec<f64>,
}

/// What is to be small: the metric, or its negative where larger is better; infinite if a trial failed.
pub(super) fn loss(study: &Study, part: &Ended) -> f64 {
    match part.value {
        Some(value) if study.larger_is_better() => -value,
        Some(value) => value,
        None => f64::INFINITY,
    }
}

impl Found {
    /// Without the importance of keys.
    pub(super) fn new(study: &Study, directory: &Path, journal: &Journal) -> Self {
        let trials = &journal.trials;
        let best = ranked(study, trials).first().and_then(|trial| {
            let last = trial.last()?;
            Some(Best {
                trial: trial.proposed.trial,
                value: last.value?,
                epochs: last.epochs,
                settings: trial.proposed.settings.clone(),
                numbers: trial.proposed.numbers.clone(),
            })
        });
        let (directory, course) = (directory.into(), journal.course.clone());
        Self { directory, trials: trials.clone(), course, best, importance: vec![] }
    }

    /// With the importance of each key: of the losses at the rung that most trials have come to, so that equal
    /// trainings are compared.
    pub(super) fn weighed(mut self, study: &Study) -> Self {
        let at = |level: usize| -> Vec<(&Setting, f64)> {
            let of = |trial: &'_ Trial| {
                let part = trial.parts.iter().find(|part| part.level == level);
                part.map_or(f64::INFINITY, |part| loss(study, part))
            };
            let all = self.trials.iter().map(|trial| (&trial.proposed.numbers, of(trial)));
            all.filter(|(_, loss)| loss.is_finite()).collect()
        };
        let levels = (0..study.scheduler.rungs.len()).map(at);
        let most = levels.max_by_key(Vec::len).unwrap_or_default();
        self.importance = importance(&study.space, &most).unwrap_or_default();
        self
    }

    /// The trials, the best first: those that were trained longer, then those that failed, come later.
    pub fn ranked(&self, study: &Study) -> Vec<&Trial> {
        ranked(study, &self.trials)
    }

    /// Refuses a study in which no trial came to anything.
    pub(super) fn check(&self) -> Result<(), TrainError> {
        if self.best.is_some() || self.trials.is_empty() {
            return Ok(());
        }
        let parts = || self.trials.iter().filter_map(Trial::last);
        let reason = parts().find_map(|part| part.reason.clone()).unwrap_or_default();
        let diverged = parts().any(|part| part.state == State::Diverged);
        Err(TrainError::StudyFailed { trials: self.trials.len(), diverged, reason })
    }

    /// The page.
    pub(super) fn page(&self, study: &Study) -> String {
        let axis = |(searched, parameter): (&Searched, &Parameter)| Axis {
            name: searched.key.clone(),
            choices: searched.choices.iter().map(ToString::to_string).collect(),
            logarithmic: matches!(parameter.domain, Domain::Number { log: true, .. }),
            ends: match parameter.domain {
                Domain::Number { low, high, .. } => (low, high),
                Domain::Choice { count } => (0.0, count as f64 - 1.0),
            },
        };
        let trial = |trial: &Trial| {
            let (last, numbers) = (trial.last(), &trial.proposed.numbers);
            let place = |(value, parameter): (&Option<f64>, &Parameter)| {
                value.map(|value| parameter.domain.part(value))
            };
            Shown {
                number: trial.proposed.trial,
                state: last.map_or("begun", |part| part.state.name()),
                value: last.and_then(|part| part.value),
                finished: last.is_some_and(|part| part.state == State::Finished),
                epochs: last.map_or(0, |part| part.epochs),
                seconds: trial.parts.iter().map(|part| part.seconds).sum(),
                numbers: numbers.clone(),
                places: numbers.iter().zip(&study.space).map(place).collect(),
            }
        };
        Page {
            name: &study.name,
            metric: &study.metric,
            larger_is_better: study.larger_is_better(),
            rows: study.folds.map_or_else(|| "validation rows".into(), |folds| format!("{folds} folds")),
            axes: study.keys.iter().zip(&study.space).map(axis).collect(),
            trials: self.trials.iter().map(trial).collect(),
            parts: self.parts(),
            best: self.best.as_ref().map(|best| best.trial),
            importance: &self.importance,
        }
        .html()
    }

    /// The parts of all trainings in the order of time.
    fn parts(&self) -> Vec<Part> {
        let (mut spent, mut parts) = (0, vec![]);
        let mut trained = vec![0; self.trials.len() + 1];
        for ended in &self.course {
            spent += ended.epochs.saturating_sub(trained[ended.trial]);
            trained[ended.trial] = ended.epochs;
            let finished = ended.state == State::Finished;
            parts.extend(ended.value.map(|value| Part { spent, value, finished }));
        }
        parts
    }
}

fn ranked<'a>(study: &Study, trials: &'a [Trial]) -> Vec<&'a Trial> {
    let mut sorted: Vec<&Trial> = trials.iter().filter(|trial| !trial.parts.is_empty()).collect();
    sorted.sort_by(|a, b| {
        let rank = |trial: &Trial| {
            let last = trial.last();
            let failed = last.is_none_or(|part| part.value.is_none());
            (failed, std::cmp::Reverse(last.map_or(0, |part| part.level)))
        };
        let loss = |trial: &Trial| trial.last().map_or(f64::INFINITY, |part| loss(study, part));
        rank(a).cmp(&rank(b)).then(loss(a).total_cmp(&loss(b)))
    });
    sorted
}
