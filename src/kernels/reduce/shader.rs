//! Shaders of reductions.

use super::Reduce;
use crate::base::target::{Family, Target};
use crate::base::tensor::elements;
use crate::kernels::shader::bindings::{declare_operands, elementwise, index_of};
use crate::kernels::shader::{LANES, Shader, ShaderError, grid, lanes};
use crate::scalar::ReduceKind;
use crate::shader::Template;
use crate::shader::body::{self, Operands, Width};

/// The shader of `k`.
pub(super) fn reduce(k: &Reduce, target: &Target) -> Result<Shader, ShaderError> {
    let tree = target.family == Family::Workgroup
        && !target.exact
        && k.chunk.unwrap_or_else(|| k.reduced_len()) >= 64;
    let name = if tree { "reduce_tree" } else { "reduce" };
    let input = k.input_shape();
    let kept = elements(&k.kept);
    // The index of an element: the kept part from the result, the reduced part from the loop.
    let (kept_shape, reduced_shape) = (&k.kept, &k.reduced);
    let mut index: Vec<String> = (0..kept_shape.len()).map(|d| index_of(kept_shape, d, "kept")).collect();
    index.extend((0..reduced_shape.len()).map(|d| index_of(reduced_shape, d, "r")));
    let read = |operand: usize, at: &str, _: Width| format!("read_{operand}[{at}]");
    let (width, exact) = (Width::One, target.exact);
    let operands =
        Operands { index: &index, shape: &input, linear: "i", accumulator: "0.0", width, exact, read: &read };
    let reduced = k.reduced_len();
    let prologue = format!("{}return p{};", body::statements(&k.prologue, &operands, "p"), k.value);
    let output = k.output_shape();
    let epilogue = elementwise(&k.epilogue, &output, "i", "total", "q", width, exact);
    let chunks = k.chunks();
    let combined = match (k.kind, tree) {
        (ReduceKind::Sum, false) => "total = add_(total, x);",
        (ReduceKind::Max, false) => "total = max_(total, x);",
        (ReduceKind::Sum, true) => "return add_(total, x);",
        (ReduceKind::Max, true) => "return max_(total, x);",
    };
    let nothing = if k.kind == ReduceKind::Max { f32::NEG_INFINITY } else { 0.0 };
    let start = format!("var total = {};", body::literal(nothing.to_bits()));
    let template = Template::new(name)
        .set("RESULTS", kept * chunks)
        .set("REDUCED", reduced)
        .set("CHUNK", k.chunk.unwrap_or(reduced))
        .set("CHUNKS", chunks)
        .insert("start", start)
        .insert("prologue", prologue)
        .insert("combine", combined)
        .insert("epilogue", epilogue);
    let (template, normal) = declare_operands(template, &[&k.prologue, &k.epilogue], 0, |_| "f32", |_| "f32");
    let results = kept * chunks;
    if tree {
        let shader = grid(name, template, results, LANES, normal)?;
        return Ok(Shader { workgroup_bytes: 4 * LANES as u32, in_storage: true, ..shader });
    }
    let lanes = lanes(results, target);
    let shader = grid(name, template, results.div_ceil(lanes), lanes, normal)?;
    Ok(Shader { in_storage: true, ..shader })
}
