//! Models that train at the same time as copies of one program: each has a [`Session`] of its own, and a launch
//! computes the step of every copy that has one to do.
//!
//! A member's runs wait in its queue until the member needs their results. Once all members wait, one of them
//! runs what all have in common: of each program, the phase that comes first among the queues' next runs, for
//! every member whose turn it is, until a queue is empty. So members whose groups of steps differ in length stay
//! together, and those at the end of an epoch are waited for before all evaluate at once. A member that is busy
//! with something else is waited for only so long; one that ends is no longer waited for. None of this changes
//! what a copy computes, only what it shares a launch with.

mod member;
mod queues;

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use self::member::Member;
use self::queues::Queues;
use super::{Device, DeviceError, Run};
use crate::base::step::StepRecord;
use crate::plan::{BufferId, Program};

/// How long those that wait do so for one that has other things to do: most of what is done between groups of
/// steps takes less.
const PATIENCE: Duration = Duration::from_millis(100);

/// Runs of several copies.
#[derive(Debug, Default)]
pub struct Batch {
    /// Each run, with the record of the first copy.
    pub runs: Vec<Run>,
    /// The end of each run's records.
    pub ends: Vec<usize>,
    /// The records of all runs, one for each copy that takes part in one; they say of which copy they are.
    pub records: Vec<StepRecord>,
}

impl Batch {
    fn clear(&mut self) {
        self.runs.clear();
        self.ends.clear();
        self.records.clear();
    }

    /// Adds the record of one more copy to the run that is being put together.
    fn add(&mut self, copy: usize, record: &StepRecord) {
        self.records.push(StepRecord { copy: copy as u32, ..*record });
    }

    /// Ends a run of `phase`.
    fn end(&mut self, phase: usize) {
        let first = self.ends.last().copied().unwrap_or(0);
        self.runs.push(Run { phase, step: self.records[first] });
        self.ends.push(self.records.len());
    }

    /// The records of run `run`.
    pub fn records(&self, run: usize) -> &[StepRecord] {
        let start = if run == 0 { 0 } else { self.ends[run - 1] };
        &self.records[start..self.ends[run]]
    }
}

/// A program loaded several times, whose copies run together.
pub trait Copies: Send {
    /// As [`super::Session::write`], for one copy.
    ///
    /// # Errors
    /// If the device fails.
    fn write(
        &mut self,
        copy: usize,
        buffer: BufferId,
        start: usize,
        words: &[u32],
    ) -> Result<(), DeviceError>;

    /// As [`super::Session::read`], for one copy.
    ///
    /// # Errors
    /// If the device fails.
    fn read(
        &mut self,
        copy: usize,
        buffer: BufferId,
        start: usize,
        words: usize,
    ) -> Result<Vec<u32>, DeviceError>;

    /// Runs phases one after the other; may return before the work is done.
    ///
    /// # Errors
    /// If the device fails.
    fn run(&mut self, batch: &Batch) -> Result<(), DeviceError>;

    /// Zeros in all buffers of one copy.
    ///
    /// # Errors
    /// If the device fails.
    fn clear(&mut self, copy: usize) -> Result<(), DeviceError>;

    /// As [`super::Session::profile`], for a step of all copies.
    ///
    /// # Errors
    /// If the device fails.
    fn profile(&mut self, phase: usize, step: &StepRecord) -> Result<Vec<f64>, DeviceError>;
}

/// A device that can load a program several times.
pub trait LoadsCopies: Device + Send + Sync {
    /// Loads `copies` copies of a program.
    ///
    /// # Errors
    /// If they do not fit or the device fails.
    fn load_copies(&self, program: &Program, copies: usize) -> Result<Box<dyn Copies>, DeviceError>;
}

/// A program of the group.
struct Pool {
    program: Program,
    copies: Box<dyn Copies>,
    /// Whether each copy is in use, and whether it was used before.
    taken: Vec<bool>,
    used: Vec<bool>,
    queues: Queues,
}

/// What all members share.
struct State {
    pools: Vec<Pool>,
    /// Members that have not left.
    living: usize,
    /// Members that wait for their runs.
    waiting: usize,
    /// Why no member can go on.
    failed: Option<DeviceError>,
}

/// Members of a device.
struct Group {
    device: Box<dyn LoadsCopies>,
    members: usize,
    state: Mutex<State>,
    changed: Condvar,
}

impl Group {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// At most `count` members of `device` that train `program` together; none if not even two fit.
///
/// # Errors
/// If the device fails.
pub fn members(
    device: Box<dyn LoadsCopies>,
    program: &Program,
    count: usize,
) -> Result<Vec<Box<dyn Device + Send>>, DeviceError> {
    let mut members = count;
    let copies = loop {
        if members < 2 {
            return Ok(vec![]);
        }
        match device.load_copies(program, members) {
            Ok(copies) => break copies,
            Err(error) if is_too_large(&error) => members = members.div_ceil(2).min(members - 1),
            Err(error) => return Err(error),
        }
    };
    let pools = vec![Pool::new(program, copies, members)];
    let state = State { pools, living: members, waiting: 0, failed: None };
    let group = Arc::new(Group { device, members, state: Mutex::new(state), changed: Condvar::new() });
    Ok((0..members).map(|_| Box::new(Member(group.clone())) as Box<dyn Device + Send>).collect())
}

fn is_too_large(error: &DeviceError) -> bool {
    let memory = matches!(error, DeviceError::OutOfMemory { .. } | DeviceError::HostMemory { .. });
    memory || matches!(error, DeviceError::Limit { .. })
}

impl Pool {
    fn new(program: &Program, copies: Box<dyn Copies>, members: usize) -> Self {
        let (taken, used) = (vec![false; members], vec![false; members]);
        Self { program: program.clone(), copies, taken, used, queues: Queues::new(members) }
    }

    /// A copy that nobody uses, as it is after loading.
    fn take(&mut self) -> Result<Option<usize>, DeviceError> {
        let Some(copy) = self.taken.iter().position(|taken| !taken) else { return Ok(None) };
        if std::mem::replace(&mut self.used[copy], true) {
            self.copies.clear(copy)?;
        }
        self.taken[copy] = true;
        Ok(Some(copy))
    }
}

impl State {
    /// Runs what the members have in common.
    fn run(&mut self) {
        for pool in &mut self.pools {
            let Pool { copies, queues, .. } = pool;
            let Some(batch) = queues.next() else { continue };
            if let Err(error) = copies.run(batch) {
                self.failed.get_or_insert(error);
            }
            self.waiting -= queues.release();
        }
    }
}
