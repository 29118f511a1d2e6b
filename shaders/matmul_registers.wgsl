// Matrix product in registers, without workgroup memory or barriers: for software drivers, where a barrier costs
// more than the loads it saves, and where a load costs as much as twenty multiply-adds.
// A workgroup is one native vector of 8 lanes and computes ROW_GROUPS * TILE_ROWS rows by 8 * COLUMNS columns, a
// lane COLUMNS neighbouring columns; k goes by 4. With BROADCAST each lane loads one row of each group of A, and
// the others get it from there; with LEFT_ROWS it loads four neighbouring rows at one k. With WINDOWS, A is windows of
// images, for convolutions. out[z, r, c] = epilogue(sum_k A[z, r, k] * B[z, k, c]).
// Workgroups are numbered x first: column tiles, row tiles, matrices, splits; then those that add up rows of A.
//@import step
//@import arithmetic
//@import numerics
//@import random
@group(0) @binding(0) var<storage, read_write> write_0: array<vec4<f32>>; //@insert bindings
@group(1) @binding(0) var<storage, read> read_0: array<vec4<f32>>; //@insert nothing
@group(1) @binding(1) var<storage, read> read_1: array<vec4<f32>>; //@insert nothing
const M: u32 = 8u; //@param
const N: u32 = 32u; //@param
const K: u32 = 4u; //@param
const BATCH: u32 = 1u; //@param
const SPLITS: u32 = 1u; //@param
const SPLIT: u32 = 4u; //@param
const A_OFFSET: u32 = 0u; //@param
const A_BATCH: u32 = 0u; //@param
const A_ROW: u32 = 4u; //@param
const A_COL: u32 = 1u; //@param
const B_OFFSET: u32 = 0u; //@param
const B_BATCH: u32 = 0u; //@param
const B_ROW: u32 = 32u; //@param
const B_COL: u32 = 1u; //@param
const ROW_TILES: u32 = 1u; //@param
const COL_TILES: u32 = 1u; //@param
const GROUPS_X: u32 = 65535u; //@param
const TILE_ROWS: u32 = 8u; //@param
const ROW_GROUPS: u32 = 1u; //@param
const COLUMNS: u32 = 4u; //@param
const g: u32 = 0u; //@index
const r: u32 = 0u; //@index
const s: u32 = 0u; //@index
// A lane's columns, and what the epilogue takes at once.
alias Columns = vec4<f32>; //@insert columns
alias Values = vec4<f32>; //@insert values

fn accumulate(sum: Columns, a: f32, b: Columns) -> Columns {
    return sum + a * b; //@insert accumulate
}

//@if WINDOWS
//@include windows
//@end
// Where a row of A is: its first element, or its place in an image.
alias Row = u32; //@insert row

fn locate(z: u32, row: u32) -> Row {
    return A_OFFSET + z * A_BATCH + row * A_ROW; //@insert locate
}

// Four elements of A along k, or four neighbouring rows with LEFT_ROWS.
fn left(row: Row, k: u32) -> vec4<f32> {
    let at = row + k * A_COL; //@insert left_at
    return read_0[at / 4u]; //@insert left
}

// Four elements of B: neighbouring columns of a row with RIGHT_ROWS, else along k.
fn right(at: u32) -> vec4<f32> {
    return read_1[at / 4u]; //@insert right
}

//@if TAIL
//| fn left_element(row: Row, k: u32) -> f32 {
//|     let at = row + k * A_COL; //@insert left_at
//|     return read_0[at]; //@insert left_element
//| }
//|
//| fn right_element(at: u32) -> f32 {
//|     return read_1[at]; //@insert right_element
//| }
//@end

fn finish(z: u32, split: u32, row: u32, col: u32, value: Values) {
    if (row < M && col < N) {
        let i = ((split * BATCH + z) * M + row) * N + col; //@insert place
        write_0[i / 4u] = value; //@insert epilogue
    }
}

@compute @workgroup_size(8)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
//@if BROADCAST
//|     @builtin(subgroup_invocation_id) own_row: u32,
//@end
) {
    let tile = group.y * GROUPS_X + group.x;
    let tiles = ROW_TILES * COL_TILES * BATCH * SPLITS;
    if (tile >= tiles) {
        return; //@insert row_sums
    }
    let col_tile = tile % COL_TILES;
    let row_tile = (tile / COL_TILES) % ROW_TILES;
    let z = (tile / (COL_TILES * ROW_TILES)) % BATCH;
    let split = tile / (COL_TILES * ROW_TILES * BATCH);
    let first_k = min(split * SPLIT, K);
    let end_k = min(first_k + SPLIT, K);
    let first_row = row_tile * TILE_ROWS * ROW_GROUPS;
    let first_col = (col_tile * 8u + lane) * COLUMNS;
    // Rows and columns beyond the last repeat it; what they give is not stored.
    let b = B_OFFSET + z * B_BATCH;
//@if BROADCAST
//@for g in ROW_GROUPS
//@if LEFT_ROWS
//|     let a_own_g = locate(z, min(first_row + g * 8u + (own_row % 2u) * 4u, M - 4u));
//@else
//|     let a_own_g = locate(z, min(first_row + g * TILE_ROWS + min(own_row, TILE_ROWS - 1u), M - 1u));
//@end
//@end
//@else
//@for g in ROW_GROUPS
//@for r in TILE_ROWS
    let a_g_r = locate(z, min(first_row + g * TILE_ROWS + r, M - 1u));
//@end
//@end
//@end
//@if RIGHT_ROWS
    let b_row = b + min(first_col, N - COLUMNS);
//@else
//@for c in COLUMNS
//|     let b_c = b + min(first_col + c, N - 1u) * B_COL;
//@end
//@end
//@for g in ROW_GROUPS
//@for r in TILE_ROWS
    var sum_g_r = Columns(0.0);
//@end
//@end
    for (var k = first_k; k + 3u < end_k; k += 4u) {
//@if BROADCAST
//@for g in ROW_GROUPS
//@if LEFT_ROWS
//|         let left_own_g = left(a_own_g, k + own_row / 2u);
//@else
//|         let left_own_g = left(a_own_g, k);
//@end
//@end
//@end
//@if RIGHT_ROWS
//@for s in 4
        let right_s = right(b_row + (k + s) * B_ROW);
//@end
//@else
//@for c in COLUMNS
//|         let column_c = right(b_c + k * B_ROW);
//@end
//@for s in 4
//|         let right_s = Columns(
//@for c in COLUMNS
//|             column_c[s],
//@end
//|         );
//@end
//@end
//@for g in ROW_GROUPS
//@for r in TILE_ROWS
//@if BROADCAST
//@if LEFT_ROWS
//|         let left_g_r = vec4<f32>(
//@for s in 4
//|             subgroupBroadcast(left_own_g[r % 4u], s * 2u + r / 4u),
//@end
//|         );
//@else
//|         let left_g_r = subgroupBroadcast(left_own_g, r);
//@end
//@else
        let left_g_r = left(a_g_r, k);
//@end
//@for s in 4
        sum_g_r = accumulate(sum_g_r, left_g_r[s], right_s);
//@end
//@end
//@end
    }
//@if TAIL
//|     for (var k = first_k + ((end_k - first_k) & 0xfffffffcu); k < end_k; k++) {
//@if BROADCAST
//@for g in ROW_GROUPS
//|         let left_own_g = left_element(a_own_g, k);
//@end
//@end
//@if RIGHT_ROWS
//|         let right_row = right(b_row + k * B_ROW);
//@else
//|         let right_row = Columns(
//@for c in COLUMNS
//|             right_element(b_c + k * B_ROW),
//@end
//|         );
//@end
//@for g in ROW_GROUPS
//@for r in TILE_ROWS
//@if BROADCAST
//|         sum_g_r = accumulate(sum_g_r, subgroupBroadcast(left_own_g, r), right_row);
//@else
//|         sum_g_r = accumulate(sum_g_r, left_element(a_g_r, k), right_row);
//@end
//@end
//@end
//|     }
//@end
//@if LOOPED
//|     var sums = array<Columns, ROW_GROUPS * TILE_ROWS>(
//@for g in ROW_GROUPS
//@for r in TILE_ROWS
//|         sum_g_r,
//@end
//@end
//|     );
//|     for (var at = 0u; at < ROW_GROUPS * TILE_ROWS; at++) {
//@if FOUR
//|         finish(z, split, first_row + at, first_col, sums[at]);
//@else
//@if SINGLE
//|         finish(z, split, first_row + at, first_col, sums[at]);
//@else
//@for c in COLUMNS
//|         finish(z, split, first_row + at, first_col + c, sums[at][c]);
//@end
//@end
//@end
//|     }
//@else
//@for g in ROW_GROUPS
//@for r in TILE_ROWS
//@if FOUR
    finish(z, split, first_row + g * TILE_ROWS + r, first_col, sum_g_r);
//@else
//@if SINGLE
//|     finish(z, split, first_row + g * TILE_ROWS + r, first_col, sum_g_r);
//@else
//@for c in COLUMNS
//|     finish(z, split, first_row + g * TILE_ROWS + r, first_col + c, sum_g_r[c]);
//@end
//@end
//@end
//@end
//@end
//@end
}
