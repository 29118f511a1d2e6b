//! The report's pictures of forecasts: the last stretch of the series against the truth and an obvious forecast, and
//! the error by distance.

use super::Report;
use super::svg::{Series, curves};
use crate::data::Dataset;
use crate::train::forecast;

/// Samples shown of a series: a week of hours.
const SHOWN: usize = 168;

/// Pictures of forecasts, where samples are windows of a series of numbers; else nothing.
pub fn section(report: &Report) -> String {
    let rows = rows(report);
    let html = stretch(report, rows) + &by_horizon(report, rows);
    if html.is_empty() {
        return html;
    }
    super::section("Forecast", &format!("<div class=\"pictures\">\n{html}</div>\n"))
}

/// The data of the predictions that the report shows.
fn rows<'a>(report: &'a Report) -> &'a Dataset {
    if report.test.is_some() { &report.data.test } else { &report.data.validation }
}

/// Forecast, truth and the season before, over the end of the last series.
fn stretch(report: &Report, rows: &Dataset) -> String {
    let Some(windows) = rows.windows.as_ref().filter(|w| !w.baselines.naive.is_empty()) else {
        return String::new();
    };
    let (predictions, part) = report.shown();
    let target = &report.data.fitted.target;
    let (truth, predicted) = (predictions.true_values(target), predictions.values(target));
    let Some(last) = windows.places.last() else { return String::new() };
    let same = windows.places.iter().rev().take_while(|p| p.group == last.group).take(SHOWN).count();
    let first = windows.places.len() - same;
    // Of several outputs the first: the nearest row of the first target.
    let outputs = windows.outputs();
    let points = |values: &[f64]| {
        let of = |at: usize| Some(((at - first) as f64, *values.get(at * outputs)?));
        (first..windows.places.len()).filter_map(of).filter(|p| p.1.is_finite()).collect::<Vec<_>>()
    };
    let baselines = &windows.baselines;
    let (known, name) = match baselines.seasonal.is_empty() {
        true => (&baselines.naive, "last known value"),
        false => (&baselines.seasonal, "season before"),
    };
    let series = [
        Series { name: "truth", class: "train", points: points(&truth) },
        Series { name: "forecast", class: "validation", points: points(&predicted) },
        Series { name, class: "reference", points: points(known) },
    ];
    let group = if last.group.is_empty() { String::new() } else { format!(" of {}", last.group) };
    let title = format!("The last {same} {part} rows{group}, to {}", last.predicted);
    curves(&title, ["row", target.name().unwrap_or_default()], &series, None, false)
}

/// Mean absolute error at each distance, of the model and of obvious forecasts.
fn by_horizon(report: &Report, rows: &Dataset) -> String {
    let errors = forecast::by_horizon(report.shown().0, &report.data.fitted.target, rows);
    if errors.is_empty() {
        return String::new();
    }
    let points = |of: &dyn Fn(&forecast::HorizonError) -> Option<f64>| {
        errors.iter().filter_map(|e| Some((e.horizon as f64, of(e)?))).collect::<Vec<_>>()
    };
    let series = [
        Series { name: "model", class: "validation", points: points(&|e| Some(e.mae)) },
        Series { name: "last known value", class: "train", points: points(&|e| Some(e.baseline_naive_mae)) },
        Series { name: "season before", class: "reference", points: points(&|e| e.baseline_seasonal_mae) },
    ];
    curves("Error by distance", ["rows ahead", "mean absolute error"], &series, None, false)
}
