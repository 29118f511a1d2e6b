//! From a kernel to WGSL: which template, which specialisation, how many workgroups.
//!
//! Bindings, the same for every kernel: group 0 holds the written operands, group 1 the read ones (then the
//! normal table, if normal numbers are drawn), group 2 the step record with a dynamic offset. Everything static
//! is a constant of the text, so equal kernels have equal text and share a pipeline.

use super::matmul::{MatMul, MatrixView};
use super::{Kernel, reduce};
use crate::device::{Family, Target};
use crate::graph::ops::ReduceKind;
use crate::scalar::{Body, Inst, RandomKind};
use crate::shader::body::{self, Operands};
use crate::shader::{Template, TemplateError};
use crate::tensor::elements;

/// A kernel as a shader.
#[derive(Clone, Debug, PartialEq)]
pub struct Shader {
    /// Kernel family and template, for labels.
    pub name: String,
    /// WGSL text; the entry point is `main`.
    pub source: String,
    /// Workgroups in x, y, z.
    pub workgroups: [u32; 3],
    /// Whether the normal table is bound after the read operands.
    pub normal_table: bool,
}

/// A kernel that cannot be a shader.
#[derive(Clone, Debug, thiserror::Error, PartialEq)]
pub enum ShaderError {
    /// A shader file is wrong.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// One invocation would run more loop iterations than drivers are sure to finish.
    #[error(
        "{kernel} {shape} would run {iterations} loop iterations in one invocation, at most {limit} are safe; use a smaller batch"
    )]
    TooLong {
        /// Kernel family.
        kernel: &'static str,
        /// Sizes.
        shape: String,
        /// Iterations.
        iterations: usize,
        /// Limit of the target.
        limit: u32,
    },
    /// More workgroups than a device takes.
    #[error("{0} workgroups are more than a device takes")]
    TooManyWorkgroups(usize),
}

/// Workgroups in x; more go to y.
const GROUPS_X: usize = 65_535;
/// Invocations of a workgroup in the elementwise templates.
const LANES: usize = 64;

/// The shader of `kernel` for `target`.
///
/// # Errors
/// If the kernel exceeds what one dispatch can do.
pub fn shader(kernel: &Kernel, target: &Target) -> Result<Shader, ShaderError> {
    let iterations = iterations(kernel);
    if iterations > target.max_loop_iterations as usize {
        let (kernel, shape, limit) = (kernel.name(), kernel.shape(), target.max_loop_iterations);
        return Err(ShaderError::TooLong { kernel, shape, iterations, limit });
    }
    match kernel {
        Kernel::MatMul(k) => matmul(k, target),
        Kernel::Pointwise(k) => {
            let shape = &k.shape;
            let text = decode(shape, "i") + &body::print(&k.body, &operands(shape, "i", ""), "r");
            let template = Template::new("pointwise").insert("body", text);
            let (template, normal) = bindings(template, &[&k.body], 0);
            one_dimension("pointwise", template, elements(shape), LANES, normal)
        }
        Kernel::Reduce(k) => reduce(k, target),
        Kernel::Softmax(k) => rows_kernel("softmax", k.rows, k.columns, |t| {
            t.set("ROWS", k.rows).set("COLUMNS", k.columns).flag("LOG", k.log)
        }),
        Kernel::CrossEntropy(k) => rows_kernel("cross_entropy", k.rows, k.classes, |t| {
            let writes = k.loss.iter().len() + k.delta.iter().len();
            let declared: Vec<String> = (0..writes).map(|i| declare(0, i, "f32")).collect();
            let output = k.delta.unwrap_or(0);
            let store = "select(bad, p * weight - wanted(c, label), known);";
            t.set("ROWS", k.rows)
                .set("CLASSES", k.classes)
                .set_f32("SMOOTHING", k.smoothing)
                .flag("LOSS", k.loss.is_some())
                .flag("DELTA", k.delta.is_some())
                .insert("bindings", declared.join("\n"))
                .insert("nothing", "")
                .insert("store_delta", format!("write_{output}[start + c] = {store}"))
        }),
        Kernel::Gather(k) => {
            let t = Template::new("gather")
                .set("VOCABULARY", k.vocabulary)
                .set("WIDTH", k.width)
                .set("COUNT", k.count);
            grid("gather", t, (k.count * k.width).div_ceil(LANES), false)
        }
        Kernel::GatherGrad(k) => {
            let t = Template::new("gather_grad")
                .set("VOCABULARY", k.vocabulary)
                .set("WIDTH", k.width)
                .set("COUNT", k.count);
            grid("gather_grad", t, (k.vocabulary * k.width).div_ceil(LANES), false)
        }
        Kernel::GradientNorm(k) => {
            let t = Template::new("gradient_norm").set("LEN", k.len).set("PARTIALS", k.partials());
            let t = t.set_f32("MAX_NORM", k.max_norm).flag("FINAL", k.stage == 1);
            grid("gradient_norm", t, if k.stage == 1 { 1 } else { k.partials().div_ceil(LANES) }, false)
        }
        Kernel::Optimizer(k) => {
            let read = |operand: usize, _: &str| {
                if operand == 1 { "read_1[i / 64u]".into() } else { format!("read_{operand}[i]") }
            };
            let operands = Operands {
                index: &["i".into()],
                shape: &[k.len],
                linear: "i",
                accumulator: "gradient",
                read: &read,
            };
            let reads = 2 + usize::from(k.clipped);
            let mut declared: Vec<String> = (0..=k.slots).map(|i| declare(0, i, "f32")).collect();
            declared.extend((0..reads).map(|i| declare(1, i, "f32")));
            let gradient = if k.clipped { "read_0[i] * read_2[1]" } else { "read_0[i]" };
            let template = Template::new("optimizer")
                .insert("bindings", declared.join("\n"))
                .insert("nothing", "")
                .insert("gradient", format!("let gradient = {gradient};"))
                .insert("body", body::print(&k.body, &operands, "r"));
            one_dimension("optimizer", template, k.len, LANES, false)
        }
        Kernel::Batch(k) => {
            let normal = k.columns.iter().any(|c| c.noise != 0);
            let kind = |b: usize| if k.columns[b].noise == 0 { "u32" } else { "f32" };
            let mut declared: Vec<String> = (0..k.columns.len()).map(|b| declare(0, b, kind(b))).collect();
            declared.push(declare(1, 0, "u32"));
            declared.extend((0..k.columns.len()).map(|b| declare(1, b + 1, kind(b))));
            if normal {
                declared.push(normal_table(k.columns.len() + 1));
            }
            let (mut blocks, mut first) = (String::new(), 0);
            for (b, column) in k.columns.iter().enumerate() {
                let (width, end) = (column.width, first + k.batch * column.width);
                let noise = if column.noise == 0 {
                    String::new()
                } else {
                    let stream = column.stream;
                    format!(" + {} * random_normal(random_word({stream}u, e))", body::literal(column.noise))
                };
                blocks += &format!(
                    "if (i >= {first}u && i < {end}u) {{\nlet e = i - {first}u;\n\
                     let row = read_0[step.batch_start + e / {width}u];\n\
                     write_{b}[e] = read_{}[row * {width}u + e % {width}u]{noise};\n}}\n",
                    b + 1
                );
                first = end;
            }
            let template = Template::new("batch")
                .insert("bindings", declared.join("\n"))
                .insert("nothing", "")
                .insert("blocks", blocks);
            one_dimension("batch", template, first, LANES, normal)
        }
        Kernel::Store(k) => {
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
            let template = Template::new("store")
                .insert("bindings", declared.join("\n"))
                .insert("nothing", "")
                .insert("blocks", blocks);
            one_dimension("store", template, first, LANES, false)
        }
    }
}

/// Loop iterations of one invocation, at most.
fn iterations(kernel: &Kernel) -> usize {
    match kernel {
        Kernel::MatMul(k) => 2 * k.split_len() + 64,
        Kernel::Reduce(k) => k.chunk.unwrap_or_else(|| k.reduced_len()),
        Kernel::Softmax(k) => 3 * k.columns.div_ceil(row_lanes(k.columns)) + 256,
        Kernel::CrossEntropy(k) => 4 * k.classes.div_ceil(row_lanes(k.classes)) + 512,
        Kernel::GatherGrad(k) => k.count,
        Kernel::GradientNorm(k) if k.stage == 1 => k.partials(),
        Kernel::GradientNorm(_) => 1024,
        _ => 0,
    }
}

/// Invocations that share a row of softmax or cross-entropy.
fn row_lanes(columns: usize) -> usize {
    if columns > 2048 { 64 } else { 1 }
}

fn rows_kernel(
    name: &str,
    rows: usize,
    columns: usize,
    fill: impl FnOnce(Template) -> Template,
) -> Result<Shader, ShaderError> {
    let lanes = row_lanes(columns);
    let template = fill(Template::new(name).flag("WIDE", lanes > 1));
    grid(name, template, (rows * lanes).div_ceil(LANES), false)
}

fn reduce(k: &reduce::Reduce, target: &Target) -> Result<Shader, ShaderError> {
    let tree = target.family == Family::Workgroup && k.chunk.unwrap_or_else(|| k.reduced_len()) >= 64;
    let name = if tree { "reduce_tree" } else { "reduce" };
    let input = k.input_shape();
    let kept = elements(&k.kept);
    // The index of an element: the kept part from the result, the reduced part from the loop.
    let (kept_shape, reduced_shape) = (&k.kept, &k.reduced);
    let mut index: Vec<String> = (0..kept_shape.len()).map(|d| index_of(kept_shape, d, "kept")).collect();
    index.extend((0..reduced_shape.len()).map(|d| index_of(reduced_shape, d, "r")));
    let read = |operand: usize, at: &str| format!("read_{operand}[{at}]");
    let operands_in = Operands { index: &index, shape: &input, linear: "i", accumulator: "0.0", read: &read };
    let reduced = k.reduced_len();
    let prologue = format!("{}return p{};", body::statements(&k.prologue, &operands_in, "p"), k.value);
    let output = k.output_shape();
    let epilogue = decode(&output, "i") + &body::print(&k.epilogue, &operands(&output, "i", "total"), "q");
    let chunks = k.chunks();
    let combined = match (k.kind, tree) {
        (ReduceKind::Sum, false) => "total = total + x;",
        (ReduceKind::Max, false) => "total = max_(total, x);",
        (ReduceKind::Sum, true) => "return total + x;",
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
    let (template, normal) = bindings(template, &[&k.prologue, &k.epilogue], 0);
    let groups = if tree { kept * chunks } else { (kept * chunks).div_ceil(LANES) };
    grid(name, template, groups, normal)
}

fn matmul(k: &MatMul, target: &Target) -> Result<Shader, ShaderError> {
    let shared_operand =
        |o: usize| k.epilogue.insts.iter().any(|i| matches!(i, Inst::Load { operand, .. } if *operand == o));
    let plain = !shared_operand(0) && !shared_operand(1);
    // Few columns would leave lanes idle: compute the transposed product, lanes along the rows.
    let swap = target.family == Family::Registers && k.n < 8 && k.m > k.n;
    let transposed = |v: MatrixView| MatrixView { row: v.col, col: v.row, ..v };
    let (m, n) = if swap { (k.n, k.m) } else { (k.m, k.n) };
    let (a, b) = if swap { (transposed(k.b), transposed(k.a)) } else { (k.a, k.b) };
    let quads = |numbers: &[usize]| numbers.iter().all(|x| x % 4 == 0);
    let split = k.split_len();
    let whole_splits = k.splits == 1 || split.is_multiple_of(4);
    let dot = plain
        && a.col == 1
        && b.row == 1
        && quads(&[k.k, a.offset, a.batch, b.offset, b.batch])
        && whole_splits
        && (m == 1 || a.row % 4 == 0)
        && (n == 1 || b.col % 4 == 0);
    let columns = plain && b.col == 1 && quads(&[n, b.offset, b.batch]) && (k.k == 1 || b.row % 4 == 0);
    let name = match target.family {
        Family::Workgroup => "matmul_tiles",
        _ if dot => "matmul_dot",
        _ if columns => "matmul_columns",
        _ => "matmul_scalar",
    };
    let tile_rows = m.min(8);
    let mut t = Template::new(name);
    let (row_tile, col_tile, lanes) = match name {
        "matmul_tiles" => {
            let side = if m >= 256 && n >= 256 && target.max_invocations >= 256 { 16 } else { 8 };
            t = t.set("SIDE", side).set("DEPTH", side);
            (4 * side, 4 * side, side * side)
        }
        "matmul_columns" => {
            let vectors = if n >= 128 { 2 } else { 1 };
            t = t.set("VECTORS", vectors).set("TILE_ROWS", tile_rows);
            (tile_rows, 32 * vectors, 8)
        }
        _ => {
            let cols = if n >= 32 { 2 } else { 1 };
            t = t.set("TILE_COLS", cols).set("TILE_ROWS", tile_rows);
            (tile_rows, 8 * cols, 8)
        }
    };
    let (row_tiles, col_tiles) = (m.div_ceil(row_tile), n.div_ceil(col_tile));
    let tiles = row_tiles * col_tiles * k.batch * k.splits;
    let pairs = [
        ("M", m),
        ("N", n),
        ("K", k.k),
        ("BATCH", k.batch),
        ("SPLITS", k.splits),
        ("SPLIT", split),
        ("A_OFFSET", a.offset),
        ("A_BATCH", a.batch),
        ("A_ROW", a.row),
        ("A_COL", a.col),
        ("B_OFFSET", b.offset),
        ("B_BATCH", b.batch),
        ("B_ROW", b.row),
        ("B_COL", b.col),
        ("ROW_TILES", row_tiles),
        ("COL_TILES", col_tiles),
    ];
    for (key, value) in pairs {
        t = t.set(key, value);
    }
    let (row, col) = if swap { ("col", "row") } else { ("row", "col") };
    let place = format!("let i = ((split * {}u + z) * {}u + {row}) * {}u + {col};", k.batch, k.m, k.n);
    let index = ["z".to_string(), row.to_string(), col.to_string()];
    let read = |operand: usize, at: &str| format!("read_{operand}[{at}]");
    let shape = [k.batch, k.m, k.n];
    let operands = Operands { index: &index, shape: &shape, linear: "i", accumulator: "value", read: &read };
    t = t.insert("place", place).insert("epilogue", body::print(&k.epilogue, &operands, "r"));
    // Operand 0 is always the kernel's A, also when the product is computed transposed.
    let vec4 = |operand: usize| match name {
        "matmul_dot" => true,
        "matmul_columns" => operand == usize::from(!swap),
        _ => false,
    };
    t = t.insert("row_sums", row_sums(k, lanes, vec4(0)));
    let (t, normal) = matmul_bindings(t, k, vec4);
    let sum_groups = if k.row_sums.is_some() { (k.m * k.splits).div_ceil(lanes) } else { 0 };
    let mut shader = grid(name, t, tiles + sum_groups, normal)?;
    if swap {
        // The templates read A as `read_0` and B as `read_1`.
        shader.source = shader
            .source
            .replace("read_0[a_", "read_SWAP[a_")
            .replace("read_1[b_", "read_0[b_")
            .replace("read_SWAP[a_", "read_1[a_");
    }
    Ok(shader)
}

/// Extra workgroups add up the rows of A, one invocation a row and split.
fn row_sums(k: &MatMul, lanes: usize, vec4: bool) -> String {
    let Some(output) = k.row_sums else { return "return;".into() };
    let (m, total, split) = (k.m, k.m * k.splits, k.split_len());
    let element = if vec4 { "read_0[at / 4u][at % 4u]" } else { "read_0[at]" };
    format!(
        "let own = (tile - tiles) * {lanes}u + lane;\nif (own >= {total}u) {{ return; }}\n\
         let begin = (own / {m}u) * {split}u;\nvar total = 0.0;\n\
         for (var k = begin; k < min(begin + {split}u, {}u); k++) {{\n\
         let at = {}u + (own % {m}u) * {}u + k * {}u;\ntotal += {element};\n}}\n\
         write_{output}[own] = total;\nreturn;",
        k.k, k.a.offset, k.a.row, k.a.col
    )
}

fn matmul_bindings(t: Template, k: &MatMul, vec4: impl Fn(usize) -> bool) -> (Template, bool) {
    let (reads, mut writes) = counts(&[&k.epilogue], 2);
    writes = writes.max(k.row_sums.map_or(0, |o| o + 1));
    let kind = |o: usize| if o < 2 && vec4(o) { "vec4<f32>" } else { "f32" };
    let mut declared: Vec<String> = (0..writes).map(|i| declare(0, i, "f32")).collect();
    declared.extend((0..reads).map(|i| declare(1, i, kind(i))));
    let normal = draws_normal(&k.epilogue);
    if normal {
        declared.push(normal_table(reads));
    }
    (t.insert("bindings", declared.join("\n")).insert("nothing", ""), normal)
}

/// Declares the operands of bodies, all `f32`.
fn bindings(t: Template, bodies: &[&Body], least_reads: usize) -> (Template, bool) {
    let (reads, writes) = counts(bodies, least_reads);
    let mut declared: Vec<String> = (0..writes).map(|i| declare(0, i, "f32")).collect();
    declared.extend((0..reads).map(|i| declare(1, i, "f32")));
    let normal = bodies.iter().any(|b| draws_normal(b));
    if normal {
        declared.push(normal_table(reads));
    }
    (t.insert("bindings", declared.join("\n")).insert("nothing", ""), normal)
}

/// Read and written operands that bodies name.
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

fn declare(group: usize, binding: usize, kind: &str) -> String {
    let (access, name) = if group == 0 { ("read_write", "write") } else { ("read", "read") };
    format!("@group({group}) @binding({binding}) var<storage, {access}> {name}_{binding}: array<{kind}>;")
}

/// The table of normal quantiles and the draw from it (see src/rng.rs).
fn normal_table(binding: usize) -> String {
    format!(
        "@group(1) @binding({binding}) var<storage, read> normal_table: array<f32>;\n\
         fn random_normal(word: u32) -> f32 {{\n\
         return normal_table[word & 4095u] + normal_table[(word >> 12u) & 4095u];\n}}"
    )
}

/// Expression of index `d` of a row-major shape from the linear index `linear`.
fn index_of(shape: &[usize], d: usize, linear: &str) -> String {
    let inner: usize = shape[d + 1..].iter().product();
    let divided = if inner == 1 { linear.to_string() } else { format!("({linear} / {inner}u)") };
    if d == 0 { divided } else { format!("({divided} % {}u)", shape[d]) }
}

/// Statements that define `i0`, `i1`, ... from the linear index.
fn decode(shape: &[usize], linear: &str) -> String {
    (0..shape.len()).map(|d| format!("let i{d} = {};\n", index_of(shape, d, linear))).collect()
}

/// Operands of a body over `shape` whose indices were defined by [`decode`].
fn operands<'a>(shape: &'a [usize], linear: &'a str, accumulator: &'a str) -> Operands<'a> {
    const NAMES: &[&str] = &["i0", "i1", "i2", "i3", "i4", "i5", "i6", "i7", "i8", "i9", "i10", "i11"];
    static INDEX: std::sync::OnceLock<Vec<String>> = std::sync::OnceLock::new();
    let index = INDEX.get_or_init(|| NAMES.iter().map(|n| n.to_string()).collect());
    Operands { index, shape, linear, accumulator, read: &|operand, at| format!("read_{operand}[{at}]") }
}

fn one_dimension(
    name: &str,
    t: Template,
    elements: usize,
    lanes: usize,
    normal: bool,
) -> Result<Shader, ShaderError> {
    grid(name, t.set("ELEMENTS", elements), elements.div_ceil(lanes), normal)
}

fn grid(name: &str, t: Template, groups: usize, normal_table: bool) -> Result<Shader, ShaderError> {
    let groups = groups.max(1);
    let (x, y) = (groups.min(GROUPS_X), groups.div_ceil(GROUPS_X));
    if y > GROUPS_X {
        return Err(ShaderError::TooManyWorkgroups(groups));
    }
    let source = t.set("GROUPS_X", x).expand()?;
    Ok(Shader { name: name.into(), source, workgroups: [x as u32, y as u32, 1], normal_table })
}
