//! Builder methods for functions composed of other operators. Their gradients follow from the parts, and
//! fusion turns each into one kernel.

use super::ops::{self, Op};
use super::{Built, Graph, ValueId};

impl Graph {
    /// `x` where positive, else `slope * x`.
    pub fn leaky_relu(&mut self, x: ValueId, slope: f64) -> Built {
        self.formula([x], |[x]| {
            let positive = x.is_positive();
            positive.select(&x, &x * slope)
        })
    }

    /// `x` where positive, else `alpha * (e^x - 1)` (Clevert et al. 2015, arXiv:1511.07289).
    pub fn elu(&mut self, x: ValueId, alpha: f64) -> Built {
        self.formula([x], |[x]| {
            let positive = x.is_positive();
            // The exponential only sees non-positive arguments, so the branch not taken cannot overflow.
            let below = x.minimum(0.0).exp_m1() * alpha;
            positive.select(x, below)
        })
    }

    /// `min(max(x / 6 + 1/2, 0), 1)`, like PyTorch's `hardsigmoid`.
    pub fn hard_sigmoid(&mut self, x: ValueId) -> Built {
        self.formula([x], |[x]| (x * (1.0 / 6.0) + 0.5).maximum(0.0).minimum(1.0))
    }

    /// `x * hard_sigmoid(x)` (Howard et al. 2019, arXiv:1905.02244).
    pub fn hard_swish(&mut self, x: ValueId) -> Built {
        let gate = self.hard_sigmoid(x)?;
        self.mul(x, gate)
    }

    /// Softmax over the last axis.
    pub fn softmax(&mut self, x: ValueId) -> Built {
        self.push(Op::Softmax(ops::Softmax { log: false }), &[x])
    }

    /// Logarithm of the softmax over the last axis.
    pub fn log_softmax(&mut self, x: ValueId) -> Built {
        self.push(Op::Softmax(ops::Softmax { log: true }), &[x])
    }

    /// Softmax over any axis.
    pub fn softmax_over(&mut self, x: ValueId, axis: usize) -> Built {
        self.softmax_with_axis_last(x, axis, false)
    }

    /// Logarithm of the softmax over any axis.
    pub fn log_softmax_over(&mut self, x: ValueId, axis: usize) -> Built {
        self.softmax_with_axis_last(x, axis, true)
    }

    fn softmax_with_axis_last(&mut self, x: ValueId, axis: usize, log: bool) -> Built {
        let op = Op::Softmax(ops::Softmax { log });
        let rank = self.shape(x).len();
        if axis >= rank {
            let name = if log { "log_softmax" } else { "softmax" };
            return Err(self.error(name, &[x], format!("there is no axis {axis}; the axes are 0..{rank}")));
        }
        // Exchanging two axes is its own inverse.
        let mut exchange: Vec<usize> = (0..rank).collect();
        exchange.swap(axis, rank - 1);
        let turned = self.permute(x, &exchange)?;
        let y = self.push(op, &[turned])?;
        self.permute(y, &exchange)
    }
}
