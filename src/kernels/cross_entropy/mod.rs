//! Softmax cross-entropy of integer labels: loss of each row and its gradient, in one kernel.
//!
//! With class weights `w`, smoothing `s` and `C` classes, PyTorch's `CrossEntropyLoss(reduction="none")`:
//! `loss = (1-s) * w[t] * -logp[t] + s/C * sum_c w[c] * -logp[c]`, and
//! `delta[c] = dloss/dlogits[c] = p[c] * W - q[c]` with `q[c] = w[c] * ((1-s)*[c==t] + s/C)`, `W = sum_c q[c]`.
//! A label outside `0..C` gives loss NaN and delta NaN.

pub mod native;

use super::Cost;

/// Reads: logits `[rows, classes]`, labels `u32[rows]`, weights `[classes]`.
/// Writes (each optional, see [`CrossEntropy::loss`] and [`CrossEntropy::delta`]): loss `[rows]`, delta `[rows, classes]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CrossEntropy {
    /// Rows.
    pub rows: usize,
    /// Classes.
    pub classes: usize,
    /// Label smoothing in `[0, 1)`, by bits.
    pub smoothing: u32,
    /// Position in `writes` of the loss, if wanted.
    pub loss: Option<usize>,
    /// Position in `writes` of the gradient, if wanted.
    pub delta: Option<usize>,
}

impl CrossEntropy {
    /// For people.
    pub fn shape(&self) -> String {
        let gradient = if self.delta.is_some() { " +gradient" } else { "" };
        format!("{}x{}{gradient}", self.rows, self.classes)
    }

    /// Cost.
    pub fn cost(&self) -> Cost {
        let n = (self.rows * self.classes) as u64;
        let delta = if self.delta.is_some() { 2 } else { 1 };
        Cost { flops: 6 * n, bytes: 4 * (delta * n + 2 * self.rows as u64) }
    }
}
