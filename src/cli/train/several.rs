//! `gridlight train --seeds`, `--folds` and `--ensemble`: several models of one experiment, trained at the same time.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use gridlight::data::Loaded;
use gridlight::device::open::Installed;
use gridlight::experiment::Experiment;
use gridlight::run;
use gridlight::run::ensemble::{Ensemble, Member};
use gridlight::run::evaluate::Evaluation;
use gridlight::run::many::{self, Done, ManyJob, ManyOptions, Split};
use gridlight::run::recovery::Recovery;
use gridlight::run::trainer;
use gridlight::train::{ErrorKind, TrainError};

use super::super::output::{print, print_json};
use super::super::together::{OneOf, Together};
use super::super::{Failure, advice, evaluate, exit_code, inspect, summary, tell};
use super::{NO_STEPS, Train, command_to_go_on};

/// The seeds of several models.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seeds(Range<u64>);

/// Most models of one command.
const MOST: u64 = 1000;
/// Folds that train at the same time: each has data of its own in memory.
const FOLDS: usize = 16;

impl std::str::FromStr for Seeds {
    type Err = String;

    /// `N` for seeds 0 to N - 1, or `FIRST..END`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (first, end) = text.split_once("..").unwrap_or(("0", text));
        let number = |text: &str| text.trim().parse::<u64>().ok();
        let (Some(first), Some(end)) = (number(first), number(end)) else {
            return Err("expected a number of seeds, or FIRST..END".into());
        };
        match end.checked_sub(first) {
            Some(1..=MOST) => Ok(Self(first..end)),
            _ => Err(format!("expected 1 to {MOST} seeds, FIRST before END")),
        }
    }
}

/// A model to train: what it is called in the table, and how.
struct Planned {
    name: String,
    job: ManyJob<'static>,
}

impl Train {
    /// Trains and judges one model for each seed.
    pub(super) fn train_seeds(&self, seeds: &Seeds, started: Instant) -> Result<(), Failure> {
        let experiment = self.read(&self.overrides())?;
        if self.max_steps == Some(0) {
            return Err(Failure::input(NO_STEPS));
        }
        let out = self.out_of(&experiment);
        let models = (seeds.0.end - seeds.0.start) as usize;
        let board = Together::new(models, self.json);
        let data = Arc::new(trainer::load_data(&experiment, &PathBuf::new())?);
        if !self.quiet {
            tell(inspect::text(&data.understood).trim_end());
        }
        let mut plan = |number: usize| {
            let seed = seeds.0.start + number as u64;
            let out = out.join(format!("seed-{seed}"));
            let mut experiment = experiment.clone();
            experiment.seed = seed;
            let observer = Box::new(board.of(number, &out));
            Ok(Planned { name: seed.to_string(), job: self.job(experiment, data.clone(), out, observer) })
        };
        let exact = experiment.train.exact;
        let options = ManyOptions { evaluates: Some(Split::Usual), ..self.common(started) };
        let trained = self.train_several(models, models, &mut plan, exact, &options, &board)?;
        self.show_several("seed", trained, &out, &board)
    }

    /// Trains and tests one model for each fold.
    pub(super) fn cross_validate(&self, folds: u64, started: Instant) -> Result<(), Failure> {
        let overrides = self.overrides();
        let experiment = self.read(&overrides)?;
        let out = self.out_of(&experiment);
        let models = (folds * self.repeats) as usize;
        let board = Together::new(models, self.json);
        // Refused before anything is read.
        run::folds::split(&experiment, folds, [0, self.repeats - 1])?;
        let mut plan = |number: usize| {
            let (fold, repeat) = (number as u64 % folds, number as u64 / folds);
            let mut keys = overrides.clone();
            keys.push(run::folds::split(&experiment, folds, [fold, repeat])?);
            let experiment = self.read(&keys)?;
            let data = Arc::new(trainer::load_data(&experiment, &PathBuf::new())?);
            if number == 0 && !self.quiet {
                tell(inspect::text(&data.understood).trim_end());
            }
            let out = out.join(format!("fold-{number}"));
            let observer = Box::new(board.of(number, &out));
            let name = if repeat > 0 { format!("{fold} ({})", repeat + 1) } else { fold.to_string() };
            Ok(Planned { name, job: self.job(experiment, data, out, observer) })
        };
        let exact = experiment.train.exact;
        let options = ManyOptions { evaluates: Some(Split::Test), ..self.common(started) };
        let trained = self.train_several(models, FOLDS, &mut plan, exact, &options, &board)?;
        self.show_several("fold", trained, &out, &board)
    }

    /// Trains the members of an ensemble, and judges their mean.
    pub(super) fn train_ensemble(&self, members: usize, started: Instant) -> Result<(), Failure> {
        let experiment = self.read(&self.overrides())?;
        let out = self.out_of(&experiment);
        let mut board = Together::new(members, self.json);
        let data = Arc::new(trainer::load_data(&experiment, &PathBuf::new())?);
        if !self.quiet {
            tell(inspect::text(&data.understood).trim_end());
        }
        let exact = experiment.train.exact;
        let mut installed = Installed { choice: self.device, exact };
        let mut recovery = Recovery::new(self.open(exact)?, &mut installed);
        let mut ensemble = Ensemble::begin(&experiment, members, &out, self.resume, &mut board)?;
        let job = |(number, Member { experiment, out, resume }): (usize, &Member)| ManyJob {
            resume: *resume,
            ..self.job(experiment.clone(), data.clone(), out.clone(), Box::new(board.of(number, out)))
        };
        let jobs = ensemble.members.iter().enumerate().map(job).collect();
        let results = many::train(jobs, &self.common(started), &mut recovery, &mut board.clone());
        let name = |(number, result)| Trained { name: format!("{number}"), result };
        let trained: Vec<Trained> = results.into_iter().enumerate().map(name).collect();
        let printed = board.finish();
        if let Some(failure) = failure("member", &trained) {
            return Err(failure);
        }
        let evaluation = recovery.run(&mut board, |device, _| ensemble.finish(&data, device))?;
        let Evaluation { run, split, loss, metrics, .. } = &evaluation;
        if self.json {
            print_json(&serde_json::json!({
                "event": "ensemble", "run": run, "members": members, "split": split, "loss": loss,
                "metrics": metrics,
            }))?;
        } else {
            print(&format!("ensemble of {members} models; results in {run}"))?;
            evaluate::show(&evaluation)?;
        }
        printed
    }

    fn job(
        &self,
        experiment: Experiment,
        data: Arc<Loaded>,
        out: PathBuf,
        observer: Box<OneOf>,
    ) -> ManyJob<'static> {
        ManyJob { experiment, data, out, resume: self.resume, max_steps: self.max_steps, observer }
    }

    fn common(&self, started: Instant) -> ManyOptions {
        ManyOptions {
            init: self.init.clone(),
            init_map: self.init_map.clone(),
            init_partial: self.init_partial,
            log_every: self.log_every,
            anomaly: self.anomaly,
            started: Some(started),
            ..ManyOptions::default()
        }
    }

    /// Trains `models` models, at most `at_once` at the same time; those after an interrupted one are not begun.
    fn train_several(
        &self,
        models: usize,
        at_once: usize,
        plan: &mut dyn FnMut(usize) -> Result<Planned, Failure>,
        exact: bool,
        options: &ManyOptions,
        board: &Together,
    ) -> Result<Vec<Trained>, Failure> {
        let mut installed = Installed { choice: self.device, exact };
        let mut recovery = Recovery::new(self.open(exact)?, &mut installed);
        let mut trained: Vec<Trained> = vec![];
        for first in (0..models).step_by(at_once) {
            let planned: Result<Vec<Planned>, Failure> =
                (first..models.min(first + at_once)).map(&mut *plan).collect();
            let (names, jobs): (Vec<String>, Vec<ManyJob>) =
                planned?.into_iter().map(|p| (p.name, p.job)).unzip();
            let results = many::train(jobs, options, &mut recovery, &mut board.clone());
            let all = names.into_iter().zip(results);
            trained.extend(all.map(|(name, result)| Trained { name, result }));
            if interrupted(&trained) {
                break;
            }
        }
        Ok(trained)
    }

    /// Shows the metrics of those that were trained; `kind` is what a model is one of.
    ///
    /// # Errors
    /// If a model failed, or the metrics cannot be printed.
    fn show_several(
        &self,
        kind: &str,
        trained: Vec<Trained>,
        out: &Path,
        board: &Together,
    ) -> Result<(), Failure> {
        let printed = board.finish();
        let (failed, interrupted) = (failure(kind, &trained), interrupted(&trained));
        let row = |Trained { name, result }| {
            let evaluation = result.ok()?.evaluation?;
            Some(summary::Row { name, metrics: evaluation.metrics })
        };
        let rows: Vec<summary::Row> = trained.into_iter().filter_map(row).collect();
        if !rows.is_empty() && !interrupted {
            summary::show(kind, &rows, out, self.json)?;
        }
        failed.map_or(printed, Err)
    }
}

/// What became of a model, and what it is called in the table.
struct Trained {
    name: String,
    result: Result<Done, TrainError>,
}

/// Whether the user interrupted the training.
fn interrupted(trained: &[Trained]) -> bool {
    trained.iter().any(|one| one.result.as_ref().is_err_and(|e| e.kind() == ErrorKind::Interrupted))
}

/// Why the command failed, if it did: it was interrupted, or a model failed. `kind` is what a model is one of.
fn failure(kind: &str, trained: &[Trained]) -> Option<Failure> {
    let failed: Vec<(&str, &TrainError)> =
        trained.iter().filter_map(|one| Some((one.name.as_str(), one.result.as_ref().err()?))).collect();
    let is_interrupt = |error: &TrainError| error.kind() == ErrorKind::Interrupted;
    if let Some((_, error)) = failed.iter().find(|(_, error)| is_interrupt(error)) {
        let text = format!(
            "interrupted; {} models are done, what others had computed was saved, go on with:\n  {}",
            trained.len() - failed.len(),
            command_to_go_on("")
        );
        return Some(Failure { code: exit_code(error.kind()), error: anyhow::anyhow!(text) });
    }
    let (name, error) = failed.first()?;
    let which = match failed.len() {
        1 => format!("{kind} {name}"),
        several => format!("{several} of {} models failed; {kind} {name}", trained.len()),
    };
    let code = exit_code(error.kind());
    Some(Failure { code, error: anyhow::anyhow!("{which}: {}", advice::in_flags(error)) })
}

#[cfg(test)]
mod tests {
    use super::Seeds;

    #[test]
    fn seeds_are_a_number_or_a_range() {
        for (text, range) in [("3", 0..3), ("0..32", 0..32), ("7..8", 7..8)] {
            assert_eq!(text.parse(), Ok(Seeds(range)), "{text}");
        }
        for text in ["0", "5..5", "5..4", "x", "1..", "..3", "-1", "2000", "1..=3", "1.5"] {
            assert!(text.parse::<Seeds>().is_err(), "{text}");
        }
    }
}
