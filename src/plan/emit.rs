//! From a group of nodes to scalar bodies: loads through views, arithmetic, and their operands.

use std::collections::BTreeMap;

use super::access::{Access, image_view, matrix_view};
use super::groups::{Anchor, Fusion};
use super::view;
use crate::base::rng::RandomKind;
use crate::base::tensor::{Shape, elements};
use crate::graph::ValueId;
use crate::graph::ops::Lowering;
use crate::kernels::matmul::{Left, MatrixView, Windows};
use crate::scalar::ReduceKind;
use crate::scalar::{BinaryFn, Body, Inst, Reg, View};

/// The bodies of a group, without stores.
pub(super) struct Emitted {
    /// Stored values to read, in the order of the dispatch's read operands.
    pub reads: Vec<ValueId>,
    /// Iteration shape of `body` (for a reduction: the kept extents).
    pub shape: Shape,
    /// The elementwise body or epilogue.
    pub body: Body,
    /// Register of each root in `body`, and of the anchor itself.
    pub registers: BTreeMap<ValueId, Reg>,
    /// The reduction's prologue: the body over `kept ++ reduced`, the combined register, the kind, the
    /// reduced extents.
    pub prologue: Option<Prologue>,
}

/// The first half of a reduction.
#[derive(Clone)]
pub(super) struct Prologue {
    pub body: Body,
    pub value: Reg,
    pub kind: ReduceKind,
    pub kept: Shape,
    pub reduced: Shape,
}

impl Emitted {
    /// Whether normal random numbers are drawn (their table takes a binding).
    pub fn draws_normal(&self) -> bool {
        let normal = |i: &Inst| matches!(i, Inst::Random { kind: RandomKind::Normal, .. });
        self.body.insts.iter().any(normal)
            || self.prologue.as_ref().is_some_and(|p| p.body.insts.iter().any(normal))
    }
}

/// A matrix product's geometry.
pub(super) struct Product {
    pub a_base: ValueId,
    pub b_base: ValueId,
    pub batch: usize,
    pub m: usize,
    pub n: usize,
    pub k: usize,
    pub a: Left,
    pub b: MatrixView,
}

/// Geometry of the matrix product that computes `value`.
pub(super) fn matrix_product(fusion: &Fusion, value: ValueId) -> Option<Product> {
    let [(a, a_shape), (b, b_shape)] = fusion.operands(value) else { return None };
    let (transpose_a, transpose_b) = match *fusion.nodes.lowering(value) {
        Lowering::MatMul { transpose_a, transpose_b } => (transpose_a, transpose_b),
        Lowering::Conv { windows, groups, outputs } => {
            let (offset, strides) = image_view(&a.view)?;
            let windows = Windows { offset, strides, batch: windows.channels * strides[3], ..windows };
            let ([m, k], n) = (windows.shape(), outputs / groups);
            let b_view = MatrixView { offset: 0, batch: n, row: outputs, col: 1 };
            let a_view = Left::Windows(windows);
            let (a_base, b_base) = (a.base, b.base);
            return Some(Product { a_base, b_base, batch: groups, m, n, k, a: a_view, b: b_view });
        }
        _ => return None,
    };
    let swap =
        |v: MatrixView, swapped: bool| if swapped { MatrixView { row: v.col, col: v.row, ..v } } else { v };
    let rank = a_shape.len();
    let (rows, columns) = (a_shape[rank - 2], a_shape[rank - 1]);
    let (m, k) = if transpose_a { (columns, rows) } else { (rows, columns) };
    let rank = b_shape.len();
    let n = if transpose_b { b_shape[rank - 2] } else { b_shape[rank - 1] };
    Some(Product {
        a_base: a.base,
        b_base: b.base,
        batch: a_shape[..a_shape.len() - 2].iter().product(),
        m,
        n,
        k,
        a: Left::Matrix(swap(matrix_view(&a.view, a_shape)?, transpose_a)),
        b: swap(matrix_view(&b.view, b_shape)?, transpose_b),
    })
}

/// Emits group number `group`.
pub(super) fn emit(fusion: &Fusion, group: usize) -> Option<Emitted> {
    let anchor = fusion.groups[group].anchor.clone();
    let mut reads = vec![];
    let (mut shape, mut accumulator, mut prologue) = (None, None, None);
    match anchor {
        Anchor::None => {}
        Anchor::MatMul { value, .. } => {
            let product = matrix_product(fusion, value)?;
            reads = vec![product.a_base, product.b_base];
            shape = Some(vec![product.batch, product.m, product.n]);
            accumulator = Some(value);
        }
        Anchor::Reduce(value) => {
            let first = emit_prologue(fusion, group, value, &mut reads)?;
            shape = Some(first.kept.clone());
            accumulator = Some(value);
            prologue = Some(first);
        }
        Anchor::Kernel(outputs) => {
            reads = fusion.operands(outputs[0].0).iter().map(|(a, _)| a.base).collect();
        }
    }
    let roots = &fusion.groups[group].roots;
    let shape = match (shape, roots.first()) {
        (Some(shape), _) => shape,
        // A scalar is one element along one axis: a guard that never holds needs an axis.
        (None, Some(&root)) if fusion.nodes.graph.shape(root).is_empty() => vec![1],
        (None, Some(&root)) => fusion.nodes.graph.shape(root).clone(),
        (None, None) => vec![],
    };
    let mut emitter = Emitter {
        fusion,
        group,
        accumulator,
        shape,
        reads,
        body: Body::default(),
        registers: BTreeMap::new(),
    };
    if let Some(value) = accumulator {
        emitter.value(value)?;
    }
    for &root in roots {
        emitter.value(root)?;
    }
    let Emitter { shape, reads, body, registers, .. } = emitter;
    Some(Emitted { reads, shape, body, registers, prologue })
}

fn emit_prologue(
    fusion: &Fusion,
    group: usize,
    value: ValueId,
    reads: &mut Vec<ValueId>,
) -> Option<Prologue> {
    let Lowering::Reduce { kind, axes } = fusion.nodes.lowering(value) else { return None };
    let (access, shape) = &fusion.operands(value)[0];
    let mut emitter = Emitter {
        fusion,
        group,
        accumulator: None,
        shape: shape.clone(),
        reads: std::mem::take(reads),
        body: Body::default(),
        registers: BTreeMap::new(),
    };
    let register = emitter.operand(access, shape)?;
    *reads = emitter.reads;
    let mut body = emitter.body;
    let kept: Vec<usize> = (0..shape.len()).filter(|d| !axes.contains(d)).collect();
    let order: Vec<usize> = kept.iter().chain(axes).copied().collect();
    for inst in &mut body.insts {
        if let Inst::Load { view, .. } = inst {
            view.strides = order.iter().map(|&d| view.strides[d]).collect();
            for guard in &mut view.guards {
                guard.0 = order.iter().position(|&d| d == guard.0)?;
            }
        }
    }
    Some(Prologue {
        body,
        value: register,
        kind: *kind,
        kept: kept.iter().map(|&d| shape[d]).collect(),
        reduced: axes.iter().map(|&d| shape[d]).collect(),
    })
}

struct Emitter<'a, 'n, 'g> {
    fusion: &'a Fusion<'n, 'g>,
    group: usize,
    accumulator: Option<ValueId>,
    shape: Shape,
    reads: Vec<ValueId>,
    body: Body,
    registers: BTreeMap<ValueId, Reg>,
}

impl Emitter<'_, '_, '_> {
    /// The register that holds `value` at the current index.
    fn value(&mut self, value: ValueId) -> Option<Reg> {
        if let Some(&register) = self.registers.get(&value) {
            return Some(register);
        }
        if elements(self.fusion.nodes.graph.shape(value)) != elements(&self.shape) {
            return None;
        }
        let register = if self.accumulator == Some(value) {
            self.body.push(Inst::Accumulator)
        } else if self.fusion.nodes.copies.contains(&value) {
            let fusion = self.fusion;
            let (access, shape) = &fusion.operands(value)[0];
            self.operand(access, shape)?
        } else {
            match self.fusion.nodes.lowering(value) {
                Lowering::Scalar(make) => {
                    let fusion = self.fusion;
                    let operands = fusion.operands(value);
                    let registers: Option<Vec<Reg>> =
                        operands.iter().map(|(a, s)| self.operand(a, s)).collect();
                    self.body.push(make(&registers?))
                }
                Lowering::Concat { axis } => self.concat(value, *axis)?,
                _ => return None,
            }
        };
        self.registers.insert(value, register);
        Some(register)
    }

    fn concat(&mut self, value: ValueId, axis: usize) -> Option<Reg> {
        let to = self.fusion.nodes.graph.shape(value).clone();
        let mut before = vec![0; to.len()];
        let mut total: Option<Reg> = None;
        let fusion = self.fusion;
        for (access, shape) in fusion.operands(value) {
            // Outside its own part, every operand reads as 0, so the sum is the concatenation.
            let part = Access { base: access.base, view: view::pad(&access.view, shape, &to, &before) };
            let register = self.load(&part, &to)?;
            total = Some(match total {
                None => register,
                Some(sum) => self.body.push(Inst::Binary(BinaryFn::Add, sum, register)),
            });
            before[axis] += shape[axis];
        }
        total
    }

    /// The register of an operand accessed over `shape`.
    fn operand(&mut self, access: &Access, shape: &[usize]) -> Option<Reg> {
        if self.fusion.is_uniform(access) {
            let inst = self.fusion.nodes.uniform_inst(access.base)?;
            return Some(self.body.push(inst));
        }
        let here = self.fusion.group_of(access.base) == Some(self.group)
            && (self.accumulator == Some(access.base)
                || self.fusion.groups[self.group].roots.contains(&access.base));
        let inlined = self.fusion.inlined[access.base.index()] && self.fusion.is_elementwise(access, shape);
        if inlined || (here && self.fusion.is_in_order(access, shape)) {
            return self.value(access.base);
        }
        self.load(access, shape)
    }

    fn load(&mut self, access: &Access, shape: &[usize]) -> Option<Reg> {
        if self.fusion.inlined[access.base.index()] {
            return None;
        }
        let view: View = view::reshape(&access.view, shape, &self.shape)?;
        let at = self.reads.iter().position(|&r| r == access.base);
        let operand = at.unwrap_or_else(|| {
            self.reads.push(access.base);
            self.reads.len() - 1
        });
        Some(self.body.push(Inst::Load { operand, view }))
    }
}
