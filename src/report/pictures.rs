//! The report's pictures: training curves, and predictions against the truth.

use super::Report;
use super::svg::{Series, cloud, curves, escape, figure, histogram};
use crate::data::FittedTarget;
use crate::train::metrics::{Predictions, auc};

/// Loss, metrics and learning rate by epoch, the best epoch marked.
pub fn training(report: &Report) -> String {
    let by_epoch = |value: &dyn Fn(&crate::train::history::HistoryRow) -> Option<f64>| {
        report.history.iter().filter_map(|r| Some((r.epoch as f64, value(r)?))).collect::<Vec<_>>()
    };
    let best = format!("best epoch {}", report.best_epoch);
    let mark = (report.best_epoch > 0).then_some((report.best_epoch as f64, best.as_str()));
    let loss = [
        Series { name: "training", class: "train", points: by_epoch(&|r| Some(r.train_loss)) },
        Series { name: "validation", class: "validation", points: by_epoch(&|r| r.validation.get("loss")) },
    ];
    let mut html = curves("Loss", ["epoch", "loss"], &loss, mark, true);
    for (name, _) in report.best.0.iter().filter(|(name, _)| *name != "loss") {
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
        "r2" => "R², the part of the variance explained",
        "nats" => "cross-entropy of a character, in nats",
        "auc" => "area under the ROC curve",
        "f1" => "F1 score",
        other => other,
    }
}

/// Regression: predicted against true values, and errors. Classification: confusion, and for two classes the
/// ROC and calibration curves.
pub fn predictions(report: &Report) -> String {
    let (predictions, _) = report.shown();
    let target = &report.data.fitted.target;
    let html = match target {
        FittedTarget::Absent | FittedTarget::Text(_) => String::new(),
        FittedTarget::Number { .. } | FittedTarget::Numbers { .. } => {
            let name = target.name().unwrap_or_default();
            let truth = predictions.true_values(target);
            let points: Vec<(f64, f64)> = truth.into_iter().zip(predictions.values(target)).collect();
            let errors: Vec<f64> = points.iter().map(|(truth, predicted)| predicted - truth).collect();
            cloud("Predicted against true", [&format!("true {name}"), &format!("predicted {name}")], &points)
                + &histogram("Errors", &format!("predicted - true {name}"), &errors)
        }
        FittedTarget::Binary { names, .. } => confusion(predictions, names) + &binary(predictions, &names[1]),
        FittedTarget::Classes { names, .. } => {
            confusion(predictions, names) + &super::tables::classes(predictions, names)
        }
    };
    format!("<div class=\"pictures\">\n{html}</div>\n")
}

/// Rows by true and predicted class; the shade is the part of the true class.
fn confusion(predictions: &Predictions, names: &[String]) -> String {
    let counts = predictions.confusion(names.len());
    let head: String = names.iter().map(|n| format!("<th>{}</th>", escape(n))).collect();
    let mut rows = String::new();
    for (name, row) in names.iter().zip(&counts) {
        let total = row.iter().sum::<usize>().max(1) as f64;
        let cell = |&count: &usize| {
            let shade = 85.0 * count as f64 / total;
            format!(
                "<td style=\"background: color-mix(in srgb, var(--train) {shade:.0}%, transparent)\">{count}</td>"
            )
        };
        rows += &format!("<tr><th>{}</th>{}</tr>\n", escape(name), row.iter().map(cell).collect::<String>());
    }
    let (broad, many) = if names.len() > 4 { (" class=\"broad\"", " many") } else { ("", "") };
    format!(
        "<figure{broad}><figcaption>Confusion: true class down, predicted class across</figcaption>\n\
         <table class=\"confusion{many}\"><tr><th></th>{head}</tr>\n{rows}</table></figure>\n"
    )
}

fn binary(predictions: &Predictions, positive: &str) -> String {
    let scores: Vec<f64> = predictions.probabilities().iter().map(|p| p[1]).collect();
    let equal = |name| Series { name, class: "reference", points: vec![(0.0, 0.0), (1.0, 1.0)] };
    let area = figure(auc(&scores, &predictions.truth));
    let roc = [equal(""), Series { name: "", class: "train", points: roc(&scores, &predictions.truth) }];
    let calibration = [
        equal("ideal"),
        Series { name: "model", class: "validation", points: calibration(&scores, &predictions.truth) },
    ];
    let labels = [format!("predicted probability of {positive}"), format!("part that is {positive}")];
    curves(
        &format!("ROC curve, area {area}"),
        ["false positive rate", "true positive rate"],
        &roc,
        None,
        false,
    ) + &curves("Calibration", [&labels[0], &labels[1]], &calibration, None, false)
}

/// `(false positive rate, true positive rate)` by falling threshold, from (0, 0) to (1, 1).
fn roc(scores: &[f64], truth: &[f64]) -> Vec<(f64, f64)> {
    let mut ranked: Vec<(f64, bool)> = scores.iter().copied().zip(truth.iter().map(|&y| y > 0.5)).collect();
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
    let positives = ranked.iter().filter(|r| r.1).count();
    let negatives = (ranked.len() - positives).max(1) as f64;
    let (mut hits, mut alarms) = (0.0, 0.0);
    let mut points = vec![(0.0, 0.0)];
    for tied in ranked.chunk_by(|a, b| a.0 == b.0) {
        let positive = tied.iter().filter(|r| r.1).count() as f64;
        hits += positive;
        alarms += tied.len() as f64 - positive;
        points.push((alarms / negatives, hits / positives.max(1) as f64));
    }
    points
}

/// `(mean predicted probability, part of positives)` of each tenth of the probability scale that has rows.
fn calibration(scores: &[f64], truth: &[f64]) -> Vec<(f64, f64)> {
    let mut bins = [(0.0, 0.0, 0usize); 10];
    for (&score, &y) in scores.iter().zip(truth) {
        let bin = &mut bins[((score * 10.0) as usize).min(9)];
        *bin = (bin.0 + score, bin.1 + y, bin.2 + 1);
    }
    let filled = bins.iter().filter(|b| b.2 > 0);
    filled.map(|&(p, y, n)| (p / n as f64, y / n as f64)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_area_under_the_points_is_the_rank_statistic() {
        let scores: Vec<f64> = (0..50).map(|i| f64::from(i * 37 % 19) / 19.0).collect();
        let truth: Vec<f64> = (0..50).map(|i| f64::from(u8::from(i * 11 % 7 < 3))).collect();
        let points = roc(&scores, &truth);
        let area: f64 = points.windows(2).map(|p| (p[1].0 - p[0].0) * 0.5 * (p[0].1 + p[1].1)).sum();
        assert!((area - auc(&scores, &truth)).abs() < 1e-12);
    }

    #[test]
    fn calibration_by_hand() {
        let points = calibration(&[0.11, 0.19, 0.95, 1.0], &[0.0, 1.0, 1.0, 1.0]);
        assert_eq!(points.len(), 2);
        assert!((points[0].0 - 0.15).abs() < 1e-12 && points[0].1 == 0.5 && points[1].1 == 1.0);
    }
}
