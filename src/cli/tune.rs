//! `gridlight tune`

use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use gridlight::base::number::shown;
use gridlight::device::DeviceChoice;
use gridlight::device::open::Installed;
use gridlight::experiment::study::{Changes, Study};
use gridlight::plan::align;
use gridlight::run::recovery::Recovery;
use gridlight::run::tune::{self, Best, Ended, Found, Proposed, Watcher};
use gridlight::train::TrainError;
use gridlight::train::events::Observer;
use serde_json::{Map, Value, json};

use super::output::print;
use super::together::Together;
use super::train::command_to_go_on;
use super::{Failure, exit_code, open_device};

/// Trials that the table shows.
const SHOWN: usize = 10;

/// Search for the best settings of an experiment.
#[derive(Args)]
#[command(after_help = "A study is a file such as:\n  \
    name = \"traffic-study\"\n  \
    experiment = \"traffic.toml\"               # relative to this file\n  \
    trials = 40                               # or hours = 2.0\n  \
    metric = \"mae\"                            # of the validation rows; by default the loss\n  \
    sampler = \"tpe\"                           # or random, grid\n  \
    scheduler = { type = \"asha\", reduction = 3, min_epochs = 2 }    # or hyperband, none\n  \
    together = 4                              # trials proposed, and trained, at the same time\n  \
    [search]\n  \
    \"train.learning_rate\" = { log = [1e-4, 1e-1] }\n  \
    \"train.batch_size\" = { choice = [32, 64, 128] }\n  \
    \"model.dropout\" = { uniform = [0.0, 0.5], step = 0.05 }\n  \
    \"train.optimizer.type\" = { choice = [\"adam\", \"sgd\"] }\n  \
    \"train.optimizer.momentum\" = { uniform = [0.5, 0.99], when = { \"train.optimizer.type\" = \"sgd\" } }\n\n\
    With folds = 3, a trial is trained three times and judged by the mean over the held-out folds, among which are the \
    experiment's own test rows: keep rows that judge the winner in another file.\n\n\
    Example:\n  gridlight tune study.toml --device cpu\n  gridlight train runs/traffic-study/best.toml")]
pub struct Tune {
    /// Study file.
    study: PathBuf,
    /// auto, cpu, gpu or gpu:N (see `gridlight devices`).
    #[arg(long, default_value = "auto")]
    device: DeviceChoice,
    /// Directory of the study; by default runs/<name>.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Number of trials (overrides the study's).
    #[arg(long)]
    trials: Option<usize>,
    /// Seed of the sampler (overrides the study's).
    #[arg(long)]
    seed: Option<u64>,
    /// Override a key of the experiment: table.key=value. May be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Go on with the study in the directory, or begin if there is none yet. More trials may be asked for.
    #[arg(long)]
    resume: bool,
    /// Print one JSON object per line on standard output, and nothing else there.
    #[arg(long)]
    json: bool,
}

impl Tune {
    pub fn run(self, started: Instant) -> Result<(), Failure> {
        // Before anything else, so that an interrupt while the data are read is noticed too.
        let mut watcher = Watch { board: Together::of_study(), json: self.json, lost: None };
        let changes = Changes { overrides: self.set.clone(), trials: self.trials, seed: self.seed };
        let study = Study::read(&self.study, &changes)?;
        let out = self.out.clone().unwrap_or_else(|| PathBuf::from("runs").join(&study.name));
        let exact = study.experiment.train.exact;
        let mut installed = Installed { choice: self.device, exact };
        let mut recovery = Recovery::new(open_device(self.device, exact)?, &mut installed);
        let found = tune::tune(&study, &out, self.resume, &mut recovery, &mut watcher);
        watcher.board.finish()?;
        let found = found.map_err(how_to_go_on)?;
        if self.json {
            watcher.print(&end(&study, &found, started.elapsed().as_secs_f64()));
        } else {
            print(&text(&study, &found))?;
        }
        watcher.lost.map_or(Ok(()), |e| Err(super::output::lost(&e)))
    }
}

fn how_to_go_on(error: TrainError) -> Failure {
    let TrainError::StudyInterrupted { trial, .. } = error else { return error.into() };
    let text = format!(
        "interrupted in trial {trial}; all that was tried is kept, go on with:\n  {}",
        command_to_go_on("")
    );
    Failure { code: exit_code(error.kind()), error: anyhow::anyhow!(text) }
}

/// Tells what a study does, as JSON or for people.
struct Watch {
    board: Together,
    json: bool,
    /// Why standard output no longer takes events. The study goes on without them.
    lost: Option<std::io::Error>,
}

impl Watch {
    fn print(&mut self, value: &Value) {
        if self.lost.is_none() {
            self.lost = super::output::write(&value.to_string()).err();
        }
    }
}

impl Watcher for Watch {
    fn begun(&mut self, study: &Study, tried: usize) {
        if self.json {
            let keys: Vec<&str> = study.keys.iter().map(|searched| searched.key.as_str()).collect();
            let direction = if study.larger_is_better() { "maximize" } else { "minimize" };
            self.print(&json!({
                "event": "start", "name": study.name, "metric": study.metric, "direction": direction,
                "sampler": format!("{:?}", study.sampler).to_lowercase(), "trials": study.trials,
                "rungs": study.scheduler.rungs, "folds": study.folds, "keys": keys, "resumed_trials": tried,
            }));
        }
        if study.folds.is_some() {
            self.board.note("folds: the experiment's own test rows are among those that judge the trials");
        }
    }

    fn ended(&mut self, proposed: &Proposed, ended: &Ended, best: Option<&Best>) {
        if self.json {
            let best = best.map(|best| json!({ "trial": best.trial, "value": best.value }));
            self.print(&json!({
                "event": "trial", "trial": ended.trial, "settings": proposed.settings, "state": ended.state,
                "value": ended.value, "epochs": ended.epochs, "seconds": ended.seconds, "reason": ended.reason,
                "best": best,
            }));
            return;
        }
        let value = ended.value.map_or_else(String::new, |value| format!(" {}", shown(value)));
        let best =
            best.map_or_else(String::new, |b| format!("  best {} (trial {})", shown(b.value), b.trial));
        let state = match ended.reason.as_deref() {
            Some(reason) => format!("{}: {reason}", ended.state.name()),
            None => format!("{} after {} epochs", ended.state.name(), ended.epochs),
        };
        self.board.note(&format!(
            "trial {:>4}{value}  {state}  {}{best}",
            ended.trial,
            told(&proposed.settings)
        ));
    }

    fn observer(&mut self) -> &mut dyn Observer {
        &mut self.board
    }

    fn of_models(&mut self, count: usize) -> Vec<Box<dyn Observer + Send>> {
        self.board.begin(count);
        let of = |number| Box::new(self.board.of(number, Path::new(""))) as Box<dyn Observer + Send>;
        (0..count).map(of).collect()
    }
}

/// A value, texts without quotes.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), String::from)
}

/// Settings as one line.
fn told(settings: &Map<String, Value>) -> String {
    let last = |key: &str| key.rsplit('.').next().unwrap_or(key).to_string();
    let clash = |key: &String| settings.keys().filter(|other| last(other) == last(key)).count() > 1;
    let pair = |(key, value): (&String, &Value)| {
        format!("{} {}", if clash(key) { key.clone() } else { last(key) }, plain(value))
    };
    settings.iter().map(pair).collect::<Vec<_>>().join(", ")
}

/// The last event.
fn end(study: &Study, found: &Found, seconds: f64) -> Value {
    let best = found.best.as_ref().map(|best| {
        json!({ "trial": best.trial, "value": best.value, "epochs": best.epochs, "settings": best.settings })
    });
    let importance: Map<String, Value> = study
        .keys
        .iter()
        .zip(&found.importance)
        .map(|(searched, part)| (searched.key.clone(), (*part).into()))
        .collect();
    json!({
        "event": "end", "study": found.directory.display().to_string(), "trials": found.trials.len(),
        "best": best, "importance": importance, "seconds": seconds,
    })
}

/// The best trials as a table, and where the winner is.
fn text(study: &Study, found: &Found) -> String {
    let titles = ["trial", "state", "epochs", study.metric.as_str()].map(String::from);
    let keys = study.keys.iter().map(|searched| searched.key.clone());
    let mut table = vec![titles.into_iter().chain(keys).collect::<Vec<String>>()];
    let ranked = found.ranked(study);
    for trial in ranked.iter().take(SHOWN) {
        let Some(last) = trial.last() else { continue };
        let mut row = vec![
            trial.proposed.trial.to_string(),
            last.state.name().into(),
            last.epochs.to_string(),
            last.value.map_or_else(|| "-".into(), shown),
        ];
        for searched in &study.keys {
            let value = trial.proposed.settings.get(&searched.key);
            row.push(value.map_or_else(|| "-".into(), plain));
        }
        table.push(row);
    }
    let mut text = align(&table, &[0, 2, 3]);
    if ranked.len() > SHOWN {
        text += &format!("... and {} more\n", ranked.len() - SHOWN);
    }
    let place = found.directory.display();
    if !found.importance.is_empty() {
        let mut parts: Vec<(&str, f64)> =
            study.keys.iter().map(|k| k.key.as_str()).zip(found.importance.iter().copied()).collect();
        parts.sort_by(|a, b| b.1.total_cmp(&a.1));
        let parts: Vec<String> = parts.iter().map(|(key, part)| format!("{key} {part:.2}")).collect();
        text += &format!("importance: {}\n", parts.join(", "));
    }
    text + &format!("train the best with: gridlight train {place}/best.toml; page: {place}/report.html")
}
