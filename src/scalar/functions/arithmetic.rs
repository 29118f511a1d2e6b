//! Functions that are one operation, or nearly.

use pulp::Simd;

use super::{ScalarFunction, Wgsl};
use crate::scalar::exact;

pub(crate) struct Neg;

impl ScalarFunction for Neg {
    const NAME: &'static str = "neg";
    const WGSL: Wgsl = Wgsl::Vector("-$");

    fn eval(x: f64) -> f64 {
        -x
    }

    #[inline(always)]
    fn exact(x: f32) -> f32 {
        -x
    }

    #[inline(always)]
    fn native<S: Simd>(x: f32) -> f32 {
        -x
    }
}

pub(crate) struct Abs;

impl ScalarFunction for Abs {
    const NAME: &'static str = "abs";
    const WGSL: Wgsl = Wgsl::Vector("abs($)");

    fn eval(x: f64) -> f64 {
        x.abs()
    }

    #[inline(always)]
    fn exact(x: f32) -> f32 {
        x.abs()
    }

    #[inline(always)]
    fn native<S: Simd>(x: f32) -> f32 {
        x.abs()
    }
}

pub(crate) struct Sign;

impl ScalarFunction for Sign {
    const NAME: &'static str = "sign";
    const WGSL: Wgsl = Wgsl::Scalar("sign_($)");

    fn eval(x: f64) -> f64 {
        if x == 0.0 || x.is_nan() { x } else { x.signum() }
    }

    #[inline(always)]
    fn exact(x: f32) -> f32 {
        if x.is_nan() { x } else { exact::sign(x) }
    }

    #[inline(always)]
    fn native<S: Simd>(x: f32) -> f32 {
        let below = if x < 0.0 { -1.0 } else { x };
        if x > 0.0 { 1.0 } else { below }
    }
}

pub(crate) struct Sqrt;

impl ScalarFunction for Sqrt {
    const NAME: &'static str = "sqrt";
    const WGSL: Wgsl = Wgsl::Vector("sqrt($)");
    const WGSL_EXACT: Wgsl = Wgsl::Scalar("sqrt_($)");

    fn eval(x: f64) -> f64 {
        x.sqrt()
    }

    #[inline(always)]
    fn exact(x: f32) -> f32 {
        exact::sqrt(x)
    }

    #[inline(always)]
    fn native<S: Simd>(x: f32) -> f32 {
        x.sqrt()
    }
}

pub(crate) struct Reciprocal;

impl ScalarFunction for Reciprocal {
    const NAME: &'static str = "reciprocal";
    const WGSL: Wgsl = Wgsl::Vector("1.0 / $");
    const WGSL_EXACT: Wgsl = Wgsl::Scalar("div_(1.0, $)");

    fn eval(x: f64) -> f64 {
        1.0 / x
    }

    #[inline(always)]
    fn exact(x: f32) -> f32 {
        exact::div(1.0, x)
    }

    #[inline(always)]
    fn native<S: Simd>(x: f32) -> f32 {
        1.0 / x
    }
}

pub(crate) struct Square;

impl ScalarFunction for Square {
    const NAME: &'static str = "square";
    const WGSL: Wgsl = Wgsl::Vector("$ * $");
    const WGSL_EXACT: Wgsl = Wgsl::Scalar("mul_($, $)");

    fn eval(x: f64) -> f64 {
        x * x
    }

    #[inline(always)]
    fn exact(x: f32) -> f32 {
        exact::mul(x, x)
    }

    #[inline(always)]
    fn native<S: Simd>(x: f32) -> f32 {
        x * x
    }
}

pub(crate) struct Relu;

impl ScalarFunction for Relu {
    const NAME: &'static str = "relu";
    const WGSL: Wgsl = Wgsl::Scalar("relu_($)");

    fn eval(x: f64) -> f64 {
        if x.is_nan() { x } else { x.max(0.0) }
    }

    #[inline(always)]
    fn exact(x: f32) -> f32 {
        exact::relu(x)
    }

    #[inline(always)]
    fn native<S: Simd>(x: f32) -> f32 {
        // `max` would turn NaN into 0 and hide a diverged run.
        if x < 0.0 { 0.0 } else { x }
    }
}

pub(crate) struct Floor;

impl ScalarFunction for Floor {
    const NAME: &'static str = "floor";
    const WGSL: Wgsl = Wgsl::Vector("floor($)");

    fn eval(x: f64) -> f64 {
        x.floor()
    }

    #[inline(always)]
    fn exact(x: f32) -> f32 {
        x.floor()
    }

    #[inline(always)]
    fn native<S: Simd>(x: f32) -> f32 {
        x.floor()
    }
}

pub(crate) struct StopGradient;

impl ScalarFunction for StopGradient {
    const NAME: &'static str = "stop_gradient";
    const WGSL: Wgsl = Wgsl::Vector("$");

    fn eval(x: f64) -> f64 {
        x
    }

    #[inline(always)]
    fn exact(x: f32) -> f32 {
        x
    }

    #[inline(always)]
    fn native<S: Simd>(x: f32) -> f32 {
        x
    }
}
