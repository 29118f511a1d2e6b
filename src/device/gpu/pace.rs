//! How many steps go into one submission, and how many submissions are in flight.
//!
//! Many steps per submission hide the cost of submitting; but operating systems reset a GPU that is busy for
//! two seconds, and the user's desktop waits meanwhile. So submissions grow until one takes about
//! [`TARGET_SECONDS`]. At most [`MAX_IN_FLIGHT`] are queued, because unbounded queues lose devices too.

use std::collections::VecDeque;
use std::time::Instant;

use super::guard::Guard;
use crate::device::DeviceError;

/// How long a submission should take.
const TARGET_SECONDS: f64 = 0.05;
/// How many times longer a submission may become from one to the next.
const GROWTH: f64 = 4.0;
/// Submissions queued at once.
const MAX_IN_FLIGHT: usize = 3;
/// A wait shorter than this found the work already done, so that its time is only an upper bound.
const ALREADY_DONE_SECONDS: f64 = 50e-6;

struct Submitted {
    index: wgpu::SubmissionIndex,
    phase: usize,
    steps: usize,
    at: Instant,
}

/// Sizes of submissions by phase, and what is in flight.
pub struct Pace {
    steps: Vec<usize>,
    largest: usize,
    in_flight: VecDeque<Submitted>,
    last_done: Instant,
}

impl Pace {
    /// For `phases` phases; no submission has more than `largest` steps.
    pub fn new(phases: usize, largest: usize) -> Self {
        Self { steps: vec![1; phases], largest, in_flight: VecDeque::new(), last_done: Instant::now() }
    }

    /// Steps of `phase` to put in the next submission.
    pub fn steps(&self, phase: usize) -> usize {
        self.steps[phase]
    }

    /// Notes a submission and waits until few enough are in flight.
    ///
    /// # Errors
    /// If the device fails.
    pub fn submitted(
        &mut self,
        guard: &Guard,
        index: wgpu::SubmissionIndex,
        phase: usize,
        steps: usize,
    ) -> Result<(), DeviceError> {
        self.in_flight.push_back(Submitted { index, phase, steps, at: Instant::now() });
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
        let asked = Instant::now();
        guard.wait(Some(oldest.index))?;
        let done = Instant::now();
        let exact = (done - asked).as_secs_f64() > ALREADY_DONE_SECONDS;
        let seconds = (done - oldest.at.max(self.last_done)).as_secs_f64();
        self.last_done = done;
        let steps = &mut self.steps[oldest.phase];
        let next = next_steps(*steps, oldest.steps, seconds, exact).min(self.largest);
        // A submission cut short by the end of a call says nothing about larger ones.
        if next > *steps || (exact && oldest.steps == *steps) {
            *steps = next;
        }
        Ok(())
    }
}

/// Steps of the next submission, after one of `steps` took `seconds` (at most, if not `exact`).
fn next_steps(current: usize, steps: usize, seconds: f64, exact: bool) -> usize {
    let wanted = TARGET_SECONDS / (seconds / steps as f64).max(1e-9);
    let next = wanted.min(current as f64 * GROWTH).max(1.0) as usize;
    if exact { next } else { next.max(current) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn submissions_grow_to_the_target_and_shrink_above_it() {
        assert_eq!(next_steps(1, 1, 1e-3, true), 4, "growth is bounded");
        assert_eq!(next_steps(64, 64, 64e-3, true), 50, "1 ms a step");
        assert_eq!(next_steps(1, 1, 2.0, true), 1, "never less than a step");
        assert_eq!(next_steps(8, 8, 1.0, false), 8, "an upper bound shrinks nothing");
        assert_eq!(next_steps(8, 8, 1e-3, false), 32, "but may allow growth");
    }
}
