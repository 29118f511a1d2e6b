//! What a model reads: its inputs, and the names of their batches.

use std::sync::Arc;

use crate::base::image::ImageShape;
use crate::base::nodes::Nodes;
use crate::base::packed::Packed;

/// The inputs of a model: numbers, and category columns with their vocabularies.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Inputs {
    /// Numeric features.
    pub features: usize,
    /// Category columns: name and number of categories.
    pub categories: Vec<(String, usize)>,
    /// Set if the numeric features are steps of a series; `features` is then the total number of values.
    pub sequence: Option<SequenceShape>,
    /// Number of targets whose past, the first features of each step, is read relative to the last step, and that
    /// are predicted so; 0 for none.
    pub relative: usize,
    /// Whether rows have weights.
    pub weighted: bool,
    /// The graph that the rows are nodes of, the id of each in the only category column; of windows of series, the one
    /// whose nodes are the targets, in their order.
    pub graph: Option<Arc<Nodes>>,
    /// Set if rows are graphs; their features are then those of the whole graph.
    pub graphs: Option<GraphShape>,
    /// Set if the numeric features are the pixels of an image; `features` is then the total number of values.
    pub image: Option<ImageShape>,
    /// Set if something is predicted of each pixel of an image.
    pub pixels: Option<PixelOutputs>,
    /// Set if rows are texts, and have no other features.
    pub documents: Option<DocumentShape>,
}

/// What is known of the graphs of rows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GraphShape {
    /// The sizes that they are padded to.
    pub packed: Packed,
    /// Numeric features of a node.
    pub features: usize,
    /// Category columns of nodes: name and number of categories.
    pub categories: Vec<(String, usize)>,
}

/// What is predicted of each pixel of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PixelOutputs {
    /// Height and width.
    pub size: [usize; 2],
    /// Outputs for each pixel: scores of classes, or values of channels.
    pub each: usize,
}

/// The shape of texts of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DocumentShape {
    /// Symbols per text.
    pub length: usize,
    /// Number of symbols; the last one hides others.
    pub vocabulary: usize,
}

impl DocumentShape {
    /// Number of symbols that texts have.
    pub fn known(self) -> usize {
        self.vocabulary - 1
    }
}

/// The shape of text sequences.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextShape {
    /// Symbols per sequence.
    pub length: usize,
    /// Number of symbols.
    pub vocabulary: usize,
}

/// The shape of a window of a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SequenceShape {
    /// Number of steps.
    pub length: usize,
    /// Values per step.
    pub width: usize,
}

/// Name of the batch of numeric features.
pub const X: &str = "x";
/// Name of the batch of texts' lengths, or of graphs' numbers of nodes.
pub const LENGTH: &str = "length";
/// Name of the batch of the numeric features of nodes.
pub const NODES: &str = "nodes";
/// Name of the batch of the words of edges.
pub const LINKS: &str = "links";
/// Name of the batch of the weights of edges for `graph_conv`.
pub const NORMALISED: &str = "links.normalised";
/// Name of the batch of the weights of edges for `graph_sage`.
pub const AVERAGED: &str = "links.averaged";
/// Name of the batch of targets.
pub const Y: &str = "y";

/// Name of the batch of weights.
pub const WEIGHT: &str = "weight";

/// Name of the batch of a category column.
pub fn category_source(column: &str) -> String {
    format!("category.{column}")
}

/// Name of the batch of a category column of nodes.
pub fn node_source(column: &str) -> String {
    format!("nodes.{column}")
}

/// Default embedding width for a vocabulary of this size.
pub(super) fn embedding_width(vocabulary: usize) -> usize {
    vocabulary.div_ceil(2).clamp(1, 50)
}
