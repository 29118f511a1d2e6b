//! The report's figures for forecasts: the last stretch of the series with truth and baseline, and the errors
//! by horizon and by series.

use super::errors::{self, HorizonError, SeriesError};
use super::stretches;
use crate::base::number::figure;
use crate::base::order::Order;
use crate::data::FittedTarget;
use crate::report::svg::{Series, curves};
use crate::report::tables::table;
use crate::tasks::Shown;

/// Series listed.
const LISTED: usize = 50;

/// Figures of forecasts; empty where classes are predicted.
pub(super) fn section(shown: &Shown, target: &FittedTarget) -> String {
    let html = stretches::section(shown, target) + &by_horizon(shown, target) + &by_series(shown, target);
    if html.is_empty() {
        return html;
    }
    crate::report::section("Forecast", &format!("<div class=\"pictures\">\n{html}</div>\n"))
}

/// Mean absolute error at each horizon, of the model and of the baselines.
fn by_horizon(shown: &Shown, target: &FittedTarget) -> String {
    let errors = errors::by_horizon(shown.predictions, target, shown.rows);
    if errors.is_empty() {
        return String::new();
    }
    let points = |of: &dyn Fn(&HorizonError) -> Option<f64>| {
        errors.iter().filter_map(|e| Some((e.horizon as f64, of(e)?))).collect::<Vec<_>>()
    };
    let series = [
        Series { name: "model", class: "validation", points: points(&|e| Some(e.mae)) },
        Series { name: "last known value", class: "train", points: points(&|e| Some(e.baseline_naive_mae)) },
        Series {
            name: "one season earlier",
            class: "reference",
            points: points(&|e| e.baseline_seasonal_mae),
        },
    ];
    curves("Error by horizon", ["rows ahead", "mean absolute error"], &series, None, false)
}

/// Errors of each series, of the model and of the baselines; those with the largest MASE first.
fn by_series(shown: &Shown, target: &FittedTarget) -> String {
    let mut errors = errors::by_series(shown.predictions, target, shown.rows);
    if errors.is_empty() {
        return String::new();
    }
    let rank = |e: &SeriesError| e.mase.unwrap_or(f64::NEG_INFINITY);
    errors.order_by(|a, b| rank(b).total_cmp(&rank(a)));
    let number = |x: Option<f64>| x.map_or_else(|| "-".to_string(), figure);
    let row = |e: &SeriesError| {
        let numbers =
            [Some(e.mae), e.baseline_naive_mae.into(), e.baseline_seasonal_mae, Some(e.smape), e.mase]
                .map(number);
        [e.series.clone(), e.samples.to_string()].into_iter().chain(numbers).collect::<Vec<_>>()
    };
    let rows: Vec<Vec<String>> = errors.iter().take(LISTED).map(row).collect();
    let head = ["series", "rows", "error", "last known value", "one season earlier", "sMAPE, %", "MASE"];
    let title = match errors.len() {
        n if n > LISTED => format!("By series: the {LISTED} of {n} with the largest MASE"),
        _ => "By series".into(),
    };
    format!("<figure class=\"broad\"><figcaption>{title}</figcaption>\n{}</figure>\n", table(&head, &rows, 1))
}
