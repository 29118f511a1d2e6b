//! The end of a pass: one dispatch puts its results at the step's place, and adds up what was computed in parts.

use super::draft::{Draft, Place, StoredResult};
use crate::kernels::Kernel;
use crate::kernels::reduce::Reduce;
use crate::kernels::store::Stored;
use crate::scalar::{Inst, ReduceKind};

/// Most parts that are added up one after the other, by whoever writes their sum.
const MOST_PARTS: usize = 128;
/// Words of parts that may always wait for the end of the pass: 768 KiB.
const FEW_WORDS: usize = 3 << 16;
/// The part of the words of all temporaries that parts may be which wait.
const SHARE: usize = 128;

/// A value that is put in place at the end of a pass.
pub(super) struct Settled {
    /// How.
    pub stored: Stored,
    /// Where its parts are.
    pub from: Place,
    /// Where its sum goes, if it is no result of the step.
    pub to: Option<Place>,
    /// What it is.
    pub label: String,
}

/// What is put in place at the end of a pass: first its `results`, in their order. Sums of few parts that nothing in the pass
/// reads are taken out of `drafts`, the last ones first, as long as their parts take little of the memory of `temporaries`,
/// whose words these are; `late` are positions in the drafts.
pub(super) fn settled(
    drafts: &mut Vec<Draft>,
    late: &mut [usize],
    results: &[StoredResult],
    temporaries: &[usize],
) -> Vec<Settled> {
    let mut taken: Vec<usize> = (0..drafts.len()).filter(|at| !late.contains(at)).collect();
    let mut room = FEW_WORDS.max(temporaries.iter().sum::<usize>() / SHARE);
    taken.reverse();
    taken.retain(|&at| {
        let (words, parts) = sum(&drafts[at]);
        let fits = waits(drafts, at) && words * parts <= room;
        room -= if fits { words * parts } else { 0 };
        fits
    });
    taken.reverse();
    let find = |place: &Place| taken.iter().copied().find(|&at| drafts[at].writes[0] == *place);
    let mut all = vec![];
    for (name, place, words) in results {
        let (parts, from) = find(place).map_or((1, *place), |at| (sum(&drafts[at]).1, drafts[at].reads[0]));
        let stored = Stored { parts, ..Stored::result(*words) };
        all.push(Settled { stored, from, to: None, label: name.clone() });
    }
    let is_result = |place: &Place| results.iter().any(|(_, result, _)| result == place);
    taken.retain(|&at| is_result(&drafts[at].writes[0]) || matches!(drafts[at].writes[0], Place::Fixed(_)));
    for draft in taken.iter().map(|&at| &drafts[at]).filter(|draft| !is_result(&draft.writes[0])) {
        let (words, parts) = sum(draft);
        let stored = Stored { words, parts, by_step: false };
        let (from, to) = (draft.reads[0], Some(draft.writes[0]));
        all.push(Settled { stored, from, to, label: draft.label.clone() });
    }
    let mut number = 0;
    drafts.retain(|_| {
        number += 1;
        !taken.contains(&(number - 1))
    });
    late.iter_mut().for_each(|at| *at -= taken.iter().filter(|taken| *taken < at).count());
    all
}

/// Words and parts of the plain sum that `draft` is; of others, no parts.
fn sum(draft: &Draft) -> (usize, usize) {
    plain_sum(&draft.kernel).unwrap_or_default()
}

/// Whether the draft at `at` is a sum of few parts that can be made at the end of the pass: nothing reads it before, and its
/// parts are still there.
fn waits(drafts: &[Draft], at: usize) -> bool {
    let [draft, later @ ..] = &drafts[at..] else { return false };
    let few = plain_sum(&draft.kernel).is_some_and(|(_, parts)| parts <= MOST_PARTS);
    let (&[from @ Place::Temporary(_)], &[to]) = (&draft.reads[..], &draft.writes[..]) else { return false };
    few && !later.iter().any(|later| {
        let uses = |place: &Place| overlap(place, &to);
        later.reads.iter().any(uses) || later.writes.iter().any(|place| uses(place) || *place == from)
    })
}

fn overlap(a: &Place, b: &Place) -> bool {
    match (a, b) {
        (Place::Fixed(a), Place::Fixed(b)) => {
            a.buffer == b.buffer && a.start < b.start + b.words && b.start < a.start + a.words
        }
        _ => a == b,
    }
}

/// Words and parts, if `kernel` adds up parts that lie one after the other, and does nothing else.
fn plain_sum(kernel: &Kernel) -> Option<(usize, usize)> {
    let Reduce { kind: ReduceKind::Sum, kept, reduced, prologue, chunk: None, epilogue, .. } =
        kernel.downcast::<Reduce>()?
    else {
        return None;
    };
    let ([Inst::Load { view, .. }], [Inst::Accumulator]) = (&prologue.insts[..], &epilogue.insts[..]) else {
        return None;
    };
    let (words, strides) = match kept[..] {
        [] => (1, vec![1]),
        [words] => (words, vec![1, words as isize]),
        _ => return None,
    };
    let [parts] = reduced[..] else { return None };
    let is_plain =
        words > 0 && parts > 0 && view.offset == 0 && view.guards.is_empty() && view.strides == strides;
    (is_plain && epilogue.stores == [(0, 0)]).then_some((words, parts))
}
