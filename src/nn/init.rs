//! Parameter initialisation with PyTorch's defaults. Counter-based: the same seed gives the same bits
//! everywhere.

use crate::base::rng::{self, streams};

/// How a parameter is initialised.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// All elements equal.
    Constant(f32),
    /// Uniform in `(-bound, bound)`. PyTorch's `Linear`: `bound = 1 / sqrt(fan_in)` for weight and bias.
    Uniform {
        /// Half the width of the interval.
        bound: f32,
    },
    /// Standard normal (PyTorch's `Embedding`).
    Normal,
    /// Normal with mean 0.
    SmallNormal {
        /// Standard deviation.
        deviation: f32,
    },
    /// The Euclidean norms of the rows of the parameter declared just before, which is [`Init::Uniform`]: the lengths of
    /// weights that are a direction and a length.
    Norms {
        /// Half the width of its interval.
        bound: f32,
        /// Elements of a row.
        row: usize,
    },
}

impl Init {
    /// Uniform in `+-sqrt(6 / (inputs + outputs))` (Glorot and Bengio 2010).
    pub fn glorot(inputs: usize, outputs: usize) -> Self {
        Self::Uniform { bound: (6.0 / (inputs + outputs) as f32).sqrt() }
    }

    /// The initial elements of parameter number `number`.
    pub fn elements(self, seed: [u32; 2], number: usize, count: usize) -> Vec<f32> {
        let stream = streams::PARAMETERS + number as u32;
        let word = |i: usize| rng::word(seed, stream, 0, i as u32);
        match self {
            Init::Constant(value) => vec![value; count],
            Init::Uniform { bound } => {
                (0..count).map(|i| (2.0 * rng::uniform(word(i)) - 1.0) * bound).collect()
            }
            Init::Normal => (0..count).map(|i| rng::normal(word(i))).collect(),
            Init::SmallNormal { deviation } => (0..count).map(|i| rng::normal(word(i)) * deviation).collect(),
            Init::Norms { bound, row } => {
                let before = Init::Uniform { bound }.elements(seed, number.saturating_sub(1), count * row);
                let norm = |row: &[f32]| row.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt() as f32;
                before.chunks(row.max(1)).map(norm).collect()
            }
        }
    }
}
