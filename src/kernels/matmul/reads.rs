//! How the shaders of products read their operands: four elements at once where four lie side by side.

use super::product::Product;
use super::{Left, MatMul, MatrixView};
use crate::scalar::Inst;
use crate::shader::Template;

/// Which loads of an operand are of four elements at once.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reads {
    /// Four neighbouring rows of the left operand at one k.
    pub left_rows: bool,
    /// Four neighbours along k of a row of the left operand.
    pub left_along_k: bool,
    /// Four neighbouring columns of the right operand at one k.
    pub right_columns: bool,
    /// Four neighbours along k of a column of the right operand.
    pub right_along_k: bool,
}

impl Reads {
    /// What the layout of the operands allows.
    pub fn of(k: &MatMul, product: &Product) -> Self {
        let fours = |numbers: &[usize]| numbers.iter().all(|x| x % 4 == 0);
        let shared = |operand: usize| {
            k.epilogue.insts.iter().any(|i| matches!(i, Inst::Load { operand: o, .. } if *o == operand))
        };
        let whole_splits = k.splits == 1 || k.split_len().is_multiple_of(4);
        // Four neighbours along k, starting at a multiple of four.
        let along_k = |operand: usize, v: MatrixView, step: usize, other: usize, extent: usize| {
            let aligned = fours(&[k.k, v.offset, v.batch]) && (extent == 1 || other.is_multiple_of(4));
            step == 1 && aligned && whole_splits && !shared(operand)
        };
        let ((left, a), (right, b)) = (product.left, product.right);
        let (left_rows, left_along_k) = match &a {
            Left::Matrix(a) => {
                let steps = k.k == 1 || a.col.is_multiple_of(4);
                let rows = a.row == 1 && steps && fours(&[product.m, a.offset, a.batch]) && !shared(left);
                (rows, along_k(left, *a, a.col, a.row, product.m))
            }
            // Four adjacent channels.
            Left::Windows(w) => {
                let fit = w.strides[3] == 1
                    && fours(&[w.channels, w.offset, w.batch])
                    && fours(&w.strides[..3])
                    && !shared(left);
                (fit && w.swapped && product.m.is_multiple_of(4), fit && !w.swapped && whole_splits)
            }
        };
        let steps = k.k == 1 || b.row.is_multiple_of(4);
        let right_columns = b.col == 1 && steps && fours(&[product.n, b.offset, b.batch]) && !shared(right);
        let right_along_k = along_k(right, b, b.row, b.col, product.n);
        Self { left_rows, left_along_k, right_columns, right_along_k }
    }

    /// Which operands are declared as vectors.
    pub fn vectors(self, product: &Product) -> [bool; 2] {
        let mut vectors = [false; 2];
        vectors[product.left.0] = self.left_rows || self.left_along_k;
        vectors[product.right.0] = self.right_columns || self.right_along_k;
        vectors
    }

    /// Fills in the loads of a template.
    pub fn fill(self, template: Template, product: &Product) -> Template {
        let vectors = self.vectors(product);
        let ((left, a), (right, _)) = (product.left, product.right);
        let four = |operand: usize, step: &str| match vectors[operand] {
            true => format!("return read_{operand}[at / 4u];"),
            false => {
                let part = |c| format!("read_{operand}[at + {c}u * {step}]");
                format!("return vec4<f32>({}, {}, {}, {});", part(0), part(1), part(2), part(3))
            }
        };
        let left_four = match &a {
            Left::Matrix(_) => four(left, "A_COL"),
            Left::Windows(_) if vectors[left] => {
                "return select(vec4<f32>(0.0), read_0[at.at / 4u], at.inside);".into()
            }
            Left::Windows(w) => {
                let part = |c| {
                    let other =
                        if w.swapped { format!("position(0u, k + {c}u)") } else { format!("tap(k + {c}u)") };
                    format!(
                        "let at_{c} = element(row, {other});\n\
                         let part_{c} = select(0.0, read_0[at_{c}.at], at_{c}.inside);\n"
                    )
                };
                (0..4).map(part).collect::<String>() + "return vec4<f32>(part_0, part_1, part_2, part_3);"
            }
        };
        let element = |operand: usize| match vectors[operand] {
            // Unused: vectors leave no remainder.
            true => format!("return read_{operand}[at / 4u].x;"),
            false => format!("return read_{operand}[at];"),
        };
        let left_element = match (&a, vectors[left]) {
            (Left::Windows(_), true) => "return read_0[at.at / 4u].x;".into(),
            (Left::Windows(_), false) => WINDOW_ELEMENT.into(),
            (Left::Matrix(_), _) => element(left),
        };
        template
            .insert("left", left_four)
            .insert("left_element", left_element)
            .insert("right", four(right, "B_ROW"))
            .insert("right_element", element(right))
    }
}

/// Reads one element of the windows.
const WINDOW_ELEMENT: &str = "return select(0.0, read_0[at.at], at.inside);";
