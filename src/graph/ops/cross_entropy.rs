//! Softmax cross-entropy of integer labels and its gradient, which share one kernel.

use super::{EvalContext, Lowering, Op, OpDef, check_f32, operands};
use crate::base::tensor::{DType, Tensor, TensorType};
use crate::graph::samples::{Collection, Draw, Inputs};
use crate::graph::{Graph, GraphError, ValueId};
use crate::kernels::{Kernel, cross_entropy};
use crate::oracle::cross_entropy::Row;

/// Loss of each row: logits `[N, C]`, labels `u32[N]`, class weights `[C]` (no gradient) -> `[N]`. The
/// formula, with label smoothing and weights as in PyTorch's `CrossEntropyLoss(reduction="none")`, is at
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
    let [logits, labels, weights] = operands(inputs)?;
    check_f32(&[logits, weights])?;
    let [rows, classes] = logits.shape[..] else { return Err("expected logits of shape [N, C]".into()) };
    if labels.dtype != DType::U32 || labels.shape != [rows] {
        return Err(format!("expected labels u32[{rows}], one for each row of the logits"));
    }
    if weights.shape != [classes] {
        return Err(format!("expected weights f32[{classes}], one for each column of the logits"));
    }
    Ok((rows, classes))
}

fn kernel(inputs: &[&TensorType], smoothing: u32) -> Kernel {
    let (rows, classes) = (inputs[0].shape[0], inputs[0].shape[1]);
    Kernel::new(cross_entropy::CrossEntropy { rows, classes, smoothing, loss: Some(0), delta: Some(1) })
}

/// The rows of the reference.
fn rows<'a>(inputs: &'a [&Tensor], smoothing: u32) -> impl Iterator<Item = Row<'a>> {
    let rows = inputs[0].data.chunks(inputs[0].shape[1].max(1)).zip(&inputs[1].data);
    let smoothing = f64::from(f32::from_bits(smoothing));
    rows.map(move |(logits, &label)| Row {
        logits,
        label: label as usize,
        weights: &inputs[2].data,
        smoothing,
    })
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
        let delta = g.push(Op::CrossEntropyDelta(CrossEntropyDelta { smoothing: self.smoothing }), x)?;
        let rows = g.shape(x[0])[0];
        let dy = g.reshape(dy, &[rows, 1])?;
        Ok(vec![Some(g.mul(delta, dy)?), None, None])
    }

    fn eval(&self, inputs: &[&Tensor], ty: &TensorType, _context: &EvalContext) -> Tensor {
        let losses = rows(inputs, self.smoothing).map(|row| row.loss()).collect();
        Tensor::new(ty.shape.clone(), losses)
    }

    fn lower(&self, inputs: &[&TensorType], _ty: &TensorType) -> Lowering {
        Lowering::Kernel { kernel: kernel(inputs, self.smoothing), output: 0 }
    }

    fn samples(all: &mut Collection) -> Result<(), GraphError> {
        for (count, classes) in [(1, 1), (3, 5), (17, 2), (65, 10)] {
            for smoothing in [0.0, 0.1] {
                all.add(format!("cross_entropy [{count}, {classes}] smoothing {smoothing}"), |g| {
                    let [logits, labels, weights] = sample_operands(g, count, classes)?;
                    g.graph.cross_entropy(logits, labels, weights, smoothing)
                })?;
            }
        }
        Ok(())
    }
}

impl OpDef for CrossEntropyDelta {
    fn name(&self) -> &'static str {
        "cross_entropy_delta"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        check(inputs).map(|(rows, classes)| TensorType::f32([rows, classes]))
    }

    /// `delta = p W - q` with `W = sum q = (1-s) w[t] + s/C sum w` of the row, so
    /// `dlogits = W p (dy - sum(p dy))`.
    fn vjp(
        &self,
        g: &mut Graph,
        x: &[ValueId],
        _: ValueId,
        dy: ValueId,
    ) -> Result<Vec<Option<ValueId>>, GraphError> {
        let p = g.softmax(x[0])?;
        let classes = g.shape(x[0])[1];
        let smoothing = f64::from(f32::from_bits(self.smoothing));
        let column = g.reshape(x[2], &[classes, 1])?;
        let of_label = g.gather(column, x[1])?;
        let of_label = g.mul_scalar(of_label, 1.0 - smoothing)?;
        let of_all = g.sum(x[2], &[0], true)?;
        let of_all = g.mul_scalar(of_all, smoothing / classes as f64)?;
        let weight = g.add(of_label, of_all)?;
        let weighted = g.mul(p, dy)?;
        let total = g.sum(weighted, &[1], true)?;
        let centred = g.sub(dy, total)?;
        let scaled = g.mul(p, centred)?;
        Ok(vec![Some(g.mul(scaled, weight)?), None, None])
    }

    fn eval(&self, inputs: &[&Tensor], ty: &TensorType, _context: &EvalContext) -> Tensor {
        let gradients = rows(inputs, self.smoothing).flat_map(|row| row.gradient()).collect();
        Tensor::new(ty.shape.clone(), gradients)
    }

    fn lower(&self, inputs: &[&TensorType], _ty: &TensorType) -> Lowering {
        Lowering::Kernel { kernel: kernel(inputs, self.smoothing), output: 1 }
    }

    fn samples(all: &mut Collection) -> Result<(), GraphError> {
        for (count, classes) in [(1, 1), (3, 5), (17, 2), (65, 10)] {
            for smoothing in [0.0f32, 0.1] {
                all.add(format!("cross_entropy_delta [{count}, {classes}] smoothing {smoothing}"), |g| {
                    let operands = sample_operands(g, count, classes)?;
                    let smoothing = smoothing.to_bits();
                    g.graph.push(Op::CrossEntropyDelta(CrossEntropyDelta { smoothing }), &operands)
                })?;
            }
        }
        Ok(())
    }
}

/// Logits, labels and weights of a sample.
fn sample_operands(g: &mut Inputs, count: usize, classes: usize) -> Result<[ValueId; 3], GraphError> {
    let logits = g.normal(&[count, classes])?;
    let labels = g.draw(&[count], Draw::Index(classes))?;
    let weights: Vec<f32> = (0..classes).map(|c| 0.5 + 0.25 * c as f32).collect();
    let weights = g.graph.constant(&[classes], &weights)?;
    Ok([logits, labels, weights])
}
