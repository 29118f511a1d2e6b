//! Baseline forecasts: the last known value, the value one season earlier, and the mean of the window. A
//! model that does not beat them is not worth training.

use std::ops::Range;

use super::Known;
use super::series::Series;
use super::step::Step;
use crate::data::config::{Gaps, WindowConfig};
use crate::data::dataset::Baselines;
use crate::data::fitted::FittedWindow;

impl Baselines {
    /// Computes the baselines of the windows that start at the arranged rows `starts`.
    pub(super) fn of(
        window: &FittedWindow,
        known: &Known,
        series: &Series,
        starts: impl Iterator<Item = usize>,
    ) -> Self {
        let mut all = Self::default();
        let config = &window.config;
        for start in starts {
            let last = start + config.length - 1;
            for step in 0..config.steps() {
                let ahead = config.first_step() + step;
                for (past, truth) in known.past.iter().zip(&known.truth) {
                    let values = past[start..=last].iter().flatten();
                    let naive = past[last].unwrap_or(f64::NAN);
                    all.naive.push(naive);
                    all.mean.push(values.sum::<f64>() / config.length as f64);
                    all.truth.push(truth.get(last + ahead).copied().flatten().unwrap_or(f64::NAN));
                    if let Some(season) = window.season {
                        let before = season_ago(past, series, last, ahead, season);
                        all.seasonal.push(before.unwrap_or(naive));
                    }
                }
            }
        }
        all
    }
}

/// The latest value known at row `last` that lies a whole number of seasons before row `last + ahead`.
fn season_ago(
    past: &[Option<f64>],
    series: &Series,
    last: usize,
    ahead: usize,
    season: usize,
) -> Option<f64> {
    let at = series.groups.partition_point(|g| g.end <= last);
    let group = series.groups.get(at)?;
    let mut back = season * ahead.div_ceil(season) - ahead;
    // Counted from the last known row; rows in gaps do not exist, so times decide.
    for _ in 0..8 {
        let row = row_before(series, group, last, back);
        if let Some(value) = row.and_then(|row| past[row]) {
            return Some(value);
        }
        back += season;
    }
    None
}

/// The row of `group` that is `back` rows before `row`.
pub(super) fn row_before(series: &Series, group: &Range<usize>, row: usize, back: usize) -> Option<usize> {
    match series.step.zip(series.times.get(row)) {
        Some((step, now)) => {
            let wanted = step.after(*now, -i64::try_from(back).ok()?)?;
            let times = &series.times[group.start..=row];
            times.binary_search(&wanted).ok().map(|at| group.start + at)
        }
        None => row.checked_sub(back).filter(|row| group.contains(row)),
    }
}

/// The configured season; else a year of months, five business days, or a day or a week of rows, whichever
/// forecasts the training rows better.
pub(super) fn season(
    window: &WindowConfig,
    known: &Known,
    series: &Series,
    train: &[usize],
) -> Option<usize> {
    if window.season.is_some() {
        return window.season;
    }
    const DAY: i64 = 86_400;
    let seconds = match (series.step, series.next) {
        (Some(Step::Span(step)), _) => step.as_secs(),
        (_, Some(Step::Months { count, .. })) => {
            return usize::try_from(12 / count.max(1)).ok().filter(|&rows| rows > 1);
        }
        // A week has five working days.
        (Some(Step::BusinessDay), _) => return Some(5),
        (None, _) if window.gaps == Gaps::Ignore && is_daily(series) => return Some(5),
        (None | Some(Step::Months { .. }), _) => return None,
    };
    let whole = |period: i64| {
        (seconds > 0 && period % seconds == 0 && period > seconds).then_some((period / seconds) as usize)
    };
    let candidates = [whole(DAY), whole(7 * DAY)];
    let error = |season: usize| {
        let (mut sum, mut count) = (0.0, 0usize);
        for &row in train {
            let group = series.groups.partition_point(|g| g.end <= row);
            let begun = series.groups.get(group).is_some_and(|g| g.start + window.horizon <= row);
            if !begun {
                continue;
            }
            let last = row - window.horizon;
            for (past, truth) in known.past.iter().zip(&known.truth) {
                let found = season_ago(past, series, last, window.horizon, season);
                if let (Some(before), Some(now)) = (found, truth[row]) {
                    sum += (before - now).abs();
                    count += 1;
                }
            }
        }
        if count == 0 { f64::INFINITY } else { sum / count as f64 }
    };
    let scored = candidates.into_iter().flatten().map(|season| (error(season), season));
    scored.filter(|(error, _)| error.is_finite()).min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, season)| season)
}

/// Whether most rows are one day apart.
fn is_daily(series: &Series) -> bool {
    let days = |pair: &&[jiff::civil::DateTime]| pair[0].duration_until(pair[1]).as_hours() == 24;
    let pairs = series.times.windows(2);
    2 * pairs.clone().filter(days).count() > pairs.len()
}
