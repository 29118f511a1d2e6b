//! The error function, and the unit made from it.
#![allow(
    clippy::excessive_precision,
    clippy::approx_constant,
    clippy::unreadable_literal,
    reason = "numbers are written as in the shaders, so that they can be compared"
)]

use pulp::Simd;

use super::{ScalarFunction, Wgsl};
use crate::scalar::exact;
use crate::scalar::native::maths;

pub(crate) struct Erf;

impl ScalarFunction for Erf {
    const NAME: &'static str = "erf";
    const WGSL: Wgsl = Wgsl::Scalar("erf_($)");

    fn eval(x: f64) -> f64 {
        libm::erf(x)
    }

    #[inline(always)]
    fn exact(x: f32) -> f32 {
        let (z, a) = (exact::mul(x, x), x.abs());
        let near = exact::horner(
            1.480719282e-08,
            z,
            &[
                -1.636584469e-07,
                1.646211437e-06,
                -1.492565036e-05,
                1.205533298e-04,
                -8.548327023e-04,
                5.223977625e-03,
                -2.686617065e-02,
                1.128379167e-01,
                -3.761263890e-01,
                1.128379167e+00,
            ],
        );
        let k = exact::div(1.0, exact::multiply_add(0.3275911, a, 1.0));
        let p = exact::horner(1.061405429, k, &[-1.453152027, 1.421413741, -0.284496736, 0.254829592]);
        let far = exact::mul(exact::sign(x), exact::sub(1.0, exact::mul(exact::mul(p, k), exact::exp(-z))));
        if x.is_nan() {
            x
        } else if a < 1.0 {
            exact::mul(near, x)
        } else {
            far
        }
    }

    #[inline(always)]
    fn native<S: Simd>(x: f32) -> f32 {
        let a = x.abs();
        let z = x * x;
        // Taylor series below 1; the remainder after 11 terms is below 1e-8.
        let near = maths::polynomial::<S, 11>(
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
        let p =
            maths::polynomial::<S, 5>(k, [1.061_405_4, -1.453_152, 1.421_413_7, -0.284_496_74, 0.254_829_6]);
        let far = 1.0 - k * p * maths::exp::<S>(-z);
        let far = if x < 0.0 { -far } else { far };
        if a < 1.0 || x.is_nan() { x * near } else { far }
    }
}

pub(crate) struct Gelu;

impl ScalarFunction for Gelu {
    const NAME: &'static str = "gelu";
    const WGSL: Wgsl = Wgsl::Scalar("gelu_($)");

    fn eval(x: f64) -> f64 {
        0.5 * x * libm::erfc(-x * std::f64::consts::FRAC_1_SQRT_2)
    }

    #[inline(always)]
    fn exact(x: f32) -> f32 {
        exact::mul(exact::mul(0.5, x), exact::add(1.0, Erf::exact(exact::mul(x, 0.70710678))))
    }

    #[inline(always)]
    fn native<S: Simd>(x: f32) -> f32 {
        0.5 * x * (1.0 + Erf::native::<S>(x * std::f32::consts::FRAC_1_SQRT_2))
    }
}
