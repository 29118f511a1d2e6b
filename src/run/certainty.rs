//! What reports show of how sure predictions are.

use super::evaluate::Evaluation;
use super::opened::Opened;
use crate::report::uncertain::uncertain;
use crate::tasks::Shown;
use crate::uncertainty::calibration::Intervals;
use crate::uncertainty::coverage::Asked;

/// What a report shows of how sure predictions are.
#[derive(Default)]
pub(super) struct Found {
    /// A section; empty if nothing was asked for.
    pub section: String,
    /// Intervals of numbers, and their coverage.
    pub intervals: Option<(f64, Intervals)>,
}

/// What a report shows of how sure the predictions of `shown` are.
pub(super) fn found(opened: &Opened, evaluation: &Evaluation, shown: &Shown) -> Found {
    let target = &opened.fitted.target;
    let asked = opened.wanted.coverage.as_ref().filter(|_| target.classes().is_empty());
    let intervals = asked.map(|(coverage, calibration)| {
        let asked = Asked { calibration, target, sets: opened.wanted.sets };
        (*coverage, asked.intervals(shown.rows, shown.predictions, *coverage))
    });
    // Forecasts are drawn over time with their intervals.
    let rows_alone = intervals.as_ref().filter(|_| shown.rows.windows.is_none());
    let drawn = rows_alone.map_or_else(Vec::new, |(_, found)| {
        let (predicted, truth) = (shown.predictions.values(target), shown.predictions.true_values(target));
        // Of several values, the first.
        let each = (0..predicted.len()).step_by(target.outputs().max(1));
        each.map(|at| [predicted[at], found.low[at], found.high[at], truth[at]]).collect()
    });
    let label = target.titles().first().cloned().unwrap_or_default();
    let ece = evaluation.metrics.get("ece").unwrap_or(f64::NAN);
    let temperature = evaluation.temperature.as_ref().map(|t| [t.temperature, t.ece_before.0, ece]);
    let section = uncertain(shown.part, evaluation.conformal.as_ref(), &label, &drawn, temperature);
    Found { section, intervals }
}
