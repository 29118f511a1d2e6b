//! Models: named inputs in, losses and outputs out; as a training graph and as an evaluation graph.

use super::arrangement::Arrangement;
use super::losses::Losses;
use super::network::Network;
use super::tensors::{Parameter, State};
use crate::base::tensor::Shape;
use crate::graph::{Graph, GraphError, ValueId, autodiff};

/// A model: turns batches of named inputs into losses and outputs.
pub trait Model: std::fmt::Debug + Send + Sync {
    /// Adds the model to a network for batches of `batch` rows, and returns its losses and outputs.
    ///
    /// # Errors
    /// If layer sizes do not match, naming the layer.
    fn build(&self, net: &mut Network, batch: usize) -> Result<Losses, GraphError>;

    /// Whether it continues sequences one step at a time, all rows in parallel.
    fn generates(&self) -> bool {
        false
    }

    /// The quantiles that each target has an output for, ascending; empty if outputs are no quantiles.
    fn quantiles(&self) -> &[f64] {
        &[]
    }

    /// The graph for batches of `batch` rows; with gradients and batch statistics if `training`.
    ///
    /// # Errors
    /// If layer sizes do not match, naming the layer.
    fn graph(&self, batch: usize, training: bool) -> Result<ModelGraph, GraphError> {
        let mut graph = Graph::new();
        let mut net = Network::new(&mut graph, training);
        let losses = self.build(&mut net, batch)?;
        let Network { parameters, states, carried, updates, summary, .. } = net;
        let mut gradients = vec![];
        if training {
            let values: Vec<ValueId> = parameters.iter().map(|(_, v)| *v).collect();
            let found = autodiff::gradients(&mut graph, losses.mean, &values)?;
            gradients = parameters.iter().map(|(p, _)| p.name.clone()).zip(found).collect();
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
            summary,
        })
    }
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
