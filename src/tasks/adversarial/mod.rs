//! Adversarial pairs: a generator that draws rows, and the discriminator it is trained against.

mod check;
mod report;

use std::path::Path;

use super::{Drawn, Input, Request, Settings, Shown, Table, Task, Trained, images, prior};
use crate::data::{Dataset, Fitted, Loaded};
use crate::nn::config::adversarial::{Adversarial, GanLoss};
use crate::nn::gan::DISCRIMINATOR_LOSS;
use crate::train::TrainError;
use crate::train::history::HistoryRow;
use crate::train::metrics::{Metric, Predictions};
pub(super) use check::{check, fill_in};

/// Epochs in a row with a discriminator's loss near 0 after which the user is told.
const LONG: usize = 3;

/// An adversarial pair.
pub(super) struct Pair<'a> {
    pub settings: Settings<'a>,
    pub model: Adversarial,
    pub fitted: &'a Fitted,
}

impl Task for Pair<'_> {
    fn subject(&self) -> String {
        "learns to draw rows like those of the data".into()
    }

    fn unit(&self, _rows: &Dataset) -> String {
        "rows".into()
    }

    fn treatment(&self) -> Option<[String; 2]> {
        self.fitted.target.name().map(|_| super::table::head(self.fitted).treatment())
    }

    fn prepare(&self, _data: &mut Loaded) -> Result<(), TrainError> {
        let convolves = self.settings.model.channels.as_ref().is_some_and(|channels| !channels.is_empty());
        if convolves && self.fitted.image.is_none() {
            let reason = "`model.channels` convolves images, but the rows are none; say their shape in \
                          `data.image.shape`, or take `channels` out";
            return Err(TrainError::Input(reason.into()));
        }
        if self.model.conditional && self.fitted.target.classes().is_empty() {
            let reason = "`model.conditional` needs classes; name their column in `data.target`";
            return Err(TrainError::Input(reason.into()));
        }
        Ok(())
    }

    fn keep(&self, run: &Path, epoch: u64, validation: &Predictions) -> Result<(), TrainError> {
        match &self.fitted.image {
            Some(image) => report::keep(run, image, epoch, validation),
            None => Ok(()),
        }
    }

    fn warning(&self, history: &[HistoryRow]) -> Option<String> {
        // At equilibrium 2 ln 2 and 1/4; critics' scores have no such value.
        let least = match self.model.loss {
            GanLoss::Original => 0.02,
            GanLoss::LeastSquares => 0.004,
            GanLoss::Wasserstein | GanLoss::WassersteinGp => return None,
        };
        let near = |row: &&HistoryRow| row.discriminator.is_some_and(|loss| loss < least);
        let last = history.iter().rev().take_while(near).count();
        (last == LONG).then(|| {
            format!(
                "the discriminator's loss has been below {least} for {LONG} epochs: it tells all generated rows from \
                 real ones, and the generator learns little from it; try a smaller \
                 train.discriminator.learning_rate, model.dropout, or model.gan_loss = \"wasserstein_gp\""
            )
        })
    }

    fn metrics(&self, predictions: &Predictions) -> Vec<Metric> {
        let rows = predictions.part(DISCRIMINATOR_LOSS).unwrap_or_default();
        let sum: f64 = rows.iter().map(|&x| f64::from(x)).sum();
        vec![Metric { name: DISCRIMINATOR_LOSS, value: sum / rows.len().max(1) as f64 }]
    }

    /// No lines: it predicts nothing.
    fn table(&self, rows: &Dataset, _predictions: &Predictions) -> Table {
        Table { titles: vec![], texts: vec![], lines: vec![], rows: rows.rows, note: None, pictures: vec![] }
    }

    fn predict(&self, trained: &Trained, _input: Input) -> Result<Table, TrainError> {
        Err(trained.refuse("its model draws rows and predicts nothing; draw with `gridlight sample`"))
    }

    fn sample(&self, trained: &Trained, request: &Request) -> Result<Drawn, TrainError> {
        prior::sample(trained, request)
    }

    fn sections(&self, trained: &Trained, shown: &Shown) -> Result<String, TrainError> {
        let mut html = report::section(trained, shown)?;
        if let Some(image) = &self.fitted.image {
            html += &images::filters(trained.weights, image);
        }
        Ok(html)
    }
}
