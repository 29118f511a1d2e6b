//! Builder method for normalisation: batch, layer and group normalisation differ only in their axes.

use super::ops::{Normalise, Op};
use super::{Graph, GraphError, ValueId};
use crate::scalar::UnaryFn;

/// The results of [`Graph::normalise`].
#[derive(Clone, Copy, Debug)]
pub struct Normalised {
    /// `(x - mean) / sqrt(variance + eps) * weight + bias`
    pub y: ValueId,
    /// Mean over the axes, which remain with extent 1.
    pub mean: ValueId,
    /// Biased variance over the axes, which remain with extent 1.
    pub variance: ValueId,
}

impl Graph {
    /// Normalises `x` over `axes` (ascending), then scales and shifts by `weight` and `bias`, which have
    /// `x`'s rank and extents of 1 where they broadcast.
    ///
    /// # Errors
    /// If the operands do not match.
    pub fn normalise(
        &mut self,
        x: ValueId,
        axes: &[usize],
        eps: f64,
        weight: ValueId,
        bias: ValueId,
    ) -> Result<Normalised, GraphError> {
        let mean = self.mean(x, axes, true)?;
        let centred = self.sub(x, mean)?;
        let square = self.unary(UnaryFn::Square, centred)?;
        let variance = self.mean(square, axes, true)?;
        let spread = self.add_scalar(variance, eps)?;
        let deviation = self.unary(UnaryFn::Sqrt, spread)?;
        let inverse = self.unary(UnaryFn::Reciprocal, deviation)?;
        let normal = self.mul(centred, inverse)?;
        let scaled = self.mul(normal, weight)?;
        let shifted = self.add(scaled, bias)?;
        let op = Op::Normalise(Normalise { axes: axes.to_vec() });
        let y = self.push(op, &[shifted, x, normal, inverse, weight, bias])?;
        Ok(Normalised { y, mean, variance })
    }

    /// The same with the statistics of what is `valid`, 1 there and 0 elsewhere, of which there are `count`.
    ///
    /// # Errors
    /// If the operands do not match.
    pub fn normalise_valid(
        &mut self,
        x: ValueId,
        (valid, count): (ValueId, ValueId),
        axes: &[usize],
        eps: f64,
        [weight, bias]: [ValueId; 2],
    ) -> Result<Normalised, GraphError> {
        let mean_of = |g: &mut Self, x: ValueId| {
            let kept = g.mul(x, valid)?;
            let sum = g.sum(kept, axes, true)?;
            g.div(sum, count)
        };
        let mean = mean_of(self, x)?;
        let centred = self.sub(x, mean)?;
        let square = self.unary(UnaryFn::Square, centred)?;
        let variance = mean_of(self, square)?;
        let spread = self.add_scalar(variance, eps)?;
        let deviation = self.unary(UnaryFn::Sqrt, spread)?;
        let normal = self.div(centred, deviation)?;
        let scaled = self.mul(normal, weight)?;
        let y = self.add(scaled, bias)?;
        Ok(Normalised { y, mean, variance })
    }
}
