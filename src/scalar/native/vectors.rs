//! The processor's vector instructions.

use pulp::{Simd, WithSimd};

/// Runs an operation with the widest vectors of this processor.
#[cfg(not(target_family = "wasm"))]
#[inline(always)]
pub(crate) fn vectorised<Op: WithSimd>(operation: Op) -> Op::Output {
    pulp::Arch::new().dispatch(operation)
}

/// Runs an operation with vectors of 128 bits, where the engine was built for them. That is known beforehand, so that one
/// copy of each operation is enough; and the "relaxed" instructions, which round as the machine likes, are left out.
#[cfg(target_family = "wasm")]
#[inline(always)]
pub(crate) fn vectorised<Op: WithSimd>(operation: Op) -> Op::Output {
    match pulp::wasm::Simd128::try_new() {
        Some(simd) if cfg!(target_feature = "simd128") => Simd::vectorize(simd, operation),
        _ => Simd::vectorize(pulp::Scalar, operation),
    }
}

/// Numbers in a vector of [`vectorised`].
pub(crate) fn lanes() -> usize {
    struct Lanes;
    impl WithSimd for Lanes {
        type Output = usize;

        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) -> usize {
            S::F32_LANES
        }
    }
    vectorised(Lanes)
}
