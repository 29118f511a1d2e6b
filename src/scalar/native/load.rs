//! Loads through views: fills a chunk of consecutive iteration elements from an operand.

use crate::scalar::View;

/// A view prepared for one iteration shape.
#[derive(Clone, Debug)]
pub(super) enum Loader {
    /// Element `offset + i` for linear index `i`.
    Contiguous { offset: usize },
    /// The same element everywhere.
    Uniform { offset: usize },
    /// Anything else.
    Strided { view: View, shape: Vec<usize> },
}

impl Loader {
    pub fn new(view: &View, shape: &[usize]) -> Self {
        let offset = usize::try_from(view.offset);
        match offset {
            Ok(offset) if View { offset: 0, ..view.clone() }.is_contiguous(shape) => {
                Loader::Contiguous { offset }
            }
            Ok(offset) if view.guards.is_empty() && view.strides.iter().all(|&s| s == 0) => {
                Loader::Uniform { offset }
            }
            _ => Loader::Strided { view: view.clone(), shape: shape.to_vec() },
        }
    }

    /// Fills `out` with the elements of iteration indices `start..start + out.len()`.
    #[inline(always)]
    pub fn fill(&self, operand: &[f32], start: usize, out: &mut [f32]) {
        match self {
            Loader::Contiguous { offset } => {
                out.copy_from_slice(&operand[offset + start..offset + start + out.len()]);
            }
            Loader::Uniform { offset } => out.fill(operand[*offset]),
            Loader::Strided { view, shape } => strided(view, shape, operand, start, out),
        }
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
