//! Small graphs with values away from kinks and poles: used to check gradients and to compare devices with
//! the reference. Each operator brings its own ([`OpDef::samples`](super::OpDef::samples)).

use std::collections::BTreeMap;

use super::{Built, Graph, GraphError, Source, ValueId};
use crate::base::rng;
use crate::base::tensor::{DType, Tensor, elements};
use crate::scalar::UnaryFn;

mod composed;

/// How the values of an input are drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Draw {
    /// Standard normal.
    Normal,
    /// Uniform between two bounds.
    Between(f64, f64),
    /// Magnitude uniform in `[0.1, 2]`, with either sign: away from a kink at 0.
    AwayFromZero,
    /// The distinct multiples `(k + shift) / 20`, shuffled: no two elements are closer than half a step, even
    /// across inputs whose shifts differ by a half.
    Lattice {
        /// Offset in steps.
        shift: f64,
    },
    /// Integers in `0..bound`, for labels and indices.
    Index(usize),
}

/// A small graph with known inputs.
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

    /// Adds an input with the shape of `value` (a cotangent or a direction) and returns its source.
    ///
    /// # Errors
    /// Never: a source has no operands.
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

/// A graph under construction, and its inputs so far.
pub struct Inputs {
    /// The graph.
    pub graph: Graph,
    inputs: Vec<(ValueId, Draw)>,
}

impl Inputs {
    /// A new input.
    ///
    /// # Errors
    /// If the shape has no elements.
    pub fn draw(&mut self, shape: &[usize], draw: Draw) -> Built {
        let dtype = if matches!(draw, Draw::Index(_)) { DType::U32 } else { DType::F32 };
        let name = format!("input {}", self.inputs.len());
        let value = self.graph.source(Source::Parameter(name), shape, dtype)?;
        self.inputs.push((value, draw));
        Ok(value)
    }

    /// A new input of standard normal numbers.
    ///
    /// # Errors
    /// If the shape has no elements.
    pub fn normal(&mut self, shape: &[usize]) -> Built {
        self.draw(shape, Draw::Normal)
    }
}

/// The samples collected so far.
#[derive(Default)]
pub struct Collection(pub Vec<Sample>);

impl Collection {
    /// Adds samples of compositions of several operators by builder methods.
    ///
    /// # Errors
    /// As [`Collection::add`].
    pub fn add_composed(&mut self) -> Result<(), GraphError> {
        composed::add_all(self)
    }

    /// Adds the graph whose result `build` returns.
    ///
    /// # Errors
    /// If it is ill-typed, which is a bug in the sample.
    pub fn add(
        &mut self,
        name: String,
        build: impl FnOnce(&mut Inputs) -> Result<ValueId, GraphError>,
    ) -> Result<(), GraphError> {
        let mut inputs = Inputs { graph: Graph::new(), inputs: vec![] };
        let output = build(&mut inputs)?;
        self.0.push(Sample { name, graph: inputs.graph, inputs: inputs.inputs, output });
        Ok(())
    }

    /// Adds a view of an input of shape `shape`, alone and followed by a nonlinear function, so that second
    /// derivatives are not all zero.
    ///
    /// # Errors
    /// As [`Collection::add`].
    pub fn add_view(
        &mut self,
        name: &str,
        shape: &[usize],
        build: impl Fn(&mut Graph, ValueId) -> Built,
    ) -> Result<(), GraphError> {
        self.add(format!("{name} {shape:?}"), |g| {
            let x = g.normal(shape)?;
            let y = build(&mut g.graph, x)?;
            g.graph.unary(UnaryFn::Tanh, y)
        })?;
        self.add(format!("{name} {shape:?} alone"), |g| {
            let x = g.normal(shape)?;
            build(&mut g.graph, x)
        })
    }
}
