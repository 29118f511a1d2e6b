// Matrix product in registers where both operands are contiguous along k (A rows, B columns): four terms of each
// dot product at a time. An invocation computes TILE_ROWS rows by TILE_COLS columns; A's addresses are the same
// for all lanes. out[z, r, c] = epilogue(sum_k A[z, r, k] * B[z, k, c]); K, strides and offsets divide by 4.
// Workgroups are numbered as in matmul_columns.wgsl.
//@import step
//@import numerics
//@import random
@group(0) @binding(0) var<storage, read_write> write_0: array<f32>; //@insert bindings
@group(1) @binding(0) var<storage, read> read_0: array<vec4<f32>>; //@insert nothing
@group(1) @binding(1) var<storage, read> read_1: array<vec4<f32>>; //@insert nothing
const M: u32 = 1u; //@param
const N: u32 = 1u; //@param
const K: u32 = 4u; //@param
const BATCH: u32 = 1u; //@param
const SPLITS: u32 = 1u; //@param
const SPLIT: u32 = 4u; //@param
const A_OFFSET: u32 = 0u; //@param
const A_BATCH: u32 = 0u; //@param
const A_ROW: u32 = 4u; //@param
const B_OFFSET: u32 = 0u; //@param
const B_BATCH: u32 = 0u; //@param
const B_COL: u32 = 4u; //@param
const ROW_TILES: u32 = 1u; //@param
const COL_TILES: u32 = 1u; //@param
const GROUPS_X: u32 = 65535u; //@param
const TILE_ROWS: u32 = 1u; //@param
const TILE_COLS: u32 = 1u; //@param

fn finish(z: u32, split: u32, row: u32, col: u32, value: f32) {
    let i = ((split * BATCH + z) * M + row) * N + col; //@insert place
    write_0[i] = value; //@insert epilogue
}

@compute @workgroup_size(8)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let tile = group.y * GROUPS_X + group.x;
    let tiles = ROW_TILES * COL_TILES * BATCH * SPLITS;
    if (tile >= tiles) {
        return; //@insert row_sums
    }
    let col_tile = tile % COL_TILES;
    let row_tile = (tile / COL_TILES) % ROW_TILES;
    let z = (tile / (COL_TILES * ROW_TILES)) % BATCH;
    let split = tile / (COL_TILES * ROW_TILES * BATCH);
    let first_k = split * SPLIT;
    let depth = min(SPLIT, K - min(first_k, K)) / 4u;
//@for c in TILE_COLS
    let col_c = (col_tile * TILE_COLS + c) * 8u + lane;
    var b_c = (B_OFFSET + z * B_BATCH + first_k + min(col_c, N - 1u) * B_COL) / 4u;
//@end
//@for r in TILE_ROWS
    var a_r = (A_OFFSET + z * A_BATCH + first_k + min(row_tile * TILE_ROWS + r, M - 1u) * A_ROW) / 4u;
//@for c in TILE_COLS
    var sum_r_c = vec4<f32>(0.0);
//@end
//@end
    for (var k = 0u; k < depth; k++) {
//@for c in TILE_COLS
        let right_c = read_1[b_c + k];
//@end
//@for r in TILE_ROWS
        let left_r = read_0[a_r + k];
//@for c in TILE_COLS
        sum_r_c += left_r * right_c;
//@end
//@end
    }
//@for r in TILE_ROWS
    let row_r = row_tile * TILE_ROWS + r;
//@for c in TILE_COLS
    if (col_c < N && row_r < M) {
        finish(z, split, row_r, col_c, (sum_r_c.x + sum_r_c.y) + (sum_r_c.z + sum_r_c.w));
    }
//@end
//@end
}
