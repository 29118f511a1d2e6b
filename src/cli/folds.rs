//! `gridlight train --folds`: cross-validation.

use std::path::Path;

use gridlight::base::number::{Numbers, shown};

use super::Failure;
use super::output::{print, print_json};

/// The test metrics of a fold.
pub struct Fold {
    /// Its number within the repetition, and the repetition.
    pub place: [u64; 2],
    /// Its metrics.
    pub metrics: Numbers,
}

/// Mean and deviation of a metric.
#[derive(serde::Serialize)]
struct Summary {
    mean: f64,
    /// Sample standard deviation over the folds.
    deviation: f64,
    folds: Vec<f64>,
}

/// Shows the metrics of all folds, their mean and deviation.
///
/// # Errors
/// If they cannot be printed.
pub fn show(folds: &[Fold], out: &Path, json: bool) -> Result<(), Failure> {
    let names: Vec<&str> =
        folds.first().map(|f| f.metrics.0.iter().map(|(name, _)| *name).collect()).unwrap_or_default();
    let summary = |name: &str| {
        let values: Vec<f64> = folds.iter().filter_map(|fold| fold.metrics.get(name)).collect();
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let squares: f64 = values.iter().map(|x| (x - mean).powi(2)).sum();
        Summary { mean, deviation: (squares / (n - 1.0).max(1.0)).sqrt(), folds: values }
    };
    if json {
        let metrics: serde_json::Map<String, serde_json::Value> = names
            .iter()
            .map(|name| (name.to_string(), serde_json::to_value(summary(name)).unwrap_or_default()))
            .collect();
        return print_json(
            &serde_json::json!({ "event": "folds", "folds": folds.len(), "metrics": metrics }),
        );
    }
    let mut text = format!("{:<8}", "fold");
    let cell = |name: &str, shown: &str| format!("{shown:>0$}", name.len().max(12) + 2);
    text.extend(names.iter().map(|name| cell(name, name)));
    text.push('\n');
    for fold in folds {
        let [number, repeat] = fold.place;
        text += &format!(
            "{:<8}",
            if repeat > 0 { format!("{number} ({})", repeat + 1) } else { number.to_string() }
        );
        text.extend(names.iter().map(|name| cell(name, &shown(fold.metrics.get(name).unwrap_or(f64::NAN)))));
        text.push('\n');
    }
    for (row, of) in [("mean", 0), ("± ", 1)] {
        text += &format!("{row:<8}");
        text.extend(names.iter().map(|name| {
            let summary = summary(name);
            cell(name, &shown(if of == 0 { summary.mean } else { summary.deviation }))
        }));
        text.push('\n');
    }
    print(&format!("{text}runs in {}", out.display()))
}
