//! Recurrent layers over rows of different lengths, like PyTorch's packed sequences.

use super::recurrence::{Recurrent, RecurrentWeights};
use super::{Graph, GraphError, ValueId};
use crate::kernels::recurrence::Cell;

/// The length of each row in a batch.
#[derive(Clone, Copy, Debug)]
pub struct Lengths {
    /// `f32[T, B]`: 1 at the steps of a row, 0 after them.
    pub mask: ValueId,
    /// `u32[T, B]`: for each step and row, the number (`t B + b`) of the step that takes its place when each
    /// row is reversed separately; steps after the end of a row stay in place. Only needed for the backward
    /// direction.
    pub turned: ValueId,
}

/// The contents of [`Lengths`] for rows of `lengths` steps, at most `steps`: mask and reversed steps.
pub fn tables(lengths: &[usize], steps: usize) -> (Vec<f32>, Vec<u32>) {
    let batch = lengths.len();
    let places =
        || (0..steps).flat_map(|t| lengths.iter().enumerate().map(move |(b, &length)| (t, b, length)));
    let mask = places().map(|(t, _, length)| f32::from(u8::from(t < length))).collect();
    let turned = places()
        .map(|(t, b, length)| (if t < length { length - 1 - t } else { t } * batch + b) as u32)
        .collect();
    (mask, turned)
}

impl Graph {
    /// Like [`Graph::recurrent`], for rows `x` `[T, B, F]` of `lengths` steps, at least one each. Steps after
    /// the end of a row change nothing: their states are 0, and the last states are those of each row's own
    /// last step. In the backward direction, each row starts with its own last step.
    ///
    /// # Errors
    /// If shapes do not match.
    pub fn recurrent_of_lengths(
        &mut self,
        cell: Cell,
        x: ValueId,
        weights: &RecurrentWeights,
        first: [Option<ValueId>; 2],
        reverse: bool,
        lengths: &Lengths,
    ) -> Result<Recurrent, GraphError> {
        let ([steps, batch, _], true) = (&self.shape(x)[..], self.shape(lengths.mask).len() == 2) else {
            let reason = "expected x of shape [T, B, F] and a mask of shape [T, B]";
            return Err(self.error("recurrence", &[x, lengths.mask], reason.into()));
        };
        let (steps, batch) = (*steps, *batch);
        let x = if reverse { self.turn(x, lengths)? } else { x };
        let found = self.recurrent(cell, x, weights, first, false)?;
        // 1 at the last step of each row, 0 elsewhere.
        let later = if steps > 1 {
            let later = self.slice(lengths.mask, &[1, 0], &[steps - 1, batch])?;
            self.pad(later, &[0, 0], &[1, 0])?
        } else {
            self.mul_scalar(lengths.mask, 0.0)?
        };
        let ends = self.sub(lengths.mask, later)?;
        let ends = self.reshape(ends, &[steps, batch, 1])?;
        let mask = self.reshape(lengths.mask, &[steps, batch, 1])?;
        let mut last_of = |states: ValueId| {
            let chosen = self.mul(states, ends)?;
            self.sum(chosen, &[0], false)
        };
        let last = last_of(found.hidden)?;
        let last_cell = found.cells.map(&mut last_of).transpose()?;
        let mut own = |states: ValueId| {
            let states = if reverse { self.turn(states, lengths)? } else { states };
            self.mul(states, mask)
        };
        Ok(Recurrent {
            hidden: own(found.hidden)?,
            cells: found.cells.map(own).transpose()?,
            last,
            last_cell,
        })
    }

    /// Reverses the steps of each row of `x` `[T, B, F]`.
    fn turn(&mut self, x: ValueId, lengths: &Lengths) -> Result<ValueId, GraphError> {
        let shape = self.shape(x).clone();
        let rows = self.reshape(x, &[shape[0] * shape[1], shape[2]])?;
        self.gather(rows, lengths.turned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_turned_each_for_itself() {
        let (mask, turned) = tables(&[2, 3], 3);
        assert_eq!(mask, [1.0, 1.0, 1.0, 1.0, 0.0, 1.0]);
        assert_eq!(turned, [2, 5, 0, 3, 4, 1]);
    }
}
