//! The shader of batch assembly.

use super::{Batch, BatchColumn};
use crate::base::rng::RandomKind;
use crate::base::target::Target;
use crate::kernels::shader::bindings::{declare, insert_bindings, normal_table};
use crate::kernels::shader::{Shader, ShaderError, over};
use crate::scalar::{BinaryFn, Body, Inst};
use crate::shader::Template;
use crate::shader::body::{self, Operands, Width};

pub(super) fn batch(k: &Batch, target: &Target) -> Result<Shader, ShaderError> {
    let noisy = k.columns.iter().any(|c| c.noise != 0);
    // Blocks of whole vectors are copied four words per invocation; others one by one.
    let width = |b: usize| if k.columns[b].allows_four() { Width::Four } else { Width::One };
    let kind = |b: usize| match (k.columns[b].noise, width(b)) {
        (0, Width::One) => "u32",
        (0, Width::Four) => "vec4<u32>",
        (_, width) => width.kind(),
    };
    let mut declared: Vec<String> = (0..k.columns.len()).map(|b| declare(0, b, kind(b))).collect();
    declared.push(declare(1, 0, "u32"));
    declared.extend((0..k.columns.len()).map(|b| declare(1, b + 1, kind(b))));
    if noisy {
        declared.push(normal_table(k.columns.len() + 1));
    }
    let (mut blocks, mut first) = (String::new(), 0);
    for (b, column) in k.columns.iter().enumerate() {
        // In units of an invocation's copy.
        let unit = width(b).elements();
        let row = column.width / unit;
        let end = first + k.batch * row;
        let (body, shape) = (noise(column, b), [k.batch, column.width]);
        let operands = Operands {
            index: &[],
            shape: &shape,
            linear: "e",
            accumulator: "value",
            width: width(b),
            exact: target.exact,
            read: &|_, _, _| String::new(),
        };
        blocks += &format!(
            "if (i >= {first}u && i < {end}u) {{\nlet own = i - {first}u;\nlet e = own * {unit}u;\n\
             let row = read_0[step.batch_start + own / {row}u];\n\
             let value = read_{}[row * {}u + {}u + own % {row}u];\n{}}}\n",
            b + 1,
            column.stride / unit,
            column.offset / unit,
            body::print(&body, &operands, "r")
        );
        first = end;
    }
    let template = insert_bindings(Template::new("batch").insert("blocks", blocks), declared);
    over("batch", template, first, 1, noisy, target)
}

/// The body applied to a copied element of column block `block`.
fn noise(column: &BatchColumn, block: usize) -> Body {
    let mut body = Body::default();
    let mut value = body.push(Inst::Accumulator);
    if column.noise != 0 {
        let deviation = body.push(Inst::Const(column.noise));
        let draw = body.push(Inst::Random { kind: RandomKind::Normal, stream: column.stream });
        let noise = body.push(Inst::Binary(BinaryFn::Mul, deviation, draw));
        value = body.push(Inst::Binary(BinaryFn::Add, value, noise));
    }
    body.stores.push((value, block));
    body
}
