//! Recurrent layers, with the parameters of PyTorch's `nn.RNN`, `nn.LSTM` and `nn.GRU`. A sequence
//! `[B, T, 1, F]` is an image whose rows are the steps; conversely, an image `[B, H, W, C]` is a sequence of
//! `H` steps of `W C` values.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::keys::once;
use super::{Layer, Place};
use crate::base::rng::streams;
use crate::base::tensor::DType;
use crate::graph::recurrence::{Recurrent as Outcome, RecurrentWeights};
use crate::graph::{GraphError, Source, ValueId, lengths};
use crate::kernels::recurrence;
use crate::nn::arrangement::Arrangement;
use crate::nn::init::Init;
use crate::nn::network::{Lengths, Network};
use crate::nn::tensors::State;

/// Recurrent layers over sequences, or over the rows of images: PyTorch's `RNN`, `LSTM` and `GRU`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Recurrent {
    /// The cell.
    #[serde(default)]
    pub cell: Cell,
    /// Hidden units.
    pub hidden: usize,
    /// Number of stacked layers.
    #[serde(default = "once")]
    pub layers: usize,
    /// Whether each layer also reads the sequence backwards.
    #[serde(default)]
    pub bidirectional: bool,
    /// Dropout rate of the states between layers.
    #[serde(default)]
    pub dropout: f64,
    /// Whether to output the last state or all.
    #[serde(default)]
    pub output: Output,
}

/// The cell of a recurrent layer, with PyTorch's definitions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Cell {
    /// `tanh(W x + U h + b)`
    Tanh,
    /// `max(W x + U h + b, 0)`
    Relu,
    /// Long short-term memory.
    #[default]
    Lstm,
    /// Gated recurrent unit.
    Gru,
}

impl Cell {
    /// The corresponding cell of the kernels.
    pub fn kernel(self) -> recurrence::Cell {
        match self {
            Self::Tanh => recurrence::Cell::Tanh,
            Self::Relu => recurrence::Cell::Relu,
            Self::Lstm => recurrence::Cell::Lstm,
            Self::Gru => recurrence::Cell::Gru,
        }
    }
}

/// What a recurrent layer outputs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Output {
    /// The state after the last step; of both directions if bidirectional.
    #[default]
    Last,
    /// The states of all steps: a sequence.
    All,
}

/// Maximum layers of a stack.
const MAX_LAYERS: usize = 64;
/// Maximum hidden units of a recurrent layer.
const MAX_HIDDEN: usize = 8192;
/// Names of a layer's states: hidden state and cell state.
const STATES: [&str; 2] = ["hidden", "cell"];

impl Layer for Recurrent {
    fn name(&self) -> &'static str {
        "recurrent"
    }

    fn check(&self) -> Result<(), String> {
        let Self { hidden, layers, dropout, .. } = self;
        if !(1..=MAX_HIDDEN).contains(hidden) {
            return Err(format!("has {hidden} recurrent units; allowed are 1 to {MAX_HIDDEN}"));
        }
        if !(1..=MAX_LAYERS).contains(layers) {
            return Err(format!("has {layers} recurrent layers; allowed are 1 to {MAX_LAYERS}"));
        }
        if !(0.0..1.0).contains(dropout) {
            return Err(format!("has dropout = {dropout}; it must be at least 0 and below 1"));
        }
        Ok(())
    }

    fn reads_steps(&self) -> bool {
        true
    }

    fn build(&self, net: &mut Network, place: &Place, x: ValueId) -> Result<ValueId, GraphError> {
        net.recurrent(place.number, self, x)
    }
}

impl Network<'_> {
    /// Appends recurrent layers to sequences `[B, T, 1, F]` or images `[B, H, W, C]`. The result is
    /// `[B, D H]` of the last step, or the sequence `[B, T, 1, D H]`, for `D` directions.
    fn recurrent(&mut self, number: usize, stack: &Recurrent, x: ValueId) -> Result<ValueId, GraphError> {
        let [batch, steps, across, channels] = self.graph.shape(x)[..] else {
            let reason = "expected sequences or images; cut windows from a series with [data.window], or \
                          give rows a shape with `data.image.shape`";
            return Err(self.graph.error("recurrent", &[x], reason.into()));
        };
        let name =
            if number == 0 { format!("{}rnn", self.prefix) } else { format!("{}rnn{number}", self.prefix) };
        let flat = self.graph.reshape(x, &[batch, steps, across * channels])?;
        let mut h = self.graph.permute(flat, &[1, 0, 2])?;
        let mut last = vec![];
        for layer in 0..stack.layers {
            if layer > 0 {
                let stream = streams::RECURRENT + (64 * number + layer) as u32;
                h = self.drop(stream, stack.dropout, h)?;
            }
            let mut directions = vec![];
            last.clear();
            for reverse in [false, true].into_iter().take(1 + usize::from(stack.bidirectional)) {
                let suffix = format!("l{layer}{}", if reverse { "_reverse" } else { "" });
                let weights = self.recurrent_weights(&name, &suffix, stack, h)?;
                let state = format!("{name}.{suffix}");
                let first = self.carried_states(&state, stack, batch)?;
                let cell = stack.cell.kernel();
                let found = match self.lengths {
                    None => self.graph.recurrent(cell, h, &weights, first, reverse)?,
                    Some(_) if reverse => {
                        let reason = "a bidirectional layer does not know where the texts of rows end; read them forwards";
                        return Err(self.graph.error("recurrent", &[x], reason.into()));
                    }
                    Some(Lengths { count, valid }) => {
                        // Only the backward direction reads the order of reversed steps.
                        let mask = self.graph.permute(valid, &[1, 0])?;
                        let lengths = lengths::Lengths { mask, turned: count };
                        self.graph.recurrent_of_lengths(cell, h, &weights, first, false, &lengths)?
                    }
                };
                self.carry_on(&state, &found);
                directions.push(found.hidden);
                last.push(found.last);
            }
            h = self.graph.concat(&directions, 2)?;
        }
        match stack.output {
            Output::Last => self.graph.concat(&last, 1),
            Output::All => {
                let width = self.graph.shape(h)[2];
                let rows = self.graph.permute(h, &[1, 0, 2])?;
                self.graph.reshape(rows, &[batch, steps, 1, width])
            }
        }
    }

    /// The initial states `[B, H]` of a layer in a network that carries states: `h` and, for an LSTM, `c`.
    fn carried_states(
        &mut self,
        name: &str,
        stack: &Recurrent,
        batch: usize,
    ) -> Result<[Option<ValueId>; 2], GraphError> {
        let mut first = [None, None];
        if !self.carries {
            return Ok(first);
        }
        let kinds = if stack.cell == Cell::Lstm { 2 } else { 1 };
        for (kind, first) in STATES.into_iter().zip(&mut first).take(kinds) {
            let (name, shape) = (self.carried_name(name, kind), vec![batch, stack.hidden]);
            *first = Some(self.graph.source(Source::State(name.clone()), &shape, DType::F32)?);
            self.carried.push(State { name, shape, initial: 0.0, arrangement: Arrangement::default() });
        }
        Ok(first)
    }

    /// Keeps the final states of a layer for the next batch.
    fn carry_on(&mut self, name: &str, found: &Outcome) {
        if self.carries {
            for (kind, last) in STATES.into_iter().zip([Some(found.last), found.last_cell]) {
                self.updates.extend(last.map(|last| (self.carried_name(name, kind), last)));
            }
        }
    }

    /// Training and evaluation read different texts, so their states are separate.
    fn carried_name(&self, layer: &str, kind: &str) -> String {
        format!("{}.{kind}.{layer}", if self.training { "training" } else { "evaluation" })
    }

    /// Uniform in `+-1/sqrt(H)`, as in PyTorch.
    fn recurrent_weights(
        &mut self,
        name: &str,
        suffix: &str,
        stack: &Recurrent,
        x: ValueId,
    ) -> Result<RecurrentWeights, GraphError> {
        let (inputs, hidden) = (self.graph.shape(x)[2], stack.hidden);
        let width = stack.cell.kernel().gates() * hidden;
        let init = Init::Uniform { bound: 1.0 / (hidden as f32).sqrt() };
        let mut parameter = |kind: &str, shape: &[usize], decay| {
            self.parameter(format!("{name}.{kind}_{suffix}"), shape, init, decay)
        };
        Ok(RecurrentWeights {
            w_ih: parameter("weight_ih", &[width, inputs], true)?,
            w_hh: parameter("weight_hh", &[width, hidden], true)?,
            b_ih: Some(parameter("bias_ih", &[width], false)?),
            b_hh: Some(parameter("bias_hh", &[width], false)?),
        })
    }
}
