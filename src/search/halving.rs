//! Schedulers: which trial trains next, and how far. Trials stop at rungs and go on only if they are among the best
//! there.
//!
//! - asynchronous successive halving (ASHA; Li et al. 2020, arXiv:1810.05934): a trial goes on as soon as it is in the
//!   best `1 / reduction` of those that have come to its rung;
//! - Hyperband (Li et al. 2018, arXiv:1603.06560): brackets of trials that begin at later and later rungs; within each,
//!   all trials come to a rung before the best go on.
//!
//! All of it follows from what the trials have come to, so that nothing else need be saved.

/// How trials are stopped early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Not at all.
    Whole,
    /// Asynchronous successive halving.
    Asha,
    /// Hyperband.
    Hyperband,
}

/// A scheduler.
#[derive(Clone, Debug, PartialEq)]
pub struct Scheduler {
    /// How it stops trials.
    pub kind: Kind,
    /// One of so many goes on.
    pub reduction: usize,
    /// Epochs at each rung; the last is the whole training.
    pub rungs: Vec<usize>,
}

/// How a trial stands.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Standing {
    /// Its bracket.
    pub bracket: usize,
    /// What is to be small, at each rung that it has come to, from the first of its bracket on; infinite at the one
    /// where it failed.
    pub losses: Vec<f64>,
    /// Whether it cannot go on.
    pub failed: bool,
    /// Whether it is about to be trained to its next rung, together with others.
    pub busy: bool,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Begin a trial.
    Begin {
        /// Its bracket.
        bracket: usize,
    },
    /// Train a trial up to a rung.
    Train {
        /// Its number, from 0.
        trial: usize,
        /// The rung's.
        level: usize,
    },
    /// Nothing, or nothing before those that are busy have come to their rungs.
    Done,
}

/// Epochs at each rung: `least`, then `reduction` times as many, and the whole. A rung from which the whole is less
/// than `reduction` times as far is left out.
pub fn rungs(least: usize, reduction: usize, whole: usize) -> Vec<usize> {
    let mut rungs: Vec<usize> = vec![];
    let mut next = least.max(1);
    while next.saturating_mul(reduction.max(2)) <= whole {
        rungs.push(next);
        next *= reduction.max(2);
    }
    rungs.push(whole);
    rungs
}

impl Scheduler {
    /// What to do next; `most` is how many trials may begin.
    pub fn next(&self, trials: &[Standing], most: usize) -> Next {
        // Begun, but not yet at its first rung.
        if let Some(trial) = trials.iter().position(|t| t.losses.is_empty() && !t.failed && !t.busy) {
            return Next::Train { trial, level: self.first(trials[trial].bracket) };
        }
        match self.kind {
            Kind::Whole if trials.len() < most => Next::Begin { bracket: 0 },
            Kind::Whole => Next::Done,
            Kind::Asha => self.next_of_asha(trials, most),
            Kind::Hyperband => self.next_of_hyperband(trials, most),
        }
    }

    /// Whether each trial may still go on.
    pub fn may_go_on(&self, trials: &[Standing], most: usize) -> Vec<bool> {
        let latest = trials.last().map_or(0, |trial| trial.bracket);
        let is_done = self.next(trials, most) == Next::Done;
        let open = |trial: &Standing| {
            let reached = self.first(trial.bracket) + trial.losses.len();
            !trial.failed && reached < self.rungs.len() && !is_done && trial.bracket == latest
        };
        trials.iter().map(open).collect()
    }

    /// The rung where trials of a bracket stop first.
    pub fn first(&self, bracket: usize) -> usize {
        match self.kind {
            Kind::Whole => self.rungs.len() - 1,
            Kind::Asha => 0,
            Kind::Hyperband => bracket % self.rungs.len(),
        }
    }

    fn next_of_asha(&self, trials: &[Standing], most: usize) -> Next {
        let last = self.rungs.len() - 1;
        for level in (0..last).rev() {
            let there = reached(trials, |_| true, level);
            let best = &there[..there.len() / self.reduction];
            if let Some(&trial) = best.iter().find(|&&at| is_at(&trials[at], level)) {
                return Next::Train { trial, level: level + 1 };
            }
        }
        if trials.len() < most {
            return Next::Begin { bracket: 0 };
        }
        // Too few trials for the rule to take any to the end: the best goes on alone.
        if trials.iter().all(|t| t.failed || (t.losses.len() <= last && !t.busy)) {
            for level in (0..last).rev() {
                let there = reached(trials, |_| true, level);
                if let Some(&trial) = there.iter().find(|&&at| is_at(&trials[at], level)) {
                    return Next::Train { trial, level: level + 1 };
                }
            }
        }
        Next::Done
    }

    fn next_of_hyperband(&self, trials: &[Standing], most: usize) -> Next {
        let Some(bracket) = trials.last().map(|trial| trial.bracket) else {
            return if most > 0 { Next::Begin { bracket: 0 } } else { Next::Done };
        };
        let members = trials.iter().filter(|trial| trial.bracket == bracket).count();
        if members < self.size(bracket) && trials.len() < most {
            return Next::Begin { bracket };
        }
        let first = self.first(bracket);
        let mut alive = members;
        for level in first..self.rungs.len() - 1 {
            let is_awaited = |t: &Standing| t.busy && t.bracket == bracket && t.losses.len() <= level - first;
            if trials.iter().any(is_awaited) {
                return Next::Done;
            }
            let there = reached(trials, |trial| trial.bracket == bracket, level - first);
            alive = (alive / self.reduction).max(1);
            let best = there.into_iter().take(alive).find(|&at| is_at(&trials[at], level - first));
            if let Some(trial) = best {
                return Next::Train { trial, level: level + 1 };
            }
        }
        // The trials of the bracket before are done by then: `may_go_on` relies on it.
        let is_over = !trials.iter().any(|trial| trial.busy);
        if is_over && trials.len() < most { Next::Begin { bracket: bracket + 1 } } else { Next::Done }
    }

    /// Trials of a bracket: fewer the later they stop first, so that all brackets train about as much.
    fn size(&self, bracket: usize) -> usize {
        let later = self.rungs.len() - 1 - self.first(bracket);
        let all = self.reduction.saturating_pow(u32::try_from(later).unwrap_or(u32::MAX));
        (self.rungs.len().saturating_mul(all)).div_ceil(later + 1)
    }
}

/// Whether a trial has come to the rung number `at` of its bracket, and no further.
fn is_at(trial: &Standing, at: usize) -> bool {
    !trial.failed && !trial.busy && trial.losses.len() == at + 1
}

/// The trials that have come to the rung number `at` of their bracket, the best first; of equals, the earlier.
fn reached(trials: &[Standing], among: impl Fn(&Standing) -> bool, at: usize) -> Vec<usize> {
    let there = |&trial: &usize| among(&trials[trial]) && trials[trial].losses.len() > at;
    let mut found: Vec<usize> = (0..trials.len()).filter(there).collect();
    found.sort_by(|&a, &b| trials[a].losses[at].total_cmp(&trials[b].losses[at]).then(a.cmp(&b)));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a search in which trial `i` has the loss `quality[i]` at every rung, and gives what was done:
    /// `(trial, level)` of each training.
    fn run(scheduler: &Scheduler, quality: &[f64]) -> (Vec<(usize, usize)>, Vec<Standing>) {
        let (mut trials, mut done) = (vec![], vec![]);
        loop {
            match scheduler.next(&trials, quality.len()) {
                Next::Begin { bracket } => trials.push(Standing { bracket, ..Standing::default() }),
                Next::Train { trial, level } => {
                    let loss = quality[trial];
                    assert_eq!(level, scheduler.first(trials[trial].bracket) + trials[trial].losses.len());
                    trials[trial].losses.push(loss);
                    trials[trial].failed = loss.is_infinite();
                    done.push((trial, level));
                }
                Next::Done => return (done, trials),
            }
        }
    }

    #[test]
    fn rungs_grow_by_the_reduction_up_to_the_whole() {
        assert_eq!(rungs(2, 3, 60), [2, 6, 18, 60]);
        assert_eq!(rungs(2, 3, 20), [2, 6, 20]);
        assert_eq!(rungs(1, 2, 8), [1, 2, 4, 8]);
        assert_eq!(rungs(5, 3, 14), [14], "5 is more than a third of 14");
    }

    #[test]
    fn asha_promotes_whoever_is_in_the_best_part_at_once() {
        let scheduler = Scheduler { kind: Kind::Asha, reduction: 2, rungs: vec![1, 2, 4] };
        // Trial 0 is the better of the first two: it goes on; trial 2 leads from then on.
        let (done, trials) = run(&scheduler, &[0.5, 0.9, 0.1, 0.7, f64::INFINITY, 0.8]);
        let expected = [
            (0, 0),
            (1, 0),
            (0, 1), // one of two
            (2, 0),
            (2, 1), // best of three, of which one (floor of 3 / 2) may go on
            (2, 2), // one of the two at the second rung
            (3, 0), // four there, two may go on: 2 and 0, which have
            (4, 0), // fails
            (5, 0), // six there: three may go on, the third is 3
            (3, 1),
        ];
        assert_eq!(done, expected);
        assert_eq!(trials[2].losses.len(), 3);
        assert!(trials[4].failed);
    }

    #[test]
    fn the_best_of_few_trials_is_trained_to_the_end() {
        let scheduler = Scheduler { kind: Kind::Asha, reduction: 3, rungs: vec![1, 3, 9] };
        let (done, _) = run(&scheduler, &[0.5, 0.4]);
        assert_eq!(done, [(0, 0), (1, 0), (1, 1), (1, 2)]);
        let (done, _) = run(&scheduler, &[f64::INFINITY, f64::INFINITY]);
        assert_eq!(done, [(0, 0), (1, 0)]);
    }

    #[test]
    fn hyperband_halves_each_bracket_by_hand() {
        // Rungs 1, 3, 9 and reduction 3: brackets of 9, 5 and 3 trials, as in the paper's formula.
        let scheduler = Scheduler { kind: Kind::Hyperband, reduction: 3, rungs: vec![1, 3, 9] };
        assert_eq!([0, 1, 2, 3].map(|bracket| scheduler.size(bracket)), [9, 5, 3, 9]);
        let quality: Vec<f64> = (0..17).map(|i| f64::from((i * 7) % 17)).collect();
        let (done, trials) = run(&scheduler, &quality);
        let brackets: Vec<usize> = trials.iter().map(|trial| trial.bracket).collect();
        assert_eq!(brackets, [vec![0; 9], vec![1; 5], vec![2; 3]].concat());
        // 0, 7, 14, 4, 11, 1, 8, 15, 5: trials 0, 5 and 3 go on, and 0 to the end.
        assert_eq!(done[9..13], [(0, 1), (5, 1), (3, 1), (0, 2)]);
        // 12, 2, 9, 16, 6 from trial 9 on: one of five goes on, trial 10.
        assert_eq!(done[13..19], [(9, 1), (10, 1), (11, 1), (12, 1), (13, 1), (10, 2)]);
        assert_eq!(done[19..], [(14, 2), (15, 2), (16, 2)]);
    }

    /// As [`run`], with up to `together` trainings chosen before any of them is done.
    fn run_together(scheduler: &Scheduler, quality: &[f64], together: usize) -> Vec<Vec<(usize, usize)>> {
        let (mut trials, mut batches) = (Vec::<Standing>::new(), vec![]);
        loop {
            let mut chosen = vec![];
            while chosen.len() < together {
                match scheduler.next(&trials, quality.len()) {
                    Next::Begin { bracket } => {
                        chosen.push((trials.len(), scheduler.first(bracket)));
                        trials.push(Standing { bracket, busy: true, ..Standing::default() });
                    }
                    Next::Train { trial, level } => {
                        assert!(!trials[trial].busy, "trial {trial} is chosen twice");
                        trials[trial].busy = true;
                        chosen.push((trial, level));
                    }
                    Next::Done => break,
                }
            }
            if chosen.is_empty() {
                return batches;
            }
            for &(trial, level) in &chosen {
                let standing = &mut trials[trial];
                assert_eq!(level, scheduler.first(standing.bracket) + standing.losses.len());
                standing.losses.push(quality[trial]);
                (standing.failed, standing.busy) = (quality[trial].is_infinite(), false);
            }
            batches.push(chosen);
        }
    }

    #[test]
    fn what_trains_at_the_same_time_waits_for_no_more_than_the_rule_does() {
        let scheduler = Scheduler { kind: Kind::Asha, reduction: 2, rungs: vec![1, 2, 4] };
        let batches = run_together(&scheduler, &[0.5, 0.9, 0.1, 0.7], 2);
        let expected = [vec![(0, 0), (1, 0)], vec![(0, 1), (2, 0)], vec![(2, 1), (3, 0)], vec![(2, 2)]];
        assert_eq!(batches, expected);
        // The best of few is not taken to the end while another is on its way.
        let scheduler = Scheduler { kind: Kind::Asha, reduction: 3, rungs: vec![1, 3] };
        assert_eq!(run_together(&scheduler, &[0.5, 0.4], 4), [vec![(0, 0), (1, 0)], vec![(1, 1)]]);
        // Hyperband trains the same parts of the same trials, however many at a time.
        let scheduler = Scheduler { kind: Kind::Hyperband, reduction: 3, rungs: vec![1, 3, 9] };
        let quality: Vec<f64> = (0..17).map(|i| f64::from((i * 7) % 17)).collect();
        let (mut expected, _) = run(&scheduler, &quality);
        expected.sort_unstable();
        for together in [2, 4, 16] {
            let batches = run_together(&scheduler, &quality, together);
            assert!(batches.iter().any(|batch| batch.len() == together.min(9)), "{together}");
            let mut found = batches.concat();
            found.sort_unstable();
            assert_eq!(found, expected, "{together} at a time");
        }
    }

    #[test]
    fn trials_may_go_on_until_nothing_is_left_to_do() {
        let asha = Scheduler { kind: Kind::Asha, reduction: 2, rungs: vec![1, 2] };
        let at = |losses: &[f64]| Standing { losses: losses.to_vec(), ..Standing::default() };
        let trials = [at(&[0.5, 0.5]), at(&[0.9])];
        assert_eq!(asha.may_go_on(&trials, 3), [false, true]);
        assert_eq!(asha.may_go_on(&trials, 2), [false, false]);
        let whole = Scheduler { kind: Kind::Whole, reduction: 2, rungs: vec![4] };
        assert_eq!(whole.may_go_on(&[at(&[0.5]), at(&[])], 2), [false, true]);
        assert_eq!(whole.next(&[at(&[0.5]), at(&[])], 2), Next::Train { trial: 1, level: 0 });
    }
}
