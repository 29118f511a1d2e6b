//! The processor's vector instructions.

use pulp::WithSimd;

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
        Some(simd) if cfg!(target_feature = "simd128") => pulp::Simd::vectorize(simd, operation),
        _ => pulp::Simd::vectorize(pulp::Scalar, operation),
    }
}
