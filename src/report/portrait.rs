//! What a report shows of an autoencoder: samples, rows beside their reconstructions, paths between codes, the strangest
//! rows.

/// Codes on a way, both ends counted.
pub const STEPS: usize = 12;
/// Rows by position and features, `[_, features]`, as they are scaled.
#[derive(Clone, Debug, PartialEq)]
pub struct Portrait {
    /// Codes drawn from the prior, decoded.
    pub samples: Vec<f32>,
    /// Rows, evenly spread.
    pub shown: Vec<usize>,
    /// What the means of their codes are decoded to.
    pub reconstructions: Vec<f32>,
    /// For each way [`STEPS`] codes on the line between the means of two rows, decoded.
    pub ways: Vec<f32>,
    /// The rows with the largest negative evidence lower bound, in nats, the largest first.
    pub strange: Vec<(usize, f64)>,
    /// What the means of their codes are decoded to.
    pub expected: Vec<f32>,
    /// Mean of `q(z|x)` of each row, `[rows, latent]`.
    pub codes: Vec<f32>,
    /// Elements of a code.
    pub latent: usize,
}
