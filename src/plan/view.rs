//! Index maps: composes views, so that reshape, transpose, slice and pad are free where possible.

use crate::base::order::Order;
use crate::graph::ops::ViewChange;
use crate::scalar::View;

/// Re-expresses `view` over the iteration shape `from` as a view over `to` with the same elements in the same
/// order; `None` if no single set of strides can express it.
pub(super) fn reshape(view: &View, from: &[usize], to: &[usize]) -> Option<View> {
    let mut strides = vec![0isize; to.len()];
    let mut guards = vec![];
    let (mut i, mut j) = (0, 0);
    while i < from.len() || j < to.len() {
        // The shortest runs of dimensions from both shapes with equally many elements.
        let (first_i, first_j) = (i, j);
        let (mut left, mut right) = (1, 1);
        if i < from.len() {
            left *= from[i];
            i += 1;
        }
        if j < to.len() {
            right *= to[j];
            j += 1;
        }
        while left != right {
            if left < right {
                left *= *from.get(i)?;
                i += 1;
            } else {
                right *= *to.get(j)?;
                j += 1;
            }
        }
        let old: Vec<usize> = (first_i..i).filter(|&d| from[d] != 1).collect();
        let new: Vec<usize> = (first_j..j).filter(|&d| to[d] != 1).collect();
        for pair in old.windows(2) {
            if view.strides[pair[0]] != view.strides[pair[1]] * from[pair[1]] as isize {
                return None;
            }
        }
        let mut stride = old.last().map_or(0, |&d| view.strides[d]);
        for &d in new.iter().rev() {
            strides[d] = stride;
            stride *= to[d] as isize;
        }
        for &(d, first, end) in &view.guards {
            if !(first_i..i).contains(&d) {
                continue;
            }
            if from[d] == 1 {
                // The index is always 0, so the guard holds always or never.
                if !(first..end).contains(&0) {
                    to.first()?;
                    guards.push((0, 0, 0));
                }
                continue;
            }
            match (old.as_slice(), new.as_slice()) {
                (&[only], &[target]) if only == d => guards.push((target, first, end)),
                _ => return None,
            }
        }
    }
    guards.order();
    Some(View { offset: view.offset, strides, guards })
}

/// The view of `change`'s result, given the operand's view; `None` if the operand must be stored first.
pub(super) fn compose(change: &ViewChange, view: &View, from: &[usize], to: &[usize]) -> Option<View> {
    match change {
        ViewChange::Reshape => reshape(view, from, to),
        ViewChange::Permute(permutation) => {
            let strides = permutation.iter().map(|&p| view.strides[p]).collect();
            let target = |d: usize| permutation.iter().position(|&p| p == d);
            let guards =
                view.guards.iter().map(|&(d, a, b)| target(d).map(|t| (t, a, b))).collect::<Option<_>>()?;
            Some(View { offset: view.offset, strides, guards })
        }
        ViewChange::Broadcast => {
            let added = to.len() - from.len();
            let mut strides = vec![0; to.len()];
            for d in 0..from.len() {
                if from[d] == to[d + added] {
                    strides[d + added] = view.strides[d];
                }
            }
            let mut guards = vec![];
            for &(d, first, end) in &view.guards {
                if from[d] != to[d + added] {
                    return None;
                }
                guards.push((d + added, first, end));
            }
            Some(View { offset: view.offset, strides, guards })
        }
        ViewChange::Slice(starts) => {
            let offset: isize =
                starts.iter().zip(&view.strides).map(|(&s, &stride)| s as isize * stride).sum();
            let mut guards = vec![];
            for &(d, first, end) in &view.guards {
                let (first, end) =
                    (first.saturating_sub(starts[d]), end.saturating_sub(starts[d]).min(to[d]));
                if first > 0 || end < to[d] {
                    guards.push((d, first, end));
                }
            }
            Some(View { offset: view.offset + offset, strides: view.strides.clone(), guards })
        }
        ViewChange::Pad(before) => Some(pad(view, from, to, before)),
    }
}

/// `view` padded with zeros: reads element `index - before` where that is inside `from`.
pub(super) fn pad(view: &View, from: &[usize], to: &[usize], before: &[usize]) -> View {
    let offset: isize = before.iter().zip(&view.strides).map(|(&b, &stride)| b as isize * stride).sum();
    let mut guards: Vec<_> = view.guards.iter().map(|&(d, a, b)| (d, a + before[d], b + before[d])).collect();
    for d in 0..from.len() {
        if from[d] != to[d] && !guards.iter().any(|g| g.0 == d) {
            guards.push((d, before[d], before[d] + from[d]));
        }
    }
    guards.order();
    View { offset: view.offset - offset, strides: view.strides.clone(), guards }
}

/// The shape without extents of 1.
pub(super) fn squeeze(shape: &[usize]) -> Vec<usize> {
    shape.iter().copied().filter(|&extent| extent != 1).collect()
}

/// Whether `view` over `shape` reads element `i` of its operand at linear index `i`.
pub(super) fn is_identity(view: &View, shape: &[usize]) -> bool {
    view.is_contiguous(shape)
}

/// Merges adjacent dimensions of `shape` that every view walks as one, in place, and removes extents of 1.
/// Dimensions before and after `boundary` are never merged with each other; returns the new boundary.
pub(super) fn collapse(shape: &mut Vec<usize>, views: &mut [&mut View], boundary: usize) -> usize {
    let mut boundary = boundary;
    let mut d = 0;
    while d < shape.len() {
        let unit = shape[d] == 1 && views.iter().all(|v| !v.guards.iter().any(|g| g.0 == d));
        if unit {
            remove(shape, views, d);
            if d < boundary {
                boundary -= 1;
            }
            continue;
        }
        let next = d + 1;
        let joins = next < shape.len()
            && next != boundary
            && views.iter().all(|v| {
                v.strides[d] == v.strides[next] * shape[next] as isize
                    && !v.guards.iter().any(|g| g.0 == d || g.0 == next)
            });
        if joins {
            shape[next] *= shape[d];
            remove(shape, views, d);
            if d < boundary {
                boundary -= 1;
            }
            continue;
        }
        d += 1;
    }
    boundary
}

fn remove(shape: &mut Vec<usize>, views: &mut [&mut View], d: usize) {
    shape.remove(d);
    for view in views {
        view.strides.remove(d);
        for guard in &mut view.guards {
            if guard.0 > d {
                guard.0 -= 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(offset: isize, strides: &[isize]) -> View {
        View { offset, strides: strides.to_vec(), guards: vec![] }
    }

    #[test]
    fn reshape_merges_and_splits_only_what_strides_can_say() {
        let contiguous = View::contiguous(&[4, 6]);
        assert_eq!(reshape(&contiguous, &[4, 6], &[24]), Some(view(0, &[1])));
        assert_eq!(reshape(&contiguous, &[4, 6], &[2, 2, 3, 2]), Some(view(0, &[12, 6, 2, 1])));
        let transposed = view(0, &[1, 4]);
        assert_eq!(reshape(&transposed, &[4, 6], &[24]), None);
        assert_eq!(reshape(&transposed, &[4, 6], &[2, 2, 1, 6]), Some(view(0, &[2, 1, 0, 4])));
        let bias = view(0, &[0, 1]);
        assert_eq!(reshape(&bias, &[4, 6], &[1, 4, 6]), Some(view(0, &[0, 0, 1])));
    }

    #[test]
    fn pad_then_slice_drops_a_guard_that_always_holds() {
        let padded = pad(&View::contiguous(&[3]), &[3], &[5], &[1]);
        assert_eq!(padded, View { offset: -1, strides: vec![1], guards: vec![(0, 1, 4)] });
        let inner = compose(&ViewChange::Slice(vec![1]), &padded, &[5], &[3]).unwrap();
        assert_eq!(inner, view(0, &[1]));
    }

    #[test]
    fn collapse_respects_the_boundary() {
        let mut shape = vec![2, 1, 3, 4];
        let mut a = View::contiguous(&[2, 1, 3, 4]);
        let boundary = collapse(&mut shape, &mut [&mut a], 3);
        assert_eq!((shape, boundary, a), (vec![6, 4], 1, view(0, &[4, 1])));
    }
}
