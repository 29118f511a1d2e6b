//! The prediction as a function of one column: partial dependence (Friedman 2001), and accumulated local
//! effects (Apley, Zhu 2020, "Visualizing the effects of predictor variables in black box supervised learning
//! models").

use super::network::{Given, Network, Probe, Wanted};
use super::points::Points;
use super::response::Response;
use super::space::Unit;
use crate::data::{Encoding, Fitted};
use crate::train::TrainError;

/// Points of a curve, at quantiles of the column.
pub const GRID: usize = 24;
/// Names of a category column that are shown at most.
const MOST_NAMES: usize = 30;

/// The curves of a column.
#[derive(Clone, Debug, PartialEq)]
pub struct Curves {
    /// Column.
    pub column: String,
    /// Values of a numeric column, ascending, in its own units; numbers from 0 for the names of a category
    /// column.
    pub at: Vec<f64>,
    /// Names of a category column; empty for numbers.
    pub names: Vec<String>,
    /// Mean prediction with every row's column set to this value: for each of the response's names, one
    /// number for each place in `at`.
    pub partial: Vec<Vec<f64>>,
    /// Accumulated local effects at the same places, whose mean over the rows is 0; empty for categories,
    /// which have no order.
    pub local: Vec<Vec<f64>>,
}

/// The curves of all columns that are numbers or categories, over `points`.
///
/// # Errors
/// If the device fails.
pub fn curves(
    network: &Network,
    fitted: &Fitted,
    points: &Points,
    response: &Response,
) -> Result<Vec<Curves>, TrainError> {
    let mut walk = Walk {
        width: network.space.width(),
        probe: network.probe(Wanted::Outputs, points.count)?,
        points,
        response,
    };
    let mut found = vec![];
    for unit in &network.space.units {
        let curves = match network.space.encoding(fitted, unit) {
            Some(Encoding::Number { scaling, indicator, .. }) => {
                walk.number(unit, *indicator, &|x| scaling.invert(f64::from(x)))?
            }
            Some(Encoding::OneHot { names, .. }) => {
                let of = |at: usize| (0..names.len()).map(|other| f32::from(u8::from(other == at))).collect();
                walk.names(unit, names, &of)?
            }
            Some(Encoding::Embedding { names, .. }) => {
                let of = |at: usize| match network.space.embedded.iter().find(|e| e.name == unit.name) {
                    // Index 0 is for names that training did not have.
                    Some(e) => e.table[(at + 1) * e.width..(at + 2) * e.width].to_vec(),
                    None => vec![],
                };
                walk.names(unit, names, &of)?
            }
            // The parts of a date follow from each other, and columns of a group do not move together.
            Some(Encoding::Calendar { .. }) | None => continue,
        };
        found.extend(curves);
    }
    Ok(found)
}

struct Walk<'a> {
    width: usize,
    probe: Probe,
    points: &'a Points,
    response: &'a Response<'a>,
}

impl Walk<'_> {
    /// The predictions of points, `[points, names]`.
    fn predict(&mut self, x: &[f32]) -> Result<Vec<f64>, TrainError> {
        let raw = self.probe.run(x, Given::default())?.swap_remove(0);
        Ok(self.response.of(raw, x.len() / self.width))
    }

    /// The points with other numbers in some places.
    fn with(&self, places: &[usize], numbers: &[f32]) -> Vec<f32> {
        let mut x = self.points.x.clone();
        for point in x.chunks_mut(self.width) {
            places.iter().zip(numbers).for_each(|(&place, &number)| point[place] = number);
        }
        x
    }

    /// The mean prediction with every row's numbers in some places replaced, for each of the response's
    /// names.
    fn mean_with(&mut self, places: &[usize], numbers: &[f32]) -> Result<Vec<f64>, TrainError> {
        let values = self.predict(&self.with(places, numbers))?;
        let (count, names) = (self.points.count.max(1), self.response.names().len().max(1));
        let sum = |name: usize| values.iter().skip(name).step_by(names).sum::<f64>();
        Ok((0..names).map(|name| sum(name) / count as f64).collect())
    }

    fn number(
        &mut self,
        unit: &Unit,
        indicator: bool,
        invert: &dyn Fn(f32) -> f64,
    ) -> Result<Option<Curves>, TrainError> {
        let Some(&place) = unit.inputs.first() else { return Ok(None) };
        let column: Vec<f32> = self.points.x.iter().skip(place).step_by(self.width).copied().collect();
        let grid = quantiles(&column);
        if grid.len() < 2 {
            return Ok(None);
        }
        let names = self.response.names().len().max(1);
        let mut partial = vec![vec![]; names];
        for &x in &grid {
            // A value that is set is not missing.
            let numbers: &[f32] = if indicator { &[x, 0.0] } else { &[x] };
            let means = self.mean_with(&unit.inputs, numbers)?;
            partial.iter_mut().zip(means).for_each(|(curve, y)| curve.push(y));
        }
        let local = self.local(place, &column, &grid, names)?;
        let at = grid.into_iter().map(invert).collect();
        Ok(Some(Curves { column: unit.name.clone(), at, names: vec![], partial, local }))
    }

    /// Sums of the mean changes of the prediction across each interval, over the rows that lie in it.
    fn local(
        &mut self,
        place: usize,
        column: &[f32],
        grid: &[f32],
        names: usize,
    ) -> Result<Vec<Vec<f64>>, TrainError> {
        let intervals = grid.len() - 1;
        let interval = |x: &f32| grid.partition_point(|edge| edge < x).clamp(1, intervals) - 1;
        let places: Vec<usize> = column.iter().map(interval).collect();
        let mut ends = [self.points.x.clone(), self.points.x.clone()];
        for (side, x) in ends.iter_mut().enumerate() {
            for (point, &at) in x.chunks_mut(self.width).zip(&places) {
                point[place] = grid[at + side];
            }
        }
        let (low, high) = (self.predict(&ends[0])?, self.predict(&ends[1])?);
        let mut counts = vec![0.0; intervals];
        places.iter().for_each(|&at| counts[at] += 1.0);
        let curve = |name: usize| {
            let mut changes = vec![0.0; intervals];
            for (row, &at) in places.iter().enumerate() {
                changes[at] += high[row * names + name] - low[row * names + name];
            }
            let mut sums = vec![0.0];
            for (at, change) in changes.iter().enumerate() {
                sums.push(sums[at] + if counts[at] > 0.0 { change / counts[at] } else { 0.0 });
            }
            let total: f64 = counts.iter().sum();
            let mean: f64 =
                (0..intervals).map(|at| counts[at] * 0.5 * (sums[at] + sums[at + 1])).sum::<f64>()
                    / total.max(1.0);
            sums.iter().map(|sum| sum - mean).collect()
        };
        Ok((0..names).map(curve).collect())
    }

    fn names(
        &mut self,
        unit: &Unit,
        names: &[String],
        numbers: &dyn Fn(usize) -> Vec<f32>,
    ) -> Result<Option<Curves>, TrainError> {
        let mut partial = vec![vec![]; self.response.names().len().max(1)];
        let shown = names.len().min(MOST_NAMES);
        for at in 0..shown {
            let means = self.mean_with(&unit.inputs, &numbers(at))?;
            partial.iter_mut().zip(means).for_each(|(curve, y)| curve.push(y));
        }
        Ok((shown > 0).then(|| Curves {
            column: unit.name.clone(),
            at: (0..shown).map(|at| at as f64).collect(),
            names: names[..shown].to_vec(),
            partial,
            local: vec![],
        }))
    }
}

/// Different quantiles at even ranks, from the smallest to the largest value.
fn quantiles(column: &[f32]) -> Vec<f32> {
    let mut sorted: Vec<f32> = column.iter().copied().filter(|x| x.is_finite()).collect();
    sorted.sort_by(f32::total_cmp);
    let Some(last) = sorted.len().checked_sub(1) else { return vec![] };
    let mut grid: Vec<f32> = (0..GRID).map(|at| sorted[at * last / (GRID - 1)]).collect();
    grid.dedup();
    grid
}
