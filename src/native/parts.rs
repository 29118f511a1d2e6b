//! Into how many parts work is split, and which.

/// The range of items in part `part` when `total` items are split evenly into `parts`.
pub fn part_range(total: usize, parts: usize, part: usize) -> std::ops::Range<usize> {
    part * total / parts..(part + 1) * total / parts
}

/// How many parts are worthwhile for work of roughly `cost` nanoseconds; at most `limit`.
pub fn parts_for(cost: usize, limit: usize) -> usize {
    const WORTH: usize = 20_000;
    (cost / WORTH).clamp(1, 16).min(limit.max(1))
}
