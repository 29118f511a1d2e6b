//! `gridlight train --seeds` and `--folds`: several models of one experiment, trained at the same time.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use gridlight::device::open::Installed;
use gridlight::run::many::{self, Done, ManyJob, ManyOptions, Split};
use gridlight::run::recovery::Recovery;
use gridlight::run::trainer;
use gridlight::train::{ErrorKind, TrainError};

use super::super::together::Together;
use super::super::{Failure, advice, exit_code, folds, inspect, summary, tell};
use super::{NO_STEPS, Train, how_to_go_on};

/// The seeds of several models.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seeds(Range<u64>);

/// Most models of one command.
const MOST: u64 = 1000;

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
        if experiment.tune.is_some() {
            let reason = "--seeds trains all models with the same settings, but [tune] tries others for each; take \
                          it out of the experiment";
            return Err(Failure::input(reason));
        }
        if self.max_steps == Some(0) {
            return Err(Failure::input(NO_STEPS));
        }
        let out = self.out_of(&experiment);
        let board = Together::new((seeds.0.end - seeds.0.start) as usize, self.json);
        let data = Arc::new(trainer::load_data(&experiment, &PathBuf::new())?);
        if !self.quiet {
            tell(inspect::text(&data.understood).trim_end());
        }
        let planned = |(number, seed): (usize, u64)| {
            let out = out.join(format!("seed-{seed}"));
            let mut experiment = experiment.clone();
            experiment.seed = seed;
            let observer = Box::new(board.of(number, &out));
            Planned { name: seed.to_string(), job: ManyJob { experiment, data: data.clone(), out, observer } }
        };
        let planned = seeds.0.clone().enumerate().map(planned).collect();
        let options = ManyOptions { evaluates: Some(Split::Usual), ..self.common(started) };
        self.train_several("seed", planned, &options, board, out)
    }

    /// Trains and tests one model for each fold.
    pub(super) fn cross_validate(&self, folds: u64, started: Instant) -> Result<(), Failure> {
        let overrides = self.overrides();
        let experiment = self.read(&overrides)?;
        let out = self.out_of(&experiment);
        let board = Together::new((folds * self.repeats) as usize, self.json);
        // Refused before anything is read.
        folds::split(&experiment, folds, [0, self.repeats - 1])?;
        let mut planned = vec![];
        for number in 0..folds * self.repeats {
            let (fold, repeat) = (number % folds, number / folds);
            let mut keys = overrides.clone();
            keys.push(folds::split(&experiment, folds, [fold, repeat])?);
            let experiment = self.read(&keys)?;
            let data = Arc::new(trainer::load_data(&experiment, &PathBuf::new())?);
            if number == 0 && !self.quiet {
                tell(inspect::text(&data.understood).trim_end());
            }
            let out = out.join(format!("fold-{number}"));
            let observer = Box::new(board.of(number as usize, &out));
            let name = if repeat > 0 { format!("{fold} ({})", repeat + 1) } else { fold.to_string() };
            planned.push(Planned { name, job: ManyJob { experiment, data, out, observer } });
        }
        let options = ManyOptions { evaluates: Some(Split::Test), ..self.common(started) };
        self.train_several("fold", planned, &options, board, out)
    }

    fn common(&self, started: Instant) -> ManyOptions {
        ManyOptions {
            max_steps: self.max_steps,
            resume: self.resume,
            init: self.init.clone(),
            log_every: self.log_every,
            anomaly: self.anomaly,
            started: Some(started),
            ..ManyOptions::default()
        }
    }

    /// Trains all models and shows the metrics of those that were trained; `kind` is what a model is one of.
    fn train_several(
        &self,
        kind: &str,
        planned: Vec<Planned>,
        options: &ManyOptions,
        mut board: Together,
        out: PathBuf,
    ) -> Result<(), Failure> {
        let exact = planned.first().is_some_and(|first| first.job.experiment.train.exact);
        let mut installed = Installed { choice: self.device, exact };
        let mut recovery = Recovery::new(self.open(exact)?, &mut installed);
        let (names, jobs): (Vec<String>, Vec<ManyJob>) = planned.into_iter().map(|p| (p.name, p.job)).unzip();
        let results = many::train(jobs, options, &mut recovery, &mut board);
        let printed = board.finish();
        let mut rows = vec![];
        let mut failed = vec![];
        for (name, result) in names.iter().zip(results) {
            match result {
                Ok(Done { evaluation, .. }) => rows.extend(
                    evaluation.map(|found| summary::Row { name: name.clone(), metrics: found.metrics }),
                ),
                Err(error) => failed.push((name, error)),
            }
        }
        let interrupted = |(_, error): &&(&String, TrainError)| error.kind() == ErrorKind::Interrupted;
        if let Some((_, error)) = failed.iter().find(interrupted) {
            let all = names.len();
            let left = failed.len();
            let failure = how_to_go_on(error.clone(), "");
            let told = format!("{left} of {all} models are not done");
            return Err(Failure { error: failure.error.context(told), ..failure });
        }
        if !rows.is_empty() {
            summary::show(kind, &rows, &out, self.json)?;
        }
        if let Some((name, error)) = failed.first() {
            let which = match failed.len() {
                1 => format!("{kind} {name}"),
                several => format!("{several} of {} models failed; {kind} {name}", names.len()),
            };
            let code = exit_code(error.kind());
            return Err(Failure { code, error: anyhow::anyhow!("{which}: {}", advice::in_flags(error)) });
        }
        printed
    }
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
