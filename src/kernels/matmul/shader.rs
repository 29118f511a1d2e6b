//! Shaders of matrix products: selects the template, the tile, and how operands are read.

use super::product::Product;
use super::reads::Reads;
use super::{Left, MatMul, MatrixView, Sums};
use crate::base::target::{Family, Target};
use crate::kernels::KernelDef;
use crate::kernels::shader::bindings::{declare_operands, read_expression, read_kind};
use crate::kernels::shader::{Shader, ShaderError, VECTOR_LANES, grid};
use crate::scalar::{Body, Inst, UnaryFn};
use crate::shader::Template;
use crate::shader::body::{self, Operands, Width};

/// Rows per tile of the register template: what one broadcast of eight lanes holds.
const TILE_ROWS: usize = 8;

/// Groups of rows per tile of the register template; with more of them, each load of B is used more often.
fn row_groups(k: &MatMul, m: usize, target: &Target) -> usize {
    // Twice the rows take two to three times as long to compile.
    let large = k.cost().flops >= LARGE_FLOPS;
    let most = target.geometry.row_groups * if large { 2 } else { 1 };
    (m / (2 * TILE_ROWS)).clamp(1, most)
}

/// Operations from which a product is worth a second of compilation.
const LARGE_FLOPS: u64 = 32_000_000;

/// Whether an epilogue is so long that a copy per row would take seconds to compile.
fn is_long(epilogue: &Body) -> bool {
    let long = |inst: &Inst| match inst {
        Inst::Random { .. } => true,
        Inst::Unary(f, _) => !matches!(f, UnaryFn::Neg | UnaryFn::Abs | UnaryFn::Relu | UnaryFn::Square),
        _ => false,
    };
    epilogue.insts.iter().any(long) || epilogue.insts.len() > 16
}

/// The shader of `k`.
pub(super) fn matmul(k: &MatMul, target: &Target) -> Result<Shader, ShaderError> {
    let registers = target.family == Family::Registers;
    // Few columns would leave lanes idle, so compute the transposed product with lanes along the rows.
    let product = Product::of(k, registers && k.n < VECTOR_LANES && k.m > k.n);
    let (m, n) = (product.m, product.n);
    let four = product.columns_are_last() && body::allows_four(&product.epilogue, &product.shape);
    let name = if registers { "matmul_registers" } else { "matmul_tiles" };
    let columns = match n {
        _ if !registers || n > 16 => 4,
        9..=16 if !four || k.is_convolution() => 2,
        _ if four => 4,
        _ => 1,
    };
    let width = if four && columns == 4 { Width::Four } else { Width::One };
    let template = Template::new(name).insert("store", store(columns, width));
    let (template, tile) = match registers {
        true => register_tile(template, k, &product, columns, target),
        false => workgroup_tile(template, k, &product, target),
    };
    let Tile { rows: row_tile, columns: col_tile, lanes, vectors, workgroup_bytes } = tile;
    let (row_tiles, col_tiles) = (m.div_ceil(row_tile), n.div_ceil(col_tile));
    let (template, a) = left_operand(template, product.left);
    let b = product.right.1;
    let pairs = [
        ("M", m),
        ("N", n),
        ("K", k.k),
        ("BATCH", k.batch),
        ("SPLITS", k.splits),
        ("SPLIT", k.split_len()),
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
    let template = pairs.into_iter().fold(template, |t, (key, value)| t.set(key, value));
    let [row, col] = product.place;
    let place = format!("let i = ((split * {}u + z) * {}u + {row}) * {}u + {col};", k.batch, k.m, k.n);
    let (epilogue, shape, exact) = (&product.epilogue, &product.shape, target.exact);
    let read = |operand: usize, at: &str, width: Width| match (operand, width) {
        // The operands of the product are declared the way its loops read them.
        (0 | 1, Width::Four) => {
            let part = |c| format!("read_{operand}[{at} + {c}u]");
            format!("vec4<f32>({}, {}, {}, {})", part(0), part(1), part(2), part(3))
        }
        _ => read_expression(epilogue, shape, operand, at, width),
    };
    let operands = Operands {
        index: &product.index(),
        shape,
        linear: "i",
        accumulator: "value",
        width,
        exact,
        read: &read,
    };
    let template = template
        .insert("place", place)
        .insert("epilogue", body::print(epilogue, &operands, "r"))
        .insert("accumulate", accumulate(columns, exact))
        .insert("values", format!("alias Values = {};", width.kind()))
        .insert("sums", sums(k, lanes, vectors));
    let summed = k.sums.map(|sums| sums.output);
    let stored = |o: usize| if summed == Some(o) { "f32" } else { width.kind() };
    let read = |o: usize| match o {
        0 | 1 if vectors[o] => "vec4<f32>",
        0 | 1 => "f32",
        _ => read_kind(epilogue, shape, o, width),
    };
    // Sums are an output that the epilogue does not mention.
    let mut named = epilogue.clone();
    named.stores.extend(summed.map(|output| (0, output)));
    let (template, normal) = declare_operands(template, &[&named], 2, stored, read);
    let tiles = row_tiles * col_tiles * k.batch * k.splits;
    let sum_groups = k.sums.map_or(0, |sums| (k.sums_len() * sums.parts).div_ceil(lanes));
    let shader = grid(name, template, tiles + sum_groups, lanes, normal)?;
    Ok(Shader { workgroup_bytes: workgroup_bytes as u32, ..shader })
}

/// Fills in the register template; returns it, its tile of rows and columns, its lanes, and which operands are vectors.
fn register_tile(
    template: Template,
    k: &MatMul,
    product: &Product,
    columns: usize,
    target: &Target,
) -> (Template, Tile) {
    let broadcast = target.subgroup_size as usize == VECTOR_LANES;
    let whole_splits = k.splits == 1 || k.split_len().is_multiple_of(4);
    let mut reads = Reads::of(k, product);
    // The eight lanes load four rows by two, at four values of k.
    reads.left_rows &= broadcast && product.m >= TILE_ROWS && k.k.is_multiple_of(4) && whole_splits;
    reads.right_columns &= columns == 4;
    let tail = !k.k.is_multiple_of(4) || !whole_splits;
    let groups = row_groups(k, product.m, target);
    let template = reads
        .fill(template, product)
        .set("TILE_ROWS", product.m.min(TILE_ROWS))
        .set("ROW_GROUPS", groups)
        .set("COLUMNS", columns)
        .flag("BROADCAST", broadcast)
        .flag("LEFT_ROWS", reads.left_rows)
        .flag("RIGHT_ROWS", reads.right_columns)
        .flag("TAIL", tail)
        .flag("LOOPED", is_long(&k.epilogue))
        .insert("columns", format!("alias Columns = {};", KINDS[columns / 2]));
    let (rows, columns) = (product.m.min(TILE_ROWS) * groups, VECTOR_LANES * columns);
    let vectors = reads.vectors(product);
    (template, Tile { rows, columns, lanes: VECTOR_LANES, vectors, workgroup_bytes: 0 })
}

/// What a workgroup of a template computes, and with what.
struct Tile {
    rows: usize,
    columns: usize,
    lanes: usize,
    /// Which operands are read as vectors of four.
    vectors: [bool; 2],
    workgroup_bytes: usize,
}

/// Fills in the template of workgroup tiles. Which columns and rows an invocation computes, and how operands are loaded,
/// changes no bits: every element is summed along k.
fn workgroup_tile(template: Template, k: &MatMul, product: &Product, target: &Target) -> (Template, Tile) {
    let (m, n) = (product.m, product.n);
    let large = m >= 256 && n >= 256 && target.max_invocations >= 256;
    let geometry = target.geometry;
    let side = if large { geometry.side } else { 8 };
    // Blocks of 4 x 4 of an invocation: more of them where the rows and columns fill several tiles anyway.
    let fits = |blocks: usize, extent: usize| if large && extent >= 8 * side * blocks { blocks } else { 1 };
    let [row_vectors, col_vectors] = [fits(geometry.row_blocks, m), fits(geometry.col_blocks, n)];
    // A few columns, or rows, get a tile of few.
    let [tall, wide] = match (m, n) {
        (_, ..=16) if m > 32 => [16, 4],
        (..=16, _) if n > 32 => [4, 16],
        _ => [side, side],
    };
    let lanes = tall * wide;
    let bytes = |depth: usize| 16 * depth * (tall * row_vectors + 1 + wide * col_vectors + 1);
    let depth = if side == 16 && bytes(16) <= WORKGROUP_BYTES { 16 } else { 8 };
    let [left, right] = [tall * row_vectors * depth, wide * col_vectors * depth];
    let reads = Reads::of(k, product);
    let [left_four, right_four] =
        [reads.left_rows || reads.left_along_k, reads.right_columns || reads.right_along_k];
    let loads = |four: bool| if four { 1 } else { 4 };
    let template = reads
        .fill(template, product)
        .set("TALL", tall)
        .set("WIDE", wide)
        .set("ROW_VECTORS", row_vectors)
        .set("COL_VECTORS", col_vectors)
        .set("DEPTH", depth)
        .set("LEFT_FILLS", left.div_ceil(lanes))
        .set("RIGHT_FILLS", right.div_ceil(lanes))
        .set("LEFT_LOADS", loads(left_four))
        .set("RIGHT_LOADS", loads(right_four))
        .flag("LEFT_WHOLE", left.is_multiple_of(lanes))
        .flag("RIGHT_WHOLE", right.is_multiple_of(lanes))
        .flag("LEFT_FOUR", left_four)
        .flag("LEFT_ROWS", reads.left_rows)
        .flag("LEFT_ALONG_K", left_four && !reads.left_rows)
        .flag("RIGHT_FOUR", right_four)
        .flag("RIGHT_COLUMNS", reads.right_columns)
        .flag("RIGHT_ALONG_K", right_four && !reads.right_columns);
    let (rows, columns) = (4 * tall * row_vectors, 4 * wide * col_vectors);
    let vectors = reads.vectors(product);
    (template, Tile { rows, columns, lanes, vectors, workgroup_bytes: bytes(depth) })
}

/// Workgroup memory that every WebGPU implementation guarantees.
const WORKGROUP_BYTES: usize = 16_384;

/// Fills in the location of the left operand; returns the matrix, or an empty one for windows.
fn left_operand(template: Template, (operand, left): (usize, Left)) -> (Template, MatrixView) {
    let template = template.flag("WINDOWS", matches!(left, Left::Windows(_)));
    let w = match left {
        Left::Matrix(a) => {
            let template = template
                .insert("row", "alias Row = u32;")
                .insert("locate", "return A_OFFSET + z * A_BATCH + row * A_ROW;")
                .insert("left_at", "let at = row + k * A_COL;");
            return (template, a);
        }
        Left::Windows(windows) => windows,
    };
    // One of the two parts of a location is the row's, the other belongs to k; the group is part of the
    // position.
    let (row, k) = match w.swapped {
        true => ("var place = tap(row);\nplace.start += z * PER_GROUP;\nreturn place;", "position(0u, k)"),
        false => ("return position(z, row);", "tap(k)"),
    };
    let [down, along] = w.axes;
    let [per_image, per_line, per_column, per_channel] = w.strides;
    let pairs = [
        ("POSITIONS_Y", down.positions),
        ("POSITIONS_X", along.positions),
        ("TAPS_X", along.taps),
        ("CHANNELS", w.channels),
        ("EXTENT_Y", down.extent),
        ("EXTENT_X", along.extent),
        ("STRIDE_Y", down.stride),
        ("STRIDE_X", along.stride),
        ("UP_Y", down.up),
        ("UP_X", along.up),
        ("IMAGES_START", w.offset),
        ("PER_GROUP", w.batch),
        ("PER_IMAGE", per_image),
        ("PER_LINE", per_line),
        ("PER_COLUMN", per_column),
        ("PER_CHANNEL", per_channel),
    ];
    let signed = [
        ("STEP_Y", down.step),
        ("STEP_X", along.step),
        ("ORIGIN_Y", down.origin),
        ("ORIGIN_X", along.origin),
    ];
    let template = pairs.into_iter().fold(template, |t, (key, value)| t.set(key, value));
    let template = signed.into_iter().fold(template, |t, (key, value)| t.set_i32(key, value));
    let template = template
        .insert("row", "alias Row = Place;")
        .insert("locate", row)
        .insert("left_at", format!("let at = element(row, {k});"));
    debug_assert_eq!(operand, 0, "windows are the first operand");
    (template, MatrixView { offset: 0, batch: 0, row: 0, col: 0 })
}

/// Finishes `columns` columns, `width` at once.
fn store(columns: usize, width: Width) -> String {
    if columns == width.elements() {
        return "finish(z, split, row, first_col, sum);".into();
    }
    let finish = |c| format!("finish(z, split, row, first_col + {c}u, sum[{c}]);\n");
    (0..columns).map(finish).collect()
}

/// `sum + a * b` for `columns` columns.
fn accumulate(columns: usize, exact: bool) -> String {
    if !exact {
        return "return sum + a * b;".into();
    }
    let parts: &[&str] = if columns == 1 { &[""] } else { &[".x", ".y", ".z", ".w"][..columns] };
    let parts: Vec<String> =
        parts.iter().map(|part| format!("multiply_add(a, b{part}, sum{part})")).collect();
    format!("return {}({});", KINDS[columns / 2], parts.join(", "))
}

/// WGSL types of 1, 2 and 4 columns.
const KINDS: [&str; 3] = ["f32", "vec2<f32>", "vec4<f32>"];

/// Extra workgroups compute the sums, one invocation per sum and part.
fn sums(k: &MatMul, lanes: usize, vectors: [bool; 2]) -> String {
    let Some(Sums { output, parts }) = k.sums else { return "return;".into() };
    let (operand, start, per_k) = match (k.a, k.b) {
        (Left::Matrix(a), _) => (0, format!("{}u + own % {}u * {}u", a.offset, k.m, a.row), a.col),
        (Left::Windows(_), b) => {
            let n = k.n;
            let group = format!("own % {}u / {n}u * {}u", k.batch * n, b.batch);
            (1, format!("{}u + {group} + own % {n}u * {}u", b.offset, b.col), b.row)
        }
    };
    let (total, sums, part) = (k.sums_len() * parts, k.sums_len(), k.k.div_ceil(parts));
    let element = match vectors[operand] {
        true => format!("read_{operand}[at / 4u][at % 4u]"),
        false => format!("read_{operand}[at]"),
    };
    // No invocation may leave before the others: browsers then see no uniform control flow at the barriers below.
    format!(
        "let own = (tile - tiles) * {lanes}u + lane;\nif (own < {total}u) {{\n\
         let begin = (own / {sums}u) * {part}u;\nlet start = {start};\nvar total = 0.0;\n\
         for (var k = begin; k < min(begin + {part}u, {}u); k++) {{\n\
         let at = start + k * {per_k}u;\ntotal = add_(total, {element});\n}}\n\
         write_{output}[own] = total;\n}}\nreturn;",
        k.k
    )
}
