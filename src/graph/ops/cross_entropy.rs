//! Softmax cross-entropy of integer labels and its gradient, which share one kernel.

use super::{EvalContext, Lowering, OpDef};
use crate::graph::{Graph, GraphError, ValueId};
use crate::kernels::{Kernel, cross_entropy};
use crate::tensor::{DType, Tensor, TensorType};

/// Loss of each row: logits `[N, C]`, labels `u32[N]`, class weights `[C]` -> `[N]`. The formula, with label
/// smoothing and weights as in PyTorch's `CrossEntropyLoss(reduction="none")`, is at
/// [`cross_entropy::CrossEntropy`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CrossEntropy {
    /// Label smoothing in `[0, 1)`, by bits.
    pub smoothing: u32,
}

/// `dloss/dlogits` of [`CrossEntropy`]: same operands -> `[N, C]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CrossEntropyDelta {
    /// Label smoothing in `[0, 1)`, by bits.
    pub smoothing: u32,
}

fn check(inputs: &[&TensorType]) -> Result<(usize, usize), String> {
    let [logits, labels, weights] = inputs else { return Err("expected logits, labels and weights".into()) };
    let [rows, classes] = logits.shape[..] else { return Err("expected logits of shape [N, C]".into()) };
    if logits.dtype != DType::F32 || labels.dtype != DType::U32 || labels.shape != [rows] {
        return Err(format!("expected f32 logits and labels u32[{rows}]"));
    }
    if weights.dtype != DType::F32 || weights.shape != [classes] {
        return Err(format!("expected {classes} class weights"));
    }
    Ok((rows, classes))
}

fn kernel(inputs: &[&TensorType], smoothing: u32) -> Kernel {
    let (rows, classes) = (inputs[0].shape[0], inputs[0].shape[1]);
    Kernel::CrossEntropy(cross_entropy::CrossEntropy {
        rows,
        classes,
        smoothing,
        loss: Some(0),
        delta: Some(1),
    })
}

/// Log-probabilities and smoothed, weighted targets `q` of one row.
fn row(inputs: &[&Tensor], r: usize, smoothing: u32) -> (Vec<f64>, Vec<f64>) {
    let classes = inputs[0].shape[1];
    let logits = &inputs[0].data[r * classes..(r + 1) * classes];
    let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let total: f64 = logits.iter().map(|x| (x - largest).exp()).sum();
    let log_p = logits.iter().map(|x| x - largest - total.ln()).collect();
    let s = f64::from(f32::from_bits(smoothing));
    let label = inputs[1].data[r];
    let q = |c: usize| {
        let hit = if label == c as f64 { 1.0 - s } else { 0.0 };
        let inside = if label < classes as f64 { 0.0 } else { f64::NAN };
        inputs[2].data[c] * (hit + s / classes as f64) + inside
    };
    (log_p, (0..classes).map(q).collect())
}

impl OpDef for CrossEntropy {
    fn name(&self) -> &'static str {
        "cross_entropy"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        check(inputs).map(|(rows, _)| TensorType::f32([rows]))
    }

    fn vjp(
        &self,
        g: &mut Graph,
        x: &[ValueId],
        _: ValueId,
        dy: ValueId,
    ) -> Result<Vec<Option<ValueId>>, GraphError> {
        let delta =
            g.push(super::Op::CrossEntropyDelta(CrossEntropyDelta { smoothing: self.smoothing }), x)?;
        let rows = g.shape(x[0])[0];
        let dy = g.reshape(dy, &[rows, 1])?;
        Ok(vec![Some(g.mul(delta, dy)?), None, None])
    }

    fn eval(&self, inputs: &[&Tensor], ty: &TensorType, _context: &EvalContext) -> Tensor {
        let loss = |r: usize| {
            let (log_p, q) = row(inputs, r, self.smoothing);
            log_p.iter().zip(&q).map(|(l, q)| -l * q).sum()
        };
        Tensor::new(ty.shape.clone(), (0..ty.shape[0]).map(loss).collect())
    }

    fn lower(&self, inputs: &[&TensorType], _ty: &TensorType) -> Lowering {
        Lowering::Kernel { kernel: kernel(inputs, self.smoothing), output: 0 }
    }
}

impl OpDef for CrossEntropyDelta {
    fn name(&self) -> &'static str {
        "cross_entropy_delta"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        check(inputs).map(|(rows, classes)| TensorType::f32([rows, classes]))
    }

    /// `delta = p W - q` with `W = sum q` of the row, so `dlogits = W p (dy - sum(p dy))`; and `W` is the row
    /// sum of `p W` because `p` sums to 1: `p W = delta + q`.
    fn vjp(
        &self,
        g: &mut Graph,
        x: &[ValueId],
        _: ValueId,
        dy: ValueId,
    ) -> Result<Vec<Option<ValueId>>, GraphError> {
        let p = g.softmax(x[0])?;
        // The loss of logits that are all zero is W ln C, whatever the label.
        let shape = g.shape(x[0]).clone();
        let zero = g.scalar(0.0)?;
        let zeros = g.broadcast(zero, &shape)?;
        let flat = g.push(
            super::Op::CrossEntropy(CrossEntropy { smoothing: self.smoothing }),
            &[zeros, x[1], x[2]],
        )?;
        let weight = if shape[1] > 1 { g.mul_scalar(flat, 1.0 / (shape[1] as f64).ln())? } else { flat };
        let weight = g.reshape(weight, &[shape[0], 1])?;
        let weighted = g.mul(p, dy)?;
        let total = g.sum(weighted, &[1], true)?;
        let centred = g.sub(dy, total)?;
        let scaled = g.mul(p, centred)?;
        Ok(vec![Some(g.mul(scaled, weight)?), None, None])
    }

    fn eval(&self, inputs: &[&Tensor], ty: &TensorType, _context: &EvalContext) -> Tensor {
        let rows = (0..ty.shape[0]).flat_map(|r| {
            let (log_p, q) = row(inputs, r, self.smoothing);
            let total: f64 = q.iter().sum();
            log_p.into_iter().zip(q).map(move |(l, q)| l.exp() * total - q).collect::<Vec<_>>()
        });
        Tensor::new(ty.shape.clone(), rows.collect())
    }

    fn lower(&self, inputs: &[&TensorType], _ty: &TensorType) -> Lowering {
        Lowering::Kernel { kernel: kernel(inputs, self.smoothing), output: 1 }
    }
}
