//! The `[data]` table of an experiment file.

mod augment;
mod csv;
mod graph;
mod image;
mod memory;
mod resample;
pub(super) mod reshape;
mod split;
mod target;
mod text;
mod window;

use std::collections::BTreeMap;
use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use augment::AugmentConfig;
pub use csv::{CsvConfig, DateOrder};
pub use graph::GraphConfig;
pub use image::{ITSELF, ImageConfig, ImageFit, OnError};
pub use memory::{MemoryConfig, RowsIn};
pub use resample::{Aggregate, Period, ResampleConfig};
pub use reshape::ReshapeConfig;
pub use split::{SplitConfig, Validation};
pub use target::Targets;
pub use text::{TextConfig, TokensConfig};
pub use window::{Gaps, Missing, ScaleBy, WindowConfig};

/// Where the data comes from, and how its columns become numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table such as { source = \"table.csv\", target = \"price\" }")]
pub struct DataConfig {
    /// A CSV or Parquet file; or images: an IDX, NPY or NPZ file, or a folder of pictures with one subfolder
    /// per class; or, with a `text` table without `column`, a UTF-8 text. The path is relative to the experiment
    /// file.
    pub source: String,
    /// IDX or NPY file with the labels of the images. By default, the file beside the images whose name has
    /// `labels` in place of `images` (and `idx1` in place of `idx3`), following MNIST's names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<String>,
    /// Column to predict; or, of a table, a list of columns of numbers that one model predicts together, each with a
    /// scaling of its own and the mean of their losses. For image files, the name of the label (in an NPZ file, of the array of labels),
    /// which is "label" by default. Not needed for models that learn the features themselves, nor for text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Targets>,
    /// The class that counts as positive, of a target with two classes: what `f1`, precision and recall are about. By
    /// default the second of the two in the order of names (or numbers).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub positive: Option<String>,
    /// Column with the weight of each row, a number from 0 up: the loss of a batch is the mean weighted by it, and so are
    /// metrics, as with scikit-learn's `sample_weight`. For rows of tables; it is no feature, and predictions do
    /// not need it. Rows without a weight are left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<String>,
    /// Feature columns; all others by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub features: Option<Vec<String>>,
    /// Columns to leave out when `features` is not set.
    #[serde(default)]
    pub exclude: Vec<String>,
    /// How the text of a table is written, where looking at it does not tell.
    #[serde(default)]
    pub csv: CsvConfig,
    /// Column types, where they should not be inferred from the cells of the file.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub types: BTreeMap<String, ColumnKind>,
    /// Columns computed from others in the same row: a name and an expression such as `log(high / low)`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub derive: BTreeMap<String, String>,
    /// Reshapes rows, for example hours to days, derived columns included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reshape: Option<ReshapeConfig>,
    /// Missing values and outliers.
    #[serde(default)]
    pub clean: CleanConfig,
    /// Scaling and encoding.
    #[serde(default)]
    pub transform: TransformConfig,
    /// Declares that each row is an image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageConfig>,
    /// Declares that samples are windows of a series.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<WindowConfig>,
    /// Declares that rows, or series, are the nodes of a graph, or that rows are graphs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub graph: Option<GraphConfig>,
    /// Declares that the source is a text, or that rows of a table have texts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<TextConfig>,
    /// Augmentation of training rows, fresh at each epoch.
    #[serde(default)]
    pub augment: AugmentConfig,
    /// Where rows are kept while a model trains on them.
    #[serde(default, skip_serializing_if = "MemoryConfig::is_default")]
    pub memory: MemoryConfig,
    /// Which rows are used for training, validation and test.
    #[serde(default)]
    pub split: SplitConfig,
}

/// The type of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ColumnKind {
    /// Real numbers.
    Number,
    /// One of a set of names (or of numbers that serve as names).
    Category,
    /// True or false.
    Boolean,
    /// A date or a date and time.
    Timestamp,
}

/// Missing values and outliers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table such as { numbers = \"median\" }")]
pub struct CleanConfig {
    /// How to fill a missing number.
    #[serde(default = "default_number_fill")]
    pub numbers: Fill,
    /// How to fill a missing category.
    #[serde(default = "default_category_fill")]
    pub categories: Fill,
    /// Overrides for single columns.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub columns: BTreeMap<String, Fill>,
    /// Drop rows in which any of these columns is empty (rows without a target are always dropped).
    #[serde(default)]
    pub drop_missing: Vec<String>,
    /// Add a 0/1 feature for each number column with missing values in the training rows.
    #[serde(default)]
    pub indicators: bool,
    /// Clip numbers further than this many standard deviations from the training mean.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip: Option<f64>,
}

/// How a missing value is filled. All statistics are those of the training rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Fill {
    /// Drop the row, before the split.
    Drop,
    /// The mean.
    Mean,
    /// The median.
    Median,
    /// The most frequent value.
    MostFrequent,
    /// The last value before it in the file; with windows, in the same series.
    ForwardFill,
    /// A separate category (categories only).
    OwnCategory,
    /// A constant.
    Constant(String),
}

/// Scaling and encoding.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table such as { numbers = \"standardise\" }")]
pub struct TransformConfig {
    /// Scaling of numbers.
    #[serde(default)]
    pub numbers: Scaling,
    /// Scaling of a numeric target; undone in predictions and metrics. Of several targets, each is fitted by itself, and
    /// `columns` may name another scaling for one.
    #[serde(default)]
    pub target: Scaling,
    /// Encoding of categories.
    #[serde(default)]
    pub categories: CategoryEncoding,
    /// Which parts of timestamps become features.
    #[serde(default = "default_calendar")]
    pub timestamps: Vec<Calendar>,
    /// Encode parts of timestamps as sine and cosine, so that December is next to January.
    #[serde(default = "default_true")]
    pub cyclic: bool,
    /// Overrides of the scaling for single columns, of several targets too.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub columns: BTreeMap<String, Scaling>,
}

/// Scaling of a number column, fitted on the training rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scaling {
    /// Unscaled.
    None,
    /// To mean 0 and standard deviation 1.
    #[default]
    Standardise,
    /// To 0..1.
    MinMax,
    /// `ln(1 + x)`, then standardised: for amounts and counts.
    Log1p,
    /// To the normal quantile of its rank: for heavy tails.
    Quantile,
}

/// Encoding of categories.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CategoryEncoding {
    /// One 0/1 feature per category seen in training; all 0 for an unseen one.
    #[default]
    OneHot,
    /// A trained vector per category; index 0 is for unseen categories.
    Embedding,
}

/// A part of a timestamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Calendar {
    /// Hour of the day, with its fraction, 0..24.
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

impl DataConfig {
    /// All defaults, for a source.
    pub fn of(source: &str) -> Self {
        Self {
            source: source.into(),
            labels: None,
            target: None,
            positive: None,
            weight: None,
            features: None,
            exclude: vec![],
            csv: CsvConfig::default(),
            types: BTreeMap::new(),
            derive: BTreeMap::new(),
            reshape: None,
            clean: CleanConfig::default(),
            transform: TransformConfig::default(),
            image: None,
            window: None,
            graph: None,
            text: None,
            augment: AugmentConfig::default(),
            memory: MemoryConfig::default(),
            split: SplitConfig::default(),
        }
    }

    /// Whether the source is a text, not a table whose rows have texts.
    pub fn is_text(&self) -> bool {
        self.text.as_ref().is_some_and(|text| text.column.is_none())
    }

    /// What is predicted of each pixel of an image, if anything: [`ITSELF`], or a path.
    pub fn pixel_target(&self) -> Option<&str> {
        self.image.as_ref()?.target.as_deref()
    }

    /// Every file that is read, so that paths can be made absolute.
    pub fn paths(&mut self) -> Vec<&mut String> {
        let mut paths = vec![&mut self.source];
        paths.extend(&mut self.labels);
        let target = self.image.as_mut().and_then(|image| image.target.as_mut());
        paths.extend(target.filter(|target| *target != ITSELF));
        paths.extend(&mut self.memory.scratch);
        let tables = self.graph.iter_mut().flat_map(|graph| [&mut graph.nodes, &mut graph.edges]);
        paths.extend(tables.flatten());
        if let Some(TextConfig { tokens: TokensConfig::File(file), .. }) = &mut self.text {
            paths.push(file);
        }
        if let SplitConfig::Files { validation, test, validation_labels, test_labels, .. } = &mut self.split {
            if let Validation::File(file) = validation {
                paths.push(file);
            }
            paths.extend(test.iter_mut().chain(validation_labels).chain(test_labels));
        }
        paths
    }

    /// Every path that is read, by the name that it has where all of them lie side by side, as in a page for browsers: its
    /// last part.
    ///
    /// # Errors
    /// If a path has none, or two of them have the same.
    pub fn names(&self) -> Result<BTreeMap<String, String>, String> {
        let mut names = BTreeMap::new();
        for path in self.clone().paths() {
            let name = Path::new(path.as_str()).file_name().map(|name| name.to_string_lossy().into_owned());
            let name = name.ok_or_else(|| format!("`{path}` names no file"))?;
            if let Some(other) = names.insert(name.clone(), path.clone())
                && other != *path
            {
                return Err(format!(
                    "`{other}` and `{path}` are both called {name}; rename one: in a browser they lie side by side"
                ));
            }
        }
        Ok(names)
    }
}

fn default_number_fill() -> Fill {
    Fill::Mean
}

fn default_category_fill() -> Fill {
    Fill::OwnCategory
}

fn default_calendar() -> Vec<Calendar> {
    vec![Calendar::Hour, Calendar::Weekday, Calendar::Month, Calendar::Year]
}

fn default_true() -> bool {
    true
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
