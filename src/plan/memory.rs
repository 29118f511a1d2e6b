//! Memory: which intermediate values share which addresses over time.
//!
//! A GPU tracks hazards per buffer, so a launch must not write a buffer it reads. Values are first coloured:
//! each goes to the first arena that its launch does not read. Within an arena, offsets are assigned greedily
//! by size (Pisarchyk and Lee 2020, arXiv:2001.03288) among values with overlapping lifetimes.

use super::builder::aligned;
use super::draft::{Draft, Place};
use crate::base::order::Order;

/// When each temporary of a phase is in use.
pub(super) struct Lifetimes {
    /// Words, first launch and last launch of each temporary.
    spans: Vec<(usize, usize, usize)>,
}

impl Lifetimes {
    /// Lifetimes of temporaries of the given sizes in `drafts`, which run in these launches.
    pub fn of(drafts: &[Draft], launches: &[usize], words: Vec<usize>) -> Self {
        let mut spans: Vec<_> = words.into_iter().map(|w| (w, usize::MAX, 0)).collect();
        for (draft, &at) in drafts.iter().zip(launches) {
            for place in draft.reads.iter().chain(&draft.writes) {
                if let Place::Temporary(t) = place {
                    let span = &mut spans[*t];
                    span.1 = span.1.min(at);
                    span.2 = span.2.max(at);
                }
            }
        }
        Self { spans }
    }

    /// Bytes if no memory were shared.
    pub fn bytes(&self) -> u64 {
        self.spans.iter().filter(|s| s.1 != usize::MAX).map(|s| 4 * aligned(s.0) as u64).sum()
    }
}

/// The arenas, and the place of every temporary in them.
pub(super) struct Arenas {
    /// Words of each arena.
    pub words: Vec<usize>,
    /// Per phase and temporary: arena, first word, words in use.
    pub places: Vec<Vec<(usize, usize, usize)>>,
    /// Words that each phase uses of all arenas.
    pub used: Vec<usize>,
}

/// Arranges the temporaries of all phases. Phases do not run at the same time, so they share the arenas.
pub(super) fn arrange(phases: &[Vec<Draft>], launches: &[Vec<usize>], lifetimes: &[Lifetimes]) -> Arenas {
    let mut words: Vec<usize> = vec![];
    let (mut places, mut used) = (vec![], vec![]);
    for ((drafts, launches), lifetimes) in phases.iter().zip(launches).zip(lifetimes) {
        let arena_of = colour(drafts, launches, lifetimes.spans.len());
        let arenas = arena_of.iter().map(|a| a + 1).max().unwrap_or(0).max(words.len());
        words.resize(arenas, 0);
        let mut phase = vec![(0, 0, 0); lifetimes.spans.len()];
        let mut sum = 0;
        for (arena, total) in words.iter_mut().enumerate() {
            let members: Vec<usize> = (0..arena_of.len())
                .filter(|&t| arena_of[t] == arena && lifetimes.spans[t].1 != usize::MAX)
                .collect();
            let mut own = 0;
            for (temporary, start) in offsets(&members, lifetimes) {
                let size = lifetimes.spans[temporary].0;
                phase[temporary] = (arena, start, size);
                own = own.max(start + aligned(size));
            }
            *total = (*total).max(own);
            sum += own;
        }
        places.push(phase);
        used.push(sum);
    }
    Arenas { words, places, used }
}

/// Assigns each temporary the first arena that is free and that its launch does not read. Several launches
/// may write the same temporary.
fn colour(drafts: &[Draft], launches: &[usize], temporaries: usize) -> Vec<usize> {
    let temporary = |place: &Place| match place {
        Place::Temporary(t) => Some(*t),
        Place::Fixed(_) => None,
    };
    // In order of first write, with the values that must be in other arenas.
    let (mut order, mut apart) = (vec![], vec![vec![]; temporaries]);
    let mut first = 0;
    while first < drafts.len() {
        let members = launches[first..].iter().take_while(|&&launch| launch == launches[first]).count();
        let launch = &drafts[first..first + members];
        first += members;
        let read: Vec<usize> = launch.iter().flat_map(|draft| &draft.reads).filter_map(temporary).collect();
        for written in launch.iter().flat_map(|draft| &draft.writes).filter_map(temporary) {
            if !order.contains(&written) {
                order.push(written);
            }
            for &other in &read {
                apart[written].push(other);
                apart[other].push(written);
            }
        }
    }
    let mut arena_of: Vec<Option<usize>> = vec![None; temporaries];
    for temporary in order {
        let taken: Vec<usize> = apart[temporary].iter().filter_map(|&other| arena_of[other]).collect();
        arena_of[temporary] = (0..).find(|arena| !taken.contains(arena));
    }
    arena_of.into_iter().map(Option::unwrap_or_default).collect()
}

/// First words of the members of an arena, assigned largest first.
fn offsets(members: &[usize], lifetimes: &Lifetimes) -> Vec<(usize, usize)> {
    let mut by_size = members.to_vec();
    by_size.order_by_key(|&t| (std::cmp::Reverse(lifetimes.spans[t].0), t));
    let mut placed: Vec<(usize, usize)> = vec![];
    for temporary in by_size {
        let (size, first, last) = lifetimes.spans[temporary];
        let mut taken: Vec<(usize, usize)> = placed
            .iter()
            .filter(|(other, _)| lifetimes.spans[*other].1 <= last && first <= lifetimes.spans[*other].2)
            .map(|&(other, start)| (start, start + aligned(lifetimes.spans[other].0)))
            .collect();
        taken.order();
        let mut start = 0;
        for (begin, end) in taken {
            if start + aligned(size) <= begin {
                break;
            }
            start = start.max(end);
        }
        placed.push((temporary, start));
    }
    placed
}
