//! The mathematics on the edges of each graph of a batch, whose words are [`Packed`]: that of [`super::edges`], graph by
//! graph.

use super::Real;
use super::edges::{Sums, Weights, dots, softmax};
use crate::base::packed::Packed;

/// A graph of a batch.
#[derive(Clone, Copy)]
struct Graph {
    packed: Packed,
    number: usize,
}

impl Graph {
    /// All graphs of a batch.
    fn all(packed: Packed, batch: usize) -> impl Iterator<Item = Self> {
        (0..batch).map(move |number| Self { packed, number })
    }

    /// Its words in `words`, `count` from `first` on.
    fn part(self, words: &[f64], first: usize, count: usize) -> Vec<u32> {
        let first = self.number * self.packed.words() + first;
        words[first..first + count].iter().map(|&word| word as u32).collect()
    }

    /// Its values in those of a batch.
    fn of(self, values: &[f64], each: usize) -> &[f64] {
        &values[self.number * each..(self.number + 1) * each]
    }
}

/// The sums of [`Sums::evaluate`], with the words in which starts, other ends and numbers are, and weights with their
/// heads.
pub fn sums<T: Real>(
    (packed, flipped): (Packed, bool),
    [batch, width]: [usize; 2],
    words: [&[f64]; 3],
    x: &[f64],
    weights: Option<(&[f64], usize)>,
) -> Vec<T> {
    let Packed { nodes, edges, .. } = packed;
    let places = packed.places(flipped);
    let of = |graph: Graph| {
        let starts = graph.part(words[0], places.starts, nodes + 1);
        let others = graph.part(words[1], places.others, edges);
        let numbers = (flipped && weights.is_some()).then(|| graph.part(words[2], places.numbers, edges));
        let number = |at: usize| numbers.as_ref().map_or(at, |numbers| numbers[at] as usize);
        let sums = Sums { starts: &starts, others: &others, number: &number, columns: nodes, width };
        let weights = weights.map(|(data, heads)| Weights {
            data: graph.of(data, edges * heads),
            heads,
            edges,
            shared: false,
        });
        sums.evaluate(1, graph.of(x, nodes * width), weights.as_ref())
    };
    Graph::all(packed, batch).flat_map(of).collect()
}

/// The products of [`dots`], 0 for edges that a graph lacks, with the words in which targets and sources are.
pub fn products<T: Real>(
    packed: Packed,
    batch: usize,
    words: [&[f64]; 2],
    sides: [&[f64]; 2],
    [width, heads]: [usize; 2],
) -> Vec<T> {
    let Packed { nodes, edges, .. } = packed;
    let of = |graph: Graph| {
        let count = graph.part(words[0], nodes, 1)[0] as usize;
        let targets = graph.part(words[0], packed.targets(), count);
        let sources = graph.part(words[1], packed.places(false).others, count);
        let sides = sides.map(|side| graph.of(side, nodes * width));
        let mut found = dots(1, [&targets, &sources], sides, [nodes; 2], [width, heads]);
        found.resize(edges * heads, T::exact(0.0));
        found
    };
    Graph::all(packed, batch).flat_map(of).collect()
}

/// The softmax of [`softmax`], 0 for edges that a graph lacks.
pub fn weights<T: Real>(packed: Packed, words: &[f64], x: &[f64], heads: usize) -> Vec<T> {
    let each = packed.edges * heads;
    let of = |graph: Graph| {
        let starts = graph.part(words, 0, packed.nodes + 1);
        let count = starts.last().map_or(0, |&count| count as usize) * heads;
        let mut found = softmax(&starts, &graph.of(x, each)[..count], heads);
        found.resize(each, T::exact(0.0));
        found
    };
    Graph::all(packed, x.len() / each.max(1)).flat_map(of).collect()
}
