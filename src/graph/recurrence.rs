//! Builder methods of recurrent layers.

use super::ops::{Op, Recurrence, States};
use super::{Graph, GraphError, ValueId};
use crate::kernels::recurrence::Cell;

/// The parameters of one layer and direction, with PyTorch's names and shapes.
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

/// The results of a recurrent layer.
#[derive(Clone, Copy, Debug)]
pub struct Recurrent {
    /// `h` of all steps, `[T, B, H]`.
    pub hidden: ValueId,
    /// `c` of all steps, `[T, B, H]`, for an LSTM.
    pub cells: Option<ValueId>,
    /// `h` of the step computed last, `[B, H]`.
    pub last: ValueId,
    /// `c` of that step, `[B, H]`, for an LSTM.
    pub last_cell: Option<ValueId>,
}

impl Graph {
    /// One layer of `nn.RNN`, `nn.LSTM` or `nn.GRU` in one direction over `x` `[T, B, F]`. `first` holds the
    /// initial states `h_0` and (for an LSTM) `c_0` `[B, H]`; missing ones are zero. The input projection is
    /// a single product for all steps; the steps are one kernel, or several in sequence if they take long.
    ///
    /// # Errors
    /// If shapes do not match.
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
        // A matrix of all rows of all steps, so that the biases fuse with its product and their gradients
        // with that of the weights.
        let rows = self.reshape(x, &[steps * batch, features])?;
        let mut gates = self.matmul_with(rows, weights.w_ih, false, true)?;
        // The biases are added, except for the reset gate of a GRU, which scales one of them.
        let second = if cell == Cell::Gru { None } else { weights.b_hh };
        for bias in weights.b_ih.into_iter().chain(second) {
            gates = self.add(gates, bias)?;
        }
        let width = self.shape(gates)[1];
        let gates = self.reshape(gates, &[steps, batch, width])?;
        let state = match first[0] {
            Some(h) => h,
            None => self.constant(&[batch, hidden], &vec![0.0; batch * hidden])?,
        };
        let beside = match (cell, first[1], weights.b_hh) {
            (Cell::Tanh | Cell::Relu, ..) => None,
            (Cell::Lstm, Some(c), _) => Some(c),
            (Cell::Lstm, None, _) => Some(self.constant(&[batch, hidden], &vec![0.0; batch * hidden])?),
            (Cell::Gru, _, Some(b)) => Some(b),
            (Cell::Gru, _, None) => Some(self.constant(&[width], &vec![0.0; width])?),
        };
        let mut operands = vec![gates, weights.w_hh, state];
        operands.extend(beside);
        let mut push = |result| self.push(Op::Recurrence(Recurrence { cell, reverse, result }), &operands);
        let hidden = push(States::Hidden)?;
        let cells = if cell == Cell::Lstm { Some(push(States::Cell)?) } else { None };
        let end = if reverse { 0 } else { steps.saturating_sub(1) };
        let last = self.step_of(hidden, end)?;
        let last_cell = cells.map(|c| self.step_of(c, end)).transpose()?;
        Ok(Recurrent { hidden, cells, last, last_cell })
    }

    /// `x[t]` of `x` `[T, B, H]`.
    fn step_of(&mut self, x: ValueId, t: usize) -> Result<ValueId, GraphError> {
        let (batch, width) = (self.shape(x)[1], self.shape(x)[2]);
        let step = self.slice(x, &[t, 0, 0], &[1, batch, width])?;
        self.reshape(step, &[batch, width])
    }
}
