// Gradient of rows by index: read 0 indices [COUNT], read 1 row gradients [COUNT, WIDTH], write 0
// [VOCABULARY, WIDTH]: each element adds, in ascending position, the gradients whose index names its row.
//@import step, arithmetic
@group(0) @binding(0) var<storage, read_write> write_0: array<f32>;
@group(1) @binding(0) var<storage, read> read_0: array<u32>;
@group(1) @binding(1) var<storage, read> read_1: array<f32>;
const VOCABULARY: u32 = 1u; //@param
const WIDTH: u32 = 1u; //@param
const COUNT: u32 = 1u; //@param
const GROUPS_X: u32 = 65535u; //@param

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (group.y * GROUPS_X + group.x) * 64u + lane;
    if (i >= VOCABULARY * WIDTH) {
        return;
    }
    let row = i / WIDTH;
    var total = 0.0;
    for (var position = 0u; position < COUNT; position++) {
        if (read_0[position] == row) {
            total = add_(total, read_1[position * WIDTH + i % WIDTH]);
        }
    }
    write_0[i] = total;
}
