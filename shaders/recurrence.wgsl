// COUNT steps of a recurrent layer, for read 0 = G [STEPS, BATCH, GATES x HIDDEN] and read 1 = W
// [GATES x HIDDEN, HIDDEN]:
//   R = W h (a GRU: + b, read 3), then
//   LSTM: c = sigmoid(G1 + R1) c + sigmoid(G0 + R0) tanh(G2 + R2), h = sigmoid(G3 + R3) tanh(c)
//   GRU:  n = tanh(G2 + sigmoid(G0 + R0) R2), h = n + sigmoid(G1 + R1) (h - n)
//   else: h = relu(G + R) or tanh(G + R)
// A workgroup takes ROWS rows of the batch through all steps; an invocation takes UNITS neighbouring units of
// these rows: it sums their products in registers, k by 4. The states lie in workgroup memory, for each unit
// VECTORS vectors of rows. With BY_STEP it takes a block of the units through one step, and CHUNK states
// after the other come from memory. With BROADCAST the 8 invocations of a subgroup load one vector each,
// PER_LOAD of them at 4 k, and exchange them.
//@import step, arithmetic, numerics
//@include one or four if FOUR
//@include gates_one or gates_four if FOUR
//@include gates
@group(0) @binding(0) var<storage, read_write> write_0: array<f32>; //@insert bindings
@group(1) @binding(0) var<storage, read> read_0: array<f32>; //@insert nothing
@group(1) @binding(1) var<storage, read> read_1: array<f32>; //@insert nothing
@group(1) @binding(3) var<storage, read> read_3: array<f32>; //@insert nothing
const STEPS: u32 = 1u; //@param
const FIRST: u32 = 0u; //@param
const COUNT: u32 = 1u; //@param
// The position in time of the state before the first of them.
const BEGIN: u32 = 0u; //@param
const BATCH: u32 = 1u; //@param
const HIDDEN: u32 = 4u; //@param
const GATES: u32 = 4u; //@param
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
const LSTM: bool = false; //@param
const GRU: bool = false; //@param
const RELU: bool = false; //@param
const SAVED: bool = false; //@param
const TAIL: bool = false; //@param
const BROADCAST: bool = true; //@param
const BY_STEP: bool = false; //@param
const u: u32 = 0u; //@index
const g: u32 = 0u; //@index
const s: u32 = 0u; //@index
const p: u32 = 0u; //@index
const e: u32 = 0u; //@index
// A vector of rows for each unit of an invocation.
alias Tile = array<Floats, UNITS>;
var<workgroup> states: array<Floats, CHUNK * VECTORS>;
// Elements (t, row.., column + unit..) of the operands.
fn read_gates(t: u32, r: u32, c: u32, u: u32) -> Tile { return Tile(Floats(read_0[t])); } //@insert read_gates
fn read_hidden(t: u32, r: u32, c: u32, u: u32) -> Tile { return Tile(Floats(0.0)); } //@insert read_hidden
fn read_cell(t: u32, r: u32, c: u32, u: u32) -> Tile { return Tile(Floats(0.0)); } //@insert read_cell
fn store_hidden(t: u32, r: u32, c: u32, u: u32, tile: Tile) { write_0[t] = tile[0]; } //@insert store_hidden
fn store_cell(t: u32, r: u32, c: u32, u: u32, tile: Tile) {} //@insert store_cell
fn store_saved(t: u32, r: u32, c: u32, u: u32, tile: Tile) {} //@insert store_saved

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
    @builtin(subgroup_invocation_id) own: u32, //@if BROADCAST
) {
    let at = group.y * GROUPS_X + group.x;
    let first = (at / BLOCKS) * ROWS;
    let unit = ((at % BLOCKS) * LANES + lane) * UNITS;
    // Units beyond the last repeat it; what they give is not stored.
    let unit_u = min(unit + u, HIDDEN - 1u); //@for u in UNITS
    var cells: array<Floats, UNITS * VECTORS>; //@if LSTM
    var bias: array<Floats, UNITS * GATES>; //@if GRU
    bias[u * GATES + g] = Floats(read_3[g * HIDDEN + unit_u]); //@for u in UNITS, g in GATES if GRU
    for (var q = 0u; q < VECTORS; q++) {
        let cell = read_cell(BEGIN, first + q * SIZE, 0u, unit); //@if LSTM
        cells[q * UNITS + u] = cell[u]; //@for u in UNITS if LSTM
        let state = read_hidden(BEGIN, first + q * SIZE, 0u, unit); //@if not BY_STEP
        states[(unit + u) * VECTORS + q] = state[u]; //@for u in UNITS if not BY_STEP
    }
    workgroupBarrier();
    for (var number = FIRST; number < FIRST + COUNT; number++) {
        let t = time(number);
        var sum_u_g_p_e = Floats(0.0); //@for u in UNITS, g in GATES, p in LOADS, e in PER_LOAD
        const chunk = 0u; //@if not BY_STEP
        for (var chunk = 0u; chunk < HIDDEN; chunk += CHUNK) { //@if BY_STEP
        if (BY_STEP) {
            // The chunk before has been read.
            workgroupBarrier();
            for (var column = lane * UNITS; column < CHUNK; column += LANES * UNITS) {
                for (var q = 0u; q < VECTORS; q++) {
                    let state = read_hidden(BEGIN, first + q * SIZE, 0u, chunk + column);
                    states[(column + u) * VECTORS + q] = state[u]; //@for u in UNITS
                }
            }
            workgroupBarrier();
        }
        for (var k = 0u; k + 3u < min(CHUNK, HIDDEN - chunk); k += 4u) {
//@for p in LOADS
            let own_p = states[(k + (own / PER_LOAD) % 4u) * VECTORS //@if BROADCAST
                + p * PER_LOAD + own % PER_LOAD]; //@if BROADCAST
//@for s in 4, e in PER_LOAD
            var state_s_p_e: Floats;
            if (BROADCAST) {
                state_s_p_e = subgroupBroadcast(own_p, s * PER_LOAD + e);
            } else {
                state_s_p_e = states[(k + s) * VECTORS + p * PER_LOAD + e];
            }
//@end
//@end
//@for u in UNITS, g in GATES
            let weights_u_g = weights((g * HIDDEN + unit_u) * HIDDEN + chunk + k);
//@for p in LOADS, e in PER_LOAD, s in 4
            sum_u_g_p_e = accumulate(sum_u_g_p_e, state_s_p_e, weights_u_g[s]);
//@end
//@end
        }
        } //@if BY_STEP
        if (TAIL) {
            for (var k = HIDDEN & 0xfffffffcu; k < HIDDEN; k++) {
//@for u in UNITS, g in GATES
                let weight_u_g = read_1[(g * HIDDEN + unit_u) * HIDDEN + k];
//@for p in LOADS, e in PER_LOAD
                sum_u_g_p_e =
                    accumulate(sum_u_g_p_e, states[(k % CHUNK) * VECTORS + p * PER_LOAD + e], weight_u_g);
//@end
//@end
            }
        }
        var sums: array<Floats, VECTORS * UNITS * GATES>;
//@for p in LOADS, e in PER_LOAD, u in UNITS, g in GATES
        sums[((p * PER_LOAD + e) * UNITS + u) * GATES + g] = sum_u_g_p_e;
//@end
        if (!BY_STEP) {
            // The states of the step before have been read.
            workgroupBarrier();
        }
        for (var q = 0u; q < VECTORS; q++) {
            let row = first + q * SIZE;
            var state: Tile;
            var cell: Tile; //@if LSTM
            var saved: array<Tile, 4>; //@if SAVED
            var old: Tile; //@if GRU
            if (BY_STEP) {
                old = read_hidden(BEGIN, row, 0u, unit); //@if GRU
            } else {
                old[u] = states[(unit + u) * VECTORS + q]; //@for u in UNITS if GRU
            }
            var given: array<Tile, GATES>;
            given[g] = read_gates(t, row, g * HIDDEN, unit); //@for g in GATES
//@for u in UNITS
            {
                let at = q * UNITS + u;
                if (LSTM) {
                    let input = sigmoid_each(add_each(given[0][u], sums[at * GATES]));
                    let forget = sigmoid_each(add_each(given[1][u], sums[at * GATES + 1u]));
                    let new_ = tanh_each(add_each(given[2][u], sums[at * GATES + 2u]));
                    let output = sigmoid_each(add_each(given[3][u], sums[at * GATES + 3u]));
                    cell[u] = multiply_add_each(forget, cells[at], mul_each(input, new_));
                    cells[at] = cell[u];
                    state[u] = mul_each(output, tanh_each(cell[u]));
                    saved[0][u] = input;
                    saved[1][u] = forget;
                    saved[2][u] = new_;
                    saved[3][u] = output;
                } else if (GRU) {
                    let r_0 = add_each(sums[at * GATES], bias[u * GATES]);
                    let r_1 = add_each(sums[at * GATES + 1u], bias[u * GATES + 1u]);
                    let r_2 = add_each(sums[at * GATES + 2u], bias[u * GATES + 2u]);
                    let reset = sigmoid_each(add_each(given[0][u], r_0));
                    let keep = sigmoid_each(add_each(given[1][u], r_1));
                    let new_ = tanh_each(multiply_add_each(reset, r_2, given[2][u]));
                    state[u] = multiply_add_each(keep, sub_each(old[u], new_), new_);
                    saved[0][u] = reset;
                    saved[1][u] = keep;
                    saved[2][u] = new_;
                    saved[3][u] = r_2;
                } else {
                    let total = add_each(given[0][u], sums[at]);
                    if (RELU) {
                        state[u] = relu_each(total);
                    } else {
                        state[u] = tanh_each(total);
                    }
                }
                if (!BY_STEP) {
                    states[(unit + u) * VECTORS + q] = state[u];
                }
            }
//@end
            store_hidden(t, row, 0u, unit, state);
            store_cell(t, row, 0u, unit, cell); //@if LSTM
            store_saved(t, row, s * HIDDEN, unit, saved[s]); //@for s in 4 if SAVED
        }
        workgroupBarrier();
    }
}
