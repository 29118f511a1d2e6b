//! Fused elementwise bodies on the CPU: consecutive elements in parts.

use std::ops::Range;

use super::Pointwise;
use crate::base::step::StepRecord;
use crate::base::tensor::elements;
use crate::kernels::native::NativeRun;
use crate::native::operands::Operands;
use crate::native::parts::{part_range, parts_for};
use crate::native::pool::Pool;
use crate::scalar::native::{Inputs, NativeBody};

/// A prepared elementwise kernel.
pub struct NativePointwise {
    body: NativeBody,
    elements: usize,
    cost: usize,
}

impl NativePointwise {
    /// Prepares `kernel`.
    pub fn new(kernel: &Pointwise, exact: bool) -> Self {
        let elements = elements(&kernel.shape);
        let body = NativeBody::new(&kernel.body, &kernel.shape).exact(exact);
        Self { body, elements, cost: elements * kernel.body.insts.len() / 4 }
    }
}

impl NativeRun for NativePointwise {
    fn run(&self, operands: &Operands, step: &StepRecord, pool: &Pool) {
        let parts = parts_for(self.cost, self.elements / 256);
        pool.run(parts, |part| {
            let range = part_range(self.elements, parts, part);
            run_body(&self.body, operands, step, &[], range.start, range.len());
        });
    }
}

/// Runs `body` over elements `start..start + len`, with `accumulator` holding exactly these elements.
pub(crate) fn run_body(
    body: &NativeBody,
    operands: &Operands,
    step: &StepRecord,
    accumulator: &[f32],
    start: usize,
    len: usize,
) {
    run_columns(body, operands, step, accumulator, [1, len], start..start + len);
}

/// Runs `body` over `columns` of `rows` that are `row` elements long, with `accumulator` holding exactly these elements, row
/// by row, if the body reads it.
#[allow(unsafe_code, reason = "parts of the outputs")]
pub(crate) fn run_columns(
    body: &NativeBody,
    operands: &Operands,
    step: &StepRecord,
    accumulator: &[f32],
    [rows, row]: [usize; 2],
    columns: Range<usize>,
) {
    let reads = Reads::of(operands);
    let mut outputs: [&mut [f32]; MAX_OPERANDS] = std::array::from_fn(|_| Default::default());
    let writes = operands.writes().min(MAX_OPERANDS);
    let len = columns.len();
    Pool::with_scratch(|scratch| {
        for at in 0..rows {
            let start = at * row + columns.start;
            let accumulator = accumulator.get(at * len..(at + 1) * len).unwrap_or_default();
            for (output, slot) in outputs[..writes].iter_mut().enumerate() {
                if body.stores_to(output) {
                    // SAFETY: each element range of an output is run by one part.
                    *slot = unsafe { operands.write(output, start, len) };
                }
            }
            let inputs = Inputs { reads: reads.get(), step, accumulator };
            body.run(&inputs, start, len, &mut outputs[..writes], scratch);
        }
    });
}

/// Maximum operands of a dispatch on the CPU (`Target::native`).
pub(crate) const MAX_OPERANDS: usize = 64;

/// The read operands as slices, without allocating.
pub(crate) struct Reads<'a> {
    slices: [&'a [f32]; MAX_OPERANDS],
    count: usize,
}

impl<'a> Reads<'a> {
    /// The read operands of a dispatch.
    pub fn of(operands: &'a Operands) -> Self {
        let count = operands.reads().min(MAX_OPERANDS);
        let slices = std::array::from_fn(|i| if i < count { operands.read(i) } else { &[] });
        Self { slices, count }
    }

    /// The slices.
    pub fn get(&self) -> &[&'a [f32]] {
        &self.slices[..self.count]
    }
}
