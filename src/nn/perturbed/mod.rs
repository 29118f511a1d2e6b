//! Adversarial training: a model that is trained on inputs changed within a radius so that its loss grows.
//!
//! The search for those inputs is part of the training step's graph, one copy of the evaluation form and of its
//! gradient for each step, so a training step remains one submission. The evaluation form, without dropout and with
//! running statistics, is what users will attack, and what TRADES attacks in training.

mod attack;
pub mod config;

pub use config::{AdversarialTraining, Method, Norm};

use super::inputs::X;
use super::losses::Losses;
use super::model::{Model, ModelGraph};
use super::network::Network;
use crate::base::tensor::DType;
use crate::graph::copy::Places;
use crate::graph::{Graph, GraphError, Node, Op, Source, ValueId, autodiff};

/// How far each number of a row may move.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Room {
    /// One unit of distance; 0 for a number that stays.
    pub scale: Vec<f32>,
    /// The smallest and the largest number.
    pub range: Vec<[f32; 2]>,
}

impl Room {
    /// The same, with numbers after the others that stay, `width` in all.
    pub fn widened(mut self, width: usize) -> Self {
        self.scale.resize(width, 0.0);
        self.range.resize(width, [0.0; 2]);
        self
    }
}

/// A model trained on changed inputs. Evaluated, it is the model itself.
#[derive(Debug)]
pub struct Perturbed {
    /// The model.
    pub model: Box<dyn Model>,
    /// How inputs are changed.
    pub how: AdversarialTraining,
    /// How far each may be, `[features]`.
    pub room: Room,
}

impl Model for Perturbed {
    fn build(&self, net: &mut Network, batch: usize) -> Result<Losses, GraphError> {
        self.model.build(net, batch)
    }

    fn quantiles(&self) -> &[f64] {
        self.model.quantiles()
    }

    fn graph(&self, batch: usize, training: bool) -> Result<ModelGraph, GraphError> {
        if !training {
            return self.model.graph(batch, false);
        }
        let (trained, evaluated) = (self.model.graph(batch, true)?, self.model.graph(batch, false)?);
        let mut graph = Graph::new();
        let x = graph.source(Source::Batch(X.into()), &[batch, self.room.scale.len()], DType::F32)?;
        let changed = attack::attacked(&mut graph, x, &evaluated, self)?;
        graph.set_layer("");
        if self.how.method == Method::Trades {
            trades(graph, changed, trained, self.how.beta)
        } else {
            moved(graph, changed, trained)
        }
    }
}

/// Values of `of` and what they depend on, at `x` in place of its features.
fn at(graph: &mut Graph, of: &Graph, roots: &[ValueId], x: ValueId) -> Result<Places, GraphError> {
    let is_input = |node: &Node| matches!(&node.op, Op::Source(op) if op.source == Source::Batch(X.into()));
    graph.append(of, roots, &mut |_, node| Ok(is_input(node).then_some(x)))
}

/// The training form at `x`.
fn moved(mut graph: Graph, x: ValueId, trained: ModelGraph) -> Result<ModelGraph, GraphError> {
    let named = trained.gradients.iter().chain(&trained.updates).map(|(_, value)| *value);
    let roots: Vec<ValueId> = [trained.predictions, trained.loss_rows, trained.loss]
        .into_iter()
        .chain(trained.parts.iter().map(|(_, value)| *value))
        .chain(named)
        .collect();
    let places = at(&mut graph, &trained.graph, &roots, x)?;
    let of = |named: Vec<(String, ValueId)>| named.into_iter().map(|(name, value)| (name, places.of(value)));
    Ok(ModelGraph {
        predictions: places.of(trained.predictions),
        loss_rows: places.of(trained.loss_rows),
        loss: places.of(trained.loss),
        parts: trained.parts.into_iter().map(|(name, value)| (name, places.of(value))).collect(),
        gradients: of(trained.gradients).collect(),
        updates: of(trained.updates).collect(),
        graph,
        ..trained
    })
}

/// The training form at the rows themselves, with `beta` times the divergence of the predictions at `x` in its loss.
/// Running statistics are those of the rows themselves.
fn trades(mut graph: Graph, x: ValueId, trained: ModelGraph, beta: f64) -> Result<ModelGraph, GraphError> {
    let shape = graph.shape(x).clone();
    let clean = graph.source(Source::Batch(X.into()), &shape, DType::F32)?;
    let names: Vec<String> = trained.gradients.iter().map(|(name, _)| name.clone()).collect();
    let trained = moved(graph, clean, ModelGraph { gradients: vec![], ..trained })?;
    let mut graph = trained.graph.clone();
    let near = at(&mut graph, &trained.graph, &[trained.predictions], x)?.of(trained.predictions);
    graph.set_layer("adversarial");
    let rows = attack::divergence(&mut graph, trained.predictions, near)?;
    let mean = graph.mean(rows, &[0], false)?;
    let weighted = graph.mul_scalar(mean, beta)?;
    let loss = graph.add(trained.loss, weighted)?;
    let mut parameters = vec![];
    for name in &names {
        let is_it =
            |node: &Node| matches!(&node.op, Op::Source(op) if op.source == Source::Parameter(name.clone()));
        let found = graph.nodes.iter().position(is_it).map(|at| ValueId(at as u32));
        // A parameter that nothing reads has a gradient of zeros, which the loss's own scalar stands for.
        parameters.push(found.unwrap_or(loss));
    }
    let found = autodiff::gradients(&mut graph, loss, &parameters)?;
    Ok(ModelGraph { graph, loss, gradients: names.into_iter().zip(found).collect(), ..trained })
}

#[cfg(test)]
mod tests;
