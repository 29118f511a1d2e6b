//! One operation over all elements of a chunk: loops that vectorise, over operands that are slices or
//! scalars.
//!
//! `S` is the instruction set the caller is compiled for.

use pulp::Simd;

use super::maths::multiply_add;
use crate::scalar::functions::{Relu, ScalarFunction, Sqrt, Square};
use crate::scalar::{BinaryFn, UnaryFn, exact};

/// An operand of a loop.
#[derive(Clone, Copy)]
pub(in crate::scalar) enum Arg<'a> {
    /// One element per element of the result.
    Slice(&'a [f32]),
    /// The same value for all elements.
    Scalar(f32),
}

#[inline(always)]
pub(in crate::scalar) fn map(x: Arg, out: &mut [f32], f: impl Fn(f32) -> f32) {
    match x {
        Arg::Slice(x) => {
            for (o, x) in out.iter_mut().zip(x) {
                *o = f(*x);
            }
        }
        Arg::Scalar(x) => out.fill(f(x)),
    }
}

#[inline(always)]
fn zip(a: Arg, b: Arg, out: &mut [f32], f: impl Fn(f32, f32) -> f32) {
    match (a, b) {
        (Arg::Slice(a), Arg::Slice(b)) => {
            for ((o, a), b) in out.iter_mut().zip(a).zip(b) {
                *o = f(*a, *b);
            }
        }
        (a, Arg::Scalar(b)) => map(a, out, |a| f(a, b)),
        (Arg::Scalar(a), b) => map(b, out, |b| f(a, b)),
    }
}

#[inline(always)]
fn zip3(a: Arg, b: Arg, c: Arg, out: &mut [f32], f: impl Fn(f32, f32, f32) -> f32) {
    match (a, b, c) {
        (Arg::Slice(a), Arg::Slice(b), Arg::Slice(c)) => {
            for (((o, a), b), c) in out.iter_mut().zip(a).zip(b).zip(c) {
                *o = f(*a, *b, *c);
            }
        }
        (Arg::Scalar(a), b, c) => zip(b, c, out, |b, c| f(a, b, c)),
        (a, Arg::Scalar(b), c) => zip(a, c, out, |a, c| f(a, b, c)),
        (a, b, Arg::Scalar(c)) => zip(a, b, out, |a, b| f(a, b, c)),
    }
}

/// How a product is combined with a third number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Sum {
    /// `a b + c`
    Plus,
    /// `a b - c`
    Minus,
    /// `c - a b`
    From,
}

#[inline(always)]
pub(super) fn multiply_add_all<S: Simd>(sum: Sum, a: Arg, b: Arg, c: Arg, out: &mut [f32]) {
    match sum {
        Sum::Plus => zip3(a, b, c, out, multiply_add::<S>),
        Sum::Minus => zip3(a, b, c, out, |a, b, c| multiply_add::<S>(a, b, -c)),
        Sum::From => zip3(a, b, c, out, |a, b, c| multiply_add::<S>(-a, b, c)),
    }
}

/// Like [`multiply_add_all`], in exact mode.
#[inline(always)]
pub(super) fn exact_multiply_add(sum: Sum, a: Arg, b: Arg, c: Arg, out: &mut [f32]) {
    match sum {
        Sum::Plus => zip3(a, b, c, out, exact::multiply_add),
        Sum::Minus => zip3(a, b, c, out, |a, b, c| exact::sub(exact::mul(a, b), c)),
        Sum::From => zip3(a, b, c, out, |a, b, c| exact::sub(c, exact::mul(a, b))),
    }
}

#[inline(always)]
pub(super) fn copy(x: Arg, out: &mut [f32]) {
    map(x, out, |x| x);
}

/// `a` where `condition` is not 0, else `b`.
#[inline(always)]
pub(super) fn select(condition: Arg, a: Arg, b: Arg, out: &mut [f32]) {
    match condition {
        Arg::Scalar(c) => copy(if c != 0.0 { a } else { b }, out),
        condition => zip3(condition, a, b, out, choose),
    }
}

/// `a` if `condition` is not 0, else `b`, selected by bits: compilers turn an `if` between two elements into
/// a choice of addresses, which does not vectorise.
#[inline(always)]
fn choose(condition: f32, a: f32, b: f32) -> f32 {
    let mask = u32::from(condition != 0.0).wrapping_neg();
    f32::from_bits((a.to_bits() & mask) | (b.to_bits() & !mask))
}

#[inline(always)]
pub(super) fn binary(f: BinaryFn, a: Arg, b: Arg, out: &mut [f32]) {
    let truth = |holds: bool| if holds { 1.0 } else { 0.0 };
    match f {
        BinaryFn::Add => zip(a, b, out, |a, b| a + b),
        BinaryFn::Sub => zip(a, b, out, |a, b| a - b),
        BinaryFn::Mul => zip(a, b, out, |a, b| a * b),
        BinaryFn::Div => zip(a, b, out, |a, b| a / b),
        BinaryFn::Min => zip(a, b, out, |a, b| if a < b || a.is_nan() { a } else { b }),
        BinaryFn::Max => zip(a, b, out, |a, b| if a > b || a.is_nan() { a } else { b }),
        BinaryFn::Less => zip(a, b, out, move |a, b| truth(a < b)),
        BinaryFn::LessEqual => zip(a, b, out, move |a, b| truth(a <= b)),
        BinaryFn::Equal => zip(a, b, out, move |a, b| truth(a == b)),
    }
}

/// Applies a function in exact mode to all elements.
#[inline(always)]
pub(super) fn exact_unary(f: UnaryFn, x: Arg, out: &mut [f32]) {
    match f {
        // The functions that optimizers and ReLU networks use get loops of their own, which vectorise.
        UnaryFn::Square => map(x, out, Square::exact),
        UnaryFn::Sqrt => map(x, out, Sqrt::exact),
        UnaryFn::Relu => map(x, out, Relu::exact),
        f => map(x, out, |x| f.exact(x)),
    }
}

/// Like [`binary`], in exact mode.
#[inline(always)]
pub(super) fn exact_binary(f: BinaryFn, a: Arg, b: Arg, out: &mut [f32]) {
    match f {
        BinaryFn::Add => zip(a, b, out, exact::add),
        BinaryFn::Sub => zip(a, b, out, exact::sub),
        BinaryFn::Mul => zip(a, b, out, exact::mul),
        BinaryFn::Div => zip(a, b, out, exact::div),
        f => zip(a, b, out, |a, b| f.exact(a, b)),
    }
}

#[cfg(test)]
mod tests {
    use pulp::Simd;

    use super::{Arg, binary};
    use crate::scalar::{BinaryFn, UnaryFn};

    const EDGES: [f32; 14] = [
        0.0,
        -0.0,
        1.0,
        -1.0,
        0.5,
        1e-30,
        -1e-30,
        1e-40,
        88.0,
        -87.0,
        1e4,
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::NAN,
    ];

    /// The results without vector instructions and with this processor's.
    fn apply(f: UnaryFn, x: &[f32]) -> [Vec<f32>; 2] {
        struct Apply<'a>(UnaryFn, &'a [f32]);
        impl pulp::WithSimd for Apply<'_> {
            type Output = Vec<f32>;
            fn with_simd<S: Simd>(self, _: S) -> Vec<f32> {
                let mut out = vec![0.0; self.1.len()];
                self.0.map::<S>(Arg::Slice(self.1), &mut out);
                out
            }
        }
        [pulp::Arch::Scalar.dispatch(Apply(f, x)), pulp::Arch::new().dispatch(Apply(f, x))]
    }

    /// The error in units in the last place of `right`, or of `scale` if that is larger.
    fn units(found: f32, right: f64, scale: f64) -> f64 {
        let same = f64::from(found) == right || (found.is_nan() && right.is_nan());
        let beyond =
            found.is_infinite() && right.abs() > 3.4e38 && right.signum() == f64::from(found).signum();
        if same || beyond {
            return 0.0;
        }
        let unit = right.abs().max(scale).max(f64::from(f32::MIN_POSITIVE)) / 8_388_608.0;
        (f64::from(found) - right).abs() / unit
    }

    #[test]
    fn functions_are_accurate_to_a_few_units_in_the_last_place() {
        let mut inputs: Vec<f32> = EDGES.to_vec();
        inputs.extend((-20_000..20_000).map(|i| i as f32 * 1e-3));
        inputs.extend((0..2000).flat_map(|i| {
            let x = f32::from_bits(i * 0x0010_4321 % 0x7f80_0000);
            [x, -x]
        }));
        for &f in UnaryFn::ALL {
            let found = apply(f, &inputs);
            for (x, y) in found.iter().flat_map(|found| inputs.iter().zip(found)) {
                let right = f.eval(f64::from(*x));
                let size = f64::from(x.abs());
                let scale = match f {
                    // The tail of 1 + erf loses digits to cancellation.
                    UnaryFn::Gelu => size.min(10.0),
                    // The sigmoid factor is subnormal below about -87 and has fewer digits there.
                    UnaryFn::Silu => size * f64::from(f32::MIN_POSITIVE),
                    _ => 0.0,
                };
                let error = units(*y, right, scale);
                assert!(error <= 4.0, "{f:?}({x:e}) = {y:e}, not {right:e}: {error} units");
            }
        }
    }

    #[test]
    fn comparisons_and_extremes_follow_the_definitions() {
        for f in BinaryFn::ALL {
            for a in EDGES {
                for b in EDGES {
                    let mut out = [0.0];
                    for (x, y) in [
                        (Arg::Slice(&[a]), Arg::Slice(&[b])),
                        (Arg::Scalar(a), Arg::Slice(&[b])),
                        (Arg::Slice(&[a]), Arg::Scalar(b)),
                    ] {
                        binary(f, x, y, &mut out);
                        let error = units(out[0], f.eval(f64::from(a), f64::from(b)), 0.0);
                        assert!(error <= 1.0, "{f:?}({a:e}, {b:e}) = {:e}", out[0]);
                    }
                }
            }
        }
    }
}
