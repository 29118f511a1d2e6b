//! Predictions divided among the columns: Shapley values and integrated gradients of a run.

use super::{Request, network, response};
use crate::base::number::{Number, numbers};
use crate::data::Encoding;
use crate::device::Device;
use crate::explain::found::Attributed;
use crate::explain::path::{self, Baseline, MOST_STEPS};
use crate::explain::points::sample;
use crate::explain::rollout;
use crate::explain::shapley::{MOST_EXACT, predictions_per_row, shapley};
use crate::explain::{Points, Unit};
use crate::run::opened::Opened;
use crate::run::studied::Studied;
use crate::train::TrainError;

/// Rows explained one by one at most, unless they are selected by number.
const EXPLAINED: usize = 100;
/// As many if they are.
const SELECTED: usize = 5000;
/// Predictions that Shapley values take in all at most; with fewer background rows or rows if that is not
/// enough.
const MOST_PREDICTIONS: usize = 8_000_000;
/// Pairs of orders for each background row, at least and at most.
const LEAST_PAIRS: usize = 2;
const MOST_PAIRS: usize = 16;
/// Background rows at least, where the rows do not suffice.
const LEAST_BACKGROUND: usize = 25;

/// Nodes of a quadrature that usually suffice.
const USUAL_STEPS: usize = 128;

/// Nodes of the quadrature for each of some rows at most, if all of them may take this many predictions.
pub(super) fn most_steps(predictions: usize, rows: usize) -> usize {
    (predictions / (3 * rows).max(1)).clamp(USUAL_STEPS, MOST_STEPS)
}

fn most(studied: &Studied) -> usize {
    if studied.by_number { SELECTED } else { EXPLAINED }
}

/// Shapley values.
pub(super) fn shap(
    opened: &Opened,
    studied: &mut Studied,
    request: &Request,
    device: &dyn Device,
) -> Result<Attributed, TrainError> {
    let columns = studied.space.units.len();
    let mut rows = most(studied).min(studied.count());
    let training = studied.training.count;
    let predictions = studied.predictions(opened, device)?.min(MOST_PREDICTIONS);
    let mut background = request.background.min(training);
    let cost = |rows: usize, background: usize| rows * predictions_per_row(columns, background, LEAST_PAIRS);
    while cost(rows, background) > predictions && background / 2 >= LEAST_BACKGROUND {
        background /= 2;
    }
    if !studied.by_number {
        rows = rows.min((predictions / predictions_per_row(columns, background, LEAST_PAIRS)).max(1));
    }
    let pairs = (predictions / 2 / (rows * predictions_per_row(columns, background, 1)).max(1))
        .clamp(LEAST_PAIRS, MOST_PAIRS);
    let points = studied.points("shap", rows, request.seed);
    let kept = sample(training, background, request.seed ^ 1);
    let width = studied.space.width();
    let x = kept.iter().flat_map(|&row| studied.training.x[row * width..(row + 1) * width].to_vec());
    let behind = Points { count: kept.len(), x: x.collect(), ..Points::default() };
    let response = response(opened, studied);
    let found = shapley(&network(opened, studied, device), &points, &behind, &response, pairs, request.seed)?;
    let exact = columns <= MOST_EXACT;
    let how = if exact {
        format!("Exact over all sets of the {columns} columns, {} background rows of training", behind.count)
    } else {
        format!(
            "{pairs} random orders of the {columns} columns and as many reversed for each of {} background \
             rows of training",
            behind.count
        )
    };
    let errors = found.errors.iter().copied().fold(0.0, f64::max);
    let explained: Vec<f64> = found.predicted.clone();
    Ok(attributed(
        opened,
        studied,
        &points,
        Sums {
            what: response.subject(),
            how,
            values: found.values,
            base: found.base,
            explained,
            largest_error: None,
            largest_standard_error: (!exact).then_some(errors),
            steps: None,
            by_step: vec![],
        },
    ))
}

/// Integrated gradients of a table or of windows.
pub(super) fn gradients(
    opened: &Opened,
    studied: &mut Studied,
    request: &Request,
    device: &dyn Device,
) -> Result<Attributed, TrainError> {
    let (width, most) = (studied.space.width(), most(studied));
    let (what, each) = ("integrated gradients", 3 * USUAL_STEPS);
    let points = studied.affordable(what, [1, most], each, (opened, device), request.seed)?;
    let most_steps = most_steps(studied.predictions(opened, device)?, points.count);
    let (baseline, name) = match request.baseline {
        None | Some(Baseline::Mean) => (path::mean(&studied.training, width), "mean"),
        Some(Baseline::Median) => {
            let categories = studied.space.units.iter().filter(|unit| {
                let encoding = studied.space.encoding(&opened.fitted, unit);
                matches!(encoding, Some(Encoding::OneHot { .. } | Encoding::Embedding { .. }))
            });
            let blocks: Vec<Vec<usize>> = categories.map(|unit| unit.inputs.clone()).collect();
            (path::median(&studied.training, width, &blocks), "median")
        }
        Some(Baseline::Black) => {
            let problem = "black is for pictures; use mean or median".into();
            return Err(TrainError::Setting { run: None, name: "baseline", problem });
        }
    };
    let response = response(opened, studied);
    let found =
        path::integrated(&network(opened, studied, device), &points, &baseline, &response, most_steps)?;
    let largest = found.errors.iter().copied().fold(0.0, f64::max);
    let steps = found.steps.iter().copied().max().unwrap_or(0);
    let units = &studied.space.units;
    let of_unit = |values: &[f64], unit: &Unit| unit.inputs.iter().map(|&at| values[at]).sum::<f64>();
    let values: Vec<f64> = found
        .values
        .chunks(width)
        .flat_map(|row| units.iter().map(|unit| of_unit(row, unit)).collect::<Vec<_>>())
        .collect();
    let by_step = if studied.space.steps > 1 { by_step(studied, &found.values) } else { vec![] };
    let ends = found.starts.iter().zip(&found.differences).map(|(a, b)| a + b);
    let unfinished = found.errors.iter().filter(|error| **error > path::TOLERANCE).count();
    if unfinished > 0 {
        studied.notes.push(format!(
            "integrated gradients: with {most_steps} nodes, {unfinished} of {} rows sum to their difference \
             only within {:.1} %",
            points.count,
            100.0 * largest
        ));
    }
    let sums = Sums {
        what: found.focus.what.clone(),
        how: format!("Relative to the {name} of the training rows, up to {steps} Gauss-Legendre nodes"),
        values,
        explained: ends.collect(),
        base: found.starts,
        largest_error: Some(largest),
        largest_standard_error: None,
        steps: Some(steps),
        by_step,
    };
    Ok(attributed(opened, studied, &points, sums))
}

/// Attention rollout of a table or of windows: by column, or by step.
pub(super) fn rollout(
    opened: &Opened,
    studied: &mut Studied,
    request: &Request,
    device: &dyn Device,
) -> Result<Attributed, TrainError> {
    let points = studied.points("rollout", most(studied), request.seed);
    let response = response(opened, studied);
    let found = rollout::rollout(&network(opened, studied, device), &points, &response)?;
    let (space, tokens) = (&studied.space, found.tokens);
    let steps = |step: usize| match space.steps - 1 - step {
        0 => "the last step".to_string(),
        1 => "1 step before it".into(),
        before => format!("{before} steps before it"),
    };
    // A token is a step of a window or, of other rows, a number of a point.
    let of: Vec<(String, Vec<usize>)> = match space.steps {
        1 if tokens == space.width() => {
            space.units.iter().map(|unit| (unit.name.clone(), unit.inputs.clone())).collect()
        }
        2.. if tokens == space.steps => (0..tokens).map(|step| (steps(step), vec![step])).collect(),
        _ => {
            let problem =
                format!("rollout: the {tokens} tokens of the model are neither its inputs nor its steps");
            return Err(TrainError::Setting { run: None, name: "method", problem });
        }
    };
    let part = |row: &[f64]| {
        let sums = of.iter().map(|(_, places)| places.iter().map(|&at| row[at]).sum::<f64>());
        numbers(&sums.collect::<Vec<f64>>())
    };
    let values: Vec<Vec<Number>> = found.values.chunks(tokens).map(part).collect();
    let count = values.len().max(1) as f64;
    let mean = |at: usize| Number(values.iter().map(|row| row[at].0).sum::<f64>() / count);
    let means: Vec<Number> = (0..of.len()).map(mean).collect();
    let error = |row: &Vec<Number>| (row.iter().map(|x| x.0).sum::<f64>() - 1.0).abs();
    Ok(Attributed {
        what: "the attention of a prediction".into(),
        how: "Through all layers, heads averaged and half of each layer passed by".into(),
        rows: points.rows.iter().map(|row| row + 1).collect(),
        columns: of.iter().map(|(name, _)| name.clone()).collect(),
        mean_size: means.clone(),
        mean: means,
        base: vec![Number(0.0); values.len()],
        explained: vec![Number(1.0); values.len()],
        readings: if space.steps > 1 { vec![] } else { readings(opened, studied, &points) },
        by_step: vec![],
        largest_error: Number(values.iter().map(error).fold(0.0, f64::max)),
        largest_standard_error: None,
        steps: None,
        values,
    })
}

/// Mean size by step and column.
fn by_step(studied: &Studied, values: &[f64]) -> Vec<Vec<Number>> {
    let (space, width) = (&studied.space, studied.space.width());
    let rows = (values.len() / width.max(1)).max(1) as f64;
    let mean = |step: usize, unit: &Unit| {
        let of_step = |at: &&usize| **at / space.per_step() == step;
        let places: Vec<usize> = unit.inputs.iter().filter(of_step).copied().collect();
        let size = |row: &[f64]| places.iter().map(|&at| row[at]).sum::<f64>().abs();
        Number(values.chunks(width).map(size).sum::<f64>() / rows)
    };
    (0..space.steps).map(|step| space.units.iter().map(|unit| mean(step, unit)).collect()).collect()
}

/// The parts of [`Attributed`] that differ by method.
struct Sums {
    what: String,
    how: String,
    /// `[rows, columns]`
    values: Vec<f64>,
    base: Vec<f64>,
    explained: Vec<f64>,
    /// The largest error if it is known by the method's own measure.
    largest_error: Option<f64>,
    largest_standard_error: Option<f64>,
    steps: Option<usize>,
    by_step: Vec<Vec<Number>>,
}

fn attributed(opened: &Opened, studied: &Studied, points: &Points, sums: Sums) -> Attributed {
    let units = &studied.space.units;
    let columns = units.len();
    let count = points.count.max(1) as f64;
    let mean = |of: &dyn Fn(f64) -> f64, column: usize| {
        Number(sums.values.iter().skip(column).step_by(columns).map(|&x| of(x)).sum::<f64>() / count)
    };
    let error = |(row, (base, explained)): (&[f64], (&f64, &f64))| {
        let difference = explained - base;
        let size: f64 = row.iter().map(|x| x.abs()).sum();
        let distance = (row.iter().sum::<f64>() - difference).abs();
        if distance == 0.0 { 0.0 } else { distance / difference.abs().max(0.1 * size) }
    };
    let rows = || sums.values.chunks(columns.max(1));
    let found = rows().zip(sums.base.iter().zip(&sums.explained)).map(error).fold(0.0, f64::max);
    Attributed {
        what: sums.what,
        how: sums.how,
        rows: points.rows.iter().map(|row| row + 1).collect(),
        columns: units.iter().map(|unit| unit.name.clone()).collect(),
        mean_size: (0..columns).map(|column| mean(&f64::abs, column)).collect(),
        mean: (0..columns).map(|column| mean(&|x| x, column)).collect(),
        base: numbers(&sums.base),
        explained: numbers(&sums.explained),
        values: rows().map(numbers).collect(),
        readings: readings(opened, studied, points),
        by_step: sums.by_step,
        largest_error: Number(sums.largest_error.unwrap_or(found)),
        largest_standard_error: sums.largest_standard_error.map(Number),
        steps: sums.steps,
    }
}

/// The value of each column as the model reads it, `[rows][columns]`; NaN where it is several numbers.
fn readings(opened: &Opened, studied: &Studied, points: &Points) -> Vec<Vec<f64>> {
    let space = &studied.space;
    let reading = |point: &[f32], unit: &Unit| match (
        space.encoding(&opened.fitted, unit),
        space.steps,
        unit.inputs.first(),
    ) {
        (Some(Encoding::Number { .. }), 1, Some(&at)) => f64::from(point[at]),
        _ => f64::NAN,
    };
    let of_point = |point: &[f32]| space.units.iter().map(|unit| reading(point, unit)).collect();
    points.x.chunks(space.width()).map(of_point).collect()
}
