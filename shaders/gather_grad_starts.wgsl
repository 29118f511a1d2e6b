// Where the positions of each row start: read 0 indices [COUNT], read 1 their positions in the order of the
// rows [COUNT], write 0 [VOCABULARY + 1]: how many indices name an earlier row.
//@import step
@group(0) @binding(0) var<storage, read_write> write_0: array<u32>;
@group(1) @binding(0) var<storage, read> read_0: array<u32>;
@group(1) @binding(1) var<storage, read> read_1: array<u32>;
const VOCABULARY: u32 = 1u; //@param
const COUNT: u32 = 1u; //@param
const GROUPS_X: u32 = 65535u; //@param
const LANES: u32 = 64u; //@param

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let row = (group.y * GROUPS_X + group.x) * LANES + lane;
    if (row > VOCABULARY) {
        return;
    }
    var low = 0u;
    var high = COUNT;
    for (; low < high;) {
        let middle = low + (high - low) / 2u;
        if (read_0[read_1[middle]] < row) {
            low = middle + 1u;
        } else {
            high = middle;
        }
    }
    write_0[row] = low;
}
