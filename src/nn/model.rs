//! Models: named inputs in, losses and outputs out; as a training graph and as an evaluation graph.

use std::sync::Arc;

use super::arrangement::Arrangement;
use super::losses::Losses;
use super::network::Network;
use super::patterns::Patterns;
use super::tensors::{Parameter, State};
use crate::base::tensor::Shape;
use crate::graph::{Graph, GraphError, ValueId, autodiff};
use crate::optim::Optimizer;

/// A model: turns batches of named inputs into losses and outputs.
pub trait Model: std::fmt::Debug + Send + Sync {
    /// Adds the model to a network for batches of `batch` rows, and returns its losses and outputs.
    ///
    /// # Errors
    /// If layer sizes do not match, naming the layer.
    fn build(&self, net: &mut Network, batch: usize) -> Result<Losses, GraphError>;

    /// Tensors that training leaves as they are.
    fn frozen(&self) -> Patterns {
        Patterns::default()
    }

    /// Whether it continues sequences one step at a time, all rows in parallel.
    fn generates(&self) -> bool {
        false
    }

    /// The quantiles that each target has an output for, ascending; empty if outputs are no quantiles.
    fn quantiles(&self) -> &[f64] {
        &[]
    }

    /// The output that says how much a row counts in the mean loss of an evaluation, if rows do not all count the same.
    fn weighs_rows(&self) -> Option<usize> {
        None
    }

    /// The turns of a training step on batches of `batch` rows, if parts of the model are trained against each
    /// other; none if [`Model::graph`] is all there is to train.
    ///
    /// # Errors
    /// If layer sizes do not match, naming the layer.
    fn turns(&self, _batch: usize) -> Result<Vec<Turn>, GraphError> {
        Ok(vec![])
    }

    /// The graph for batches of `batch` rows; with gradients and batch statistics if `training`.
    ///
    /// # Errors
    /// If layer sizes do not match, naming the layer.
    fn graph(&self, batch: usize, training: bool) -> Result<ModelGraph, GraphError> {
        graph_of(self, batch, training)
    }
}

/// The graph of what [`Model::build`] makes.
pub(super) fn graph_of<M: Model + ?Sized>(
    model: &M,
    batch: usize,
    training: bool,
) -> Result<ModelGraph, GraphError> {
    let mut graph = Graph::new();
    let mut net = Network::new(&mut graph, training);
    net.frozen = model.frozen();
    let losses = model.build(&mut net, batch)?;
    let Network { parameters, states, carried, mut updates, summary, given, frozen, .. } = net;
    updates.retain(|(name, _)| !frozen.matches(name));
    let mut gradients = vec![];
    if training {
        let trained: Vec<_> = parameters.iter().filter(|(p, _)| !frozen.matches(&p.name)).collect();
        let values: Vec<ValueId> = trained.iter().map(|(_, v)| *v).collect();
        let found = autodiff::gradients(&mut graph, losses.mean, &values)?;
        gradients = trained.iter().map(|(p, _)| p.name.clone()).zip(found).collect();
    }
    let parameters = parameters.into_iter().map(|(p, _)| p).collect();
    Ok(ModelGraph {
        graph,
        predictions: losses.predictions,
        loss_rows: losses.rows,
        parts: losses.parts,
        loss: losses.mean,
        parameters,
        states,
        carried,
        gradients,
        updates,
        given,
        summary,
    })
}

/// A part of a training step: what is trained against the other parts, as they are at that time, or a change of
/// states.
#[derive(Clone, Debug)]
pub struct Turn {
    /// Its name.
    pub name: &'static str,
    /// How often it comes in a step before the next turn, each time with a batch of its own.
    pub times: usize,
    /// The mathematics.
    pub graph: Graph,
    /// The loss to minimise, a scalar; none if it changes states alone.
    pub loss: Option<ValueId>,
    /// Gradients of the parameters it trains; no other turn trains them.
    pub gradients: Vec<(String, ValueId)>,
    /// New values of states.
    pub updates: Vec<(String, ValueId)>,
    /// How its parameters are trained, if not as the step says.
    pub opponent: Option<Opponent>,
}

/// How a part of a model is trained that has an optimizer of its own.
#[derive(Clone, Debug, PartialEq)]
pub struct Opponent {
    /// Update rule.
    pub optimizer: Optimizer,
    /// Its learning rate, as a multiple of the step's.
    pub rate: f64,
    /// Maximum norm of its gradients.
    pub clip_norm: Option<f64>,
    /// Bound of every weight after an update.
    pub bound: Option<f64>,
}

/// One form of the model, as a graph.
#[derive(Clone, Debug)]
pub struct ModelGraph {
    /// The mathematics.
    pub graph: Graph,
    /// `[B, outputs]`, in the target's scaled units.
    pub predictions: ValueId,
    /// Loss of each row, `[B]`.
    pub loss_rows: ValueId,
    /// Named parts of it, each `[B]`, where evaluation reports them.
    pub parts: Vec<(&'static str, ValueId)>,
    /// The loss to minimise, a scalar.
    pub loss: ValueId,
    /// Trained tensors.
    pub parameters: Vec<Parameter>,
    /// Running statistics.
    pub states: Vec<State>,
    /// Recurrent states carried over to the next batch.
    pub carried: Vec<State>,
    /// Gradient of each parameter (training form only).
    pub gradients: Vec<(String, ValueId)>,
    /// New values of the states (training form only).
    pub updates: Vec<(String, ValueId)>,
    /// Values that tensors start from instead of their initialisation, in the order of their shapes.
    pub given: Vec<(String, Arc<Vec<f32>>)>,
    /// Layer, output shape without the batch, number of trained elements: for summaries.
    pub summary: Vec<(String, Shape, usize)>,
}

impl ModelGraph {
    /// The order in memory of the parameter or running statistic of this name.
    pub fn arrangement(&self, name: &str) -> Arrangement {
        let parameters = self.parameters.iter().map(|p| (&p.name, &p.arrangement));
        let mut all = parameters.chain(self.states.iter().map(|s| (&s.name, &s.arrangement)));
        all.find(|(known, _)| *known == name).map(|(_, arrangement)| arrangement.clone()).unwrap_or_default()
    }
}
