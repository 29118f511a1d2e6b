//! Recurrent layers: a product of all steps and the recurrence that reads it.

use std::collections::BTreeSet;

use super::{Form, Look};
use crate::graph::{Op, Source, ValueId, ops};
use crate::kernels::recurrence::Cell;
use crate::scalar::BinaryFn;

/// A recurrent layer and which of its results a node is.
#[derive(Clone, Debug, PartialEq)]
pub struct Recurrent {
    /// What a step computes.
    pub cell: Cell,
    /// Whether it goes from the last step to the first.
    pub reverse: bool,
    /// Its input, `[T, B, F]`.
    pub x: ValueId,
    /// `[g H, F]`
    pub w_ih: ValueId,
    /// `[g H, H]`
    pub w_hh: ValueId,
    /// `[g H]` each: `b_ih` and `b_hh`, of which only a GRU cares which is which.
    pub biases: [Option<ValueId>; 2],
    /// The initial states that are not zero: `h` and an LSTM's `c`.
    pub first: [Option<ValueId>; 2],
    /// Which result.
    pub result: States,
    /// Its gates, which identify it together with the weights and the direction.
    pub gates: ValueId,
}

/// A result of a recurrent layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum States {
    /// `h` of all steps, `[T, B, H]`.
    All,
    /// `h` of the step computed last, `[1, B, H]`.
    Last,
    /// `c` of that step.
    LastCell,
}

impl Look<'_> {
    /// The states of the step that a recurrent layer computes last.
    pub(super) fn last_state(&self, value: ValueId) -> Option<Form> {
        let Op::Slice(slice) = self.op(value) else { return None };
        let states = self.inputs(value)[0];
        let Op::Recurrence(recurrence) = self.op(states) else { return None };
        let shape = self.0.shape(states);
        let end = if recurrence.reverse { 0 } else { shape[0] - 1 };
        let whole = slice.starts == [end, 0, 0] && slice.extents == [1, shape[1], shape[2]];
        let result = match recurrence.result {
            ops::States::Hidden => States::Last,
            ops::States::Cell => States::LastCell,
            ops::States::Saved => return None,
        };
        self.recurrent(states, result).filter(|_| whole)
    }

    /// The layer of which a value is the states.
    pub(super) fn recurrent(&self, value: ValueId, result: States) -> Option<Form> {
        let Op::Recurrence(recurrence) = self.op(value) else { return None };
        let (cell, reverse) = (recurrence.cell, recurrence.reverse);
        let all_cells = recurrence.result != ops::States::Hidden && result == States::All;
        let &[gates, w_hh, ref states @ ..] = self.inputs(value) else { return None };
        // The projection of the input: x W^T, plus biases, for all steps at once.
        let mut product = self.origin(gates);
        let mut biases = vec![];
        while let Some([sum, bias]) = self.binary(product, BinaryFn::Add) {
            biases.insert(0, self.bias(bias)?);
            product = sum;
        }
        let Op::MatMul(matmul) = self.op(product) else { return None };
        let &[rows, w_ih] = self.inputs(product) else { return None };
        let Op::Reshape(_) = self.op(rows) else { return None };
        let x = self.inputs(rows)[0];
        let mut first = [None, None];
        let count = if cell == Cell::Lstm { 2 } else { 1 };
        for (at, &state) in states.iter().take(count).enumerate() {
            first[at] = (self.number(state) != Some(0.0)).then_some(state);
        }
        let mut sides = [biases.first().copied(), biases.get(1).copied()];
        if cell == Cell::Gru {
            sides[1] = states.get(1).copied().filter(|&b| self.number(b) != Some(0.0));
        }
        let most = if cell == Cell::Gru { 1 } else { 2 };
        let as_expected = self.0.shape(x).len() == 3
            && (matmul.transpose_a, matmul.transpose_b) == (false, true)
            && biases.len() <= most
            && !all_cells;
        let found = Recurrent { cell, reverse, x, w_ih, w_hh, biases: sides, first, result, gates };
        as_expected.then_some(Form::Recurrent(found))
    }

    /// A vector of weights, which may be computed of those of a file that another program made.
    fn bias(&self, value: ValueId) -> Option<ValueId> {
        let origin = self.origin(value);
        let found = self.0.shape(origin).len() == 1 && self.is_of_weights(origin);
        self.vector(value).or(found.then_some(origin))
    }

    /// Whether a value depends on weights and constants alone.
    fn is_of_weights(&self, value: ValueId) -> bool {
        let (mut open, mut seen) = (vec![value], BTreeSet::new());
        while let Some(value) = open.pop() {
            match self.op(value) {
                Op::Source(source) if !matches!(source.source, Source::Parameter(_) | Source::State(_)) => {
                    return false;
                }
                Op::Random(_) | Op::StepScalar(_) => return false,
                _ => {}
            }
            open.extend(self.inputs(value).iter().filter(|&&input| seen.insert(input)));
        }
        true
    }
}
