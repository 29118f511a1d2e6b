// Softmax or log-softmax of rows: read 0 and write 0 are [ROWS, COLUMNS]. LANES invocations share a row: 1
// for short rows (no barrier), 64 for long ones; lanes are combined in a fixed order.
//@import step, arithmetic, numerics
//@include alone or across if WIDE
@group(0) @binding(0) var<storage, read_write> write_0: array<f32>;
@group(1) @binding(0) var<storage, read> read_0: array<f32>;
const ROWS: u32 = 1u; //@param
const COLUMNS: u32 = 1u; //@param
const LOG: bool = false; //@param
const GROUPS_X: u32 = 65535u; //@param
const LOWEST: f32 = -3.4028234e38;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) index: u32) {
    let row = (group.y * GROUPS_X + group.x) * (64u / LANES) + index / LANES;
    let lane = index % LANES;
    let inside = row < ROWS;
    let start = min(row, ROWS - 1u) * COLUMNS;
    var largest = LOWEST;
    for (var c = lane; c < COLUMNS; c += LANES) {
        largest = max_(largest, read_0[start + c]);
    }
    largest = across(lane, largest, true);
    var total = 0.0;
    for (var c = lane; c < COLUMNS; c += LANES) {
        total = add_(total, exp_(sub_(read_0[start + c], largest)));
    }
    let log_total = log_(across(lane, total, false));
    if (!inside) {
        return;
    }
    for (var c = lane; c < COLUMNS; c += LANES) {
        let y = sub_(sub_(read_0[start + c], largest), log_total);
        if (LOG) {
            write_0[start + c] = y;
        } else {
            write_0[start + c] = exp_(y);
        }
    }
}
