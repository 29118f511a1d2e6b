//! Encoded rows: what a model reads, what it predicts, and how samples lie in them.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use super::padded::Graphs;
use super::pixels::PixelRows;
use super::scaling::FittedScaling;
use super::stored::Stored;

/// Encoded rows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Dataset {
    /// Number of rows.
    pub rows: usize,
    /// Names of the features.
    pub features: Vec<String>,
    /// `[rows, features]`, row-major; empty if they are `pixels` or `stored`.
    pub x: Vec<f32>,
    /// The features as bytes, if all of them are; without their words, if these are `stored`.
    pub pixels: Option<PixelRows>,
    /// The words of the features, where batches are made from them as they are needed, and do not all go to the device.
    pub stored: Option<Arc<Stored>>,
    /// The range in which features of `stored` that are numbers count.
    pub bounds: Option<[f32; 2]>,
    /// Whether batches are made from rows as they are needed, even if no features are `stored`.
    pub streams: bool,
    /// Whether all rows must go to the device.
    pub on_device: bool,
    /// Bytes of rows sent to a device at once, where they are not all there; 0 for the usual number.
    pub sent_bytes: usize,
    /// Columns for embeddings.
    pub categories: Vec<CategoryIds>,
    /// The target, if the rows have one.
    pub target: Option<Target>,
    /// Number of targets of each row, where there are several; else 0.
    pub targets: usize,
    /// Weights of the rows, whose mean is 1; empty if all weigh the same.
    pub weights: Vec<f64>,
    /// Row numbers in the table.
    pub source_rows: Vec<usize>,
    /// Category columns with names that training did not have, of these rows.
    pub unseen: Vec<Unseen>,
    /// Columns of a table with missing values that were filled, of these rows.
    pub filled: Vec<Filled>,
    /// Row names, where rows have them: days, files of pictures.
    pub row_names: Vec<String>,
    /// How samples map to the rows of `x` and `target`, if they are windows of a series. `rows` then counts
    /// windows, and `x` and `target` hold each stored row once.
    pub windows: Option<Windows>,
    /// How samples map to a text, if they are sequences of one. A text has no other columns.
    pub text: Option<Text>,
    /// The graphs of rows, if these are graphs.
    pub graphs: Option<Graphs>,
    /// The texts of rows, if a model reads them. Such rows have no other features.
    pub documents: Option<Documents>,
}

impl Dataset {
    /// Number of inputs of a sample.
    pub fn width(&self) -> usize {
        self.features.len() * self.windows.as_ref().map_or(1, |w| w.length)
    }

    /// The features of stored rows `rows`, one row after the other; of those that exist.
    pub fn features_of(&self, rows: Range<usize>) -> Cow<'_, [f32]> {
        let width = self.features.len();
        if let Some(stored) = &self.stored {
            return Cow::Owned(self.stored_features(stored, rows));
        }
        match &self.pixels {
            Some(pixels) => rows.flat_map(|row| pixels.row(row)).collect(),
            None => {
                let end = (rows.end * width).min(self.x.len());
                Cow::Borrowed(&self.x[(rows.start * width).min(end)..end])
            }
        }
    }

    /// The features of stored rows; not numbers where a file cannot be read, which training reports.
    fn stored_features(&self, stored: &Stored, rows: Range<usize>) -> Vec<f32> {
        let rows = rows.start.min(stored.rows())..rows.end.min(stored.rows());
        let mut words = vec![];
        if stored.read(rows.clone(), 1, &mut words).is_err() {
            return vec![f32::NAN; rows.len() * self.features.len()];
        }
        match &self.pixels {
            Some(pixels) => words.chunks(stored.width()).flat_map(|row| pixels.numbers(row)).collect(),
            None => {
                self.bound(&mut words);
                words.into_iter().map(f32::from_bits).collect()
            }
        }
    }

    /// Bounds numbers that were read of `stored`.
    pub(crate) fn bound(&self, words: &mut [u32]) {
        if let Some([low, high]) = self.bounds {
            words.iter_mut().for_each(|word| *word = f32::from_bits(*word).clamp(low, high).to_bits());
        }
    }

    /// Has every feature count as the nearest in this range.
    pub fn clamp_features(&mut self, low: f32, high: f32) {
        self.x.iter_mut().for_each(|x| *x = x.clamp(low, high));
        match &mut self.pixels {
            Some(pixels) => pixels.map(|x| x.clamp(low, high)),
            // Others may read the same rows: they are bounded where they are read.
            None if self.stored.is_some() => self.bounds = Some([low, high]),
            None => {}
        }
    }

    /// The sum of the weights of the rows of each of `classes` classes; their number if rows weigh the same.
    pub fn class_weights(&self, classes: usize) -> Vec<f64> {
        let mut sums = vec![0.0; classes];
        let mut add = |row: usize, label: usize| {
            if let Some(sum) = sums.get_mut(label) {
                *sum += self.weights.get(row).copied().unwrap_or(1.0);
            }
        };
        match &self.target {
            Some(Target::Labels(labels)) => {
                labels.iter().enumerate().for_each(|(row, &label)| add(row, label as usize));
            }
            Some(Target::Numbers(values)) => {
                values.iter().enumerate().for_each(|(row, &value)| add(row, value as usize));
            }
            None => {}
        }
        sums
    }

    /// Numbers to predict of a sample.
    pub fn outputs(&self) -> usize {
        self.windows.as_ref().map_or(self.targets.max(1), Windows::outputs)
    }

    /// The true targets of each sample, `[rows, outputs]`, still scaled; 0 without a target.
    pub fn truth(&self) -> Vec<f64> {
        let Some(target) = &self.target else {
            return vec![0.0; self.rows * self.outputs()];
        };
        let values = target.values();
        let Some(w) = &self.windows else { return values };
        let of = |&start: &u32| {
            let first = (start as usize + w.first_target) * w.targets;
            values[first..first + w.outputs()].to_vec()
        };
        w.starts.iter().flat_map(of).collect()
    }
}

/// Names of a category column that training did not have.
#[derive(Clone, Debug, PartialEq)]
pub struct Unseen {
    /// Column name.
    pub column: String,
    /// Number of cells.
    pub cells: usize,
    /// One of the names.
    pub example: String,
}

/// Missing values of a column that were filled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filled {
    /// Column name.
    pub column: String,
    /// Number of cells.
    pub cells: usize,
}

/// Category indices of a column.
#[derive(Clone, Debug, PartialEq)]
pub struct CategoryIds {
    /// Column name.
    pub name: String,
    /// Number of indices (names seen in training, plus one for all others).
    pub vocabulary: usize,
    /// One per row.
    pub ids: Vec<u32>,
}

/// Encoded target values.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    /// Scaled numbers, or 0 and 1: `[rows]`, or of several targets `[rows, targets]`.
    Numbers(Vec<f32>),
    /// Labels: `[rows]`.
    Labels(Vec<u32>),
}

impl Target {
    /// The values, with labels as numbers.
    pub fn values(&self) -> Vec<f64> {
        match self {
            Target::Numbers(values) => values.iter().map(|&x| f64::from(x)).collect(),
            Target::Labels(labels) => labels.iter().map(|&x| f64::from(x)).collect(),
        }
    }

    /// The labels; empty if the target is a number.
    pub fn labels(&self) -> &[u32] {
        match self {
            Target::Numbers(_) => &[],
            Target::Labels(labels) => labels,
        }
    }

    /// Scatters the values to positions `at` of `rows` in total; 0 elsewhere.
    pub(super) fn spread(self, rows: usize, at: &[usize]) -> Self {
        fn spread<T: Copy + Default>(values: Vec<T>, rows: usize, at: &[usize]) -> Vec<T> {
            let mut all = vec![T::default(); rows];
            at.iter().zip(values).for_each(|(&at, y)| all[at] = y);
            all
        }
        match self {
            Target::Numbers(values) => Target::Numbers(spread(values, rows, at)),
            Target::Labels(labels) => Target::Labels(spread(labels, rows, at)),
        }
    }

    /// The values as device words.
    pub fn words(&self) -> Vec<u32> {
        match self {
            Target::Numbers(values) => values.iter().map(|x| x.to_bits()).collect(),
            Target::Labels(labels) => labels.clone(),
        }
    }
}

/// The rows of a [`Dataset`] as sequences of one text: row `i` reads symbols from `i * length` on and
/// predicts the next symbol at each of them. The last row may be shorter, except in training.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Text {
    /// Symbols per sequence.
    pub length: usize,
    /// Number of symbols, including the one for unknown characters.
    pub vocabulary: usize,
    /// The text. It has one more symbol than the sequences read: the last one to predict.
    pub symbols: Vec<u32>,
}

impl Text {
    /// Number of predicted symbols.
    pub fn predicted(&self) -> usize {
        self.symbols.len().saturating_sub(1)
    }

    /// Number of sequences; the last may be shorter.
    pub fn rows(&self) -> usize {
        self.predicted().div_ceil(self.length.max(1))
    }
}

/// The texts of rows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Documents {
    /// Symbols of each row.
    pub length: usize,
    /// Number of symbols, including those for unknown characters and for hidden symbols.
    pub vocabulary: usize,
    /// `[rows, length]`, 0 after the end of a text.
    pub symbols: Vec<u32>,
    /// Symbols of each row before the padding.
    pub lengths: Vec<u32>,
    /// Rows whose text was longer.
    pub cut: usize,
    /// Symbols that stand for unknown characters.
    pub unknown: usize,
}

/// The rows of a [`Dataset`] as windows of stored rows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Windows {
    /// Stored rows per window.
    pub length: usize,
    /// Offset from the first row of a window to the first predicted row.
    pub first_target: usize,
    /// Number of predicted rows.
    pub steps: usize,
    /// Targets per row.
    pub targets: usize,
    /// Number of stored rows.
    pub stored: usize,
    /// First stored row of each window.
    pub starts: Vec<u32>,
    /// The location of each window, for users.
    pub places: Vec<Place>,
    /// Baseline forecasts.
    pub baselines: Baselines,
    /// The series that windows are of.
    pub members: Arc<Members>,
    /// What someone who wants forecasts past the end of the file must add.
    pub note: Option<String>,
}

impl Windows {
    /// Stored rows from the first of a window to the last predicted one, inclusive.
    pub fn span(&self) -> usize {
        self.first_target + self.steps
    }

    /// Number of predicted values per window.
    pub fn outputs(&self) -> usize {
        self.steps * self.targets
    }
}

/// The series that windows are of. Scalings and errors are of numeric targets.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Members {
    /// Names of the series; one without a name if the table holds only one.
    pub names: Vec<String>,
    /// Scalings of the targets, `[series][targets]`.
    pub scalings: Vec<Vec<FittedScaling>>,
    /// Mean absolute errors of the value one season earlier (or else one row) on the training rows,
    /// `[series][targets]`; unknown or 0 if absent.
    pub naive: Vec<Vec<Option<f64>>>,
    /// The series of each window.
    pub of: Vec<u32>,
}

impl Members {
    /// Converts scaled outputs `[windows, steps * targets]` to the targets' own units.
    pub fn own_units(&self, scaled: &[f64], outputs: usize) -> Vec<f64> {
        let invert = |(at, &y): (usize, &f64)| {
            let scalings = self.of.get(at / outputs.max(1)).and_then(|&of| self.scalings.get(of as usize));
            let scaling = scalings.and_then(|s| s.get(at % outputs.max(1) % s.len().max(1)));
            scaling.map_or(y, |scaling| scaling.invert(y))
        };
        scaled.iter().enumerate().map(invert).collect()
    }
}

/// The location of a window.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Name of the series, if there are several.
    pub group: String,
    /// Time of the window's last row, or its line in the file if rows have no times.
    pub last: String,
    /// Time of the last predicted row; empty if unknown.
    pub predicted: String,
}

/// Baseline forecasts in the targets' own units, `[windows, steps * targets]`; all empty if the target is a
/// class.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Baselines {
    /// The last known value.
    pub naive: Vec<f64>,
    /// The value one season earlier, or in the last season in which it is known, else the last known value.
    /// Empty if there is no season.
    pub seasonal: Vec<f64>,
    /// The mean of the window.
    pub mean: Vec<f64>,
    /// The true values; NaN where unknown.
    pub truth: Vec<f64>,
}

impl Baselines {
    /// Mean absolute errors by name, over the windows and outputs that `of` selects: `baseline_naive_mae`,
    /// `baseline_seasonal_mae`, `baseline_mean_mae`.
    pub fn errors(&self, of: impl Fn(usize) -> bool) -> Vec<(&'static str, f64)> {
        let named = [
            ("baseline_naive_mae", &self.naive),
            ("baseline_seasonal_mae", &self.seasonal),
            ("baseline_mean_mae", &self.mean),
        ];
        let error = |forecast: &Vec<f64>| {
            let pairs = forecast.iter().zip(&self.truth).enumerate().filter(|(at, _)| of(*at));
            let errors: Vec<f64> = pairs.map(|(_, (f, t))| (f - t).abs()).collect();
            errors.iter().sum::<f64>() / errors.len().max(1) as f64
        };
        named.into_iter().filter(|(_, f)| !f.is_empty()).map(|(name, f)| (name, error(f))).collect()
    }
}
