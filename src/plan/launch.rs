//! Determines which kernels run concurrently. A GPU waits between dependent dispatches, and every dispatch
//! costs tens of microseconds whatever it does, so independent kernels share one.
//!
//! A kernel's level is one more than the highest level of those it depends on. Kernels of the same level are
//! joined where their shaders and the device allow it.

use std::collections::BTreeMap;

use super::Slice;
use super::draft::{Draft, Place};
use crate::base::order::Order;
use crate::base::target::{Family, Target};
use crate::kernels::shader::{Shader, shader};

/// `drafts` in launch order, and the launch number of each. Those at the positions `late` run as late as those that
/// need them allow, so that what they write does not take memory before.
pub(super) fn group(drafts: Vec<Draft>, late: &[usize], target: &Target) -> (Vec<Draft>, Vec<usize>) {
    if target.family == Family::Native {
        let each = (0..drafts.len()).collect();
        return (drafts, each);
    }
    let mut levels = levels(&drafts);
    postpone(&drafts, late, &mut levels);
    let mut order: Vec<usize> = (0..drafts.len()).collect();
    order.order_by_key(|&at| (levels[at], at));
    let mut launches: Vec<Launch> = vec![];
    for at in order {
        let shader = shader(&drafts[at].kernel, target).ok();
        let first_of_level = launches.partition_point(|l| l.level < levels[at]);
        let fitting = launches[first_of_level..]
            .iter_mut()
            .find_map(|launch| launch.joined(&drafts, at, shader.as_ref()?, target).then_some(()));
        if fitting.is_none() {
            launches.push(Launch::new(levels[at], at, shader));
        }
    }
    let numbers = launches.iter().enumerate().flat_map(|(n, l)| l.members.iter().map(move |_| n)).collect();
    let mut drafts: Vec<Option<Draft>> = drafts.into_iter().map(Some).collect();
    let ordered = launches.iter().flat_map(|l| &l.members).filter_map(|&at| drafts[at].take()).collect();
    (ordered, numbers)
}

/// Maximum operations of a shared launch: larger kernels gain nothing, and a launch cannot be split.
const MOST_FLOPS: u64 = 500_000_000;

/// Kernels that run concurrently.
struct Launch {
    level: usize,
    members: Vec<usize>,
    /// Combined requirements of the members' shaders; `None` if a member has no shader, which others cannot
    /// join.
    needs: Option<Needs>,
}

struct Needs {
    lanes: u32,
    bindings: usize,
    workgroups: u32,
    workgroup_bytes: u32,
}

impl Needs {
    fn of(shader: &Shader, bindings: usize) -> Option<Self> {
        let [workgroups, 1, 1] = shader.workgroups else { return None };
        let bindings = bindings + shader.normal_tables.len();
        Some(Self { lanes: shader.lanes, bindings, workgroups, workgroup_bytes: shader.workgroup_bytes })
    }
}

impl Launch {
    fn new(level: usize, at: usize, shader: Option<Shader>) -> Self {
        // Whoever joins counts the bindings.
        let needs = shader.and_then(|s| Needs::of(&s, 0));
        Self { level, members: vec![at], needs }
    }

    /// Adds draft `at` if its shader can run alongside the members'.
    fn joined(&mut self, drafts: &[Draft], at: usize, shader: &Shader, target: &Target) -> bool {
        let count = |at: usize| drafts[at].reads.len() + drafts[at].writes.len();
        let (Some(needs), Some(new)) = (&mut self.needs, Needs::of(shader, count(at))) else { return false };
        let own: usize = self.members.iter().map(|&m| count(m)).sum();
        let workgroups = needs.workgroups.saturating_add(new.workgroups);
        let flops: u64 = self.members.iter().chain([&at]).map(|&m| drafts[m].kernel.cost().flops).sum();
        let fits = needs.lanes == new.lanes
            && flops <= MOST_FLOPS
            && needs.bindings + own + new.bindings <= target.max_storage_buffers
            && workgroups <= target.max_workgroups
            && needs.workgroup_bytes + new.workgroup_bytes <= target.max_workgroup_bytes
            && !self.members.iter().any(|&m| share_a_buffer(&drafts[m], &drafts[at]));
        if fits {
            needs.bindings += shader.normal_tables.len();
            needs.workgroups = workgroups;
            needs.workgroup_bytes += new.workgroup_bytes;
            self.members.push(at);
        }
        fits
    }
}

/// Whether one writes a buffer with a fixed place that the other reads or writes: a GPU tracks whole buffers.
fn share_a_buffer(a: &Draft, b: &Draft) -> bool {
    let buffers = |places: &[Place]| -> Vec<_> {
        let fixed = |place: &Place| match place {
            Place::Fixed(slice) => Some(slice.buffer),
            Place::Temporary(_) => None,
        };
        places.iter().filter_map(fixed).collect()
    };
    let meets = |written: &[Place], other: &Draft| {
        let reads = buffers(&other.reads);
        buffers(written).iter().any(|buffer| reads.contains(buffer))
    };
    meets(&a.writes, b) || meets(&b.writes, a)
}

/// Raises the level of each draft in `late` to just below that of the first later draft that it must precede.
fn postpone(drafts: &[Draft], late: &[usize], levels: &mut [usize]) {
    if late.is_empty() {
        return;
    }
    // The lowest levels at which later drafts read and write each place.
    let mut known: Vec<(Place, usize, usize)> = vec![];
    let meet = |a: &Place, b: &Place| match (a, b) {
        (Place::Fixed(a), Place::Fixed(b)) => {
            a.buffer == b.buffer && a.start < b.start + b.words && b.start < a.start + a.words
        }
        _ => a == b,
    };
    for (at, draft) in drafts.iter().enumerate().rev() {
        if late.contains(&at) {
            let after = |places: &[Place], level: fn(&(Place, usize, usize)) -> usize| {
                let others = known.iter().filter(|(other, ..)| places.iter().any(|place| meet(place, other)));
                others.map(level).min().unwrap_or(usize::MAX)
            };
            let bound = after(&draft.writes, |known| known.1.min(known.2)).min(after(&draft.reads, |k| k.2));
            if bound != usize::MAX {
                levels[at] = levels[at].max(bound - 1);
            }
        }
        for (place, writes) in
            draft.reads.iter().map(|p| (p, false)).chain(draft.writes.iter().map(|p| (p, true)))
        {
            let at_level = levels[at];
            let found = known.iter().position(|(other, ..)| other == place);
            let found = found.unwrap_or_else(|| {
                known.push((*place, usize::MAX, usize::MAX));
                known.len() - 1
            });
            let least = if writes { &mut known[found].2 } else { &mut known[found].1 };
            *least = (*least).min(at_level);
        }
    }
}

/// The level of each draft.
fn levels(drafts: &[Draft]) -> Vec<usize> {
    /// The first levels at which a place may be read and written.
    #[derive(Clone, Copy, Default)]
    struct Free {
        read: usize,
        write: usize,
    }
    let mut temporaries: BTreeMap<usize, Free> = BTreeMap::new();
    let mut fixed: BTreeMap<u32, Vec<(Slice, Free)>> = BTreeMap::new();
    let overlap = |a: &Slice, b: &Slice| a.start < b.start + b.words && b.start < a.start + a.words;
    let mut levels = vec![];
    for draft in drafts {
        let reads = draft.reads.iter().map(|place| (place, false));
        let accesses: Vec<_> = reads.chain(draft.writes.iter().map(|place| (place, true))).collect();
        let mut level = 0;
        for (place, writes) in &accesses {
            let least = |free: Free| if *writes { free.write } else { free.read };
            let from = match place {
                Place::Temporary(t) => temporaries.get(t).map_or(0, |free| least(*free)),
                Place::Fixed(slice) => fixed
                    .get(&slice.buffer.0)
                    .into_iter()
                    .flatten()
                    .filter(|(other, _)| overlap(other, slice))
                    .map(|(_, free)| least(*free))
                    .max()
                    .unwrap_or(0),
            };
            level = level.max(from);
        }
        for (place, writes) in accesses {
            let read = if writes { level + 1 } else { 0 };
            let mark = |free: &mut Free| {
                free.read = free.read.max(read);
                free.write = free.write.max(level + 1);
            };
            match place {
                Place::Temporary(t) => mark(temporaries.entry(*t).or_default()),
                Place::Fixed(slice) => {
                    let known = fixed.entry(slice.buffer.0).or_default();
                    match known.iter_mut().find(|(other, _)| other == slice) {
                        Some((_, free)) => mark(free),
                        None => {
                            let mut free = Free::default();
                            mark(&mut free);
                            known.push((*slice, free));
                        }
                    }
                }
            }
        }
        levels.push(level);
    }
    levels
}
