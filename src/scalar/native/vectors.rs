//! The processor's vector instructions.

use pulp::{Simd, WithSimd};

/// Runs an operation with the widest vectors of this processor.
#[cfg(not(target_family = "wasm"))]
#[inline(always)]
pub(crate) fn vectorised<Op: WithSimd>(operation: Op) -> Op::Output {
    pulp::Arch::new().dispatch(operation)
}

/// Runs an operation with vectors of 128 bits, if the engine was built for them, without asking when it runs: one copy of
/// each operation is enough. The "relaxed" instructions, which round as the machine likes, are left out.
#[cfg(all(target_family = "wasm", target_feature = "simd128"))]
#[inline(always)]
pub(crate) fn vectorised<Op: WithSimd>(operation: Op) -> Op::Output {
    let simd =
        pulp::wasm::Simd128::try_new().expect("a browser that has loaded the engine has its instructions");
    Simd::vectorize(simd, operation)
}

/// Runs an operation without vectors, which the engine was built without.
#[cfg(all(target_family = "wasm", not(target_feature = "simd128")))]
#[inline(always)]
pub(crate) fn vectorised<Op: WithSimd>(operation: Op) -> Op::Output {
    Simd::vectorize(pulp::Scalar, operation)
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
