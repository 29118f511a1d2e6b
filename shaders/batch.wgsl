// Batch assembly: read 0 is the row order, read 1 + b the words of column block b; row r of write b [batch,
// width] takes the values from word order[batch_start + r] * stride + offset on, with Gaussian noise where
// asked for. Windows of a series overlap: their stride is less than their width. Values are words, or bytes
// that stand for entries of a table: entry 256 * (element / plane) + byte of a read after those of the blocks.
// A block that holds only some rows leaves the others of the batch as they are. One invocation an element of
// any block, or four where rows are whole vectors.
//@import step, arithmetic, random
@group(0) @binding(0) var<storage, read_write> write_0: array<f32>; //@insert bindings
@group(1) @binding(0) var<storage, read> read_0: array<u32>; //@insert nothing
@group(1) @binding(1) var<storage, read> read_1: array<f32>; //@insert nothing
const ELEMENTS: u32 = 1u; //@param
const GROUPS_X: u32 = 65535u; //@param
const LANES: u32 = 64u; //@param

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (group.y * GROUPS_X + group.x) * LANES + lane;
    if (i >= ELEMENTS) {
        return;
    }
    write_0[i] = read_1[read_0[step.batch_start + i]]; //@insert blocks
}
