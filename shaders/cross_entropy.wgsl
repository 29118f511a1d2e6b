// Softmax cross-entropy of labels, loss per row and gradient in one pass; see src/kernels/cross_entropy.
// Reads: logits [ROWS, CLASSES], labels [ROWS], class weights [CLASSES]. Writes: loss [ROWS] and delta
// [ROWS, CLASSES], each if wanted. LANES invocations share a row, combined in a fixed order.
//@import step, arithmetic, numerics
//@include alone or across if WIDE
@group(0) @binding(0) var<storage, read_write> write_0: array<f32>; //@insert bindings
@group(0) @binding(1) var<storage, read_write> write_1: array<f32>; //@insert nothing
@group(1) @binding(0) var<storage, read> read_0: array<f32>;
@group(1) @binding(1) var<storage, read> read_1: array<u32>;
@group(1) @binding(2) var<storage, read> read_2: array<f32>;
const ROWS: u32 = 1u; //@param
const CLASSES: u32 = 1u; //@param
const LOSS: bool = true; //@param
const DELTA: bool = true; //@param
const GROUPS_X: u32 = 65535u; //@param
const SMOOTHING: f32 = 0.0; //@param
const LOWEST: f32 = -3.4028234e38;

// The smoothed, weighted target of class c.
fn wanted(c: u32, label: u32) -> f32 {
    let hit = select(0.0, 1.0 - SMOOTHING, c == label);
    return mul_(read_2[c], add_(hit, div_(SMOOTHING, f32(CLASSES))));
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) index: u32) {
    let row = (group.y * GROUPS_X + group.x) * (64u / LANES) + index / LANES;
    let lane = index % LANES;
    let inside = row < ROWS;
    let safe_row = min(row, ROWS - 1u);
    let start = safe_row * CLASSES;
    let label = read_1[safe_row];
    let known = label < CLASSES;
    var largest = LOWEST;
    for (var c = lane; c < CLASSES; c += LANES) {
        largest = max_(largest, read_0[start + c]);
    }
    largest = across(lane, largest, true);
    var total = 0.0;
    for (var c = lane; c < CLASSES; c += LANES) {
        total = add_(total, exp_(sub_(read_0[start + c], largest)));
    }
    let log_total = log_(across(lane, total, false));
    var loss = 0.0;
    var weight = 0.0;
    for (var c = lane; c < CLASSES; c += LANES) {
        let q = wanted(c, label);
        loss = sub_(loss, mul_(q, sub_(sub_(read_0[start + c], largest), log_total)));
        weight = add_(weight, q);
    }
    loss = across(lane, loss, false);
    weight = across(lane, weight, false);
    if (!inside) {
        return;
    }
    let bad = not_finite(0x7fc00000u);
    if (LOSS) {
        if (lane == 0u) {
            write_0[row] = select(bad, loss, known);
        }
    }
    if (DELTA) {
        for (var c = lane; c < CLASSES; c += LANES) {
            let p = exp_(sub_(sub_(read_0[start + c], largest), log_total));
            let delta = select(bad, sub_(mul_(p, weight), wanted(c, label)), known);
            write_1[start + c] = delta; //@insert store_delta
        }
    }
}
