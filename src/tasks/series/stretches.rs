//! The report's figures of single series: the last stretch of each with forecast, truth and baseline.

use jiff::civil::DateTime;

use super::errors;
use crate::base::order::Order;
use crate::data::{FittedTarget, Windows};
use crate::report::svg::Series;
use crate::report::timeline::{Band, Timeline, timeline};
use crate::report::times::seconds;
use crate::tasks::Shown;

/// Forecasts shown of a series: a week of hours.
const SHOWN: usize = 168;
/// Bands drawn at most.
const BANDS: usize = 3;

/// A forecast in a figure.
#[derive(Clone, Copy)]
struct Point {
    /// Its place on the axis.
    x: f64,
    /// Its position among the outputs of all windows.
    output: usize,
}

/// The series with the largest error and a typical one where there are several, or else the only one.
pub(super) fn section(shown: &Shown, target: &FittedTarget) -> String {
    let Some(windows) = shown.rows.windows.as_ref().filter(|w| !w.baselines.naive.is_empty()) else {
        return String::new();
    };
    let mut errors = errors::by_series(shown.predictions, target, shown.rows);
    errors.order_by(|a, b| a.mase.unwrap_or(a.smape).total_cmp(&b.mase.unwrap_or(b.smape)));
    let groups = match &errors[..] {
        [] => vec![(String::new(), "")],
        [only] => vec![(only.series.clone(), "")],
        several => {
            let typical = &several[(several.len() - 1) / 2];
            let worst = &several[several.len() - 1];
            vec![
                (worst.series.clone(), ", whose error is the largest"),
                (typical.series.clone(), ", a typical one"),
            ]
        }
    };
    groups.iter().map(|(group, which)| stretch(shown, target, windows, group, which)).collect()
}

/// Forecast, truth and baseline at the end of a series.
fn stretch(shown: &Shown, target: &FittedTarget, windows: &Windows, group: &str, which: &str) -> String {
    let predictions = shown.predictions;
    let (points, is_time) = points(windows, group);
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return String::new() };
    let gap = gap(&points);
    // What is not finite is drawn as a gap.
    let curve = |values: &[f64]| {
        let mut curve: Vec<(f64, f64)> = vec![];
        for point in &points {
            if let Some(before) = curve.last().filter(|before| point.x - before.0 > gap) {
                curve.push((before.0, f64::NAN));
            }
            curve.push((point.x, values.get(point.output).copied().unwrap_or(f64::NAN)));
        }
        curve
    };
    let (truth, predicted) = (predictions.true_values(target), predictions.values(target));
    let (known, name) = match windows.baselines.seasonal.is_empty() {
        true => (&windows.baselines.naive, "last known value"),
        false => (&windows.baselines.seasonal, "one season earlier"),
    };
    let curves = [
        Series { name, class: "reference", points: curve(known) },
        Series { name: "truth", class: "train", points: curve(&truth) },
        Series { name: "forecast", class: "validation", points: curve(&predicted) },
    ];
    let levels = &predictions.quantiles;
    let quantiles = predictions.quantile_values(target);
    let of_level =
        |level: usize| -> Vec<f64> { quantiles.iter().skip(level).step_by(levels.len()).copied().collect() };
    let band = |interval: (usize, usize, f64)| {
        let (low, high) = (curve(&of_level(interval.0)), curve(&of_level(interval.1)));
        let points = low.iter().zip(&high).map(|(low, high)| (low.0, low.1, high.1)).collect();
        Band { name: format!("{} %", crate::base::number::figure(100.0 * interval.2)), points }
    };
    let mut bands: Vec<Band> = predictions.central().into_iter().take(BANDS).map(band).collect();
    if let (Some((coverage, found)), true) = (shown.intervals, bands.is_empty()) {
        let (low, high) = (curve(&found.low), curve(&found.high));
        let points = low.iter().zip(&high).map(|(low, high)| (low.0, low.1, high.1)).collect();
        bands.push(Band { name: format!("{} %", crate::base::number::figure(100.0 * coverage)), points });
    }
    let of = if group.is_empty() { String::new() } else { format!(" of {group}{which}") };
    let ahead = match windows.steps {
        1 => String::new(),
        steps => format!(", {steps} rows at a time"),
    };
    let place = |point: &Point| &windows.places[point.output / windows.outputs().max(1)];
    let span = match place(first).group == place(last).group && is_time {
        true => format!(", to {}", place(last).predicted.trim_end_matches(" 00:00:00")),
        false => String::new(),
    };
    let title = format!("The last {} {} rows{of}{span}{ahead}", points.len(), shown.part);
    let label = target.name().unwrap_or_default();
    timeline(&Timeline { title: &title, label, is_time, curves: &curves, bands: &bands })
}

/// The last forecasts of a series, each row once: of windows that predict several rows, those that follow each
/// other. The second value says whether they lie on an axis of times.
fn points(windows: &Windows, group: &str) -> (Vec<Point>, bool) {
    let own = |at: &usize| group.is_empty() || windows.places[*at].group == group;
    let mut chosen: Vec<usize> = vec![];
    for at in (0..windows.places.len()).rev().filter(own) {
        let apart =
            |last: &usize| windows.starts[*last].abs_diff(windows.starts[at]) as usize >= windows.steps;
        if chosen.last().is_none_or(apart) {
            chosen.push(at);
        }
        if chosen.len() * windows.steps >= SHOWN {
            break;
        }
    }
    chosen.reverse();
    let time = |text: &str| text.replace(' ', "T").parse::<DateTime>().ok().map(seconds);
    let times: Option<Vec<[f64; 2]>> = chosen
        .iter()
        .map(|&at| Some([time(&windows.places[at].last)?, time(&windows.places[at].predicted)?]))
        .collect();
    let mut points = vec![];
    for (number, &window) in chosen.iter().enumerate() {
        for step in 0..windows.steps {
            let row = (number * windows.steps + step) as f64;
            // Only the last predicted row of a window has a time of its own; those before it are spread evenly.
            let part = (step + 1) as f64 / windows.steps as f64;
            let x = times.as_ref().map_or(row, |times| {
                let [last, predicted] = times[number];
                last + part * (predicted - last)
            });
            points.push(Point { x, output: window * windows.outputs() + step * windows.targets });
        }
    }
    points.order_by(|a, b| a.x.total_cmp(&b.x));
    (points, times.is_some())
}

/// The distance beyond which two points are a gap: half as much again as is usual. Over a weekend there are no
/// business days.
fn gap(points: &[Point]) -> f64 {
    const DAY: f64 = 86_400.0;
    let mut steps: Vec<f64> = points.windows(2).map(|pair| pair[1].x - pair[0].x).collect();
    steps.sort_by(f64::total_cmp);
    let usual = steps.get(steps.len() / 2).copied().unwrap_or(f64::INFINITY);
    if usual == DAY { 3.5 * DAY } else { 1.5 * usual }
}
