//! A network under construction: its graph, parameters and states, and building blocks shared by several
//! layers.

use std::sync::Arc;

use super::arrangement::Arrangement;
use super::init::Init;
use super::inputs::{DocumentShape, LENGTH, X};
use super::lora::Lora;
use super::patterns::Patterns;
use super::tensors::{Parameter, State};
use crate::base::nodes::Nodes;
use crate::base::rng::{RandomKind, streams};
use crate::base::tensor::{DType, Shape};
use crate::graph::edges::Own;
use crate::graph::{Graph, GraphError, Op, Source, ValueId};

/// How the names of running averages begin; that of the parameter follows.
pub const AVERAGE: &str = "average.";

/// What a network knows of the step that it reads.
#[derive(Clone, Copy, Debug)]
pub struct Cache {
    /// Steps that can be kept.
    pub length: usize,
    /// 1 at the place of this step, 0 at others: `[1, length]`.
    pub place: ValueId,
    /// 1 at the places of this step and of those before, 0 at others: `[1, length]`.
    pub seen: ValueId,
}

/// Where the texts of rows, or the nodes of graphs, end.
#[derive(Clone, Copy, Debug)]
pub struct Lengths {
    /// Symbols of each text, or nodes of each graph: `u32[B]`.
    pub count: ValueId,
    /// 1 at these, 0 after them: `[B, T]`.
    pub valid: ValueId,
}

/// The graphs of a batch.
#[derive(Clone, Copy, Debug)]
pub struct Graphs {
    /// Their number.
    pub batch: usize,
    /// Their edges.
    pub own: Own,
}

/// Whether and how weights of dense layers and convolutions are normalised.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Spectral {
    /// They are not.
    #[default]
    Off,
    /// By the vectors that were found last.
    Kept,
    /// By vectors that one step of power iteration renews.
    Renewed,
}

/// The network under construction.
pub struct Network<'a> {
    /// The graph so far.
    pub graph: &'a mut Graph,
    /// Whether this is the training form, with batch statistics.
    pub training: bool,
    /// Whether dropout is applied, as in training.
    pub drops: bool,
    /// The graph whose nodes the layers' rows are.
    pub nodes: Option<Arc<Nodes>>,
    /// The graphs of a batch whose nodes the layers read.
    pub graphs: Option<Graphs>,
    /// Prefix of the layers' parameter names: empty, or `encoder.`.
    pub prefix: String,
    /// Names of the layers by number, where these are not their numbers.
    pub names: Vec<String>,
    /// First random stream of the layers.
    pub first_stream: u32,
    /// Trained tensors.
    pub parameters: Vec<(Parameter, ValueId)>,
    /// Running statistics.
    pub states: Vec<State>,
    /// Recurrent states carried from batch to batch; empty if each batch starts from zero states.
    pub carried: Vec<State>,
    /// Whether recurrent layers start from the final states of the previous batch.
    pub carries: bool,
    /// Set if sequences are read one step at a time, and attention keeps those before.
    pub cache: Option<Cache>,
    /// Where rows end, if they are texts of different lengths, or graphs.
    pub lengths: Option<Lengths>,
    /// Whether layers are appended another time: their parameters and states are declared already, and the
    /// states take their new values from the first time.
    pub again: bool,
    /// Whether parameters are read as their running averages, states named [`AVERAGE`] and the parameter.
    pub averaged: bool,
    /// Values that tensors start from instead of their initialisation, in the order of their shapes.
    pub given: Vec<(String, Arc<Vec<f32>>)>,
    /// Tensors that training leaves as they are.
    pub frozen: Patterns,
    /// Low-rank adapters, if layers have any.
    pub lora: Option<Lora>,
    /// Whether weights of dense layers and convolutions are divided by how far they lengthen vectors.
    pub spectral: Spectral,
    /// Weights that were divided so, by layer.
    pub normed: Vec<(String, ValueId)>,
    /// New values of the states (training form only).
    pub updates: Vec<(String, ValueId)>,
    /// Layer, output shape without the batch, number of trained elements: for summaries.
    pub summary: Vec<(String, Shape, usize)>,
}

impl<'a> Network<'a> {
    /// An empty network on `graph`.
    pub fn new(graph: &'a mut Graph, training: bool) -> Self {
        Self {
            graph,
            training,
            drops: training,
            nodes: None,
            graphs: None,
            prefix: String::new(),
            names: vec![],
            first_stream: streams::LAYERS,
            parameters: vec![],
            states: vec![],
            carried: vec![],
            carries: false,
            cache: None,
            lengths: None,
            again: false,
            averaged: false,
            given: vec![],
            frozen: Patterns::default(),
            lora: None,
            spectral: Spectral::Off,
            normed: vec![],
            updates: vec![],
            summary: vec![],
        }
    }

    /// Starts another part of the network.
    pub fn begin(&mut self, prefix: impl Into<String>, first_stream: u32) {
        self.prefix = prefix.into();
        self.first_stream = first_stream;
    }

    /// Whether training leaves the tensor of this name as it is.
    pub fn is_frozen(&self, name: &str) -> bool {
        self.frozen.matches(name)
    }

    /// Declares a trained parameter.
    pub fn parameter(
        &mut self,
        name: String,
        shape: &[usize],
        init: Init,
        decay: bool,
    ) -> Result<ValueId, GraphError> {
        let arrangement = Arrangement::default();
        self.declare(Parameter { name, shape: shape.to_vec(), init, decay, arrangement })
    }

    /// Declares a trained parameter of more than one axis, which decays, whose elements lie in memory in
    /// another order; the graph reads it so.
    pub fn arranged(
        &mut self,
        name: String,
        shape: &[usize],
        init: Init,
        arrangement: Arrangement,
    ) -> Result<ValueId, GraphError> {
        self.declare(Parameter { name, shape: shape.to_vec(), init, decay: true, arrangement })
    }

    fn declare(&mut self, parameter: Parameter) -> Result<ValueId, GraphError> {
        if self.averaged {
            let Parameter { name, shape, arrangement, .. } = parameter;
            let name = format!("{AVERAGE}{name}");
            return self.declare_state(State { name, shape, initial: 0.0, arrangement });
        }
        let shape = parameter.arrangement.shape(&parameter.shape);
        let value = self.graph.source(Source::Parameter(parameter.name.clone()), &shape, DType::F32)?;
        if !self.again {
            self.parameters.push((parameter, value));
        }
        Ok(value)
    }

    /// Declares a tensor that training updates without a gradient.
    pub fn state(&mut self, name: String, shape: &[usize], initial: f32) -> Result<ValueId, GraphError> {
        let arrangement = Arrangement::default();
        self.declare_state(State { name, shape: shape.to_vec(), initial, arrangement })
    }

    /// Declares a tensor that training updates without a gradient, and whose elements may lie in another order.
    pub fn declare_state(&mut self, state: State) -> Result<ValueId, GraphError> {
        let shape = state.arrangement.shape(&state.shape);
        let value = self.graph.source(Source::State(state.name.clone()), &shape, DType::F32)?;
        if !self.again {
            self.states.push(state);
        }
        Ok(value)
    }

    /// The texts of rows, `u32[B, T]`; layers will know where they end.
    pub fn documents(&mut self, shape: DocumentShape, batch: usize) -> Result<ValueId, GraphError> {
        let DocumentShape { length, .. } = shape;
        let symbols = self.graph.source(Source::Batch(X.into()), &[batch, length], DType::U32)?;
        self.lengths(length, batch)?;
        Ok(symbols)
    }

    /// Declares where rows of at most `length` steps, or nodes, end.
    pub(super) fn lengths(&mut self, length: usize, batch: usize) -> Result<(), GraphError> {
        let count = self.graph.source(Source::Batch(LENGTH.into()), &[batch], DType::U32)?;
        let numbers: Vec<f32> = (0..=length).map(|at| at as f32).collect();
        let table = self.graph.constant(&[length + 1, 1], &numbers)?;
        let ends = self.graph.gather(table, count)?;
        let places = self.graph.constant(&[1, length], &numbers[..length])?;
        let valid = self.graph.less(places, ends)?;
        self.lengths = Some(Lengths { count, valid });
        Ok(())
    }

    /// The extents of `x` if it is `[B, features]`, else an error.
    pub fn rows(&self, layer: &'static str, x: ValueId) -> Result<[usize; 2], GraphError> {
        self.graph.shape(x)[..].try_into().map_err(|_| {
            let reason =
                "expected rows of numbers, found images; put a `flatten` or `global_pool` layer before it";
            self.graph.error(layer, &[x], reason.into())
        })
    }

    /// Appends a layer of rows to each step of sequences `[B, T, 1, F]`, or to rows as they are.
    pub fn of_each(
        &mut self,
        x: ValueId,
        layer: impl FnOnce(&mut Self, ValueId) -> Result<ValueId, GraphError>,
    ) -> Result<ValueId, GraphError> {
        let [batch, steps, 1, width] = self.graph.shape(x)[..] else { return layer(self, x) };
        let rows = self.graph.reshape(x, &[batch * steps, width])?;
        let y = layer(self, rows)?;
        let width = self.graph.shape(y)[1];
        self.graph.reshape(y, &[batch, steps, 1, width])
    }

    /// `x W^T + b` with `W` `[out, in]`, uniform in `+-1/sqrt(in)` as in PyTorch's `Linear`.
    pub fn dense(&mut self, name: &str, units: usize, bias: bool, x: ValueId) -> Result<ValueId, GraphError> {
        let [_, inputs] = self.rows("dense", x)?;
        let init = Init::Uniform { bound: 1.0 / (inputs as f32).sqrt() };
        let weight = self.weight_name(name);
        let y = match self.flattened_images(x) {
            // Pixels as they lie, all channels of each together: the weights lie so too.
            Some((image, pixels)) => {
                let arrangement = Arrangement::new(&[units, inputs / pixels, pixels], &[0, 2, 1]);
                let weight = self.arranged(weight, &[units, inputs], init, arrangement)?;
                let of_inputs = Arrangement::new(&[inputs / pixels, pixels], &[1, 0]);
                let weight = self.spectrally_normed(name, weight, 0, of_inputs)?;
                let weight = self.graph.reshape(weight, &[units, inputs])?;
                let rows = self.graph.shape(x).clone();
                let x = self.graph.reshape(image, &rows)?;
                let y = self.graph.matmul_with(x, weight, false, true)?;
                let rank = self.lora.as_ref().map_or(1, |lora| lora.rank);
                let arrangement = Arrangement::new(&[rank, inputs / pixels, pixels], &[0, 2, 1]);
                self.adapted(name, arrangement, x, y)?
            }
            None => {
                let weight = self.parameter(weight, &[units, inputs], init, true)?;
                let weight = self.spectrally_normed(name, weight, 0, Arrangement::default())?;
                let y = self.graph.matmul_with(x, weight, false, true)?;
                self.adapted(name, Arrangement::default(), x, y)?
            }
        };
        if !bias {
            return Ok(y);
        }
        let bias = self.parameter(format!("{name}.bias"), &[units], init, false)?;
        self.graph.add(y, bias)
    }

    /// The images `[B, H, W, C]` that rows are, channel by channel, and their pixels `H W`; `None` if they are
    /// none, or lie in that order anyway.
    fn flattened_images(&self, rows: ValueId) -> Option<(ValueId, usize)> {
        let operand = |value| self.graph.node(value).inputs[0];
        let is_flat = matches!(self.graph.node(rows).op, Op::Reshape(_));
        let planes = is_flat.then(|| operand(rows))?;
        let Op::Permute(permute) = &self.graph.node(planes).op else { return None };
        let image = operand(planes);
        let [batch, height, width, channels] = self.graph.shape(image)[..] else { return None };
        let each_row = self.graph.shape(rows)[..] == [batch, height * width * channels];
        let moved = permute.permutation == [0, 3, 1, 2] && channels > 1 && height * width > 1;
        (each_row && moved).then_some((image, height * width))
    }

    /// Applies dropout where it is on, with the random numbers of `stream`.
    pub fn drop(&mut self, stream: u32, rate: f64, x: ValueId) -> Result<ValueId, GraphError> {
        if !self.drops || rate == 0.0 {
            return Ok(x);
        }
        let keep = 1.0 - rate;
        let kind = RandomKind::Mask { threshold: (keep * 4_294_967_296.0).min(4_294_967_295.0) as u32 };
        let shape = self.graph.shape(x).clone();
        let mask = self.graph.random(kind, stream, &shape)?;
        let scaled = self.graph.mul_scalar(x, 1.0 / keep)?;
        self.graph.mul(scaled, mask)
    }

    /// The extents of `x`, `[B, H, W, C]`, or an error if `x` is not an image.
    pub fn extents(&self, layer: &'static str, x: ValueId) -> Result<[usize; 4], GraphError> {
        self.graph.shape(x)[..].try_into().map_err(|_| {
            let reason = "expected images, found rows of numbers; set the image's shape in `[data.image]`, \
                          and put layers of images before `flatten` and `global_pool`";
            self.graph.error(layer, &[x], reason.into())
        })
    }

    /// Reshapes rows of pixels `[B, C H W]` to images `[B, H, W, C]`.
    pub fn images(
        &mut self,
        x: ValueId,
        [channels, height, width]: [usize; 3],
    ) -> Result<ValueId, GraphError> {
        let batch = self.graph.shape(x)[0];
        let planes = self.graph.reshape(x, &[batch, channels, height, width])?;
        self.graph.channels_last(planes)
    }

    /// Reshapes rows of numbers `[B, T F]` to sequences `[B, T, 1, F]`.
    pub fn sequence(&mut self, x: ValueId, length: usize, width: usize) -> Result<ValueId, GraphError> {
        let batch = self.graph.shape(x)[0];
        self.graph.reshape(x, &[batch, length, 1, width])
    }

    /// Weight and bias of a normalisation, one each per index of the last axis, broadcast as `shape`.
    pub fn scale_and_shift(&mut self, name: &str, shape: &[usize]) -> Result<[ValueId; 2], GraphError> {
        let units = shape.iter().product();
        let weight = self.parameter(format!("{name}.weight"), &[units], Init::Constant(1.0), false)?;
        let bias = self.parameter(format!("{name}.bias"), &[units], Init::Constant(0.0), false)?;
        Ok([self.graph.reshape(weight, shape)?, self.graph.reshape(bias, shape)?])
    }
}
