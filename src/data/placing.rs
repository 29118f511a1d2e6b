//! Where the rows of a data set are kept while a model trains on them.

use std::sync::Arc;

use super::config::{DataConfig, RowsIn};
use super::dataset::Dataset;
use super::padded::Graphs;
use super::room;
use super::stored::Stored;

impl Dataset {
    /// Moves the features to where batches are made from them, if `config` says that they do not go to the device as a
    /// whole. `all` are the bytes of the training and validation rows.
    pub(super) fn keep_as(&mut self, config: &DataConfig, all: u64) {
        let memory = &config.memory;
        self.sent_bytes = memory.sent_bytes();
        self.on_device = memory.rows == RowsIn::Device;
        let too_many = memory.device_bytes().is_some_and(|most| all > most);
        let streams = match memory.rows {
            RowsIn::Host | RowsIn::Disk => true,
            RowsIn::Auto => too_many || room::is_short(all),
            RowsIn::Device => false,
        };
        if streams && self.stored.is_none() {
            self.store();
        }
    }

    /// Moves the features of rows in memory to where batches are made from them.
    pub fn store(&mut self) {
        self.streams = true;
        let stored = match (&mut self.pixels, self.features.len()) {
            _ if self.stored.is_some() || self.features.is_empty() => return,
            (Some(pixels), _) => Stored::in_memory(pixels.stride(), pixels.take_words()),
            (None, width) => {
                Stored::in_memory(width, bytemuck::allocation::cast_vec(std::mem::take(&mut self.x)))
            }
        };
        self.stored = Some(Arc::new(stored));
    }

    /// Bytes of the features.
    pub(super) fn feature_bytes(&self) -> u64 {
        let stored = self.stored.as_ref().map_or(0, |stored| stored.rows() * stored.width());
        let pixels = self.pixels.as_ref().map_or(0, |pixels| pixels.words().len());
        let graphs = self.graphs.as_ref().map_or(0, Graphs::words);
        4 * (stored + pixels + graphs + self.x.len()) as u64
    }
}
