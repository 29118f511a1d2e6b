//! `gridlight train --ensemble`: several models that differ in their seed.

use gridlight::data::Loaded;
use gridlight::experiment::Experiment;
use gridlight::run::ensemble::{self, Ensemble};
use gridlight::run::job::Options;
use gridlight::run::recovery::Recovery;

use super::Failure;
use super::evaluate;
use super::output::{print, print_json};
use super::progress::Console;
use super::train::how_to_go_on;

/// What is to be trained.
pub struct Given<'a> {
    pub experiment: &'a Experiment,
    pub count: usize,
    pub options: &'a Options,
}

/// Trains the members and shows how their mean predicts.
///
/// # Errors
/// As a training.
pub fn train(
    given: Given,
    data: &Loaded,
    recovery: &mut Recovery,
    console: &mut Console,
    json: bool,
) -> Result<(), Failure> {
    let Given { experiment, count, options } = given;
    let mut ensemble = Ensemble::begin(experiment, count, options, console)?;
    ensemble::train(&ensemble.jobs, data, recovery, console).map_err(|e| how_to_go_on(e, ""))?;
    let evaluation = recovery.run(console, |device, _| ensemble.finish(data, device))?;
    if json {
        let (run, metrics) = (&evaluation.run, &evaluation.metrics);
        print_json(&serde_json::json!({
            "event": "ensemble", "run": run, "members": count, "split": evaluation.split,
            "loss": evaluation.loss, "metrics": metrics,
        }))?;
    } else {
        print(&format!("ensemble of {count} models; results in {}", evaluation.run))?;
        evaluate::show(&evaluation)?;
    }
    console.all_was_printed()
}
