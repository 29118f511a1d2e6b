//! Where the elements of each operand are: resolves views down to the values stored in memory.

use std::collections::BTreeSet;

use super::view;
use crate::graph::ops::{Lowering, ViewChange};
use crate::graph::{Graph, Op, ValueId};
use crate::scalar::{Inst, View};

/// An operand as a view of a stored (or in-place computed) value.
#[derive(Clone, Debug)]
pub(super) struct Access {
    /// A node that is not a view, or a view that is copied to its own memory.
    pub base: ValueId,
    /// The view, over the accessing value's shape.
    pub view: View,
}

/// The planner's facts about every node of a graph.
pub(super) struct Nodes<'g> {
    pub graph: &'g Graph,
    pub lowering: Vec<Lowering>,
    /// Whether any output depends on the node.
    pub needed: Vec<bool>,
    /// Views that must be copied to memory.
    pub copies: BTreeSet<ValueId>,
    access: Vec<Option<Access>>,
}

impl<'g> Nodes<'g> {
    /// Analyses every node that `outputs` depend on.
    pub fn new(graph: &'g Graph, outputs: &[ValueId]) -> Self {
        let lowering = (0..graph.nodes.len())
            .map(|i| {
                let node = &graph.nodes[i];
                let types: Vec<_> = node.inputs.iter().map(|&v| graph.ty(v)).collect();
                node.op.def().lower(&types, &node.ty)
            })
            .collect();
        let mut needed = vec![false; graph.nodes.len()];
        let mut stack = outputs.to_vec();
        while let Some(value) = stack.pop() {
            if !std::mem::replace(&mut needed[value.index()], true) {
                stack.extend(&graph.node(value).inputs);
            }
        }
        let access = vec![None; graph.nodes.len()];
        let mut nodes = Self { graph, lowering, needed, copies: BTreeSet::new(), access };
        nodes.resolve_views();
        for &output in outputs {
            if nodes.stored(output) == output && nodes.is_view(output) {
                nodes.copies.insert(output);
            }
        }
        nodes.copy_operands_that_kernels_cannot_walk();
        nodes
    }

    /// Needed nodes in order.
    pub fn iter(&self) -> impl Iterator<Item = ValueId> + '_ {
        (0..self.graph.nodes.len()).filter(|&i| self.needed[i]).map(|i| ValueId(i as u32))
    }

    /// The lowering of `value`.
    pub fn lowering(&self, value: ValueId) -> &Lowering {
        &self.lowering[value.index()]
    }

    /// Whether `value` is merely another index map (unless it is copied).
    pub fn is_view(&self, value: ValueId) -> bool {
        matches!(self.lowering(value), Lowering::View(_))
    }

    /// Whether `value` is computed elementwise: a scalar function, a concatenation or a copy.
    pub fn is_pointwise(&self, value: ValueId) -> bool {
        matches!(self.lowering(value), Lowering::Scalar(_) | Lowering::Concat { .. })
            || self.copies.contains(&value)
    }

    /// Where the elements of `value` are.
    pub fn access(&self, value: ValueId) -> Access {
        match &self.access[value.index()] {
            Some(access) if !self.copies.contains(&value) => access.clone(),
            _ => self.itself(value),
        }
    }

    /// Where the elements of a copied view come from.
    pub fn copied_from(&self, value: ValueId) -> Access {
        self.access[value.index()].clone().unwrap_or_else(|| self.itself(value))
    }

    /// The instruction for a value that is uniform and free to recompute: a scalar constant or a scalar of
    /// the step.
    pub fn uniform_inst(&self, value: ValueId) -> Option<Inst> {
        match &self.graph.node(value).op {
            Op::Constant(constant) if constant.data.len() == 1 => Some(Inst::Const(constant.data[0])),
            _ => match self.lowering(value) {
                Lowering::Scalar(make) if self.graph.node(value).inputs.is_empty() => match make(&[]) {
                    Inst::Step(scalar) => Some(Inst::Step(scalar)),
                    _ => None,
                },
                _ => None,
            },
        }
    }

    /// The value whose memory holds `output` in row-major order: its base if the view changes only the shape,
    /// else `output` itself.
    pub fn stored(&self, output: ValueId) -> ValueId {
        let access = self.access(output);
        let count = |v: ValueId| self.graph.ty(v).elements();
        let same =
            view::is_identity(&access.view, self.graph.shape(output)) && count(access.base) == count(output);
        let leaf = matches!(self.lowering(access.base), Lowering::Leaf);
        if same && !leaf { access.base } else { output }
    }

    fn itself(&self, value: ValueId) -> Access {
        Access { base: value, view: View::contiguous(self.graph.shape(value)) }
    }

    /// Resolves every view down to its base; where index maps cannot be composed, the operand is copied.
    fn resolve_views(&mut self) {
        for i in 0..self.graph.nodes.len() {
            let value = ValueId(i as u32);
            let Lowering::View(change) = &self.lowering[i] else { continue };
            let operand = self.graph.node(value).inputs[0];
            let change: ViewChange = change.clone();
            let resolve = |nodes: &Self| {
                let access = nodes.access(operand);
                let (from, to) = (nodes.graph.shape(operand), nodes.graph.shape(value));
                let view = view::compose(&change, &access.view, from, to)?;
                Some(Access { base: access.base, view })
            };
            let resolved = resolve(self).or_else(|| {
                self.copies.insert(operand);
                resolve(self)
            });
            // A contiguous operand composes with any change.
            self.access[i] = resolved;
        }
    }

    fn copy_operands_that_kernels_cannot_walk(&mut self) {
        let mut copies = BTreeSet::new();
        for value in self.iter() {
            let inputs = &self.graph.node(value).inputs;
            match self.lowering(value) {
                Lowering::Kernel { .. } => {
                    for &input in inputs {
                        if !view::is_identity(&self.access(input).view, self.graph.shape(input)) {
                            copies.insert(input);
                        }
                    }
                }
                Lowering::Conv { .. } => {
                    if image_view(&self.access(inputs[0]).view).is_none() {
                        copies.insert(inputs[0]);
                    }
                    if !view::is_identity(&self.access(inputs[1]).view, self.graph.shape(inputs[1])) {
                        copies.insert(inputs[1]);
                    }
                }
                Lowering::MatMul { .. } => {
                    for &input in inputs {
                        if matrix_view(&self.access(input).view, self.graph.shape(input)).is_none() {
                            copies.insert(input);
                        }
                    }
                }
                _ => {}
            }
        }
        self.copies.extend(copies);
    }
}

/// `view` over `[.., rows, columns]` as a matrix operand, if it has one stride per axis and no padding.
pub(super) fn matrix_view(view: &View, shape: &[usize]) -> Option<crate::kernels::matmul::MatrixView> {
    let rank = shape.len();
    let (rows, columns) = (shape[rank - 2], shape[rank - 1]);
    let batch: usize = shape[..rank - 2].iter().product();
    let flat = view::reshape(view, shape, &[batch, rows, columns])?;
    if !flat.guards.is_empty() {
        return None;
    }
    let stride = |d: usize| usize::try_from(flat.strides[d]).ok();
    Some(crate::kernels::matmul::MatrixView {
        offset: usize::try_from(flat.offset).ok()?,
        batch: stride(0)?,
        row: stride(1)?,
        col: stride(2)?,
    })
}

/// First element and strides of `view` over `[N, H, W, C]`, if it has no padding.
pub(super) fn image_view(view: &View) -> Option<(usize, [usize; 4])> {
    if !view.guards.is_empty() {
        return None;
    }
    let strides: Option<Vec<usize>> = view.strides.iter().map(|&s| usize::try_from(s).ok()).collect();
    Some((usize::try_from(view.offset).ok()?, strides?.try_into().ok()?))
}
