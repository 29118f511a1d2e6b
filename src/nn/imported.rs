//! Networks that others made: a body that is no list of layers.

use std::fmt;
use std::sync::Arc;

use super::losses::Loss;
use super::network::Network;
use crate::graph::{GraphError, ValueId};

/// What an imported network reads.
#[derive(Clone, Debug, Default)]
pub struct Feeds {
    /// Rows of a batch.
    pub batch: usize,
    /// Numbers of a row.
    pub width: usize,
    /// The numbers `[B, width]`; none if there are none.
    pub numbers: Option<ValueId>,
    /// Category columns: name and `u32[B]`.
    pub categories: Vec<(String, ValueId)>,
    /// Channels, height and width, if the numbers are images.
    pub image: Option<[usize; 3]>,
    /// Steps and values of each, if the numbers are windows of a series.
    pub sequence: Option<[usize; 2]>,
}

/// A network that others made.
pub trait Body: fmt::Debug + Send + Sync {
    /// Appends it, and returns its `[B, outputs]`; what a loss of logits applies by itself is left out.
    ///
    /// # Errors
    /// If it does not read what is fed, or gives another number of outputs.
    fn build(
        &self,
        net: &mut Network,
        feeds: &Feeds,
        outputs: usize,
        loss: &Loss,
    ) -> Result<ValueId, GraphError>;

    /// Appends what its last dense layer reads: the last hidden features `[B, features]`.
    ///
    /// # Errors
    /// If it does not end with a dense layer.
    fn features(&self, net: &mut Network, feeds: &Feeds) -> Result<ValueId, GraphError>;

    /// Whether its training form computes statistics over the rows of a batch.
    fn normalises_batch(&self) -> bool;

    /// SHA-256 of the file.
    fn digest(&self) -> &str;

    /// The file, with all weights in it.
    fn bytes(&self) -> &[u8];
}

/// A network that others made, where a configuration has one; equal if the file is.
#[derive(Clone, Debug)]
pub struct Imported(pub Arc<dyn Body>);

impl PartialEq for Imported {
    fn eq(&self, other: &Self) -> bool {
        self.0.digest() == other.0.digest()
    }
}
