// Ordered reduction, one invocation a result: sum or maximum of the prologue over a chunk of reduced
// elements, in ascending order, then the epilogue. Iteration shape `kept ++ reduced`; results are
// `kept x CHUNKS`.
//@import step, arithmetic
//@import numerics, random
@group(0) @binding(0) var<storage, read_write> write_0: array<f32>; //@insert bindings
@group(1) @binding(0) var<storage, read> read_0: array<f32>; //@insert nothing
const RESULTS: u32 = 1u; //@param
const REDUCED: u32 = 1u; //@param
const CHUNK: u32 = 1u; //@param
const CHUNKS: u32 = 1u; //@param
const GROUPS_X: u32 = 65535u; //@param
const LANES: u32 = 64u; //@param

fn prologue(kept: u32, r: u32) -> f32 {
    let i = kept * REDUCED + r;
    return read_0[i]; //@insert prologue
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (group.y * GROUPS_X + group.x) * LANES + lane;
    if (i >= RESULTS) {
        return;
    }
    let kept = i / CHUNKS;
    let first = (i % CHUNKS) * CHUNK;
    let end = min(first + CHUNK, REDUCED);
    var total = prologue(kept, first);
    for (var r = first + 1u; r < end; r++) {
        let x = prologue(kept, r);
        total = add_(total, x); //@insert combine
    }
    write_0[i] = total; //@insert epilogue
}
