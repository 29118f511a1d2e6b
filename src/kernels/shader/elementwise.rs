//! Shaders of the kernels that go through elements one after the other.

use super::bindings::{declare, declare_operands, elementwise, insert_bindings, normal_table, read_kind};
use super::{Shader, ShaderError, grid, lanes};
use crate::device::Target;
use crate::kernels::batch::Batch;
use crate::kernels::optimizer::Optimizer;
use crate::kernels::pointwise::Pointwise;
use crate::kernels::store::Store;
use crate::shader::Template;
use crate::shader::body::{self, Operands, Width};
use crate::tensor::elements;

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
    let template = Template::new("pointwise").insert("body", elementwise(body, shape, "i", "", "r", width));
    let read = |operand| read_kind(body, shape, operand, width);
    let (template, normal) = declare_operands(template, &[body], 0, |_| width.kind(), read);
    over("pointwise", template, elements(shape), width.elements(), normal, target)
}

pub(super) fn optimizer(k: &Optimizer, target: &Target) -> Result<Shader, ShaderError> {
    // Regions are whole blocks, so four words have one owner and one decay mask.
    let width = if k.len.is_multiple_of(4) { Width::Four } else { Width::One };
    let at = if width == Width::Four { "i / 4u" } else { "i" };
    let read = |operand: usize, _: &str, width: Width| match (operand, width) {
        (1, Width::Four) => "vec4<f32>(read_1[i / 64u])".into(),
        (1, Width::One) => "read_1[i / 64u]".into(),
        _ => format!("read_{operand}[{at}]"),
    };
    let operands = Operands {
        index: &["i".into()],
        shape: &[k.len],
        linear: "i",
        accumulator: "gradient",
        width,
        read: &read,
    };
    let mut declared: Vec<String> = (0..=k.slots).map(|i| declare(0, i, width.kind())).collect();
    declared.push(declare(1, 0, width.kind()));
    declared.push(declare(1, 1, "f32"));
    let mut gradient = format!("read_0[{at}]");
    if k.clipped {
        declared.push(declare(1, 2, "f32"));
        gradient += " * read_2[1]";
    }
    let template = Template::new("optimizer")
        .insert("gradient", format!("let gradient = {gradient};"))
        .insert("body", body::print(&k.body, &operands, "r"));
    over("optimizer", insert_bindings(template, declared), k.len, width.elements(), false, target)
}

pub(super) fn batch(k: &Batch, target: &Target) -> Result<Shader, ShaderError> {
    let noisy = k.columns.iter().any(|c| c.noise != 0);
    // Every block of whole vectors is copied four words an invocation; the others one by one.
    let width = |b: usize| if k.columns[b].width.is_multiple_of(4) { Width::Four } else { Width::One };
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
        let noise = if column.noise == 0 {
            String::new()
        } else {
            let draw =
                |c: usize| format!("random_normal(random_word({}u, e * {unit}u + {c}u))", column.stream);
            let draws: Vec<String> = (0..unit).map(draw).collect();
            let scale = body::literal(column.noise);
            format!(" + {scale} * {}({})", width(b).kind(), draws.join(", "))
        };
        blocks += &format!(
            "if (i >= {first}u && i < {end}u) {{\nlet e = i - {first}u;\n\
             let row = read_0[step.batch_start + e / {row}u];\n\
             write_{b}[e] = read_{}[row * {row}u + e % {row}u]{noise};\n}}\n",
            b + 1
        );
        first = end;
    }
    let template = insert_bindings(Template::new("batch").insert("blocks", blocks), declared);
    over("batch", template, first, 1, noisy, target)
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
