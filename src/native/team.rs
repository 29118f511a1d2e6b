//! Threads that share the parts of one piece of work after the other. Kernels follow each other within microseconds, so a
//! helper looks out for the next one for a while before it sleeps: to be woken takes longer than most kernels.
#![allow(unsafe_code, reason = "helpers borrow work whose end is waited for")]

use std::any::Any;
use std::cell::UnsafeCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::affinity;
use super::parts::part_range;

/// How long a helper looks out for work before it sleeps.
const PATIENCE: Duration = Duration::from_micros(200);
/// Looks before the clock is read, and another thread may have the processor.
const LOOKS: u32 = 128;

/// Has nothing to do, and looks out for it.
const IDLE: u32 = 0;
/// Is to take part, and has not begun.
const ASSIGNED: u32 = 1;
/// Takes part.
const WORKING: u32 = 2;
/// Sleeps until it is woken.
const ASLEEP: u32 = 3;
/// Is to end.
const ENDED: u32 = 4;

/// What a helper does, on cache lines of its own: it reads it all the time.
#[repr(align(128))]
struct State(AtomicU32);

/// The next part of those that a thread takes first, on cache lines of its own.
#[repr(align(128))]
struct Next(AtomicUsize);

/// A call for each of several parts.
#[derive(Clone, Copy)]
struct Work {
    call: *const (dyn Fn(usize) + Sync),
    parts: usize,
    /// The threads that take part.
    threads: usize,
}

struct Shared {
    states: Vec<State>,
    work: UnsafeCell<Option<Work>>,
    /// Of each thread.
    next: Vec<Next>,
    is_busy: AtomicBool,
    /// What a helper panicked with.
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

// SAFETY: `work` is written by the thread that holds `is_busy`, while no helper is assigned, and read by helpers that are.
unsafe impl Sync for Shared {}
// SAFETY: the call is `Sync`, and outlives every use: see `Team::run`.
unsafe impl Send for Shared {}

impl Shared {
    /// Takes parts until none is left, as thread `own`: first those that are its own, which are the same whenever work has as
    /// many parts, so that it finds in its caches what it computed before; then those that others have not begun.
    fn take_parts(&self, Work { call, parts, threads }: Work, own: usize) {
        // SAFETY: `Team::run` borrows it until all that were assigned have ended.
        let call = unsafe { &*call };
        for whose in (own..threads).chain(0..own) {
            let end = part_range(parts, threads, whose).end;
            loop {
                let part = self.next[whose].0.fetch_add(1, Relaxed);
                if part >= end {
                    break;
                }
                call(part);
            }
        }
    }

    /// What helper `at` does until the team ends.
    fn help(&self, at: usize) {
        let state = &self.states[at].0;
        let (mut since, mut looks) = (Instant::now(), 0);
        loop {
            match state.load(Acquire) {
                ENDED => return,
                ASSIGNED if state.compare_exchange(ASSIGNED, WORKING, Acquire, Relaxed).is_ok() => {
                    // SAFETY: it was written before this helper was assigned, and is not again before it is idle.
                    if let Some(work) = unsafe { *self.work.get() } {
                        let taken = catch_unwind(AssertUnwindSafe(|| self.take_parts(work, at + 1)));
                        if let Err(panic) = taken {
                            *self.panic.lock().unwrap_or_else(PoisonError::into_inner) = Some(panic);
                        }
                    }
                    state.store(IDLE, Release);
                    (since, looks) = (Instant::now(), 0);
                }
                IDLE if looks >= LOOKS => {
                    looks = 0;
                    if since.elapsed() > PATIENCE
                        && state.compare_exchange(IDLE, ASLEEP, Relaxed, Relaxed).is_ok()
                    {
                        while state.load(Acquire) == ASLEEP {
                            std::thread::park();
                        }
                        since = Instant::now();
                    } else {
                        std::thread::yield_now();
                    }
                }
                _ => {
                    looks += 1;
                    std::hint::spin_loop();
                }
            }
        }
    }
}

/// A thread that calls [`Team::run`], and its helpers.
pub(super) struct Team {
    shared: Arc<Shared>,
    helpers: Vec<JoinHandle<()>>,
}

impl Team {
    /// `threads - 1` helpers; the caller's own thread is the first of `threads`.
    ///
    /// # Errors
    /// If the system cannot start them.
    pub fn new(threads: usize) -> std::io::Result<Self> {
        let states = (1..threads).map(|_| State(AtomicU32::new(IDLE))).collect();
        let next = (0..threads).map(|_| Next(AtomicUsize::new(0))).collect();
        let (work, is_busy) = (UnsafeCell::new(None), AtomicBool::new(false));
        let shared = Arc::new(Shared { states, work, next, is_busy, panic: Mutex::new(None) });
        let mut team = Self { shared, helpers: vec![] };
        for at in 1..threads {
            let shared = team.shared.clone();
            let help = move || {
                affinity::keep(at, threads);
                shared.help(at - 1);
            };
            let helper = std::thread::Builder::new().name(format!("kernels {at}")).spawn(help)?;
            team.helpers.push(helper);
        }
        Ok(team)
    }

    /// Threads, the caller's included.
    pub fn threads(&self) -> usize {
        self.helpers.len() + 1
    }

    /// Calls `call` with the index of each part, on this thread and on helpers; returns when all have ended. Within a
    /// part, parts run one after the other.
    ///
    /// # Panics
    /// If a part does.
    pub fn run(&self, parts: usize, call: &(dyn Fn(usize) + Sync)) {
        let shared = &*self.shared;
        if parts < 2 || shared.is_busy.swap(true, Acquire) {
            return (0..parts).for_each(call);
        }
        // SAFETY: only the lifetime changes. What is assigned below is waited for before this function returns or unwinds.
        let call = unsafe {
            std::mem::transmute::<*const (dyn Fn(usize) + Sync + '_), *const (dyn Fn(usize) + Sync)>(call)
        };
        let threads = self.threads().min(parts);
        let work = Work { call, parts, threads };
        // SAFETY: no helper is assigned, and `is_busy` keeps other threads out.
        unsafe { *shared.work.get() = Some(work) };
        for (thread, Next(next)) in shared.next.iter().take(threads).enumerate() {
            next.store(part_range(parts, threads, thread).start, Relaxed);
        }
        let helpers = || self.helpers.iter().zip(&shared.states).take(threads - 1);
        for (helper, State(state)) in helpers() {
            if state.swap(ASSIGNED, AcqRel) == ASLEEP {
                helper.thread().unpark();
            }
        }
        let own = catch_unwind(AssertUnwindSafe(|| shared.take_parts(work, 0)));
        for (_, State(state)) in helpers() {
            // One that has not begun is not needed any more.
            if state.compare_exchange(ASSIGNED, IDLE, Relaxed, Acquire).is_err() {
                let mut looks = 0;
                while state.load(Acquire) == WORKING {
                    looks += 1;
                    if looks % LOOKS == 0 {
                        std::thread::yield_now();
                    }
                    std::hint::spin_loop();
                }
            }
        }
        let panic = shared.panic.lock().unwrap_or_else(PoisonError::into_inner).take();
        shared.is_busy.store(false, Release);
        if let Some(panic) = own.err().or(panic) {
            resume_unwind(panic);
        }
    }
}

impl Drop for Team {
    fn drop(&mut self) {
        for (helper, State(state)) in self.helpers.drain(..).zip(&self.shared.states) {
            state.store(ENDED, Release);
            helper.thread().unpark();
            // It catches what its work panics with.
            let _ = helper.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs `parts` parts that add their number to a cell of their own; returns the cells.
    fn sums(team: &Team, parts: usize, times: usize) -> Vec<usize> {
        let cells: Vec<AtomicUsize> = (0..parts).map(|_| AtomicUsize::new(0)).collect();
        for _ in 0..times {
            team.run(parts, &|part| {
                cells[part].fetch_add(part + 1, Relaxed);
            });
        }
        cells.into_iter().map(AtomicUsize::into_inner).collect()
    }

    #[test]
    fn every_part_runs_once_however_many_threads_and_pauses_there_are() {
        for threads in [2, 3, 7] {
            let team = Team::new(threads).unwrap();
            for parts in [0, 1, 2, 3, 16, 100] {
                let expected: Vec<usize> = (1..=parts).map(|part| part * 200).collect();
                assert_eq!(sums(&team, parts, 200), expected, "{threads} threads, {parts} parts");
                // Long enough to fall asleep, now and then.
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }

    #[test]
    fn parts_within_a_part_run_one_after_the_other() {
        let team = Team::new(2).unwrap();
        let count = AtomicUsize::new(0);
        team.run(4, &|_| {
            team.run(3, &|_| {
                count.fetch_add(1, Relaxed);
            });
        });
        assert_eq!(count.into_inner(), 12);
    }

    #[test]
    fn a_part_that_panics_ends_the_run_after_the_others_and_the_team_goes_on() {
        let team = Team::new(3).unwrap();
        for bad in [0, 1, 5] {
            let done = AtomicUsize::new(0);
            let run = catch_unwind(AssertUnwindSafe(|| {
                team.run(6, &|part| {
                    assert!(part != bad, "part {part} is bad");
                    std::thread::sleep(Duration::from_millis(2));
                    done.fetch_add(1, Relaxed);
                });
            }));
            let message = *run.unwrap_err().downcast::<String>().unwrap();
            assert_eq!(message, format!("part {bad} is bad"));
            assert!(done.load(Relaxed) <= 5);
            assert_eq!(sums(&team, 2, 10), [10, 20]);
        }
    }
}
