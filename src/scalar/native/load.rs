//! Loads through views: fills a chunk of consecutive iteration elements from an operand.

use super::prepare::merged;
use crate::scalar::View;

/// A view prepared for one iteration shape.
#[derive(Clone, Debug)]
pub(super) enum Loader {
    /// Element `offset + i` at linear index `i`.
    Contiguous { offset: usize },
    /// The same element everywhere.
    Uniform { offset: usize },
    /// Element `offset + i % period`: the same row for every row.
    Repeated { offset: usize, period: usize },
    /// Element `offset + (i / run) * stride`: one element for a whole row.
    Runs { offset: usize, run: usize, stride: usize },
    /// Anything else.
    Strided { view: View, shape: Vec<usize> },
}

impl Loader {
    pub fn new(view: &View, shape: &[usize]) -> Self {
        let (view, shape) = merged(view, shape);
        let strides: Vec<Option<usize>> = view.strides.iter().map(|&s| usize::try_from(s).ok()).collect();
        let simple = usize::try_from(view.offset).ok().filter(|_| view.guards.is_empty());
        match (simple, &strides[..], &shape[..]) {
            (Some(offset), [] | [Some(0)], _) => Loader::Uniform { offset },
            (Some(offset), [Some(1)], _) => Loader::Contiguous { offset },
            (Some(offset), [Some(0), Some(1)], &[_, period]) => Loader::Repeated { offset, period },
            (Some(offset), &[Some(stride), Some(0)], &[_, run]) => Loader::Runs { offset, run, stride },
            _ => Loader::Strided { view, shape },
        }
    }

    /// Fills `out` with the elements at iteration indices `start..start + out.len()`.
    #[inline(always)]
    pub fn fill(&self, operand: &[f32], start: usize, out: &mut [f32]) {
        match self {
            Loader::Contiguous { offset } => {
                out.copy_from_slice(&operand[offset + start..offset + start + out.len()]);
            }
            Loader::Uniform { offset } => out.fill(operand[*offset]),
            Loader::Repeated { offset, period } => {
                let row = &operand[*offset..offset + period];
                in_rows(start, *period, out, |_, column, part| {
                    part.copy_from_slice(&row[column..column + part.len()]);
                });
            }
            Loader::Runs { offset, run, stride } => {
                in_rows(start, *run, out, |row, _, part| part.fill(operand[offset + row * stride]));
            }
            Loader::Strided { view, shape } => strided(view, shape, operand, start, out),
        }
    }
}

/// Calls `fill(row, first column, elements)` for the part of each row of `columns` elements that lies in
/// `out`, which starts at linear index `start`.
#[inline(always)]
fn in_rows(start: usize, columns: usize, out: &mut [f32], fill: impl Fn(usize, usize, &mut [f32])) {
    let (mut row, mut column) = (start / columns, start % columns);
    let mut rest = out;
    while !rest.is_empty() {
        let (part, after) = rest.split_at_mut((columns - column).min(rest.len()));
        fill(row, column, part);
        (row, column, rest) = (row + 1, 0, after);
    }
}

/// Walks runs along the innermost dimension.
fn strided(view: &View, shape: &[usize], operand: &[f32], start: usize, out: &mut [f32]) {
    let rank = shape.len();
    if rank == 0 {
        let inside = view.guards.is_empty();
        out.fill(if inside { operand[view.offset.max(0) as usize] } else { 0.0 });
        return;
    }
    // Shapes in plans have few dimensions once merged.
    let mut index = [0usize; 16];
    let index = &mut index[..rank.min(16)];
    let mut rest = start;
    for d in (0..rank).rev() {
        index[d] = rest % shape[d];
        rest /= shape[d];
    }
    let inner = rank - 1;
    let stride = view.strides[inner];
    let mut filled = 0;
    while filled < out.len() {
        let run = (shape[inner] - index[inner]).min(out.len() - filled);
        let part = &mut out[filled..filled + run];
        let outer: isize = index[..inner].iter().zip(&view.strides).map(|(&i, &s)| i as isize * s).sum();
        let inside =
            view.guards.iter().all(|&(d, first, end)| d == inner || (first..end).contains(&index[d]));
        let (mut first, mut end) = if inside { (index[inner], index[inner] + run) } else { (0, 0) };
        for &(d, low, high) in &view.guards {
            if d == inner {
                (first, end) = (first.max(low), end.min(high));
            }
        }
        if first >= end {
            part.fill(0.0);
        } else {
            let (from, to) = (first - index[inner], end - index[inner]);
            part[..from].fill(0.0);
            part[to..].fill(0.0);
            let base = (view.offset + outer + first as isize * stride) as usize;
            let valid = &mut part[from..to];
            match stride {
                1 => valid.copy_from_slice(&operand[base..base + valid.len()]),
                0 => valid.fill(operand[base]),
                _ => {
                    for (i, o) in valid.iter_mut().enumerate() {
                        *o = operand[(base as isize + i as isize * stride) as usize];
                    }
                }
            }
        }
        filled += run;
        index[inner] += run;
        for d in (1..rank).rev() {
            if index[d] == shape[d] {
                index[d] = 0;
                index[d - 1] += 1;
            }
        }
    }
}
