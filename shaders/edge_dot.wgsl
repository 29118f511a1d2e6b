// Products of the two ends of each edge: read 0 values of rows [BATCH, ROWS, WIDTH], read 1 of columns [BATCH, COLUMNS,
// WIDTH], read 2 the row and read 3 the column of each edge [EDGES], write 0 [BATCH, EDGES, HEADS]: the sum of the
// products over the WIDTH / HEADS elements of the head, in order. OWN: each graph has STRIDE words, which begin with where
// the edges of each row start, and in which rows and columns of edges begin at FROM and TO; edges that it lacks get 0.
//@import step, arithmetic
@group(0) @binding(0) var<storage, read_write> write_0: array<f32>;
@group(1) @binding(0) var<storage, read> read_0: array<f32>;
@group(1) @binding(1) var<storage, read> read_1: array<f32>;
@group(1) @binding(2) var<storage, read> read_2: array<u32>;
@group(1) @binding(3) var<storage, read> read_3: array<u32>;
const BATCH: u32 = 1u; //@param
const ROWS: u32 = 1u; //@param
const COLUMNS: u32 = 1u; //@param
const EDGES: u32 = 1u; //@param
const WIDTH: u32 = 1u; //@param
const HEADS: u32 = 1u; //@param
const OWN: bool = false; //@param
const STRIDE: u32 = 0u; //@param
const FROM: u32 = 0u; //@param
const TO: u32 = 0u; //@param
const GROUPS_X: u32 = 65535u; //@param
const LANES: u32 = 64u; //@param

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (group.y * GROUPS_X + group.x) * LANES + lane;
    if (i >= BATCH * EDGES * HEADS) {
        return;
    }
    let edge = i / HEADS % EDGES;
    let graph = i / HEADS / EDGES;
    let own = graph * STRIDE;
    if (OWN) {
        if (edge >= read_2[own + ROWS]) {
            write_0[i] = 0.0;
            return;
        }
    }
    let first = i % HEADS * (WIDTH / HEADS);
    let a = (graph * ROWS + read_2[own + FROM + edge]) * WIDTH + first;
    let b = (graph * COLUMNS + read_3[own + TO + edge]) * WIDTH + first;
    var total = 0.0;
    for (var c = 0u; c < WIDTH / HEADS; c++) {
        total = multiply_add(read_0[a + c], read_1[b + c], total);
    }
    write_0[i] = total;
}
