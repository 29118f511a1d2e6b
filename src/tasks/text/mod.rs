//! Text: predicts the next symbol from the preceding ones, or hidden ones from those on both sides.

mod check;
mod masked;
mod write;

use super::{Details, Drawn, Request, Shown, Table, Task, Trained};
use crate::data::{Dataset, FittedText};
use crate::report::section;
use crate::report::svg::escape;
use crate::train::TrainError;
use crate::train::metrics::{Metric, Predictions};
pub(super) use check::{LOSS, attends, check};
pub(super) use masked::Masked;
use write::{SHOWN, Writing, write};

/// Separator between texts.
const BETWEEN: &str = "\n----------\n";

/// A language model.
pub(super) struct Language<'a> {
    pub text: &'a FittedText,
}

impl Task for Language<'_> {
    fn subject(&self) -> String {
        format!("predicts the next {}", self.text.unit())
    }

    fn unit(&self, _rows: &Dataset) -> String {
        format!("sequences of {} {}s", self.text.length, self.text.unit())
    }

    fn treatment(&self) -> Option<[String; 2]> {
        let sequences = format!("{} symbols in sequences of {}", self.text.symbols(), self.text.length);
        Some(["the text".into(), sequences])
    }

    fn metrics(&self, predictions: &Predictions) -> Vec<Metric> {
        vec![Metric { name: "nats", value: predictions.mean_loss() }]
    }

    /// Of symbols that are no characters, the cross-entropy per character too, which does not depend on what symbols are.
    fn details(&self, rows: &Dataset, predictions: &Predictions) -> Details {
        let (Some(text), true) = (&rows.text, self.text.tokens.is_some()) else { return Details::default() };
        let predicted = text.symbols.get(1..).unwrap_or_default();
        let characters = self.text.decode(predicted).chars().count();
        let sum: f64 = predictions.losses.iter().map(|&x| f64::from(x)).sum();
        let value = sum / characters.max(1) as f64;
        Details { scores: vec![Metric { name: "nats_per_character", value }], ..Details::default() }
    }

    /// The position of the first predicted symbol of each sequence, counted from 1, and the mean
    /// cross-entropy of the sequence's symbols in nats.
    fn table(&self, rows: &Dataset, predictions: &Predictions) -> Table {
        let length = rows.text.as_ref().map_or(1, |text| text.length);
        let line = |(row, nats): (usize, &[f32])| {
            let sum: f64 = nats.iter().map(|&x| f64::from(x)).sum();
            vec![(row * length + 2).to_string(), (sum / nats.len() as f64).to_string()]
        };
        let lines = predictions.losses.chunks(length).enumerate().map(line).collect();
        let titles = [self.text.unit(), "nats"].map(String::from).to_vec();
        Table { titles, texts: vec![false; 2], lines, rows: rows.rows, note: None, pictures: vec![] }
    }

    fn sample(&self, trained: &Trained, request: &Request) -> Result<Drawn, TrainError> {
        if request.class.is_some() {
            return Err(trained
                .unsuited("class", "is for models of rows or images with classes; this one writes text"));
        }
        let extension = request.output.and_then(|o| o.extension()?.to_str());
        if extension.is_some_and(|e| ["png", "npy", "csv"].contains(&e.to_lowercase().as_str())) {
            let problem = "must name a .txt file, or nothing to see the text: the model writes text";
            return Err(trained.unsuited("output", problem));
        }
        let writing = Writing {
            count: request.count.unwrap_or(1),
            length: request.length.unwrap_or(500),
            temperature: request.temperature.unwrap_or(1.0),
            prompt: request.prompt.clone(),
            seed: request.seed,
        };
        let text = write(trained, self.text, &writing)?.join(BETWEEN);
        Ok(match request.output {
            Some(_) => Drawn::File(writing.count, text.into_bytes()),
            None => Drawn::Text(text),
        })
    }

    fn sections(&self, trained: &Trained, _shown: &Shown) -> Result<String, TrainError> {
        let text = write(trained, self.text, &SHOWN)?.concat();
        Ok(section("Generated text at temperature 0.8", &format!("<pre>{}</pre>\n", escape(&text))))
    }
}
