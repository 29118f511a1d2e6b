// Rows of a table by index: read 0 [VOCABULARY, WIDTH], read 1 indices [COUNT], write 0 [COUNT, WIDTH].
// An index outside the table gives NaN.
//@import step, arithmetic, numerics
@group(0) @binding(0) var<storage, read_write> write_0: array<f32>;
@group(1) @binding(0) var<storage, read> read_0: array<f32>;
@group(1) @binding(1) var<storage, read> read_1: array<u32>;
const VOCABULARY: u32 = 1u; //@param
const WIDTH: u32 = 1u; //@param
const COUNT: u32 = 1u; //@param
const GROUPS_X: u32 = 65535u; //@param

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (group.y * GROUPS_X + group.x) * 64u + lane;
    if (i >= COUNT * WIDTH) {
        return;
    }
    let row = read_1[i / WIDTH];
    let safe = min(row, VOCABULARY - 1u);
    write_0[i] = select(not_finite(0x7fc00000u), read_0[safe * WIDTH + i % WIDTH], row < VOCABULARY);
}
