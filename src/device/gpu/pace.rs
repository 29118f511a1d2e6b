//! How much work goes into a submission, and how many submissions are in flight.
//!
//! Many steps per submission hide the cost of submitting; but operating systems reset a GPU that is busy for
//! two seconds, and the user's desktop waits meanwhile. So the rate of the device is measured, and a
//! submission holds what takes about `TARGET_SECONDS` at that rate: many small steps, or a part of a large
//! one. At most `MAX_IN_FLIGHT` are queued, because unbounded queues lose devices too.

use std::collections::VecDeque;
use std::ops::Range;

use super::guard::Guard;
use crate::base::clock::Instant;
use crate::device::{DeviceError, Run};
use crate::kernels::Cost;

/// Target duration of a submission.
const TARGET_SECONDS: f64 = 0.05;
/// Maximum growth of the work from one submission to the next.
const GROWTH: f64 = 4.0;
/// Work of the first submission, before the rate is known: half a second at 2 GFLOP/s, which any GPU exceeds.
pub const FIRST_WORK: f64 = 1e9;
/// Fixed work of a launch, besides its arithmetic and memory traffic.
const LAUNCH_WORK: f64 = 1e4;
/// Work per byte of memory traffic, in floating-point operations.
const BYTE_WORK: f64 = 4.0;
/// Maximum queued submissions.
const MAX_IN_FLIGHT: usize = 3;
/// After a wait shorter than this, the work was already done, so the measured time is only an upper bound.
const ALREADY_DONE_SECONDS: f64 = 50e-6;

/// Whether the rate of the device can be measured. Not in a browser, where nothing waits for the device.
const MEASURES: bool = !cfg!(target_family = "wasm");

/// Estimated work of a launch, in floating-point operations. Once a rate is measured, only ratios matter.
pub fn work(cost: Cost) -> f64 {
    LAUNCH_WORK + cost.flops as f64 + BYTE_WORK * cost.bytes as f64
}

struct Submitted {
    index: wgpu::SubmissionIndex,
    phase: usize,
    work: f64,
    at: Instant,
}

/// The launches of some runs, numbered consecutively.
pub struct Launches<'a> {
    runs: &'a [Run],
    /// The first launch of each run, followed by the total number.
    starts: Vec<usize>,
}

/// The position of a launch.
pub struct Place {
    /// Position of the run.
    pub run: usize,
    /// Its phase.
    pub phase: usize,
    /// Position in the phase.
    pub number: usize,
}

impl<'a> Launches<'a> {
    /// The launches of `runs`; `count` returns the number of launches of a phase.
    pub fn new(runs: &'a [Run], count: impl Fn(usize) -> usize) -> Self {
        let mut starts = vec![0];
        for run in runs {
            starts.push(starts[starts.len() - 1] + count(run.phase));
        }
        Self { runs, starts }
    }

    /// All launches.
    pub fn all(&self) -> Range<usize> {
        0..self.starts[self.runs.len()]
    }

    /// The phase of launch `launch`.
    fn phase(&self, launch: usize) -> usize {
        self.runs[self.run(launch)].phase
    }

    fn run(&self, launch: usize) -> usize {
        self.starts.partition_point(|&start| start <= launch) - 1
    }

    /// The positions of the launches in a range.
    pub fn places(&self, range: Range<usize>) -> impl Iterator<Item = Place> {
        let mut run = self.run(range.start);
        range.map(move |launch| {
            while self.starts[run + 1] <= launch {
                run += 1;
            }
            Place { run, phase: self.runs[run].phase, number: launch - self.starts[run] }
        })
    }
}

/// The work allowed in a submission that starts with a given phase.
struct Budget {
    /// Work of each launch of a step.
    launches: Vec<f64>,
    /// Work of a submission.
    work: f64,
}

/// Sizes of submissions by phase, and the submissions in flight.
pub struct Pace {
    phases: Vec<Budget>,
    in_flight: VecDeque<Submitted>,
    last_done: Instant,
}

impl Pace {
    /// Creates a pace for phases with this [`work`] per launch.
    pub fn new(phases: Vec<Vec<f64>>) -> Self {
        let budget = |launches: Vec<f64>| {
            // At most one step, for the same reason.
            let step: f64 = launches.iter().sum();
            let work = if MEASURES { step.min(FIRST_WORK) } else { FIRST_WORK };
            Budget { work, launches }
        };
        let phases = phases.into_iter().map(budget).collect();
        Self { phases, in_flight: VecDeque::new(), last_done: Instant::now() }
    }

    /// The launches for the next submission, out of `left` (at least one): as many as fit the budget of the
    /// phase of the first one.
    pub fn next(&self, launches: &Launches, left: Range<usize>) -> Range<usize> {
        let most = self.phases[launches.phase(left.start)].work;
        let (start, mut end, mut work) = (left.start, left.start, 0.0);
        for launch in launches.places(left) {
            work += self.phases[launch.phase].launches[launch.number];
            // The order of summation may change the last digit.
            if end > start && work > most * (1.0 + 1e-9) {
                break;
            }
            end += 1;
        }
        start..end
    }

    /// Total work of launches.
    fn sum(&self, launches: &Launches, range: Range<usize>) -> f64 {
        launches.places(range).map(|launch| self.phases[launch.phase].launches[launch.number]).sum()
    }

    /// Records a submission and waits until few enough are in flight.
    ///
    /// # Errors
    /// If the device fails.
    pub fn submitted(
        &mut self,
        guard: &Guard,
        index: wgpu::SubmissionIndex,
        launches: &Launches,
        range: Range<usize>,
    ) -> Result<(), DeviceError> {
        let phase = launches.phase(range.start);
        let work = self.sum(launches, range);
        self.in_flight.push_back(Submitted { index, phase, work, at: Instant::now() });
        while self.in_flight.len() >= MAX_IN_FLIGHT {
            self.retire(guard)?;
        }
        Ok(())
    }

    /// Waits for everything.
    ///
    /// # Errors
    /// If the device fails.
    pub fn finish(&mut self, guard: &Guard) -> Result<(), DeviceError> {
        while !self.in_flight.is_empty() {
            self.retire(guard)?;
        }
        guard.wait(None)
    }

    fn retire(&mut self, guard: &Guard) -> Result<(), DeviceError> {
        let Some(oldest) = self.in_flight.pop_front() else { return Ok(()) };
        if !MEASURES {
            return guard.wait(Some(oldest.index));
        }
        let asked = Instant::now();
        guard.wait(Some(oldest.index))?;
        let done = Instant::now();
        let exact = (done - asked).as_secs_f64() > ALREADY_DONE_SECONDS;
        let seconds = (done - oldest.at.max(self.last_done)).as_secs_f64();
        self.last_done = done;
        let budget = &mut self.phases[oldest.phase];
        let next = next_work(budget.work, oldest.work, seconds, exact);
        // A submission cut short by the end of a call does not indicate whether larger ones are acceptable.
        if next > budget.work || (exact && 2.0 * oldest.work >= budget.work) {
            budget.work = next;
        }
        Ok(())
    }
}

/// Work of the next submission, after one of `work` took `seconds` (at most, if not `exact`).
fn next_work(current: f64, work: f64, seconds: f64, exact: bool) -> f64 {
    let wanted = TARGET_SECONDS * work / seconds.max(1e-9);
    let next = wanted.min(current * GROWTH);
    if exact { next } else { next.max(current) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::step::StepRecord;

    #[test]
    fn submissions_grow_to_the_target_and_shrink_above_it() {
        let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-6 * b, "{a}, expected {b}");
        near(next_work(1.0, 1.0, 1e-3, true), 4.0); // Growth is bounded.
        near(next_work(64.0, 64.0, 64e-3, true), 50.0);
        near(next_work(8.0, 8.0, 1.0, false), 8.0); // An upper bound shrinks nothing,
        near(next_work(8.0, 8.0, 1e-3, false), 32.0); // but may allow growth.
    }

    #[test]
    fn small_steps_go_together_and_large_ones_in_parts() {
        let mut pace = Pace::new(vec![vec![10.0, 20.0, 30.0], vec![6e8, 6e8, 5e9, 1e8, 1e8]]);
        let runs = |phases: &[usize]| -> Vec<Run> {
            phases.iter().map(|&phase| Run { phase, step: StepRecord::default() }).collect()
        };
        let count = |phase| [3, 5][phase];
        let small = runs(&[0; 10]);
        let small = Launches::new(&small, count);
        assert_eq!(small.all(), 0..30);
        assert_eq!(pace.next(&small, 0..30), 0..3, "one step at first");
        pace.phases[0].work = 150.0;
        assert_eq!(pace.next(&small, 3..30), 3..11, "as many as the budget holds to the last digit");
        assert_eq!(pace.next(&small, 27..30), 27..30, "no more than there are");
        let large = runs(&[1]);
        let large = Launches::new(&large, count);
        let mut at = 0;
        let mut ends = vec![];
        while at < 5 {
            at = pace.next(&large, at..5).end;
            ends.push(at);
        }
        assert_eq!(ends, [1, 2, 3, 5], "a launch that is too much alone goes alone");
        let mixed = runs(&[0, 1, 0]);
        let mixed = Launches::new(&mixed, count);
        assert_eq!(pace.sum(&mixed, 1..5), 20.0 + 30.0 + 6e8 + 6e8);
        assert_eq!(pace.next(&mixed, 1..11), 1..3, "the budget is that of the phase it begins with");
        assert_eq!(pace.next(&mixed, 6..11), 6..11, "and may hold several phases");
    }
}
