//! Operators that only change where elements are found: free, unless a kernel cannot walk them.

use super::{EvalContext, Lowering, OpDef, ViewChange, check_f32, operands};
use crate::base::tensor::{Shape, Tensor, TensorType, contiguous_strides, elements};
use crate::graph::samples::Collection;
use crate::graph::{Graph, GraphError, ValueId};

/// Same elements in row-major order, another shape.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reshape {
    /// The new shape.
    pub shape: Shape,
}

/// Result axis `i` is operand axis `permutation[i]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Permute {
    /// Operand axis of each result axis.
    pub permutation: Vec<usize>,
}

/// Repeats extents of 1 and adds leading axes, by NumPy's rules.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Broadcast {
    /// The new shape.
    pub shape: Shape,
}

/// A part of the operand: `extents[d]` indices from `starts[d]` on each axis.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Slice {
    /// First index per axis.
    pub starts: Vec<usize>,
    /// Extent per axis.
    pub extents: Shape,
}

/// Zero padding of the operand.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pad {
    /// Zeros before, per axis.
    pub before: Vec<usize>,
    /// Zeros after, per axis.
    pub after: Vec<usize>,
}

/// Calls `f(linear index, index)` for every index of `shape` in row-major order.
pub(super) fn for_each_index(shape: &[usize], mut f: impl FnMut(usize, &[usize])) {
    let mut index = vec![0; shape.len()];
    for linear in 0..elements(shape) {
        f(linear, &index);
        for d in (0..shape.len()).rev() {
            index[d] += 1;
            if index[d] < shape[d] {
                break;
            }
            index[d] = 0;
        }
    }
}

fn gather(x: &Tensor, shape: &[usize], from: impl Fn(&[usize]) -> Option<Vec<usize>>) -> Tensor {
    let strides = contiguous_strides(&x.shape);
    let mut out = Tensor::full(shape, 0.0);
    for_each_index(shape, |linear, index| {
        if let Some(source) = from(index) {
            let at: usize = source.iter().zip(&strides).map(|(i, s)| i * s).sum();
            out.data[linear] = x.data[at];
        }
    });
    out
}

impl OpDef for Reshape {
    fn name(&self) -> &'static str {
        "reshape"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        let [x] = operands(inputs)?;
        let count = self.shape.iter().try_fold(1usize, |n, &extent| n.checked_mul(extent));
        if count != Some(x.elements()) {
            return Err(format!("cannot reshape {} elements to {:?}", x.elements(), self.shape));
        }
        Ok(TensorType { shape: self.shape.clone(), dtype: x.dtype })
    }

    fn vjp(
        &self,
        g: &mut Graph,
        x: &[ValueId],
        _: ValueId,
        dy: ValueId,
    ) -> Result<Vec<Option<ValueId>>, GraphError> {
        let shape = g.shape(x[0]).clone();
        Ok(vec![Some(g.reshape(dy, &shape)?)])
    }

    fn eval(&self, inputs: &[&Tensor], ty: &TensorType, _context: &EvalContext) -> Tensor {
        Tensor::new(ty.shape.clone(), inputs[0].data.clone())
    }

    fn lower(&self, _inputs: &[&TensorType], _ty: &TensorType) -> Lowering {
        Lowering::View(ViewChange::Reshape)
    }

    fn samples(all: &mut Collection) -> Result<(), GraphError> {
        all.add_view("reshape", &[4, 6], |g, x| g.reshape(x, &[2, 1, 12]))?;
        all.add_view("permute reshape", &[2, 3, 4], |g, x| {
            let transposed = g.permute(x, &[0, 2, 1])?;
            g.reshape(transposed, &[8, 3])
        })?;
        Ok(())
    }
}

impl OpDef for Permute {
    fn name(&self) -> &'static str {
        "permute"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        let [x] = operands(inputs)?;
        check_f32(&[x])?;
        let rank = x.shape.len();
        let mut sorted = self.permutation.clone();
        sorted.sort_unstable();
        if sorted != (0..rank).collect::<Vec<_>>() {
            return Err(format!("{:?} is not a permutation of {rank} axes", self.permutation));
        }
        Ok(TensorType::f32(self.permutation.iter().map(|&p| x.shape[p]).collect::<Shape>()))
    }

    fn vjp(
        &self,
        g: &mut Graph,
        _: &[ValueId],
        _: ValueId,
        dy: ValueId,
    ) -> Result<Vec<Option<ValueId>>, GraphError> {
        let mut inverse = vec![0; self.permutation.len()];
        for (to, &from) in self.permutation.iter().enumerate() {
            inverse[from] = to;
        }
        Ok(vec![Some(g.permute(dy, &inverse)?)])
    }

    fn eval(&self, inputs: &[&Tensor], ty: &TensorType, _context: &EvalContext) -> Tensor {
        gather(inputs[0], &ty.shape, |index| {
            let mut source = vec![0; index.len()];
            for (to, &from) in self.permutation.iter().enumerate() {
                source[from] = index[to];
            }
            Some(source)
        })
    }

    fn lower(&self, _inputs: &[&TensorType], _ty: &TensorType) -> Lowering {
        Lowering::View(ViewChange::Permute(self.permutation.clone()))
    }

    fn samples(all: &mut Collection) -> Result<(), GraphError> {
        all.add_view("permute", &[2, 3, 5], |g, x| g.permute(x, &[2, 0, 1]))?;
        all.add_view("transpose", &[17, 63], |g, x| g.permute(x, &[1, 0]))?;
        Ok(())
    }
}

impl OpDef for Broadcast {
    fn name(&self) -> &'static str {
        "broadcast"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        let [x] = operands(inputs)?;
        check_f32(&[x])?;
        let from = &x.shape;
        let fits = from.len() <= self.shape.len()
            && from.iter().rev().zip(self.shape.iter().rev()).all(|(&f, &t)| f == t || f == 1);
        if !fits {
            return Err(format!("{from:?} does not broadcast to {:?}", self.shape));
        }
        Ok(TensorType::f32(self.shape.clone()))
    }

    fn vjp(
        &self,
        g: &mut Graph,
        x: &[ValueId],
        _: ValueId,
        dy: ValueId,
    ) -> Result<Vec<Option<ValueId>>, GraphError> {
        let from = g.shape(x[0]).clone();
        let added = self.shape.len() - from.len();
        let repeated = |d: &usize| *d < added || (from[d - added] == 1 && self.shape[*d] != 1);
        let axes: Vec<usize> = (0..self.shape.len()).filter(repeated).collect();
        let sum = g.sum(dy, &axes, true)?;
        Ok(vec![Some(g.reshape(sum, &from)?)])
    }

    fn eval(&self, inputs: &[&Tensor], ty: &TensorType, _context: &EvalContext) -> Tensor {
        let from = &inputs[0].shape;
        let added = ty.shape.len() - from.len();
        gather(inputs[0], &ty.shape, |index| {
            Some((0..from.len()).map(|d| if from[d] == 1 { 0 } else { index[d + added] }).collect())
        })
    }

    fn lower(&self, _inputs: &[&TensorType], _ty: &TensorType) -> Lowering {
        Lowering::View(ViewChange::Broadcast)
    }

    fn samples(all: &mut Collection) -> Result<(), GraphError> {
        all.add_view("broadcast", &[3, 1], |g, x| g.broadcast(x, &[2, 3, 4]))?;
        all.add_view("broadcast scalar", &[], |g, x| g.broadcast(x, &[3, 1]))?;
        Ok(())
    }
}

impl OpDef for Slice {
    fn name(&self) -> &'static str {
        "slice"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        let [x] = operands(inputs)?;
        let rank = x.shape.len();
        let end = |d: usize| self.starts[d].checked_add(self.extents[d]);
        let inside = self.starts.len() == rank
            && self.extents.len() == rank
            && (0..rank).all(|d| end(d).is_some_and(|end| end <= x.shape[d]));
        if !inside {
            return Err(format!("starts {:?} and extents {:?} do not lie inside", self.starts, self.extents));
        }
        Ok(TensorType { shape: self.extents.clone(), dtype: x.dtype })
    }

    fn vjp(
        &self,
        g: &mut Graph,
        x: &[ValueId],
        _: ValueId,
        dy: ValueId,
    ) -> Result<Vec<Option<ValueId>>, GraphError> {
        let shape = g.shape(x[0]).clone();
        let after: Vec<usize> =
            (0..shape.len()).map(|d| shape[d] - self.starts[d] - self.extents[d]).collect();
        Ok(vec![Some(g.pad(dy, &self.starts, &after)?)])
    }

    fn eval(&self, inputs: &[&Tensor], ty: &TensorType, _context: &EvalContext) -> Tensor {
        gather(inputs[0], &ty.shape, |index| {
            Some(index.iter().zip(&self.starts).map(|(i, s)| i + s).collect())
        })
    }

    fn lower(&self, _inputs: &[&TensorType], _ty: &TensorType) -> Lowering {
        Lowering::View(ViewChange::Slice(self.starts.clone()))
    }

    fn samples(all: &mut Collection) -> Result<(), GraphError> {
        all.add_view("slice", &[5, 7], |g, x| g.slice(x, &[1, 3], &[3, 2]))?;
        all.add_view("slice pad", &[7, 3], |g, x| {
            let part = g.slice(x, &[2, 0], &[3, 2])?;
            g.pad(part, &[0, 1], &[4, 0])
        })?;
        Ok(())
    }
}

impl OpDef for Pad {
    fn name(&self) -> &'static str {
        "pad"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        let [x] = operands(inputs)?;
        check_f32(&[x])?;
        let rank = x.shape.len();
        if self.before.len() != rank || self.after.len() != rank {
            return Err(format!("expected {rank} amounts before and after"));
        }
        let padded = |d: usize| x.shape[d].saturating_add(self.before[d]).saturating_add(self.after[d]);
        Ok(TensorType::f32((0..rank).map(padded).collect::<Shape>()))
    }

    fn vjp(
        &self,
        g: &mut Graph,
        x: &[ValueId],
        _: ValueId,
        dy: ValueId,
    ) -> Result<Vec<Option<ValueId>>, GraphError> {
        let shape = g.shape(x[0]).clone();
        Ok(vec![Some(g.slice(dy, &self.before, &shape)?)])
    }

    fn eval(&self, inputs: &[&Tensor], ty: &TensorType, _context: &EvalContext) -> Tensor {
        let shape = inputs[0].shape.clone();
        gather(inputs[0], &ty.shape, |index| {
            (0..shape.len()).map(|d| index[d].checked_sub(self.before[d]).filter(|&i| i < shape[d])).collect()
        })
    }

    fn lower(&self, _inputs: &[&TensorType], _ty: &TensorType) -> Lowering {
        Lowering::View(ViewChange::Pad(self.before.clone()))
    }

    fn samples(all: &mut Collection) -> Result<(), GraphError> {
        all.add_view("pad", &[3, 2], |g, x| g.pad(x, &[1, 0], &[2, 3]))?;
        all.add_view("pad reshape", &[3, 5], |g, x| {
            let padded = g.pad(x, &[1, 1], &[0, 1])?;
            g.reshape(padded, &[28])
        })?;
        all.add_view("pad slice", &[5], |g, x| {
            let padded = g.pad(x, &[2], &[1])?;
            g.slice(padded, &[1], &[6])
        })?;
        all.add_view("pad permute broadcast", &[2, 1, 3], |g, x| {
            let padded = g.pad(x, &[0, 0, 1], &[0, 0, 1])?;
            let turned = g.permute(padded, &[2, 1, 0])?;
            g.broadcast(turned, &[5, 4, 2])
        })?;
        Ok(())
    }
}
