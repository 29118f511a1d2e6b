//! The logistic function, and what is made from it.
#![allow(
    clippy::excessive_precision,
    clippy::unreadable_literal,
    reason = "numbers are written as in the shaders, so that they can be compared"
)]

use pulp::Simd;

use super::{Log1p, ScalarFunction, Wgsl};
use crate::scalar::exact;
use crate::scalar::native::maths;

pub(crate) struct Sigmoid;

impl ScalarFunction for Sigmoid {
    const NAME: &'static str = "sigmoid";
    const WGSL: Wgsl = Wgsl::Scalar("sigmoid_($)");

    fn eval(x: f64) -> f64 {
        // Without overflow for either sign.
        let e = (-x.abs()).exp();
        if x >= 0.0 { 1.0 / (1.0 + e) } else { e / (1.0 + e) }
    }

    #[inline(always)]
    fn exact(x: f32) -> f32 {
        let e = exact::exp(-x.abs());
        let y = exact::div(1.0, exact::add(1.0, e));
        if x < 0.0 { exact::mul(e, y) } else { y }
    }

    #[inline(always)]
    fn native<S: Simd>(x: f32) -> f32 {
        let e = maths::exp::<S>(-x.abs());
        let y = 1.0 / (1.0 + e);
        if x < 0.0 { e * y } else { y }
    }
}

pub(crate) struct Tanh;

impl ScalarFunction for Tanh {
    const NAME: &'static str = "tanh";
    const WGSL: Wgsl = Wgsl::Scalar("tanh_($)");

    fn eval(x: f64) -> f64 {
        x.tanh()
    }

    #[inline(always)]
    fn exact(x: f32) -> f32 {
        let z = exact::mul(x, x);
        let p = exact::horner(
            -5.70498872745e-3,
            z,
            &[2.06390887954e-2, -5.37397155531e-2, 1.33314422036e-1, -3.33332819422e-1],
        );
        let near = exact::multiply_add(exact::mul(p, z), x, x);
        let a = x.abs().clamp(0.0, 15.0);
        let far = exact::mul(
            exact::sign(x),
            exact::sub(1.0, exact::div(2.0, exact::add(exact::exp(exact::mul(2.0, a)), 1.0))),
        );
        if x.is_nan() {
            x
        } else if x.abs() < 0.625 {
            near
        } else {
            far
        }
    }

    #[inline(always)]
    fn native<S: Simd>(x: f32) -> f32 {
        let z = x * x;
        let p = maths::polynomial::<S, 5>(
            z,
            [-5.704_988_7e-3, 2.063_909e-2, -5.373_971_5e-2, 0.133_314_42, -0.333_332_8],
        );
        let near = maths::multiply_add::<S>(p * z, x, x);
        let a = x.abs();
        // The result is 1 in single precision well before 20; one power of two suffices.
        let (y, n) = maths::exp_parts::<S>(2.0 * if a < 20.0 { a } else { 20.0 });
        let far = 1.0 - 2.0 / maths::multiply_add::<S>(y, maths::power_of_two(n), 1.0);
        let far = if x < 0.0 { -far } else { far };
        if a < 0.625 || x.is_nan() { near } else { far }
    }
}

pub(crate) struct Silu;

impl ScalarFunction for Silu {
    const NAME: &'static str = "silu";
    const WGSL: Wgsl = Wgsl::Scalar("silu_($)");

    fn eval(x: f64) -> f64 {
        x * Sigmoid::eval(x)
    }

    #[inline(always)]
    fn exact(x: f32) -> f32 {
        exact::mul(x, Sigmoid::exact(x))
    }

    #[inline(always)]
    fn native<S: Simd>(x: f32) -> f32 {
        x * Sigmoid::native::<S>(x)
    }
}

pub(crate) struct Softplus;

impl ScalarFunction for Softplus {
    const NAME: &'static str = "softplus";
    const WGSL: Wgsl = Wgsl::Scalar("softplus_($)");

    fn eval(x: f64) -> f64 {
        x.max(0.0) + (-x.abs()).exp().ln_1p()
    }

    #[inline(always)]
    fn exact(x: f32) -> f32 {
        exact::add(exact::relu(x), Log1p::exact(exact::exp(-x.abs())))
    }

    #[inline(always)]
    fn native<S: Simd>(x: f32) -> f32 {
        let positive = if x > 0.0 { x } else { 0.0 };
        // maths::log(1 + u) for u from 0 to 1: 1 + u is halved where it is too large, which is exact.
        let u = maths::exp::<S>(-x.abs());
        let low = u < std::f32::consts::SQRT_2 - 1.0;
        let (f, e) = (if low { u } else { 0.5 * (u - 1.0) }, if low { 0.0 } else { 1.0 });
        positive + maths::log_parts::<S>(f, e)
    }
}
