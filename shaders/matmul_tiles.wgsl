// Matrix product through workgroup memory, for GPUs: a workgroup computes a tile of 4 * SIDE rows and
// columns, each invocation 4 x 4 of it, from slices of DEPTH columns of A (kept transposed, so that both
// fragments are read along rows) and DEPTH rows of B. out[z, r, c] = epilogue(sum_k A[z, r, k] * B[z, k, c]).
// With WINDOWS, A is windows of images, for convolutions. Workgroups are numbered as in
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
const SIDE: u32 = 8u; //@param
const DEPTH: u32 = 8u; //@param
const LANES: u32 = 64u; //@param

const TILE: u32 = 4u * SIDE;
// One vector more a row than needed keeps lanes of a column on different memory banks.
const STRIDE: u32 = SIDE + 1u;
var<workgroup> left: array<vec4<f32>, DEPTH * STRIDE>;
var<workgroup> right: array<vec4<f32>, DEPTH * STRIDE>;

alias Values = vec4<f32>; //@insert values

//@include windows if WINDOWS
// Where a row of A is: its first element, or its place in an image.
alias Row = u32; //@insert row

fn locate(z: u32, row: u32) -> Row {
    return A_OFFSET + z * A_BATCH + row * A_ROW; //@insert locate
}

fn left_element(row: Row, k: u32) -> f32 {
    let at = row + k * A_COL; //@insert left_at
    return read_0[at]; //@insert left_element
}

fn accumulate(sum: vec4<f32>, a: f32, b: vec4<f32>) -> vec4<f32> {
    return sum + a * b; //@insert accumulate
}

fn finish(z: u32, split: u32, row: u32, col: u32, value: Values) {
    if (row < M && col < N) {
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
    let first_col = (tile % COL_TILES) * TILE;
    let first_row = ((tile / COL_TILES) % ROW_TILES) * TILE;
    let z = (tile / (COL_TILES * ROW_TILES)) % BATCH;
    let split = tile / (COL_TILES * ROW_TILES * BATCH);
    let first_k = split * SPLIT;
    let end_k = min(first_k + SPLIT, K);
    let x = lane % SIDE;
    let y = lane / SIDE;
    var sum_r = vec4<f32>(0.0); //@for r in 4
    // An invocation fills vector x of line y of both slices; rows and columns beyond the last repeat it.
    let row_r = locate(z, min(first_row + x * 4u + r, M - 1u)); //@for r in 4
    let b_start = B_OFFSET + z * B_BATCH;
    for (var k = first_k; k < end_k; k += DEPTH) {
        var a = vec4<f32>(0.0);
        var b = vec4<f32>(0.0);
        if (k + y < end_k) {
//@for r in 4
            a[r] = left_element(row_r, k + y);
            b[r] = read_1[b_start + (k + y) * B_ROW + min(first_col + x * 4u + r, N - 1u) * B_COL];
//@end
        }
        left[y * STRIDE + x] = a;
        right[y * STRIDE + x] = b;
        workgroupBarrier();
        for (var d = 0u; d < DEPTH; d++) {
            let a = left[d * STRIDE + y];
            let b = right[d * STRIDE + x];
            sum_r = accumulate(sum_r, a[r], b); //@for r in 4
        }
        workgroupBarrier();
    }
    store(z, split, first_row + y * 4u + r, first_col + x * 4u, sum_r); //@for r in 4
}
