//! Variational autoencoders: requirements on their rows, and their scores.

mod check;
mod portrait;
mod report;
mod scores;

use super::{Drawn, Request, Settings, Shown, Table, Task, Trained, images, prior};
use crate::data::{Dataset, Fitted, Loaded};
use crate::nn::config::variational::{Decoder, Variational};
use crate::nn::vae::{KL, LOG_LIKELIHOOD, RECONSTRUCTION};
use crate::train::TrainError;
use crate::train::engine::Engine;
use crate::train::metrics::{Metric, Predictions};
pub(super) use check::{MAX_LATENT, check};

/// Default number of latent codes drawn per row; scores are means over them.
pub const DRAWS: u32 = 32;
/// Maximum number of draws.
pub const MOST_DRAWS: u32 = 100_000;

/// A variational autoencoder.
pub(super) struct Autoencoder<'a> {
    pub settings: Settings<'a>,
    pub model: Variational,
    pub fitted: &'a Fitted,
}

impl Task for Autoencoder<'_> {
    fn subject(&self) -> String {
        "learns the features".into()
    }

    fn unit(&self, _rows: &Dataset) -> String {
        "rows".into()
    }

    fn treatment(&self) -> Option<[String; 2]> {
        self.fitted.target.name().map(|_| super::table::head(self.fitted).treatment())
    }

    fn prepare(&self, data: &mut Loaded) -> Result<(), TrainError> {
        let convolves = self.settings.model.channels.as_ref().is_some_and(|channels| !channels.is_empty());
        if convolves && self.fitted.image.is_none() {
            let reason = "`model.channels` convolves images, but the rows are none; say their shape in \
                          `data.image.shape`, or take `channels` out";
            return Err(TrainError::Input(reason.into()));
        }
        if self.model.decoder == Decoder::Bernoulli {
            check_range(&data.train)?;
        }
        self.admit(&mut data.validation);
        self.admit(&mut data.test);
        Ok(())
    }

    /// Values of rows that were not trained on may leave the range of those that were. Under a Bernoulli
    /// decoder, which gives no probability to what is outside 0..1, they count as the nearer of the two.
    fn admit(&self, rows: &mut Dataset) {
        if self.model.decoder == Decoder::Bernoulli {
            rows.clamp_features(0.0, 1.0);
        }
    }

    fn reads_target(&self) -> bool {
        self.settings.reads_target()
    }

    fn draws(&self) -> Option<u32> {
        Some(DRAWS)
    }

    fn evaluate(&self, engine: &mut Engine, draws: u32) -> Result<Predictions, TrainError> {
        scores::evaluate(engine, draws)
    }

    fn metrics(&self, predictions: &Predictions) -> Vec<Metric> {
        let part = |name| predictions.part(name);
        scores::bound(
            part(RECONSTRUCTION).unwrap_or_default(),
            part(KL).unwrap_or_default(),
            part(LOG_LIKELIHOOD),
        )
    }

    /// The anomaly score of each row (`anomaly`, the negative evidence lower bound in nats), its two parts,
    /// the log-likelihood, and the mean of the latent code.
    fn table(&self, rows: &Dataset, predictions: &Predictions) -> Table {
        let part = |name| predictions.part(name).unwrap_or_default();
        let (reconstruction, kl, likelihood) = (part(RECONSTRUCTION), part(KL), part(LOG_LIKELIHOOD));
        let names = &rows.row_names;
        let title = match &self.fitted.reshape {
            Some(reshape) => reshape.row_name(),
            None if names.is_empty() => "row",
            None => "image",
        };
        let codes = (1..=predictions.outputs).map(|at| format!("code {at}"));
        let titles = [title, "anomaly", RECONSTRUCTION, KL, LOG_LIKELIHOOD].map(String::from);
        let titles: Vec<String> = titles.into_iter().chain(codes).collect();
        let mut lines: Vec<Vec<String>> = vec![];
        for (at, code) in predictions.raw.chunks(predictions.outputs.max(1)).enumerate() {
            let name = names.get(at).cloned().unwrap_or_else(|| (rows.source_rows[at] + 1).to_string());
            let [reconstruction, kl, likelihood] =
                [reconstruction[at], kl[at], likelihood[at]].map(f64::from);
            let numbers = [reconstruction + kl, reconstruction, kl, likelihood].map(|x| x.to_string());
            let row = std::iter::once(name).chain(numbers);
            lines.push(row.chain(code.iter().map(f32::to_string)).collect());
        }
        let texts = (0..titles.len()).map(|at| at == 0 && !names.is_empty()).collect();
        Table { titles, texts, lines, rows: rows.rows, note: None, pictures: vec![] }
    }

    fn sample(&self, trained: &Trained, request: &Request) -> Result<Drawn, TrainError> {
        prior::sample(trained, request)
    }

    fn sections(&self, trained: &Trained, shown: &Shown) -> Result<String, TrainError> {
        let portrait = portrait::portrait(trained, shown.rows)?;
        let mut html = report::section(self.fitted, &portrait, shown);
        if let Some(image) = &self.fitted.image {
            html += &images::filters(trained.weights, image);
        }
        Ok(html)
    }
}

/// Refuses training rows with a feature that a Bernoulli decoder gives no probability to.
fn check_range(rows: &Dataset) -> Result<(), TrainError> {
    for row in 0..rows.windows.as_ref().map_or(rows.rows, |windows| windows.stored) {
        let features = rows.features_of(row..row + 1);
        if let Some(at) = features.iter().position(|x| !(0.0..=1.0).contains(x)) {
            return Err(TrainError::Input(format!(
                "training row {} has {} = {} after scaling; a Bernoulli decoder learns values from 0 to 1: \
                 set `data.transform.numbers` = \"min_max\", or `model.decoder` = \"gaussian\"",
                rows.source_rows.get(row).map_or(row, |row| row + 1),
                rows.features[at],
                features[at]
            )));
        }
    }
    Ok(())
}
