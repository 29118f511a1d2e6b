//! The graph: mathematics in SSA form.
//!
//! A [`Graph`] is a list of nodes; a node is an operator, its inputs (earlier nodes) and its static type.
//! Nothing here runs: the graph is differentiated (`autodiff`), evaluated node by node by the reference
//! (`reference`), or compiled into a plan (`crate::plan`).

pub mod autodiff;
pub mod build;
pub mod ops;
pub mod reference;

use crate::tensor::{DType, Shape, TensorType};
pub use ops::{Op, OpDef};

/// A value of a graph: the number of the node that defines it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ValueId(pub u32);

impl ValueId {
    /// Position in [`Graph::nodes`].
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A value bound from outside the graph, which lives in a buffer of its own kind.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// One batch of a data column, by name (`x`, `y`, `category.weather`).
    Batch(String),
    /// A trained tensor, by its `state_dict` name (`0.weight`).
    Parameter(String),
    /// A tensor that training updates without a gradient (`1.running_mean`).
    State(String),
}

/// One operation and the type of its result.
#[derive(Clone, Debug)]
pub struct Node {
    /// What is computed.
    pub op: Op,
    /// Operands, all earlier in the list.
    pub inputs: Vec<ValueId>,
    /// Type of the result.
    pub ty: TensorType,
    /// The layer that made this node (`layer 2 (dense)`), for messages.
    pub layer: String,
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
    /// What is wrong and what was expected.
    pub reason: String,
}

/// A directed acyclic graph of tensor operations with static shapes.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    /// Nodes in an order in which they can be computed.
    pub nodes: Vec<Node>,
    layer: String,
}

impl Graph {
    /// An empty graph.
    pub fn new() -> Self {
        Self::default()
    }

    /// Names the layer to which the nodes appended from now on belong (shown in errors and plans).
    pub fn set_layer(&mut self, layer: impl Into<String>) {
        self.layer = layer.into();
    }

    /// Appends a node after checking its shapes. Equal nodes are shared (common subexpressions).
    ///
    /// # Errors
    /// If the operator does not accept these operand types.
    pub fn push(&mut self, op: Op, inputs: &[ValueId]) -> Result<ValueId, GraphError> {
        let types: Vec<&TensorType> = inputs.iter().map(|&i| self.ty(i)).collect();
        let ty = op.def().infer(&types).map_err(|reason| GraphError {
            layer: if self.layer.is_empty() { String::new() } else { format!("{}: ", self.layer) },
            op: op.def().name(),
            operands: types.iter().map(|t| t.to_string()).collect::<Vec<_>>().join(", "),
            reason,
        })?;
        let same = |n: &Node| n.op == op && n.inputs == inputs;
        if let Some(at) = self.nodes.iter().position(same) {
            return Ok(ValueId(at as u32));
        }
        self.nodes.push(Node { op, inputs: inputs.to_vec(), ty, layer: self.layer.clone() });
        Ok(ValueId((self.nodes.len() - 1) as u32))
    }

    /// The node that defines `value`.
    pub fn node(&self, value: ValueId) -> &Node {
        &self.nodes[value.index()]
    }

    /// Type of `value`.
    pub fn ty(&self, value: ValueId) -> &TensorType {
        &self.nodes[value.index()].ty
    }

    /// Shape of `value`.
    pub fn shape(&self, value: ValueId) -> &Shape {
        &self.ty(value).shape
    }

    /// A value bound from outside.
    ///
    /// # Errors
    /// None today; the result type is that of every builder method.
    pub fn source(&mut self, source: Source, shape: &[usize], dtype: DType) -> Result<ValueId, GraphError> {
        self.push(Op::Source(ops::SourceOp { source, ty: TensorType { shape: shape.to_vec(), dtype } }), &[])
    }
}
