//! Samples of recurrent layers: every cell, both directions, with and without biases and first states.

use super::Draw;
use super::list::Collection;
use crate::graph::GraphError;
use crate::graph::recurrence::RecurrentWeights;
use crate::kernels::recurrence::Cell;

pub(super) fn recurrences(all: &mut Collection) -> Result<(), GraphError> {
    let sizes = [([1, 1, 1], 1), ([2, 3, 2], 3), ([5, 2, 3], 4), ([3, 5, 1], 17)];
    for cell in [Cell::Tanh, Cell::Relu, Cell::Lstm, Cell::Gru] {
        for (number, (x, hidden)) in sizes.into_iter().enumerate() {
            for reverse in [false, true] {
                let states = number % 2 == 1;
                all.add(format!("{cell:?} of {x:?}, {hidden} units, reverse {reverse}"), |g| {
                    let [_, batch, inputs] = x;
                    let width = cell.gates() * hidden;
                    let small = Draw::Between(-0.6, 0.6);
                    // Few units of relu near its kink.
                    let biases = if cell == Cell::Relu { Draw::Between(-4.0, 4.0) } else { small };
                    let x = g.normal(&x)?;
                    let weights = RecurrentWeights {
                        w_ih: g.draw(&[width, inputs], small)?,
                        w_hh: g.draw(&[width, hidden], small)?,
                        b_ih: Some(g.draw(&[width], biases)?),
                        b_hh: if number == 0 { None } else { Some(g.draw(&[width], small)?) },
                    };
                    let first = if states {
                        let h = g.draw(&[batch, hidden], small)?;
                        let c =
                            if cell == Cell::Lstm { Some(g.draw(&[batch, hidden], small)?) } else { None };
                        [Some(h), c]
                    } else {
                        [None, None]
                    };
                    let found = g.graph.recurrent(cell, x, &weights, first, reverse)?;
                    // What becomes of the last cell flows back too.
                    match found.last_cell {
                        Some(c) if number > 1 => g.graph.add(found.hidden, c),
                        _ => Ok(found.hidden),
                    }
                })?;
            }
        }
    }
    Ok(())
}
