//! A member of a group: a device whose sessions are copies of the group's programs.

use std::sync::{Arc, MutexGuard};
use std::time::Instant;

use super::{Group, PATIENCE, Pool, State, is_too_large};
use crate::base::step::StepRecord;
use crate::base::target::Target;
use crate::device::{Device, DeviceError, DeviceInfo, Run, Session, check_phases};
use crate::plan::{BufferId, Program};

/// A member, which leaves the group when it is dropped.
pub struct Member(pub(super) Arc<Group>);

impl Drop for Member {
    fn drop(&mut self) {
        self.0.lock().living -= 1;
        self.0.changed.notify_all();
    }
}

impl Device for Member {
    fn info(&self) -> &DeviceInfo {
        self.0.device.info()
    }

    fn target(&self) -> &Target {
        self.0.device.target()
    }

    /// A copy of the group's program that equals this one; alone where copies do not fit.
    fn load(&self, program: &Program) -> Result<Box<dyn Session>, DeviceError> {
        let group = &self.0;
        let mut state = group.lock();
        if let Some(error) = &state.failed {
            return Err(error.clone());
        }
        let mut found = None;
        for (at, pool) in state.pools.iter_mut().enumerate().filter(|(_, pool)| pool.program == *program) {
            if let Some(copy) = pool.take()? {
                found = Some((at, copy));
                break;
            }
        }
        let (pool, copy) = match found {
            Some(found) => found,
            None => match group.device.load_copies(program, group.members) {
                Ok(copies) => {
                    state.pools.push(Pool::new(program, copies, group.members));
                    let at = state.pools.len() - 1;
                    let copy = state.pools[at].take()?;
                    (at, copy.ok_or_else(|| DeviceError::Validation("a group has no members".into()))?)
                }
                Err(error) if is_too_large(&error) => {
                    drop(state);
                    return group.device.load(program);
                }
                Err(error) => return Err(error),
            },
        };
        drop(state);
        let session = MemberSession {
            group: group.clone(),
            pool,
            copy,
            phases: program.phases.len(),
            sizes: program.buffers.iter().map(|buffer| buffer.words).collect(),
            traffic: (0, 0),
        };
        Ok(Box::new(session))
    }
}

/// A copy of one of the group's programs.
struct MemberSession {
    group: Arc<Group>,
    /// Position of the program, and of the copy.
    pool: usize,
    copy: usize,
    phases: usize,
    /// Words of each buffer.
    sizes: Vec<usize>,
    traffic: (u64, u64),
}

impl Drop for MemberSession {
    fn drop(&mut self) {
        let mut state = self.group.lock();
        let pool = &mut state.pools[self.pool];
        pool.queues.clear(self.copy);
        pool.taken[self.copy] = false;
    }
}

impl MemberSession {
    /// Waits until all runs of this copy were done, or at least handed to the device.
    fn finished(&self) -> Result<MutexGuard<'_, State>, DeviceError> {
        let Self { group, pool, copy, .. } = self;
        let mut state = group.lock();
        if !state.pools[*pool].queues.is_empty(*copy) {
            state.pools[*pool].queues.set_waits(*copy, true);
            state.waiting += 1;
        }
        let mut end = Instant::now() + PATIENCE;
        while state.pools[*pool].queues.waits(*copy) {
            let left = end.saturating_duration_since(Instant::now());
            if state.failed.is_some() {
                state.pools[*pool].queues.set_waits(*copy, false);
                state.waiting -= 1;
            } else if state.waiting >= state.living || left.is_zero() {
                state.run();
                group.changed.notify_all();
                end = Instant::now() + PATIENCE;
            } else {
                let woken = group.changed.wait_timeout(state, left);
                state = woken.unwrap_or_else(std::sync::PoisonError::into_inner).0;
            }
        }
        state.failed.clone().map_or(Ok(state), Err)
    }

    /// Refuses what does not lie in a buffer: beyond it are other copies.
    fn check(&self, buffer: BufferId, start: usize, words: usize) -> Result<(), DeviceError> {
        let size = self.sizes.get(buffer.0 as usize);
        match (size, start.checked_add(words)) {
            (Some(&size), Some(end)) if end <= size => Ok(()),
            _ => Err(DeviceError::Validation(format!(
                "words {start}..{start}+{words} do not lie in buffer {} of this program",
                buffer.0
            ))),
        }
    }
}

impl Session for MemberSession {
    fn info(&self) -> &DeviceInfo {
        self.group.device.info()
    }

    fn write(&mut self, buffer: BufferId, start: usize, words: &[u32]) -> Result<(), DeviceError> {
        self.check(buffer, start, words.len())?;
        self.traffic.0 += 4 * words.len() as u64;
        let mut state = self.finished()?;
        state.pools[self.pool].copies.write(self.copy, buffer, start, words)
    }

    fn read(&mut self, buffer: BufferId, start: usize, words: usize) -> Result<Vec<u32>, DeviceError> {
        self.check(buffer, start, words)?;
        self.traffic.1 += 1;
        let mut state = self.finished()?;
        state.pools[self.pool].copies.read(self.copy, buffer, start, words)
    }

    fn run_all(&mut self, runs: &[Run]) -> Result<(), DeviceError> {
        check_phases(runs, self.phases)?;
        let mut state = self.group.lock();
        state.pools[self.pool].queues.push(self.copy, runs);
        state.failed.clone().map_or(Ok(()), Err)
    }

    fn wait(&mut self) -> Result<(), DeviceError> {
        self.finished().map(|_| ())
    }

    /// The seconds of a step of all members.
    fn profile(&mut self, phase: usize, step: &StepRecord) -> Result<Vec<f64>, DeviceError> {
        let mut state = self.finished()?;
        state.pools[self.pool].copies.profile(phase, step)
    }

    fn allocated_bytes(&self) -> u64 {
        self.sizes.iter().map(|&words| 4 * words as u64).sum()
    }

    fn traffic(&self) -> (u64, u64) {
        self.traffic
    }
}
