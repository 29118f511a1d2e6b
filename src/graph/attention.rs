//! Builder method for attention.

use super::ops::{Attended, Attention, Op};
use super::{Built, Graph, ValueId};
use crate::kernels::attention::Dropout;

/// How scores become weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Attend {
    /// Bits of the factor of the scores.
    pub scale: u32,
    /// Whether query `i` sees keys up to `i` only.
    pub causal: bool,
    /// Dropout of the weights.
    pub dropout: Option<Dropout>,
}

impl Attend {
    /// Scores divided by the square root of the width of a head, as usual.
    pub fn new(width: usize, causal: bool) -> Self {
        Self { scale: (1.0 / (width as f32).sqrt()).to_bits(), causal, dropout: None }
    }

    /// With dropout of the weights at this rate; `stream` selects the random numbers.
    pub fn with_dropout(self, rate: f64, stream: u32) -> Self {
        let keep = 1.0 - rate;
        let threshold = (keep * 4_294_967_296.0).min(4_294_967_295.0) as u32;
        let factor = ((1.0 / keep) as f32).to_bits();
        Self { dropout: (rate > 0.0).then_some(Dropout { threshold, factor, stream }), ..self }
    }
}

/// Queries `[B, T, H, D]`, keys and values `[B, S, G, D]`, where `G` divides `H`.
#[derive(Clone, Copy, Debug)]
pub struct Heads {
    /// Queries.
    pub q: ValueId,
    /// Keys.
    pub k: ValueId,
    /// Values.
    pub v: ValueId,
}

impl Graph {
    /// Scaled dot-product attention, `[B, T, H, D]`. Of each sequence, queries see the first keys only if
    /// `lengths`, `u32[B]`, are given; a query that sees none gives zeros.
    pub fn attention(&mut self, Heads { q, k, v }: Heads, lengths: Option<ValueId>, attend: Attend) -> Built {
        let operands: Vec<ValueId> = [q, k, v].into_iter().chain(lengths).collect();
        self.push(Op::Attention(Attention { attend, result: Attended::Values }), &operands)
    }
}
