// Matrix product in registers, without workgroup memory or barriers: for software drivers, where a barrier costs
// more than the loads it saves. An invocation computes TILE_ROWS rows by one or two vec4 of columns; the rows'
// elements of A come from addresses that are the same for all lanes (one load and a broadcast), B is read as
// vec4 along its contiguous columns. out[z, r, c] = epilogue(sum_k A[z, r, k] * B[z, k, c]).
// Workgroups are numbered x first: column tiles, row tiles, matrices, splits; then those that add up rows of A.
//@import step
//@import numerics
//@import random
@group(0) @binding(0) var<storage, read_write> write_0: array<f32>; //@insert bindings
@group(1) @binding(0) var<storage, read> read_0: array<f32>; //@insert nothing
@group(1) @binding(1) var<storage, read> read_1: array<vec4<f32>>; //@insert nothing
const M: u32 = 1u; //@param
const N: u32 = 4u; //@param
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
const B_ROW: u32 = 4u; //@param
const ROW_TILES: u32 = 1u; //@param
const COL_TILES: u32 = 1u; //@param
const GROUPS_X: u32 = 65535u; //@param
const TILE_ROWS: u32 = 1u; //@param
const VECTORS: u32 = 1u; //@param

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
    let depth = min(SPLIT, K - min(first_k, K));
    // A lane beyond the last column repeats the last vector and stores nothing.
//@for v in VECTORS
    let vector_v = min((col_tile * VECTORS + v) * 8u + lane, N / 4u - 1u);
    var b_v = (B_OFFSET + z * B_BATCH + first_k * B_ROW) / 4u + vector_v;
//@end
//@for r in TILE_ROWS
    var a_r = A_OFFSET + z * A_BATCH + first_k * A_COL + min(row_tile * TILE_ROWS + r, M - 1u) * A_ROW;
//@for v in VECTORS
    var sum_r_v = vec4<f32>(0.0);
//@end
//@end
    for (var k = 0u; k < depth; k++) {
//@for v in VECTORS
        let right_v = read_1[b_v];
        b_v += B_ROW / 4u;
//@end
//@for r in TILE_ROWS
        let left_r = read_0[a_r];
        a_r += A_COL;
//@for v in VECTORS
        sum_r_v += left_r * right_v;
//@end
//@end
    }
//@for v in VECTORS
    let own_v = (col_tile * VECTORS + v) * 8u + lane;
//@for r in TILE_ROWS
    let row_r_v = row_tile * TILE_ROWS + r;
    if (own_v < N / 4u && row_r_v < M) {
        for (var c = 0u; c < 4u; c++) {
            finish(z, split, row_r_v, own_v * 4u + c, sum_r_v[c]);
        }
    }
//@end
//@end
}
