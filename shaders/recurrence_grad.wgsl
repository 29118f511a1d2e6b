// The gradient of recurrence.wgsl, from the last step back to the first, for read 0 = the gradient of the states
// [STEPS, BATCH, HIDDEN] and read 1 = W [GATES x HIDDEN, HIDDEN]. Each step gives the gradients of G and R from those of
// h and c, then the gradient of the h before: what R sends through W, and a GRU's share that was kept.
// A workgroup takes ROWS rows of the batch through all steps; its invocations share the units. The gradients of R lie
// in workgroup memory, one vector of rows for each gate and unit; so do those of h and c, each used by one invocation.
//@import step
//@import arithmetic
//@import numerics
//@include vectors
//@include gates
@group(0) @binding(0) var<storage, read_write> write_0: array<f32>; //@insert bindings
@group(1) @binding(0) var<storage, read> read_0: array<f32>; //@insert nothing
@group(1) @binding(1) var<storage, read> read_1: array<f32>; //@insert nothing
const STEPS: u32 = 1u; //@param
const BATCH: u32 = 1u; //@param
const HIDDEN: u32 = 4u; //@param
const GATES: u32 = 1u; //@param
const ROWS: u32 = 1u; //@param
const LANES: u32 = 64u; //@param
// Units whose products are written out.
const BLOCK: u32 = 1u; //@param
const GROUPS_X: u32 = 65535u; //@param
const g: u32 = 0u; //@index
const u: u32 = 0u; //@index
var<workgroup> deltas: array<Floats, GATES * HIDDEN>;
var<workgroup> hiddens: array<Floats, HIDDEN>;
var<workgroup> cells: array<Floats, HIDDEN>; //@insert cells
// Element (t, first row.., column) of the operands.
fn read_seed(t: u32, first: u32, column: u32) -> Floats { return Floats(read_0[t + first + column]); } //@insert read_seed
fn read_saved(t: u32, first: u32, column: u32) -> Floats { return Floats(0.0); } //@insert read_saved
fn read_state(t: u32, first: u32, column: u32) -> Floats { return Floats(0.0); } //@insert read_state
fn read_first(t: u32, first: u32, column: u32) -> Floats { return Floats(0.0); } //@insert read_first
fn store_gates(t: u32, first: u32, column: u32, value: Floats) { write_0[t + first + column] = value; } //@insert store_gates
fn store_products(t: u32, first: u32, column: u32, value: Floats) {} //@insert store_products
fn store_hidden(t: u32, first: u32, column: u32, value: Floats) {} //@insert store_hidden
fn store_cell(t: u32, first: u32, column: u32, value: Floats) {} //@insert store_cell

// The position in time of a step.
fn time(number: u32) -> u32 {
    return number; //@insert time
}

// The state before a step.
fn before(number: u32, first: u32, j: u32) -> Floats {
    if (number == 0u) {
        return read_first(0u, first, j);
    }
    return read_state(time(number - 1u), first, j);
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let first = (group.y * GROUPS_X + group.x) * ROWS;
    for (var j = lane; j < HIDDEN; j += LANES) {
        hiddens[j] = Floats(0.0);
//@if LSTM
//|         cells[j] = Floats(0.0);
//@end
    }
    for (var left = STEPS; left > 0u; left--) {
        let number = left - 1u;
        let t = time(number);
        for (var j = lane; j < HIDDEN; j += LANES) {
            let seed = read_seed(t, first, j);
//@if SEED_CELL
//|             let dh = hiddens[j];
//@else
            let dh = add_each(hiddens[j], seed);
//@end
//@if LSTM
//@if SEED_CELL
//|             let dc = add_each(cells[j], seed);
//@else
//|             let dc = cells[j];
//@end
//|             let input = read_saved(t, first, j);
//|             let forget = read_saved(t, first, HIDDEN + j);
//|             let new_ = read_saved(t, first, 2u * HIDDEN + j);
//|             let output = read_saved(t, first, 3u * HIDDEN + j);
//|             let squashed = tanh_each(read_state(t, first, j));
//|             let d_cell = add_each(dc, through_tanh(mul_each(dh, output), squashed));
//|             let d_0 = through_sigmoid(mul_each(d_cell, new_), input);
//|             let d_1 = through_sigmoid(mul_each(d_cell, before(number, first, j)), forget);
//|             let d_2 = through_tanh(mul_each(d_cell, input), new_);
//|             let d_3 = through_sigmoid(mul_each(dh, squashed), output);
//|             cells[j] = mul_each(d_cell, forget);
//|             hiddens[j] = Floats(0.0);
//@for g in GATES
//|             store_gates(t, first, g * HIDDEN + j, d_g);
//|             deltas[g * HIDDEN + j] = d_g;
//@end
//@else
//@if GRU
//|             let reset = read_saved(t, first, j);
//|             let keep = read_saved(t, first, HIDDEN + j);
//|             let new_ = read_saved(t, first, 2u * HIDDEN + j);
//|             let product = read_saved(t, first, 3u * HIDDEN + j);
//|             let d_new = through_tanh(mul_each(dh, sub_each(Floats(1.0), keep)), new_);
//|             let d_1 = through_sigmoid(mul_each(dh, sub_each(before(number, first, j), new_)), keep);
//|             let d_0 = through_sigmoid(mul_each(d_new, product), reset);
//|             let d_2 = mul_each(d_new, reset);
//|             hiddens[j] = mul_each(dh, keep);
//|             store_gates(t, first, j, d_0);
//|             store_gates(t, first, HIDDEN + j, d_1);
//|             store_gates(t, first, 2u * HIDDEN + j, d_new);
//@for g in GATES
//|             store_products(t, first, g * HIDDEN + j, d_g);
//|             deltas[g * HIDDEN + j] = d_g;
//@end
//@else
            let state = read_state(t, first, j);
//@if RELU
//|             let delta = select(Floats(0.0), dh, state > Floats(0.0));
//@else
            let delta = through_tanh(dh, state);
//@end
            hiddens[j] = Floats(0.0);
            store_gates(t, first, j, delta);
            deltas[j] = delta;
//@end
//@end
        }
        workgroupBarrier();
        for (var j = lane; j < HIDDEN; j += LANES) {
            var sum = Floats(0.0);
            for (var k = 0u; k < HIDDEN; k += BLOCK) {
//@for u in BLOCK
//@for g in GATES
                {
                    let m = g * HIDDEN + k + u;
                    sum = multiply_add_each(deltas[m], Floats(read_1[m * HIDDEN + j]), sum);
                }
//@end
//@end
            }
            hiddens[j] = add_each(hiddens[j], sum);
        }
        workgroupBarrier();
    }
    for (var j = lane; j < HIDDEN; j += LANES) {
        store_hidden(0u, first, j, hiddens[j]);
//@if LSTM
//|         store_cell(0u, first, j, cells[j]);
//@end
    }
}
