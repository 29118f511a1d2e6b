//! Builder methods: one per operator, broadcasting by NumPy's rules.

use super::ops::{self, Op};
use super::{Built, Graph, ValueId};
use crate::base::rng::RandomKind;
use crate::base::step::StepScalar;
use crate::base::tensor::{DType, Shape, TensorType};
use crate::scalar::ReduceKind;
use crate::scalar::{BinaryFn, UnaryFn};

impl Graph {
    /// A scalar constant.
    pub fn scalar(&mut self, value: f64) -> Built {
        self.push(Op::Constant(ops::Constant::scalar(value as f32)), &[])
    }

    /// A constant `f32` tensor; `data` must have as many elements as `shape`.
    pub fn constant(&mut self, shape: &[usize], data: &[f32]) -> Built {
        let bits = data.iter().map(|x| x.to_bits()).collect();
        self.push(Op::Constant(ops::Constant { data: bits, ty: TensorType::f32(shape) }), &[])
    }

    /// Labels `u32[B]` as rows `[B, count]` that are 1 at the label and 0 elsewhere.
    pub fn one_hot(&mut self, labels: ValueId, count: usize) -> Built {
        let ones: Vec<f32> = (0..count * count).map(|i| f32::from(u8::from(i % (count + 1) == 0))).collect();
        let table = self.constant(&[count, count], &ones)?;
        self.gather(table, labels)
    }

    /// A scalar of the step.
    pub fn step_scalar(&mut self, scalar: StepScalar) -> Built {
        self.push(Op::StepScalar(ops::StepScalarOp { scalar }), &[])
    }

    /// A random tensor; the same stream and step always give the same elements.
    pub fn random(&mut self, kind: RandomKind, stream: u32, shape: &[usize]) -> Built {
        self.push(Op::Random(ops::Random { kind, stream, shape: shape.to_vec() }), &[])
    }

    /// An elementwise function. Constants are folded.
    pub fn unary(&mut self, f: UnaryFn, x: ValueId) -> Built {
        if let Some(value) = self.constant_of(x) {
            let shape = self.shape(x).clone();
            let folded = self.scalar(f.eval(value))?;
            return self.broadcast(folded, &shape);
        }
        self.push(Op::Unary(ops::Unary(f)), &[x])
    }

    /// `-x`
    pub fn neg(&mut self, x: ValueId) -> Built {
        self.unary(UnaryFn::Neg, x)
    }

    /// `e^x`
    pub fn exp(&mut self, x: ValueId) -> Built {
        self.unary(UnaryFn::Exp, x)
    }

    /// A function of two tensors, broadcast to a common shape. Constants are folded.
    pub fn binary(&mut self, f: BinaryFn, a: ValueId, b: ValueId) -> Built {
        let operands = self.broadcast_together(&[a, b]);
        let (left, right) = (self.constant_of(a), self.constant_of(b));
        let same_shape = self.shape(operands[0]) == self.shape(operands[1]);
        match (f, left, right) {
            (_, Some(x), Some(y)) if same_shape => {
                let shape = self.shape(operands[0]).clone();
                let folded = self.scalar(f.eval(x, y))?;
                self.broadcast(folded, &shape)
            }
            (BinaryFn::Mul, Some(1.0), _) if same_shape => Ok(operands[1]),
            (BinaryFn::Mul | BinaryFn::Div, _, Some(1.0)) if same_shape => Ok(operands[0]),
            _ => self.push(Op::Binary(ops::Binary(f)), &operands),
        }
    }

    /// The value of every element of `x`, if `x` is a constant scalar or a view of one.
    fn constant_of(&self, x: ValueId) -> Option<f64> {
        let node = self.nodes.get(x.index())?;
        match &node.op {
            Op::Constant(c) if c.data.len() == 1 && c.ty.dtype == DType::F32 => {
                Some(f64::from(f32::from_bits(c.data[0])))
            }
            Op::Reshape(_) | Op::Broadcast(_) | Op::Permute(_) | Op::Slice(_) => {
                self.constant_of(node.inputs[0])
            }
            _ => None,
        }
    }

    /// `a + b`
    pub fn add(&mut self, a: ValueId, b: ValueId) -> Built {
        self.binary(BinaryFn::Add, a, b)
    }

    /// `a - b`
    pub fn sub(&mut self, a: ValueId, b: ValueId) -> Built {
        self.binary(BinaryFn::Sub, a, b)
    }

    /// `a * b`
    pub fn mul(&mut self, a: ValueId, b: ValueId) -> Built {
        self.binary(BinaryFn::Mul, a, b)
    }

    /// `a / b`
    pub fn div(&mut self, a: ValueId, b: ValueId) -> Built {
        self.binary(BinaryFn::Div, a, b)
    }

    /// Elementwise minimum.
    pub fn minimum(&mut self, a: ValueId, b: ValueId) -> Built {
        self.binary(BinaryFn::Min, a, b)
    }

    /// Elementwise maximum.
    pub fn maximum(&mut self, a: ValueId, b: ValueId) -> Built {
        self.binary(BinaryFn::Max, a, b)
    }

    /// 1 where `a < b`, else 0.
    pub fn less(&mut self, a: ValueId, b: ValueId) -> Built {
        self.binary(BinaryFn::Less, a, b)
    }

    /// 1 where `a <= b`, else 0.
    pub fn less_equal(&mut self, a: ValueId, b: ValueId) -> Built {
        self.binary(BinaryFn::LessEqual, a, b)
    }

    /// 1 where `a == b`, else 0.
    pub fn equal(&mut self, a: ValueId, b: ValueId) -> Built {
        self.binary(BinaryFn::Equal, a, b)
    }

    /// `x + value`
    pub fn add_scalar(&mut self, x: ValueId, value: f64) -> Built {
        let value = self.scalar(value)?;
        self.add(x, value)
    }

    /// `x * value`
    pub fn mul_scalar(&mut self, x: ValueId, value: f64) -> Built {
        if value == 1.0 {
            return Ok(x);
        }
        let value = self.scalar(value)?;
        self.mul(x, value)
    }

    /// `value - x`
    pub fn rsub_scalar(&mut self, value: f64, x: ValueId) -> Built {
        let value = self.scalar(value)?;
        self.sub(value, x)
    }

    /// `a` where `condition` is not 0, else `b`, broadcast to a common shape.
    pub fn select(&mut self, condition: ValueId, a: ValueId, b: ValueId) -> Built {
        let operands = self.broadcast_together(&[condition, a, b]);
        self.push(Op::Select(ops::Select), &operands)
    }

    /// The same elements in another shape.
    pub fn reshape(&mut self, x: ValueId, shape: &[usize]) -> Built {
        if self.shape(x) == shape {
            return Ok(x);
        }
        self.push(Op::Reshape(ops::Reshape { shape: shape.to_vec() }), &[x])
    }

    /// Permutes axes: result axis `i` is axis `permutation[i]` of `x`.
    pub fn permute(&mut self, x: ValueId, permutation: &[usize]) -> Built {
        if permutation.iter().enumerate().all(|(to, &from)| to == from)
            && permutation.len() == self.shape(x).len()
        {
            return Ok(x);
        }
        self.push(Op::Permute(ops::Permute { permutation: permutation.to_vec() }), &[x])
    }

    /// Repeats extents of 1 and adds leading axes.
    pub fn broadcast(&mut self, x: ValueId, shape: &[usize]) -> Built {
        if self.shape(x) == shape {
            return Ok(x);
        }
        self.push(Op::Broadcast(ops::Broadcast { shape: shape.to_vec() }), &[x])
    }

    /// `extents` indices from `starts` on each axis.
    pub fn slice(&mut self, x: ValueId, starts: &[usize], extents: &[usize]) -> Built {
        if self.shape(x) == extents {
            return Ok(x);
        }
        self.push(Op::Slice(ops::Slice { starts: starts.to_vec(), extents: extents.to_vec() }), &[x])
    }

    /// Pads with zeros before and after, per axis.
    pub fn pad(&mut self, x: ValueId, before: &[usize], after: &[usize]) -> Built {
        if before.iter().chain(after).all(|&n| n == 0) {
            return Ok(x);
        }
        self.push(Op::Pad(ops::Pad { before: before.to_vec(), after: after.to_vec() }), &[x])
    }

    /// Concatenates the operands along `axis`. More than four are joined in steps, so that no kernel binds
    /// too many buffers.
    pub fn concat(&mut self, parts: &[ValueId], axis: usize) -> Built {
        match parts {
            [only] => Ok(*only),
            _ if parts.len() <= 4 => self.push(Op::Concat(ops::Concat { axis }), parts),
            _ => {
                let joined: Result<Vec<_>, _> = parts.chunks(4).map(|part| self.concat(part, axis)).collect();
                self.concat(&joined?, axis)
            }
        }
    }

    /// Sum over `axes` (ascending); if `keep`, they remain with extent 1.
    pub fn sum(&mut self, x: ValueId, axes: &[usize], keep: bool) -> Built {
        self.reduce(ReduceKind::Sum, x, axes, keep)
    }

    /// Maximum over `axes` (ascending); if `keep`, they remain with extent 1.
    pub fn max(&mut self, x: ValueId, axes: &[usize], keep: bool) -> Built {
        self.reduce(ReduceKind::Max, x, axes, keep)
    }

    /// Mean over `axes` (ascending); if `keep`, they remain with extent 1.
    pub fn mean(&mut self, x: ValueId, axes: &[usize], keep: bool) -> Built {
        let count: usize = axes.iter().filter_map(|&a| self.shape(x).get(a)).product();
        let sum = self.sum(x, axes, keep)?;
        self.mul_scalar(sum, 1.0 / count.max(1) as f64)
    }

    fn reduce(&mut self, kind: ReduceKind, x: ValueId, axes: &[usize], keep: bool) -> Built {
        if axes.is_empty() {
            return Ok(x);
        }
        let result = self.push(Op::Reduce(ops::Reduce { kind, axes: axes.to_vec() }), &[x])?;
        if keep {
            return Ok(result);
        }
        let shape = self.shape(x).clone();
        let kept: Shape = (0..shape.len()).filter(|d| !axes.contains(d)).map(|d| shape[d]).collect();
        self.reshape(result, &kept)
    }

    /// Matrix product over the last two axes; leading axes broadcast. With a right operand of rank 2, the
    /// left operand's leading axes are merged into one tall matrix.
    pub fn matmul(&mut self, a: ValueId, b: ValueId) -> Built {
        self.matmul_with(a, b, false, false)
    }

    /// Matrix product, optionally with the last two axes of either operand swapped.
    pub fn matmul_with(&mut self, a: ValueId, b: ValueId, transpose_a: bool, transpose_b: bool) -> Built {
        let (mut a, mut b) = (a, b);
        let (shape_a, shape_b) = (self.shape(a).clone(), self.shape(b).clone());
        if shape_a.len() > 2 && shape_b.len() == 2 && !transpose_a {
            let columns = shape_a[shape_a.len() - 1];
            let rows = shape_a[..shape_a.len() - 1].iter().product();
            let flat = self.reshape(a, &[rows, columns])?;
            let product = self.matmul_with(flat, b, false, transpose_b)?;
            let mut shape = shape_a;
            let last = shape.len() - 1;
            shape[last] = self.shape(product)[1];
            return self.reshape(product, &shape);
        }
        if shape_a.len() >= 2 && shape_b.len() >= 2 {
            let (lead_a, matrix_a) = shape_a.split_at(shape_a.len() - 2);
            let (lead_b, matrix_b) = shape_b.split_at(shape_b.len() - 2);
            if let Some(lead) = common_shape(&[lead_a, lead_b]) {
                a = self.broadcast(a, &[&lead, matrix_a].concat())?;
                b = self.broadcast(b, &[&lead, matrix_b].concat())?;
            }
        }
        self.push(Op::MatMul(ops::MatMul { transpose_a, transpose_b }), &[a, b])
    }

    /// Gathers rows of `table` `[V, D]` by `indices` `u32[..]`.
    pub fn gather(&mut self, table: ValueId, indices: ValueId) -> Built {
        self.push(Op::Gather(ops::Gather), &[table, indices])
    }

    /// Loss of each row: logits `[N, C]`, labels `u32[N]`, class weights `[C]`.
    pub fn cross_entropy(
        &mut self,
        logits: ValueId,
        labels: ValueId,
        weights: ValueId,
        smoothing: f32,
    ) -> Built {
        let op = ops::CrossEntropy { smoothing: smoothing.to_bits() };
        self.push(Op::CrossEntropy(op), &[logits, labels, weights])
    }

    /// The operands broadcast to their common shape, or unchanged if there is none (the operator then reports
    /// it).
    fn broadcast_together(&mut self, operands: &[ValueId]) -> Vec<ValueId> {
        let shapes: Vec<Shape> = operands.iter().map(|&x| self.shape(x).clone()).collect();
        let slices: Vec<&[usize]> = shapes.iter().map(Vec::as_slice).collect();
        let Some(common) = common_shape(&slices) else { return operands.to_vec() };
        operands.iter().map(|&x| self.broadcast(x, &common).unwrap_or(x)).collect()
    }
}

/// The shape that all of `shapes` broadcast to, if there is one.
pub fn common_shape(shapes: &[&[usize]]) -> Option<Shape> {
    let rank = shapes.iter().map(|s| s.len()).max()?;
    let mut common = vec![1; rank];
    for shape in shapes {
        let added = rank - shape.len();
        for (d, &extent) in shape.iter().enumerate() {
            let known = &mut common[d + added];
            if *known == 1 {
                *known = extent;
            } else if extent != 1 && extent != *known {
                return None;
            }
        }
    }
    Some(common)
}
