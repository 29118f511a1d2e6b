//! Masked language models: hidden symbols are predicted from those on both sides.

use crate::data::{Dataset, FittedDocuments, Loaded};
use crate::report::section;
use crate::report::svg::escape;
use crate::tasks::{Shown, Table, Task, Trained};
use crate::train::TrainError;
use crate::train::metrics::{Metric, Predictions};

/// Symbols that texts of a validation or test set need: of so many, it is sure that some are hidden.
const LEAST: usize = 200;

/// A model that predicts hidden symbols.
pub(in crate::tasks) struct Masked<'a> {
    pub documents: &'a FittedDocuments,
}

/// Sums over texts: cross-entropies in nats, hidden symbols, and those predicted right.
fn sums(predictions: &Predictions) -> [f64; 3] {
    let mut sums = [0.0; 3];
    for row in predictions.raw.chunks_exact(3) {
        sums.iter_mut().zip(row).for_each(|(sum, &x)| *sum += f64::from(x));
    }
    sums
}

impl Task for Masked<'_> {
    fn subject(&self) -> String {
        format!("predicts hidden {}s", self.documents.text.unit())
    }

    fn unit(&self, _rows: &Dataset) -> String {
        let text = &self.documents.text;
        match self.documents.column {
            Some(_) => "texts".into(),
            None => format!("sequences of {} {}s", text.length, text.unit()),
        }
    }

    fn treatment(&self) -> Option<[String; 2]> {
        let text = &self.documents.text;
        let name = self.documents.column.clone().unwrap_or_else(|| "the text".into());
        Some([name, format!("{} symbols in sequences of {}", text.symbols(), text.length)])
    }

    fn prepare(&self, data: &mut Loaded) -> Result<(), TrainError> {
        for (name, part) in
            [("training", &data.train), ("validation", &data.validation), ("test", &data.test)]
        {
            let Some(documents) = &part.documents else { continue };
            let symbols: usize = documents.lengths.iter().map(|&length| length as usize).sum();
            if part.rows > 0 && symbols < LEAST {
                let unit = self.documents.text.unit();
                let reason = format!(
                    "the {name} part has {symbols} {unit}s; {LEAST} are needed, of which 15 % are hidden"
                );
                return Err(TrainError::Input(reason));
            }
        }
        Ok(())
    }

    fn metrics(&self, predictions: &Predictions) -> Vec<Metric> {
        let [nats, hidden, right] = sums(predictions);
        let hidden = hidden.max(1.0);
        vec![
            Metric { name: "nats", value: nats / hidden },
            Metric { name: "accuracy", value: right / hidden },
        ]
    }

    /// The hidden symbols of each text, how many were predicted right, and the mean cross-entropy of these in nats.
    fn table(&self, rows: &Dataset, predictions: &Predictions) -> Table {
        let line = |(at, row): (usize, &[f32])| {
            let nats = f64::from(row[0]) / f64::from(row[1]).max(1.0);
            vec![(at + 1).to_string(), row[1].to_string(), row[2].to_string(), nats.to_string()]
        };
        let lines = predictions.raw.chunks_exact(3).enumerate().map(line).collect();
        let titles = ["text", "hidden", "right", "nats"].map(String::from).to_vec();
        Table { titles, texts: vec![false; 4], lines, rows: rows.rows, note: None, pictures: vec![] }
    }

    fn sections(&self, _trained: &Trained, shown: &Shown) -> Result<String, TrainError> {
        let [nats, hidden, right] = sums(shown.predictions);
        let text = format!(
            "Of {hidden} hidden {}s of the {} texts, {:.1} % are predicted right, at {:.3} nats each.",
            self.documents.text.unit(),
            shown.part,
            100.0 * right / hidden.max(1.0),
            nats / hidden.max(1.0)
        );
        Ok(section("Hidden symbols", &format!("<p>{}</p>\n", escape(&text))))
    }
}
