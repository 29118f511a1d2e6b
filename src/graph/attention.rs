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
    /// Whether scores fall with the distance of query and key ([`crate::oracle::attention::slope`]).
    pub alibi: bool,
    /// Dropout of the weights.
    pub dropout: Option<Dropout>,
    /// The heads of queries, if these are packed with keys and values.
    pub packed: Option<usize>,
}

impl Attend {
    /// Scores divided by the square root of the width of a head, as usual.
    pub fn new(width: usize, causal: bool) -> Self {
        Self {
            scale: (1.0 / (width as f32).sqrt()).to_bits(),
            causal,
            alibi: false,
            dropout: None,
            packed: None,
        }
    }

    /// With scores that fall with distance.
    pub fn with_alibi(self, alibi: bool) -> Self {
        Self { alibi, ..self }
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

    /// Self-attention, `[B, T, H, D]`, of `heads` heads of queries, keys and values packed as `[B, T, H + 2 G, D]`:
    /// as [`Graph::attention`], without copies of what a single product gives.
    pub fn attention_packed(
        &mut self,
        all: ValueId,
        heads: usize,
        lengths: Option<ValueId>,
        attend: Attend,
    ) -> Built {
        let operands: Vec<ValueId> = std::iter::once(all).chain(lengths).collect();
        let attend = Attend { packed: Some(heads), ..attend };
        self.push(Op::Attention(Attention { attend, result: Attended::Values }), &operands)
    }

    /// Rotates pairs of features, `i` and `i + D / 2`, of step `t` of the first `rotated` rows of `x` `[B, T, N, D]` by
    /// `t / 10000^(2i / D)` (Su et al. 2021, arXiv:2104.09864), so that products of rotated rows depend on their
    /// distance. The other rows stay as they are.
    pub fn rotary(&mut self, x: ValueId, rotated: usize) -> Built {
        let [_, steps, rows, width] = self.shape(x)[..] else {
            return Err(self.error("rotary", &[x], "expected queries or keys [B, T, N, D]".into()));
        };
        if !width.is_multiple_of(2) {
            let reason = format!("heads are {width} wide; rotation takes pairs, so the width must be even");
            return Err(self.error("rotary", &[x], reason));
        }
        let half = width / 2;
        let angle = |at: usize| {
            let (t, row, i) = (at / (rows * half), at / half % rows, at % half);
            if row < rotated { rotation(t, i, half) } else { 0.0 }
        };
        let table = |f: fn(f64) -> f64| -> Vec<f32> {
            (0..steps * rows * half).map(|at| f(angle(at)) as f32).collect()
        };
        let cos = self.constant(&[steps, rows, half], &table(f64::cos))?;
        let sin = self.constant(&[steps, rows, half], &table(f64::sin))?;
        self.rotated(x, [cos, sin])
    }

    /// Cosines and sines `[steps, D / 2]` of the angles of [`Graph::rotary`] at each step.
    pub(crate) fn rotations(steps: usize, width: usize) -> [Vec<f32>; 2] {
        let half = width / 2;
        let of = |f: fn(f64) -> f64| {
            (0..steps * half).map(|at| f(rotation(at / half, at % half, half)) as f32).collect()
        };
        [of(f64::cos), of(f64::sin)]
    }

    /// Pairs of features, `i` and `i + D / 2` of `x` `[B, T, N, D]`, rotated by angles of these cosines and sines.
    pub(crate) fn rotated(&mut self, x: ValueId, [cos, sin]: [ValueId; 2]) -> Built {
        let [batch, steps, rows, width] = self.shape(x)[..] else {
            return Err(self.error("rotary", &[x], "expected queries or keys [B, T, N, D]".into()));
        };
        let half = width / 2;
        let extents = [batch, steps, rows, half];
        let (a, b) = (self.slice(x, &[0; 4], &extents)?, self.slice(x, &[0, 0, 0, half], &extents)?);
        let first = self.formula([a, b, cos, sin], |[a, b, cos, sin]| &a * &cos - &b * &sin)?;
        let second = self.formula([a, b, cos, sin], |[a, b, cos, sin]| &b * &cos + &a * &sin)?;
        self.concat(&[first, second], 3)
    }
}

/// The angle of pair `i` of `half` at step `t`.
fn rotation(t: usize, i: usize, half: usize) -> f64 {
    t as f64 / 10_000f64.powf(i as f64 / half as f64)
}
