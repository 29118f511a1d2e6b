//! The shader of batch assembly.

use super::{Batch, BatchColumn};
use crate::base::rng::RandomKind;
use crate::base::target::Target;
use crate::kernels::shader::bindings::{declare, insert_bindings, normal_table};
use crate::kernels::shader::{Shader, ShaderError, over};
use crate::kernels::storage::{LEVELS, Storage, place_in_shader};
use crate::scalar::{BinaryFn, Body, Inst};
use crate::shader::Template;
use crate::shader::body::{self, Operands, Width};

pub(super) fn batch(k: &Batch, target: &Target) -> Result<Shader, ShaderError> {
    let noisy = k.columns.iter().any(|c| c.noise != 0);
    // Blocks of whole vectors are copied four values per invocation; others one by one.
    let width = |b: usize| if k.columns[b].allows_four() { Width::Four } else { Width::One };
    let kind = |b: usize| match (k.columns[b].noise, width(b)) {
        (0, Width::One) => "u32",
        (0, Width::Four) => "vec4<u32>",
        (_, width) => width.kind(),
    };
    let read_kind = |b: usize| if k.columns[b].storage == Storage::Words { kind(b) } else { "u32" };
    let mut declared: Vec<String> = (0..k.columns.len()).map(|b| declare(0, b, kind(b))).collect();
    declared.push(declare(1, 0, "u32"));
    declared.extend((0..k.columns.len()).map(|b| declare(1, b + 1, read_kind(b))));
    let mut reads = 1 + k.columns.len();
    for (b, column) in k.columns.iter().enumerate() {
        if let Some(table) = k.table(b) {
            declared.push(declare(1, table, if column.noise == 0 { "u32" } else { "f32" }));
            reads = table + 1;
        }
    }
    if noisy {
        declared.push(normal_table(reads));
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
        let (missing, place) = place_in_shader(column.only.as_ref());
        let leave = missing.map(|missing| format!("if ({missing}) {{\nreturn;\n}}\n")).unwrap_or_default();
        blocks += &format!(
            "if (i >= {first}u && i < {end}u) {{\nlet own = i - {first}u;\nlet e = own * {unit}u;\n\
             let row = read_0[step.batch_start + own / {row}u];\n{leave}{}{}}}\n",
            value(k, b, width(b), &place),
            body::print(&body, &operands, "r")
        );
        first = end;
    }
    let template = insert_bindings(Template::new("batch").insert("blocks", blocks), declared);
    over("batch", template, first, 1, noisy, target)
}

/// The statement that reads the value, or four values, of an invocation from row `place` of block `b`.
fn value(k: &Batch, b: usize, width: Width, place: &str) -> String {
    let (column, block) = (&k.columns[b], b + 1);
    let (unit, operand) = (width.elements(), format!("read_{block}"));
    let row = column.width / unit;
    let (Storage::Bytes { plane }, Some(table)) = (column.storage, k.table(b)) else {
        let (stride, offset) = (column.stride / unit, column.offset / unit);
        return format!("let value = {operand}[{place} * {stride}u + {offset}u + own % {row}u];\n");
    };
    let level = |byte: &str, element: &str| {
        let level = format!("(({operand}[start + {element} / 4u] >> (8u * {byte})) & 255u)");
        // Tables follow each other; with only one, nothing is divided.
        match plane >= column.width {
            true => format!("read_{table}[{level}]"),
            false => format!("read_{table}[{element} / {plane}u * {LEVELS}u + {level}]"),
        }
    };
    let value = match width {
        Width::One => level("(at % 4u)", "at"),
        Width::Four => {
            let four: Vec<String> =
                (0..4).map(|part| level(&format!("{part}u"), &format!("(at + {part}u)"))).collect();
            let kind = if column.noise == 0 { "vec4<u32>" } else { "vec4<f32>" };
            format!("{kind}({})", four.join(", "))
        }
    };
    format!(
        "let start = {place} * {}u + {}u;\nlet at = (own % {row}u) * {unit}u;\nlet value = {value};\n",
        column.stride, column.offset
    )
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
