//! Loops over parts that are independent of each other: on all threads, and in browsers, which have one, in turn.
//!
//! Results do not depend on which it is: what is collected keeps its order.

#[cfg(not(target_family = "wasm"))]
pub(crate) use rayon::{ThreadPool, ThreadPoolBuildError, join, prelude};
#[cfg(target_family = "wasm")]
pub(crate) use serial::{ThreadPool, ThreadPoolBuildError, join, prelude};

/// A pool of threads, each of which begins with `started`, which is given its number.
///
/// # Errors
/// If the system cannot start them.
#[cfg(not(target_family = "wasm"))]
pub(crate) fn pool(
    threads: usize,
    started: impl Fn(usize) + Send + Sync + 'static,
) -> Result<Option<ThreadPool>, ThreadPoolBuildError> {
    rayon::ThreadPoolBuilder::new().num_threads(threads).start_handler(started).build().map(Some)
}

/// No pool: there are no threads.
#[cfg(target_family = "wasm")]
pub(crate) fn pool(_: usize, _: impl Fn(usize)) -> Result<Option<ThreadPool>, ThreadPoolBuildError> {
    Ok(None)
}

/// The parts of rayon that are used, without threads: its code for each loop is as much as the loop's own.
#[cfg(target_family = "wasm")]
mod serial {
    use std::slice;

    /// What there is none of.
    pub enum ThreadPool {}
    pub type ThreadPoolBuildError = std::convert::Infallible;

    impl ThreadPool {
        pub fn install<R>(&self, _: impl FnOnce() -> R) -> R {
            match *self {}
        }
    }

    pub fn join<A, B>(a: impl FnOnce() -> A, b: impl FnOnce() -> B) -> (A, B) {
        (a(), b())
    }

    pub mod prelude {
        pub use super::{InTurn, Parts};
    }

    /// Items one after the other.
    pub trait InTurn: IntoIterator + Sized {
        fn into_par_iter(self) -> Self::IntoIter {
            self.into_iter()
        }
    }

    impl<T: IntoIterator> InTurn for T {}

    /// Parts of a slice one after the other.
    pub trait Parts<T> {
        fn par_iter(&self) -> slice::Iter<'_, T>;
        fn par_iter_mut(&mut self) -> slice::IterMut<'_, T>;
        fn par_chunks_exact(&self, size: usize) -> slice::ChunksExact<'_, T>;
        fn par_chunks_mut(&mut self, size: usize) -> slice::ChunksMut<'_, T>;
    }

    impl<T> Parts<T> for [T] {
        fn par_iter(&self) -> slice::Iter<'_, T> {
            self.iter()
        }

        fn par_iter_mut(&mut self) -> slice::IterMut<'_, T> {
            self.iter_mut()
        }

        fn par_chunks_exact(&self, size: usize) -> slice::ChunksExact<'_, T> {
            self.chunks_exact(size)
        }

        fn par_chunks_mut(&mut self, size: usize) -> slice::ChunksMut<'_, T> {
            self.chunks_mut(size)
        }
    }
}
