//! Shaders of the kernels that go through elements one after the other.

use super::bindings::{declare, declare_operands, elementwise, insert_bindings, normal_table, read_kind};
use super::{Shader, ShaderError, grid, lanes};
use crate::base::rng::RandomKind;
use crate::base::target::Target;
use crate::base::tensor::elements;
use crate::kernels::batch::{Batch, BatchColumn};
use crate::kernels::optimizer::Optimizer;
use crate::kernels::pointwise::Pointwise;
use crate::kernels::store::Store;
use crate::scalar::{BinaryFn, Body, Inst};
use crate::shader::Template;
use crate::shader::body::{self, Operands, Width};

/// As many workgroups as `elements` need, `width` elements an invocation.
fn over(
    name: &str,
    template: Template,
    elements: usize,
    width: usize,
    normal: bool,
    target: &Target,
) -> Result<Shader, ShaderError> {
    let template = template.set("ELEMENTS", elements).set("WIDTH", width);
    let lanes = lanes(elements.div_ceil(width), target);
    grid(name, template, elements.div_ceil(width * lanes), lanes, normal)
}

pub(super) fn pointwise(k: &Pointwise, target: &Target) -> Result<Shader, ShaderError> {
    let (body, shape) = (&k.body, &k.shape);
    let width = if body::allows_four(body, shape) { Width::Four } else { Width::One };
    let template = Template::new("pointwise")
        .insert("body", elementwise(body, shape, "i", "", "r", width, target.exact));
    let read = |operand| read_kind(body, shape, operand, width);
    let (template, normal) = declare_operands(template, &[body], 0, |_| width.kind(), read);
    over("pointwise", template, elements(shape), width.elements(), normal, target)
}

pub(super) fn optimizer(k: &Optimizer, target: &Target) -> Result<Shader, ShaderError> {
    // Regions are whole blocks, so four words have one owner and one decay mask.
    let width = Width::Four;
    let (body, shape) = (k.whole_body(), [k.len / Optimizer::BLOCK, Optimizer::BLOCK]);
    let block = Optimizer::BLOCK;
    let index = [format!("(i / {block}u)"), format!("(i % {block}u)")];
    let read = |operand: usize, at: &str, _: Width| format!("read_{operand}[{at}]");
    let (linear, accumulator, exact) = ("i", "gradient", target.exact);
    let operands = Operands { index: &index, shape: &shape, linear, accumulator, width, exact, read: &read };
    let mut declared: Vec<String> = (0..=k.slots).map(|i| declare(0, i, width.kind())).collect();
    declared.push(declare(1, 0, width.kind()));
    declared.extend((1..2 + usize::from(k.clipped)).map(|i| declare(1, i, "f32")));
    let template = Template::new("optimizer").insert("body", body::print(&body, &operands, "r"));
    over("optimizer", insert_bindings(template, declared), k.len, width.elements(), false, target)
}

pub(super) fn batch(k: &Batch, target: &Target) -> Result<Shader, ShaderError> {
    let noisy = k.columns.iter().any(|c| c.noise != 0);
    // Every block of whole vectors is copied four words an invocation; the others one by one.
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
        // In units of what an invocation copies.
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

/// What becomes of a copied element of column block `block`.
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

pub(super) fn store(k: &Store, target: &Target) -> Result<Shader, ShaderError> {
    let count = k.widths.len();
    let mut declared: Vec<String> = (0..count).map(|b| declare(0, b, "u32")).collect();
    declared.extend((0..count).map(|b| declare(1, b, "u32")));
    let (mut blocks, mut first) = (String::new(), 0);
    for (b, width) in k.widths.iter().enumerate() {
        let end = first + width;
        blocks += &format!(
            "if (i >= {first}u && i < {end}u) {{\nwrite_{b}[step.slot * {width}u + i - {first}u] = read_{b}[i - {first}u];\n}}\n"
        );
        first = end;
    }
    let template = insert_bindings(Template::new("store").insert("blocks", blocks), declared);
    over("store", template, first, 1, false, target)
}
