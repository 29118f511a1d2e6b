// Fused elementwise body: one invocation WIDTH neighbouring elements of the iteration shape.
// group 0: written operands; group 1: read operands; the body is generated from the plan's scalar program.
//@import step, arithmetic
//@import numerics, random
@group(0) @binding(0) var<storage, read_write> write_0: array<f32>; //@insert bindings
@group(1) @binding(0) var<storage, read> read_0: array<f32>; //@insert nothing
const ELEMENTS: u32 = 1u; //@param
const WIDTH: u32 = 1u; //@param
const GROUPS_X: u32 = 65535u; //@param
const LANES: u32 = 64u; //@param

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = ((group.y * GROUPS_X + group.x) * LANES + lane) * WIDTH;
    if (i >= ELEMENTS) {
        return;
    }
    write_0[i] = read_0[i]; //@insert body
}
