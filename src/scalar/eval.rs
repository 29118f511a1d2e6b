//! The functions of two scalars in double precision, as used by the reference.

use super::BinaryFn;

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
