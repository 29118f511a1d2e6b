//! Regression trees on the unit cube, each on rows drawn with replacement (Breiman 2001): no more than what the
//! analysis of variance needs, which is the boxes of the leaves.

use super::Dice;

/// The ends of a box along each dimension.
type Sides = Vec<(f64, f64)>;

/// A box of the cube, in which the prediction is constant.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Leaf {
    /// Its ends along each dimension.
    pub sides: Sides,
    /// The prediction.
    pub value: f64,
}

/// The leaves of a tree that is grown until each has rows of equal values or equal places. `x` is
/// `[rows][dimensions]`, from 0 to 1.
pub(super) fn tree(x: &[Vec<f64>], y: &[f64], dice: &mut Dice) -> Vec<Leaf> {
    let dimensions = x.first().map_or(0, Vec::len);
    let rows = (0..x.len()).map(|_| dice.below(x.len())).collect();
    // A list of its own, not recursion: rows far from all others make trees deep.
    let mut open: Vec<(Vec<usize>, Sides)> = vec![(rows, vec![(0.0, 1.0); dimensions])];
    let mut leaves = vec![];
    while let Some((rows, sides)) = open.pop() {
        let Some((dimension, at)) = split(x, y, &rows) else {
            let value = rows.iter().map(|&row| y[row]).sum::<f64>() / rows.len() as f64;
            leaves.push(Leaf { sides, value });
            continue;
        };
        let (below, above) = rows.into_iter().partition(|&row| x[row][dimension] <= at);
        let (mut low, mut high) = (sides.clone(), sides);
        low[dimension].1 = at;
        high[dimension].0 = at;
        open.push((below, low));
        open.push((above, high));
    }
    leaves
}

/// The dimension and the place where a split leaves the least sum of squares; `None` if none lessens it.
fn split(x: &[Vec<f64>], y: &[f64], rows: &[usize]) -> Option<(usize, f64)> {
    let total: f64 = rows.iter().map(|&row| y[row]).sum();
    let count = rows.len() as f64;
    let mut best: Option<(f64, usize, f64)> = None;
    let place = |row: usize, dimension: usize| x[row][dimension];
    for dimension in 0..x.first().map_or(0, Vec::len) {
        let mut order = rows.to_vec();
        order.sort_by(|&a, &b| place(a, dimension).total_cmp(&place(b, dimension)).then(a.cmp(&b)));
        let mut left = 0.0;
        for (at, pair) in order.windows(2).enumerate() {
            left += y[pair[0]];
            let (here, next) = (place(pair[0], dimension), place(pair[1], dimension));
            if here >= next {
                continue;
            }
            let below = at as f64 + 1.0;
            // What the sum of squares is less by.
            let gain = left * left / below + (total - left).powi(2) / (count - below) - total * total / count;
            if best.is_none_or(|(most, ..)| gain > most) {
                best = Some((gain, dimension, 0.5 * (here + next)));
            }
        }
    }
    let least = 1e-12 * rows.iter().map(|&row| y[row].powi(2)).sum::<f64>();
    best.filter(|(gain, ..)| *gain > least).map(|(_, dimension, at)| (dimension, at))
}
