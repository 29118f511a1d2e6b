//! One of several classes.

use super::Head;
use crate::base::number::figure;
use crate::report::svg::{Series, curves, escape};
use crate::report::tables::table;
use crate::train::metrics::{ClassScore, Metric, Predictions, classes, decide};
use crate::train::scores::reliability;

/// Multi-class prediction.
pub(super) struct Classes<'a> {
    /// Name of the target.
    pub name: &'a str,
    /// Names of the classes.
    pub names: &'a [String],
    /// The probability above which the second of two is predicted, where that is not one half.
    pub threshold: Option<f64>,
}

impl Head for Classes<'_> {
    fn name(&self) -> &str {
        self.name
    }

    fn treatment(&self) -> [String; 2] {
        let from = self.names.last().map(|last| at_threshold(last, self.threshold)).unwrap_or_default();
        [self.name.into(), format!("target: {} classes{from}", self.names.len())]
    }

    fn metrics(&self, predictions: &Predictions) -> Vec<Metric> {
        classes(&predictions.weighted_confusion(self.names.len(), self.threshold))
    }

    fn classes(&self) -> &[String] {
        self.names
    }

    fn threshold(&self) -> Option<f64> {
        self.threshold
    }

    fn pictures(&self, predictions: &Predictions) -> String {
        confusion(predictions, self.names, self.threshold)
            + &each(predictions, self.names, self.threshold)
            + &calibration(predictions)
    }

    fn titles(&self, _predictions: &Predictions) -> Vec<String> {
        titles(self.name, self.names)
    }

    fn cells(&self, predictions: &Predictions) -> Vec<Vec<String>> {
        cells(predictions, self.names, self.threshold)
    }
}

/// From which probability on a class is predicted, where that is not one half.
pub(super) fn at_threshold(name: &str, threshold: Option<f64>) -> String {
    threshold.map_or_else(String::new, |t| format!("; {name} above a probability of {}", figure(t)))
}

/// Titles of the predicted class and of the probability of each class.
pub(super) fn titles(name: &str, names: &[String]) -> Vec<String> {
    std::iter::once(name.to_string()).chain(names.iter().map(|n| format!("probability {n}"))).collect()
}

/// The cells under [`titles`].
pub(super) fn cells(predictions: &Predictions, names: &[String], threshold: Option<f64>) -> Vec<Vec<String>> {
    let row = |p: &Vec<f64>| {
        let class = std::iter::once(names[decide(p, threshold)].clone());
        class.chain(p.iter().map(f64::to_string)).collect()
    };
    predictions.probabilities().iter().map(row).collect()
}

/// Precision, recall and F1 per class.
fn each(predictions: &Predictions, names: &[String], threshold: Option<f64>) -> String {
    let scores = predictions.class_scores(names.len(), threshold);
    let row = |(name, s): (&String, &ClassScore)| {
        let numbers = [s.precision, s.recall, s.f1].map(|x| format!("{:.3}", x.0));
        std::iter::once(name.clone()).chain(numbers).chain([s.samples.to_string()]).collect::<Vec<_>>()
    };
    let rows: Vec<Vec<String>> = names.iter().zip(&scores).map(row).collect();
    let head = ["class", "precision", "recall", "F1", "rows"];
    format!("<figure><figcaption>Per class</figcaption>\n{}</figure>\n", table(&head, &rows, 1))
}

/// Accuracy over confidence, in the bins of the calibration error.
fn calibration(predictions: &Predictions) -> String {
    let ideal = Series { name: "ideal", class: "reference", points: vec![(0.0, 0.0), (1.0, 1.0)] };
    let points = reliability(predictions).into_iter().filter(|bin| bin[0] > 0.0);
    let points = points.map(|[rows, confidence, hits]| (confidence / rows, hits / rows)).collect();
    let model = Series { name: "model", class: "validation", points };
    let labels = ["probability of the predicted class", "fraction that is right"];
    curves("Calibration", labels, &[ideal, model], None, false)
}

/// The confusion matrix; the shade is the fraction of the true class.
pub(super) fn confusion(predictions: &Predictions, names: &[String], threshold: Option<f64>) -> String {
    let counts = predictions.confusion(names.len(), threshold);
    let head: String = names.iter().map(|n| format!("<th>{}</th>", escape(n))).collect();
    let mut rows = String::new();
    for (name, row) in names.iter().zip(&counts) {
        let total = row.iter().sum::<usize>().max(1) as f64;
        let cell = |&count: &usize| {
            let shade = 85.0 * count as f64 / total;
            format!(
                "<td style=\"background: color-mix(in srgb, var(--train) {shade:.0}%, \
                 transparent)\">{count}</td>"
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
