// Ordered reduction for GPUs, one workgroup per result: each of 64 lanes combines every 64th element of the
// chunk in ascending order, then the lanes are combined pairwise in a fixed tree.
//@import step, arithmetic
//@import numerics, random
@group(0) @binding(0) var<storage, read_write> write_0: array<f32>; //@insert bindings
@group(1) @binding(0) var<storage, read> read_0: array<f32>; //@insert nothing
const RESULTS: u32 = 1u; //@param
const REDUCED: u32 = 1u; //@param
const CHUNK: u32 = 1u; //@param
const CHUNKS: u32 = 1u; //@param
const GROUPS_X: u32 = 65535u; //@param

var<workgroup> lanes: array<f32, 64>;

fn prologue(kept: u32, r: u32) -> f32 {
    let i = kept * REDUCED + r;
    return read_0[i]; //@insert prologue
}

fn combine(total: f32, x: f32) -> f32 {
    return add_(total, x); //@insert combine
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = group.y * GROUPS_X + group.x;
    let kept = i / CHUNKS;
    let first = (i % CHUNKS) * CHUNK;
    let end = min(first + CHUNK, REDUCED);
    var total = 0.0; //@insert start
    if (i < RESULTS) {
        for (var r = first + lane; r < end; r += 64u) {
            total = combine(total, prologue(kept, r));
        }
    }
    lanes[lane] = total;
    workgroupBarrier();
    for (var width = 32u; width > 0u; width >>= 1u) {
        if (lane < width) {
            lanes[lane] = combine(lanes[lane], lanes[lane + width]);
        }
        workgroupBarrier();
    }
    if (lane != 0u || i >= RESULTS) {
        return;
    }
    total = lanes[0];
    write_0[i] = total; //@insert epilogue
}
