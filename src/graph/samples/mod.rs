//! Small graphs that together use every operator, with values that stay clear of kinks and poles: what
//! gradients are checked on, and what devices are compared with the reference on.

use std::collections::BTreeMap;

use super::build::Built;
use super::{Graph, Source, ValueId};
use crate::base::rng;
use crate::base::tensor::{DType, Tensor, elements};
pub use list::samples;

mod convolutions;
mod list;
mod pools;
mod recurrences;

/// How the values of an input are drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Draw {
    /// Standard normal.
    Normal,
    /// Uniform between two bounds.
    Between(f64, f64),
    /// Magnitude uniform in `[0.1, 2]`, either sign: clear of a kink at 0.
    AwayFromZero,
    /// The distinct multiples `(k + shift) / 20`, shuffled: no two elements closer than half a step, even
    /// between inputs whose shifts differ by a half.
    Lattice {
        /// Offset in steps.
        shift: f64,
    },
    /// Whole numbers in `0..bound`, for labels and indices.
    Index(usize),
}

/// A small graph of known inputs.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Operator and shapes.
    pub name: String,
    /// The graph; every source is a [`Source::Parameter`].
    pub graph: Graph,
    /// Its sources and how to draw their values.
    pub inputs: Vec<(ValueId, Draw)>,
    /// Its result.
    pub output: ValueId,
}

impl Sample {
    /// Values for all inputs; equal for equal seeds.
    pub fn bindings(&self, seed: u32) -> BTreeMap<ValueId, Tensor> {
        let draw = |(at, &(value, draw)): (usize, &(ValueId, Draw))| {
            (value, draw.tensor(self.graph.shape(value), seed, at as u32))
        };
        self.inputs.iter().enumerate().map(draw).collect()
    }

    /// The inputs that have gradients.
    pub fn differentiable(&self) -> Vec<ValueId> {
        let is_float = |v: &ValueId| self.graph.ty(*v).dtype == DType::F32;
        self.inputs.iter().map(|(v, _)| *v).filter(is_float).collect()
    }

    /// Adds an input with the shape of `value` (a cotangent or a direction); gives its source.
    ///
    /// # Errors
    /// None: a source has no operands.
    pub fn add_input_like(&mut self, value: ValueId) -> Built {
        let shape = self.graph.shape(value).clone();
        let name = format!("input {}", self.inputs.len());
        let source = self.graph.source(Source::Parameter(name), &shape, DType::F32)?;
        self.inputs.push((source, Draw::Normal));
        Ok(source)
    }
}

impl Draw {
    fn tensor(self, shape: &[usize], seed: u32, stream: u32) -> Tensor {
        let count = elements(shape);
        let words: Vec<u32> = (0..count).map(|i| rng::word([seed, 0], stream, 0, i as u32)).collect();
        let uniform = |w: &u32| f64::from(rng::uniform(*w));
        let data = match self {
            Draw::Normal => words.iter().map(|&w| f64::from(rng::normal(w))).collect(),
            Draw::Between(low, high) => words.iter().map(|w| low + (high - low) * uniform(w)).collect(),
            Draw::AwayFromZero => {
                let sign = |w: &u32| if w & 1 == 0 { 1.0 } else { -1.0 };
                words.iter().map(|w| sign(w) * (0.1 + 1.9 * uniform(w))).collect()
            }
            Draw::Lattice { shift } => {
                let mut order: Vec<usize> = (0..count).collect();
                order.sort_by_key(|&i| (words[i], i));
                let mut data = vec![0.0; count];
                for (rank, &i) in order.iter().enumerate() {
                    data[i] = (rank as f64 - (count / 2) as f64 + shift) / 20.0;
                }
                data
            }
            Draw::Index(bound) => words.iter().map(|&w| f64::from(w % bound.max(1) as u32)).collect(),
        };
        Tensor::new(shape, data)
    }
}
