// Matrix product through workgroup memory, for GPUs: TALL x WIDE invocations compute a tile, each ROW_VECTORS x
// COL_VECTORS blocks of 4 x 4 of it, from slices of DEPTH columns of A (kept transposed, so that both fragments are read
// along rows) and DEPTH rows of B. out[z, r, c] = epilogue(sum_k A[z, r, k] * B[z, k, c]). Operands are loaded four
// elements at a time where four lie side by side: neighbouring rows of A with LEFT_ROWS, columns of B with RIGHT_COLUMNS,
// or neighbours along k. With WINDOWS, A is windows of images, for convolutions. Workgroups are numbered as in
// matmul_registers.wgsl.
//@import step, arithmetic
//@import numerics, random
@group(0) @binding(0) var<storage, read_write> write_0: array<vec4<f32>>; //@insert bindings
@group(1) @binding(0) var<storage, read> read_0: array<f32>; //@insert nothing
@group(1) @binding(1) var<storage, read> read_1: array<f32>; //@insert nothing
const M: u32 = 1u; //@param
const N: u32 = 1u; //@param
const K: u32 = 1u; //@param
const BATCH: u32 = 1u; //@param
const SPLITS: u32 = 1u; //@param
const SPLIT: u32 = 1u; //@param
const A_OFFSET: u32 = 0u; //@param
const A_BATCH: u32 = 0u; //@param
const A_ROW: u32 = 1u; //@param
const A_COL: u32 = 1u; //@param
const B_OFFSET: u32 = 0u; //@param
const B_BATCH: u32 = 0u; //@param
const B_ROW: u32 = 1u; //@param
const B_COL: u32 = 1u; //@param
const ROW_TILES: u32 = 1u; //@param
const COL_TILES: u32 = 1u; //@param
const GROUPS_X: u32 = 65535u; //@param
const r: u32 = 0u; //@index
const s: u32 = 0u; //@index
const v: u32 = 0u; //@index
const w: u32 = 0u; //@index
const f: u32 = 0u; //@index
const TALL: u32 = 8u; //@param
const WIDE: u32 = 8u; //@param
const ROW_VECTORS: u32 = 1u; //@param
const COL_VECTORS: u32 = 1u; //@param
const DEPTH: u32 = 8u; //@param
const LANES: u32 = 64u; //@param
// How often all invocations together fill a part of a slice, and whether that is all of them every time.
const LEFT_FILLS: u32 = 1u; //@param
const RIGHT_FILLS: u32 = 1u; //@param
const LEFT_WHOLE: bool = true; //@param
const RIGHT_WHOLE: bool = true; //@param
// How operands are loaded: four elements at once or one by one, and how many loads make four elements.
const LEFT_FOUR: bool = false; //@param
const LEFT_ROWS: bool = false; //@param
const LEFT_ALONG_K: bool = false; //@param
const LEFT_LOADS: u32 = 4u; //@param
const RIGHT_FOUR: bool = false; //@param
const RIGHT_COLUMNS: bool = false; //@param
const RIGHT_ALONG_K: bool = false; //@param
const RIGHT_LOADS: u32 = 4u; //@param

// Vectors in a line of each slice. One vector more than needed keeps lanes of a column on different memory banks.
const LEFT_WIDTH: u32 = TALL * ROW_VECTORS;
const RIGHT_WIDTH: u32 = WIDE * COL_VECTORS;
const LEFT_STRIDE: u32 = LEFT_WIDTH + 1u;
const RIGHT_STRIDE: u32 = RIGHT_WIDTH + 1u;
var<workgroup> left: array<vec4<f32>, DEPTH * LEFT_STRIDE>;
var<workgroup> right: array<vec4<f32>, DEPTH * RIGHT_STRIDE>;

alias Values = vec4<f32>; //@insert values

//@include windows if WINDOWS
// Where a row of A is: its first element, or its place in an image.
alias Row = u32; //@insert row

fn locate(z: u32, row: u32) -> Row {
    return A_OFFSET + z * A_BATCH + row * A_ROW; //@insert locate
}

// Four elements of A along k, or four neighbouring rows with LEFT_ROWS.
fn left_four(row: Row, k: u32) -> vec4<f32> {
    let at = row + k * A_COL; //@insert left_at
    return vec4<f32>(read_0[at]); //@insert left
}

fn left_element(row: Row, k: u32) -> f32 {
    let at = row + k * A_COL; //@insert left_at
    return read_0[at]; //@insert left_element
}

// Four elements of B: neighbouring columns of a row with RIGHT_COLUMNS, else along k.
fn right_four(at: u32) -> vec4<f32> {
    return vec4<f32>(read_1[at]); //@insert right
}

fn right_element(at: u32) -> f32 {
    return read_1[at]; //@insert right_element
}

// Which row (or column) of the tile and which k of the slice the unit `own` of a slice begins at. Units along k go by
// rows, so that neighbouring invocations load neighbouring elements.
fn left_unit(own: u32) -> vec2<u32> {
    if (LEFT_ALONG_K) {
        return vec2<u32>(own / (DEPTH / 4u), own % (DEPTH / 4u) * 4u);
    } else {
        return vec2<u32>(own % LEFT_WIDTH * 4u, own / LEFT_WIDTH);
    }
}

fn right_unit(own: u32) -> vec2<u32> {
    if (RIGHT_ALONG_K) {
        return vec2<u32>(own / (DEPTH / 4u), own % (DEPTH / 4u) * 4u);
    } else {
        return vec2<u32>(own % RIGHT_WIDTH * 4u, own / RIGHT_WIDTH);
    }
}

// The last row (or column) from which a load may begin.
fn left_last() -> u32 {
    if (LEFT_ROWS) {
        return M - 4u;
    } else {
        return M - 1u;
    }
}

fn right_last() -> u32 {
    if (RIGHT_COLUMNS) {
        return N - 4u;
    } else {
        return N - 1u;
    }
}

fn accumulate(sum: vec4<f32>, a: f32, b: vec4<f32>) -> vec4<f32> {
    return sum + a * b; //@insert accumulate
}

fn finish(z: u32, split: u32, row: u32, col: u32, value: Values) {
    if ((row < M) & (col < N)) {
        let i = ((split * BATCH + z) * M + row) * N + col; //@insert place
        write_0[i / 4u] = value; //@insert epilogue
    }
}

// Finishes four columns of a row.
fn store(z: u32, split: u32, row: u32, first_col: u32, sum: vec4<f32>) {
    finish(z, split, row, first_col, sum); //@insert store
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let tile = group.y * GROUPS_X + group.x;
    let tiles = ROW_TILES * COL_TILES * BATCH * SPLITS;
    if (tile >= tiles) {
        return; //@insert sums
    }
    let first_col = (tile % COL_TILES) * 4u * RIGHT_WIDTH;
    let first_row = ((tile / COL_TILES) % ROW_TILES) * 4u * LEFT_WIDTH;
    let z = (tile / (COL_TILES * ROW_TILES)) % BATCH;
    let split = tile / (COL_TILES * ROW_TILES * BATCH);
    let first_k = split * SPLIT;
    let end_k = min(first_k + SPLIT, K);
    let x = lane % WIDE;
    let y = lane / WIDE;
    var sum_v_r_w = vec4<f32>(0.0); //@for v in ROW_VECTORS, r in 4, w in COL_VECTORS
    // What an invocation loads of both slices; rows and columns beyond the last repeat it.
    let left_unit_f = left_unit(lane + f * LANES); //@for f in LEFT_FILLS
    let right_unit_f = right_unit(lane + f * LANES); //@for f in RIGHT_FILLS
    let b_start = B_OFFSET + z * B_BATCH;
//@for f in LEFT_FILLS, r in LEFT_LOADS
    let row_f_r = locate(z, min(first_row + left_unit_f.x + r, left_last()));
//@end
//@for f in RIGHT_FILLS, r in RIGHT_LOADS
    let col_f_r = b_start + min(first_col + right_unit_f.x + r, right_last()) * B_COL;
//@end
    for (var k = first_k; k < end_k; k += DEPTH) {
//@for f in LEFT_FILLS
        if (LEFT_WHOLE || lane + f * LANES < LEFT_WIDTH * DEPTH) {
            var a = vec4<f32>(0.0);
            if (k + left_unit_f.y < end_k) {
                if (LEFT_FOUR) {
                    a = left_four(row_f_r, k + left_unit_f.y); //@for r in 1
                } else {
                    a[r] = left_element(row_f_r, k + left_unit_f.y); //@for r in LEFT_LOADS
                }
            }
            if (LEFT_ALONG_K) {
//@for s in 4
                left[(left_unit_f.y + s) * LEFT_STRIDE + left_unit_f.x / 4u][left_unit_f.x % 4u] = a[s];
//@end
            } else {
                left[left_unit_f.y * LEFT_STRIDE + left_unit_f.x / 4u] = a;
            }
        }
//@end
//@for f in RIGHT_FILLS
        if (RIGHT_WHOLE || lane + f * LANES < RIGHT_WIDTH * DEPTH) {
            var b = vec4<f32>(0.0);
            if (k + right_unit_f.y < end_k) {
                if (RIGHT_FOUR) {
                    b = right_four(col_f_r + (k + right_unit_f.y) * B_ROW); //@for r in 1
                } else {
                    b[r] = right_element(col_f_r + (k + right_unit_f.y) * B_ROW); //@for r in RIGHT_LOADS
                }
            }
            if (RIGHT_ALONG_K) {
//@for s in 4
                right[(right_unit_f.y + s) * RIGHT_STRIDE + right_unit_f.x / 4u][right_unit_f.x % 4u] = b[s];
//@end
            } else {
                right[right_unit_f.y * RIGHT_STRIDE + right_unit_f.x / 4u] = b;
            }
        }
//@end
        workgroupBarrier();
        for (var d = 0u; d < DEPTH; d++) {
            let a_v = left[d * LEFT_STRIDE + y + v * TALL]; //@for v in ROW_VECTORS
            let b_w = right[d * RIGHT_STRIDE + x + w * WIDE]; //@for w in COL_VECTORS
//@for v in ROW_VECTORS, r in 4, w in COL_VECTORS
            sum_v_r_w = accumulate(sum_v_r_w, a_v[r], b_w);
//@end
        }
        workgroupBarrier();
    }
//@for v in ROW_VECTORS, r in 4, w in COL_VECTORS
    store(z, split, first_row + (y + v * TALL) * 4u + r, first_col + (x + w * WIDE) * 4u, sum_v_r_w);
//@end
}
