//! Exponential functions and logarithms.
#![allow(
    clippy::excessive_precision,
    clippy::unreadable_literal,
    reason = "numbers are written as in the shaders, so that they can be compared"
)]

use pulp::Simd;

use super::{ScalarFunction, Wgsl};
use crate::scalar::exact;
use crate::scalar::native::maths;

pub(crate) struct Exp;

impl ScalarFunction for Exp {
    const NAME: &'static str = "exp";
    const WGSL: Wgsl = Wgsl::Scalar("exp_($)");

    fn eval(x: f64) -> f64 {
        x.exp()
    }

    #[inline(always)]
    fn exact(x: f32) -> f32 {
        exact::exp(x)
    }

    #[inline(always)]
    fn native<S: Simd>(x: f32) -> f32 {
        maths::exp::<S>(x)
    }
}

pub(crate) struct ExpM1;

impl ScalarFunction for ExpM1 {
    const NAME: &'static str = "expm1";
    const WGSL: Wgsl = Wgsl::Scalar("expm1_($)");

    fn eval(x: f64) -> f64 {
        x.exp_m1()
    }

    #[inline(always)]
    fn exact(x: f32) -> f32 {
        let p = exact::horner(
            0.000_198_412_7,
            x,
            &[0.001_388_888_9, 0.008_333_333_3, 0.041_666_667, 0.166_666_67, 0.5, 1.0],
        );
        if x.abs() < 0.5 { exact::mul(p, x) } else { exact::sub(exact::exp(x), 1.0) }
    }

    #[inline(always)]
    fn native<S: Simd>(x: f32) -> f32 {
        let series = maths::polynomial::<S, 7>(
            x,
            [1.984_127e-4, 1.388_888_9e-3, 8.333_334e-3, 4.166_666_7e-2, 0.166_666_67, 0.5, 1.0],
        );
        let far = maths::exp::<S>(x) - 1.0;
        if x.abs() < 0.5 { x * series } else { far }
    }
}

pub(crate) struct Log;

impl ScalarFunction for Log {
    const NAME: &'static str = "log";
    const WGSL: Wgsl = Wgsl::Vector("log($)");
    const WGSL_EXACT: Wgsl = Wgsl::Scalar("log_($)");

    fn eval(x: f64) -> f64 {
        x.ln()
    }

    #[inline(always)]
    fn exact(x: f32) -> f32 {
        exact::log(x)
    }

    #[inline(always)]
    fn native<S: Simd>(x: f32) -> f32 {
        maths::log::<S>(x)
    }
}

pub(crate) struct Log1p;

impl ScalarFunction for Log1p {
    const NAME: &'static str = "log1p";
    const WGSL: Wgsl = Wgsl::Scalar("log1p_($)");

    fn eval(x: f64) -> f64 {
        x.ln_1p()
    }

    #[inline(always)]
    fn exact(x: f32) -> f32 {
        let s = exact::div(x, exact::add(2.0, x));
        let z = exact::mul(s, s);
        let p = exact::horner(0.090_909_09, z, &[0.111_111_11, 0.142_857_14, 0.2, 0.33333333, 1.0]);
        if x > -0.3 && x < 0.5 { exact::mul(exact::mul(2.0, s), p) } else { exact::log(exact::add(1.0, x)) }
    }

    #[inline(always)]
    fn native<S: Simd>(x: f32) -> f32 {
        // Divides out the rounding error of 1 + x (Kahan).
        let u = 1.0 + x;
        let y = maths::log::<S>(u);
        let corrected = y - ((u - 1.0) - x) / u;
        if u.is_infinite() || u <= 0.0 { y } else { corrected }
    }
}
