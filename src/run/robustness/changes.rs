//! Changes that nobody aims: missing values, shifted and scaled columns, bad cameras, worn sensors.

use super::Judge;
use crate::base::number::{Number, numbers};
use crate::data::Encoding;
use crate::explain::corruption::Corruption;
use crate::explain::found::{ColumnStress, Strengths};
use crate::explain::{sensors, stress};
use crate::run::opened::Opened;
use crate::run::room::picture_range;
use crate::run::studied::Studied;
use crate::train::TrainError;

/// Parts of the values that are missing.
const MISSING: [f64; 6] = [0.05, 0.1, 0.2, 0.3, 0.5, 0.8];
/// Parts of the distance from black to white that every pixel becomes brighter.
const BRIGHTNESS: [f64; 8] = [-0.5, -0.3, -0.2, -0.1, 0.1, 0.2, 0.3, 0.5];
/// Factors of the distance from the middle grey.
const CONTRAST: [f64; 6] = [0.1, 0.25, 0.5, 0.75, 1.5, 2.0];
/// Standard deviations added to a column.
const SHIFTS: [f64; 6] = [-2.0, -1.0, -0.5, 0.5, 1.0, 2.0];
/// Factors of a column.
const FACTORS: [f64; 4] = [0.5, 0.9, 1.1, 2.0];

/// The metric by the strength of changes of whole rows.
pub(super) fn of_all(
    opened: &Opened,
    studied: &Studied,
    judge: &mut Judge,
    seed: u64,
) -> Result<Vec<Strengths>, TrainError> {
    let (points, space) = (judge.points, &studied.space);
    let mut by = |change, strengths: &[f64], to: &dyn Fn(f64) -> Vec<f32>| -> Result<Strengths, TrainError> {
        let scores: Vec<(f64, f64)> =
            strengths.iter().map(|&strength| judge.of(&to(strength))).collect::<Result<_, _>>()?;
        let (values, losses): (Vec<f64>, Vec<f64>) = scores.into_iter().unzip();
        Ok(Strengths {
            change,
            norm: None,
            strengths: strengths.to_vec(),
            values: numbers(&values),
            losses: numbers(&losses),
        })
    };
    if opened.fitted.window.is_some() {
        let all = sensors::sensors(space, &studied.room);
        let steps = steps(space.steps);
        if all.is_empty() {
            return Ok(vec![]);
        }
        return Ok(vec![
            by("stuck", &steps, &|steps| sensors::stuck(space, points, &all, steps as usize))?,
            by("delayed", &steps, &|steps| sensors::delayed(space, points, &all, steps as usize))?,
        ]);
    }
    let Some(image) = &opened.fitted.image else {
        let missing = |part: f64| stress::with_missing(space, &opened.fitted, points, part, seed);
        return Ok(vec![by("missing", &MISSING, &missing)?]);
    };
    let range = picture_range(image);
    let bounds = |at: usize| range[at % image.shape.values() / image.shape.plane()].map(f64::from);
    let shades: Vec<f64> = points
        .x
        .iter()
        .enumerate()
        .map(|(at, &x)| {
            let [low, high] = bounds(at);
            (f64::from(x) - low) / (high - low)
        })
        .collect();
    let pixels = |shades: Vec<f64>| -> Vec<f32> {
        let pixel = |(at, shade): (usize, f64)| {
            let [low, high] = bounds(at);
            (low + (high - low) * shade.clamp(0.0, 1.0)) as f32
        };
        shades.into_iter().enumerate().map(pixel).collect()
    };
    let of_each = |change: &dyn Fn(f64) -> f64| pixels(shades.iter().map(|&shade| change(shade)).collect());
    let mut found = vec![
        by("brightness", &BRIGHTNESS, &|strength| of_each(&|shade| shade + strength))?,
        by("contrast", &CONTRAST, &|factor| of_each(&|shade| 0.5 + factor * (shade - 0.5)))?,
    ];
    for kind in Corruption::ALL {
        let corrupted = |strength: f64| pixels(kind.apply(&shades, image.shape, strength, seed));
        found.push(by(kind.name(), &kind.strengths(), &corrupted)?);
    }
    Ok(found)
}

/// Numbers of steps for which sensors of windows of `length` steps fail.
fn steps(length: usize) -> Vec<f64> {
    let doubled = std::iter::successors(Some(1), |steps| Some(steps * 2)).take_while(|steps| *steps < length);
    doubled.map(|steps| steps as f64).collect()
}

/// The metric with single columns changed, the ones that cost most first; `(value, larger_is_better)` of the
/// metric for the rows as they are.
pub(super) fn of_columns(
    opened: &Opened,
    studied: &Studied,
    judge: &mut Judge,
    (clean, larger): (f64, bool),
) -> Result<Vec<ColumnStress>, TrainError> {
    let mut found = match opened.fitted.window {
        Some(_) => of_sensors(opened, studied, judge)?,
        None => of_table(opened, studied, judge)?,
    };
    for column in &mut found {
        let lists = [&column.shifted, &column.scaled, &column.stuck, &column.delayed];
        let all = column.missing.iter().chain(lists.into_iter().flatten().map(|(_, value)| value));
        let worse = |value: &Number| if larger { clean - value.0 } else { value.0 - clean };
        column.worst = Number(all.map(worse).fold(f64::NEG_INFINITY, f64::max));
    }
    found.retain(|column| column.worst.0 > f64::NEG_INFINITY);
    found.sort_by(|a, b| b.worst.0.total_cmp(&a.worst.0));
    Ok(found)
}

/// The columns of a table, each changed by itself.
fn of_table(opened: &Opened, studied: &Studied, judge: &mut Judge) -> Result<Vec<ColumnStress>, TrainError> {
    let (space, fitted, points) = (&studied.space, &opened.fitted, judge.points);
    let mut found = vec![];
    for unit in &space.units {
        let mut score = |x: Option<Vec<f32>>| -> Result<Option<Number>, TrainError> {
            x.map(|x| Ok(Number(judge.of(&x)?.0))).transpose()
        };
        let missing = score(stress::without(space, fitted, points, unit))?;
        let deviation = stress::deviation(space, fitted, &studied.training, unit);
        let (mut shifted, mut scaled) = (vec![], vec![]);
        for strength in SHIFTS {
            let to = |x: f64| x + strength * deviation.unwrap_or(0.0);
            let value = score(stress::changed(space, fitted, points, unit, &to))?;
            shifted.extend(value.map(|value| (strength, value)));
        }
        for factor in FACTORS {
            let value = score(stress::changed(space, fitted, points, unit, &|x| x * factor))?;
            scaled.extend(value.map(|value| (factor, value)));
        }
        let (column, deviation) = (unit.name.clone(), deviation.map(Number));
        found.push(ColumnStress { column, missing, shifted, scaled, deviation, ..ColumnStress::default() });
    }
    Ok(found)
}

/// The sensors of windows of series, each failing by itself.
fn of_sensors(
    opened: &Opened,
    studied: &Studied,
    judge: &mut Judge,
) -> Result<Vec<ColumnStress>, TrainError> {
    let (space, room, points) = (&studied.space, &studied.room, judge.points);
    let steps = steps(space.steps);
    let mut found = vec![];
    for sensor in sensors::sensors(space, room) {
        let unit = space.units.iter().find(|unit| unit.inputs.contains(&sensor[0]));
        let column = unit.map_or_else(String::new, |unit| unit.name.clone());
        let mut scores = |strengths: &[f64], to: &dyn Fn(f64) -> Vec<f32>| -> Result<Vec<_>, TrainError> {
            strengths.iter().map(|&strength| Ok((strength, Number(judge.of(&to(strength))?.0)))).collect()
        };
        let one = std::slice::from_ref(&sensor);
        let of_steps = |steps: f64| steps as usize;
        found.push(ColumnStress {
            deviation: deviation(opened, &column, room.scale[sensor[0]]),
            column,
            shifted: scores(&SHIFTS, &|by| sensors::shifted(space, points, one, room, by))?,
            stuck: scores(&steps, &|steps| sensors::stuck(space, points, one, of_steps(steps)))?,
            delayed: scores(&steps, &|steps| sensors::delayed(space, points, one, of_steps(steps)))?,
            ..ColumnStress::default()
        });
    }
    Ok(found)
}

/// A deviation in a column's own units, of `scaled` as the model reads it; `None` if its scale is not one for all
/// values and series.
fn deviation(opened: &Opened, column: &str, scaled: f32) -> Option<Number> {
    let window = opened.fitted.window.as_ref()?;
    let own = window.past.iter().find(|(name, _)| name == column).map(|(_, scaling)| scaling);
    if own.is_some() && window.series.values().any(|series| !series.scaling.is_empty()) {
        return None;
    }
    let of_column = || match &opened.fitted.columns.iter().find(|known| known.name == column)?.encoding {
        Encoding::Number { scaling, .. } => Some(scaling),
        _ => None,
    };
    let scaling = own.or_else(of_column)?;
    let [zero, one, two] = [0.0, 1.0, 2.0].map(|x| scaling.invert(x));
    let is_linear = ((two - one) - (one - zero)).abs() <= 1e-9 * (one - zero).abs();
    is_linear.then(|| Number((one - zero) * f64::from(scaled)))
}
