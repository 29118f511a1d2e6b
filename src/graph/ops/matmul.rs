//! Batched matrix product.

use super::{EvalContext, Lowering, OpDef, check_f32, operands};
use crate::base::tensor::{DType, Tensor, TensorType, elements};
use crate::graph::samples::Collection;
use crate::graph::{Graph, GraphError, ValueId};
use crate::oracle;

/// `y[.., m, n] = sum_k a[.., m, k] * b[.., k, n]`, either operand with its last two axes swapped on request.
/// Leading axes are equal (the builder broadcasts).
///
/// Gradient: `da = dy b^T`, `db = a^T dy`, with the swaps moved along so that each result has its operand's
/// layout and no transposed copy is made.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MatMul {
    /// `a` is `[.., k, m]`.
    pub transpose_a: bool,
    /// `b` is `[.., n, k]`.
    pub transpose_b: bool,
}

impl MatMul {
    fn sizes(&self, a: &[usize], b: &[usize]) -> (usize, usize, usize, usize) {
        let (i, j) = (a.len() - 2, b.len() - 2);
        let (m, k) = if self.transpose_a { (a[i + 1], a[i]) } else { (a[i], a[i + 1]) };
        let (other_k, n) = if self.transpose_b { (b[j + 1], b[j]) } else { (b[j], b[j + 1]) };
        (m, n, k, other_k)
    }
}

/// How messages say that an operand is read with its last two axes swapped.
fn side(transposed: bool) -> &'static str {
    if transposed { " (transposed)" } else { "" }
}

impl OpDef for MatMul {
    fn name(&self) -> &'static str {
        "matmul"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        let [a, b] = operands(inputs)?;
        check_f32(&[a, b])?;
        if a.shape.len() < 2 || b.shape.len() < 2 {
            return Err("expected operands with at least two axes".into());
        }
        let (lead_a, lead_b) = (&a.shape[..a.shape.len() - 2], &b.shape[..b.shape.len() - 2]);
        if lead_a != lead_b {
            return Err(format!("leading axes {lead_a:?} and {lead_b:?} do not broadcast to common ones"));
        }
        let (m, n, k, other) = self.sizes(&a.shape, &b.shape);
        if k != other {
            let (left, right) = (side(self.transpose_a), side(self.transpose_b));
            return Err(format!(
                "the left operand{left} has {k} columns, the right operand{right} has {other} rows; \
                 they must be equal"
            ));
        }
        let mut shape = lead_a.to_vec();
        shape.extend([m, n]);
        Ok(TensorType { shape, dtype: DType::F32 })
    }

    fn vjp(
        &self,
        g: &mut Graph,
        inputs: &[ValueId],
        _y: ValueId,
        dy: ValueId,
    ) -> Result<Vec<Option<ValueId>>, GraphError> {
        let (a, b) = (inputs[0], inputs[1]);
        let (ta, tb) = (self.transpose_a, self.transpose_b);
        let da = if ta { g.matmul_with(b, dy, tb, true)? } else { g.matmul_with(dy, b, false, !tb)? };
        let db = if tb { g.matmul_with(dy, a, true, ta)? } else { g.matmul_with(a, dy, !ta, false)? };
        Ok(vec![Some(da), Some(db)])
    }

    fn eval(&self, inputs: &[&Tensor], ty: &TensorType, _context: &EvalContext) -> Tensor {
        let (a, b) = (inputs[0], inputs[1]);
        let (m, n, k, _) = self.sizes(&a.shape, &b.shape);
        let batch = elements(&ty.shape[..ty.shape.len() - 2]);
        let product = |z: usize| {
            let (a, b) = (&a.data[z * m * k..], &b.data[z * k * n..]);
            let left = |i: usize, p: usize| if self.transpose_a { a[p * m + i] } else { a[i * k + p] };
            let right = |p: usize, j: usize| if self.transpose_b { b[j * k + p] } else { b[p * n + j] };
            oracle::matmul::matmul([m, n], 0..k, left, right)
        };
        Tensor::new(ty.shape.clone(), (0..batch).flat_map(product).collect())
    }

    fn lower(&self, _inputs: &[&TensorType], _ty: &TensorType) -> Lowering {
        Lowering::MatMul { transpose_a: self.transpose_a, transpose_b: self.transpose_b }
    }

    fn samples(all: &mut Collection) -> Result<(), GraphError> {
        for (m, k, n) in [(1, 1, 1), (3, 17, 5), (17, 1, 3), (1, 65, 63), (65, 3, 17)] {
            for (ta, tb) in [(false, false), (false, true), (true, false), (true, true)] {
                let a = if ta { [k, m] } else { [m, k] };
                let b = if tb { [n, k] } else { [k, n] };
                all.add(format!("matmul {a:?} {b:?} transposed {ta} {tb}"), |g| {
                    let (a, b) = (g.normal(&a)?, g.normal(&b)?);
                    g.graph.matmul_with(a, b, ta, tb)
                })?;
            }
        }
        let batched: [(&[usize], &[usize], bool, bool); 7] = [
            (&[2, 3, 5], &[2, 5, 4], false, false),
            (&[2, 5, 3], &[2, 4, 5], true, true),
            (&[2, 1, 3, 5], &[3, 5, 4], false, false),
            (&[3, 5], &[2, 5, 4], false, false),
            (&[2, 3, 5], &[5, 4], false, false),
            (&[2, 3, 5], &[4, 5], false, true),
            (&[2, 5, 3], &[5, 4], true, false),
        ];
        for (a, b, ta, tb) in batched {
            all.add(format!("matmul {a:?} {b:?} transposed {ta} {tb}"), |g| {
                let (a, b) = (g.normal(a)?, g.normal(b)?);
                g.graph.matmul_with(a, b, ta, tb)
            })?;
        }
        Ok(())
    }
}
