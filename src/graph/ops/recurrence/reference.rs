//! The reference: every row of the batch by itself, step by step.

use std::ops::Range;

use super::{Of, Recurrence, RecurrenceGrad, States};
use crate::base::tensor::{Tensor, TensorType};
use crate::kernels::recurrence::{Cell, Seed};
use crate::oracle::recurrence::{Given, Later, Layer, State};

/// Times of the steps, in the order of the scan.
fn times(steps: usize, reverse: bool) -> Vec<usize> {
    if reverse { (0..steps).rev().collect() } else { (0..steps).collect() }
}

/// Where row `row` of a tensor `[T, B, width]` lies at time `t`.
fn place(batch: usize, width: usize, row: usize, t: usize) -> Range<usize> {
    let start = (t * batch + row) * width;
    start..start + width
}

/// The result of a recurrence.
pub(super) fn states(op: &Recurrence, inputs: &[&Tensor], ty: &TensorType) -> Tensor {
    let (batch, hidden) = (inputs[2].shape[0], inputs[2].shape[1]);
    let (gates, w) = (&inputs[0].data, &inputs[1].data);
    let (layer, cells): (_, &[f64]) = match op.cell {
        Cell::Tanh => (Layer::Tanh(w), &[]),
        Cell::Relu => (Layer::Relu(w), &[]),
        Cell::Lstm => (Layer::Lstm(w), &inputs[3].data),
        Cell::Gru => (Layer::Gru(w, &inputs[3].data), &[]),
    };
    let mut out = Tensor::full(ty.shape.clone(), f64::NAN);
    let times = times(ty.shape[0], op.reverse);
    for row in 0..batch {
        let state = place(batch, hidden, row, 0);
        let cells = if cells.is_empty() { cells } else { &cells[state.clone()] };
        let first = State::exact(&inputs[2].data[state], cells);
        let gates = times.iter().map(|&t| &gates[place(batch, inputs[0].shape[2], row, t)]);
        for (&t, step) in times.iter().zip(layer.forward(gates, first)) {
            let result = match op.result {
                States::Hidden => step.state.h,
                States::Cell => step.state.c,
                States::Saved => step.saved,
            };
            out.data[place(batch, result.len(), row, t)].copy_from_slice(&result);
        }
    }
    out
}

/// The gradient of one.
pub(super) fn gradient(op: &RecurrenceGrad, inputs: &[&Tensor], ty: &TensorType) -> Tensor {
    let [steps, batch, hidden] = [0, 1, 2].map(|d| inputs[0].shape[d]);
    let data = |i: usize, width: usize, row: usize, t: usize| &inputs[i].data[place(batch, width, row, t)];
    let w = &inputs[1].data;
    let layer = match op.cell {
        Cell::Tanh => Layer::Tanh(w),
        Cell::Relu => Layer::Relu(w),
        Cell::Lstm => Layer::Lstm(w),
        // The gradient does not depend on the biases.
        Cell::Gru => Layer::Gru(w, &[]),
    };
    let times = times(steps, op.reverse);
    let mut out = Tensor::full(ty.shape.clone(), f64::NAN);
    for row in 0..batch {
        let given = |step: usize| {
            let t = times[step];
            let seed = data(0, hidden, row, t);
            let (dh, dc): (&[f64], &[f64]) = match op.seed {
                Seed::Hidden => (seed, &[]),
                Seed::Cell => (&[], seed),
            };
            match op.cell {
                Cell::Tanh | Cell::Relu => {
                    Given { dh, dc, saved: &[], after: data(2, hidden, row, t), before: &[] }
                }
                Cell::Lstm | Cell::Gru => {
                    let before = match step {
                        0 => data(4, hidden, row, 0),
                        _ => data(3, hidden, row, times[step - 1]),
                    };
                    let (saved, after) = (data(2, 4 * hidden, row, t), data(3, hidden, row, t));
                    Given { dh, dc, saved, after, before }
                }
            }
        };
        let (gradients, later) = layer.backward((0..steps).rev().map(given), Later::nothing(hidden));
        let mut put = |t: usize, values: &[f64]| {
            out.data[place(batch, values.len(), row, t)].copy_from_slice(values);
        };
        let by_time = times.iter().rev().zip(&gradients);
        match op.of {
            Of::Gates => by_time.for_each(|(&t, gradient)| put(t, &gradient.gates)),
            Of::Products => by_time.for_each(|(&t, gradient)| put(t, &gradient.products)),
            Of::FirstHidden => put(0, &layer.arriving(&later, &[])),
            Of::FirstCell => put(0, &later.c),
        }
    }
    out
}
