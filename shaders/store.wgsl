// Copies the results of a step to its slot: read b, of some number of words, goes to write b from word slot *
// words on.
//@import step
@group(0) @binding(0) var<storage, read_write> write_0: array<u32>; //@insert bindings
@group(1) @binding(0) var<storage, read> read_0: array<u32>; //@insert nothing
const ELEMENTS: u32 = 1u; //@param
const GROUPS_X: u32 = 65535u; //@param
const LANES: u32 = 64u; //@param

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (group.y * GROUPS_X + group.x) * LANES + lane;
    if (i >= ELEMENTS) {
        return;
    }
    write_0[step.slot * ELEMENTS + i] = read_0[i]; //@insert blocks
}
