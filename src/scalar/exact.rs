//! The scalar functions in single precision with the same bits on every device: the counterpart of
//! `shaders/shared/exact.wgsl` and `numerics.wgsl`, operation by operation.
//!
//! Each sum, difference and product is rounded separately, and subnormal results are flushed to zero because
//! GPUs may do so; division, square root and the transcendental functions are built from these.
#![allow(
    clippy::excessive_precision,
    clippy::approx_constant,
    clippy::unreadable_literal,
    reason = "numbers are written as in the shaders, so that they can be compared"
)]

use super::BinaryFn;

/// Flushes subnormals to zero and clears the sign of zero.
#[inline(always)]
pub(crate) fn settled(x: f32) -> f32 {
    let bits = x.to_bits();
    f32::from_bits(if bits & 0x7f80_0000 == 0 { 0 } else { bits })
}

#[inline(always)]
pub(crate) fn add(a: f32, b: f32) -> f32 {
    settled(a + b)
}

#[inline(always)]
pub(crate) fn sub(a: f32, b: f32) -> f32 {
    settled(a - b)
}

#[inline(always)]
pub(crate) fn mul(a: f32, b: f32) -> f32 {
    settled(a * b)
}

#[inline(always)]
pub(crate) fn multiply_add(a: f32, b: f32, c: f32) -> f32 {
    add(mul(a, b), c)
}

/// `2^n` for `n` in `-126..=127`.
#[inline(always)]
fn power_of_two(n: i32) -> f32 {
    f32::from_bits(((n + 127) as u32) << 23)
}

/// `x * 2^n`.
#[inline(always)]
fn scaled(x: f32, n: i32) -> f32 {
    let half = n / 2;
    mul(mul(x, power_of_two(half)), power_of_two(n - half))
}

#[inline(always)]
fn exponent(bits: u32) -> i32 {
    ((bits >> 23) & 0xff) as i32 - 127
}

/// The significand, in `[1, 2)`.
#[inline(always)]
fn significand(bits: u32) -> f32 {
    f32::from_bits((bits & 0x007f_ffff) | 0x3f80_0000)
}

#[inline(always)]
pub(crate) fn div(a: f32, b: f32) -> f32 {
    let (a_bits, b_bits) = (a.to_bits(), b.to_bits());
    let d = significand(b_bits) * 0.5;
    let mut y = sub(2.823_529_5, mul(1.882_352_9, d));
    for _ in 0..3 {
        y = multiply_add(y, sub(1.0, mul(d, y)), y);
    }
    let quotient = mul(significand(a_bits), y * 0.5);
    let size = scaled(quotient, exponent(a_bits) - exponent(b_bits)).to_bits();
    let zero = |bits: u32| bits & 0x7f80_0000 == 0;
    let infinite = |bits: u32| bits & 0x7fff_ffff == 0x7f80_0000;
    let nan = |bits: u32| bits & 0x7fff_ffff > 0x7f80_0000;
    let undefined =
        nan(a_bits) | nan(b_bits) | (zero(a_bits) & zero(b_bits)) | (infinite(a_bits) & infinite(b_bits));
    let bits = if undefined {
        0x7fc0_0000
    } else if infinite(a_bits) | zero(b_bits) {
        0x7f80_0000
    } else if zero(a_bits) | infinite(b_bits) {
        0
    } else {
        size
    };
    f32::from_bits(bits | ((a_bits ^ b_bits) & 0x8000_0000))
}

#[inline(always)]
pub(crate) fn sqrt(x: f32) -> f32 {
    let bits = x.to_bits();
    let odd = exponent(bits) & 1;
    let m = f32::from_bits((bits & 0x007f_ffff) | (((127 + odd) as u32) << 23));
    let mut y = f32::from_bits(0x5f37_59df - (m.to_bits() >> 1));
    for _ in 0..3 {
        y = mul(y, sub(1.5, mul(m * 0.5, mul(y, y))));
    }
    let root = mul(mul(m, y), power_of_two((exponent(bits) - odd) / 2));
    let zero = bits & 0x7f80_0000 == 0;
    if (bits & 0x7fff_ffff) > 0x7f80_0000 || (bits > 0x8000_0000 && !zero) {
        f32::from_bits(0x7fc0_0000)
    } else if bits == 0x7f80_0000 {
        x
    } else if zero {
        f32::from_bits(bits & 0x8000_0000)
    } else {
        root
    }
}

#[inline(always)]
pub(crate) fn log(x: f32) -> f32 {
    let bits = x.to_bits();
    let m = significand(bits) * 0.5;
    let low = m < 0.70710678;
    let e = (exponent(bits) + 1 - i32::from(low)) as f32;
    let f = sub(if low { m + m } else { m }, 1.0);
    let z = mul(f, f);
    const COEFFICIENTS: [f32; 8] = [
        -0.115_146_1,
        0.116_769_98,
        -0.124_201_41,
        0.142_493_23,
        -0.166_680_57,
        0.200_007_15,
        -0.249_999_94,
        0.333_333_3,
    ];
    let p = horner(7.037_683_6e-2, f, &COEFFICIENTS);
    let y = mul(mul(f, z), p);
    let y = multiply_add(-2.121_944_4e-4, e, y);
    let y = multiply_add(-0.5, z, y);
    let y = multiply_add(0.693_359_4, e, add(y, f));
    if bits & 0x7f80_0000 == 0 {
        f32::NEG_INFINITY
    } else if (bits & 0x7fff_ffff) > 0x7f80_0000 || bits > 0x8000_0000 {
        f32::from_bits(0x7fc0_0000)
    } else if bits == 0x7f80_0000 {
        x
    } else {
        y
    }
}

/// `((first x + c0) x + c1) x + ...`
#[inline(always)]
pub(crate) fn horner(first: f32, x: f32, coefficients: &[f32]) -> f32 {
    let mut p = first;
    for c in coefficients {
        p = multiply_add(p, x, *c);
    }
    p
}

#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    let c = x.clamp(-104.0, 88.8);
    let n = mul(c, 1.44269504).round_ties_even();
    let r = multiply_add(n, 2.12194440e-4, sub(c, mul(n, 0.693359375)));
    let p = horner(
        1.9875691500e-4,
        r,
        &[1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 0.5],
    );
    let y = add(multiply_add(mul(p, r), r, r), 1.0);
    let half = n as i32 / 2;
    let rest = n as i32 - half;
    let first = mul(y, power_of_two(half));
    if x.is_nan() { x } else { mul(first, power_of_two(rest)) }
}

/// -1, 0 or 1.
#[inline(always)]
pub(crate) fn sign(x: f32) -> f32 {
    if x > 0.0 {
        1.0
    } else if x < 0.0 {
        -1.0
    } else {
        0.0
    }
}

#[inline(always)]
pub(crate) fn relu(x: f32) -> f32 {
    if x > 0.0 || x.is_nan() { x } else { 0.0 }
}

impl BinaryFn {
    /// `f(a, b)` in exact mode: the same bits on every device.
    pub fn exact(self, a: f32, b: f32) -> f32 {
        let truth = |holds: bool| f32::from(u8::from(holds));
        match self {
            BinaryFn::Add => add(a, b),
            BinaryFn::Sub => sub(a, b),
            BinaryFn::Mul => mul(a, b),
            BinaryFn::Div => div(a, b),
            BinaryFn::Min | BinaryFn::Max if a.is_nan() => a,
            BinaryFn::Min | BinaryFn::Max if b.is_nan() => b,
            // For zeros of different sign, returns the second.
            BinaryFn::Min => {
                if a < b {
                    a
                } else {
                    b
                }
            }
            BinaryFn::Max => {
                if a > b {
                    a
                } else {
                    b
                }
            }
            BinaryFn::Less => truth(a < b),
            BinaryFn::LessEqual => truth(a <= b),
            BinaryFn::Equal => truth(a == b),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scalar::UnaryFn;

    /// Numbers of all magnitudes, and the edge cases.
    fn inputs() -> Vec<f32> {
        let edges = [0.0, -0.0, 1.0, -1.0, 0.5, 2.0, 1e-30, 88.0, 1e4, f32::MAX, f32::MIN_POSITIVE];
        let mut inputs = edges.to_vec();
        inputs.extend((-4000..4000).map(|i| i as f32 * 5e-3));
        inputs.extend((0..2000u32).flat_map(|i| {
            let x = f32::from_bits(i.wrapping_mul(0x0010_4321) % 0x7f80_0000);
            [x, -x]
        }));
        inputs
    }

    /// Whether `found` equals `right` to a few units in the last place, or relative to `scale` where digits
    /// cancel.
    fn close(found: f32, right: f64, scale: f64) -> bool {
        let found = f64::from(found);
        let beyond = right.abs() > 3.4e38 && found.is_infinite() && found.signum() == right.signum();
        // Subnormals are flushed to 0, intermediate results included.
        let allowed = 4.0 * right.abs().max(scale) / 8_388_608.0 + 4.0 * f64::from(f32::MIN_POSITIVE);
        found == right || (found.is_nan() && right.is_nan()) || beyond || (found - right).abs() <= allowed
    }

    #[test]
    fn functions_are_accurate_to_a_few_units_in_the_last_place() {
        for f in UnaryFn::ALL {
            for x in inputs() {
                let x = settled(x);
                let scale = match f {
                    UnaryFn::Gelu => f64::from(x.abs()).min(10.0),
                    UnaryFn::Silu => f64::from(x.abs()) * f64::from(f32::MIN_POSITIVE) * 8_388_608.0,
                    _ => 0.0,
                };
                let (found, right) = (f.exact(x), f.eval(f64::from(x)));
                assert!(close(found, right, scale), "{f:?}({x:e}) = {found:e}, not {right:e}");
            }
        }
        for f in
            [UnaryFn::Exp, UnaryFn::Log, UnaryFn::Sqrt, UnaryFn::Tanh, UnaryFn::Relu, UnaryFn::Reciprocal]
        {
            assert!(f.exact(f32::NAN).is_nan(), "{f:?}");
            for x in [f32::INFINITY, f32::NEG_INFINITY] {
                assert!(close(f.exact(x), f.eval(f64::from(x)), 0.0), "{f:?}({x})");
            }
        }
    }

    #[test]
    fn sine_and_cosine_are_accurate_at_all_sizes() {
        for f in [UnaryFn::Sin, UnaryFn::Cos] {
            // Near multiples of a quarter of a turn little is left of large numbers.
            let quarters = (0..2000).map(|n| (f64::from(n) * std::f64::consts::FRAC_PI_2) as f32);
            for x in quarters.chain(inputs()).map(settled) {
                let (found, right) = (f.exact(x), f.eval(f64::from(x)));
                assert!(close(found, right, 0.0), "{f:?}({x:e}) = {found:e}, not {right:e}");
                assert_eq!(f.exact(-x).abs().to_bits(), found.abs().to_bits(), "{f:?}(-{x:e})");
            }
            assert!([f32::NAN, f32::INFINITY, f32::NEG_INFINITY].iter().all(|&x| f.exact(x).is_nan()));
        }
    }

    #[test]
    fn division_is_accurate_at_all_sizes_and_follows_ieee_at_the_edges() {
        let inputs = inputs();
        for (i, a) in inputs.iter().enumerate() {
            let (a, b) = (settled(*a), settled(inputs[(i * 7919 + 13) % inputs.len()]));
            let right = f64::from(a) / f64::from(b);
            assert!(close(div(a, b), right, 0.0), "{a:e} / {b:e} = {:e}, not {right:e}", div(a, b));
        }
        for a in [0.0, -0.0, 1.0, -3.0, f32::INFINITY, f32::NEG_INFINITY, f32::NAN] {
            for b in [0.0, -0.0, 2.0, -5.0, f32::INFINITY, f32::NEG_INFINITY, f32::NAN] {
                let (found, right) = (div(a, b), a / b);
                let same = found.to_bits() == right.to_bits() || (found.is_nan() && right.is_nan());
                assert!(same || close(found, f64::from(right), 0.0), "{a} / {b} = {found}, not {right}");
            }
        }
    }
}
