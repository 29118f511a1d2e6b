//! Models of which training leaves some tensors as they are.

use super::losses::Losses;
use super::model::Model;
use super::network::Network;
use super::patterns::Patterns;
use crate::graph::GraphError;

/// A model of which training leaves the tensors of some names as they are: they have no gradient and no update, and
/// a batch norm of them normalises by its running statistics.
#[derive(Debug)]
pub struct Frozen {
    /// The model.
    pub model: Box<dyn Model>,
    /// The names.
    pub names: Patterns,
}

impl Model for Frozen {
    fn build(&self, net: &mut Network, batch: usize) -> Result<Losses, GraphError> {
        self.model.build(net, batch)
    }

    fn frozen(&self) -> Patterns {
        self.names.clone()
    }

    fn weighs_rows(&self) -> Option<usize> {
        self.model.weighs_rows()
    }

    fn generates(&self) -> bool {
        self.model.generates()
    }

    fn quantiles(&self) -> &[f64] {
        self.model.quantiles()
    }
}
