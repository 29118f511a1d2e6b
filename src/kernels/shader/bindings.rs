//! Declarations of operands, and index expressions.

use crate::base::rng::RandomKind;
use crate::scalar::{Body, Inst};
use crate::shader::Template;
use crate::shader::body::{self, Operands, Width};

/// Declares the operands that `bodies` refer to, with at least `least_reads` read ones: written operands of
/// type `written`, read ones of type `read`. Returns whether the normal table is bound too.
pub(in crate::kernels) fn declare_operands(
    template: Template,
    bodies: &[&Body],
    least_reads: usize,
    written: impl Fn(usize) -> &'static str,
    read: impl Fn(usize) -> &'static str,
) -> (Template, bool) {
    let (reads, writes) = counts(bodies, least_reads);
    let mut declared: Vec<String> = (0..writes).map(|i| declare(0, i, written(i))).collect();
    declared.extend((0..reads).map(|i| declare(1, i, read(i))));
    let normal = bodies.iter().any(|b| draws_normal(b));
    if normal {
        declared.push(normal_table(reads));
    }
    (insert_bindings(template, declared), normal)
}

/// Replaces the template's own declarations.
pub(in crate::kernels) fn insert_bindings(template: Template, declared: Vec<String>) -> Template {
    template.insert("bindings", declared.join("\n")).insert("nothing", "")
}

/// Number of read and written operands that bodies refer to.
fn counts(bodies: &[&Body], least_reads: usize) -> (usize, usize) {
    let (mut reads, mut writes) = (least_reads, 0);
    for body in bodies {
        for inst in &body.insts {
            match inst {
                Inst::Load { operand, .. } => reads = reads.max(operand + 1),
                Inst::Previous { output } => writes = writes.max(output + 1),
                _ => {}
            }
        }
        writes = body.stores.iter().map(|s| s.1 + 1).fold(writes, usize::max);
    }
    (reads, writes)
}

fn draws_normal(body: &Body) -> bool {
    body.insts.iter().any(|i| matches!(i, Inst::Random { kind: RandomKind::Normal, .. }))
}

/// Declaration of one operand.
pub(in crate::kernels) fn declare(group: usize, binding: usize, kind: &str) -> String {
    let (access, name) = if group == 0 { ("read_write", "write") } else { ("read", "read") };
    format!("@group({group}) @binding({binding}) var<storage, {access}> {name}_{binding}: array<{kind}>;")
}

/// The table of normal quantiles and the draw from it (see src/base/rng.rs).
pub(in crate::kernels) fn normal_table(binding: usize) -> String {
    format!(
        "@group(1) @binding({binding}) var<storage, read> normal_table: array<f32>;\n\
         fn random_normal(word: u32) -> f32 {{\n\
         return normal_table[word & 4095u] + normal_table[(word >> 12u) & 4095u];\n}}"
    )
}

/// Type of read operand `operand` of a body printed at `width`.
pub(in crate::kernels) fn read_kind(
    body: &Body,
    shape: &[usize],
    operand: usize,
    width: Width,
) -> &'static str {
    let fours = width == Width::Four && body::reads_fours(body, shape, operand);
    if fours { "vec4<f32>" } else { "f32" }
}

/// The expression that reads `operand` of a body printed at `width`, declared with the type from
/// [`read_kind`].
pub(in crate::kernels) fn read_expression(
    body: &Body,
    shape: &[usize],
    operand: usize,
    at: &str,
    width: Width,
) -> String {
    match width {
        Width::One => format!("read_{operand}[{at}]"),
        Width::Four if body::reads_fours(body, shape, operand) => format!("read_{operand}[({at}) / 4u]"),
        Width::Four => {
            let part = |c| format!("read_{operand}[{at} + {c}u]");
            format!("vec4<f32>({}, {}, {}, {})", part(0), part(1), part(2), part(3))
        }
    }
}

/// The expression of index `d` of a row-major shape, given the linear index `linear`.
pub(in crate::kernels) fn index_of(shape: &[usize], d: usize, linear: &str) -> String {
    let inner: usize = shape[d + 1..].iter().product();
    let divided = if inner == 1 { linear.to_string() } else { format!("({linear} / {inner}u)") };
    if d == 0 { divided } else { format!("({divided} % {}u)", shape[d]) }
}

/// The statements of `body` over `shape`, stores included: first the indices `i0`, `i1`, ... from the linear
/// index `linear`, then the registers, named `prefix` and their number.
pub(in crate::kernels) fn elementwise(
    body: &Body,
    shape: &[usize],
    linear: &str,
    accumulator: &str,
    prefix: &str,
    width: Width,
    exact: bool,
) -> String {
    let index: Vec<String> = (0..shape.len()).map(|d| format!("i{d}")).collect();
    let decode: String = index
        .iter()
        .enumerate()
        .map(|(d, i)| format!("let {i} = {};\n", index_of(shape, d, linear)))
        .collect();
    let read = |operand: usize, at: &str, width: Width| read_expression(body, shape, operand, at, width);
    let operands = Operands { index: &index, shape, linear, accumulator, width, exact, read: &read };
    decode + &body::print(body, &operands, prefix)
}
