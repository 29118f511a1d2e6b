//! The `[data]` table of an experiment file.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use super::augment::AugmentConfig;
pub use super::reshape::ReshapeConfig;
pub use super::text::TextConfig;
use super::window::config::WindowConfig;
use crate::base::image::ImageShape;

/// Where the data comes from and how its columns become numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataConfig {
    /// CSV or Parquet file; or images: an IDX, NPY or NPZ file, or a folder of PNG and JPEG files with a subfolder a
    /// class; or, with a `text` table, a text in UTF-8. Relative to the experiment file.
    pub source: String,
    /// IDX or NPY file with the labels of the images. By default the one beside the images whose name has `labels` for
    /// `images` (and `idx1` for `idx3`), as MNIST's files are called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<String>,
    /// Column to predict; for images in files, the name of the label (in an NPZ file, of the array of labels). Models
    /// that learn the features themselves, or text, need none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Columns to predict from; all others by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub features: Option<Vec<String>>,
    /// Columns left out when `features` is not given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
    /// Kinds of columns, where they should not be inferred from all cells of the file.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub types: BTreeMap<String, ColumnKind>,
    /// Columns computed from others of the same row: a name and an expression such as `log(high / low)`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub derive: BTreeMap<String, String>,
    /// Makes rows into rows of another kind, such as hours into days, with the derived columns in them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reshape: Option<ReshapeConfig>,
    /// Missing values and outliers.
    #[serde(default)]
    pub clean: CleanConfig,
    /// Scaling and encoding.
    #[serde(default)]
    pub transform: TransformConfig,
    /// Says that a row is an image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageConfig>,
    /// Says that samples are windows of a series.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<WindowConfig>,
    /// Says that the source is a text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<TextConfig>,
    /// Changes made to training rows, anew at each epoch.
    #[serde(default)]
    pub augment: AugmentConfig,
    /// Which rows train, validate and test.
    #[serde(default)]
    pub split: SplitConfig,
}

/// What the cells of a column are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ColumnKind {
    /// Real numbers.
    Number,
    /// One of a set of names (or numbers used as names).
    Category,
    /// True or false.
    Boolean,
    /// A date or a date and time.
    Timestamp,
}

/// Missing values and outliers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CleanConfig {
    /// What a missing number becomes.
    #[serde(default = "default_number_fill")]
    pub numbers: Fill,
    /// What a missing category becomes.
    #[serde(default = "default_category_fill")]
    pub categories: Fill,
    /// Other treatment of single columns.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub columns: BTreeMap<String, Fill>,
    /// Rows in which any of these columns is empty are dropped (rows without a target always are).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drop_missing: Vec<String>,
    /// Adds a 0/1 feature for each number column that has missing values in the training rows.
    #[serde(default)]
    pub indicators: bool,
    /// Numbers further than this many standard deviations from the training mean are pulled in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip: Option<f64>,
}

/// What a missing value becomes. All statistics are of the training rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fill {
    /// The row is dropped, before the split.
    Drop,
    /// The mean.
    Mean,
    /// The median.
    Median,
    /// The most frequent value.
    MostFrequent,
    /// The last value before it in the file; with windows, in the same series.
    ForwardFill,
    /// A category of its own (categories only).
    OwnCategory,
    /// This value.
    Constant(String),
}

/// Scaling and encoding.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TransformConfig {
    /// Scaling of numbers.
    #[serde(default)]
    pub numbers: Scaling,
    /// Scaling of a numeric target; undone in predictions and metrics.
    #[serde(default)]
    pub target: Scaling,
    /// Encoding of categories.
    #[serde(default)]
    pub categories: CategoryEncoding,
    /// Which parts of timestamps become features.
    #[serde(default = "default_calendar")]
    pub timestamps: Vec<Calendar>,
    /// Parts of timestamps as sine and cosine, so that December is next to January.
    #[serde(default = "default_true")]
    pub cyclic: bool,
    /// Other scaling of single columns.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub columns: BTreeMap<String, Scaling>,
}

/// Scaling of a number column, fitted on the training rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scaling {
    /// As it is.
    None,
    /// To mean 0 and standard deviation 1.
    #[default]
    Standardise,
    /// To 0..1.
    MinMax,
    /// `ln(1 + x)`, then standardised; for amounts and counts.
    Log1p,
    /// To the normal quantile of its rank; for heavy tails.
    Quantile,
}

/// How categories become numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CategoryEncoding {
    /// One 0/1 feature per category seen in training; an unseen one is all 0.
    #[default]
    OneHot,
    /// A trained vector per category; index 0 is for unseen ones.
    Embedding,
}

/// A part of a timestamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Calendar {
    /// Hour of the day with its fraction, 0..24.
    Hour,
    /// Day of the week, Monday 0.
    Weekday,
    /// Month, January 0.
    Month,
    /// Day of the year, 0..366.
    DayOfYear,
    /// Years since 2000, with the fraction of the year; never cyclic.
    Year,
}

/// Rows that are images.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageConfig {
    /// `[channels, height, width]`. In a table, of the image whose pixels are the feature columns in this order; for
    /// files of images, what they must be (by default what they are); pictures of a folder are made so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shape: Option<ImageShape>,
    /// Names of the labels 0, 1, ... of IDX, NPY and NPZ files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<String>,
}

/// Which rows train, validate and test. Row numbers count the rows left after dropping.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "snake_case", deny_unknown_fields)]
pub enum SplitConfig {
    /// At random, from the experiment's seed.
    Random {
        /// Part that validates.
        #[serde(default = "default_part")]
        validation: f64,
        /// Part that tests.
        #[serde(default = "default_part")]
        test: f64,
    },
    /// By their order: the last rows test, those before them validate. With windows over several series, each
    /// series is split by itself.
    Order {
        /// Part that validates.
        #[serde(default = "default_part")]
        validation: f64,
        /// Part that tests.
        #[serde(default = "default_part")]
        test: f64,
    },
    /// By a timestamp column: before `validation` trains, from `test` on tests.
    Time {
        /// The column.
        column: String,
        /// First instant of validation.
        validation: String,
        /// First instant of test.
        test: String,
    },
    /// By a column that holds `train`, `validation` or `test`.
    Column {
        /// The column.
        column: String,
    },
    /// Every `every`-th row tests (for 5 the rows 4, 9, 14, ... counted from 0); a random part of the others
    /// validates.
    Rows {
        /// Distance of test rows.
        every: usize,
        /// Part of the other rows that validates.
        #[serde(default = "default_part")]
        validation: f64,
    },
    /// Row `i` tests if `i mod folds = fold`; a random part of the others validates.
    Folds {
        /// Number of folds.
        folds: usize,
        /// Which one tests.
        #[serde(default)]
        fold: usize,
        /// Part of the other rows that validates.
        #[serde(default = "default_part")]
        validation: f64,
    },
    /// From files of their own, with the same columns.
    Files {
        /// Validation rows: a file, or the part of the source's rows that validates.
        #[serde(default)]
        validation: Validation,
        /// Test rows.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        test: Option<String>,
        /// Labels of the validation images, as `labels` are those of the source.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        validation_labels: Option<String>,
        /// Labels of the test images.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        test_labels: Option<String>,
    },
}

/// Rows that validate beside files of their own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Validation {
    /// A random part of the source's rows.
    Part(f64),
    /// Those of a file.
    File(String),
}

impl Default for Validation {
    fn default() -> Self {
        Self::Part(default_part())
    }
}

impl DataConfig {
    /// Every file that is read, for making paths absolute.
    pub fn paths(&mut self) -> Vec<&mut String> {
        let mut paths = vec![&mut self.source];
        paths.extend(&mut self.labels);
        if let SplitConfig::Files { validation, test, validation_labels, test_labels } = &mut self.split {
            if let Validation::File(file) = validation {
                paths.push(file);
            }
            paths.extend(test.iter_mut().chain(validation_labels).chain(test_labels));
        }
        paths
    }
}

fn default_number_fill() -> Fill {
    Fill::Mean
}

fn default_category_fill() -> Fill {
    Fill::OwnCategory
}

fn default_calendar() -> Vec<Calendar> {
    vec![Calendar::Hour, Calendar::Weekday, Calendar::Month]
}

fn default_true() -> bool {
    true
}

fn default_part() -> f64 {
    0.15
}

impl Default for CleanConfig {
    fn default() -> Self {
        let (numbers, categories) = (default_number_fill(), default_category_fill());
        Self {
            numbers,
            categories,
            columns: BTreeMap::new(),
            drop_missing: vec![],
            indicators: false,
            clip: None,
        }
    }
}

impl Default for TransformConfig {
    fn default() -> Self {
        Self {
            numbers: Scaling::default(),
            target: Scaling::default(),
            categories: CategoryEncoding::default(),
            timestamps: default_calendar(),
            cyclic: true,
            columns: BTreeMap::new(),
        }
    }
}

impl Default for SplitConfig {
    fn default() -> Self {
        Self::Random { validation: default_part(), test: default_part() }
    }
}
