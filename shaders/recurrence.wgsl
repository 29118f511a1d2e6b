// A recurrent layer over all steps, for read 0 = G [STEPS, BATCH, GATES x HIDDEN] and read 1 = W [GATES x HIDDEN, HIDDEN]:
//   R = W h (a GRU: + b, read 3), then
//   LSTM: c = sigmoid(G1 + R1) c + sigmoid(G0 + R0) tanh(G2 + R2), h = sigmoid(G3 + R3) tanh(c)
//   GRU:  n = tanh(G2 + sigmoid(G0 + R0) R2), h = n + sigmoid(G1 + R1) (h - n)
//   else: h = relu(G + R) or tanh(G + R)
// A workgroup takes ROWS rows of the batch through all steps; its invocations share the units. The states of the
// rows lie in workgroup memory, one vector of rows for each unit: those of the step before, and those of this one.
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
// Products that are written out.
const BLOCK: u32 = 1u; //@param
const GROUPS_X: u32 = 65535u; //@param
const g: u32 = 0u; //@index
const u: u32 = 0u; //@index
var<workgroup> states: array<Floats, 2u * HIDDEN>;
var<workgroup> cells: array<Floats, HIDDEN>; //@insert cells
// Element (t, first row.., column) of the operands.
fn read_gates(t: u32, first: u32, column: u32) -> Floats { return Floats(read_0[t + first + column]); } //@insert read_gates
fn read_hidden(t: u32, first: u32, column: u32) -> Floats { return Floats(0.0); } //@insert read_hidden
fn read_cell(t: u32, first: u32, column: u32) -> Floats { return Floats(0.0); } //@insert read_cell
fn store_hidden(t: u32, first: u32, column: u32, value: Floats) { write_0[t + first + column] = value; } //@insert store_hidden
fn store_cell(t: u32, first: u32, column: u32, value: Floats) {} //@insert store_cell
fn store_saved(t: u32, first: u32, column: u32, value: Floats) {} //@insert store_saved

// The position in time of a step.
fn time(number: u32) -> u32 {
    return number; //@insert time
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let first = (group.y * GROUPS_X + group.x) * ROWS;
    for (var j = lane; j < HIDDEN; j += LANES) {
        states[j] = read_hidden(0u, first, j);
//@if LSTM
//|         cells[j] = read_cell(0u, first, j);
//@end
    }
    workgroupBarrier();
    for (var number = 0u; number < STEPS; number++) {
        let t = time(number);
        let old = (number & 1u) * HIDDEN;
        for (var j = lane; j < HIDDEN; j += LANES) {
//@for g in GATES
            var sum_g = Floats(0.0);
//@end
            for (var k = 0u; k < HIDDEN; k += BLOCK) {
//@for u in BLOCK
                let h_u = states[old + k + u];
//@for g in GATES
                sum_g = multiply_add_each(h_u, Floats(read_1[(g * HIDDEN + j) * HIDDEN + k + u]), sum_g);
//@end
//@end
            }
//@if LSTM
//|             let input = sigmoid_each(add_each(read_gates(t, first, j), sum_0));
//|             let forget = sigmoid_each(add_each(read_gates(t, first, HIDDEN + j), sum_1));
//|             let new_ = tanh_each(add_each(read_gates(t, first, 2u * HIDDEN + j), sum_2));
//|             let output = sigmoid_each(add_each(read_gates(t, first, 3u * HIDDEN + j), sum_3));
//|             let cell = multiply_add_each(forget, cells[j], mul_each(input, new_));
//|             let state = mul_each(output, tanh_each(cell));
//|             cells[j] = cell;
//|             store_cell(t, first, j, cell);
//|             store_saved(t, first, j, input);
//|             store_saved(t, first, HIDDEN + j, forget);
//|             store_saved(t, first, 2u * HIDDEN + j, new_);
//|             store_saved(t, first, 3u * HIDDEN + j, output);
//@else
//@if GRU
//|             let r_0 = add_each(sum_0, Floats(read_3[j]));
//|             let r_1 = add_each(sum_1, Floats(read_3[HIDDEN + j]));
//|             let r_2 = add_each(sum_2, Floats(read_3[2u * HIDDEN + j]));
//|             let reset = sigmoid_each(add_each(read_gates(t, first, j), r_0));
//|             let keep = sigmoid_each(add_each(read_gates(t, first, HIDDEN + j), r_1));
//|             let new_ = tanh_each(multiply_add_each(reset, r_2, read_gates(t, first, 2u * HIDDEN + j)));
//|             let state = multiply_add_each(keep, sub_each(states[old + j], new_), new_);
//|             store_saved(t, first, j, reset);
//|             store_saved(t, first, HIDDEN + j, keep);
//|             store_saved(t, first, 2u * HIDDEN + j, new_);
//|             store_saved(t, first, 3u * HIDDEN + j, r_2);
//@else
//@for g in GATES
            let total = add_each(read_gates(t, first, j), sum_g);
//@end
//@if RELU
//|             let state = relu_each(total);
//@else
            let state = tanh_each(total);
//@end
//@end
//@end
            states[HIDDEN - old + j] = state;
            store_hidden(t, first, j, state);
        }
        workgroupBarrier();
    }
}
