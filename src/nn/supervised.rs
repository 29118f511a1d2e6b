//! Layers in sequence, trained against a target.

use super::config::transformer::TokensOf;
use super::config::{Listed, ModelConfig};
use super::imported::{Feeds, Imported};
use super::init::Init;
use super::inputs::{DocumentShape, Inputs, PixelOutputs, WEIGHT, X, Y, category_source, embedding_width};
use super::layers::{Conv2d, Dense, LayerConfig, Pair};
use super::lora::Lora;
use super::losses::{Loss, Losses};
use super::model::Model;
use super::network::Network;
use super::relative;
use crate::base::tensor::DType;
use crate::graph::{GraphError, Source, ValueId};

/// Layers in sequence over the embedded inputs, and a loss against the target.
#[derive(Clone, Debug, PartialEq)]
pub struct Supervised {
    /// Hidden layers and the output layer.
    pub layers: Vec<LayerConfig>,
    /// Their names, if not their numbers.
    pub(crate) names: Vec<String>,
    /// Its inputs.
    pub inputs: Inputs,
    /// Number of predicted values per row; with several quantiles, each has as many outputs.
    pub outputs: usize,
    /// The loss to minimise.
    pub loss: Loss,
    pub(super) embedding_width: Option<usize>,
    /// The network instead of layers, if others made it.
    imported: Option<Imported>,
    /// Whether to end with what the output layer reads.
    pub(super) features_only: bool,
    lora: Option<Lora>,
}

impl Supervised {
    /// The model of a configuration for these inputs; `outputs` is the number its target needs.
    pub fn new(config: &ModelConfig, inputs: Inputs, outputs: usize, loss: Loss) -> Self {
        let tokens = match (inputs.sequence, inputs.image) {
            _ if inputs.documents.is_some() => TokensOf::Documents,
            (Some(_), _) => TokensOf::Steps,
            (None, Some(_)) => TokensOf::Patches,
            (None, None) => TokensOf::Numbers,
        };
        let Listed { mut layers, names } = config.listed(tokens, inputs.image);
        let mut units = outputs * loss.quantiles().len().max(1);
        if let (Some(graph), Some(_)) = (&inputs.graph, inputs.sequence) {
            // Every node has its own share of the targets.
            units /= graph.count().max(1);
        }
        let last = layers.last().and_then(|layer| layer.layer().mixes_nodes());
        if let Some(pixels) = inputs.pixels {
            layers.push(Conv2d::new(pixels.each, Pair::Both(1)).into());
        } else if last.is_none_or(|width| width != units) {
            layers.push(Dense { units, bias: true }.into());
        }
        let embedding_width = match inputs.documents {
            Some(documents) => Some(config.symbol_width(documents.vocabulary)),
            None => config.embedding_width,
        };
        let imported = config.network.clone();
        let lora = config.lora.as_ref().map(Lora::of);
        Self { layers, names, inputs, outputs, loss, embedding_width, imported, features_only: false, lora }
    }

    /// The model without its output layer and loss: it gives what that layer reads, the last hidden features
    /// `[B, features]`.
    pub fn features(mut self) -> Self {
        self.layers.pop();
        Self { features_only: true, ..self }
    }

    /// The embedded symbols of texts, `[B, T, 1, width]`.
    fn texts(
        &self,
        net: &mut Network,
        batch: usize,
        documents: DocumentShape,
    ) -> Result<ValueId, GraphError> {
        net.graph.set_layer("input");
        let DocumentShape { length, vocabulary } = documents;
        let width = self.embedding_width.unwrap_or_else(|| embedding_width(vocabulary));
        let symbols = net.documents(documents, batch)?;
        let table = net.parameter("embedding.weight".into(), &[vocabulary, width], Init::Normal, true)?;
        net.summary.push(("embedding".into(), vec![length, width], vocabulary * width));
        let vectors = net.graph.gather(table, symbols)?;
        net.graph.reshape(vectors, &[batch, length, 1, width])
    }

    /// Numeric features and embedded categories, concatenated: `[B, width]`.
    pub(super) fn input(&self, net: &mut Network, batch: usize) -> Result<ValueId, GraphError> {
        net.graph.set_layer("input");
        let mut parts = vec![];
        if self.inputs.features > 0 {
            parts.push(net.graph.source(
                Source::Batch(X.into()),
                &[batch, self.inputs.features],
                DType::F32,
            )?);
        }
        for (column, vocabulary) in &self.inputs.categories {
            let width = self.embedding_width.unwrap_or_else(|| embedding_width(*vocabulary));
            let name = format!("embedding.{column}.weight");
            let table = net.parameter(name, &[*vocabulary, width], Init::Normal, true)?;
            let ids = net.graph.source(Source::Batch(category_source(column)), &[batch], DType::U32)?;
            parts.push(net.graph.gather(table, ids)?);
        }
        net.graph.concat(&parts, 1)
    }
}

/// A model whose dropout stays on outside of training, while batch normalisation uses its running statistics: each
/// evaluation with another seed is a draw of the network (Gal and Ghahramani 2016, arXiv:1506.02142).
#[derive(Clone, Debug, PartialEq)]
pub struct Dropping(pub Supervised);

impl Dropping {
    /// Whether the model has dropout at all.
    ///
    /// # Errors
    /// If layer sizes do not match.
    pub fn drops(&self) -> Result<bool, GraphError> {
        let nodes = |model: &dyn Model| Ok(model.graph(1, false)?.graph.nodes);
        let (with, without): (Vec<_>, Vec<_>) = (nodes(self)?, nodes(&self.0)?);
        Ok(format!("{with:?}") != format!("{without:?}"))
    }
}

impl Model for Dropping {
    fn build(&self, net: &mut Network, batch: usize) -> Result<Losses, GraphError> {
        net.drops = true;
        self.0.build(net, batch)
    }

    fn quantiles(&self) -> &[f64] {
        self.0.quantiles()
    }
}

impl Model for Supervised {
    fn build(&self, net: &mut Network, batch: usize) -> Result<Losses, GraphError> {
        net.lora.clone_from(&self.lora);
        if let Some(Imported(body)) = &self.imported {
            let feeds = self.feeds(net, batch)?;
            if self.features_only {
                let features = body.features(net, &feeds)?;
                return nothing_learnt(net, features);
            }
            let width = self.outputs * self.loss.quantiles().len().max(1);
            let predictions = body.build(net, &feeds, width, &self.loss)?;
            return self.losses(net, batch, predictions);
        }
        if let Some(graph) = self.inputs.graph.clone() {
            return self.build_on_nodes(net, batch, &graph);
        }
        if let Some(shape) = &self.inputs.graphs {
            return self.build_on_graphs(net, batch, shape);
        }
        let mut h = match self.inputs.documents {
            Some(documents) => self.texts(net, batch, documents)?,
            None => self.input(net, batch)?,
        };
        if !self.inputs.categories.is_empty() {
            let trained = net.parameters.iter().map(|(p, _)| p.shape.iter().product::<usize>()).sum();
            net.summary.push(("embedding".to_string(), net.graph.shape(h)[1..].to_vec(), trained));
        }
        let mut last = None;
        if let (Some(sequence), targets @ 1..) = (self.inputs.sequence, self.inputs.relative) {
            let found = relative::differences(net.graph, h, sequence, targets)?;
            (h, last) = (found.0, Some(found.1));
        }
        // A dense layer reads the pixels as they come, one after the other.
        let dense = matches!(self.layers.first(), Some(LayerConfig::Dense(_)));
        if let (Some(image), false) = (self.inputs.image, dense) {
            h = net.images(h, [image.channels, image.height, image.width])?;
        }
        // Other layers treat windows as flat rows of numbers.
        let by_step = self.layers.first().is_some_and(|layer| layer.layer().reads_steps());
        if let (Some(sequence), true) = (self.inputs.sequence, by_step) {
            h = net.sequence(h, sequence.length, sequence.width)?;
        }
        net.names = self.names.clone();
        h = net.layers(&self.layers, 0, h)?;
        if let Some(pixels) = self.inputs.pixels {
            return self.by_pixel(net, batch, pixels, h);
        }
        if net.graph.shape(h).len() != 2 {
            let reason = "the layers give each sample a sequence or an image, and the output takes a row of numbers; \
                          end with a `global_pool` or `flatten` layer, or a recurrent one that gives its last state";
            return Err(net.graph.error("output", &[h], reason.into()));
        }
        if self.features_only {
            return nothing_learnt(net, h);
        }
        if let Some(last) = last {
            h = relative::values(net.graph, h, last, self.loss.quantiles().len().max(1))?;
        }
        self.losses(net, batch, h)
    }

    fn quantiles(&self) -> &[f64] {
        self.loss.quantiles()
    }
}

impl Supervised {
    /// The losses of what is predicted of each pixel, `[B, H, W, each]`: predictions are `[B, H W each]` of classes, whose
    /// targets are labels `u32[B, H W]`, and `[B, C H W]` of values, whose targets are such.
    fn by_pixel(
        &self,
        net: &mut Network,
        batch: usize,
        PixelOutputs { size, each }: PixelOutputs,
        h: ValueId,
    ) -> Result<Losses, GraphError> {
        if net.graph.shape(h)[1..] != [size[0], size[1], each] {
            let reason = format!(
                "the layers give images of another size than the target's, {} x {} pixels; let convolutions keep the \
                 size, and enlarge what pooling reduces (`upsample`, `conv_transpose2d`), or use family = \"unet\"",
                size[0], size[1]
            );
            return Err(net.graph.error("output", &[h], reason));
        }
        let pixels = size[0] * size[1];
        if !self.loss.wants_labels() {
            let planes = net.graph.permute(h, &[0, 3, 1, 2])?;
            let values = net.graph.reshape(planes, &[batch, each * pixels])?;
            return self.losses(net, batch, values);
        }
        net.graph.set_layer("loss");
        let labels = net.graph.source(Source::Batch(Y.into()), &[batch, pixels], DType::U32)?;
        let labels = net.graph.reshape(labels, &[batch * pixels])?;
        let scores = net.graph.reshape(h, &[batch * pixels, each])?;
        let (losses, mean) = self.loss.build(net.graph, scores, labels)?;
        let losses = net.graph.reshape(losses, &[batch, pixels])?;
        let rows = net.graph.mean(losses, &[1], false)?;
        let predictions = net.graph.reshape(scores, &[batch, pixels * each])?;
        Ok(Losses { predictions, rows, mean, parts: vec![] })
    }
}

/// The losses of a model that gives features alone.
pub(super) fn nothing_learnt(net: &mut Network, features: ValueId) -> Result<Losses, GraphError> {
    let nothing = net.graph.mul_scalar(features, 0.0)?;
    let rows = net.graph.sum(nothing, &[1], false)?;
    let mean = net.graph.mean(rows, &[0], false)?;
    Ok(Losses { predictions: features, rows, mean, parts: vec![] })
}

impl Supervised {
    /// What an imported network reads.
    fn feeds(&self, net: &mut Network, batch: usize) -> Result<Feeds, GraphError> {
        net.graph.set_layer("input");
        let source = |net: &mut Network, name: String, shape: &[usize], ty| {
            net.graph.source(Source::Batch(name), shape, ty)
        };
        let numbers = match self.inputs.features {
            0 => None,
            width => Some(source(net, X.into(), &[batch, width], DType::F32)?),
        };
        let mut categories = vec![];
        for (column, _) in &self.inputs.categories {
            let ids = source(net, category_source(column), &[batch], DType::U32)?;
            categories.push((column.clone(), ids));
        }
        let image = self.inputs.image.map(|image| [image.channels, image.height, image.width]);
        let sequence = self.inputs.sequence.map(|sequence| [sequence.length, sequence.width]);
        Ok(Feeds { batch, width: self.inputs.features, numbers, categories, image, sequence })
    }

    /// The losses of predictions `[B, outputs]` against the target.
    pub(super) fn losses(
        &self,
        net: &mut Network,
        batch: usize,
        mut h: ValueId,
    ) -> Result<Losses, GraphError> {
        net.graph.set_layer("loss");
        let target = if self.loss.wants_labels() {
            net.graph.source(Source::Batch(Y.into()), &[batch], DType::U32)?
        } else {
            net.graph.source(Source::Batch(Y.into()), &[batch, self.outputs], DType::F32)?
        };
        if let Some(offset) = self.loss.offset() {
            h = net.graph.add_scalar(h, offset)?;
        }
        let (rows, mean) = match self.inputs.weighted {
            false => self.loss.build(net.graph, h, target)?,
            true => {
                let weights = net.graph.source(Source::Batch(WEIGHT.into()), &[batch], DType::F32)?;
                self.loss.build_weighted(net.graph, h, target, weights)?
            }
        };
        Ok(Losses { predictions: h, rows, mean, parts: vec![] })
    }
}
