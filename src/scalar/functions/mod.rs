//! The functions of one scalar: each is one implementation of [`ScalarFunction`], listed here once.

mod arithmetic;
mod circular;
mod erf;
mod exponential;
mod sigmoid;

pub(crate) use arithmetic::{Abs, Floor, Neg, Reciprocal, Relu, Sign, Sqrt, Square, StopGradient};
pub(crate) use circular::{Cos, Sin};
pub(crate) use erf::{Erf, Gelu};
pub(crate) use exponential::{Exp, ExpM1, Log, Log1p};
use pulp::Simd;
pub(crate) use sigmoid::{Sigmoid, Silu, Softplus, Tanh};

/// What is to be said of a function of one scalar. Its gradient is in `graph/ops/unary.rs`, and a formula that
/// WGSL does not have in `shaders/shared/numerics.wgsl`.
pub(crate) trait ScalarFunction {
    /// Name in messages and plans.
    const NAME: &'static str;
    /// The function in WGSL.
    const WGSL: Wgsl;
    /// The function in WGSL where the bits must be the same on every device.
    const WGSL_EXACT: Wgsl = Self::WGSL;

    /// `f(x)` in `f64`, for the reference.
    fn eval(x: f64) -> f64;

    /// `f(x)` in exact mode: the operations of the shader, one by one.
    fn exact(x: f32) -> f32;

    /// `f(x)` in single precision without branches or calls, so that loops over it vectorise; `S` is the
    /// instruction set that the caller is compiled for.
    fn native<S: Simd>(x: f32) -> f32;
}

/// A WGSL expression in which `$` stands for the argument.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wgsl {
    /// Valid for `f32` and for vectors.
    Vector(&'static str),
    /// Valid for `f32` alone, and applied to a vector's elements one by one.
    Scalar(&'static str),
}

/// Defines [`UnaryFn`] from its list of functions, each a [`ScalarFunction`] of the same name.
macro_rules! functions {
    ($($(#[$doc:meta])+ $name:ident,)+) => {
        /// A function of one scalar. Definitions follow PyTorch.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum UnaryFn {
            $($(#[$doc])+ $name,)+
        }

        impl UnaryFn {
            /// All functions, for tests and shader checks.
            pub const ALL: &[UnaryFn] = &[$(UnaryFn::$name),+];

            /// Name in messages and plans.
            pub fn name(self) -> &'static str {
                match self {
                    $(UnaryFn::$name => $name::NAME,)+
                }
            }

            /// `f(x)` in `f64`.
            pub fn eval(self, x: f64) -> f64 {
                match self {
                    $(UnaryFn::$name => $name::eval(x),)+
                }
            }

            /// `f(x)` in exact mode: the same bits on every device.
            pub fn exact(self, x: f32) -> f32 {
                match self {
                    $(UnaryFn::$name => $name::exact(x),)+
                }
            }

            /// The function in WGSL, in exact mode or not.
            pub(crate) fn wgsl(self, exact: bool) -> Wgsl {
                match self {
                    $(UnaryFn::$name if exact => $name::WGSL_EXACT,)+
                    $(UnaryFn::$name => $name::WGSL,)+
                }
            }

            /// Applies the function to all elements of `x`, in one loop that vectorises.
            #[inline(always)]
            pub(super) fn map<S: Simd>(self, x: super::native::Arg, out: &mut [f32]) {
                match self {
                    $(UnaryFn::$name => super::native::map(x, out, $name::native::<S>),)+
                }
            }
        }
    };
}

functions! {
    /// `-x`
    Neg,
    /// `|x|`
    Abs,
    /// -1, 0 or 1 (0 at 0)
    Sign,
    /// `e^x`
    Exp,
    /// `e^x - 1`, accurate near 0
    ExpM1,
    /// natural logarithm
    Log,
    /// `ln(1 + x)`, accurate near 0
    Log1p,
    /// square root
    Sqrt,
    /// `1 / x`
    Reciprocal,
    /// `x * x`
    Square,
    /// sine, of radians
    Sin,
    /// cosine, of radians
    Cos,
    /// hyperbolic tangent
    Tanh,
    /// `1 / (1 + e^-x)`
    Sigmoid,
    /// `max(x, 0)`, keeping NaN
    Relu,
    /// `x * Phi(x)` with the exact normal distribution function
    Gelu,
    /// `x * sigmoid(x)`
    Silu,
    /// `ln(1 + e^x)`
    Softplus,
    /// error function
    Erf,
    /// the largest integer that is not above `x`
    Floor,
    /// `x`, which gradients take for a constant
    StopGradient,
}
