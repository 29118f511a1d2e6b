//! Predictions for images.

mod report;

use super::table::Head;
use super::{Details, Settings, Shown, Table, Task, Trained};
use crate::base::config::ConfigError;
use crate::base::rng::streams;
use crate::data::{Dataset, Fitted, FittedImage, image};
use crate::plan::ImageChanges;
use crate::report::section;
use crate::train::TrainError;
use crate::train::checkpoint::NamedTensor;
use crate::train::metrics::{Metric, Predictions};

/// Images.
pub(super) struct Images<'a> {
    pub image: &'a FittedImage,
    pub head: Box<dyn Head + 'a>,
}

impl Task for Images<'_> {
    fn subject(&self) -> String {
        format!("predicts {}", self.head.name())
    }

    fn unit(&self, _rows: &Dataset) -> String {
        "rows".into()
    }

    fn treatment(&self) -> Option<[String; 2]> {
        Some(self.head.treatment())
    }

    fn metrics(&self, predictions: &Predictions) -> Vec<Metric> {
        self.head.metrics(predictions)
    }

    fn details(&self, _rows: &Dataset, predictions: &Predictions) -> Details {
        self.head.details(predictions)
    }

    fn table(&self, rows: &Dataset, predictions: &Predictions) -> Table {
        // Pictures are identified by their file names.
        let files = if self.image.columns.is_empty() { &rows.row_names[..] } else { &[] };
        let titles = files.first().map(|_| "image".to_string()).into_iter().collect();
        self.head.table(rows, predictions, titles, |at| files.get(at).cloned().into_iter().collect())
    }

    fn sections(&self, trained: &Trained, shown: &Shown) -> Result<String, TrainError> {
        let mistakes = report::mistakes(self.image, shown, self.head.classes(), self.head.threshold());
        let html = mistakes + &report::filters(trained.weights, self.image);
        let images = if html.is_empty() { html } else { section("Images", &html) };
        Ok(self.head.section(shown) + &images)
    }
}

/// The section of a report that shows the filters of a model that reads images; nothing if it has none.
pub(super) fn filters(weights: &[NamedTensor], image: &FittedImage) -> String {
    let html = report::filters(weights, image);
    if html.is_empty() { html } else { section("Images", &html) }
}

/// Refuses keys of images where rows are none.
pub(super) fn check(settings: Settings) -> Result<(), (&'static str, String)> {
    let Settings { data, model, .. } = settings;
    let read = data.image.is_some() || data.text.is_none() && image::files::may_hold_images(&data.source);
    if model.patch.is_some() && (!read || data.window.is_some()) {
        let reason = "is the size of the patches of images, and rows are no images; remove it, or declare them with \
                      `data.image.shape`";
        return Err(("model.patch", reason.into()));
    }
    Ok(())
}

/// The random augmentation of training images; `None` if none is configured.
///
/// # Errors
/// If augmentation is configured but rows are not images; `wrong` locates the error.
pub fn changes(
    settings: Settings,
    fitted: &Fitted,
    wrong: impl FnOnce(&str, &str) -> ConfigError,
) -> Result<Option<ImageChanges>, ConfigError> {
    let changes = settings.data.augment.changes();
    if !changes.any() {
        return Ok(None);
    }
    let Some(image) = &fitted.image else {
        let reason = "changes images, but the rows are not images; set `data.image.shape`, or leave only \
                      `noise`";
        return Err(wrong("data.augment", reason));
    };
    // Scaled black.
    let fill = image.scaling.iter().map(|s| s.apply(image.range[0]) as f32).collect();
    Ok(Some(ImageChanges { shape: image.shape.into(), changes, fill, stream: streams::AUGMENT }))
}
