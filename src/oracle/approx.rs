//! Values with a bound on the error of a device that computes in `f32`.
//!
//! The bound follows the computation (running error analysis, Higham 2002, *Accuracy and Stability of
//! Numerical Algorithms*, 3.3): every operation adds its own rounding error to what its operands bring along.
//! Sums of `n` terms are allowed `4 sqrt(n)` roundings of the sum of magnitudes, in whatever order they are
//! added.

use std::ops::{Add, Div, Mul, Neg, Sub};

use super::Real;
use crate::scalar::{BinaryFn, UnaryFn};

/// Roundings that a transcendental function is allowed.
const FUNCTION: f64 = 8.0;

/// A value and the error allowed to a device.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Approx {
    /// The value.
    pub value: f64,
    /// How far a device may be from it.
    pub error: f64,
}

impl Approx {
    /// Unit roundoff of `f32`.
    pub const ROUNDOFF: f64 = 1.0 / 16_777_216.0;

    /// Error of `found` in units of the allowed error; at most 1 is right. NaN and infinities must be met
    /// exactly.
    pub fn excess(&self, found: f64) -> f64 {
        let same = found == self.value || (found.is_nan() && self.value.is_nan());
        // Devices may flush subnormal numbers to zero.
        let allowed = self.error + 1e-37;
        // Near the largest f32 a device may overflow.
        let overflow = found.is_infinite() && self.value * found.signum() + allowed > f64::from(f32::MAX);
        match (same || overflow, found.is_finite() && self.value.is_finite()) {
            (true, _) => 0.0,
            (false, true) => (found - self.value).abs() / allowed,
            (false, false) => f64::INFINITY,
        }
    }

    /// `if self != 0 { a } else { b }`
    pub fn select(self, a: Self, b: Self) -> Self {
        let chosen = if self.value != 0.0 { a } else { b };
        let uncertain = self.error > 0.0 && self.value.abs() <= self.error;
        let error = if uncertain { a.error + b.error + (a.value - b.value).abs() } else { chosen.error };
        Self { error, ..chosen }
    }

    /// `value` with an error that the operands bring along and one of `roundings` relative ones.
    fn new(value: f64, carried: f64, roundings: f64) -> Self {
        Self { value, error: carried }.rounded(roundings)
    }

    /// The value with the error towards either side.
    fn ends(self) -> [f64; 2] {
        [self.value - self.error, self.value + self.error]
    }

    /// A sum or difference of `a` and `b`. If one of them is itself computed, compilers may add up its parts and the other in
    /// another order, which takes one more rounding: Mesa turns `(a b + c d) + e` into `fma(a, b, fma(c, d, e))`
    /// (`nir_opt_algebraic.py`, "reassociate the last addition into the first multiplication").
    fn in_any_order(self, a: Self, b: Self) -> Self {
        let terms = if a.error + b.error > 0.0 { a.value.abs() + b.value.abs() } else { 0.0 };
        Self { error: self.error + Self::ROUNDOFF * if terms.is_finite() { terms } else { 0.0 }, ..self }
    }

    /// Largest change of `f` between its value at the two operands and at the ends of both.
    fn carried(f: BinaryFn, a: Self, b: Self) -> f64 {
        let value = f.eval(a.value, b.value);
        let ends = a.ends().into_iter().flat_map(|x| b.ends().map(|y| difference(f.eval(x, y), value)));
        ends.fold(0.0, f64::max)
    }

    /// Whether a device may find either to be the larger.
    fn overlaps(self, other: Self) -> bool {
        let error = self.error + other.error;
        error > 0.0 && (self.value - other.value).abs() <= error
    }
}

/// `|a - b|`; two equal infinities or NaNs do not differ.
fn difference(a: f64, b: f64) -> f64 {
    if a == b || (a.is_nan() && b.is_nan()) { 0.0 } else { (a - b).abs() }
}

impl Real for Approx {
    fn exact(value: f64) -> Self {
        Self { value, error: 0.0 }
    }

    fn sum(terms: impl Iterator<Item = Self>) -> Self {
        let (mut total, mut magnitude, mut count) = (Self::default(), 0.0, 0.0f64);
        for term in terms {
            total.value += term.value;
            total.error += term.error;
            magnitude += term.value.abs();
            count += 1.0;
        }
        if count > 1.0 {
            total.error += 4.0 * count.sqrt() * Self::ROUNDOFF * magnitude;
        }
        total
    }

    /// The operand's error is carried over by evaluating at both of its ends.
    fn unary(self, f: UnaryFn) -> Self {
        let value = f.eval(self.value);
        let carried = self.ends().map(|end| difference(f.eval(end), value));
        let magnitude = match f {
            UnaryFn::Neg | UnaryFn::Abs | UnaryFn::Sign | UnaryFn::Relu => 0.0,
            // Half of it is lost where the distribution function comes from 1 + erf.
            UnaryFn::Gelu => value.abs() + self.value.abs(),
            _ => value.abs(),
        };
        Self { value, error: carried[0].max(carried[1]) + FUNCTION * Self::ROUNDOFF * magnitude }
    }

    fn binary(self, f: BinaryFn, other: Self) -> Self {
        match f {
            BinaryFn::Add => (self + other).in_any_order(self, other),
            BinaryFn::Sub => (self - other).in_any_order(self, other),
            BinaryFn::Mul => self * other,
            BinaryFn::Div => self / other,
            BinaryFn::Min | BinaryFn::Max => {
                Self::new(f.eval(self.value, other.value), Self::carried(f, self, other), 0.0)
            }
            BinaryFn::Less | BinaryFn::LessEqual | BinaryFn::Equal => {
                let error = f64::from(u8::from(self.overlaps(other)));
                Self { value: f.eval(self.value, other.value), error }
            }
        }
    }

    fn rounded(self, roundings: f64) -> Self {
        Self { error: self.error + roundings * Self::ROUNDOFF * self.value.abs(), ..self }
    }
}

impl Add for Approx {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self::new(self.value + other.value, self.error + other.error, 1.0)
    }
}

impl Sub for Approx {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        self + -other
    }
}

impl Mul for Approx {
    type Output = Self;

    fn mul(self, other: Self) -> Self {
        let (a, b) = (self.value.abs(), other.value.abs());
        let carried = a * other.error + b * self.error + self.error * other.error;
        Self::new(self.value * other.value, carried, 1.0)
    }
}

impl Div for Approx {
    type Output = Self;

    fn div(self, other: Self) -> Self {
        Self::new(self.value / other.value, Self::carried(BinaryFn::Div, self, other), 4.0)
    }
}

impl Neg for Approx {
    type Output = Self;

    fn neg(self) -> Self {
        Self { value: -self.value, error: self.error }
    }
}
