//! Text: predicts the next character from the preceding ones.

mod check;
mod write;

use super::{Drawn, Request, Shown, Table, Task, Trained};
use crate::data::{Dataset, FittedText};
use crate::report::section;
use crate::report::svg::escape;
use crate::train::TrainError;
use crate::train::metrics::{Metric, Predictions};
pub(super) use check::{LOSS, attends, check};
use write::{SHOWN, Writing, write};

/// Separator between texts.
const BETWEEN: &str = "\n----------\n";

/// A character-level language model.
pub(super) struct Language<'a> {
    pub text: &'a FittedText,
}

impl Task for Language<'_> {
    fn subject(&self) -> String {
        "predicts the next character".into()
    }

    fn unit(&self, _rows: &Dataset) -> String {
        format!("sequences of {} characters", self.text.length)
    }

    fn treatment(&self) -> Option<[String; 2]> {
        let sequences = format!("{} symbols in sequences of {}", self.text.symbols(), self.text.length);
        Some(["the text".into(), sequences])
    }

    fn metrics(&self, predictions: &Predictions) -> Vec<Metric> {
        vec![Metric { name: "nats", value: predictions.mean_loss() }]
    }

    /// The position of the first predicted character of each sequence, counted from 1, and the mean
    /// cross-entropy of the sequence's characters in nats.
    fn table(&self, rows: &Dataset, predictions: &Predictions) -> Table {
        let length = rows.text.as_ref().map_or(1, |text| text.length);
        let line = |(row, nats): (usize, &[f32])| {
            let sum: f64 = nats.iter().map(|&x| f64::from(x)).sum();
            vec![(row * length + 2).to_string(), (sum / nats.len() as f64).to_string()]
        };
        let lines = predictions.losses.chunks(length).enumerate().map(line).collect();
        let titles = ["character", "nats"].map(String::from).to_vec();
        Table { titles, texts: vec![false; 2], lines, rows: rows.rows, note: None }
    }

    fn sample(&self, trained: &Trained, request: &Request) -> Result<Drawn, TrainError> {
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
