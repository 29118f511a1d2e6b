//! Changes that nobody aims: missing values, shifted and scaled columns, brightness and contrast.

use super::Judge;
use crate::base::number::{Number, numbers};
use crate::explain::Space;
use crate::explain::found::{ColumnStress, Strengths};
use crate::explain::stress;
use crate::run::explain::picture_range;
use crate::run::opened::Opened;
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
    space: &Space,
    judge: &mut Judge,
    seed: u64,
) -> Result<Vec<Strengths>, TrainError> {
    let points = judge.points;
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
    let Some(image) = &opened.fitted.image else {
        let missing = |part: f64| stress::with_missing(space, &opened.fitted, points, part, seed);
        return Ok(vec![by("missing", &MISSING, &missing)?]);
    };
    let range = picture_range(image);
    let of_pixels = |change: &dyn Fn(f64) -> f64| -> Vec<f32> {
        let pixel = |(at, &x): (usize, &f32)| {
            let [low, high] = range[at % image.shape.values() / image.shape.plane()].map(f64::from);
            let shade = (f64::from(x) - low) / (high - low);
            (low + (high - low) * change(shade).clamp(0.0, 1.0)) as f32
        };
        points.x.iter().enumerate().map(pixel).collect()
    };
    Ok(vec![
        by("brightness", &BRIGHTNESS, &|strength| of_pixels(&|shade| shade + strength))?,
        by("contrast", &CONTRAST, &|factor| of_pixels(&|shade| 0.5 + factor * (shade - 0.5)))?,
    ])
}

/// The metric with single columns changed, the ones that cost most first; `(value, larger_is_better)` of the
/// metric for the rows as they are.
pub(super) fn of_columns(
    opened: &Opened,
    studied: &Studied,
    judge: &mut Judge,
    (clean, larger): (f64, bool),
) -> Result<Vec<ColumnStress>, TrainError> {
    let (space, fitted, points) = (&studied.space, &opened.fitted, judge.points);
    let mut found = vec![];
    for unit in &space.units {
        let mut score = |x: Option<Vec<f32>>| -> Result<Option<Number>, TrainError> {
            x.map(|x| Ok(Number(judge.of(&x)?.0))).transpose()
        };
        let missing = score(stress::without(space, fitted, points, unit))?;
        let deviation = stress::deviation(space, fitted, &studied.training, unit).unwrap_or(0.0);
        let (mut shifted, mut scaled) = (vec![], vec![]);
        for strength in SHIFTS {
            let to = |x: f64| x + strength * deviation;
            let value = score(stress::changed(space, fitted, points, unit, &to))?;
            shifted.extend(value.map(|value| (strength, value)));
        }
        for factor in FACTORS {
            let value = score(stress::changed(space, fitted, points, unit, &|x| x * factor))?;
            scaled.extend(value.map(|value| (factor, value)));
        }
        let all = missing.iter().chain(shifted.iter().chain(&scaled).map(|(_, value)| value));
        let worse = |value: &Number| if larger { clean - value.0 } else { value.0 - clean };
        let worst = all.map(worse).fold(f64::NEG_INFINITY, f64::max);
        if worst > f64::NEG_INFINITY {
            found.push(ColumnStress {
                column: unit.name.clone(),
                missing,
                shifted,
                scaled,
                worst: Number(worst),
            });
        }
    }
    found.sort_by(|a, b| b.worst.0.total_cmp(&a.worst.0));
    Ok(found)
}
