//! The report's training curves.

use super::Report;
use super::svg::{Series, curves};
use crate::train::history::HistoryRow;

/// Loss, metrics and learning rate by epoch, with the best epoch marked.
pub fn training(report: &Report) -> String {
    let by_epoch = |value: &dyn Fn(&HistoryRow) -> Option<f64>| {
        report.history.iter().filter_map(|r| Some((r.epoch as f64, value(r)?))).collect::<Vec<_>>()
    };
    let best = format!("best epoch {}", report.best_epoch);
    let mark = (report.best_epoch > 0).then_some((report.best_epoch as f64, best.as_str()));
    let loss = [
        Series { name: "training", class: "train", points: by_epoch(&|r| Some(r.train_loss)) },
        Series { name: "validation", class: "validation", points: by_epoch(&|r| r.validation.get("loss")) },
    ];
    let mut html = curves("Loss", ["epoch", "loss"], &loss, mark, true);
    let points = by_epoch(&|r| r.discriminator);
    let plays = !points.is_empty();
    if plays {
        let series = [
            Series { name: "training", class: "train", points },
            Series {
                name: "validation",
                class: "validation",
                points: by_epoch(&|r| r.validation.get("discriminator")),
            },
        ];
        html += &curves("Loss of the discriminator", ["epoch", "loss"], &series, mark, true);
    }
    let shown = |name: &str| name == "loss" || (plays && name == "discriminator");
    for (name, _) in report.best.0.iter().filter(|(name, _)| !shown(name)) {
        let points = by_epoch(&|r| r.validation.get(name));
        let series = [Series { name: "", class: "validation", points }];
        html += &curves(&format!("Validation {}", title(name)), ["epoch", name], &series, mark, true);
    }
    let points = by_epoch(&|r| Some(r.learning_rate));
    if points.windows(2).any(|p| p[0].1 != p[1].1) {
        let series = [Series { name: "", class: "train", points }];
        html += &curves("Learning rate", ["epoch", "learning rate"], &series, None, false);
    }
    format!("<div class=\"pictures\">\n{html}</div>\n")
}

/// A metric's name in full.
fn title(metric: &str) -> &str {
    match metric {
        "mae" => "mean absolute error",
        "rmse" => "root mean squared error",
        "r2" => "R², fraction of variance explained",
        "pinball" => "pinball loss, mean over quantiles",
        "crps" => "continuous ranked probability score",
        "smape" => "symmetric mean absolute percentage error",
        "mase" => "mean absolute scaled error",
        "nats" => "cross-entropy per character, in nats",
        "auc" => "area under the ROC curve",
        "f1" => "F1 score",
        "frechet" => "Frechet distance",
        "precision" => "precision, the part of samples that look real",
        "recall" => "recall, the part of what is real that is drawn",
        other => other,
    }
}
