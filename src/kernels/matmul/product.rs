//! A product as the templates of shaders see it: as it is, or transposed.

use super::{Left, MatMul, MatrixView};
use crate::scalar::{Body, Inst};

/// A product as the templates compute it: `[m, k] x [k, n]`, with the positions of its operands.
pub(super) struct Product {
    /// Rows.
    pub m: usize,
    /// Columns.
    pub n: usize,
    pub left: (usize, Left),
    pub right: (usize, MatrixView),
    /// The template's names for the kernel's row and column.
    pub place: [&'static str; 2],
    pub epilogue: Body,
    /// Of the epilogue's iteration.
    pub shape: [usize; 3],
}

impl Product {
    /// The product as it is or, if `transposed` (matrices only), with rows and columns swapped.
    pub fn of(k: &MatMul, transposed: bool) -> Self {
        let a = match k.a {
            Left::Matrix(a) if transposed => a,
            a => {
                let (left, right) = ((0, a), (1, k.b));
                let (epilogue, shape) = (k.epilogue.clone(), [k.batch, k.m, k.n]);
                return Self { m: k.m, n: k.n, left, right, place: ["row", "col"], epilogue, shape };
            }
        };
        let flip = |v: MatrixView| MatrixView { row: v.col, col: v.row, ..v };
        let (left, right) = ((1, Left::Matrix(flip(k.b))), (0, flip(a)));
        let (epilogue, shape) = match k.n {
            // A column has the layout of a row.
            1 => (flipped(&k.epilogue), [k.batch, 1, k.m]),
            _ => (k.epilogue.clone(), [k.batch, k.m, k.n]),
        };
        Self { m: k.n, n: k.m, left, right, place: ["col", "row"], epilogue, shape }
    }

    /// Whether the template's columns are the last axis of the epilogue's iteration shape.
    pub fn columns_are_last(&self) -> bool {
        self.shape[1..] == [self.m, self.n]
    }

    /// Indices into the epilogue's iteration shape.
    pub fn index(&self) -> [String; 3] {
        let [row, col] = if self.columns_are_last() { ["row", "col"] } else { self.place };
        ["z".into(), row.into(), col.into()]
    }
}

/// `body` over `[batch, 1, m]` instead of `[batch, m, 1]`.
fn flipped(body: &Body) -> Body {
    let mut body = body.clone();
    for inst in &mut body.insts {
        if let Inst::Load { view, .. } = inst {
            view.strides.swap(1, 2);
            for guard in &mut view.guards {
                guard.0 = [0, 2, 1][guard.0];
            }
        }
    }
    body
}
