//! The graph: mathematics in SSA form.
//!
//! A [`Graph`] is a list of nodes; a node is an operator, its inputs (earlier nodes) and its static type.
//! Nothing here runs: the graph is differentiated (`autodiff`), evaluated node by node by the reference
//! (`reference`), or compiled into a plan (`crate::plan`).

mod activations;
pub mod attention;
pub mod autodiff;
pub mod build;
pub mod convolution;
pub mod copy;
pub mod edges;
pub mod expression;
pub mod lengths;
pub mod normalisation;
pub mod ops;
pub mod pooling;
pub mod recurrence;
pub mod reference;
pub mod samples;
pub mod upsampling;
pub mod variational;

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::base::tensor::{DType, Shape, TensorType};
pub use ops::{Op, OpDef};
use samples::Sample;

/// A value of a graph: the number of the node that defines it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ValueId(pub u32);

impl ValueId {
    /// Position in [`Graph::nodes`].
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A value bound from outside the graph, which has its own kind of buffer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// One batch of a data column, by name (`x`, `y`, `category.weather`).
    Batch(String),
    /// A trained tensor, by its `state_dict` name (`0.weight`).
    Parameter(String),
    /// A tensor that training updates without a gradient (`1.running_mean`).
    State(String),
    /// The previous gradient of a parameter, to which that of a micro-batch is added.
    Gradient(String),
}

/// Maximum elements of a tensor: kernels index with 32 bits.
pub const MAX_ELEMENTS: usize = u32::MAX as usize;

/// One operation and the type of its result.
#[derive(Clone, Debug)]
pub struct Node {
    /// The operation.
    pub op: Op,
    /// Operands, all earlier in the list.
    pub inputs: Vec<ValueId>,
    /// Type of the result.
    pub ty: TensorType,
    /// The layer that created this node (`layer 2 (dense)`), for messages.
    pub layer: String,
    /// 0; or the part of a forward pass that this node belongs to, which is computed once more, when the backward
    /// pass has come to it. Nodes of different rounds are never shared, and a plan keeps them apart.
    pub round: u32,
}

/// A graph that cannot be built: which operator, in which layer, with which operands.
#[derive(Clone, Debug, thiserror::Error, PartialEq)]
#[error("{layer}{op}({operands}): {reason}")]
pub struct GraphError {
    /// `layer 2 (dense): ` or empty.
    pub layer: String,
    /// Operator name.
    pub op: &'static str,
    /// Operand types, as `f32[32, 64], f32[128]`.
    pub operands: String,
    /// What is wrong, and what was expected.
    pub reason: String,
}

/// The result of a builder method.
pub type Built = Result<ValueId, GraphError>;

/// A directed acyclic graph of tensor operations with static shapes.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    /// Nodes in topological order.
    pub nodes: Vec<Node>,
    /// Nodes by hash, to find equal ones.
    by_hash: HashMap<u64, Vec<ValueId>>,
    layer: String,
    round: u32,
}

impl Graph {
    /// An empty graph.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the layer of the nodes appended from now on (shown in errors and plans).
    pub fn set_layer(&mut self, layer: impl Into<String>) {
        self.layer = layer.into();
    }

    /// Sets the round of the nodes appended from now on ([`Node::round`]).
    pub fn set_round(&mut self, round: u32) {
        self.round = round;
    }

    /// Appends a node after checking its shapes. Equal nodes are shared (common subexpression elimination).
    ///
    /// # Errors
    /// If the operator does not accept these operand types.
    pub fn push(&mut self, op: Op, inputs: &[ValueId]) -> Result<ValueId, GraphError> {
        self.check_known(op.def().name(), inputs)?;
        let types: Vec<&TensorType> = inputs.iter().map(|&i| self.ty(i)).collect();
        let ty = op
            .def()
            .infer(&types)
            .and_then(|ty| check_size(&ty).map(|()| ty))
            .map_err(|reason| self.error(op.def().name(), inputs, reason))?;
        let mut hasher = DefaultHasher::new();
        (&op, inputs, self.round).hash(&mut hasher);
        let alike = self.by_hash.entry(hasher.finish()).or_default();
        let same = |value: &&ValueId| {
            let node = &self.nodes[value.index()];
            node.op == op && node.inputs == inputs && node.round == self.round
        };
        if let Some(&known) = alike.iter().find(same) {
            return Ok(known);
        }
        let value = ValueId(self.nodes.len() as u32);
        alike.push(value);
        let (inputs, layer) = (inputs.to_vec(), self.layer.clone());
        self.nodes.push(Node { op, inputs, ty, layer, round: self.round });
        Ok(value)
    }

    /// Rejects values of another graph, as far as they can be told: those beyond this one's.
    fn check_known(&self, op: &'static str, inputs: &[ValueId]) -> Result<(), GraphError> {
        match inputs.iter().find(|value| value.index() >= self.nodes.len()) {
            None => Ok(()),
            Some(value) => {
                let (number, count) = (value.0, self.nodes.len());
                let reason =
                    format!("this graph has {count} values, and none numbered {number}; it is another's");
                Err(self.error(op, &[], reason))
            }
        }
    }

    /// An error in the current layer.
    pub(crate) fn error(&self, op: &'static str, inputs: &[ValueId], reason: String) -> GraphError {
        let operands: Vec<String> = inputs.iter().map(|&i| self.ty(i).to_string()).collect();
        let layer = if self.layer.is_empty() { String::new() } else { format!("{}: ", self.layer) };
        GraphError { layer, op, operands: operands.join(", "), reason }
    }

    /// The node that defines `value`.
    pub fn node(&self, value: ValueId) -> &Node {
        &self.nodes[value.index()]
    }

    /// Type of `value`; that of a scalar for a value of another graph, which every operator rejects.
    pub fn ty(&self, value: ValueId) -> &TensorType {
        static UNKNOWN: TensorType = TensorType { shape: Shape::new(), dtype: DType::F32 };
        self.nodes.get(value.index()).map_or(&UNKNOWN, |node| &node.ty)
    }

    /// Shape of `value`.
    pub fn shape(&self, value: ValueId) -> &Shape {
        &self.ty(value).shape
    }

    /// A value bound from outside.
    ///
    /// # Errors
    /// If the shape has no elements or too many.
    pub fn source(&mut self, source: Source, shape: &[usize], dtype: DType) -> Result<ValueId, GraphError> {
        self.push(Op::Source(ops::SourceOp { source, ty: TensorType { shape: shape.to_vec(), dtype } }), &[])
    }
}

/// Rejects tensors that are empty or have more elements than a 32-bit index can count.
fn check_size(ty: &TensorType) -> Result<(), String> {
    if ty.shape.contains(&0) {
        return Err(format!("{ty} would have no elements; every extent must be at least 1"));
    }
    let count = ty.shape.iter().try_fold(1usize, |n, &extent| n.checked_mul(extent));
    match count {
        Some(count) if count <= MAX_ELEMENTS => Ok(()),
        _ => Err(format!("{ty} would have more than {MAX_ELEMENTS} elements, the most one tensor can have")),
    }
}

/// The samples of every operator, and of compositions by builder methods.
///
/// # Errors
/// If a sample is ill-typed, which is a bug in the sample.
pub fn all_samples() -> Result<Vec<Sample>, GraphError> {
    let mut all = samples::Collection(ops::samples()?.into_iter().flat_map(|of| of.samples).collect());
    all.add_composed()?;
    Ok(all.0)
}
