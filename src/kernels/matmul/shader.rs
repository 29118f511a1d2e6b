//! Shaders of matrix products: selects the template, the tile, and how operands are read.

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

/// A product as the templates compute it: `[m, k] x [k, n]`, with the positions of its operands.
struct Product {
    m: usize,
    n: usize,
    left: (usize, Left),
    right: (usize, MatrixView),
    /// The template's names for the kernel's row and column.
    place: [&'static str; 2],
    epilogue: Body,
    shape: [usize; 3],
}

impl Product {
    /// The product as it is or, if `transposed` (matrices only), with rows and columns swapped.
    fn of(k: &MatMul, transposed: bool) -> Self {
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
    fn columns_are_last(&self) -> bool {
        self.shape[1..] == [self.m, self.n]
    }

    /// Indices into the epilogue's iteration shape.
    fn index(&self) -> [String; 3] {
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
    let (template, row_tile, col_tile, lanes, vectors) = if registers {
        let (template, vectors) = register_tile(template, k, &product, columns, target);
        (template, m.min(TILE_ROWS) * row_groups(k, m, target), VECTOR_LANES * columns, VECTOR_LANES, vectors)
    } else {
        let large = m >= 256 && n >= 256 && target.max_invocations >= 256;
        let side = if large { target.geometry.side } else { 8 };
        let element = match product.left {
            (_, Left::Windows(_)) => WINDOW_ELEMENT.to_string(),
            (operand, Left::Matrix(_)) => format!("return read_{operand}[at];"),
        };
        let template = template.set("SIDE", side).set("DEPTH", side).insert("left_element", element);
        (template, 4 * side, 4 * side, side * side, [false; 2])
    };
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
    // Two slices of vectors, each row one vector longer than the tile is wide.
    let side = if registers { 0 } else { row_tile / 4 };
    Ok(Shader { workgroup_bytes: (2 * 16 * side * (side + 1)) as u32, ..shader })
}

/// Fills in what the register template reads and how; returns the template and which operands are vectors.
fn register_tile(
    template: Template,
    k: &MatMul,
    product: &Product,
    columns: usize,
    target: &Target,
) -> (Template, [bool; 2]) {
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
    let mut vectors = [false; 2];
    let broadcast = target.subgroup_size as usize == VECTOR_LANES;
    // The eight lanes load four rows by two, at four values of k.
    let rows_fit =
        broadcast && product.m >= TILE_ROWS && fours(&[product.m, k.k]) && whole_splits && !shared(left);
    let (left_rows, left_along_k) = match &a {
        Left::Matrix(a) => {
            let rows = rows_fit && a.row == 1 && fours(&[a.offset, a.batch, a.col]);
            (rows, along_k(left, *a, a.col, a.row, product.m))
        }
        // Four adjacent channels.
        Left::Windows(w) => {
            let fit = w.strides[3] == 1 && fours(&[w.channels, w.offset, w.batch]) && fours(&w.strides[..3]);
            let along_k = fit && !w.swapped && whole_splits && !shared(left);
            (rows_fit && fit && w.swapped, along_k)
        }
    };
    vectors[left] = left_rows || left_along_k;
    let rows = columns == 4
        && b.col == 1
        && fours(&[product.n, b.offset, b.batch])
        && (k.k == 1 || b.row % 4 == 0)
        && !shared(right);
    vectors[right] = rows || along_k(right, b, b.row, b.col, product.n);
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
    let tail = !k.k.is_multiple_of(4) || !whole_splits;
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
    let template = template
        .set("TILE_ROWS", product.m.min(TILE_ROWS))
        .set("ROW_GROUPS", row_groups(k, product.m, target))
        .set("COLUMNS", columns)
        .flag("BROADCAST", broadcast)
        .flag("LEFT_ROWS", left_rows)
        .flag("RIGHT_ROWS", rows)
        .flag("TAIL", tail)
        .flag("LOOPED", is_long(&k.epilogue))
        .insert("columns", format!("alias Columns = {};", KINDS[columns / 2]))
        .insert("left", left_four)
        .insert("left_element", left_element)
        .insert("right", four(right, "B_ROW"))
        .insert("right_element", element(right));
    (template, vectors)
}

/// Reads one element of the windows.
const WINDOW_ELEMENT: &str = "return select(0.0, read_0[at.at], at.inside);";

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
    format!(
        "let own = (tile - tiles) * {lanes}u + lane;\nif (own >= {total}u) {{ return; }}\n\
         let begin = (own / {sums}u) * {part}u;\nlet start = {start};\nvar total = 0.0;\n\
         for (var k = begin; k < min(begin + {part}u, {}u); k++) {{\n\
         let at = start + k * {per_k}u;\ntotal = add_(total, {element});\n}}\n\
         write_{output}[own] = total;\nreturn;",
        k.k
    )
}
