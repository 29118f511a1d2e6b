//! A study: tries settings of an experiment, stops the bad ones early, and keeps the best. All that decides what is
//! tried next stands in `study.jsonl`, so that a study goes on after a kill as if nothing had happened.

mod journal;
mod outcome;
mod trials;

use std::path::{Path, PathBuf};

use journal::{Begun, Journal};
pub use journal::{Ended, Proposed, State, Trial};
pub use outcome::{Best, Found};
use trials::{Job, Trials};

use super::recovery::Recovery;
use crate::experiment::study::Study;
use crate::search::halving::{Next, Standing};
use crate::search::sampler::{Seen, propose};
use crate::train::TrainError;
use crate::train::events::Observer;
use crate::train::lock::{self, Lock};

/// Who is told what a study does.
pub trait Watcher {
    /// The study begins, or goes on after `tried` trials.
    fn begun(&mut self, study: &Study, tried: usize);
    /// A part of a trial has ended; the best trial so far, if there is one.
    fn ended(&mut self, proposed: &Proposed, ended: &Ended, best: Option<&Best>);
    /// What concerns no single model.
    fn observer(&mut self) -> &mut dyn Observer;
    /// Observers of so many models that train at the same time.
    fn of_models(&mut self, count: usize) -> Vec<Box<dyn Observer + Send>>;
}

/// A study in progress.
struct Running<'a> {
    study: &'a Study,
    directory: &'a Path,
    journal: Journal,
    trials: Trials<'a>,
    /// Held, not read.
    _lock: Lock,
}

/// Runs a study in `directory`; with `resume`, goes on with the one that was begun there.
///
/// # Errors
/// If another study, or something else, is in the directory, the data are wrong, all trials fail, or the device or the
/// disk fails. All that was tried is kept.
pub fn tune(
    study: &Study,
    directory: &Path,
    resume: bool,
    recovery: &mut Recovery,
    watcher: &mut dyn Watcher,
) -> Result<Found, TrainError> {
    let mut trials = Trials::new(study, directory);
    let digest = trials.prepare()?;
    if watcher.observer().interrupted() {
        return Err(trials.interrupted(1));
    }
    let begun = Begun::new(study.name.clone(), study.fingerprint(), digest, recovery.device_name());
    let (journal, lock) = open(directory, begun, resume, watcher.observer())?;
    let mut running = Running { study, directory, journal, trials, _lock: lock };
    watcher.begun(study, running.journal.trials.len());
    let ended = running.run(recovery, watcher);
    // Also of what was interrupted: a page, and the best experiment so far.
    let found = running.found().weighed(study);
    running.write(&found)?;
    ended?;
    running.clean_up(&found);
    found.check()?;
    Ok(found)
}

/// Opens the directory of a study, and its file.
fn open(
    directory: &Path,
    begun: Begun,
    resume: bool,
    observer: &mut dyn Observer,
) -> Result<(Journal, Lock), TrainError> {
    let io = |e: std::io::Error| TrainError::io(directory, &e);
    let exists = Journal::exists(directory);
    if !exists && resume {
        observer.note(&format!("{}: nothing was tried yet, the study starts anew", directory.display()));
    }
    if exists && resume {
        let lock = lock::take(directory)?;
        crate::train::checkpoint::remove_leftovers(directory);
        let journal = Journal::open(directory)?;
        check_same(&journal.begun, &begun)?;
        if journal.begun.device != begun.device {
            observer.note(&format!(
                "the study was begun on {}, and goes on on {}",
                journal.begun.device, begun.device
            ));
        }
        return Ok((journal, lock));
    }
    if exists {
        // Held until it has moved, so that nobody else goes on with it meanwhile.
        let held = lock::take(directory)?;
        if cfg!(windows) {
            drop(held);
        }
        let directory = directory.components().collect::<PathBuf>();
        let aside =
            (1..).map(|n| PathBuf::from(format!("{}-{n}", directory.display()))).find(|p| !p.exists());
        if let Some(aside) = aside {
            std::fs::rename(&directory, &aside).map_err(io)?;
            observer.note(&format!("the earlier study was moved to {}", aside.display()));
        }
    }
    if directory.exists() && !directory.is_dir() {
        return Err(TrainError::unusable(directory, "is a file; choose another directory for the study"));
    }
    if directory.exists() {
        let is_ours =
            |name: &std::ffi::OsStr| name == lock::NAME || crate::train::checkpoint::is_leftover(name);
        if std::fs::read_dir(directory).map_err(io)?.flatten().any(|entry| !is_ours(&entry.file_name())) {
            return Err(TrainError::Occupied { directory: directory.into() });
        }
    }
    std::fs::create_dir_all(directory).map_err(io)?;
    let lock = lock::take(directory)?;
    if Journal::exists(directory) {
        // Another process began a study here in the meantime.
        return Err(TrainError::InUse { run: directory.into() });
    }
    crate::train::checkpoint::remove_leftovers(directory);
    Ok((Journal::begin(directory, begun)?, lock))
}

/// Refuses to go on with another study or on other data. More trials or hours are allowed.
fn check_same(begun: &Begun, now: &Begun) -> Result<(), TrainError> {
    if begun.fingerprint != now.fingerprint {
        let mut lines = begun.fingerprint.lines().zip(now.fingerprint.lines());
        let (begun, now) = lines.find(|(a, b)| a != b).unwrap_or(("other keys", "other keys"));
        return Err(TrainError::Changed { begun: begun.into(), now: now.into() });
    }
    if begun.data_digest != now.data_digest {
        let reason = "the data have changed since the study began; its trials could not be compared";
        return Err(TrainError::Input(reason.into()));
    }
    Ok(())
}

impl Running<'_> {
    /// Trains until nothing is left to do.
    fn run(&mut self, recovery: &mut Recovery, watcher: &mut dyn Watcher) -> Result<(), TrainError> {
        loop {
            let jobs = self.next_jobs()?;
            if jobs.is_empty() {
                return Ok(());
            }
            if watcher.observer().interrupted() {
                return Err(self.trials.interrupted(jobs[0].trial));
            }
            let mut results = vec![];
            let ended = {
                let journal = &mut self.journal;
                self.trials.run(&jobs, recovery, watcher, &mut |ended| {
                    journal.end(ended.clone())?;
                    results.push(ended);
                    Ok(())
                })
            };
            let found = self.found();
            for result in &results {
                let proposed = &self.journal.trials[result.trial - 1].proposed;
                watcher.ended(proposed, result, found.best.as_ref());
            }
            ended?;
            self.write_best(&found)?;
            self.clean_up(&found);
        }
    }

    /// What to train next, at the same time. What was begun together and was cut goes on together, so that a study
    /// that was killed tries what it would have tried.
    fn next_jobs(&mut self) -> Result<Vec<Job>, TrainError> {
        let left = self.journal.left();
        let mut proposed: Vec<Proposed> = vec![];
        let mut chosen: Vec<(usize, usize)> = left.clone();
        while left.is_empty() && chosen.len() < self.study.together && !self.is_late() {
            let standings = self.standings(&proposed, &chosen);
            match self.study.scheduler.next(&standings, self.study.trials) {
                Next::Done => break,
                Next::Train { trial, level } => chosen.push((trial + 1, level)),
                Next::Begin { bracket } => {
                    let Some(new) = self.propose(bracket, &proposed) else { break };
                    chosen.push((new.trial, self.study.scheduler.first(bracket)));
                    proposed.push(new);
                }
            }
        }
        // The same order, whether or not a proposal was made before a kill.
        chosen.sort_unstable();
        if left.is_empty() && !chosen.is_empty() {
            self.journal.begin_together(proposed, chosen.clone())?;
        }
        let job = |(trial, level): (usize, usize)| {
            let setting = self.journal.trials[trial - 1].proposed.numbers.clone();
            Job { trial, level, setting }
        };
        Ok(chosen.into_iter().map(job).collect())
    }

    /// Whether the study has taken all its time.
    fn is_late(&self) -> bool {
        let parts = self.journal.trials.iter().flat_map(|trial| &trial.parts);
        let spent: f64 = parts.map(|part| part.seconds).sum();
        self.study.hours.is_some_and(|hours| spent >= 3600.0 * hours)
    }

    /// The next setting, after those that are `new`; `None` after the last one of a grid.
    fn propose(&self, bracket: usize, new: &[Proposed]) -> Option<Proposed> {
        let study = self.study;
        let loss = |trial: &Trial| trial.last().map_or(f64::INFINITY, |part| outcome::loss(study, part));
        let seen = self.journal.trials.iter().map(|trial| Seen {
            setting: &trial.proposed.numbers,
            level: trial.last().map_or(0, |part| part.level),
            loss: loss(trial),
        });
        // Nothing is known of those yet, which keeps the sampler away from them.
        let unknown =
            new.iter().map(|proposed| Seen { setting: &proposed.numbers, level: 0, loss: f64::INFINITY });
        let seen: Vec<Seen> = seen.chain(unknown).collect();
        let number = seen.len();
        let numbers = propose(study.sampler, &study.space, study.seed, number, &seen)?;
        let json = |value: toml::Value| serde_json::to_value(value).unwrap_or_default();
        let settings = study.named(&numbers).into_iter().map(|(key, value)| (key.to_string(), json(value)));
        Some(Proposed { trial: number + 1, bracket, settings: settings.collect(), numbers })
    }

    /// How the trials stand, for the scheduler; with those that are `new`, while `chosen` are about to be trained.
    fn standings(&self, new: &[Proposed], chosen: &[(usize, usize)]) -> Vec<Standing> {
        let is_busy = |number: usize| chosen.iter().any(|(trial, _)| *trial == number);
        let known = self.journal.trials.iter().map(|trial| Standing {
            bracket: trial.proposed.bracket,
            losses: trial.parts.iter().map(|part| outcome::loss(self.study, part)).collect(),
            failed: trial.last().is_some_and(|part| part.state.has_failed()),
            busy: is_busy(trial.proposed.trial),
        });
        let begun = |new: &Proposed| Standing { bracket: new.bracket, busy: true, ..Standing::default() };
        known.chain(new.iter().map(begun)).collect()
    }

    fn found(&self) -> Found {
        Found::new(self.study, self.directory, &self.journal)
    }

    /// Writes the best experiment and the page.
    fn write(&mut self, found: &Found) -> Result<(), TrainError> {
        self.write_best(found)?;
        let page = found.page(self.study);
        crate::train::checkpoint::write_atomically(&self.directory.join("report.html"), page.as_bytes())
    }

    /// Writes the best setting as an experiment that can be trained as it stands.
    fn write_best(&mut self, found: &Found) -> Result<(), TrainError> {
        let Some(best) = &found.best else { return Ok(()) };
        let mut experiment = self.trials.sized(self.study.experiment_with(&best.numbers, &[])?);
        experiment.name = format!("{}-best", self.study.name);
        let text = format!(
            "# The best of {} trials of {}, trial {}: {} {}.\n{}",
            self.journal.trials.len(),
            self.study.name,
            best.trial,
            self.study.metric,
            best.value,
            experiment.resolved()
        );
        let path = self.directory.join("best.toml");
        if std::fs::read_to_string(&path).is_ok_and(|before| before == text) {
            return Ok(());
        }
        crate::train::checkpoint::write_atomically(&path, text.as_bytes())
    }

    /// Removes weights and checkpoints of trials that cannot go on and are not the best.
    fn clean_up(&self, found: &Found) {
        let open = self.study.scheduler.may_go_on(&self.standings(&[], &[]), self.study.trials);
        for (trial, may_go_on) in self.journal.trials.iter().zip(open) {
            let number = trial.proposed.trial;
            if may_go_on || trial.parts.is_empty() || found.best.as_ref().is_some_and(|b| b.trial == number) {
                continue;
            }
            for run in self.trials.runs(number) {
                // What cannot be removed costs space, not correctness.
                let _ = std::fs::remove_dir_all(run.join("checkpoints"));
                let _ = std::fs::remove_file(run.join("best.safetensors"));
            }
        }
    }
}
