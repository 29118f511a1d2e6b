//! Sorting by code that is compiled once. The standard library's is compiled for each type and each order, which takes
//! kilobytes; here, positions are sorted, and a few instructions for each type put the items there.

use std::cmp::Ordering;

/// Sorting for lists that are short, or sorted rarely: each comparison is a call.
pub(crate) trait Order<T> {
    /// As [`slice::sort_by`].
    fn order_by(&mut self, compare: impl FnMut(&T, &T) -> Ordering);

    /// As [`slice::sort_by_key`].
    fn order_by_key<K: Ord>(&mut self, mut key: impl FnMut(&T) -> K) {
        self.order_by(|a, b| key(a).cmp(&key(b)));
    }

    /// As [`slice::sort`].
    fn order(&mut self)
    where
        T: Ord,
    {
        self.order_by(T::cmp);
    }
}

impl<T> Order<T> for [T] {
    fn order_by(&mut self, mut compare: impl FnMut(&T, &T) -> Ordering) {
        let mut from = positions(self.len(), &mut |a, b| compare(&self[a], &self[b]));
        for start in 0..from.len() {
            // Along a cycle: each place gets its item, and the first one's item moves on to the last.
            let mut at = start;
            while from[at] != start {
                let next = from[at];
                self.swap(at, next);
                from[at] = at;
                at = next;
            }
            from[at] = at;
        }
    }
}

/// The positions of items in order; equal ones as they are.
#[inline(never)]
fn positions(count: usize, compare: &mut dyn FnMut(usize, usize) -> Ordering) -> Vec<usize> {
    let mut positions: Vec<usize> = (0..count).collect();
    positions.sort_by(|&a, &b| compare(a, b));
    positions
}

/// The positions of numbers, from the smallest to the largest; equal ones as they are.
#[inline(never)]
pub(crate) fn ascending(numbers: &[f64]) -> Vec<usize> {
    let mut positions: Vec<usize> = (0..numbers.len()).collect();
    positions.sort_by(|&a, &b| numbers[a].total_cmp(&numbers[b]));
    positions
}

/// The same from the largest to the smallest.
pub(crate) fn descending(numbers: &[f64]) -> Vec<usize> {
    ascending(&numbers.iter().map(|number| -number).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng;

    #[test]
    fn items_are_ordered_as_by_the_standard_library() {
        let words = |seed: u32| (0..200).map(move |i| rng::word([seed, 0], 0, 0, i));
        for seed in 0..50 {
            let count = seed as usize * 4;
            // Few different keys, so that many are equal.
            let mut items: Vec<(u32, String)> =
                words(seed).take(count).enumerate().map(|(at, word)| (word % 17, at.to_string())).collect();
            let mut right = items.clone();
            right.sort_by_key(|item| item.0);
            items.order_by_key(|item| item.0);
            assert_eq!(items, right);
            items.reverse();
            right = items.clone();
            right.sort();
            items.order();
            assert_eq!(items, right);
            items.sort_by_key(|item| item.1.len());
            let number = |key: u32| match key {
                3 => -0.0,
                4 => 0.0,
                5 => f64::NAN,
                6 => -f64::NAN,
                key => f64::from(key) - 8.0,
            };
            let numbers: Vec<f64> = items.iter().map(|item| number(item.0)).collect();
            let mut right: Vec<usize> = (0..count).collect();
            right.sort_by(|&a, &b| numbers[a].total_cmp(&numbers[b]));
            assert_eq!(ascending(&numbers), right);
            right.sort_unstable();
            right.sort_by(|&a, &b| numbers[b].total_cmp(&numbers[a]));
            assert_eq!(descending(&numbers), right);
        }
    }
}
