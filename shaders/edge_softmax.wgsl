// Softmax over the edges of each row: read 0 and write 0 are [BATCH, EDGES, HEADS], read 1 is where each row's edges
// start [ROWS + 1]. One invocation has a row and a head, and adds in the order of the edges. OWN: each graph has STRIDE
// words, which begin so; edges that it lacks get 0.
//@import step, arithmetic, numerics
@group(0) @binding(0) var<storage, read_write> write_0: array<f32>;
@group(1) @binding(0) var<storage, read> read_0: array<f32>;
@group(1) @binding(1) var<storage, read> read_1: array<u32>;
const BATCH: u32 = 1u; //@param
const ROWS: u32 = 1u; //@param
const EDGES: u32 = 1u; //@param
const HEADS: u32 = 1u; //@param
const OWN: bool = false; //@param
const STRIDE: u32 = 0u; //@param
const GROUPS_X: u32 = 65535u; //@param
const LANES: u32 = 64u; //@param
const LOWEST: f32 = -3.4028234e38;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (group.y * GROUPS_X + group.x) * LANES + lane;
    if (i >= BATCH * ROWS * HEADS) {
        return;
    }
    let row = i / HEADS % ROWS;
    let scores = i / HEADS / ROWS * EDGES * HEADS + i % HEADS;
    let start = i / HEADS / ROWS * STRIDE + row;
    let begin = read_1[start];
    let end = read_1[start + 1u];
    var largest = LOWEST;
    for (var at = begin; at < end; at++) {
        largest = max_(largest, read_0[scores + at * HEADS]);
    }
    var total = 0.0;
    for (var at = begin; at < end; at++) {
        total = add_(total, exp_(sub_(read_0[scores + at * HEADS], largest)));
    }
    let log_total = log_(total);
    for (var at = begin; at < end; at++) {
        write_0[scores + at * HEADS] = exp_(sub_(sub_(read_0[scores + at * HEADS], largest), log_total));
    }
    if (OWN) {
        if (row + 1u == ROWS) {
            for (var at = end; at < EDGES; at++) {
                write_0[scores + at * HEADS] = 0.0;
            }
        }
    }
}
