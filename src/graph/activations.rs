//! Builder methods for functions composed of other operators: their gradients come from the parts, and fusion
//! makes one kernel of them.

use super::build::Built;
use super::ops::{self, Op};
use super::{Graph, ValueId};
use crate::scalar::UnaryFn;

impl Graph {
    /// `x` where positive, else `slope * x`.
    pub fn leaky_relu(&mut self, x: ValueId, slope: f64) -> Built {
        let zero = self.scalar(0.0)?;
        let positive = self.less(zero, x)?;
        let scaled = self.mul_scalar(x, slope)?;
        self.select(positive, x, scaled)
    }

    /// `x` where positive, else `alpha * (e^x - 1)` (Clevert et al. 2015, arXiv:1511.07289).
    pub fn elu(&mut self, x: ValueId, alpha: f64) -> Built {
        let zero = self.scalar(0.0)?;
        let positive = self.less(zero, x)?;
        // The exponential sees no positive argument, so the branch not taken cannot overflow.
        let below = self.minimum(x, zero)?;
        let e = self.unary(UnaryFn::ExpM1, below)?;
        let scaled = self.mul_scalar(e, alpha)?;
        self.select(positive, x, scaled)
    }

    /// `min(max(x / 6 + 1/2, 0), 1)`, as PyTorch's `hardsigmoid`.
    pub fn hard_sigmoid(&mut self, x: ValueId) -> Built {
        let scaled = self.mul_scalar(x, 1.0 / 6.0)?;
        let shifted = self.add_scalar(scaled, 0.5)?;
        let (zero, one) = (self.scalar(0.0)?, self.scalar(1.0)?);
        let above = self.maximum(shifted, zero)?;
        self.minimum(above, one)
    }

    /// `x * hard_sigmoid(x)` (Howard et al. 2019, arXiv:1905.02244).
    pub fn hard_swish(&mut self, x: ValueId) -> Built {
        let gate = self.hard_sigmoid(x)?;
        self.mul(x, gate)
    }

    /// `s (1 - s)`: the slope of the sigmoid, from its value.
    pub fn sigmoid_slope(&mut self, s: ValueId) -> Built {
        let rest = self.rsub_scalar(1.0, s)?;
        self.mul(s, rest)
    }

    /// `e^(-x^2 / 2) / sqrt(2 pi)`
    pub fn normal_density(&mut self, x: ValueId) -> Built {
        let square = self.unary(UnaryFn::Square, x)?;
        let half = self.mul_scalar(square, -0.5)?;
        let e = self.exp(half)?;
        self.mul_scalar(e, 0.398_942_280_401_432_7)
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
