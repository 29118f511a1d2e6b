//! The grouping of a graph's nodes: what each dispatch computes, and what is computed only inside consumers.

use std::collections::BTreeSet;

use super::access::{Access, Nodes};
use super::view;
use crate::base::tensor::elements;
use crate::graph::{Op, Source, ValueId};

/// The node that a group is built around.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Anchor {
    /// None: an elementwise kernel.
    None,
    /// A matrix product, and the reduction of one of its operands that is computed along with it.
    MatMul { value: ValueId, sums: Option<ValueId> },
    /// A reduction.
    Reduce(ValueId),
    /// A separate kernel, with the values of its outputs.
    Kernel(Vec<(ValueId, usize)>),
}

/// Nodes that become one dispatch (or, for split reductions, a few in sequence).
#[derive(Clone, Debug)]
pub(super) struct Group {
    pub anchor: Anchor,
    /// Stored scalar functions computed here, in order.
    pub roots: Vec<ValueId>,
    /// Groups whose values this one reads.
    pub dependencies: BTreeSet<usize>,
}

impl Group {
    pub fn around(anchor: Anchor, roots: Vec<ValueId>) -> Self {
        Self { anchor, roots, dependencies: BTreeSet::new() }
    }

    /// Values computed by this group that others may read.
    pub fn values(&self) -> Vec<ValueId> {
        let mut values = match &self.anchor {
            Anchor::None => vec![],
            Anchor::MatMul { value, sums } => std::iter::once(*value).chain(*sums).collect(),
            Anchor::Reduce(value) => vec![*value],
            Anchor::Kernel(outputs) => outputs.iter().map(|o| o.0).collect(),
        };
        values.extend(&self.roots);
        values
    }
}

/// The grouping of a graph.
pub(super) struct Fusion<'n, 'g> {
    pub nodes: &'n Nodes<'g>,
    pub groups: Vec<Group>,
    /// Nodes computed only inside consumers.
    pub inlined: Vec<bool>,
    pub group_of: Vec<Option<usize>>,
    pub outputs: BTreeSet<ValueId>,
    pub max_bindings: usize,
    pub operands: Vec<Vec<Operand>>,
    pub users: Vec<Vec<ValueId>>,
}

/// An operand as an access over the operand's shape.
pub(super) type Operand = (Access, Vec<usize>);

impl Fusion<'_, '_> {
    /// The group that stores `value`, if it is computed.
    pub fn group_of(&self, value: ValueId) -> Option<usize> {
        self.group_of[value.index()]
    }

    /// The round of `value` ([`crate::graph::Node::round`]).
    pub fn round(&self, value: ValueId) -> u32 {
        self.nodes.graph.node(value).round
    }

    /// Operands of a computed node.
    pub fn operands(&self, value: ValueId) -> &[Operand] {
        &self.operands[value.index()]
    }

    /// Whether an access reads its base elementwise: in the same order and, up to extents of 1, the same
    /// shape.
    pub fn is_elementwise(&self, access: &Access, shape: &[usize]) -> bool {
        let base = self.nodes.graph.shape(access.base);
        view::is_identity(&access.view, shape) && view::squeeze(base) == view::squeeze(shape)
    }

    /// Whether an access reads all of its base in order, be it in another shape.
    pub fn is_in_order(&self, access: &Access, shape: &[usize]) -> bool {
        let base = self.nodes.graph.shape(access.base);
        view::is_identity(&access.view, shape) && elements(base) == elements(shape)
    }

    /// Whether an access needs no memory: an unpadded constant or step scalar.
    pub fn is_uniform(&self, access: &Access) -> bool {
        access.view.guards.is_empty() && self.nodes.uniform_inst(access.base).is_some()
    }

    /// Whether `group` depends on `on`, directly or indirectly.
    pub fn depends(&self, group: usize, on: usize) -> bool {
        let mut seen = BTreeSet::new();
        let mut stack = vec![group];
        while let Some(g) = stack.pop() {
            if g == on {
                return true;
            }
            if seen.insert(g) {
                stack.extend(&self.groups[g].dependencies);
            }
        }
        false
    }

    /// The source of `value`, if it is one with its own place.
    pub fn source(&self, value: ValueId) -> Option<&Source> {
        match &self.nodes.graph.node(value).op {
            Op::Source(op) => Some(&op.source),
            _ => None,
        }
    }
}
