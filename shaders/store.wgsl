// Puts values in place: read b has the parts of a value, each of some number of words, whose sum in the order of parts
// goes to write b, at word slot * words if it is a result of the step.
//@import step, arithmetic
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
