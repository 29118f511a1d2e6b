//! What is fitted on the training rows and stored with a run: how columns, targets, images and texts become
//! numbers, and predictions their own units again.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::config::{Calendar, CsvConfig, GraphConfig, ImageFit, ReshapeConfig, WindowConfig};
use super::documents::FittedDocuments;
use super::formats::Formats;
use super::scaling::FittedScaling;
use super::symbols::FittedText;
use crate::base::image::ImageShape;
use crate::base::nodes::Nodes;

/// Everything fitted on the training rows: enough to encode any other file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fitted {
    /// Features, in order.
    pub columns: Vec<FittedColumn>,
    /// The target.
    pub target: FittedTarget,
    /// Images, instead of columns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<FittedImage>,
    /// Windows of a series, if rows are cut into them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<FittedWindow>,
    /// The graph whose nodes rows or series are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub graph: Option<FittedGraph>,
    /// How rows become graphs, if they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub graphs: Option<FittedGraphs>,
    /// The texts of rows, if a model reads them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub documents: Option<FittedDocuments>,
    /// How the text of the table is written, where the experiment says.
    #[serde(default, skip_serializing_if = "CsvConfig::is_default")]
    pub csv: CsvConfig,
    /// How the cells of columns are written, where they are not plain numbers, ISO dates or names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub formats: Formats,
    /// Columns computed from others.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub derive: BTreeMap<String, String>,
    /// How rows are reshaped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reshape: Option<ReshapeConfig>,
    /// The column that weights rows where they are evaluated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<String>,
    /// The probability above which the second of two classes is predicted, where it is not one half.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f64>,
    /// What the logits of classes are divided by, where they are calibrated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// What a model must beat in tables: the mean of the target in the training rows, in its own units, or
    /// the label of their most frequent class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub constant: Option<f64>,
    /// The same of each of several targets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub constants: Vec<f64>,
}

impl Fitted {
    /// Whether rows become the same numbers, and numbers mean the same classes and values.
    pub fn encodes_as(&self, other: &Self) -> bool {
        let scaled = |(_, series): &(&String, &FittedSeries)| !series.scaling.is_empty();
        let of_series = |w: &FittedWindow| -> Vec<_> {
            let own = w.series.iter().filter(scaled);
            own.map(|(name, series)| (name.clone(), series.scaling.clone())).collect()
        };
        let windows = |f: &Self| f.window.as_ref().map(|w| (w.past.clone(), w.future, of_series(w)));
        let nodes = |f: &Self| f.graphs.as_ref().map(|graphs| (graphs.columns.clone(), graphs.counted));
        self.target == other.target
            && self.columns == other.columns
            && self.image == other.image
            && self.documents == other.documents
            && nodes(self) == nodes(other)
            && windows(self) == windows(other)
    }

    /// Converts scaled features back to their own units. Calendar features and indicators are unchanged.
    pub fn own_units(&self, names: &[String], scaled: &[f32]) -> Vec<f32> {
        if let Some(image) = &self.image {
            return image.own_units(scaled);
        }
        let scaling = |name: &String| {
            self.columns.iter().find(|c| c.name == *name).and_then(|c| match &c.encoding {
                Encoding::Number { scaling, .. } => Some(scaling),
                _ => None,
            })
        };
        let scalings: Vec<_> = names.iter().map(scaling).collect();
        let value = |(at, &x): (usize, &f32)| match scalings[at % names.len()] {
            Some(scaling) => scaling.invert(f64::from(x)) as f32,
            None => x,
        };
        scaled.iter().enumerate().map(value).collect()
    }
}

/// A graph, and how what is known of its nodes becomes numbers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FittedGraph {
    /// The column with the names of nodes; none if the nodes are the targets of windows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Features of a node.
    pub columns: Vec<FittedColumn>,
    /// SHA-256 of the file that keeps the graph.
    pub digest: String,
    /// The graph, which is kept in that file.
    #[serde(skip)]
    pub nodes: Arc<Nodes>,
}

/// How graphs become numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FittedGraphs {
    /// The experiment's settings; the paths are those of files beside the rows.
    pub config: GraphConfig,
    /// Features of a node.
    pub columns: Vec<FittedColumn>,
    /// Whether they are the number of neighbours, for want of others.
    pub counted: bool,
    /// How the cells of the table of nodes are written.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub formats: Formats,
}

/// A fitted feature column.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FittedColumn {
    /// Column name in the file.
    pub name: String,
    /// How it is encoded.
    pub encoding: Encoding,
}

/// How a column is encoded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Encoding {
    /// One feature, plus one more if missing values are flagged.
    Number {
        /// Whether cells are booleans.
        boolean: bool,
        /// Replaces a missing value.
        fill: f64,
        /// Whether to use the last preceding value instead, where there is one.
        forward: bool,
        /// Values are clipped to this range first.
        clip: Option<[f64; 2]>,
        /// Scaling.
        scaling: FittedScaling,
        /// Whether to add a feature that is 1 where the value is missing.
        indicator: bool,
    },
    /// One 0/1 feature per name.
    OneHot {
        /// Replaces a missing value.
        fill: Option<String>,
        /// Whether to use the last preceding name, where there is one.
        #[serde(default)]
        forward: bool,
        /// Names seen in training, ascending.
        names: Vec<String>,
    },
    /// Indices into a trained table; index 0 is for names not seen in training.
    Embedding {
        /// Replaces a missing value.
        fill: Option<String>,
        /// Whether to use the last preceding name, where there is one.
        #[serde(default)]
        forward: bool,
        /// Names seen in training, ascending; name `i` has index `i + 1`.
        names: Vec<String>,
    },
    /// Parts of a timestamp.
    Calendar {
        /// Which.
        parts: Vec<Calendar>,
        /// Whether to encode them as sine and cosine.
        cyclic: bool,
    },
}

/// The fitted target.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum FittedTarget {
    /// No target: the features themselves are learned.
    #[default]
    Absent,
    /// A number.
    Number {
        /// Column name.
        name: String,
        /// Scaling, inverted in predictions.
        scaling: FittedScaling,
    },
    /// A number from 0 up, unscaled, of whose mean the model predicts the logarithm.
    Rate {
        /// Column name.
        name: String,
    },
    /// Several numbers, for one or several steps ahead.
    Numbers {
        /// Column names.
        columns: Vec<String>,
        /// Scaling of each.
        scalings: Vec<FittedScaling>,
        /// Predicted steps ahead: outputs are `[steps, columns]`.
        steps: usize,
    },
    /// One of two classes.
    Binary {
        /// Column name.
        name: String,
        /// The negative and the positive class.
        names: [String; 2],
    },
    /// One of several classes.
    Classes {
        /// Column name.
        name: String,
        /// Class names; the label is the position.
        names: Vec<String>,
    },
    /// The next symbol of a text.
    Text(FittedText),
    /// Something for each pixel of an image.
    Pixels(FittedPixels),
}

/// What is predicted of each pixel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FittedPixels {
    /// Shape of a target: one channel of classes, or those of its values.
    pub shape: ImageShape,
    /// The classes by label; none if values are predicted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<PixelClass>,
    /// Scaling of each channel of values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scaling: Vec<FittedScaling>,
    /// Smallest and largest value in training: black and white in pictures.
    pub range: [f64; 2],
    /// Whether the target is the image itself.
    #[serde(default)]
    pub itself: bool,
    /// Standard deviation of the noise that is added to the scaled values of images whose target is known.
    #[serde(default)]
    pub noise: f64,
    /// What kind of values the targets' files have.
    #[serde(default)]
    pub values: PixelValues,
}

/// The values of pixels in files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PixelValues {
    /// Whole numbers of 8 bits.
    #[default]
    Eight,
    /// Whole numbers of 16 bits.
    Sixteen,
    /// Any numbers.
    Numbers,
}

/// A class of pixels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PixelClass {
    /// Its name.
    pub name: String,
    /// The value of each channel of such pixels in masks.
    pub values: Vec<u32>,
}

impl Fitted {
    /// The same for rows without targets: without the columns that are derived for targets and weights alone, which
    /// may need columns that such rows do not have.
    pub(super) fn without_derived_targets(&self) -> Cow<'_, Self> {
        let targets = self.target.numbers().into_iter().map(|(name, _)| name).chain(self.target.name());
        let named: Vec<&str> = targets.chain(self.weight.as_deref()).collect();
        // Windows read the past of their target.
        let alone = |name: &str| {
            self.window.is_none()
                && named.contains(&name)
                && !self.columns.iter().any(|column| column.name == name)
                && !self.derive.values().any(|formula| formula.contains(name))
        };
        if !self.derive.keys().any(|name| alone(name)) {
            return Cow::Borrowed(self);
        }
        let mut others = self.clone();
        others.derive.retain(|name, _| !alone(name));
        Cow::Owned(others)
    }
}

impl Fitted {
    /// The symbols of texts, if a model reads any.
    pub fn symbols(&self) -> Option<&FittedText> {
        self.target.text().or(self.documents.as_ref().map(|documents| &documents.text))
    }
}

/// What is fitted for windows and needed to cut windows from other files.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FittedWindow {
    /// The experiment's settings.
    pub config: WindowConfig,
    /// Scaling of each target, whose past is the first features; empty if the target is a class.
    pub past: Vec<(String, FittedScaling)>,
    /// Number of fitted columns (the last ones) that are read at the predicted row.
    pub future: usize,
    /// Columns that must not be missing in a window.
    pub required: Vec<String>,
    /// Rows per season: configured, or the one that fits the training rows best.
    pub season: Option<usize>,
    /// What was fitted for each series by itself; one without a name if the table holds only one.
    #[serde(default)]
    pub series: BTreeMap<String, FittedSeries>,
}

/// What is fitted for a series by itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FittedSeries {
    /// Mean absolute error of the value one season earlier (or else one row) on the training rows, for each
    /// target; absent if it is unknown or 0.
    pub naive: Vec<Option<f64>>,
    /// Mean of each target on the training rows, if it is known in any.
    #[serde(default)]
    pub mean: Vec<Option<f64>>,
    /// Scaling of each target; empty if all series are scaled alike.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scaling: Vec<FittedScaling>,
}

/// How images become numbers, fitted on the training rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FittedImage {
    /// Shape of an image.
    pub shape: ImageShape,
    /// Scaling of each channel.
    pub scaling: Vec<FittedScaling>,
    /// Smallest and largest training value before scaling: black and white in pictures.
    pub range: [f64; 2],
    /// The columns that hold the pixels, if the images come from a table.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<String>,
    /// How pictures of another aspect ratio become that shape.
    #[serde(default, skip_serializing_if = "ImageFit::is_default")]
    pub fit: ImageFit,
    /// Names of the labels 0, 1, ... in files that store numbers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<String>,
}

impl FittedImage {
    /// Inverts the scaling of images, one after the other.
    pub fn own_units(&self, scaled: &[f32]) -> Vec<f32> {
        let (plane, values) = (self.shape.plane().max(1), self.shape.values().max(1));
        let invert = |(at, &x): (usize, &f32)| {
            let scaling = self.scaling.get(at % values / plane);
            scaling.map_or(x, |s| s.invert(f64::from(x)) as f32)
        };
        scaled.iter().enumerate().map(invert).collect()
    }

    /// Names of the values, for messages and tables: `channel 0 row 3 column 4`.
    pub fn names(&self) -> Vec<String> {
        if !self.columns.is_empty() {
            return self.columns.clone();
        }
        let ImageShape { channels, height, width } = self.shape;
        let name = |at: usize| {
            format!("channel {} row {} column {}", at / (height * width), at / width % height, at % width)
        };
        (0..channels * height * width).map(name).collect()
    }
}
