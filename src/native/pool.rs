//! Threads of the CPU backend. Work is split by its size alone, never by the number of threads, so that
//! results have the same bits on any machine with the same instruction set.

use super::affinity;
use super::pages::prefer_large;
use super::team::Team;
use crate::base::parallel;
use crate::scalar::native::Scratch;

/// A persistent thread pool; with one thread, work runs on the caller's own.
pub struct Pool {
    threads: Option<Threads>,
}

struct Threads {
    /// The thread that steps run on, the first of the team.
    first: parallel::ThreadPool,
    team: Team,
}

thread_local! {
    static SCRATCH: std::cell::RefCell<Scratch> = std::cell::RefCell::default();
    static BUFFERS: std::cell::RefCell<Vec<Vec<f32>>> = std::cell::RefCell::default();
}

impl Pool {
    /// A pool of `threads` threads.
    ///
    /// # Errors
    /// If the system cannot start the threads.
    pub fn new(threads: usize) -> Result<Self, Box<dyn std::error::Error>> {
        if threads == 1 {
            return Ok(Self { threads: None });
        }
        let Some(first) = parallel::pool(1, move |_| affinity::keep(0, threads))? else {
            return Ok(Self { threads: None });
        };
        Ok(Self { threads: Some(Threads { first, team: Team::new(threads)? }) })
    }

    /// Runs `work` on the first thread of the pool; enter once for many steps.
    pub fn enter<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        match &self.threads {
            Some(threads) => threads.first.install(work),
            None => work(),
        }
    }

    /// Calls `work` with the index of each part, in any order and on any thread.
    pub fn run(&self, parts: usize, work: impl Fn(usize) + Sync) {
        match &self.threads {
            Some(threads) => threads.team.run(parts, &work),
            None => (0..parts).for_each(work),
        }
    }

    /// Calls `work` with this thread's scratch memory, which is kept between calls so that the steady state
    /// does not allocate.
    pub fn with_scratch<R>(work: impl FnOnce(&mut Scratch) -> R) -> R {
        SCRATCH.with(|scratch| work(&mut scratch.borrow_mut()))
    }

    /// Takes this thread's buffers, of unspecified length and contents. [`Pool::return_buffers`] keeps them
    /// for the next caller, so that the steady state does not allocate.
    pub fn take_buffers<const N: usize>() -> [Vec<f32>; N] {
        BUFFERS.with_borrow_mut(|buffers| std::array::from_fn(|_| buffers.pop().unwrap_or_default()))
    }

    /// Returns buffers for reuse.
    pub fn return_buffers<const N: usize>(taken: [Vec<f32>; N]) {
        // Reversed, so that the next caller gets them in the same order.
        BUFFERS.with_borrow_mut(|buffers| buffers.extend(taken.into_iter().rev()));
    }

    /// The number of threads. Use only where results do not depend on how work is split.
    pub fn threads(&self) -> usize {
        self.threads.as_ref().map_or(1, |threads| threads.team.threads())
    }
}

/// Grows `buffer` to hold `len` elements of unspecified contents and returns them aligned to a cache line: a
/// vector that straddles two lines takes twice as long to load.
pub fn grown(buffer: &mut Vec<f32>, len: usize) -> &mut [f32] {
    const LINE: usize = 16;
    if buffer.len() < len + LINE {
        buffer.clear();
        buffer.reserve(len + LINE);
        prefer_large(buffer.spare_capacity_mut());
        buffer.resize(len + LINE, 0.0);
    }
    let start = buffer.as_ptr().align_offset(size_of::<f32>() * LINE).min(LINE);
    &mut buffer[start..start + len]
}
