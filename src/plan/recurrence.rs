//! Splits long recurrences into several parts that run in sequence on the same operands.

use super::draft::{Draft, Place};
use crate::base::target::Target;
use crate::kernels::Kernel;
use crate::kernels::recurrence::{Cell, Part, Path, Recurrence, RecurrenceGrad, Scan};

/// The dispatches of a kernel; a single one unless it is a recurrence.
pub(super) fn in_parts(draft: Draft, target: &Target, temporaries: &mut Vec<usize>) -> Vec<Draft> {
    if let Some(kernel) = draft.kernel.downcast::<Recurrence>() {
        return forward(kernel.clone(), draft, target, temporaries);
    }
    if let Some(kernel) = draft.kernel.downcast::<RecurrenceGrad>() {
        return backward(kernel.clone(), draft, target, temporaries);
    }
    vec![draft]
}

/// Gives output `output`, of `words` words, a place if it has none.
fn need(output: &mut Option<usize>, words: usize, writes: &mut Vec<Place>, temporaries: &mut Vec<usize>) {
    if output.is_none() {
        temporaries.push(words);
        *output = Some(writes.len());
        writes.push(Place::Temporary(temporaries.len() - 1));
    }
}

/// Words of a tensor `[T, B, H]`.
fn states(scan: &Scan) -> usize {
    scan.steps * scan.batch * scan.hidden
}

fn forward(
    mut kernel: Recurrence,
    mut draft: Draft,
    target: &Target,
    temporaries: &mut Vec<usize>,
) -> Vec<Draft> {
    let scan = kernel.scan;
    let parts = Part::of(&scan, target);
    if parts.len() > 1 {
        let [hidden, cells, _] = &mut kernel.outputs;
        need(hidden, states(&scan), &mut draft.writes, temporaries);
        if scan.cell == Cell::Lstm {
            need(cells, states(&scan), &mut draft.writes, temporaries);
        }
    }
    let of_part =
        |part| Draft { kernel: Kernel::new(Recurrence { part, ..kernel.clone() }), ..draft.clone() };
    parts.into_iter().map(of_part).collect()
}

fn backward(
    mut kernel: RecurrenceGrad,
    mut draft: Draft,
    target: &Target,
    temporaries: &mut Vec<usize>,
) -> Vec<Draft> {
    let scan = kernel.scan;
    let mut parts = Part::of(&scan, target);
    let closes = kernel.closes;
    if closes && parts[0].path == Path::Step {
        // The last product needs all units of the first step, so it is a separate kernel.
        parts.insert(0, Part { count: 0, ..parts[0] });
    }
    if parts.len() > 1 {
        let [gates, products, hidden, cells] = &mut kernel.outputs;
        let (products, carried) = match scan.cell {
            Cell::Tanh | Cell::Relu => (gates, None),
            Cell::Lstm => (gates, Some(cells)),
            Cell::Gru => (products, Some(hidden)),
        };
        need(products, scan.cell.gates() * states(&scan), &mut draft.writes, temporaries);
        if let Some(carried) = carried {
            need(carried, scan.batch * scan.hidden, &mut draft.writes, temporaries);
        }
    }
    let last = parts.len() - 1;
    let of_part = |(number, part)| {
        // From the last part to the first.
        let kernel = RecurrenceGrad { part, closes: closes && number == last, ..kernel.clone() };
        Draft { kernel: Kernel::new(kernel), ..draft.clone() }
    };
    parts.into_iter().rev().enumerate().map(of_part).collect()
}
