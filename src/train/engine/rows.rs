//! The rows of data sets on the device, in their order.

use super::{Engine, feed};
use crate::data::Dataset;
use crate::device::Run;
use crate::nn::inputs;
use crate::train::TrainError;

impl Engine {
    /// Whether rows that train are sent to the device as they are needed.
    pub fn streams(&self) -> bool {
        self.feeds.first().is_some_and(Option::is_some)
    }

    /// Has batches take the rows on the device in the order in which they were sent.
    pub(super) fn number_places(&mut self, at: usize) -> Result<(), TrainError> {
        let Some(slice) = self.compiled.layout.data[at].order else { return Ok(()) };
        let places: Vec<u32> = (0..slice.words as u32).collect();
        Ok(self.session.write(slice.buffer, slice.start, &places)?)
    }

    /// Runs phases on batches of data set `at`, whose rows are sent if they are not there.
    pub(super) fn run_on(&mut self, at: usize, runs: &[Run]) -> Result<(), TrainError> {
        match &mut self.feeds[at] {
            Some(feed) => {
                feed.run(&mut *self.session, &self.compiled.layout.data[at], runs, &self.bounds[at])
            }
            None => Ok(self.session.run_all(runs)?),
        }
    }

    pub(super) fn upload(&mut self, at: usize, data: &Dataset) -> Result<(), TrainError> {
        for (name, parts) in self.compiled.layout.data[at].columns.clone() {
            let owned;
            let words: &[u32] = match (&data.text, &data.pixels, &data.stored) {
                // The targets of a text are in the same words.
                (Some(_), ..) if name != inputs::X => continue,
                // By far the largest block, so it is not copied again.
                (Some(text), ..) => &text.symbols,
                _ if data.documents.is_some() => {
                    owned = feed::words(data, &name);
                    &owned
                }
                (None, Some(pixels), None) if name == inputs::X => pixels.words(),
                (None, None, None) if name == inputs::X => bytemuck::cast_slice(&data.x),
                _ => {
                    owned = feed::words(data, &name);
                    &owned
                }
            };
            for part in parts {
                let slice = part.slice;
                // The last stored rows precede no target, so only rows that windows reach are on the device.
                let words = part.of(words);
                self.session.write(slice.buffer, slice.start, words)?;
                if data.text.is_some() {
                    // The last sequence may be shorter than its row. No evaluated character comes after the
                    // padding.
                    let rest = vec![0; slice.words - words.len()];
                    self.session.write(slice.buffer, slice.start + words.len(), &rest)?;
                }
            }
        }
        Ok(())
    }

    /// Sets the order of the samples in data set `at`; entries beyond `order` are 0.
    ///
    /// # Errors
    /// If the device fails.
    pub fn set_order(&mut self, at: usize, order: &[u32]) -> Result<(), TrainError> {
        self.tell_order(at, order)?;
        if let Some(feed) = &mut self.feeds[at] {
            feed.set_order(order);
            return Ok(());
        }
        if let Some(slice) = self.compiled.layout.data[at].order {
            let order = &order[..order.len().min(slice.words)];
            let starts = &self.starts[at];
            let rows: Vec<u32> =
                order.iter().map(|&i| starts.get(i as usize).copied().unwrap_or(i)).collect();
            self.session.write(slice.buffer, slice.start, &rows)?;
        }
        Ok(())
    }

    /// Puts `rows` in the place of the evaluation rows, of which there are as many.
    ///
    /// # Errors
    /// If the device fails.
    pub fn replace(&mut self, rows: &Dataset) -> Result<(), TrainError> {
        let at = self.compiled.layout.data.len() - 1;
        match &mut self.feeds[at] {
            Some(feed) => {
                feed.replace(rows);
                Ok(())
            }
            None => self.upload(at, rows),
        }
    }
}
