//! The scalar functions in double precision, as used by the reference.

use super::{BinaryFn, UnaryFn};

impl UnaryFn {
    /// All functions, for tests and shader checks.
    pub const ALL: [UnaryFn; 17] = [
        UnaryFn::Neg,
        UnaryFn::Abs,
        UnaryFn::Sign,
        UnaryFn::Exp,
        UnaryFn::ExpM1,
        UnaryFn::Log,
        UnaryFn::Log1p,
        UnaryFn::Sqrt,
        UnaryFn::Reciprocal,
        UnaryFn::Square,
        UnaryFn::Tanh,
        UnaryFn::Sigmoid,
        UnaryFn::Relu,
        UnaryFn::Gelu,
        UnaryFn::Silu,
        UnaryFn::Softplus,
        UnaryFn::Erf,
    ];

    /// `f(x)` in `f64`.
    pub fn eval(self, x: f64) -> f64 {
        match self {
            UnaryFn::Neg => -x,
            UnaryFn::Abs => x.abs(),
            UnaryFn::Sign if x == 0.0 || x.is_nan() => x,
            UnaryFn::Sign => x.signum(),
            UnaryFn::Exp => x.exp(),
            UnaryFn::ExpM1 => x.exp_m1(),
            UnaryFn::Log => x.ln(),
            UnaryFn::Log1p => x.ln_1p(),
            UnaryFn::Sqrt => x.sqrt(),
            UnaryFn::Reciprocal => 1.0 / x,
            UnaryFn::Square => x * x,
            UnaryFn::Tanh => x.tanh(),
            UnaryFn::Sigmoid => sigmoid(x),
            UnaryFn::Relu if x.is_nan() => x,
            UnaryFn::Relu => x.max(0.0),
            UnaryFn::Gelu => 0.5 * x * libm::erfc(-x * std::f64::consts::FRAC_1_SQRT_2),
            UnaryFn::Silu => x * sigmoid(x),
            UnaryFn::Softplus => x.max(0.0) + (-x.abs()).exp().ln_1p(),
            UnaryFn::Erf => libm::erf(x),
        }
    }
}

impl BinaryFn {
    /// All functions, for tests and shader checks.
    pub const ALL: [BinaryFn; 9] = [
        BinaryFn::Add,
        BinaryFn::Sub,
        BinaryFn::Mul,
        BinaryFn::Div,
        BinaryFn::Min,
        BinaryFn::Max,
        BinaryFn::Less,
        BinaryFn::LessEqual,
        BinaryFn::Equal,
    ];

    /// `f(a, b)` in `f64`.
    pub fn eval(self, a: f64, b: f64) -> f64 {
        let truth = |holds: bool| f64::from(u8::from(holds));
        match self {
            BinaryFn::Add => a + b,
            BinaryFn::Sub => a - b,
            BinaryFn::Mul => a * b,
            BinaryFn::Div => a / b,
            BinaryFn::Min | BinaryFn::Max if a.is_nan() || b.is_nan() => f64::NAN,
            BinaryFn::Min => a.min(b),
            BinaryFn::Max => a.max(b),
            BinaryFn::Less => truth(a < b),
            BinaryFn::LessEqual => truth(a <= b),
            BinaryFn::Equal => truth(a == b),
        }
    }
}

/// `1 / (1 + e^-x)`, without overflow for either sign.
fn sigmoid(x: f64) -> f64 {
    let e = (-x.abs()).exp();
    if x >= 0.0 { 1.0 / (1.0 + e) } else { e / (1.0 + e) }
}
