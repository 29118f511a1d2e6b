//! The scalar functions in single precision, without branches or calls, so that loops over them vectorise.
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
fn round(x: f32) -> f32 {
    (x + ROUNDER) - ROUNDER
}

/// `2^n` for an integral `n` in `-126..=127`. A conversion to integer would not vectorise, because it
/// saturates.
#[inline(always)]
fn power_of_two(n: f32) -> f32 {
    f32::from_bits((n + (ROUNDER + 127.0)).to_bits() << 23)
}

#[inline(always)]
pub(super) fn sign(x: f32) -> f32 {
    let below = if x < 0.0 { -1.0 } else { x };
    if x > 0.0 { 1.0 } else { below }
}

/// `a b + c`, fused with AVX2, AVX-512 and NEON; elsewhere a fused operation would be a function call.
#[inline(always)]
pub(crate) fn multiply_add<S: Simd>(a: f32, b: f32, c: f32) -> f32 {
    if S::F32_LANES >= 8 || cfg!(target_arch = "aarch64") { a.mul_add(b, c) } else { a * b + c }
}

/// Evaluates a polynomial; coefficients start with the highest power.
#[inline(always)]
fn polynomial<S: Simd, const N: usize>(x: f32, coefficients: [f32; N]) -> f32 {
    let mut value = coefficients[0];
    for coefficient in &coefficients[1..] {
        value = multiply_add::<S>(value, x, *coefficient);
    }
    value
}

/// Returns `y` near 1 and an integral `n` with `e^x = 2^n y`.
#[inline(always)]
fn exp_parts<S: Simd>(x: f32) -> (f32, f32) {
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

#[inline(always)]
pub(super) fn expm1<S: Simd>(x: f32) -> f32 {
    let series = polynomial::<S, 7>(
        x,
        [1.984_127e-4, 1.388_888_9e-3, 8.333_334e-3, 4.166_666_7e-2, 0.166_666_67, 0.5, 1.0],
    );
    let far = exp::<S>(x) - 1.0;
    if x.abs() < 0.5 { x * series } else { far }
}

/// `log(1 + f) + e log 2`, for `f` from `sqrt(1/2) - 1` to `sqrt(2) - 1`.
#[inline(always)]
fn log_parts<S: Simd>(f: f32, e: f32) -> f32 {
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

#[inline(always)]
pub(super) fn log1p<S: Simd>(x: f32) -> f32 {
    // Divides out the rounding error of 1 + x (Kahan).
    let u = 1.0 + x;
    let y = log::<S>(u);
    let corrected = y - ((u - 1.0) - x) / u;
    if u.is_infinite() || u <= 0.0 { y } else { corrected }
}

#[inline(always)]
pub(crate) fn tanh<S: Simd>(x: f32) -> f32 {
    let z = x * x;
    let p =
        polynomial::<S, 5>(z, [-5.704_988_7e-3, 2.063_909e-2, -5.373_971_5e-2, 0.133_314_42, -0.333_332_8]);
    let near = multiply_add::<S>(p * z, x, x);
    let a = x.abs();
    // The result is 1 in single precision well before 20; one power of two suffices.
    let (y, n) = exp_parts::<S>(2.0 * if a < 20.0 { a } else { 20.0 });
    let far = 1.0 - 2.0 / multiply_add::<S>(y, power_of_two(n), 1.0);
    let far = if x < 0.0 { -far } else { far };
    if a < 0.625 || x.is_nan() { near } else { far }
}

#[inline(always)]
pub(crate) fn sigmoid<S: Simd>(x: f32) -> f32 {
    let e = exp::<S>(-x.abs());
    let y = 1.0 / (1.0 + e);
    if x < 0.0 { e * y } else { y }
}

#[inline(always)]
pub(super) fn silu<S: Simd>(x: f32) -> f32 {
    x * sigmoid::<S>(x)
}

#[inline(always)]
pub(super) fn softplus<S: Simd>(x: f32) -> f32 {
    let positive = if x > 0.0 { x } else { 0.0 };
    // log(1 + u) for u from 0 to 1: 1 + u is halved where it is too large, which is exact.
    let u = exp::<S>(-x.abs());
    let low = u < std::f32::consts::SQRT_2 - 1.0;
    let (f, e) = (if low { u } else { 0.5 * (u - 1.0) }, if low { 0.0 } else { 1.0 });
    positive + log_parts::<S>(f, e)
}

#[inline(always)]
pub(super) fn gelu<S: Simd>(x: f32) -> f32 {
    0.5 * x * (1.0 + erf::<S>(x * std::f32::consts::FRAC_1_SQRT_2))
}

#[inline(always)]
pub(super) fn erf<S: Simd>(x: f32) -> f32 {
    let a = x.abs();
    let z = x * x;
    // Taylor series below 1; the remainder after 11 terms is below 1e-8.
    let near = polynomial::<S, 11>(
        z,
        [
            1.480_719_3e-8,
            -1.636_584_5e-7,
            1.646_211_4e-6,
            -1.492_565e-5,
            1.205_533_3e-4,
            -8.548_327e-4,
            5.223_977_6e-3,
            -2.686_617e-2,
            0.112_837_92,
            -0.376_126_4,
            std::f32::consts::FRAC_2_SQRT_PI,
        ],
    );
    let k = 1.0 / (1.0 + 0.327_591_1 * a);
    let p = polynomial::<S, 5>(k, [1.061_405_4, -1.453_152, 1.421_413_7, -0.284_496_74, 0.254_829_6]);
    let far = 1.0 - k * p * exp::<S>(-z);
    let far = if x < 0.0 { -far } else { far };
    if a < 1.0 || x.is_nan() { x * near } else { far }
}
