//! What a program is made from, and what is made of it: graphs, data sets and tensors by name, and their places.

use super::{BufferId, Program, Slice};
use crate::graph::{Graph, ValueId};
use crate::kernels::augment::Changes;
use crate::scalar::Body;

/// A program that cannot be made.
#[derive(Clone, Debug, thiserror::Error, PartialEq)]
pub enum PlanError {
    /// A graph names a batch column, parameter or state that the specification does not have.
    #[error("the graph reads {kind} `{name}`, which is not there; there are: {known}")]
    Unknown {
        /// `column`, `parameter`, `state`.
        kind: &'static str,
        /// The name.
        name: String,
        /// Names that exist.
        known: String,
    },
    /// A buffer or binding is larger than the device allows.
    #[error(
        "{what} needs {needed} bytes, this device allows {limit}; the largest are {largest}; use a smaller batch, smaller layers or fewer rows"
    )]
    TooLarge {
        /// Buffer or tensor.
        what: String,
        /// Bytes needed.
        needed: u64,
        /// Bytes allowed.
        limit: u64,
        /// The largest tensors.
        largest: String,
    },
    /// One operator has more operands than a dispatch may bind.
    #[error(
        "{layer}: one kernel needs {needed} buffers, this device binds {limit}; combine fewer tensors in one step"
    )]
    TooManyBuffers {
        /// Where.
        layer: String,
        /// Buffers needed.
        needed: usize,
        /// Buffers allowed.
        limit: usize,
    },
    /// The finished program breaks an invariant: a bug in the planner.
    #[error("internal planner error: {0}; please report this")]
    Internal(String),
}

/// A named tensor of a region.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// `state_dict` name.
    pub name: String,
    /// Elements.
    pub words: usize,
    /// Whether weight decay applies (parameters only).
    pub decay: bool,
}

/// The optimizer.
#[derive(Clone, Debug, PartialEq)]
pub struct OptimizerSpec {
    /// State slots per parameter.
    pub slots: usize,
    /// Update rule (`kernels::optimizer`).
    pub body: Body,
    /// Largest global gradient norm, if clipped.
    pub max_norm: Option<f32>,
}

/// A data set resident on the device.
#[derive(Clone, Debug, PartialEq)]
pub struct DataSpec {
    /// `train`, `validation`.
    pub name: String,
    /// Rows.
    pub rows: usize,
    /// Entries of the row order (a multiple of the batch).
    pub order: usize,
    /// Blocks of columns.
    pub columns: Vec<DataColumn>,
}

/// A block of columns of a data set: where the words of each row lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataColumn {
    /// Name of the batch it fills.
    pub name: String,
    /// Words of a row.
    pub width: usize,
    /// Words between the starts of neighbouring rows; less than `width` for windows that overlap.
    pub stride: usize,
    /// Words before the first row.
    pub offset: usize,
    /// Another column whose words these are, seen with another offset.
    pub of: Option<String>,
}

impl DataColumn {
    /// Rows of `width` words, one after the other.
    pub fn rows(name: impl Into<String>, width: usize) -> Self {
        Self { name: name.into(), width, stride: width, offset: 0, of: None }
    }

    /// Words that `rows` rows take up.
    pub(super) fn words(&self, rows: usize) -> usize {
        if rows == 0 { 0 } else { self.offset + (rows - 1) * self.stride + self.width }
    }
}

/// Random changes of a column block.
#[derive(Clone, Debug, PartialEq)]
pub struct Augmentation {
    /// Column block.
    pub column: String,
    /// Standard deviation of Gaussian noise; 0 for none.
    pub deviation: f32,
    /// Its random stream.
    pub stream: u32,
    /// Changes of images, if the block holds such.
    pub images: Option<ImageChanges>,
}

/// Random changes of images.
#[derive(Clone, Debug, PartialEq)]
pub struct ImageChanges {
    /// Channels, height and width.
    pub shape: [usize; 3],
    /// What is done.
    pub changes: Changes,
    /// The value of each channel beyond the edge.
    pub fill: Vec<f32>,
    /// Their random stream.
    pub stream: u32,
}

/// One phase: a graph and what becomes of its values.
#[derive(Clone, Debug)]
pub struct PhaseSpec<'a> {
    /// `train`, `evaluate`.
    pub name: String,
    /// The mathematics.
    pub graph: &'a Graph,
    /// Rows of a batch.
    pub batch: usize,
    /// Which data set: position in [`ProgramSpec::data`].
    pub data: usize,
    /// Random changes of column blocks.
    pub augment: Vec<Augmentation>,
    /// Steps whose results are kept.
    pub slots: usize,
    /// Values kept per step.
    pub results: Vec<(String, ValueId)>,
    /// Gradient of each parameter; with any, the optimizer runs at the end of the phase.
    pub gradients: Vec<(String, ValueId)>,
    /// New values of states.
    pub updates: Vec<(String, ValueId)>,
}

/// Everything a program is made from.
#[derive(Clone, Debug, Default)]
pub struct ProgramSpec<'a> {
    /// Trained tensors.
    pub parameters: Vec<Entry>,
    /// Running statistics.
    pub states: Vec<Entry>,
    /// The optimizer, if any phase trains.
    pub optimizer: Option<OptimizerSpec>,
    /// Data sets.
    pub data: Vec<DataSpec>,
    /// Phases.
    pub phases: Vec<PhaseSpec<'a>>,
}

/// Where one data set lies.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DataLayout {
    /// Row order.
    pub order: Option<Slice>,
    /// Column blocks by name.
    pub columns: Vec<(String, Slice)>,
}

/// A result of a phase.
#[derive(Clone, Debug, PartialEq)]
pub struct ResultLayout {
    /// Name given in the phase.
    pub name: String,
    /// All slots.
    pub slice: Slice,
    /// Words of one slot.
    pub words: usize,
}

/// Where everything lies that the host writes or reads.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Layout {
    /// Parameters by name; contiguous in one buffer.
    pub parameters: Vec<(String, Slice)>,
    /// Gradients, same layout.
    pub gradients: Vec<(String, Slice)>,
    /// The optimizer's state slots, each with the parameters' layout.
    pub optimizer_state: Vec<BufferId>,
    /// States by name.
    pub states: Vec<(String, Slice)>,
    /// Constants to upload once after loading.
    pub constants: Vec<(Slice, Vec<u32>)>,
    /// Data sets, as in the specification.
    pub data: Vec<DataLayout>,
    /// Results, per phase.
    pub results: Vec<Vec<ResultLayout>>,
}

/// A program and where its contents lie.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Compiled {
    /// Buffers and dispatches.
    pub program: Program,
    /// Places.
    pub layout: Layout,
    /// Bytes that intermediate values would take if none shared memory, over all phases.
    pub naive_activation_bytes: u64,
}
