//! One step of each cell and its gradient, for one unit of one row, generic over the CPU's two kinds of
//! arithmetic.

use std::marker::PhantomData;

use pulp::Simd;

use super::Cell;
use crate::scalar::functions::{self, ScalarFunction, Sigmoid};
use crate::scalar::native::maths;
use crate::scalar::{UnaryFn, exact};

/// Operations on numbers.
pub(super) trait Arithmetic {
    fn add(a: f32, b: f32) -> f32;
    fn sub(a: f32, b: f32) -> f32;
    fn mul(a: f32, b: f32) -> f32;
    /// `a b + c`
    fn multiply_add(a: f32, b: f32, c: f32) -> f32;
    fn tanh(x: f32) -> f32;
    fn sigmoid(x: f32) -> f32;

    /// `d y (1 - y)`: the gradient through a logistic function with result `y`.
    #[inline(always)]
    fn through_sigmoid(d: f32, y: f32) -> f32 {
        Self::mul(d, Self::mul(y, Self::sub(1.0, y)))
    }

    /// `d (1 - y^2)`: the gradient through a hyperbolic tangent with result `y`.
    #[inline(always)]
    fn through_tanh(d: f32, y: f32) -> f32 {
        Self::mul(d, Self::sub(1.0, Self::mul(y, y)))
    }
}

/// Fast arithmetic, with the instructions of `S`.
pub(super) struct Fast<S>(PhantomData<S>);

/// Exact arithmetic: the same bits on every device.
pub(super) struct Exact;

impl<S: Simd> Arithmetic for Fast<S> {
    #[inline(always)]
    fn add(a: f32, b: f32) -> f32 {
        a + b
    }
    #[inline(always)]
    fn sub(a: f32, b: f32) -> f32 {
        a - b
    }
    #[inline(always)]
    fn mul(a: f32, b: f32) -> f32 {
        a * b
    }
    #[inline(always)]
    fn multiply_add(a: f32, b: f32, c: f32) -> f32 {
        maths::multiply_add::<S>(a, b, c)
    }
    #[inline(always)]
    fn tanh(x: f32) -> f32 {
        functions::Tanh::native::<S>(x)
    }
    #[inline(always)]
    fn sigmoid(x: f32) -> f32 {
        Sigmoid::native::<S>(x)
    }
}

impl Arithmetic for Exact {
    #[inline(always)]
    fn add(a: f32, b: f32) -> f32 {
        exact::add(a, b)
    }
    #[inline(always)]
    fn sub(a: f32, b: f32) -> f32 {
        exact::sub(a, b)
    }
    #[inline(always)]
    fn mul(a: f32, b: f32) -> f32 {
        exact::mul(a, b)
    }
    #[inline(always)]
    fn multiply_add(a: f32, b: f32, c: f32) -> f32 {
        exact::multiply_add(a, b, c)
    }
    #[inline(always)]
    fn tanh(x: f32) -> f32 {
        UnaryFn::Tanh.exact(x)
    }
    #[inline(always)]
    fn sigmoid(x: f32) -> f32 {
        UnaryFn::Sigmoid.exact(x)
    }
}

/// The results of a step.
#[derive(Clone, Copy, Default)]
pub(super) struct Stepped {
    pub h: f32,
    pub c: f32,
    pub saved: [f32; 4],
}

/// The results of a backward step.
#[derive(Clone, Copy, Default)]
pub(super) struct Back {
    /// Gradient of `G`.
    pub g: [f32; 4],
    /// Gradient of `R`.
    pub r: [f32; 4],
    /// What reaches the preceding state other than through the product.
    pub h: f32,
    /// Gradient of the preceding cell state.
    pub c: f32,
}

/// The inputs of a backward step.
#[derive(Clone, Copy, Default)]
pub(super) struct Given {
    /// Gradients of `h` and `c`.
    pub dh: f32,
    pub dc: f32,
    /// `h` of this step (tanh and relu).
    pub h: f32,
    /// `c` of this step.
    pub c: f32,
    /// The preceding state: `c` for an LSTM, `h` for a GRU.
    pub before: f32,
    pub saved: [f32; 4],
}

/// A cell.
pub(super) trait Rule {
    /// The cell.
    const CELL: Cell;

    fn step<A: Arithmetic>(g: [f32; 4], r: [f32; 4], h: f32, c: f32) -> Stepped;
    fn back<A: Arithmetic>(given: Given) -> Back;
}

pub(super) struct Tanh;
pub(super) struct Relu;
pub(super) struct Lstm;
pub(super) struct Gru;

/// The gradient of a cell with one gate.
#[inline(always)]
fn one(delta: f32) -> Back {
    let gates = [delta, 0.0, 0.0, 0.0];
    Back { g: gates, r: gates, h: 0.0, c: 0.0 }
}

impl Rule for Tanh {
    const CELL: Cell = Cell::Tanh;

    #[inline(always)]
    fn step<A: Arithmetic>(g: [f32; 4], r: [f32; 4], _: f32, _: f32) -> Stepped {
        Stepped { h: A::tanh(A::add(g[0], r[0])), ..Stepped::default() }
    }

    #[inline(always)]
    fn back<A: Arithmetic>(given: Given) -> Back {
        one(A::through_tanh(given.dh, given.h))
    }
}

impl Rule for Relu {
    const CELL: Cell = Cell::Relu;

    #[inline(always)]
    fn step<A: Arithmetic>(g: [f32; 4], r: [f32; 4], _: f32, _: f32) -> Stepped {
        let x = A::add(g[0], r[0]);
        Stepped { h: if x > 0.0 || x.is_nan() { x } else { 0.0 }, ..Stepped::default() }
    }

    #[inline(always)]
    fn back<A: Arithmetic>(given: Given) -> Back {
        one(if given.h > 0.0 { given.dh } else { 0.0 })
    }
}

impl Rule for Lstm {
    const CELL: Cell = Cell::Lstm;

    #[inline(always)]
    fn step<A: Arithmetic>(g: [f32; 4], r: [f32; 4], _: f32, c: f32) -> Stepped {
        let input = A::sigmoid(A::add(g[0], r[0]));
        let forget = A::sigmoid(A::add(g[1], r[1]));
        let new = A::tanh(A::add(g[2], r[2]));
        let output = A::sigmoid(A::add(g[3], r[3]));
        let c = A::multiply_add(forget, c, A::mul(input, new));
        Stepped { h: A::mul(output, A::tanh(c)), c, saved: [input, forget, new, output] }
    }

    #[inline(always)]
    fn back<A: Arithmetic>(given: Given) -> Back {
        let [input, forget, new, output] = given.saved;
        let squashed = A::tanh(given.c);
        let dc = A::add(given.dc, A::through_tanh(A::mul(given.dh, output), squashed));
        let g = [
            A::through_sigmoid(A::mul(dc, new), input),
            A::through_sigmoid(A::mul(dc, given.before), forget),
            A::through_tanh(A::mul(dc, input), new),
            A::through_sigmoid(A::mul(given.dh, squashed), output),
        ];
        Back { g, r: g, h: 0.0, c: A::mul(dc, forget) }
    }
}

impl Rule for Gru {
    const CELL: Cell = Cell::Gru;

    #[inline(always)]
    fn step<A: Arithmetic>(g: [f32; 4], r: [f32; 4], h: f32, _: f32) -> Stepped {
        let reset = A::sigmoid(A::add(g[0], r[0]));
        let keep = A::sigmoid(A::add(g[1], r[1]));
        let new = A::tanh(A::multiply_add(reset, r[2], g[2]));
        let h = A::multiply_add(keep, A::sub(h, new), new);
        Stepped { h, c: 0.0, saved: [reset, keep, new, r[2]] }
    }

    #[inline(always)]
    fn back<A: Arithmetic>(given: Given) -> Back {
        let [reset, keep, new, product] = given.saved;
        let d_new = A::through_tanh(A::mul(given.dh, A::sub(1.0, keep)), new);
        let d_keep = A::through_sigmoid(A::mul(given.dh, A::sub(given.before, new)), keep);
        let d_reset = A::through_sigmoid(A::mul(d_new, product), reset);
        Back {
            g: [d_reset, d_keep, d_new, 0.0],
            r: [d_reset, d_keep, A::mul(d_new, reset), 0.0],
            h: A::mul(given.dh, keep),
            c: 0.0,
        }
    }
}
