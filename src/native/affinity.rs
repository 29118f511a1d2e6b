//! Where threads run. Two that wake each other at every kernel are put on one processor by Linux time and again, where they
//! take turns instead of working side by side.
#![allow(unsafe_code, reason = "libc's functions take pointers")]

/// Keeps thread number `at` of `threads` on a processor of its own, if there are as many processors as threads. With fewer
/// threads, the system knows better which processors are free.
#[cfg(target_os = "linux")]
pub fn keep(at: usize, threads: usize) {
    let size = size_of::<libc::cpu_set_t>();
    // SAFETY: a set is a field of bits, of which none is set when all are zero.
    let [mut allowed, mut own]: [libc::cpu_set_t; 2] = unsafe { std::mem::zeroed() };
    // SAFETY: `allowed` is a set of `size` bytes; 0 is the calling thread.
    if unsafe { libc::sched_getaffinity(0, size, &raw mut allowed) } != 0 {
        return;
    }
    // SAFETY: numbers below `CPU_SETSIZE` lie in the set.
    let is_allowed = |processor: &usize| unsafe { libc::CPU_ISSET(*processor, &allowed) };
    let processors: Vec<usize> = (0..libc::CPU_SETSIZE as usize).filter(is_allowed).collect();
    if let (Some(processor), true) = (processors.get(at), processors.len() == threads) {
        // SAFETY: as above. Where the system refuses, the thread runs where it likes.
        unsafe {
            libc::CPU_SET(*processor, &mut own);
            libc::sched_setaffinity(0, size, &raw const own);
        }
    }
}

/// Threads run where the system likes.
#[cfg(not(target_os = "linux"))]
pub fn keep(_: usize, _: usize) {}
