// Matrix product in registers, without workgroup memory or barriers: for software drivers, where a barrier
// costs more than the loads it saves, and where a load costs as much as twenty multiply-adds. A workgroup is
// one native vector of 8 lanes and computes ROW_GROUPS * TILE_ROWS rows by 8 * COLUMNS columns, a lane
// COLUMNS neighbouring columns; k goes by 4. With BROADCAST each lane loads one row of each group of A, and
// the others get it from there; with LEFT_ROWS it loads four neighbouring rows at one k. With WINDOWS, A is
// windows of images, for convolutions. out[z, r, c] = epilogue(sum_k A[z, r, k] * B[z, k, c]). Workgroups are
// numbered x first: column tiles, row tiles, matrices, splits; then those that add up rows of A.
//@import step, arithmetic
//@import numerics, random
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
const TILE_ROWS: u32 = 1u; //@param
const ROW_GROUPS: u32 = 1u; //@param
const COLUMNS: u32 = 4u; //@param
const BROADCAST: bool = true; //@param
const LEFT_ROWS: bool = false; //@param
const RIGHT_ROWS: bool = true; //@param
const TAIL: bool = true; //@param
const LOOPED: bool = false; //@param
const g: u32 = 0u; //@index
const r: u32 = 0u; //@index
const s: u32 = 0u; //@index
const c: u32 = 0u; //@index
// A lane's columns, and what the epilogue takes at once.
alias Columns = vec4<f32>; //@insert columns
alias Values = vec4<f32>; //@insert values

fn accumulate(sum: Columns, a: f32, b: Columns) -> Columns {
    return sum + a * b; //@insert accumulate
}

//@include windows if WINDOWS
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

fn left_element(row: Row, k: u32) -> f32 {
    let at = row + k * A_COL; //@insert left_at
    return read_0[at / 4u].x; //@insert left_element
}

fn right_element(at: u32) -> f32 {
    return read_1[at / 4u].x; //@insert right_element
}

// The row, of a group from `first` on, and the k that a lane loads for all of them.
fn loaded_row(first: u32, lane: u32) -> u32 {
    if (LEFT_ROWS) {
        return min(first + (lane % 2u) * 4u, M - 4u);
    } else {
        return min(first + min(lane, TILE_ROWS - 1u), M - 1u);
    }
}

fn loaded_k(first: u32, lane: u32) -> u32 {
    if (LEFT_ROWS) {
        return first + lane / 2u;
    } else {
        return first;
    }
}

fn finish(z: u32, split: u32, row: u32, col: u32, value: Values) {
    if ((row < M) & (col < N)) {
        let i = ((split * BATCH + z) * M + row) * N + col; //@insert place
        write_0[i / 4u] = value; //@insert epilogue
    }
}

// Finishes a lane's columns of a row.
fn store(z: u32, split: u32, row: u32, first_col: u32, sum: Columns) {
    finish(z, split, row, first_col, sum); //@insert store
}

@compute @workgroup_size(8)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
    @builtin(subgroup_invocation_id) own_row: u32, //@if BROADCAST
) {
    let tile = group.y * GROUPS_X + group.x;
    let tiles = ROW_TILES * COL_TILES * BATCH * SPLITS;
    if (tile >= tiles) {
        return; //@insert sums
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
//@for g in ROW_GROUPS if BROADCAST
    let a_own_g = locate(z, loaded_row(first_row + g * TILE_ROWS, own_row));
//@end
//@for g in ROW_GROUPS, r in TILE_ROWS if not BROADCAST
    let a_g_r = locate(z, min(first_row + g * TILE_ROWS + r, M - 1u));
//@end
    let b_row = b + min(first_col, N - COLUMNS); //@if RIGHT_ROWS
    let b_c = b + min(first_col + c, N - 1u) * B_COL; //@for c in COLUMNS if not RIGHT_ROWS
    var sum_g_r = Columns(0.0); //@for g in ROW_GROUPS, r in TILE_ROWS
    for (var k = first_k; k + 3u < end_k; k += 4u) {
        let left_own_g = left(a_own_g, loaded_k(k, own_row)); //@for g in ROW_GROUPS if BROADCAST
        var right_s: Columns; //@for s in 4
        if (RIGHT_ROWS) {
            right_s = right(b_row + (k + s) * B_ROW); //@for s in 4
        } else {
            let column_c = right(b_c + k * B_ROW); //@for c in COLUMNS
//@for s in 4
            right_s = Columns(
                column_c[s], //@for c in COLUMNS
            );
//@end
        }
//@for g in ROW_GROUPS, r in TILE_ROWS
        var left_g_r: vec4<f32>;
        if (LEFT_ROWS) {
            left_g_r = vec4<f32>(
                subgroupBroadcast(left_own_g[r % 4u], s * 2u + r / 4u), //@for s in 4
            );
        } else if (BROADCAST) {
            left_g_r = subgroupBroadcast(left_own_g, r);
        } else {
            left_g_r = left(a_g_r, k);
        }
        sum_g_r = accumulate(sum_g_r, left_g_r[s], right_s); //@for s in 4
//@end
    }
    if (TAIL) {
        for (var k = first_k + ((end_k - first_k) & 0xfffffffcu); k < end_k; k++) {
            let left_own_g = left_element(a_own_g, k); //@for g in ROW_GROUPS if BROADCAST
            var right_row: Columns;
            if (RIGHT_ROWS) {
                right_row = right(b_row + k * B_ROW);
            } else {
                right_row = Columns(
                    right_element(b_c + k * B_ROW), //@for c in COLUMNS
                );
            }
//@for g in ROW_GROUPS, r in TILE_ROWS
            var left_g_r: f32;
            if (BROADCAST) {
                left_g_r = subgroupBroadcast(left_own_g, r);
            } else {
                left_g_r = left_element(a_g_r, k);
            }
            sum_g_r = accumulate(sum_g_r, left_g_r, right_row);
//@end
        }
    }
    if (LOOPED) {
        var sums = array<Columns, ROW_GROUPS * TILE_ROWS>(
            sum_g_r, //@for g in ROW_GROUPS, r in TILE_ROWS
        );
        for (var at = 0u; at < ROW_GROUPS * TILE_ROWS; at++) {
            store(z, split, first_row + at, first_col, sums[at]);
        }
    } else {
//@for g in ROW_GROUPS, r in TILE_ROWS
        store(z, split, first_row + g * TILE_ROWS + r, first_col, sum_g_r);
//@end
    }
}
