//! Ensembles: several runs of one experiment that differ in their seed, whose predictions are averaged
//! (Lakshminarayanan et al. 2017, arXiv:1612.01474).

use std::path::{Path, PathBuf};

use super::certainty;
use super::directory::RunDirectory;
use super::evaluate::{self, Evaluation};
use super::manifest::{MOST, Manifest, is_ensemble, member};
use super::opened::{Opened, open_ensemble};
use super::sure;
use crate::base::number::Numbers;
use crate::data::{Dataset, Loaded};
use crate::device::Device;
use crate::experiment::Experiment;
use crate::report::ensemble as page;
use crate::tasks::Shown;
use crate::train::TrainError;
use crate::train::events::Observer;
use crate::train::lock::Lock;

/// A member to train.
#[derive(Clone, Debug)]
pub struct Member {
    /// Its experiment: that of the ensemble with a seed of its own.
    pub experiment: Experiment,
    /// Its run directory.
    pub out: PathBuf,
    /// Whether something of it is there to go on with.
    pub resume: bool,
}

/// An ensemble that is being trained; its directory is locked.
#[derive(Debug)]
pub struct Ensemble {
    path: PathBuf,
    manifest: Manifest,
    /// Its members, to be trained before [`Ensemble::finish`].
    pub members: Vec<Member>,
    #[allow(dead_code, reason = "held, not read")]
    lock: Option<Lock>,
}

impl Ensemble {
    /// Prepares the directory `path` for `count` members with the seeds `seed`, `seed + 1` and so on. With
    /// `resume`, members that were trained there remain, and more may be added.
    ///
    /// # Errors
    /// If the experiment has no predictions to average, there is another kind of run to resume, or the directory
    /// cannot be written.
    pub fn begin(
        experiment: &Experiment,
        count: usize,
        path: &Path,
        resume: bool,
        observer: &mut dyn Observer,
    ) -> Result<Self, TrainError> {
        check(experiment, count)?;
        let goes_on = resume && is_ensemble(path);
        if resume && !goes_on && path.join("experiment.toml").exists() {
            let reason = "is a single run, which cannot be resumed as an ensemble; go on without --ensemble, or \
                          choose another directory with --out";
            return Err(TrainError::unusable(path, reason));
        }
        let lock = if goes_on {
            let known = Manifest::read(path)?;
            if known.members > count {
                let reason = format!("has {} members; go on with --ensemble {0} or more", known.members);
                return Err(TrainError::unusable(path, reason));
            }
            RunDirectory::resume(path)?.lock()
        } else {
            let (lock, moved) = RunDirectory::create_ensemble(path)?;
            if let Some(moved) = moved {
                observer.note(&format!("the earlier run was moved to {}", moved.display()));
            }
            lock
        };
        let manifest = Manifest::begun(count);
        manifest.write(path)?;
        let of = |number: usize| {
            let mut experiment = experiment.clone();
            experiment.seed += number as u64;
            let out = member(path, number);
            let resume = goes_on && RunDirectory::has_saved(&out);
            Member { experiment, out, resume }
        };
        Ok(Self { path: path.into(), manifest, members: (0..count).map(of).collect(), lock })
    }

    /// Evaluates the mean of the trained members, and keeps what predictions need: threshold, calibration, report.
    ///
    /// # Errors
    /// If a member cannot be read, the device fails, or the disk is full.
    pub fn finish(&mut self, data: &Loaded, device: &dyn Device) -> Result<Evaluation, TrainError> {
        let path = self.path.clone();
        let mut opened = open_ensemble(&path, &self.manifest)?;
        let validation = opened.trained(device).evaluate(&data.validation, 1)?;
        let threshold = opened.experiment.train.threshold;
        if !threshold.is_default() {
            self.manifest.threshold = threshold.of(&validation);
            opened.fitted.threshold = self.manifest.threshold;
        }
        let calibration =
            sure::of_predictions(&opened.experiment, &validation, &opened.fitted.target, &opened.digest);
        if let Some(calibration) = calibration {
            calibration.save(&self.path.join(sure::FILE))?;
        }
        let of = |opened: &mut Opened, rows: &Dataset, part: &str| {
            evaluate::judge(opened, rows.clone(), part.into(), &evaluate::Request::default(), device)
        };
        let mut evaluation = of(&mut opened, &data.validation, "validation")?;
        self.keep(&evaluation);
        let mut shown = ("validation", &data.validation);
        if data.test.rows > 0 {
            evaluation = of(&mut opened, &data.test, "test")?;
            self.keep(&evaluation);
            shown = ("test", &data.test);
        }
        let html = self.page(&opened, &evaluation, shown, device)?;
        crate::train::checkpoint::write_atomically(&self.path.join("report.html"), html.as_bytes())?;
        self.manifest.complete = true;
        self.manifest.write(&self.path)?;
        Ok(evaluation)
    }

    fn keep(&mut self, evaluation: &Evaluation) {
        let all = std::iter::once(("loss", evaluation.loss.0)).chain(evaluation.metrics.0.iter().copied());
        let finite =
            all.filter(|(_, value)| value.is_finite()).map(|(name, value)| (name.to_string(), value));
        self.manifest.scores.insert(evaluation.split.clone(), finite.collect());
    }

    fn page(
        &self,
        opened: &Opened,
        evaluation: &Evaluation,
        (part, rows): (&'static str, &Dataset),
        device: &dyn Device,
    ) -> Result<String, TrainError> {
        let mut members = vec![];
        for (number, member) in self.members.iter().enumerate() {
            let mut single = super::opened::open(&member.out)?;
            let request = evaluate::Request::default();
            single.experiment.uncertainty.coverage = None;
            let found = evaluate::judge(&mut single, rows.clone(), part.into(), &request, device)?;
            members.push((member.experiment.seed, format!("members/{number}"), all(&found)));
        }
        let trained = opened.trained(device);
        let predictions = trained.evaluate(rows, 1)?;
        let shown = Shown { part, rows, predictions: &predictions, intervals: None };
        let sure = certainty::found(opened, evaluation, &shown);
        let shown = Shown { intervals: sure.intervals.as_ref(), ..shown };
        let task = opened.task();
        let sections = task.sections(&trained, &shown)? + &sure.section;
        let page = page::Ensemble {
            name: &opened.experiment.name,
            subject: &task.subject(),
            part,
            members: &members,
            metrics: &all(evaluation),
            sections: &sections,
        };
        Ok(page.html())
    }
}

/// Loss and metrics.
fn all(evaluation: &Evaluation) -> Numbers {
    let loss = std::iter::once(("loss", evaluation.loss.0));
    Numbers(loss.chain(evaluation.metrics.0.iter().copied()).collect())
}

/// Refuses an experiment whose predictions are no numbers or classes.
fn check(experiment: &Experiment, count: usize) -> Result<(), TrainError> {
    let wrong = |problem: String| Err(TrainError::Setting { run: None, name: "ensemble", problem });
    if !(1..=MOST).contains(&count) {
        return wrong(format!("{count} is not in 1..={MOST}"));
    }
    if experiment.seed.checked_add(count as u64).is_none_or(|last| last > i64::MAX as u64) {
        return wrong(format!("{count} needs as many seeds from {} on; set a smaller seed", experiment.seed));
    }
    if !experiment.settings().predicts() {
        let problem =
            "averages the predictions of numbers or classes, and this model makes none; leave it out";
        return wrong(problem.into());
    }
    Ok(())
}
