// The gradient of rows by index, from positions in the order of the rows: read 0 these [COUNT], read 1 where
// each row starts [VOCABULARY + 1], read 2 row gradients [COUNT, WIDTH], read 3 sums of the rows' whole
// pieces of PIECE positions (LONG: where there may be any), write 0 [VOCABULARY, WIDTH].
//@import step, arithmetic
@group(0) @binding(0) var<storage, read_write> write_0: array<f32>;
@group(1) @binding(0) var<storage, read> read_0: array<u32>;
@group(1) @binding(1) var<storage, read> read_1: array<u32>;
@group(1) @binding(2) var<storage, read> read_2: array<f32>;
@group(1) @binding(3) var<storage, read> read_3: array<f32>; //@if LONG
const LONG: bool = true; //@param
const VOCABULARY: u32 = 1u; //@param
const WIDTH: u32 = 1u; //@param
const PIECE: u32 = 1024u; //@param
const GROUPS_X: u32 = 65535u; //@param
const LANES: u32 = 64u; //@param

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (group.y * GROUPS_X + group.x) * LANES + lane;
    if (i >= VOCABULARY * WIDTH) {
        return;
    }
    let row = i / WIDTH;
    let column = i % WIDTH;
    var at = read_1[row];
    let end = read_1[row + 1u];
    var total = 0.0;
    if (LONG) {
        for (; at + PIECE <= end; at += PIECE) {
            total = add_(total, read_3[at / PIECE * WIDTH + column]);
        }
    }
    var rest = 0.0;
    for (; at < end; at++) {
        rest = add_(rest, read_2[read_0[at] * WIDTH + column]);
    }
    write_0[i] = add_(total, rest);
}
