// Sums over neighbours: read 0 values [BATCH, COLUMNS, WIDTH], read 1 where each row's edges start [ROWS + 1], read 2
// their columns [EDGES], read 3 weights [EDGES, HEADS] (EACH: [BATCH, EDGES, HEADS]) if WEIGHTED, read 4 which weight
// each edge has [EDGES] if NUMBERED, write 0 [BATCH, ROWS, WIDTH]: each element adds those of its row's columns, times
// the weight of the edge for its head of WIDTH / HEADS elements, in the order of the edges. Graphs with edges of their own
// have STRIDE words each, in which starts, columns and numbers of edges begin at STARTS, OTHERS and NUMBERS; else all are 0.
//@import step, arithmetic
@group(0) @binding(0) var<storage, read_write> write_0: array<f32>;
@group(1) @binding(0) var<storage, read> read_0: array<f32>;
@group(1) @binding(1) var<storage, read> read_1: array<u32>;
@group(1) @binding(2) var<storage, read> read_2: array<u32>;
@group(1) @binding(3) var<storage, read> read_3: array<f32>; //@if WEIGHTED
@group(1) @binding(4) var<storage, read> read_4: array<u32>; //@if NUMBERED
const WEIGHTED: bool = true; //@param
const NUMBERED: bool = true; //@param
const EACH: bool = true; //@param
const BATCH: u32 = 1u; //@param
const ROWS: u32 = 1u; //@param
const COLUMNS: u32 = 1u; //@param
const EDGES: u32 = 1u; //@param
const WIDTH: u32 = 1u; //@param
const HEADS: u32 = 1u; //@param
const STRIDE: u32 = 0u; //@param
const STARTS: u32 = 0u; //@param
const OTHERS: u32 = 0u; //@param
const NUMBERS: u32 = 0u; //@param
const GROUPS_X: u32 = 65535u; //@param
const LANES: u32 = 64u; //@param

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (group.y * GROUPS_X + group.x) * LANES + lane;
    if (i >= BATCH * ROWS * WIDTH) {
        return;
    }
    let c = i % WIDTH;
    let row = i / WIDTH % ROWS;
    let graph = i / WIDTH / ROWS;
    let values = graph * COLUMNS * WIDTH + c;
    var first = c / (WIDTH / HEADS);
    if (EACH) {
        first += graph * EDGES * HEADS;
    }
    var total = 0.0;
    let own = graph * STRIDE;
    let start = own + STARTS + row;
    for (var at = read_1[start]; at < read_1[start + 1u]; at++) {
        let value = read_0[values + read_2[own + OTHERS + at] * WIDTH];
        if (WEIGHTED) {
            var edge = at;
            if (NUMBERED) {
                edge = read_4[own + NUMBERS + at];
            }
            total = multiply_add(read_3[first + edge * HEADS], value, total);
        } else {
            total = add_(total, value);
        }
    }
    write_0[i] = total;
}
