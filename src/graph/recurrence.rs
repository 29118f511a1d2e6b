//! Builder methods of recurrent layers.

use super::ops::{Op, Recurrence, States};
use super::{Graph, GraphError, ValueId};
use crate::kernels::recurrence::{Cell, Scan, most_steps};

/// Tensors of one layer and direction, with PyTorch's names and shapes.
#[derive(Clone, Copy, Debug)]
pub struct RecurrentWeights {
    /// `[g H, F]`
    pub w_ih: ValueId,
    /// `[g H, H]`
    pub w_hh: ValueId,
    /// `[g H]`
    pub b_ih: Option<ValueId>,
    /// `[g H]`
    pub b_hh: Option<ValueId>,
}

/// What a recurrent layer gives.
#[derive(Clone, Copy, Debug)]
pub struct Recurrent {
    /// `h` of all steps, `[T, B, H]`.
    pub hidden: ValueId,
    /// `c` of all steps, `[T, B, H]`, of an LSTM.
    pub cells: Option<ValueId>,
    /// `h` of the step computed last, `[B, H]`.
    pub last: ValueId,
    /// `c` of that step, `[B, H]`, of an LSTM.
    pub last_cell: Option<ValueId>,
}

impl Graph {
    /// One layer of `nn.RNN`, `nn.LSTM` or `nn.GRU` in one direction over `x` `[T, B, F]`, from the states `first`, `h_0` and (for
    /// an LSTM) `c_0` `[B, H]`; zeros where there are none. The input's product is one for all steps; the steps are one
    /// kernel, or several one after the other for long sequences.
    ///
    /// # Errors
    /// If shapes do not fit.
    pub fn recurrent(
        &mut self,
        cell: Cell,
        x: ValueId,
        weights: &RecurrentWeights,
        first: [Option<ValueId>; 2],
        reverse: bool,
    ) -> Result<Recurrent, GraphError> {
        let ([steps, batch, features], [_, hidden]) = (&self.shape(x)[..], &self.shape(weights.w_hh)[..])
        else {
            let reason = "expected x of shape [T, B, F] and weights of shape [g H, H]";
            return Err(self.error("recurrence", &[x, weights.w_hh], reason.into()));
        };
        let (steps, batch, features, hidden) = (*steps, *batch, *features, *hidden);
        // A matrix of all rows of all steps: the biases join its product, their gradients that of the weights.
        let rows = self.reshape(x, &[steps * batch, features])?;
        let mut gates = self.matmul_with(rows, weights.w_ih, false, true)?;
        // The biases add up, but for the reset gate of a GRU, which scales one of them.
        let second = if cell == Cell::Gru { None } else { weights.b_hh };
        for bias in weights.b_ih.into_iter().chain(second) {
            gates = self.add(gates, bias)?;
        }
        let width = self.shape(gates)[1];
        let gates = self.reshape(gates, &[steps, batch, width])?;
        let mut state = match first[0] {
            Some(h) => h,
            None => self.constant(&[batch, hidden], &vec![0.0; batch * hidden])?,
        };
        let mut cells = match (cell, first[1]) {
            (Cell::Lstm, Some(c)) => Some(c),
            (Cell::Lstm, None) => Some(self.constant(&[batch, hidden], &vec![0.0; batch * hidden])?),
            _ => None,
        };
        let bias = match (cell, weights.b_hh) {
            (Cell::Gru, Some(b)) => Some(b),
            (Cell::Gru, None) => Some(self.constant(&[width], &vec![0.0; width])?),
            _ => None,
        };
        let (mut parts, mut cell_parts) = (vec![], vec![]);
        let most = most_steps(&Scan { cell, steps, batch, hidden, reverse });
        for part in 0..steps.div_ceil(most) {
            let count = most.min(steps - part * most);
            let start = if reverse { steps - part * most - count } else { part * most };
            let part = self.slice(gates, &[start, 0, 0], &[count, batch, width])?;
            let mut operands = vec![part, weights.w_hh, state];
            operands.extend(cells.or(bias));
            let push = |graph: &mut Self, result| {
                graph.push(Op::Recurrence(Recurrence { cell, reverse, result }), &operands)
            };
            let last = if reverse { 0 } else { count - 1 };
            let hidden_states = push(self, States::Hidden)?;
            if cells.is_some() {
                let all = push(self, States::Cell)?;
                cells = Some(self.step_of(all, last)?);
                cell_parts.push(all);
            }
            state = self.step_of(hidden_states, last)?;
            parts.push(hidden_states);
        }
        if reverse {
            parts.reverse();
            cell_parts.reverse();
        }
        let all_cells = if cell_parts.is_empty() { None } else { Some(self.concat(&cell_parts, 0)?) };
        Ok(Recurrent { hidden: self.concat(&parts, 0)?, cells: all_cells, last: state, last_cell: cells })
    }

    /// `x[t]` of `x` `[T, B, H]`.
    fn step_of(&mut self, x: ValueId, t: usize) -> Result<ValueId, GraphError> {
        let (batch, width) = (self.shape(x)[1], self.shape(x)[2]);
        let step = self.slice(x, &[t, 0, 0], &[1, batch, width])?;
        self.reshape(step, &[batch, width])
    }
}
