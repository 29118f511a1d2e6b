//! Training steps that several ranks share: each computes the gradients of some micro-batches, and every rank
//! makes the update with their sum, or the update of its part.
//!
//! Rank 0 is used as any engine is; what it does to weights, and every step, it tells the others, which
//! [`Engine::follow`]. Running statistics are those of rank 0, of the micro-batches it computed.

use std::ops::Range;
use std::rc::Rc;

use sha2::{Digest, Sha256};

use super::Engine;
use crate::base::step::StepRecord;
use crate::mpi::Group;
use crate::plan::Slice;
use crate::train::TrainError;

/// What rank 0 tells.
const STEPS: u32 = 0;
const ORDER: u32 = 1;
const WEIGHTS: u32 = 2;
const STATE: u32 = 3;
const GATHER: u32 = 4;
const END: u32 = 5;

/// How an engine shares its steps.
#[derive(Clone, Debug)]
pub(super) struct Ranks {
    group: Rc<Group>,
    /// The micro-batches that each rank adds up before the ranks exchange, for every exchange of a step.
    rounds: Rc<Vec<Vec<Range<usize>>>>,
}

/// The micro-batches of each rank, of `all`, in proportion to `shares`. With `exact`, a rank computes at most one before
/// ranks exchange, so that all are added in their order.
fn rounds(all: usize, shares: &[usize], exact: bool) -> Vec<Vec<Range<usize>>> {
    let cycle: usize = shares.iter().sum();
    let mut first = 0;
    let mut next = |count: usize| {
        first += count;
        first - count..first
    };
    if !exact {
        return vec![shares.iter().map(|share| next(share * (all / cycle))).collect()];
    }
    let mut rounds = vec![];
    for _ in 0..all / cycle {
        for round in 0..shares.iter().copied().max().unwrap_or(0) {
            rounds.push(shares.iter().map(|&share| next(usize::from(round < share))).collect());
        }
    }
    rounds
}

/// How many of `all` micro-batches each rank computes, so that the last is done soonest: `seconds` are those that each rank
/// takes for one.
fn in_proportion(seconds: &[f32], all: usize) -> Vec<usize> {
    let mut shares = vec![1; seconds.len()];
    for _ in seconds.len()..all {
        let until = |rank: usize| (shares[rank] + 1) as f32 * seconds[rank];
        let soonest = (0..shares.len()).min_by(|&a, &b| until(a).total_cmp(&until(b)));
        if let Some(rank) = soonest {
            shares[rank] += 1;
        }
    }
    shares
}

/// Lets the other ranks end.
///
/// # Errors
/// If MPI fails.
pub fn dismiss(group: &Group) -> Result<(), TrainError> {
    Ok(group.tell(END, &[])?)
}

impl Engine {
    /// Shares training steps with the other ranks of `group`, which all join with an engine of the same kind, in
    /// proportion to `shares`; equally, if there are none.
    /// With `exact`, gradients are exchanged after each micro-batch and added in the order of micro-batches,
    /// so that the sum has the bits of one rank; else each rank first adds up its own.
    ///
    /// # Errors
    /// If the micro-batches of a step cannot be shared equally, or a rank has other `facts` (experiment and
    /// data).
    pub fn join(
        &mut self,
        group: Rc<Group>,
        shares: &[usize],
        exact: bool,
        facts: &str,
    ) -> Result<(), TrainError> {
        let (all, size) = (self.micro_batches(), group.size());
        if self.plays() {
            let reason = "`family = \"gan\"` is trained by one process; start it without an MPI launcher";
            return Err(TrainError::Input(reason.into()));
        }
        let shares = if shares.is_empty() { vec![1; size] } else { shares.to_vec() };
        if shares.len() != size {
            let reason = format!("train.shares has {} numbers, for {size} processes", shares.len());
            return Err(TrainError::Input(reason));
        }
        let cycle: usize = shares.iter().sum();
        if !all.is_multiple_of(cycle) {
            let reason = format!(
                "train.accumulate = {all} is not a multiple of the {cycle} shares of {size} processes"
            );
            return Err(TrainError::Input(reason));
        }
        let words = self.gradients().map_or(0, |slice| slice.words);
        let digest = Sha256::digest(format!("{words} {all} {facts}"));
        let own: Vec<u32> = digest.chunks(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
        let digests = group.gather(&own)?;
        if let Some(rank) = digests.chunks(own.len()).position(|other| *other != digests[..own.len()]) {
            let reason = format!(
                "process {rank} of {size} has another experiment or other data than process 0; give all the \
                 same files"
            );
            return Err(TrainError::Input(reason));
        }
        self.ranks = Some(Ranks { group, rounds: Rc::new(rounds(all, &shares, exact)) });
        Ok(())
    }

    /// Measures a micro-batch on every rank of `group`; returns shares in proportion to what each does in a second, the same
    /// on all. To be called before the first values are set.
    ///
    /// # Errors
    /// If steps are not split, or the device or MPI fails.
    pub fn measured_shares(&mut self, group: &Group) -> Result<Vec<usize>, TrainError> {
        let all = self.micro_batches();
        if all < group.size().max(2) || self.plays() {
            let reason =
                format!("train.accumulate = {all} leaves nothing to measure for {} processes", group.size());
            return Err(TrainError::Input(reason));
        }
        let step = StepRecord { step: 1, ..StepRecord::default() };
        let runs = self.runs_of_gradients(&step, 0..1);
        let mut seconds = f32::INFINITY;
        // The first run is slower, whatever the device.
        for measured in [false, true, true] {
            let clock = std::time::Instant::now();
            self.run_on(0, &runs)?;
            self.session.wait()?;
            if measured {
                seconds = seconds.min(clock.elapsed().as_secs_f32());
            }
        }
        let seconds: Vec<f32> = group.gather(&[seconds.to_bits()])?.into_iter().map(f32::from_bits).collect();
        Ok(in_proportion(&seconds, all))
    }

    /// Whether a rank was asked to stop, as far as the last steps told.
    pub fn is_to_stop(&self) -> bool {
        self.ranks.as_ref().is_some_and(|ranks| ranks.group.is_to_stop())
    }

    /// Does what rank 0 tells until it ends; `asked` says whether this rank is to stop.
    ///
    /// # Errors
    /// If the device or MPI fails.
    pub fn follow(&mut self, asked: &mut dyn FnMut() -> bool) -> Result<(), TrainError> {
        let Some(ranks) = self.ranks.clone() else { return Ok(()) };
        loop {
            let (what, words) = ranks.group.hear()?;
            match what {
                STEPS => {
                    let mut steps: Vec<StepRecord> = bytemuck::pod_collect_to_vec(&words);
                    if asked() {
                        ranks.group.ask_to_stop();
                    }
                    self.train_together(&ranks, &mut steps)?;
                }
                ORDER => self.set_order(0, &words)?,
                WEIGHTS => self.take_weights(&words)?,
                STATE => {
                    if let Some((&slot, words)) = words.split_last() {
                        self.put_slot(slot as usize, words)?;
                    }
                }
                GATHER => {
                    for slot in 0..self.slots().len() {
                        self.whole_slot(slot)?;
                    }
                }
                _ => return Ok(()),
            }
        }
    }

    /// Runs the steps with all ranks; returns their losses, the same on every rank.
    pub(super) fn train_shared(
        &mut self,
        ranks: &Ranks,
        steps: &mut [StepRecord],
    ) -> Result<Vec<f32>, TrainError> {
        ranks.group.tell(STEPS, bytemuck::cast_slice(steps))?;
        self.train_together(ranks, steps)
    }

    fn train_together(&mut self, ranks: &Ranks, steps: &mut [StepRecord]) -> Result<Vec<f32>, TrainError> {
        let Ranks { group, rounds } = ranks;
        let (Some(gradients), Some((last, before))) = (self.gradients(), rounds.split_last()) else {
            return Ok(vec![]);
        };
        let Some(set) = self.updating().cloned() else { return Ok(vec![]) };
        let add = |values: &mut [u32], sums: &[u32]| {
            let added = match set.needed.len() == set.words {
                true => group.add(values, sums),
                false => group.add_parts(values, sums, &set.parts),
            };
            added.map_err(TrainError::from)
        };
        let [mut values, mut sums] = [vec![], vec![]];
        for (slot, step) in steps.iter_mut().enumerate() {
            step.slot = slot as u32;
            sums.clear();
            for round in before {
                values.resize(gradients.words, 0);
                if self.compute_gradients(step, &round[group.rank()])? {
                    self.session.read_into(gradients.buffer, gradients.start, &mut values)?;
                } else {
                    values.fill(0);
                }
                add(&mut values, &sums)?;
                std::mem::swap(&mut values, &mut sums);
            }
            let computes = self.compute_gradients(step, &last[group.rank()])?;
            self.with_gradients(&mut values, |values| {
                if !computes {
                    values.fill(0);
                }
                add(values, &sums)
            })?;
            self.update(step)?;
            self.put_parameters(&mut values, Some(group))?;
        }
        self.losses_of_all(ranks, steps.len())
    }

    /// Computes the gradients of these micro-batches; returns whether there are any. None add nothing to a sum that is never -0.
    fn compute_gradients(&mut self, step: &StepRecord, own: &Range<usize>) -> Result<bool, TrainError> {
        if !own.is_empty() {
            let runs = self.runs_of_gradients(step, own.clone());
            self.run_on(0, &runs)?;
        }
        Ok(!own.is_empty())
    }

    /// The mean loss of each step, each micro-batch's from the rank that computed it; and whether any rank
    /// was asked to stop.
    fn losses_of_all(&mut self, ranks: &Ranks, steps: usize) -> Result<Vec<f32>, TrainError> {
        let Ranks { group, rounds } = ranks;
        let all = self.micro_batches();
        let Some(losses) = self.losses() else { return Ok(vec![]) };
        let mut own = self.session.read(losses.buffer, losses.start, steps * all)?;
        own.push(u32::from(group.is_to_stop()));
        let gathered = group.gather(&own)?;
        let of_ranks: Vec<&[u32]> = gathered.chunks(own.len()).collect();
        if of_ranks.iter().any(|words| words.last() == Some(&1)) {
            group.ask_to_stop();
        }
        let mut owners = vec![0; all];
        for round in rounds.iter() {
            for (rank, own) in round.iter().enumerate() {
                owners[own.clone()].fill(rank);
            }
        }
        let words: Vec<u32> = (0..steps * all).map(|at| of_ranks[owners[at % all]][at]).collect();
        Ok(words.chunks(all).map(super::mean).collect())
    }

    /// Tells the other ranks the order of the training rows.
    pub(super) fn tell_order(&self, at: usize, order: &[u32]) -> Result<(), TrainError> {
        match self.leading() {
            Some(group) if at == 0 => Ok(group.tell(ORDER, order)?),
            _ => Ok(()),
        }
    }

    /// The group, on rank 0 alone.
    fn leading(&self) -> Option<&Group> {
        self.ranks.as_ref().map(|ranks| &*ranks.group).filter(|group| group.leads())
    }

    /// Tells the other ranks weights and running statistics.
    pub(super) fn tell_weights(&mut self) -> Result<(), TrainError> {
        if self.leading().is_none() {
            return Ok(());
        }
        let mut words = vec![];
        for slice in self.weight_places() {
            words.extend(self.session.read(slice.buffer, slice.start, slice.words)?);
        }
        self.leading().map_or(Ok(()), |group| Ok(group.tell(WEIGHTS, &words)?))
    }

    /// Tells the other ranks a slot of the optimizer's state, of all parameters.
    pub(super) fn tell_slot(&self, slot: usize, words: Vec<u32>) -> Result<(), TrainError> {
        let Some(group) = self.leading() else { return Ok(()) };
        let mut words = words;
        words.push(slot as u32);
        Ok(group.tell(STATE, &words)?)
    }

    /// Asks the other ranks for their parts of the optimizer's state.
    pub(super) fn ask_for_state(&self) -> Result<(), TrainError> {
        self.leading().map_or(Ok(()), |group| Ok(group.tell(GATHER, &[])?))
    }

    /// Sets the parts of `words` that other ranks have, if there are several; all ranks do so.
    pub(super) fn share(&self, words: &mut [u32], parts: &[Range<usize>]) -> Result<(), TrainError> {
        match &self.ranks {
            Some(ranks) if parts.len() > 1 => Ok(ranks.group.share(words, parts)?),
            _ => Ok(()),
        }
    }

    fn take_weights(&mut self, words: &[u32]) -> Result<(), TrainError> {
        self.weights_were_set();
        let mut rest = words;
        for slice in self.weight_places() {
            // All ranks have the same program, which was checked when they joined.
            let (own, after) = rest.split_at(slice.words.min(rest.len()));
            self.session.write(slice.buffer, slice.start, own)?;
            rest = after;
        }
        Ok(())
    }

    fn weight_places(&self) -> Vec<Slice> {
        let layout = &self.compiled.layout;
        layout.parameters().chain(&layout.states).map(|(_, slice)| *slice).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{in_proportion, rounds};

    #[test]
    fn measured_shares_are_as_fast_as_ranks_are() {
        assert_eq!(in_proportion(&[1.0, 3.0], 4), [3, 1]);
        assert_eq!(in_proportion(&[1.0, 1.0, 1.0], 6), [2, 2, 2]);
        assert_eq!(in_proportion(&[1.0, 1000.0], 8), [7, 1], "each computes at least one");
        assert_eq!(in_proportion(&[2.0, 1.0], 2), [1, 1]);
    }

    #[test]
    fn every_micro_batch_has_one_rank_and_exact_sums_keep_their_order() {
        for shares in [&[1, 1][..], &[3, 1], &[2, 3, 1], &[1]] {
            let cycle: usize = shares.iter().sum();
            for all in [cycle, 4 * cycle] {
                for exact in [false, true] {
                    let rounds = rounds(all, shares, exact);
                    let order: Vec<usize> = rounds.iter().flatten().cloned().flatten().collect();
                    assert_eq!(order, (0..all).collect::<Vec<_>>(), "{shares:?} {exact}");
                    for (rank, share) in shares.iter().enumerate() {
                        let own: usize = rounds.iter().map(|round| round[rank].len()).sum();
                        assert_eq!(own, share * all / cycle, "{shares:?} {exact}");
                    }
                    assert!(!exact || rounds.iter().flatten().all(|own| own.len() <= 1));
                }
            }
        }
        assert_eq!(rounds(4, &[3, 1], true), [vec![0..1, 1..2], vec![2..3, 3..3], vec![3..4, 4..4]]);
    }
}
