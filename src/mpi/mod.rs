//! Several processes that train one model: a group of ranks that MPI started.
//!
//! Rank 0 leads: it decides what is done and tells the others ([`Group::tell`], [`Group::hear`]). Sums over
//! ranks are made here, in the order of ranks, because an MPI library may choose another order for another length.

#[cfg(all(unix, feature = "mpi"))]
mod library;

use std::cell::{Cell, RefCell};
use std::ops::Range;

/// Words summed or broadcast at a time, 1 MiB: larger messages make Open MPI allocate as much anew in each
/// call.
const CHUNK: usize = 1 << 18;
/// Bytes that ranks exchange at a time.
pub const PIECE_BYTES: usize = 4 * CHUNK;

/// Why several processes cannot train together.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum MpiError {
    /// This build or system has no MPI.
    #[error("this build of gridlight has no MPI (feature `mpi`, on Unix); start one process without mpirun")]
    NotAvailable,
    /// No library was found.
    #[error(
        "no MPI library was found (tried {tried}): {reason}; install the one whose mpirun started this, or \
         set GRIDLIGHT_MPI to its path"
    )]
    NotFound {
        /// Names.
        tried: String,
        /// What the system says.
        reason: String,
    },
    /// A library without what is needed.
    #[error("{library} is no usable MPI library: {reason}; set GRIDLIGHT_MPI to the path of another")]
    Unusable {
        /// Its name.
        library: String,
        /// What is missing.
        reason: String,
    },
    /// The launcher belongs to another MPI.
    #[error(
        "the launcher started {launched} processes ({variable}), but {library} sees {seen}: it belongs to \
         another MPI; start with the mpirun of that library, or set GRIDLIGHT_MPI to the library of this mpirun"
    )]
    Launcher {
        /// Processes it started.
        launched: usize,
        /// The environment variable that says so.
        variable: &'static str,
        /// The library.
        library: String,
        /// Processes it sees.
        seen: usize,
    },
    /// A call failed.
    #[error("{call} failed: {reason}")]
    Failed {
        /// The function.
        call: &'static str,
        /// What the library says.
        reason: String,
    },
}

/// An MPI library.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Found {
    /// File name.
    pub library: String,
    /// Its binary interface: `MPI 5 standard`, `MPICH` or `Open MPI`.
    pub abi: String,
    /// What it says of itself.
    pub version: String,
}

/// The functions of a library, each as MPI defines it, over all processes. Lengths are in words of 4 bytes.
trait Calls {
    /// Initialises MPI; returns the number of ranks and this rank.
    fn init(&self) -> Result<(usize, usize), MpiError>;
    /// Copies the words of rank 0 to all.
    fn broadcast(&self, words: &mut [u32]) -> Result<(), MpiError>;
    /// Sends the `r`-th `words` words to rank `r`.
    fn all_to_all(&self, sent: &[u32], words: usize, received: &mut [u32]) -> Result<(), MpiError>;
    /// Puts the words of all ranks one after the other.
    fn all_gather(&self, sent: &[u32], received: &mut [u32]) -> Result<(), MpiError>;
    /// Ends all processes.
    fn abort(&self, code: u8);
    /// Ends MPI.
    fn finalize(&self);
}

#[cfg(not(all(unix, feature = "mpi")))]
mod library {
    use super::{Calls, Found, MpiError};

    pub(super) fn open(_: Option<&str>, _: bool) -> Result<(Box<dyn Calls>, Found), MpiError> {
        Err(MpiError::NotAvailable)
    }
}

fn variable(name: &str) -> Option<usize> {
    std::env::var(name).ok()?.trim().parse().ok()
}

/// The number of processes that a launcher started, and the variable that says so.
fn launched() -> Option<(usize, &'static str)> {
    let names = ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"];
    names.into_iter().find_map(|name| Some((variable(name)?, name)))
}

/// Whether an MPI launcher started this process as one of several, as far as its environment says.
pub fn is_launched() -> bool {
    let rank = || ["PMI_RANK", "PMIX_RANK"].iter().any(|name| std::env::var_os(name).is_some());
    launched().map_or_else(rank, |(size, _)| size > 1)
}

/// The number of this process among those on this machine, as the launcher gave it; 0 if it did not.
pub fn local_rank() -> usize {
    let names = ["OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID", "PMI_LOCAL_RANK", "SLURM_LOCALID"];
    names.into_iter().find_map(variable).unwrap_or(0)
}

fn open() -> Result<(Box<dyn Calls>, Found), MpiError> {
    let path = std::env::var("GRIDLIGHT_MPI").ok().filter(|path| !path.is_empty());
    // `srun --mpi=pmix` starts what Open MPI understands, and sets no variable of its own.
    let open_mpi = ["OMPI_COMM_WORLD_SIZE", "PMIX_RANK"].iter().any(|name| std::env::var_os(name).is_some());
    library::open(path.as_deref(), open_mpi)
}

/// The library that would be used; it is not initialised.
///
/// # Errors
/// If there is none.
pub fn find() -> Result<Found, MpiError> {
    open().map(|(_, found)| found)
}

/// All ranks, as one of them sees them. MPI ends when it is dropped.
pub struct Group {
    calls: Box<dyn Calls>,
    size: usize,
    rank: usize,
    stop: Cell<bool>,
    /// What [`Group::add`] sends and receives, kept from one time to the next.
    memory: RefCell<[Vec<u32>; 3]>,
}

impl std::fmt::Debug for Group {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "rank {} of {}", self.rank, self.size)
    }
}

impl Group {
    /// Joins the ranks that the launcher started. To be called once in a process.
    ///
    /// # Errors
    /// If there is no MPI library, or it belongs to another MPI than the launcher.
    pub fn join() -> Result<Self, MpiError> {
        let (calls, found) = open()?;
        let (size, rank) = calls.init()?;
        let group = Self { calls, size, rank, stop: Cell::new(false), memory: RefCell::default() };
        match launched() {
            Some((launched, variable)) if launched != size => {
                Err(MpiError::Launcher { launched, variable, library: found.library, seen: size })
            }
            _ => Ok(group),
        }
    }

    /// Number of ranks.
    pub fn size(&self) -> usize {
        self.size
    }

    /// This rank, from 0.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// Whether this rank decides what is done.
    pub fn leads(&self) -> bool {
        self.rank == 0
    }

    /// Notes that this rank, or one of those it heard of, is asked to stop.
    pub fn ask_to_stop(&self) {
        self.stop.set(true);
    }

    /// Whether a rank was asked to stop.
    pub fn is_to_stop(&self) -> bool {
        self.stop.get()
    }

    /// Ends all ranks with this exit code.
    pub fn abort(&self, code: u8) {
        self.calls.abort(code);
    }

    /// Tells all ranks what rank 0 does next, with what it needs for it; only rank 0 tells.
    ///
    /// # Errors
    /// If MPI fails.
    pub fn tell(&self, what: u32, words: &[u32]) -> Result<(), MpiError> {
        let mut head = [what, words.len() as u32];
        self.calls.broadcast(&mut head)?;
        let mut chunk = vec![];
        for part in words.chunks(CHUNK) {
            chunk.clear();
            chunk.extend_from_slice(part);
            self.calls.broadcast(&mut chunk)?;
        }
        Ok(())
    }

    /// What rank 0 tells; for the others.
    ///
    /// # Errors
    /// If MPI fails.
    pub fn hear(&self) -> Result<(u32, Vec<u32>), MpiError> {
        let mut head = [0; 2];
        self.calls.broadcast(&mut head)?;
        let mut words = vec![0; head[1] as usize];
        for part in words.chunks_mut(CHUNK) {
            self.calls.broadcast(part)?;
        }
        Ok((head[0], words))
    }

    /// The words of all ranks, one after the other; each has as many.
    ///
    /// # Errors
    /// If MPI fails.
    pub fn gather(&self, words: &[u32]) -> Result<Vec<u32>, MpiError> {
        let mut all = vec![0; words.len() * self.size];
        self.calls.all_gather(words, &mut all)?;
        Ok(all)
    }

    /// Replaces `values` by the sums of those of all ranks, added to `before` (zeros, if it is empty; else as long, and equal on
    /// all ranks), those of rank 0 first: the same bits on every rank, whatever the library. Each rank adds one part of
    /// every chunk.
    ///
    /// # Errors
    /// If MPI fails.
    pub fn add(&self, values: &mut [u32], before: &[u32]) -> Result<(), MpiError> {
        let [sent, received, own] = &mut *self.memory.borrow_mut();
        for (number, values) in values.chunks_mut(CHUNK).enumerate() {
            let part = values.len().div_ceil(self.size);
            let is_even = part * self.size == values.len();
            received.resize(part * self.size, 0);
            if is_even {
                self.calls.all_to_all(values, part, received)?;
            } else {
                sent.clear();
                sent.extend_from_slice(values);
                sent.resize(part * self.size, 0);
                self.calls.all_to_all(sent, part, received)?;
            }
            let first = number * CHUNK + (part * self.rank).min(values.len());
            own.clear();
            own.extend_from_slice(before.get(first..(first + part).min(before.len())).unwrap_or_default());
            // +0, to which a value adds nothing but the sign of -0.
            own.resize(part, 0);
            add_in_order(own, received, part);
            if is_even {
                self.calls.all_gather(own, values)?;
            } else {
                self.calls.all_gather(own, received)?;
                values.copy_from_slice(&received[..values.len()]);
            }
        }
        Ok(())
    }

    /// As [`Group::add`], but each rank gets the sums of its part alone, in place of its own values there, and reads that part of
    /// `before` alone: half of what the sums of all take. Of `parts`, which are the same on all, rank `r` has the `r`-th.
    ///
    /// # Errors
    /// If MPI fails.
    pub fn add_parts(
        &self,
        values: &mut [u32],
        before: &[u32],
        parts: &[Range<usize>],
    ) -> Result<(), MpiError> {
        let [sent, received, _] = &mut *self.memory.borrow_mut();
        for (first, length) in self.pieces(parts) {
            sent.clear();
            for (number, part) in parts.iter().enumerate() {
                sent.extend_from_slice(&values[piece(part, first, length)]);
                sent.resize((number + 1) * length, 0);
            }
            received.resize(length * self.size, 0);
            self.calls.all_to_all(sent, length, received)?;
            let own = piece(&parts[self.rank], first, length);
            let sums = &mut values[own.clone()];
            match before.get(own) {
                Some(before) => sums.copy_from_slice(before),
                None => sums.fill(0),
            }
            add_in_order(sums, received, length);
        }
        Ok(())
    }

    /// Gives all ranks each rank's part of `values`: of `parts`, which are the same on all, rank `r` has the `r`-th.
    ///
    /// # Errors
    /// If MPI fails.
    pub fn share(&self, values: &mut [u32], parts: &[Range<usize>]) -> Result<(), MpiError> {
        let [sent, received, _] = &mut *self.memory.borrow_mut();
        for (first, length) in self.pieces(parts) {
            sent.clear();
            sent.extend_from_slice(&values[piece(&parts[self.rank], first, length)]);
            sent.resize(length, 0);
            received.resize(length * self.size, 0);
            self.calls.all_gather(sent, received)?;
            for (part, received) in parts.iter().zip(received.chunks(length)) {
                let piece = piece(part, first, length);
                values[piece.clone()].copy_from_slice(&received[..piece.len()]);
            }
        }
        Ok(())
    }

    /// The pieces in which ranks exchange parts: the first word of each, and how many words the longest part has there.
    fn pieces(&self, parts: &[Range<usize>]) -> impl Iterator<Item = (usize, usize)> + use<> {
        let longest = parts.iter().map(Range::len).max().unwrap_or(0);
        let most = (CHUNK / self.size).max(1);
        (0..longest).step_by(most).map(move |first| (first, most.min(longest - first)))
    }
}

/// Adds to `sums` the values of each rank, which are `length` or fewer, in the order of ranks.
fn add_in_order(sums: &mut [u32], of_ranks: &[u32], length: usize) {
    for values in of_ranks.chunks(length) {
        for (sum, &value) in sums.iter_mut().zip(values) {
            *sum = (f32::from_bits(*sum) + f32::from_bits(value)).to_bits();
        }
    }
}

/// The words of `part` that are `length` or fewer from its word `first` on.
fn piece(part: &Range<usize>, first: usize, length: usize) -> Range<usize> {
    (part.start + first).min(part.end)..(part.start + first + length).min(part.end)
}

impl Drop for Group {
    fn drop(&mut self) {
        // After a panic the others still compute, and MPI_Finalize would wait for them; the launcher ends all
        // when a process ends without it.
        if !std::thread::panicking() {
            self.calls.finalize();
        }
    }
}
