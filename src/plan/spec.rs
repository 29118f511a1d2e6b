//! The inputs and results of compilation: graphs, data sets and tensors by name, and their places.

use std::ops::Range;

use super::columns::{DataLayout, DataSpec};
use super::saving::{Recompute, Saved};
use super::{BufferId, Program, Slice};
use crate::graph::{Graph, ValueId};
use crate::kernels::augment::Changes;
use crate::optim::{Adapts, Optimizer};
use crate::scalar::Body;

/// Why a program cannot be compiled.
#[derive(Clone, Debug, thiserror::Error, PartialEq)]
pub enum PlanError {
    /// A graph or phase refers to something that the specification does not have.
    #[error("there is no {kind} `{name}`{}", listed(.known))]
    Unknown {
        /// `column`, `parameter`, `state`, `set of parameters`, `data set`.
        kind: &'static str,
        /// The name.
        name: String,
        /// Names that exist.
        known: String,
    },
    /// Duplicate names.
    #[error("two {kind}s are called `{name}`; rename one of them")]
    Twice {
        /// `parameter`, `state`, `set of parameters`, `data set`, `phase`.
        kind: &'static str,
        /// The name.
        name: String,
    },
    /// A phase updates parameters that have no optimizer.
    #[error("phase `{phase}` updates the set `{set}`, which has no optimizer or no parameters")]
    NoOptimizer {
        /// Name of the phase.
        phase: String,
        /// Name of the set.
        set: String,
    },
    /// A size in the graph differs from the specification.
    #[error("{kind} `{name}` has {expected} elements, but {found} in the graph")]
    Size {
        /// `parameter`, `gradient`, `state`, `column`, `data set`.
        kind: &'static str,
        /// The name.
        name: String,
        /// Elements in the specification.
        expected: usize,
        /// Elements in the graph.
        found: usize,
    },
    /// A buffer or binding is larger than the device allows.
    #[error(
        "{what} needs {needed} bytes, this device allows {limit}; the largest are {largest}; use a smaller \
         batch, smaller layers or fewer rows"
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
    /// The intermediate values need more memory than the experiment allows.
    #[error(
        "the intermediate values of a training step need at least {least} bytes however much of them is computed \
         again, `train.recompute` allows {limit}; allow more, or use a smaller batch or a larger `train.accumulate`"
    )]
    Recompute {
        /// The least bytes found.
        least: u64,
        /// Bytes allowed.
        limit: u64,
    },
    /// One operator has more operands than a dispatch may bind.
    #[error(
        "{layer}: one kernel needs {needed} buffers, this device binds {limit}; combine fewer tensors in one \
         step"
    )]
    TooManyBuffers {
        /// The layer.
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

fn listed(names: &str) -> String {
    if names.is_empty() { String::new() } else { format!("; there are: {names}") }
}

/// A named tensor of a region.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// `state_dict` name.
    pub name: String,
    /// Number of elements.
    pub words: usize,
    /// Whether weight decay applies (parameters only).
    pub decay: bool,
}

/// Parameters that are trained together: contiguous in one region, with their gradients and optimizer state
/// in parallel regions.
#[derive(Clone, Debug, PartialEq)]
pub struct ParameterSet {
    /// The name that phases refer to.
    pub name: String,
    /// Trained tensors.
    pub parameters: Vec<Entry>,
    /// The optimizer that updates them, if any phase does.
    pub optimizer: Option<OptimizerSpec>,
}

/// An optimizer.
#[derive(Clone, Debug, PartialEq)]
pub struct OptimizerSpec {
    /// State slots per parameter.
    pub slots: usize,
    /// Update rule (`kernels::optimizer`).
    pub body: Body,
    /// Which tensors' steps have a trust ratio, if the rule has one.
    pub adapts: Option<Adapts>,
    /// For each parameter of the set a factor of the learning rate, if they differ.
    pub rates: Option<Vec<f32>>,
    /// For each parameter of the set its weight decay, which the rule multiplies by the optimizer's, if they differ.
    pub decays: Option<Vec<f32>>,
    /// The part of the parameters that is updated here.
    pub part: Part,
}

/// One of several equal parts of a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Which, from 0.
    pub number: usize,
    /// How many there are.
    pub of: usize,
}

impl Default for Part {
    fn default() -> Self {
        Self { number: 0, of: 1 }
    }
}

impl OptimizerSpec {
    /// What an optimizer needs.
    pub fn of(optimizer: &Optimizer) -> Self {
        let (slots, body, adapts) = (optimizer.slots(), optimizer.body(), optimizer.adapts());
        Self { slots, body, adapts, rates: None, decays: None, part: Part::default() }
    }
}

/// Random augmentation of a column block.
#[derive(Clone, Debug, PartialEq)]
pub struct Augmentation {
    /// Column block.
    pub column: String,
    /// Standard deviation of Gaussian noise; 0 for none.
    pub deviation: f32,
    /// Its random stream.
    pub stream: u32,
    /// Augmentation of images, if the block holds images.
    pub images: Option<ImageChanges>,
}

/// Random augmentation of images.
#[derive(Clone, Debug, PartialEq)]
pub struct ImageChanges {
    /// Channels, height and width.
    pub shape: [usize; 3],
    /// The changes.
    pub changes: Changes,
    /// The value of each channel beyond the edge.
    pub fill: Vec<f32>,
    /// Their random stream.
    pub stream: u32,
}

/// A phase: what runs between two decisions of the host. Its parts run in the order of the fields, and each
/// is optional: gradients alone are a phase, as is an update, and both together are a training step.
#[derive(Clone, Debug, Default)]
pub struct PhaseSpec<'a> {
    /// `train`, `evaluate`.
    pub name: String,
    /// Sets of parameters whose gradients are set to 0.
    pub clears: Vec<String>,
    /// A graph to evaluate over a batch.
    pub pass: Option<PassSpec<'a>>,
    /// A set of parameters to update with its optimizer. Only one, because a run has a single learning rate.
    pub update: Option<UpdateSpec>,
}

/// An update of a set of parameters from its gradients.
#[derive(Clone, Debug, PartialEq)]
pub struct UpdateSpec {
    /// Name of the set.
    pub set: String,
    /// Maximum norm of the set's gradients, if they are clipped.
    pub max_norm: Option<f32>,
}

/// The source of a pass's batches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Batches {
    /// Rows of the data set with this name, in its row order.
    Of(String),
    /// The host writes each batch, column by column ([`PhaseLayout::inputs`]).
    Written,
}

/// A graph over a batch, and the use of its values.
#[derive(Clone, Debug)]
pub struct PassSpec<'a> {
    /// The mathematics.
    pub graph: &'a Graph,
    /// Rows per batch.
    pub batch: usize,
    /// Source of the batches.
    pub batches: Batches,
    /// Random augmentation of column blocks of a data set.
    pub augment: Vec<Augmentation>,
    /// Number of runs whose results are kept.
    pub slots: usize,
    /// Values kept per run.
    pub results: Vec<(String, ValueId)>,
    /// Gradients of parameters, by parameter name.
    pub gradients: Vec<(String, ValueId)>,
    /// How they are stored.
    pub into: Gradients,
    /// New values of states.
    pub states: Vec<(String, ValueId)>,
}

/// How the gradients of a pass are stored.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Gradients {
    /// They replace the previous ones.
    #[default]
    Replace,
    /// They are multiplied by this factor and added to the previous ones.
    Add(f32),
}

/// Everything that a program is compiled from.
#[derive(Clone, Debug, Default)]
pub struct ProgramSpec<'a> {
    /// Trained tensors, with distinct names.
    pub sets: Vec<ParameterSet>,
    /// Running statistics.
    pub states: Vec<Entry>,
    /// Data sets.
    pub data: Vec<DataSpec>,
    /// Phases.
    pub phases: Vec<PhaseSpec<'a>>,
    /// Whether passes that compute gradients keep values of the forward pass in half precision until the backward pass
    /// needs them.
    pub halves: bool,
    /// Whether passes that compute gradients compute parts of their forward pass again instead of keeping them.
    pub recompute: Recompute,
}

impl<'a> ProgramSpec<'a> {
    /// A single phase that computes `results` of a graph for one batch of `batch` rows, once its sources were written.
    pub fn once(
        name: &str,
        (graph, batch): (&'a Graph, usize),
        parameters: Vec<Entry>,
        states: Vec<Entry>,
        results: Vec<(String, ValueId)>,
    ) -> Self {
        let pass = PassSpec {
            graph,
            batch,
            batches: Batches::Written,
            augment: vec![],
            slots: 1,
            results,
            gradients: vec![],
            into: Gradients::Replace,
            states: vec![],
        };
        let set = ParameterSet { name: "all".into(), parameters, optimizer: None };
        let phases = vec![PhaseSpec { name: name.into(), pass: Some(pass), ..PhaseSpec::default() }];
        Self { sets: vec![set], states, data: vec![], phases, ..Self::default() }
    }

    /// All trained tensors.
    pub(super) fn parameters(&self) -> impl Iterator<Item = &Entry> {
        self.sets.iter().flat_map(|set| &set.parameters)
    }
}

/// A result of a phase.
#[derive(Clone, Debug, PartialEq)]
pub struct ResultLayout {
    /// Name given in the phase.
    pub name: String,
    /// All slots.
    pub slice: Slice,
    /// Words per slot.
    pub words: usize,
}

/// The places of a set of parameters.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SetLayout {
    /// Its name.
    pub name: String,
    /// Parameters by name, contiguous in one buffer.
    pub parameters: Vec<(String, Slice)>,
    /// Their gradients, if any phase computes them: a buffer with the same layout.
    pub gradients: Option<BufferId>,
    /// The optimizer's state slots, each a buffer with the layout of the words that are updated.
    pub optimizer_state: Vec<BufferId>,
    /// Words of the parameters, and of their gradients.
    pub words: usize,
    /// Which of these words each part of the optimizer updates, one range after the other.
    pub parts: Vec<Range<usize>>,
    /// The words that are updated here: one of these parts.
    pub updated: Range<usize>,
    /// The words whose gradients that takes: these, or all where gradients are clipped by their norm.
    pub needed: Range<usize>,
}

impl SetLayout {
    /// The gradients of all parameters as one range, without the padding of the last block.
    pub fn gradient_range(&self) -> Option<Slice> {
        self.gradients.map(|buffer| Slice { buffer, start: 0, words: self.words })
    }

    /// The gradients, or a state slot that an optimizer keeps of all parameters, by parameter.
    pub fn beside(&self, buffer: BufferId) -> impl Iterator<Item = (&str, Slice)> {
        self.parameters.iter().map(move |(name, slice)| (name.as_str(), Slice { buffer, ..*slice }))
    }
}

/// The inputs that a phase reads from the host, and the results it keeps for it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PhaseLayout {
    /// Its name.
    pub name: String,
    /// Columns of a batch written by the host.
    pub inputs: Vec<(String, Slice)>,
    /// Values to keep.
    pub results: Vec<ResultLayout>,
}

impl PhaseLayout {
    /// The result of this name.
    pub fn result(&self, name: &str) -> Option<&ResultLayout> {
        self.results.iter().find(|result| result.name == name)
    }
}

/// The places of everything that the host writes or reads.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Layout {
    /// Sets of parameters, as in the specification.
    pub sets: Vec<SetLayout>,
    /// States by name.
    pub states: Vec<(String, Slice)>,
    /// Constants to upload once after loading.
    pub constants: Vec<(Slice, Vec<u32>)>,
    /// Data sets, as in the specification.
    pub data: Vec<DataLayout>,
    /// Phases, as in the specification.
    pub phases: Vec<PhaseLayout>,
}

impl Layout {
    /// The parameters of all sets, by name.
    pub fn parameters(&self) -> impl Iterator<Item = &(String, Slice)> + Clone {
        self.sets.iter().flat_map(|set| &set.parameters)
    }

    /// Position of the phase of this name.
    pub fn phase(&self, name: &str) -> Option<usize> {
        self.phases.iter().position(|phase| phase.name == name)
    }
}

/// A program and the places of its contents.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Compiled {
    /// Buffers and dispatches.
    pub program: Program,
    /// Places.
    pub layout: Layout,
    /// Bytes of intermediate values over all phases, if none shared memory.
    pub naive_activation_bytes: u64,
    /// Bytes that the intermediate values of each phase use; phases share them.
    pub activation_bytes: Vec<u64>,
    /// What computing intermediate values once more, and half precision for those that wait, save, where they do.
    pub saved: Option<Saved>,
    /// The program of the update, if the host computes it and not the device.
    pub update: Option<Box<Compiled>>,
}
