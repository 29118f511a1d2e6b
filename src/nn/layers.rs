//! Layers: configuration to graph nodes and parameters, named as PyTorch's `nn.Sequential` names them.

use super::init::Init;
use super::model::{Parameter, State};
use super::recurrent::Stack;
use crate::base::rng::RandomKind;
use crate::base::rng::streams;
use crate::base::tensor::{DType, Shape};
use crate::graph::normalisation::Normalised;
use crate::graph::{Graph, GraphError, Source, ValueId};
use crate::nn::config::{Activation, LayerConfig};
use crate::scalar::UnaryFn;

/// The network under construction.
pub(super) struct Network<'a> {
    pub graph: &'a mut Graph,
    /// Training form: dropout on, batch statistics.
    pub training: bool,
    /// Before the numbers of layers, in the names of their parameters: empty, or `encoder.`.
    pub prefix: &'static str,
    /// First stream of the layers' random numbers.
    pub first_stream: u32,
    pub parameters: Vec<(Parameter, ValueId)>,
    pub states: Vec<State>,
    /// States of recurrent layers that go on from batch to batch; empty where each batch begins anew.
    pub carried: Vec<State>,
    /// Whether recurrent layers begin with the states that the batch before it ended with.
    pub carries: bool,
    pub updates: Vec<(String, ValueId)>,
    /// Layer, output shape without the batch, trained elements: for people.
    pub summary: Vec<(String, Shape, usize)>,
}

impl<'a> Network<'a> {
    /// An empty network on `graph`.
    pub fn new(graph: &'a mut Graph, training: bool) -> Self {
        Self {
            graph,
            training,
            prefix: "",
            first_stream: streams::LAYERS,
            parameters: vec![],
            states: vec![],
            carried: vec![],
            carries: false,
            updates: vec![],
            summary: vec![],
        }
    }

    /// Begins another part of the network.
    pub fn begin(&mut self, prefix: &'static str, first_stream: u32) {
        self.prefix = prefix;
        self.first_stream = first_stream;
    }

    /// Appends `layers`, numbered from `first`.
    pub fn layers(
        &mut self,
        layers: &[LayerConfig],
        first: usize,
        x: ValueId,
    ) -> Result<ValueId, GraphError> {
        let mut h = x;
        for (number, layer) in (first..).zip(layers) {
            let before = self.parameters.len();
            h = self.layer(number, layer, h)?;
            let trained =
                self.parameters[before..].iter().map(|(p, _)| p.shape.iter().product::<usize>()).sum();
            let shape = public_shape(self.graph.shape(h));
            self.summary.push((layer_name(layer).to_string(), shape, trained));
        }
        Ok(h)
    }
    /// Declares a trained tensor.
    pub fn parameter(
        &mut self,
        name: String,
        shape: &[usize],
        init: Init,
        decay: bool,
    ) -> Result<ValueId, GraphError> {
        let value = self.graph.source(Source::Parameter(name.clone()), shape, DType::F32)?;
        self.parameters.push((Parameter { name, shape: shape.to_vec(), init, decay }, value));
        Ok(value)
    }

    fn state(&mut self, name: String, shape: &[usize], initial: f32) -> Result<ValueId, GraphError> {
        let value = self.graph.source(Source::State(name.clone()), shape, DType::F32)?;
        self.states.push(State { name, shape: shape.to_vec(), initial });
        Ok(value)
    }

    /// Appends layer number `number` to `x`, `[B, features]` or images `[B, H, W, C]`.
    pub fn layer(&mut self, number: usize, config: &LayerConfig, x: ValueId) -> Result<ValueId, GraphError> {
        let name = &format!("{}{number}", self.prefix);
        self.graph.set_layer(match self.prefix {
            "" => format!("layer {number} ({})", layer_name(config)),
            _ => format!("{name} ({})", layer_name(config)),
        });
        match *config {
            LayerConfig::Dense { units, bias } => self.dense(name, units, bias, x),
            LayerConfig::Activation { function } => activation(self.graph, function, x),
            LayerConfig::Dropout { rate } => self.drop(self.first_stream + number as u32, rate, x),
            LayerConfig::Recurrent { cell, hidden, layers, bidirectional, dropout, output } => {
                let stack = Stack { cell: cell.kernel(), hidden, layers, bidirectional, dropout, output };
                self.recurrent(number, &stack, x)
            }
            LayerConfig::LayerNorm { eps } => self.layer_norm(name, eps, x),
            LayerConfig::BatchNorm { eps, momentum } => self.batch_norm(name, eps, momentum, x),
            _ => self.image_layer(name, config, x),
        }
    }

    /// The extents of `x`, if it is `[B, features]`.
    fn flat(&self, layer: &'static str, x: ValueId) -> Result<[usize; 2], GraphError> {
        self.graph.shape(x)[..].try_into().map_err(|_| {
            let reason =
                "expected rows of numbers, found images; put a `flatten` or `global_pool` layer before";
            self.graph.error(layer, &[x], reason.into())
        })
    }

    /// `x W^T + b` with `W` `[out, in]`, uniform in `+-1/sqrt(in)` as PyTorch's `Linear`.
    pub(super) fn dense(
        &mut self,
        name: &str,
        units: usize,
        bias: bool,
        x: ValueId,
    ) -> Result<ValueId, GraphError> {
        let [_, inputs] = self.flat("dense", x)?;
        let init = Init::Uniform { bound: 1.0 / (inputs as f32).sqrt() };
        let weight = self.parameter(format!("{name}.weight"), &[units, inputs], init, true)?;
        let y = self.graph.matmul_with(x, weight, false, true)?;
        if !bias {
            return Ok(y);
        }
        let bias = self.parameter(format!("{name}.bias"), &[units], init, false)?;
        self.graph.add(y, bias)
    }

    /// Drops elements in training, with the random numbers of `stream`.
    pub(super) fn drop(&mut self, stream: u32, rate: f64, x: ValueId) -> Result<ValueId, GraphError> {
        if !self.training || rate == 0.0 {
            return Ok(x);
        }
        let keep = 1.0 - rate;
        let kind = RandomKind::Mask { threshold: (keep * 4_294_967_296.0).min(4_294_967_295.0) as u32 };
        let shape = self.graph.shape(x).clone();
        let mask = self.graph.random(kind, stream, &shape)?;
        let scaled = self.graph.mul_scalar(x, 1.0 / keep)?;
        self.graph.mul(scaled, mask)
    }

    fn layer_norm(&mut self, name: &str, eps: f64, x: ValueId) -> Result<ValueId, GraphError> {
        let [_, units] = self.flat("layer_norm", x)?;
        let [weight, bias] = self.scale_and_shift(name, &[1, units])?;
        Ok(self.graph.normalise(x, &[1], eps, weight, bias)?.y)
    }

    /// Training uses the batch's mean and variance and renews the running ones (with the unbiased variance, as
    /// PyTorch); evaluation uses the running ones.
    pub(super) fn batch_norm(
        &mut self,
        name: &str,
        eps: f64,
        momentum: f64,
        x: ValueId,
    ) -> Result<ValueId, GraphError> {
        // Every place of an image counts as a row of its channels.
        let shape = self.graph.shape(x).clone();
        let last = shape.len() - 1;
        let (units, axes) = (shape[last], (0..last).collect::<Vec<_>>());
        let rows: usize = shape[..last].iter().product();
        let mut along = vec![1; last];
        along.push(units);
        let names = [format!("{name}.running_mean"), format!("{name}.running_var")];
        let running_mean = self.state(names[0].clone(), &[units], 0.0)?;
        let running_var = self.state(names[1].clone(), &[units], 1.0)?;
        let [weight, bias] = self.scale_and_shift(name, &along)?;
        if self.training {
            let Normalised { y, mean, variance } = self.graph.normalise(x, &axes, eps, weight, bias)?;
            let unbiased = self.graph.mul_scalar(variance, rows as f64 / (rows as f64 - 1.0).max(1.0))?;
            let [mean_name, var_name] = names;
            for (name, old, new) in [(mean_name, running_mean, mean), (var_name, running_var, unbiased)] {
                let new = self.graph.reshape(new, &[units])?;
                let kept = self.graph.mul_scalar(old, 1.0 - momentum)?;
                let part = self.graph.mul_scalar(new, momentum)?;
                let renewed = self.graph.add(kept, part)?;
                self.updates.push((name, renewed));
            }
            return Ok(y);
        }
        let centred = self.graph.sub(x, running_mean)?;
        let spread = self.graph.add_scalar(running_var, eps)?;
        let deviation = self.graph.unary(UnaryFn::Sqrt, spread)?;
        let normal = self.graph.div(centred, deviation)?;
        let scaled = self.graph.mul(normal, weight)?;
        self.graph.add(scaled, bias)
    }

    /// Weight and bias of a normalisation, one number each for every index of the last axis, as `shape`.
    pub(super) fn scale_and_shift(
        &mut self,
        name: &str,
        shape: &[usize],
    ) -> Result<[ValueId; 2], GraphError> {
        let units = shape.iter().product();
        let weight = self.parameter(format!("{name}.weight"), &[units], Init::Constant(1.0), false)?;
        let bias = self.parameter(format!("{name}.bias"), &[units], Init::Constant(0.0), false)?;
        Ok([self.graph.reshape(weight, shape)?, self.graph.reshape(bias, shape)?])
    }
}

/// A shape without the batch, images as `[C, H, W]`.
fn public_shape(shape: &[usize]) -> Shape {
    match *shape {
        [_, height, width, channels] => vec![channels, height, width],
        _ => shape[1..].to_vec(),
    }
}

/// A function of each element.
pub fn activation(g: &mut Graph, function: Activation, x: ValueId) -> Result<ValueId, GraphError> {
    match (function.function(), function) {
        (Some(f), _) => g.unary(f, x),
        (None, Activation::Elu) => g.elu(x, 1.0),
        (None, _) => g.leaky_relu(x, 0.01),
    }
}

/// Name in messages and summaries.
pub fn layer_name(config: &LayerConfig) -> &'static str {
    match config {
        LayerConfig::Dense { .. } => "dense",
        LayerConfig::Activation { function } => function.name(),
        LayerConfig::Dropout { .. } => "dropout",
        LayerConfig::LayerNorm { .. } => "layer_norm",
        LayerConfig::BatchNorm { .. } => "batch_norm",
        LayerConfig::GroupNorm { .. } => "group_norm",
        LayerConfig::Conv2d { .. } => "conv2d",
        LayerConfig::Conv1d { .. } => "conv1d",
        LayerConfig::ConvTranspose2d { .. } => "conv_transpose2d",
        LayerConfig::MaxPool { .. } => "max_pool",
        LayerConfig::AvgPool { .. } => "avg_pool",
        LayerConfig::GlobalPool { .. } => "global_pool",
        LayerConfig::Flatten => "flatten",
        LayerConfig::Upsample { .. } => "upsample",
        LayerConfig::Recurrent { .. } => "recurrent",
        LayerConfig::Residual { .. } => "residual",
    }
}
