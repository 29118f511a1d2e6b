// One invocation has a row to itself; see across.wgsl.
const LANES: u32 = 1u;

// The sum, or the largest, of the lanes' values.
fn across(lane: u32, x: f32, largest: bool) -> f32 {
    return x;
}
