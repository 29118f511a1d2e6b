//! How alike generated images are to real ones in the features of a trained classifier.

use std::path::Path;

use super::opened::{Opened, open};
use crate::data::{Dataset, FittedImage, Goal};
use crate::device::Device;
use crate::tasks::Trained;
use crate::train::TrainError;
use crate::train::likeness::{NEIGHBOURS, frechet, precision_and_recall};
use crate::train::metrics::Predictions;

/// The least number is the best one.
pub(super) const FRECHET: &str = "frechet";
/// More features would take minutes.
const MOST_FEATURES: usize = 1024;

/// The classifier whose last hidden features are compared.
pub(super) struct Judge<'a> {
    classifier: Opened,
    run: &'a Path,
}

impl<'a> Judge<'a> {
    /// Opens the classifier of `run` for images like those of `image`.
    ///
    /// # Errors
    /// If the run cannot be read, or is not of a classifier of such images.
    pub fn open(run: &'a Path, image: Option<&FittedImage>) -> Result<Self, TrainError> {
        let classifier = open(run)?;
        let wrong = |reason: String| Err(TrainError::unusable(run, reason));
        let Some(image) = image else {
            return wrong("`features` compares images, and these rows are none; remove the key".into());
        };
        let classifies = matches!(classifier.experiment.goal(), Goal::Binary | Goal::Classes);
        if !classifies || !classifier.experiment.settings().predicts() {
            return wrong("`features` needs the run of a classifier of images; this one is none".into());
        }
        match &classifier.fitted.image {
            Some(own) if own.shape == image.shape => Ok(Self { classifier, run }),
            own => {
                let found =
                    own.as_ref().map_or("rows of a table".into(), |own| format!("images {}", own.shape));
                wrong(format!("its classifier reads {found}; the images to judge are {}", image.shape))
            }
        }
    }

    /// Frechet distance, precision and recall of generated rows, one for each real one, both scaled as `image`
    /// says.
    ///
    /// # Errors
    /// If the classifier has too many features, its weights do not fit, or the device fails.
    pub fn compare(
        &self,
        device: &dyn Device,
        image: &FittedImage,
        real: &Dataset,
        drawn: &Predictions,
    ) -> Result<Vec<(&'static str, f64)>, TrainError> {
        let real = self.features(device, image, &real.features_of(0..real.rows))?;
        let drawn = self.features(device, image, &drawn.raw)?;
        let width = real.outputs.max(1);
        if width > MOST_FEATURES {
            let reason = format!(
                "its classifier has {width} last hidden features; at most {MOST_FEATURES} can be compared: give it a \
                 smaller last hidden layer"
            );
            return Err(TrainError::unusable(self.run, reason));
        }
        if real.raw.len() / width <= NEIGHBOURS {
            let reason = format!("`features` compares at least {} rows; there are fewer", NEIGHBOURS + 1);
            return Err(TrainError::Input(reason));
        }
        let distance = frechet(&real.raw, &drawn.raw, width);
        let [precision, recall] = precision_and_recall(&real.raw, &drawn.raw, width);
        Ok(vec![(FRECHET, distance), ("precision", precision), ("recall", recall)])
    }

    /// The last hidden features of images.
    fn features(
        &self,
        device: &dyn Device,
        image: &FittedImage,
        scaled: &[f32],
    ) -> Result<Predictions, TrainError> {
        let Opened { experiment, fitted, weights, .. } = &self.classifier;
        let own = fitted.image.as_ref().unwrap_or(image);
        let (values, plane) = (own.shape.values().max(1), own.shape.plane().max(1));
        let scale = |(at, &x): (usize, &f32)| {
            let scaling = own.scaling.get(at % values / plane);
            scaling.map_or(x, |scaling| scaling.apply_f32(f64::from(x)))
        };
        let x: Vec<f32> = image.own_units(scaled).iter().enumerate().map(scale).collect();
        let rows = x.len() / values;
        let data = Dataset {
            rows,
            features: own.names(),
            x,
            source_rows: (0..rows).collect(),
            ..Dataset::default()
        };
        Trained::alone(experiment.settings(), fitted, weights, self.run, device).features(&data)
    }
}
