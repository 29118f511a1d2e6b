// Sums of the whole pieces of rows: read 0 positions in the order of the rows [COUNT], read 1 where each row
// starts [VOCABULARY + 1], read 2 row gradients [COUNT, WIDTH], write 0 [COUNT / PIECE, WIDTH]. A piece is
// PIECE positions of a row, counted from its start; its sum stands at the multiple of PIECE below or at which
// it starts, 0 if none does.
//@import step, arithmetic
@group(0) @binding(0) var<storage, read_write> write_0: array<f32>;
@group(1) @binding(0) var<storage, read> read_0: array<u32>;
@group(1) @binding(1) var<storage, read> read_1: array<u32>;
@group(1) @binding(2) var<storage, read> read_2: array<f32>;
const VOCABULARY: u32 = 1u; //@param
const WIDTH: u32 = 1u; //@param
const PIECE: u32 = 1024u; //@param
const PIECES: u32 = 1u; //@param
const GROUPS_X: u32 = 65535u; //@param
const LANES: u32 = 64u; //@param

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (group.y * GROUPS_X + group.x) * LANES + lane;
    if (i >= PIECES * WIDTH) {
        return;
    }
    // A piece that starts within these positions contains the last one. The row of that: the last that starts
    // there or before.
    let begin = i / WIDTH * PIECE;
    var low = 1u;
    var high = VOCABULARY + 1u;
    for (; low < high;) {
        let middle = low + (high - low) / 2u;
        if (read_1[middle] < begin + PIECE) {
            low = middle + 1u;
        } else {
            high = middle;
        }
    }
    let row = low - 1u;
    var total = 0.0;
    if (row < VOCABULARY) {
        var start = read_1[row];
        if (start < begin) {
            start += (begin - start + PIECE - 1u) / PIECE * PIECE;
        }
        if (start + PIECE <= read_1[row + 1u]) {
            for (var at = start; at < start + PIECE; at++) {
                total = add_(total, read_2[read_0[at] * WIDTH + i % WIDTH]);
            }
        }
    }
    write_0[i] = total;
}
