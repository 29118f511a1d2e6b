//! Half precision for values of the forward pass while they wait for the backward pass: after the last dispatch of the
//! forward pass that reads such a value it is stored in half precision, and before the next one that reads it, after a
//! longer wait, it is loaded into memory of its own. The forward pass is that of single precision. So only the waiting values take memory for long, and half of it; every kernel reads
//! and writes single precision.

use std::collections::BTreeMap;

use super::draft::{Draft, Place};
use crate::kernels::Kernel;
use crate::kernels::half::{Half, Way};

/// Dispatches between two that read a value from which it counts as waiting.
const WAIT: usize = 4;
/// Values smaller than this part of the largest do not count: sums, statistics and losses.
const PART: usize = 16;

/// `drafts` with the temporaries at `forward`, which hold numbers of the forward pass, in half precision while they
/// wait; `late` are the positions of drafts that run late, to which those that load numbers are added.
pub(super) fn halved(
    drafts: Vec<Draft>,
    late: &mut Vec<usize>,
    temporaries: &mut Vec<usize>,
    forward: &[usize],
) -> Vec<Draft> {
    // The backward pass comes after all that the forward pass writes.
    let of_forward = |place: &Place| matches!(place, Place::Temporary(t) if forward.contains(t));
    let end = drafts.iter().rposition(|draft| draft.writes.iter().any(of_forward)).unwrap_or(0);
    let largest = forward.iter().map(|&t| temporaries[t]).max().unwrap_or(0);
    let (mut drafts, mut before, mut after) = (drafts, Inserted::new(), Inserted::new());
    let waiting: Vec<usize> = forward.iter().copied().filter(|&t| PART * temporaries[t] >= largest).collect();
    for temporary in waiting {
        let whole = Place::Temporary(temporary);
        let uses: Vec<usize> = (0..drafts.len())
            .filter(|&at| drafts[at].reads.contains(&whole) || drafts[at].writes.contains(&whole))
            .collect();
        let Some(written) = uses.iter().rposition(|&at| drafts[at].writes.contains(&whole)) else { continue };
        // What is written again after it was read does not wait.
        if uses[..written].iter().any(|&at| drafts[at].reads.contains(&whole)) {
            continue;
        }
        let len = temporaries[temporary];
        let label = drafts[uses[written]].label.clone();
        let convert = |way, from, to| Draft {
            kernel: Kernel::new(Half { len, way }),
            reads: vec![from],
            writes: vec![to],
            label: label.clone(),
        };
        let mut temporary = |words| {
            temporaries.push(words);
            Place::Temporary(temporaries.len() - 1)
        };
        let (mut now, mut stored) = (whole, None);
        for pair in uses[written..].windows(2) {
            let [last, next] = *pair else { continue };
            if next > end && next - last > WAIT {
                let half = *stored.get_or_insert_with(|| {
                    let half = temporary(Half::words(len));
                    after.entry(last).or_default().push(convert(Way::Store, whole, half));
                    half
                });
                now = temporary(len);
                before.entry(next).or_default().push(convert(Way::Load, half, now));
            }
            drafts[next].reads.iter_mut().filter(|place| **place == whole).for_each(|place| *place = now);
        }
    }
    let mut all = vec![];
    let known = std::mem::take(late);
    for (at, draft) in drafts.into_iter().enumerate() {
        for load in before.remove(&at).unwrap_or_default() {
            late.push(all.len());
            all.push(load);
        }
        if known.contains(&at) {
            late.push(all.len());
        }
        all.push(draft);
        all.extend(after.remove(&at).unwrap_or_default());
    }
    all
}

/// Drafts to insert beside those at these positions.
type Inserted = BTreeMap<usize, Vec<Draft>>;
