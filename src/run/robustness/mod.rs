//! How far the predictions of a run hold when its inputs are changed: by attacks, by chance, by wear.

mod certified;
mod changes;
mod checks;

use std::path::Path;

use super::explain::{File, Selection};
use super::opened::{Opened, open};
use super::studied::Studied;
use crate::base::number::{Number, numbers};
use crate::device::Device;
use crate::explain::Points;
use crate::explain::attack::{Attack, Attacker, Norm, Room};
use crate::explain::found::{Robustness, Strengths};
use crate::explain::network::{Given, Network, Probe, Wanted};
use crate::explain::response::Response;
use crate::report::robust;
use crate::tasks::Task;
use crate::train::TrainError;
use crate::train::metrics::{Metric, larger_is_better};

/// What is to be attacked, and how hard.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// Which rows.
    pub selection: Selection<'a>,
    /// Radii of the largest change; defaults by the kind of rows if empty.
    pub radii: &'a [f64],
    /// Radii of the root of the sum of squared changes; defaults if empty.
    pub radii_l2: &'a [f64],
    /// Steps of projected gradient descent.
    pub steps: usize,
    /// Its beginnings.
    pub restarts: usize,
    /// Standard deviation of the noise that classes are certified under, if they are to be.
    pub smoothing: Option<f64>,
    /// Draws of each row for that.
    pub draws: usize,
    /// The metric shown; by default the first.
    pub metric: Option<&'a str>,
    /// Seed of everything random.
    pub seed: u64,
}

impl Default for Request<'_> {
    fn default() -> Self {
        Self {
            selection: Selection::default(),
            radii: &[],
            radii_l2: &[],
            steps: 20,
            restarts: 2,
            smoothing: None,
            draws: 1000,
            metric: None,
            seed: 0,
        }
    }
}

/// Rows attacked at least, if there are as many.
const LEAST_ATTACKED: usize = 50;
/// Rows attacked at most, unless they are selected by number.
const ATTACKED: usize = 500;
/// As many if they are.
const SELECTED: usize = 20_000;

/// What was found, and its page.
#[derive(Clone, Debug)]
pub struct Tested {
    /// What was found.
    pub found: Robustness,
    /// A self-contained HTML page.
    pub html: String,
}

impl Tested {
    /// `robustness.html`, `robustness.json` and `robustness.csv`.
    pub fn files(&self) -> Vec<File> {
        let mut files = vec![File { name: "robustness.html".into(), bytes: self.html.clone().into_bytes() }];
        if let Ok(bytes) = serde_json::to_vec(&self.found) {
            files.push(File { name: "robustness.json".into(), bytes });
        }
        let mut csv = "change,norm,strength,metric,value,loss\n".to_string();
        for of in self.found.attacks.iter().chain(&self.found.changes) {
            for ((strength, value), loss) in of.strengths.iter().zip(&of.values).zip(&of.losses) {
                let (norm, metric) = (of.norm.unwrap_or(""), self.found.metric);
                csv += &format!("{},{norm},{strength},{metric},{},{}\n", of.change, value.0, loss.0);
            }
        }
        files.push(File { name: "robustness.csv".into(), bytes: csv.into_bytes() });
        files
    }
}

/// Predictions of the attacked rows, and what they are worth.
struct Judge<'a> {
    probe: Probe,
    points: &'a Points,
    quantiles: &'a [f64],
    task: Box<dyn Task + 'a>,
    metric: &'static str,
}

impl Judge<'_> {
    /// The metric and the mean loss of outputs and losses of the rows.
    fn score(&self, raw: Vec<f32>, losses: &[f32]) -> (f64, f64) {
        let metrics = self.task.metrics(&self.points.predictions(raw, self.quantiles));
        let value = metrics.iter().find(|m| m.name == self.metric).map_or(f64::NAN, |m| m.value);
        let loss = losses.iter().map(|&x| f64::from(x)).sum::<f64>() / losses.len().max(1) as f64;
        (value, loss)
    }

    /// The metric and the mean loss with these points in place of the rows.
    fn of(&mut self, x: &[f32]) -> Result<(f64, f64), TrainError> {
        let results = self.probe.run(x, Given { y: &self.points.y, ..Given::default() })?;
        let [raw, losses] = &results[..] else { return Ok((f64::NAN, f64::NAN)) };
        Ok(self.score(raw.clone(), losses))
    }
}

/// Attacks the predictions of `run` for some rows, and changes their inputs.
///
/// # Errors
/// If the run or the rows cannot be read, they have no target, a number is out of range, or the device fails.
pub fn robustness(run: &Path, request: &Request, device: &dyn Device) -> Result<Tested, TrainError> {
    check(request)?;
    let opened = open(run)?.folded();
    let mut studied = Studied::new(&opened, request.selection, request.seed)?;
    if !studied.has_target() {
        return Err(opened.refuse("attacks need the true target, which these rows do not have"));
    }
    let most = if studied.by_number { SELECTED } else { ATTACKED };
    let passes = 3 * request.steps * request.restarts;
    let radii =
        [Norm::Infinity, Norm::Two].map(|norm| radii(request, norm, opened.fitted.image.is_some()).len());
    let each = passes * radii.iter().sum::<usize>();
    let points =
        studied.affordable("attacks", [LEAST_ATTACKED, most], each, (&opened, device), request.seed)?;
    let network = Network { model: &*studied.model, weights: &opened.weights, device, space: &studied.space };
    let response = Response { target: &opened.fitted.target, quantiles: studied.model.quantiles() };
    let room = studied.room.clone();
    let task = opened.task();
    let mut probe = network.probe(Wanted::Outputs, points.count)?;
    let raw = probe.run(&points.x, Given { y: &points.y, ..Given::default() })?.swap_remove(0);
    let metrics = task.metrics(&points.predictions(raw, response.quantiles));
    let metric = metric(&metrics, request.metric)?;
    let mut judge =
        Judge { probe, points: &points, quantiles: response.quantiles, task, metric: metric.name };
    let (attacks, flat) = match room.scale.iter().any(|s| *s > 0.0) {
        true => attacks(&network, &judge, &room, &response, request, &opened)?,
        false => (vec![], 0),
    };
    let mut notes = std::mem::take(&mut studied.notes);
    if attacks.is_empty() {
        notes.push("no column is a number that could change by degrees, so there are no attacks".into());
    }
    if opened.fitted.window.is_some() {
        notes.push(
            "each window is changed by itself, although windows share rows: what one of them is given for a step, \
             another one is not"
                .into(),
        );
    }
    let larger = larger_is_better(metric.name).unwrap_or(false);
    let changes = changes::of_all(&opened, &studied, &mut judge, request.seed)?;
    let columns = changes::of_columns(&opened, &studied, &mut judge, (metric.value, larger))?;
    let smoothing = certified::certified(&opened, &studied, &mut judge, request)?;
    let checks = checks::checks(&attacks, larger, flat, points.count);
    let unit = match opened.fitted.image {
        Some(_) => "the distance from black to white",
        None => "a standard deviation of the column over the training rows",
    };
    let found = Robustness {
        run: run.display().to_string(),
        split: studied.split.clone(),
        rows: points.count,
        subject: judge.task.subject(),
        seed: request.seed,
        metric: metric.name,
        larger_is_better: larger,
        clean: Number(metric.value),
        unit: unit.into(),
        steps: request.steps,
        restarts: request.restarts,
        attacks,
        changes,
        columns,
        smoothing,
        checks,
        notes,
    };
    let html = robust::page(&opened.experiment.name, &found);
    Ok(Tested { found, html })
}

/// Refuses numbers that are out of range.
fn check(request: &Request) -> Result<(), TrainError> {
    let wrong = |name, problem: String| Err(TrainError::Setting { run: None, name, problem });
    if !(1..=1000).contains(&request.steps) {
        return wrong("steps", format!("{} is not in 1..=1000", request.steps));
    }
    if !(1..=100).contains(&request.restarts) {
        return wrong("restarts", format!("{} is not in 1..=100", request.restarts));
    }
    if !(100..=1_000_000).contains(&request.draws) {
        return wrong("draws", format!("{} is not in 100..=1000000", request.draws));
    }
    if let Some(deviation) = request.smoothing.filter(|x| !x.is_finite() || *x <= 0.0) {
        return wrong("smoothing", format!("{deviation} must be a finite number above 0, such as 0.25"));
    }
    for (name, radii) in [("radii", request.radii), ("radii-l2", request.radii_l2)] {
        let ascending = radii.windows(2).all(|pair| pair[0] < pair[1]);
        if !ascending || radii.iter().any(|r| !r.is_finite() || *r <= 0.0) {
            return wrong(name, "expects numbers above 0 in ascending order, such as 0.05,0.1,0.2".into());
        }
    }
    Ok(())
}

/// The metric of this name, or the first whose larger or smaller values are better.
fn metric(metrics: &[Metric], name: Option<&str>) -> Result<Metric, TrainError> {
    let ranked: Vec<&Metric> = metrics.iter().filter(|m| larger_is_better(m.name).is_some()).collect();
    let found = match name {
        None => ranked.first(),
        Some(name) => ranked.iter().find(|m| m.name == name),
    };
    found.map(|m| (*m).clone()).ok_or_else(|| {
        let known: Vec<&str> = ranked.iter().map(|m| m.name).collect();
        let problem = format!("`{}` is not measured; there are {}", name.unwrap_or(""), known.join(", "));
        TrainError::Setting { run: None, name: "metric", problem }
    })
}

/// The radii of a norm.
fn radii(request: &Request, norm: Norm, pictures: bool) -> Vec<f64> {
    let given = if norm == Norm::Two { request.radii_l2 } else { request.radii };
    let usual: &[f64] = match (norm, pictures) {
        (Norm::Infinity, true) => &[0.01, 0.02, 0.05, 0.1, 0.2, 0.3],
        (Norm::Two, true) => &[0.1, 0.2, 0.5, 1.0, 2.0, 3.0],
        (Norm::Infinity, false) => &[0.01, 0.02, 0.05, 0.1, 0.2, 0.5],
        (Norm::Two, false) => &[0.05, 0.1, 0.2, 0.5, 1.0, 2.0],
    };
    if given.is_empty() { usual.to_vec() } else { given.to_vec() }
}

/// The metric under attack by radius, and the number of rows without a gradient.
fn attacks(
    network: &Network,
    judge: &Judge,
    room: &Room,
    response: &Response,
    request: &Request,
    opened: &Opened,
) -> Result<(Vec<Strengths>, usize), TrainError> {
    let mut attacker =
        Attacker::new(network, judge.points, room, response, opened.fitted.threshold, request.seed)?;
    let flat = attacker.flat()?;
    let pgd = Attack::Pgd { steps: request.steps, restarts: request.restarts };
    let mut found = vec![];
    for norm in [Norm::Infinity, Norm::Two] {
        let radii = radii(request, norm, opened.fitted.image.is_some());
        for attack in [Attack::Noise, Attack::Fgsm, pgd] {
            let (mut values, mut losses) = (vec![], vec![]);
            for &radius in &radii {
                let attacked = attacker.run(attack, norm, radius)?;
                let (value, loss) = judge.score(attacked.raw, &attacked.losses);
                values.push(value);
                losses.push(loss);
            }
            found.push(Strengths {
                change: attack.name(),
                norm: Some(norm.name()),
                strengths: radii.clone(),
                values: numbers(&values),
                losses: numbers(&losses),
            });
        }
    }
    Ok((found, flat))
}
