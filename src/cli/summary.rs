//! The metrics of several models, with their mean and deviation.

use std::path::Path;

use gridlight::base::number::{Numbers, shown};
use serde_json::{Map, Value, json};

use super::Failure;
use super::output::{print, print_json};

/// The metrics of one of several models.
pub struct Row {
    /// What it is called in the table.
    pub name: String,
    /// Its metrics.
    pub metrics: Numbers,
}

/// Mean and deviation of a metric.
struct Summary {
    mean: f64,
    /// Sample standard deviation.
    deviation: f64,
    values: Vec<f64>,
}

impl Summary {
    fn of(rows: &[Row], metric: &str) -> Self {
        let values: Vec<f64> = rows.iter().filter_map(|row| row.metrics.get(metric)).collect();
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let squares: f64 = values.iter().map(|x| (x - mean).powi(2)).sum();
        Self { mean, deviation: (squares / (n - 1.0).max(1.0)).sqrt(), values }
    }
}

/// Shows the metrics of all models, their mean and deviation. `kind` is what a model is one of: `fold`, `seed`.
///
/// # Errors
/// If they cannot be printed.
pub fn show(kind: &str, rows: &[Row], out: &Path, json: bool) -> Result<(), Failure> {
    let names: Vec<&str> =
        rows.first().map(|row| row.metrics.0.iter().map(|(name, _)| *name).collect()).unwrap_or_default();
    let kinds = format!("{kind}s");
    if json {
        let metric = |name: &&str| {
            let Summary { mean, deviation, values } = Summary::of(rows, name);
            (name.to_string(), json!({ "mean": mean, "deviation": deviation, &kinds: values }))
        };
        let metrics: Map<String, Value> = names.iter().map(metric).collect();
        return print_json(&json!({ "event": kinds, &kinds: rows.len(), "metrics": metrics }));
    }
    let mut text = format!("{kind:<8}");
    let cell = |name: &str, shown: &str| format!("{shown:>0$}", name.len().max(12) + 2);
    text.extend(names.iter().map(|name| cell(name, name)));
    text.push('\n');
    for row in rows {
        text += &format!("{:<8}", row.name);
        text.extend(names.iter().map(|name| cell(name, &shown(row.metrics.get(name).unwrap_or(f64::NAN)))));
        text.push('\n');
    }
    for (row, of) in [("mean", 0), ("± ", 1)] {
        text += &format!("{row:<8}");
        text.extend(names.iter().map(|name| {
            let summary = Summary::of(rows, name);
            cell(name, &shown(if of == 0 { summary.mean } else { summary.deviation }))
        }));
        text.push('\n');
    }
    print(&format!("{text}runs in {}", out.display()))
}
