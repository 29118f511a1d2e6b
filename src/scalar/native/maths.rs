//! What the scalar functions are made of in single precision, without branches or calls, so that loops over them
//! vectorise.
//!
//! Polynomials are Cephes' single-precision ones (Moshier, netlib.org/cephes, public domain), with an error
//! of about 1 to 2 units in the last place; `erf` uses its Taylor series and Abramowitz and Stegun 7.1.26.
//!
//! `S` is the instruction set the caller is compiled for: multiply-adds are fused where it has an instruction
//! for them.

use pulp::Simd;

/// Adding this rounds to the nearest integer `n` and leaves it in the low bits: 1.5 * 2^23; |n| < 2^22.
const ROUNDER: f32 = 12_582_912.0;

#[inline(always)]
pub(in crate::scalar) fn round(x: f32) -> f32 {
    (x + ROUNDER) - ROUNDER
}

/// `2^n` for an integral `n` in `-126..=127`. A conversion to integer would not vectorise, because it
/// saturates.
#[inline(always)]
pub(in crate::scalar) fn power_of_two(n: f32) -> f32 {
    f32::from_bits((n + (ROUNDER + 127.0)).to_bits() << 23)
}

/// `a b + c`, fused with AVX2, AVX-512 and NEON; elsewhere a fused operation would be a function call.
#[inline(always)]
pub(crate) fn multiply_add<S: Simd>(a: f32, b: f32, c: f32) -> f32 {
    if S::F32_LANES >= 8 || cfg!(target_arch = "aarch64") { a.mul_add(b, c) } else { a * b + c }
}

/// [`multiply_add`] of vectors.
#[inline(always)]
pub(crate) fn multiply_add_vectors<S: Simd>(simd: S, a: S::f32s, b: S::f32s, c: S::f32s) -> S::f32s {
    if S::F32_LANES >= 8 || cfg!(target_arch = "aarch64") {
        simd.mul_add_f32s(a, b, c)
    } else {
        simd.add_f32s(simd.mul_f32s(a, b), c)
    }
}

/// Evaluates a polynomial; coefficients start with the highest power.
#[inline(always)]
pub(in crate::scalar) fn polynomial<S: Simd, const N: usize>(x: f32, coefficients: [f32; N]) -> f32 {
    let mut value = coefficients[0];
    for coefficient in &coefficients[1..] {
        value = multiply_add::<S>(value, x, *coefficient);
    }
    value
}

/// Returns `y` near 1 and an integral `n` with `e^x = 2^n y`.
#[inline(always)]
pub(in crate::scalar) fn exp_parts<S: Simd>(x: f32) -> (f32, f32) {
    let n = multiply_add::<S>(x, std::f32::consts::LOG2_E, ROUNDER) - ROUNDER;
    let r = multiply_add::<S>(n, 2.121_944_4e-4, multiply_add::<S>(n, -0.693_359_4, x));
    let p =
        polynomial::<S, 6>(r, [1.987_569_2e-4, 1.398_2e-3, 8.333_452e-3, 4.166_579_6e-2, 0.166_666_65, 0.5]);
    (multiply_add::<S>(p, r * r, r) + 1.0, n)
}

#[inline(always)]
pub(crate) fn exp<S: Simd>(x: f32) -> f32 {
    let (y, n) = exp_parts::<S>(x.clamp(-104.0, 88.8));
    // Two factors cover both subnormal results and 2^128.
    let half = round(n * 0.5);
    let y = y * power_of_two(half) * power_of_two(n - half);
    if x.is_nan() { x } else { y }
}

/// `log(1 + f) + e log 2`, for `f` from `sqrt(1/2) - 1` to `sqrt(2) - 1`.
#[inline(always)]
pub(in crate::scalar) fn log_parts<S: Simd>(f: f32, e: f32) -> f32 {
    let z = f * f;
    let p = polynomial::<S, 9>(
        f,
        [
            7.037_683_6e-2,
            -0.115_146_1,
            0.116_769_98,
            -0.124_201_41,
            0.142_493_23,
            -0.166_680_57,
            0.200_007_15,
            -0.249_999_94,
            0.333_333_3,
        ],
    );
    let y = multiply_add::<S>(e, -2.121_944_4e-4, f * z * p);
    let y = multiply_add::<S>(z, -0.5, y) + f;
    multiply_add::<S>(e, 0.693_359_4, y)
}

#[inline(always)]
pub(crate) fn log<S: Simd>(x: f32) -> f32 {
    // Subnormals are scaled into the normal range first.
    let tiny = x < f32::MIN_POSITIVE;
    let scaled = if tiny { x * 16_777_216.0 } else { x };
    let bits = scaled.to_bits();
    let exponent = ((bits >> 23) & 0xff) as i32 - 126 - if tiny { 24 } else { 0 };
    let m = f32::from_bits((bits & 0x007f_ffff) | 0x3f00_0000);
    let low = m < std::f32::consts::FRAC_1_SQRT_2;
    let e = exponent as f32 - if low { 1.0 } else { 0.0 };
    let f = if low { m + m - 1.0 } else { m - 1.0 };
    let y = log_parts::<S>(f, e);
    let special = if x == 0.0 {
        f32::NEG_INFINITY
    } else if x < 0.0 {
        f32::NAN
    } else {
        x
    };
    if x > 0.0 && x < f32::INFINITY { y } else { special }
}
