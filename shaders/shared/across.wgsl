// All invocations of a workgroup share a row, for rows so long that one would take too long; see alone.wgsl.
const LANES: u32 = 64u;
var<workgroup> shared_values: array<f32, 64>;

// The sum, or the largest, of the lanes' values, combined in the order of the lanes.
fn across(lane: u32, x: f32, largest: bool) -> f32 {
    workgroupBarrier();
    shared_values[lane] = x;
    workgroupBarrier();
    var total = shared_values[0];
    for (var other = 1u; other < 64u; other++) {
        let y = shared_values[other];
        total = select(add_(total, y), max_(total, y), largest);
    }
    return total;
}
