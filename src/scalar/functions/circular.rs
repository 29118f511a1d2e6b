//! Sine and cosine.
//!
//! The turns are taken off in integers, of a window of the bits of 2 / pi (Payne and Hanek 1983), so that the result is
//! accurate for arguments of any size and the same on every device.
#![allow(
    clippy::excessive_precision,
    clippy::unreadable_literal,
    reason = "numbers are written as in the shaders, so that they can be compared"
)]

use pulp::Simd;

use super::{ScalarFunction, Wgsl};
use crate::scalar::exact;
use crate::scalar::native::maths;

/// 32 zeros, then the bits of 2 / pi.
const TURNS: [u32; 8] =
    [0, 0xa2f9836e, 0x4e441529, 0xfc2757d1, 0xf534ddc0, 0xdb629599, 0x3c439041, 0xfe5163ab];

pub(crate) struct Sin;

impl ScalarFunction for Sin {
    const NAME: &'static str = "sin";
    const WGSL: Wgsl = Wgsl::Scalar("sin_($)");

    fn eval(x: f64) -> f64 {
        x.sin()
    }

    #[inline(always)]
    fn exact(x: f32) -> f32 {
        exactly(x, 0)
    }

    #[inline(always)]
    fn native<S: Simd>(x: f32) -> f32 {
        natively::<S>(x, 0)
    }
}

pub(crate) struct Cos;

impl ScalarFunction for Cos {
    const NAME: &'static str = "cos";
    const WGSL: Wgsl = Wgsl::Scalar("cos_($)");

    fn eval(x: f64) -> f64 {
        x.cos()
    }

    #[inline(always)]
    fn exact(x: f32) -> f32 {
        exactly(x, 1)
    }

    #[inline(always)]
    fn native<S: Simd>(x: f32) -> f32 {
        natively::<S>(x, 1)
    }
}

/// What is left of `|x|`, between -pi/4 and pi/4, and how many quarters of a turn were taken off, modulo 4.
#[inline(always)]
fn reduced(x: f32) -> (f32, u32) {
    let bits = x.to_bits() & 0x7fff_ffff;
    // |x| is m times a power of two. Bits of 2 / pi whose product with it are whole turns are left out.
    let m = u64::from((bits & 0x007f_ffff) | 0x0080_0000);
    let from = (bits >> 23).clamp(126, 254) - 120;
    let word = |at: u32| TURNS[((from >> 5) + at) as usize & 7];
    let window = |at: u32| (word(at) << (from & 31)) | ((word(at + 1) >> 1) >> (31 - (from & 31)));
    // The product has 2 bits before the point, and 62 after it.
    let high = (m * u64::from(window(0))) << 32;
    let product = high.wrapping_add(m * u64::from(window(1))).wrapping_add((m * u64::from(window(2))) >> 32);
    let quarters = (product >> 32) as u32;
    let quarters = quarters.wrapping_add(0x2000_0000) >> 30;
    let rest = product.wrapping_sub(u64::from(quarters) << 62) as i64;
    let size = rest.unsigned_abs();
    let zeros = size.leading_zeros().min(63);
    let leading = ((size << zeros) >> 40) as f32;
    let part = leading * 1.5707964 * f32::from_bits((105 - zeros) << 23);
    let part = if rest < 0 { -part } else { part };
    if bits < 0x3f49_0fdb { (f32::from_bits(bits), 0) } else { (part, quarters) }
}

/// The sine of `x` and `first` quarters of a turn, in exact mode.
#[inline(always)]
fn exactly(x: f32, first: u32) -> f32 {
    let (r, quarters) = reduced(x);
    let z = exact::mul(r, r);
    let p = exact::horner(-1.9515295891e-4, z, &[8.3321608736e-3, -1.6666654611e-1]);
    let sine = exact::multiply_add(exact::mul(p, z), r, r);
    let q = exact::horner(2.443315711809948e-5, z, &[-1.388731625493765e-3, 4.166664568298827e-2]);
    let cosine = exact::multiply_add(exact::mul(q, z), z, exact::sub(1.0, exact::mul(0.5, z)));
    let sign = sign_of(x, first, quarters);
    finished(x, exact::mul(if (quarters + first) & 1 == 1 { cosine } else { sine }, sign))
}

/// As [`exactly`], in other modes.
#[inline(always)]
fn natively<S: Simd>(x: f32, first: u32) -> f32 {
    let (r, quarters) = reduced(x);
    let z = r * r;
    let p = maths::polynomial::<S, 3>(z, [-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1]);
    let sine = maths::multiply_add::<S>(p * z, r, r);
    let q = maths::polynomial::<S, 3>(z, [2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2]);
    let cosine = maths::multiply_add::<S>(q * z, z, 1.0 - 0.5 * z);
    let sign = sign_of(x, first, quarters);
    finished(x, if (quarters + first) & 1 == 1 { cosine } else { sine } * sign)
}

/// The sine is odd, the cosine even, and either changes its sign with half a turn.
#[inline(always)]
fn sign_of(x: f32, first: u32, quarters: u32) -> f32 {
    let odd = (x.to_bits() >> 31) & (1 - first);
    if odd ^ (((quarters + first) >> 1) & 1) == 1 { -1.0 } else { 1.0 }
}

#[inline(always)]
fn finished(x: f32, y: f32) -> f32 {
    if x.is_finite() { y } else { f32::NAN }
}
