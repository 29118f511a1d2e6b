//! The runs that each copy of a program is to do, and which of them go together.

use std::collections::VecDeque;

use super::Batch;
use crate::device::Run;

/// The queue of one copy.
#[derive(Default)]
struct Queue {
    runs: VecDeque<Run>,
    /// Whether its member waits for it to be empty.
    waits: bool,
}

/// The queues of all copies.
pub struct Queues {
    queues: Vec<Queue>,
    /// Kept, so that the steady state does not allocate.
    batch: Batch,
}

impl Queues {
    /// Empty queues of `copies` copies.
    pub fn new(copies: usize) -> Self {
        Self { queues: (0..copies).map(|_| Queue::default()).collect(), batch: Batch::default() }
    }

    /// Appends runs.
    pub fn push(&mut self, copy: usize, runs: &[Run]) {
        self.queues[copy].runs.extend(runs);
    }

    /// Whether all runs of a copy were done.
    pub fn is_empty(&self, copy: usize) -> bool {
        self.queues[copy].runs.is_empty()
    }

    /// Forgets the runs of a copy.
    pub fn clear(&mut self, copy: usize) {
        self.queues[copy].runs.clear();
    }

    /// Whether the member of a copy waits.
    pub fn waits(&self, copy: usize) -> bool {
        self.queues[copy].waits
    }

    /// Notes that the member of a copy waits, or no longer does.
    pub fn set_waits(&mut self, copy: usize, waits: bool) {
        self.queues[copy].waits = waits;
    }

    /// Takes the runs to do next, if there are any: of the phase that comes first in the program, for all whose
    /// next run is of it, until a queue is empty. Phases that come later wait until nobody is before them.
    pub fn next(&mut self) -> Option<&Batch> {
        self.batch.clear();
        loop {
            let next = self.queues.iter().filter_map(|queue| queue.runs.front());
            let Some(phase) = next.map(|run| run.phase).min() else { break };
            let mut is_empty = false;
            for (copy, queue) in self.queues.iter_mut().enumerate() {
                if let Some(&run) = queue.runs.front().filter(|run| run.phase == phase) {
                    queue.runs.pop_front();
                    self.batch.add(copy, &run.step);
                    is_empty |= queue.runs.is_empty();
                }
            }
            self.batch.end(phase);
            if is_empty {
                break;
            }
        }
        (!self.batch.runs.is_empty()).then_some(&self.batch)
    }

    /// Those whose queue is empty wait no longer; returns their number.
    pub fn release(&mut self) -> usize {
        let ready = self.queues.iter_mut().filter(|queue| queue.waits && queue.runs.is_empty());
        ready.map(|queue| queue.waits = false).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::step::StepRecord;

    /// The runs of a batch: phase, and the copy and step of each record.
    fn told(batch: &Batch) -> Vec<(usize, Vec<(u32, u32)>)> {
        let records = |run| batch.records(run).iter().map(|record| (record.copy, record.step)).collect();
        batch.runs.iter().enumerate().map(|(at, run)| (run.phase, records(at))).collect()
    }

    fn runs(of: &[(usize, u32)]) -> Vec<Run> {
        let run =
            |&(phase, step): &(usize, u32)| Run { phase, step: StepRecord { step, ..StepRecord::default() } };
        of.iter().map(run).collect()
    }

    #[test]
    fn common_runs_go_together_until_a_queue_is_empty() {
        let mut queues = Queues::new(3);
        assert!(queues.next().is_none());
        queues.push(0, &runs(&[(0, 1), (0, 2), (0, 3)]));
        queues.push(2, &runs(&[(0, 11), (0, 12)]));
        queues.set_waits(0, true);
        queues.set_waits(2, true);
        let batch = queues.next().unwrap();
        assert_eq!(told(batch), [(0, vec![(0, 1), (2, 11)]), (0, vec![(0, 2), (2, 12)])]);
        assert_eq!(batch.runs[1].step.step, 2, "the record of the first copy");
        assert_eq!(queues.release(), 1);
        assert!(queues.waits(0) && !queues.waits(2));
        assert_eq!(told(queues.next().unwrap()), [(0, vec![(0, 3)])]);
        assert_eq!(queues.release(), 1);
        assert!(queues.next().is_none());
    }

    #[test]
    fn later_phases_wait_for_those_before_them() {
        let mut queues = Queues::new(2);
        queues.push(0, &runs(&[(3, 1)]));
        queues.push(1, &runs(&[(0, 7), (1, 7), (0, 8)]));
        assert_eq!(told(queues.next().unwrap()), [(0, vec![(1, 7)]), (1, vec![(1, 7)]), (0, vec![(1, 8)])]);
        queues.push(1, &runs(&[(3, 9)]));
        assert_eq!(told(queues.next().unwrap()), [(3, vec![(0, 1), (1, 9)])]);
    }
}
