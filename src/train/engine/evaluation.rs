//! Predictions for all evaluation rows, batch by batch.

use super::Engine;
use crate::base::step::StepRecord;
use crate::device::Run;
use crate::plan::Slice;
use crate::train::TrainError;
use crate::train::metrics::Predictions;

impl Engine {
    /// Evaluates the evaluation rows.
    ///
    /// # Errors
    /// If the device fails.
    pub fn evaluate(&mut self) -> Result<Predictions, TrainError> {
        self.evaluate_draw(0)
    }

    /// Evaluates the evaluation rows with fresh random numbers for each `draw`, if the model uses any.
    ///
    /// # Errors
    /// If the device fails.
    pub fn evaluate_draw(&mut self, draw: u32) -> Result<Predictions, TrainError> {
        self.begin_anew(1)?;
        let at = self.compiled.layout.data.len() - 1;
        let batches = self.evaluation_batches();
        let room = self.feeds[at].as_ref().map(|feed| feed.rows() / self.evaluation_batch);
        let together = room.unwrap_or(batches).max(1);
        let mut values = vec![];
        for first in (0..batches).step_by(together) {
            let count = together.min(batches - first);
            self.enqueue_evaluation(draw, first, count)?;
            self.read_evaluation(count, &mut values)?;
        }
        Ok(self.evaluated(values))
    }

    /// Batches of an evaluation.
    pub(super) fn evaluation_batches(&self) -> usize {
        self.evaluation_rows.div_ceil(self.evaluation_batch)
    }

    /// Runs `count` batches of the evaluation, from number `first` on, without waiting for them.
    pub(super) fn enqueue_evaluation(
        &mut self,
        draw: u32,
        first: usize,
        count: usize,
    ) -> Result<(), TrainError> {
        let at = self.compiled.layout.data.len() - 1;
        let run = |slot: usize| {
            let step = StepRecord {
                batch_start: ((first + slot) * self.evaluation_batch) as u32,
                slot: slot as u32,
                step: (first + slot) as u32,
                seed_low: draw,
                ..StepRecord::default()
            };
            Run { phase: self.evaluation, step }
        };
        let runs: Vec<Run> = (0..count).map(run).collect();
        self.run_on(at, &runs)
    }

    /// Where the results of `count` batches of the evaluation are, one after the other.
    pub(super) fn evaluation_places(&self, count: usize) -> Vec<Slice> {
        let results = &self.compiled.layout.phases[self.evaluation].results;
        let words = |width: usize| count * self.evaluation_batch * width;
        let places = results.iter().zip(self.evaluation_widths());
        places.map(|(result, width)| Slice { words: words(width), ..result.slice }).collect()
    }

    /// Numbers of a row in each result of the evaluation.
    fn evaluation_widths(&self) -> Vec<usize> {
        match self.characters {
            Some(_) => vec![self.outputs],
            None => [self.outputs, 1].into_iter().chain(self.graph.parts.iter().map(|_| 1)).collect(),
        }
    }

    /// Appends the results of the `count` batches of the evaluation that ran last to `values`.
    pub(super) fn read_evaluation(
        &mut self,
        count: usize,
        values: &mut Vec<Vec<u32>>,
    ) -> Result<(), TrainError> {
        for (at, place) in self.evaluation_places(count).into_iter().enumerate() {
            let found = self.session.read(place.buffer, place.start, place.words)?;
            match values.get_mut(at) {
                Some(values) => values.extend(found),
                None => values.push(found),
            }
        }
        Ok(())
    }

    /// The evaluation whose results, with the values of each place, are `values`.
    pub(super) fn evaluated(&self, values: Vec<Vec<u32>>) -> Predictions {
        // In row order.
        let in_order = self.positions.iter().enumerate().all(|(at, &place)| at == place);
        let rows = |values: Vec<u32>, width: usize| -> Vec<f32> {
            if in_order {
                let words = values.into_iter().take(self.positions.len() * width);
                return words.map(f32::from_bits).collect();
            }
            let row = |&place: &usize| values[place * width..(place + 1) * width].iter();
            self.positions.iter().flat_map(row).map(|&word| f32::from_bits(word)).collect()
        };
        let widths = self.evaluation_widths();
        let mut found = values.into_iter().zip(&widths).map(|(values, &width)| rows(values, width));
        let mut raw = found.next().unwrap_or_default();
        let losses = match self.characters {
            Some(characters) => {
                raw.truncate(characters);
                raw.clone()
            }
            None => found.next().unwrap_or_default(),
        };
        let weights = match self.weighing {
            Some(at) => raw.chunks(self.outputs).map(|row| f64::from(row[at])).collect(),
            None => self.weights.clone(),
        };
        let parts: Vec<_> = self.graph.parts.iter().map(|(name, _)| *name).zip(found).collect();
        Predictions {
            raw,
            outputs: self.outputs,
            quantiles: self.quantiles.clone(),
            truth: self.truth.clone(),
            weights,
            temperature: None,
            losses,
            parts,
            members: self.members.clone(),
        }
    }
}
