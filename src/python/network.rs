//! A network's layers as PyTorch's modules, named as the weights are: numbered layers, recurrent ones as `rnn`.

use std::fmt::Write;

use super::{Code, Request, number, offset, quoted, refuse};
use crate::data::{CategoryIds, Dataset, Encoding, Fitted, Windows};
use crate::nn::layers::recurrent::{Cell, Output};
use crate::nn::layers::{
    Activate, Activation, LayerConfig, Pair, Pooling, Positions, Recurrent, TemporalBlock, Tokens,
    Transformer,
};
use crate::nn::model::Model;
use crate::tasks;
use crate::train::TrainError;

/// What a value is, with its extents as PyTorch has them.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Kind {
    /// `[B, F]`
    Rows(usize),
    /// `[B, C, H, W]`
    Images([usize; 3]),
    /// `[B, T, F]`
    Steps([usize; 2]),
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Rows(_) => "rows",
            Self::Images(_) => "images",
            Self::Steps(_) => "sequences",
        }
    }

    /// The features of a row or step, the channels of an image.
    fn width(self) -> usize {
        match self {
            Self::Rows(width) | Self::Steps([_, width]) => width,
            Self::Images([channels, ..]) => channels,
        }
    }
}

/// The class `Model`.
///
/// # Errors
/// If a layer has no form there, by its name.
pub fn write(code: &mut Code, request: &Request) -> Result<String, TrainError> {
    let model = tasks::supervised(request.settings, request.fitted, &sample(request.fitted));
    let summary = model.graph(1, false)?.summary;
    let mut w = Writer { code, names: model.names.clone(), modules: vec![], steps: vec![] };
    let mut shapes = summary.iter().filter(|(name, ..)| name != "embedding").map(|(_, shape, _)| shape);
    let mut kind = w.input(request, &model.inputs, model.layers.first());
    for (at, layer) in model.layers.iter().enumerate() {
        let Some(shape) = shapes.next() else { break };
        kind = w.layer(at, layer, kind, shape)?;
    }
    if let Some(offset) = offset(&model.loss) {
        w.steps.push(format!("x = x + {}", number(offset)));
    }
    let inputs: Vec<String> = (0..model.inputs.categories.len()).map(|at| format!("ids{at}")).collect();
    let x = if model.inputs.features > 0 { vec!["x".to_string()] } else { vec![] };
    let arguments: String = x.into_iter().chain(inputs).map(|name| format!(", {name}")).collect();
    let modules: String = w.modules.iter().fold(String::new(), |mut text, (name, module)| {
        let place = if name.contains('.') { "add_within(self, " } else { "self.add_module(" };
        let _ = writeln!(text, "        {place}{}, {module})", quoted(name));
        text
    });
    if modules.contains("add_within") {
        w.code.part("add_within");
    }
    let steps = w.steps.join("\n        ");
    let renamed: Vec<String> = (model.inputs.categories.iter().enumerate())
        .map(|(at, (name, _))| {
            format!("{}: \"embedding{at}.weight\"", quoted(&format!("embedding.{name}.weight")))
        })
        .collect();
    code.constant("RENAMED", format!("{{{}}}", renamed.join(", ")));
    Ok(format!(
        "class Model(nn.Module):\n    \"\"\"The network.\"\"\"\n\n    def __init__(self):\n        super().__init__()\n{modules}\n    \
         def forward(self{arguments}):\n        layer = self.get_submodule\n        {steps}\n        return x\n"
    ))
}

/// Rows like those that the network reads, without any.
fn sample(fitted: &Fitted) -> Dataset {
    if let Some(image) = &fitted.image {
        return Dataset { features: vec![String::new(); image.shape.values()], ..Dataset::default() };
    }
    let mut width: usize = fitted.columns.iter().map(|column| column.features()).sum();
    let windows = fitted.window.as_ref().map(|window| {
        let later = &fitted.columns[fitted.columns.len() - window.future.min(fitted.columns.len())..];
        let later: usize = later.iter().map(|column| column.features()).sum();
        width += window.past.len() + later * (window.config.offsets().count().max(1) - 1);
        Windows { length: window.config.length, ..Windows::default() }
    });
    let ids = fitted.columns.iter().filter_map(|column| match &column.encoding {
        Encoding::Embedding { names, .. } => {
            Some(CategoryIds { name: column.name.clone(), vocabulary: names.len() + 1, ids: vec![] })
        }
        _ => None,
    });
    Dataset { features: vec![String::new(); width], categories: ids.collect(), windows, ..Dataset::default() }
}

/// Writes modules and the steps that call them.
pub(super) struct Writer<'a> {
    pub code: &'a mut Code,
    /// Names of the layers, if not their numbers.
    names: Vec<String>,
    /// Names and constructors.
    modules: Vec<(String, String)>,
    steps: Vec<String>,
}

impl Writer<'_> {
    /// What the first layer reads.
    fn input(
        &mut self,
        request: &Request,
        inputs: &crate::nn::inputs::Inputs,
        first: Option<&LayerConfig>,
    ) -> Kind {
        let mut width = inputs.features;
        let mut parts = if width > 0 { vec!["x".to_string()] } else { vec![] };
        for (at, (column, vocabulary)) in inputs.categories.iter().enumerate() {
            let name = format!("embedding.{column}.weight");
            let weight = request.weights.iter().find(|(known, ..)| *known == name);
            let each = weight.and_then(|(_, shape, _)| shape.get(1)).copied().unwrap_or(1);
            self.modules.push((format!("embedding{at}"), format!("nn.Embedding({vocabulary}, {each})")));
            parts.push(format!("self.embedding{at}(ids{at})"));
            width += each;
        }
        if !inputs.categories.is_empty() {
            self.steps.push(format!("x = torch.cat([{}], 1)", parts.join(", ")));
        }
        let dense = matches!(first, Some(LayerConfig::Dense(_)));
        if let (Some(image), false) = (inputs.image, dense) {
            self.steps.push("x = x.reshape(-1, *SHAPE)".into());
            return Kind::Images([image.channels, image.height, image.width]);
        }
        let by_step = first.is_some_and(|layer| layer.layer().reads_steps());
        match inputs.sequence {
            Some(sequence) if by_step => {
                self.steps.push(format!("x = x.reshape(-1, {}, {})", sequence.length, sequence.width));
                Kind::Steps([sequence.length, sequence.width])
            }
            _ => Kind::Rows(width),
        }
    }

    /// The name of a layer.
    pub(super) fn name(&self, at: usize) -> String {
        self.names.get(at).cloned().unwrap_or_else(|| at.to_string())
    }

    /// A module that is called with what there is.
    pub(super) fn module(&mut self, name: &str, module: String) {
        self.modules.push((name.into(), module));
        self.steps.push(format!("x = layer({})(x)", quoted(name)));
    }

    pub(super) fn step(&mut self, step: impl Into<String>) {
        self.steps.push(step.into());
    }

    /// Appends a layer whose result has the shape `[C, H, W]`, `[F, T, 1]` or `[F]`, and returns what that is.
    fn layer(
        &mut self,
        at: usize,
        layer: &LayerConfig,
        kind: Kind,
        shape: &[usize],
    ) -> Result<Kind, TrainError> {
        let found = match (layer, kind) {
            (LayerConfig::Activation(function), _) => {
                self.step(format!("x = {}", activated(function)));
                Some(kind)
            }
            // It does nothing to predictions.
            (LayerConfig::Dropout(_), _) => Some(kind),
            (LayerConfig::Tokens(tokens), _) => self.tokens(at, tokens, kind, shape),
            (LayerConfig::Recurrent(stack), Kind::Images(_) | Kind::Steps(_)) => {
                Some(self.recurrent(at, stack, kind))
            }
            (_, Kind::Images(image)) => self.of_images(at, layer, image, shape),
            _ => self.of_rows(at, layer, kind, shape),
        };
        let unknown = || refuse(&format!("layer {at} ({}) of {}", layer.layer().name(), kind.name()));
        found.ok_or_else(unknown)
    }

    /// A layer of rows or of the steps of sequences; nothing if there is no such layer here.
    fn of_rows(&mut self, at: usize, layer: &LayerConfig, kind: Kind, shape: &[usize]) -> Option<Kind> {
        let (name, width) = (&self.name(at), kind.width());
        match (layer, kind) {
            (LayerConfig::Dense(dense), _) => {
                self.module(name, format!("nn.Linear({width}, {}, bias={})", dense.units, truth(dense.bias)));
                return Some(match kind {
                    Kind::Steps([steps, _]) => Kind::Steps([steps, dense.units]),
                    _ => Kind::Rows(dense.units),
                });
            }
            (LayerConfig::LayerNorm(norm), _) => {
                self.module(name, format!("nn.LayerNorm({width}, eps={})", number(norm.eps)));
            }
            (LayerConfig::RmsNorm(norm), _) => {
                self.module(name, format!("nn.RMSNorm({width}, eps={})", number(norm.eps)));
            }
            (LayerConfig::BatchNorm(norm), Kind::Rows(_)) => {
                self.module(name, format!("nn.BatchNorm1d({width}, eps={})", number(norm.eps)));
            }
            (LayerConfig::GlobalPool(pool), Kind::Steps(_)) => {
                self.step(match pool.kind {
                    Pooling::Average => "x = x.mean(1)",
                    Pooling::Max => "x = x.amax(1)",
                    Pooling::Sum => "x = x.sum(1)",
                    Pooling::Last => "x = x[:, -1]",
                });
                return Some(Kind::Rows(width));
            }
            (LayerConfig::Flatten(_), Kind::Steps(_)) => {
                self.step("x = x.transpose(1, 2).flatten(1)");
                return Some(Kind::Rows(shape[0]));
            }
            (LayerConfig::Unflatten(_), Kind::Rows(_)) => {
                let &[channels, high, wide] = shape else { return None };
                self.step(format!("x = x.reshape(-1, {channels}, {high}, {wide})"));
                return Some(Kind::Images([channels, high, wide]));
            }
            (LayerConfig::Attention(keys), Kind::Steps(_)) if !keys.causal && !keys.rotary && !keys.alibi => {
                let bias = truth(keys.bias);
                let module =
                    format!("nn.MultiheadAttention({width}, {}, bias={bias}, batch_first=True)", keys.heads);
                self.modules.push((name.clone(), module));
                self.step(format!("x = layer({})(x, x, x, need_weights=False)[0]", quoted(name)));
            }
            (LayerConfig::Transformer(block), Kind::Steps(_))
                if !block.causal
                    && !block.rotary
                    && !block.alibi
                    && block.activation != Activation::Swiglu =>
            {
                self.transformer(name, block, width);
            }
            (LayerConfig::TemporalBlock(block), Kind::Steps([steps, _])) => {
                let TemporalBlock { channels, kernel, dilation, weight_norm, dropout: _ } = *block;
                let (class, normed) = (self.code.part("TemporalBlock"), truth(weight_norm));
                self.module(name, format!("{class}({width}, {channels}, {kernel}, {dilation}, {normed})"));
                return Some(Kind::Steps([steps, channels]));
            }
            (LayerConfig::Position(position), Kind::Steps([steps, _])) => {
                let class = match position.kind {
                    Positions::Learned => "Position",
                    Positions::Sinusoidal => "Waves",
                };
                let class = self.code.part(class);
                self.module(name, format!("{class}({steps}, {width})"));
            }
            _ => return None,
        }
        Some(kind)
    }

    /// Tokens of numbers, steps or patches.
    fn tokens(&mut self, at: usize, tokens: &Tokens, kind: Kind, shape: &[usize]) -> Option<Kind> {
        let (name, width) = (&self.name(at), kind.width());
        match kind {
            Kind::Rows(features) => {
                let class = self.code.part("Tokens");
                self.module(name, format!("{class}({features}, {})", tokens.width));
            }
            Kind::Steps(_) => self.module(name, format!("nn.Linear({width}, {})", tokens.width)),
            Kind::Images(_) => {
                let patch = pair(tokens.patch);
                self.module(name, format!("nn.Conv2d({width}, {}, {patch}, stride={patch})", tokens.width));
                self.step("x = x.flatten(2).transpose(1, 2)");
            }
        }
        let &[features, steps, _] = shape else { return None };
        Some(Kind::Steps([steps, features]))
    }

    /// Recurrent layers over steps, or over the rows of images.
    fn recurrent(&mut self, at: usize, stack: &Recurrent, kind: Kind) -> Kind {
        let (steps, width) = match kind {
            Kind::Images([channels, high, wide]) => {
                self.step("x = x.permute(0, 2, 3, 1).flatten(2)");
                (high, wide * channels)
            }
            Kind::Steps([steps, width]) => (steps, width),
            Kind::Rows(width) => (1, width),
        };
        let name = if at == 0 { "rnn".to_string() } else { format!("rnn{at}") };
        let (class, more) = match stack.cell {
            Cell::Lstm => ("LSTM", ""),
            Cell::Gru => ("GRU", ""),
            Cell::Tanh => ("RNN", ", nonlinearity=\"tanh\""),
            Cell::Relu => ("RNN", ", nonlinearity=\"relu\""),
        };
        let (hidden, layers, both) = (stack.hidden, stack.layers, stack.bidirectional);
        let module = format!(
            "nn.{class}({width}, {hidden}, {layers}, batch_first=True, bidirectional={}{more})",
            truth(both)
        );
        self.modules.push((name.clone(), module));
        let features = hidden * (1 + usize::from(both));
        if stack.output == Output::All {
            self.step(format!("x, _ = layer({})(x)", quoted(&name)));
            return Kind::Steps([steps, features]);
        }
        self.step(format!("_, last = layer({})(x)", quoted(&name)));
        let state = if stack.cell == Cell::Lstm { "last[0]" } else { "last" };
        self.step(match both {
            true => format!("x = torch.cat([{state}[-2], {state}[-1]], 1)"),
            false => format!("x = {state}[-1]"),
        });
        Kind::Rows(features)
    }

    fn transformer(&mut self, name: &str, block: &Transformer, width: usize) {
        let function = activated(&Activate::from(block.activation));
        self.module(
            name,
            format!(
                "nn.TransformerEncoderLayer(\n            {width}, {}, {}, activation=lambda x: {function}, layer_norm_eps={}, \
                 batch_first=True, norm_first={}\n        )",
                block.heads,
                block.hidden.unwrap_or(4 * width),
                number(block.eps),
                truth(block.norm_first)
            ),
        );
    }
}

fn activated(layer: &Activate) -> String {
    match (layer.function, layer.slope) {
        (Activation::LeakyRelu, slope) => {
            format!("functional.leaky_relu(x, {})", number(slope.unwrap_or(0.01)))
        }
        (Activation::Tanh | Activation::Sigmoid, _) => format!("torch.{}(x)", layer.function.name()),
        (function, _) => format!("functional.{}(x)", function.name()),
    }
}

pub(super) fn truth(is: bool) -> &'static str {
    if is { "True" } else { "False" }
}

pub(super) fn pair(pair: Pair) -> String {
    let [a, b] = pair.get();
    if a == b { a.to_string() } else { format!("({a}, {b})") }
}
