//! What explanations and attacks find, as they are printed and shown.

use serde::Serialize;

use crate::base::number::Number;

/// Why a model predicts what it does for some rows.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explanation {
    /// Run directory.
    pub run: String,
    /// `train`, `validation`, `test`, or the data file.
    pub split: String,
    /// Rows of it.
    pub rows: usize,
    /// What the model does.
    pub subject: String,
    /// Seed of everything random.
    pub seed: u64,
    /// Permutation importance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub permutation: Option<Permutation>,
    /// Shapley values.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shap: Option<Attributed>,
    /// Integrated gradients.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub integrated_gradients: Option<Attributed>,
    /// How much of each column, or of each step, attention takes up: the parts of a row sum to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rollout: Option<Attributed>,
    /// The prediction as a function of single columns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effects: Option<Effects>,
    /// Maps of pictures.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pictures: Option<Pictures>,
    /// The training rows that are nearest to each row in the last hidden features.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nearest: Option<Nearest>,
    /// What is to be known of these numbers.
    pub notes: Vec<String>,
}

/// The training rows that are nearest to rows in the last hidden features: what the model takes for alike.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Nearest {
    /// Number of features.
    pub features: usize,
    /// Training rows searched.
    pub training_rows: usize,
    /// The rows.
    pub each: Vec<NearestOf>,
}

/// The training rows nearest to a row.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NearestOf {
    /// The row, counted from 1.
    pub row: usize,
    /// Its target, if it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub truth: Option<String>,
    /// The nearest rows, the nearest first.
    pub neighbours: Vec<Neighbour>,
}

/// A training row.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Neighbour {
    /// Its row in the file, counted from 1; of windows, the time of the row it predicts.
    pub row: String,
    /// Euclidean distance in the features.
    pub distance: Number,
    /// Its target.
    pub target: String,
}

/// Permutation importance.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Permutation {
    /// The metric that the columns are ranked by.
    pub metric: &'static str,
    /// Rows permuted.
    pub rows: usize,
    /// Permutations of each column.
    pub repeats: usize,
    /// The importances for each metric.
    pub by_metric: Vec<ByMetric>,
}

/// Importances for a metric.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ByMetric {
    /// Metric.
    pub metric: &'static str,
    /// Its value for the rows as they are.
    pub baseline: Number,
    /// Columns, the most important one first.
    pub columns: Vec<ColumnImportance>,
}

/// The importance of a column.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ColumnImportance {
    /// Column.
    pub column: String,
    /// Mean over the permutations of how much worse the metric is.
    pub mean: Number,
    /// Population standard deviation over them.
    pub deviation: Number,
}

impl Permutation {
    /// The importances for the metric that the columns are ranked by.
    pub fn main(&self) -> Option<&ByMetric> {
        self.by_metric.iter().find(|of| of.metric == self.metric)
    }
}

/// Predictions of rows, divided among the columns.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Attributed {
    /// What is explained of each row.
    pub what: String,
    /// How, in a few words.
    pub how: String,
    /// Positions of the explained rows in the split, counted from 1.
    pub rows: Vec<usize>,
    /// Columns in the order of the values.
    pub columns: Vec<String>,
    /// Mean size of the attributions of each column.
    pub mean_size: Vec<Number>,
    /// Mean of the attributions of each column.
    pub mean: Vec<Number>,
    /// What the attributions of each row are relative to.
    pub base: Vec<Number>,
    /// What is explained of each row: `base` and its attributions sum to it.
    pub explained: Vec<Number>,
    /// `[rows][columns]`
    pub values: Vec<Vec<Number>>,
    /// The value of each column as the model reads it, `[rows][columns]`; NaN where it is several numbers.
    #[serde(skip)]
    pub readings: Vec<Vec<f64>>,
    /// Of windows, the mean size by step (the first is the oldest) and column; else empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub by_step: Vec<Vec<Number>>,
    /// Largest difference between the sum of a row's attributions and what they should sum to, relative to
    /// it.
    pub largest_error: Number,
    /// Largest standard error of a sampled attribution.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub largest_standard_error: Option<Number>,
    /// Most nodes of a quadrature.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<usize>,
}

impl Attributed {
    /// Columns by falling mean size: name, mean size, mean.
    pub fn ranked(&self) -> Vec<(&str, f64, f64)> {
        let all = self.columns.iter().zip(self.mean_size.iter().zip(&self.mean));
        let mut ranked: Vec<(&str, f64, f64)> =
            all.map(|(name, (size, mean))| (&name[..], size.0, mean.0)).collect();
        ranked.sort_by(|a, b| b.1.total_cmp(&a.1));
        ranked
    }
}

/// The prediction as a function of single columns.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Effects {
    /// Rows averaged over.
    pub rows: usize,
    /// What is predicted: a curve for each.
    pub predicted: Vec<String>,
    /// Columns.
    pub columns: Vec<Effect>,
}

/// The curves of a column.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Effect {
    /// Column.
    pub column: String,
    /// Values of the column in its own units; positions in `names` for categories.
    pub at: Vec<Number>,
    /// Names of a category column.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// Partial dependence, `[predicted][at]`.
    pub partial_dependence: Vec<Vec<Number>>,
    /// Accumulated local effects, `[predicted][at]`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub accumulated_local_effects: Vec<Vec<Number>>,
}

/// Maps of pictures.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Pictures {
    /// What is explained of each.
    pub what: String,
    /// Height and width.
    pub size: [usize; 2],
    /// The pictures.
    pub each: Vec<Picture>,
}

/// The maps of a picture.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Picture {
    /// Position of the row in the split, counted from 1.
    pub row: usize,
    /// True class, if it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub truth: Option<String>,
    /// What is explained: the predicted class.
    pub predicted: String,
    /// Its probability, or the predicted value.
    pub value: Number,
    /// The picture as the model reads it, `[channels, height, width]`.
    #[serde(skip)]
    pub x: Vec<f32>,
    /// Maps by method.
    pub maps: Vec<Map>,
}

/// A map.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Map {
    /// Method.
    pub method: &'static str,
    /// Whether numbers below 0 speak against the explained prediction.
    pub signed: bool,
    /// `[height, width]`
    pub values: Vec<Number>,
}

/// How predictions hold when inputs are changed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Robustness {
    /// Run directory.
    pub run: String,
    /// `train`, `validation`, `test`, or the data file.
    pub split: String,
    /// Rows attacked.
    pub rows: usize,
    /// What the model does.
    pub subject: String,
    /// Seed of everything random.
    pub seed: u64,
    /// The metric shown, such as `accuracy` or `mae`.
    pub metric: &'static str,
    /// Whether larger values of it are better.
    pub larger_is_better: bool,
    /// Its value for the rows as they are.
    pub clean: Number,
    /// What a radius of 1 is.
    pub unit: String,
    /// Steps of projected gradient descent.
    pub steps: usize,
    /// Its beginnings.
    pub restarts: usize,
    /// The metric by radius.
    pub attacks: Vec<Strengths>,
    /// The metric with changes that nobody aims: missing values, brightness.
    pub changes: Vec<Strengths>,
    /// Changes of single columns, the ones that cost most first.
    pub columns: Vec<ColumnStress>,
    /// Certified classes, if asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub smoothing: Option<Smoothing>,
    /// What gradients that mislead an attack would show, and whether they do.
    pub checks: Vec<Check>,
    /// What is to be known of these numbers.
    pub notes: Vec<String>,
}

/// A metric by the strength of a change.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Strengths {
    /// `noise`, `fgsm`, `pgd`; `missing`; of series `stuck`, `delayed`; of pictures `brightness`, `contrast` and the names
    /// of [`Corruption`](super::corruption::Corruption).
    pub change: &'static str,
    /// `linf` or `l2`, of attacks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub norm: Option<&'static str>,
    /// Strengths.
    pub strengths: Vec<f64>,
    /// The metric at each.
    pub values: Vec<Number>,
    /// Mean loss at each.
    pub losses: Vec<Number>,
}

/// Classes that no change within a radius (l2) can alter, of the model under noise.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Smoothing {
    /// Standard deviation of the noise.
    pub deviation: f64,
    /// Draws of each row.
    pub draws: usize,
    /// Probability that a certificate holds.
    pub confidence: f64,
    /// Rows of which no class is certain.
    pub abstained: usize,
    /// Radii.
    pub radii: Vec<f64>,
    /// Part of the rows whose class is the true one, and certain within each.
    pub certified: Vec<f64>,
}

/// What happens when one column is changed.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ColumnStress {
    /// Column.
    pub column: String,
    /// The metric with all its values missing.
    pub missing: Option<Number>,
    /// The metric with this many standard deviations added to it.
    pub shifted: Vec<(f64, Number)>,
    /// The metric with it multiplied by this.
    pub scaled: Vec<(f64, Number)>,
    /// Of series, the metric with its last values, this many, stuck at the one before them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stuck: Vec<(f64, Number)>,
    /// Of series, the metric with its values this many steps late.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub delayed: Vec<(f64, Number)>,
    /// One standard deviation, in the column's own units; absent where series have scales of their own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deviation: Option<Number>,
    /// How much worse the metric is at the worst of these.
    pub worst: Number,
}

/// A check of the attacks.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Check {
    /// What should hold.
    pub what: String,
    /// Whether it does.
    pub holds: bool,
    /// Where it does not.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub detail: String,
}
