// COUNT steps of a recurrent layer, for read 0 = G [STEPS, BATCH, GATES x HIDDEN] and read 1 = W [GATES x HIDDEN, HIDDEN]:
//   R = W h (a GRU: + b, read 3), then
//   LSTM: c = sigmoid(G1 + R1) c + sigmoid(G0 + R0) tanh(G2 + R2), h = sigmoid(G3 + R3) tanh(c)
//   GRU:  n = tanh(G2 + sigmoid(G0 + R0) R2), h = n + sigmoid(G1 + R1) (h - n)
//   else: h = relu(G + R) or tanh(G + R)
// A workgroup takes ROWS rows of the batch through all steps; an invocation takes UNITS neighbouring units of these rows:
// it sums their products in registers, k by 4. The states lie in workgroup memory, for each unit VECTORS vectors of rows.
// With BY_STEP it takes a block of the units through one step, and CHUNK states after the other come from memory.
// With BROADCAST the 8 invocations of a subgroup load one vector each, PER_LOAD of them at 4 k, and exchange them.
//@import step
//@import arithmetic
//@import numerics
//@include vectors
//@include gates
@group(0) @binding(0) var<storage, read_write> write_0: array<f32>; //@insert bindings
@group(1) @binding(0) var<storage, read> read_0: array<f32>; //@insert nothing
@group(1) @binding(1) var<storage, read> read_1: array<f32>; //@insert nothing
const STEPS: u32 = 1u; //@param
const FIRST: u32 = 0u; //@param
const COUNT: u32 = 1u; //@param
// The position in time of the state before the first of them.
const BEGIN: u32 = 0u; //@param
const BATCH: u32 = 1u; //@param
const HIDDEN: u32 = 4u; //@param
const GATES: u32 = 1u; //@param
const UNITS: u32 = 1u; //@param
const LOADS: u32 = 1u; //@param
const PER_LOAD: u32 = 1u; //@param
const VECTORS: u32 = LOADS * PER_LOAD;
// Rows of a vector.
const SIZE: u32 = 1u; //@param
const ROWS: u32 = SIZE * VECTORS;
const LANES: u32 = 64u; //@param
// Workgroups that share the units.
const BLOCKS: u32 = 1u; //@param
const CHUNK: u32 = 64u; //@param
const GROUPS_X: u32 = 65535u; //@param
const u: u32 = 0u; //@index
const g: u32 = 0u; //@index
const s: u32 = 0u; //@index
const p: u32 = 0u; //@index
const e: u32 = 0u; //@index
// A vector of rows for each unit of an invocation.
alias Tile = array<Floats, UNITS>;
var<workgroup> states: array<Floats, CHUNK * VECTORS>;
// Elements (t, row.., column + unit..) of the operands.
fn read_gates(t: u32, row: u32, column: u32, unit: u32) -> Tile { return Tile(read_0[t + row + column + unit]); } //@insert read_gates
fn read_hidden(t: u32, row: u32, column: u32, unit: u32) -> Tile { return Tile(Floats(0.0)); } //@insert read_hidden
fn read_cell(t: u32, row: u32, column: u32, unit: u32) -> Tile { return Tile(Floats(0.0)); } //@insert read_cell
fn store_hidden(t: u32, row: u32, column: u32, unit: u32, tile: Tile) { write_0[t + row + unit] = tile[0]; } //@insert store_hidden
fn store_cell(t: u32, row: u32, column: u32, unit: u32, tile: Tile) {} //@insert store_cell
fn store_saved(t: u32, row: u32, column: u32, unit: u32, tile: Tile) {} //@insert store_saved

// The position in time of a step.
fn time(number: u32) -> u32 {
    return number; //@insert time
}

// Four weights along k.
fn weights(at: u32) -> vec4<f32> {
    return vec4<f32>(read_1[at], read_1[at + 1u], read_1[at + 2u], read_1[at + 3u]); //@insert weights
}

fn accumulate(sum: Floats, a: Floats, b: f32) -> Floats {
    return sum + a * b; //@insert accumulate
}

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
//@if BROADCAST
//|     @builtin(subgroup_invocation_id) own: u32,
//@end
) {
    let at = group.y * GROUPS_X + group.x;
    let first = (at / BLOCKS) * ROWS;
    let unit = ((at % BLOCKS) * LANES + lane) * UNITS;
    // Units beyond the last repeat it; what they give is not stored.
//@for u in UNITS
    let unit_u = min(unit + u, HIDDEN - 1u);
//@end
//@if LSTM
//|     var cells: array<Floats, UNITS * VECTORS>;
//@end
//@if GRU
//@for u in UNITS
//@for g in GATES
//|     let bias_u_g = Floats(read_3[g * HIDDEN + unit_u]);
//@end
//@end
//@end
    for (var q = 0u; q < VECTORS; q++) {
//@if LSTM
//|         let cell = read_cell(BEGIN, first + q * SIZE, 0u, unit);
//@end
//@if BY_STEP
//@else
        let state = read_hidden(BEGIN, first + q * SIZE, 0u, unit);
//@end
//@for u in UNITS
//@if LSTM
//|         cells[q * UNITS + u] = cell[u];
//@end
//@if BY_STEP
//@else
        states[(unit + u) * VECTORS + q] = state[u];
//@end
//@end
    }
    workgroupBarrier();
    for (var number = FIRST; number < FIRST + COUNT; number++) {
        let t = time(number);
//@for u in UNITS
//@for g in GATES
//@for p in LOADS
//@for e in PER_LOAD
        var sum_u_g_p_e = Floats(0.0);
//@end
//@end
//@end
//@end
//@if BY_STEP
//|         for (var chunk = 0u; chunk < HIDDEN; chunk += CHUNK) {
//|             // The chunk before has been read.
//|             workgroupBarrier();
//|             for (var column = lane * UNITS; column < CHUNK; column += LANES * UNITS) {
//|                 for (var q = 0u; q < VECTORS; q++) {
//|                     let state = read_hidden(BEGIN, first + q * SIZE, 0u, chunk + column);
//@for u in UNITS
//|                     states[(column + u) * VECTORS + q] = state[u];
//@end
//|                 }
//|             }
//|             workgroupBarrier();
//@else
        const chunk = 0u;
//@end
        for (var k = 0u; k + 3u < min(CHUNK, HIDDEN - chunk); k += 4u) {
//@for p in LOADS
//@if BROADCAST
//|             let own_p = states[(k + (own / PER_LOAD) % 4u) * VECTORS + p * PER_LOAD + own % PER_LOAD];
//@end
//@for s in 4
//@for e in PER_LOAD
//@if BROADCAST
//|             let state_s_p_e = subgroupBroadcast(own_p, s * PER_LOAD + e);
//@else
            let state_s_p_e = states[(k + s) * VECTORS + p * PER_LOAD + e];
//@end
//@end
//@end
//@end
//@for u in UNITS
//@for g in GATES
            let weights_u_g = weights((g * HIDDEN + unit_u) * HIDDEN + chunk + k);
//@for p in LOADS
//@for e in PER_LOAD
//@for s in 4
            sum_u_g_p_e = accumulate(sum_u_g_p_e, state_s_p_e, weights_u_g[s]);
//@end
//@end
//@end
//@end
//@end
        }
//@if BY_STEP
//|         }
//@end
//@if TAIL
//|         for (var k = HIDDEN & 0xfffffffcu; k < HIDDEN; k++) {
//@for u in UNITS
//@for g in GATES
//|             let weight_u_g = read_1[(g * HIDDEN + unit_u) * HIDDEN + k];
//@for p in LOADS
//@for e in PER_LOAD
//|             sum_u_g_p_e = accumulate(sum_u_g_p_e, states[(k % CHUNK) * VECTORS + p * PER_LOAD + e], weight_u_g);
//@end
//@end
//@end
//@end
//|         }
//@end
        var sums = array<Floats, VECTORS * UNITS * GATES>(
//@for p in LOADS
//@for e in PER_LOAD
//@for u in UNITS
//@for g in GATES
            sum_u_g_p_e,
//@end
//@end
//@end
//@end
        );
//@if BY_STEP
//@else
        // The states of the step before have been read.
        workgroupBarrier();
//@end
        for (var q = 0u; q < VECTORS; q++) {
            let row = first + q * SIZE;
            var state: Tile;
//@if GRU
//@if BY_STEP
//|             let old = read_hidden(BEGIN, row, 0u, unit);
//@end
//@end
//@for g in GATES
            let given_g = read_gates(t, row, g * HIDDEN, unit);
//@end
//@if LSTM
//|             var cell: Tile;
//@end
//@if SAVED
//@for s in 4
//|             var saved_s: Tile;
//@end
//@end
//@for u in UNITS
            {
                let at = q * UNITS + u;
//@if LSTM
//|                 let input = sigmoid_each(add_each(given_0[u], sums[at * GATES]));
//|                 let forget = sigmoid_each(add_each(given_1[u], sums[at * GATES + 1u]));
//|                 let new_ = tanh_each(add_each(given_2[u], sums[at * GATES + 2u]));
//|                 let output = sigmoid_each(add_each(given_3[u], sums[at * GATES + 3u]));
//|                 cell[u] = multiply_add_each(forget, cells[at], mul_each(input, new_));
//|                 cells[at] = cell[u];
//|                 state[u] = mul_each(output, tanh_each(cell[u]));
//|                 saved_0[u] = input;
//|                 saved_1[u] = forget;
//|                 saved_2[u] = new_;
//|                 saved_3[u] = output;
//@else
//@if GRU
//|                 let r_0 = add_each(sums[at * GATES], bias_u_0);
//|                 let r_1 = add_each(sums[at * GATES + 1u], bias_u_1);
//|                 let r_2 = add_each(sums[at * GATES + 2u], bias_u_2);
//|                 let reset = sigmoid_each(add_each(given_0[u], r_0));
//|                 let keep = sigmoid_each(add_each(given_1[u], r_1));
//|                 let new_ = tanh_each(multiply_add_each(reset, r_2, given_2[u]));
//@if BY_STEP
//|                 let before = old[u];
//@else
//|                 let before = states[(unit + u) * VECTORS + q];
//@end
//|                 state[u] = multiply_add_each(keep, sub_each(before, new_), new_);
//|                 saved_0[u] = reset;
//|                 saved_1[u] = keep;
//|                 saved_2[u] = new_;
//|                 saved_3[u] = r_2;
//@else
//@for g in GATES
                let total = add_each(given_g[u], sums[at * GATES + g]);
//@end
//@if RELU
//|                 state[u] = relu_each(total);
//@else
                state[u] = tanh_each(total);
//@end
//@end
//@end
//@if BY_STEP
//@else
                states[(unit + u) * VECTORS + q] = state[u];
//@end
            }
//@end
            store_hidden(t, row, 0u, unit, state);
//@if LSTM
//|             store_cell(t, row, 0u, unit, cell);
//@end
//@if SAVED
//@for s in 4
//|             store_saved(t, row, s * HIDDEN, unit, saved_s);
//@end
//@end
        }
        workgroupBarrier();
    }
}
