//! Inputs as they might come one day: with missing values, or with columns shifted or scaled.

use super::points::{Points, words};
use super::space::{Space, Unit};
use crate::base::rng::{self, RandomKind, streams};
use crate::base::step::StepRecord;
use crate::data::config::Calendar;
use crate::data::{Encoding, Fitted};

/// The numbers of a column whose value is missing, as training would have filled it.
pub fn missing(space: &Space, fitted: &Fitted, unit: &Unit) -> Option<Vec<f32>> {
    Some(match space.encoding(fitted, unit)? {
        Encoding::Number { fill, clip, scaling, indicator, .. } => {
            let x = clip.map_or(*fill, |[low, high]| fill.clamp(low, high));
            let filled = scaling.apply_f32(x);
            if *indicator { vec![filled, 1.0] } else { vec![filled] }
        }
        Encoding::OneHot { fill, names, .. } => {
            names.iter().map(|name| f32::from(u8::from(Some(name) == fill.as_ref()))).collect()
        }
        Encoding::Embedding { fill, names, .. } => {
            let embedded = space.embedded.iter().find(|e| e.name == unit.name)?;
            // Index 0 is for what training did not have.
            let of = |name: &String| names.binary_search(name).ok().map_or(0, |at| at + 1);
            let id = fill.as_ref().map_or(0, of);
            embedded.table.get(id * embedded.width..(id + 1) * embedded.width)?.to_vec()
        }
        Encoding::Calendar { parts, cyclic } => {
            // As a date whose parts are all 0.
            let of = |part: &Calendar| match (cyclic, part) {
                (true, Calendar::Hour | Calendar::Weekday | Calendar::Month | Calendar::DayOfYear) => {
                    vec![0.0, 1.0]
                }
                _ => vec![0.0],
            };
            parts.iter().flat_map(of).collect()
        }
    })
}

/// The points with each value of each column missing with probability `part`. Values that are missing with
/// one probability are so with every larger one.
pub fn with_missing(space: &Space, fitted: &Fitted, points: &Points, part: f64, seed: u64) -> Vec<f32> {
    let fills: Vec<Option<Vec<f32>>> = space.units.iter().map(|unit| missing(space, fitted, unit)).collect();
    let [seed_low, seed_high] = words(seed);
    let mut draws = vec![0.0; points.count * space.units.len()];
    let step = StepRecord { seed_low, seed_high, ..StepRecord::default() };
    rng::fill(RandomKind::Uniform, &step, streams::ATTACK ^ 0x200, 0, &mut draws);
    let mut x = points.x.clone();
    for (point, draws) in x.chunks_mut(space.width()).zip(draws.chunks(space.units.len().max(1))) {
        for ((unit, fill), draw) in space.units.iter().zip(&fills).zip(draws) {
            if let (Some(fill), true) = (fill, f64::from(*draw) < part) {
                unit.inputs.iter().zip(fill).for_each(|(&at, &number)| point[at] = number);
            }
        }
    }
    x
}

/// The points with all values of one column missing; `None` if it is a group.
pub fn without(space: &Space, fitted: &Fitted, points: &Points, unit: &Unit) -> Option<Vec<f32>> {
    let fill = missing(space, fitted, unit)?;
    let mut x = points.x.clone();
    for point in x.chunks_mut(space.width()) {
        unit.inputs.iter().zip(&fill).for_each(|(&at, &number)| point[at] = number);
    }
    Some(x)
}

/// The points with the values of a numeric column, in its own units, replaced by `change` of them; `None` if
/// the column is not one.
pub fn changed(
    space: &Space,
    fitted: &Fitted,
    points: &Points,
    unit: &Unit,
    change: &dyn Fn(f64) -> f64,
) -> Option<Vec<f32>> {
    let Encoding::Number { boolean: false, clip, scaling, indicator, .. } = space.encoding(fitted, unit)?
    else {
        return None;
    };
    let mut x = points.x.clone();
    for point in x.chunks_mut(space.width()) {
        let place = *unit.inputs.first()?;
        // What is missing stays so.
        let is_missing = *indicator && unit.inputs.get(1).is_some_and(|&at| point[at] == 1.0);
        if !is_missing {
            let value = change(scaling.invert(f64::from(point[place])));
            point[place] = scaling.apply_f32(clip.map_or(value, |[low, high]| value.clamp(low, high)));
        }
    }
    Some(x)
}

/// The standard deviation of a numeric column over points, in its own units.
pub fn deviation(space: &Space, fitted: &Fitted, points: &Points, unit: &Unit) -> Option<f64> {
    let Encoding::Number { scaling, .. } = space.encoding(fitted, unit)? else { return None };
    let place = *unit.inputs.first()?;
    let values: Vec<f64> =
        points.x.iter().skip(place).step_by(space.width()).map(|&x| scaling.invert(f64::from(x))).collect();
    let count = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / count;
    Some((values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / count).sqrt())
}
