//! Softmax cross-entropy of one row with an integer label, label smoothing and class weights, as PyTorch's
//! `CrossEntropyLoss(reduction="none")`.

use super::Real;
use super::softmax::log_softmax;

/// One row.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// `[C]`
    pub logits: &'a [f64],
    /// The class. Outside `0..C`, loss and gradient are NaN.
    pub label: usize,
    /// Weights of the classes, `[C]`.
    pub weights: &'a [f64],
    /// Label smoothing, from 0 to 1.
    pub smoothing: f64,
}

impl Row<'_> {
    /// `q[c] = w[c] ((1 - s) [c == label] + s / C)`
    fn targets<T: Real>(&self) -> Vec<T> {
        let classes = self.logits.len();
        let target = |c: usize| {
            let hit = if c == self.label { 1.0 - self.smoothing } else { 0.0 };
            T::exact(self.weights[c]) * T::exact(hit + self.smoothing / classes as f64).rounded(3.0)
        };
        let known = self.label < classes;
        (0..classes).map(|c| if known { target(c) } else { T::exact(f64::NAN) }).collect()
    }

    /// `-sum_c q[c] log p[c]`
    pub fn loss<T: Real>(&self) -> T {
        let log_p = log_softmax::<T>(self.logits);
        -T::sum(self.targets::<T>().into_iter().zip(log_p).map(|(q, log_p)| q * log_p))
    }

    /// `dloss/dlogits[c] = p[c] sum(q) - q[c]`
    pub fn gradient<T: Real>(&self) -> Vec<T> {
        let targets = self.targets::<T>();
        let total = T::sum(targets.iter().copied());
        let log_p = log_softmax::<T>(self.logits);
        log_p.into_iter().zip(targets).map(|(log_p, q)| log_p.exp() * total - q).collect()
    }
}
