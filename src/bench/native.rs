//! The processor's limits: multiply-adds on all cores in the widest vectors, and a parallel copy.

use std::hint::black_box;
use std::time::Instant;

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::Limits;
use crate::device::DeviceError;
use crate::device::cpu::thread_count;

/// Independent multiply-adds in flight: enough to hide their latency (4 cycles, 2 per cycle).
const CHAINS: usize = 12;

/// Multiply-adds in registers.
struct MultiplyAdds {
    rounds: usize,
}

impl WithSimd for MultiplyAdds {
    /// A value to keep, and the number of floating-point operations.
    type Output = (f32, f64);

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> (f32, f64) {
        // Hidden from the compiler, which could otherwise compute the result itself.
        let (factor, term) = (simd.splat_f32s(black_box(0.999)), simd.splat_f32s(black_box(0.001)));
        let mut x = [simd.splat_f32s(black_box(3.0)); CHAINS];
        for _ in 0..self.rounds {
            for x in &mut x {
                *x = simd.mul_add_f32s(*x, factor, term);
            }
        }
        let sum = x.into_iter().fold(simd.splat_f32s(0.0), |a, b| simd.add_f32s(a, b));
        (simd.reduce_sum_f32s(sum), (2 * CHAINS * S::F32_LANES * self.rounds) as f64)
    }
}

/// Measures both limits with as many threads as the backend uses.
pub fn limits() -> Result<Limits, DeviceError> {
    let threads = thread_count();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    let pool = pool.map_err(|e| DeviceError::Validation(format!("cannot start {threads} threads: {e}")))?;
    let fastest = |work: &(dyn Fn() -> f64 + Sync)| {
        let rate = |_| {
            let start = Instant::now();
            let amount = pool.install(work);
            amount / start.elapsed().as_secs_f64() / 1e9
        };
        (0..5).map(rate).fold(0.0, f64::max)
    };
    let gflops = fastest(&|| {
        let one = |_| {
            let (kept, operations) = Arch::new().dispatch(MultiplyAdds { rounds: black_box(2_000_000) });
            black_box(kept);
            operations
        };
        (0..threads).into_par_iter().map(one).sum()
    });
    const WORDS: usize = 1 << 24;
    let source = vec![1.0f32; WORDS];
    let target = std::sync::Mutex::new(vec![0.0f32; WORDS]);
    let gigabytes = fastest(&|| {
        // Nothing else holds the lock, and a panic elsewhere would not corrupt the copy.
        let mut target = target.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let part = WORDS.div_ceil(threads);
        target
            .par_chunks_mut(part)
            .zip(source.par_chunks(part))
            .for_each(|(to, from)| to.copy_from_slice(from));
        black_box(&target[0]);
        8.0 * WORDS as f64
    });
    Ok(Limits { gflops, gigabytes })
}
