//! What the nodes of a model give, and why one gives nothing.

use std::sync::Arc;

use super::known::{Kind, Known};
use crate::graph::{GraphError, ValueId};

/// Something that is not supported: where, and what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The node, and its operator.
    pub node: String,
    /// Its operator.
    pub op: String,
    /// What is not supported of it.
    pub reason: String,
}

/// Why a node has no result.
#[derive(Debug)]
pub enum Fail {
    /// It is not supported.
    Reason(String),
    /// Its operands do not fit.
    Shapes(String),
    /// It reads a result of one that is not.
    Follows,
}

impl From<String> for Fail {
    fn from(reason: String) -> Self {
        Self::Reason(reason)
    }
}

impl From<&str> for Fail {
    fn from(reason: &str) -> Self {
        Self::Reason(reason.into())
    }
}

impl From<GraphError> for Fail {
    fn from(error: GraphError) -> Self {
        Self::Shapes(format!("{}({}): {}", error.op, error.operands, error.reason))
    }
}

/// The outcome for a node.
pub type Outcome<T> = Result<T, Fail>;

/// A value of the graph.
#[derive(Clone, Copy, Debug)]
pub struct Held {
    /// The value; integers and truth values as numbers.
    pub id: ValueId,
    /// Whether its axes lie as `[N, ..., C]` where ONNX has `[N, C, ...]`.
    pub last: bool,
    /// What its elements are.
    pub kind: Kind,
    /// The same integers as indices.
    pub ids: Option<ValueId>,
}

impl Held {
    /// Numbers whose axes lie as in ONNX.
    pub fn new(id: ValueId) -> Self {
        Self { id, last: false, kind: Kind::Float, ids: None }
    }

    /// The same of another kind.
    pub fn of(self, kind: Kind) -> Self {
        Self { kind, ..self }
    }

    /// Numbers whose channels lie last.
    pub fn last(id: ValueId) -> Self {
        Self { last: true, ..Self::new(id) }
    }
}

/// A value.
#[derive(Clone, Debug)]
pub enum Value {
    /// Known before anything runs.
    Known(Arc<Known>),
    /// Numbers of the file.
    Stored(String),
    /// Computed.
    Graph(Held),
    /// A text of a list, by its place in it.
    Text(Held, Arc<Vec<String>>),
    /// Not supported, which is told where it comes from.
    Broken,
}

impl From<Known> for Value {
    fn from(known: Known) -> Self {
        Self::Known(Arc::new(known))
    }
}

impl From<Held> for Value {
    fn from(held: Held) -> Self {
        Self::Graph(held)
    }
}
