//! Something for each pixel of an image: a class (segmentation), or values (restoration).

mod check;
mod report;
mod scores;

pub(super) use check::check;

use super::{Details, Picture, Settings, Shown, Table, Task, Trained};
use crate::data::{Dataset, FittedImage, FittedPixels, Loaded};
use crate::nn::losses::Loss;
use crate::report::section;
use crate::train::TrainError;
use crate::train::metrics::{Metric, Predictions, of_confusion};

/// A model that predicts something for each pixel.
pub(super) struct Pixels<'a> {
    pub settings: Settings<'a>,
    pub image: &'a FittedImage,
    pub pixels: &'a FittedPixels,
    /// The label of most pixels in training.
    pub constant: Option<f64>,
}

impl Task for Pixels<'_> {
    fn subject(&self) -> String {
        match (self.pixels.classes.is_empty(), self.pixels.itself) {
            (false, _) => "predicts the class of each pixel".into(),
            (true, true) => "restores images".into(),
            (true, false) => "predicts images".into(),
        }
    }

    fn unit(&self, _rows: &Dataset) -> String {
        "images".into()
    }

    fn treatment(&self) -> Option<[String; 2]> {
        let classes: Vec<&str> = self.pixels.classes.iter().map(|class| class.name.as_str()).collect();
        let what = match classes.len() {
            0 => format!("values {}", self.pixels.shape),
            n => format!("{n} classes: {}", classes.join(", ")),
        };
        let name = if self.pixels.itself { "the image itself" } else { "each pixel" };
        Some([name.into(), what])
    }

    fn prepare(&self, _data: &mut Loaded) -> Result<(), TrainError> {
        let weights = match &self.settings.train.loss {
            Loss::CrossEntropy { class_weights, .. } => class_weights.each().len(),
            _ => 0,
        };
        let classes = self.pixels.classes.len();
        if weights != 0 && weights != classes {
            let reason = format!("train.loss has {weights} class weights for {classes} classes of pixels");
            return Err(TrainError::Input(reason));
        }
        Ok(())
    }

    fn metrics(&self, predictions: &Predictions) -> Vec<Metric> {
        match self.pixels.classes.is_empty() {
            true => scores::of_values(self.pixels, predictions),
            false => scores::of_classes(&scores::confusion(self.pixels, predictions)),
        }
    }

    fn details(&self, rows: &Dataset, predictions: &Predictions) -> Details {
        if self.pixels.classes.is_empty() {
            let baselines = scores::of_inputs(self.image, self.pixels, rows, predictions);
            return Details { baselines, ..Details::default() };
        }
        let confusion = scores::confusion(self.pixels, predictions);
        let baselines = self.constant.map(|label| {
            let count = predictions.truth.iter().filter(|&&truth| truth == label).count();
            ("baseline_accuracy", count as f64 / predictions.truth.len().max(1) as f64)
        });
        let names = self.pixels.classes.iter().map(|class| class.name.clone()).collect();
        Details {
            baselines: baselines.into_iter().collect(),
            per_class: of_confusion(&confusion),
            confusion: Some((confusion, names)),
            ..Details::default()
        }
    }

    /// Of classes, how much of each image is of each; of values, their mean, least and most. The images themselves are the
    /// table's pictures.
    fn table(&self, rows: &Dataset, predictions: &Predictions) -> Table {
        let pixels = self.pixels;
        let name = |at: usize| match rows.row_names.get(at) {
            Some(name) => name.clone(),
            None => (rows.source_rows.get(at).copied().unwrap_or(at) + 1).to_string(),
        };
        let (mut lines, mut pictures) = (vec![], vec![]);
        let titles: Vec<String> = match pixels.classes.is_empty() {
            true => ["mean", "least", "most"].map(String::from).to_vec(),
            false => pixels.classes.iter().map(|class| format!("share of {}", class.name)).collect(),
        };
        for (at, row) in predictions.raw.chunks(predictions.outputs.max(1)).enumerate() {
            let picture = scores::picture(pixels, row);
            let cells = match pixels.classes.is_empty() {
                true => scores::summary(pixels, row).to_vec(),
                false => scores::shares(pixels, row),
            };
            lines.push(std::iter::once(name(at)).chain(cells.iter().map(f64::to_string)).collect());
            pictures.push(Picture { name: name(at), ..picture });
        }
        let title = if rows.row_names.is_empty() { "row" } else { "image" };
        let titles: Vec<String> = std::iter::once(title.to_string()).chain(titles).collect();
        let texts = (0..titles.len()).map(|at| at == 0 && !rows.row_names.is_empty()).collect();
        Table { titles, texts, lines, rows: rows.rows, note: None, pictures }
    }

    fn sections(&self, trained: &Trained, shown: &Shown) -> Result<String, TrainError> {
        let examples = report::examples(self.image, self.pixels, shown);
        let mut html = section(&format!("Images of the {} part", shown.part), &examples);
        if !self.pixels.classes.is_empty() {
            let confusion = scores::confusion(self.pixels, shown.predictions);
            html += &section("Classes", &report::classes(self.pixels, &confusion));
        }
        Ok(html + &super::images::filters(trained.weights, self.image))
    }
}
