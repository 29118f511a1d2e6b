// The gradient of recurrence.wgsl, from the last of COUNT steps back to the first, for read 0 = the gradient
// of the states [STEPS, BATCH, HIDDEN] and read 1 = W [GATES x HIDDEN, HIDDEN]. Each step adds to the
// gradient of h, of which a GRU has kept a share, what the R of the step after sends through W, and gives the
// gradients of its G and R from those of h and c. If it CLOSES, the last product gives the gradient of the
// state before. A workgroup takes ROWS rows of the batch through all steps; an invocation takes UNITS
// neighbouring units of these rows, WIDTH of them with one load of the weights: it sums their products in
// registers, k by 4. The gradients of R lie in workgroup memory, one gate at a time, for each unit VECTORS
// vectors of rows. With BY_STEP a workgroup takes a block of the units through one step, and CHUNK gradients
// of R after the other come from memory. With BROADCAST the 8 invocations of a subgroup load one vector each,
// PER_LOAD of them at 4 k, and exchange them.
//@import step, arithmetic, numerics
//@include one or four if FOUR
//@include gates_one or gates_four if FOUR
//@include gates
@group(0) @binding(0) var<storage, read_write> write_0: array<f32>; //@insert bindings
@group(1) @binding(0) var<storage, read> read_0: array<f32>; //@insert nothing
@group(1) @binding(1) var<storage, read> read_1: array<f32>; //@insert nothing
const STEPS: u32 = 1u; //@param
const FIRST: u32 = 0u; //@param
const COUNT: u32 = 1u; //@param
// Whether there is a step after the last of them, and its position in time.
const CONTINUES: u32 = 0u; //@param
const NEXT: u32 = 0u; //@param
const TURNS: u32 = 1u; //@param
const BATCH: u32 = 1u; //@param
const HIDDEN: u32 = 4u; //@param
const GATES: u32 = 4u; //@param
const SPANS: u32 = 1u; //@param
const WIDTH: u32 = 1u; //@param
const UNITS: u32 = SPANS * WIDTH;
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
const SEED_CELL: bool = false; //@param
const TAIL: bool = false; //@param
const BROADCAST: bool = true; //@param
const BY_STEP: bool = false; //@param
const u: u32 = 0u; //@index
const g: u32 = 0u; //@index
const s: u32 = 0u; //@index
const v: u32 = 0u; //@index
const c: u32 = 0u; //@index
const p: u32 = 0u; //@index
const e: u32 = 0u; //@index
// A vector of rows for each unit of an invocation.
alias Tile = array<Floats, UNITS>;
var<workgroup> deltas: array<Floats, CHUNK * VECTORS>;
// Elements (t, row.., column + unit..) of the operands.
fn read_seed(t: u32, r: u32, c: u32, u: u32) -> Tile { return Tile(Floats(read_0[t])); } //@insert read_seed
fn read_saved(t: u32, r: u32, c: u32, u: u32) -> Tile { return Tile(Floats(0.0)); } //@insert read_saved
fn read_state(t: u32, r: u32, c: u32, u: u32) -> Tile { return Tile(Floats(0.0)); } //@insert read_state
fn read_first(t: u32, r: u32, c: u32, u: u32) -> Tile { return Tile(Floats(0.0)); } //@insert read_first
fn read_delta(t: u32, r: u32, c: u32, u: u32) -> Tile { return Tile(Floats(0.0)); } //@insert read_delta
fn read_kept(t: u32, r: u32, c: u32, u: u32) -> Tile { return Tile(Floats(0.0)); } //@insert read_kept
fn read_cell(t: u32, r: u32, c: u32, u: u32) -> Tile { return Tile(Floats(0.0)); } //@insert read_cell
fn store_gates(t: u32, r: u32, c: u32, u: u32, tile: Tile) { write_0[t + u] = tile[0]; } //@insert store_gates
fn store_products(t: u32, r: u32, c: u32, u: u32, tile: Tile) {} //@insert store_products
fn store_hidden(t: u32, r: u32, c: u32, u: u32, tile: Tile) {} //@insert store_hidden
fn store_cell(t: u32, r: u32, c: u32, u: u32, tile: Tile) {} //@insert store_cell

// The position in time of a step.
fn time(number: u32) -> u32 {
    return number; //@insert time
}

// The state before a step.
fn before(number: u32, row: u32, unit: u32) -> Tile {
    if (number == 0u) {
        return read_first(0u, row, 0u, unit);
    }
    return read_state(time(number - 1u), row, 0u, unit);
}

fn accumulate(sum: Floats, a: Floats, b: f32) -> Floats {
    return sum + a * b; //@insert accumulate
}

// WIDTH neighbouring weights.
fn weights(at: u32) -> array<f32, WIDTH> {
    return array<f32, WIDTH>(read_1[at]); //@insert weights
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
    let column_v = min(unit + v * WIDTH, HIDDEN - WIDTH); //@for v in SPANS
    var hiddens: array<Floats, VECTORS * UNITS>;
    var cells: array<Floats, VECTORS * UNITS>; //@if LSTM
    var pending: array<Floats, GATES * VECTORS * UNITS>; //@if not BY_STEP
    if (CONTINUES > 0u) {
        for (var q = 0u; q < VECTORS; q++) {
            let row = first + q * SIZE;
            let cell = read_cell(0u, row, 0u, unit); //@if LSTM
            cells[q * UNITS + u] = cell[u]; //@for u in UNITS if LSTM
            let kept = read_kept(0u, row, 0u, unit); //@if GRU
            hiddens[q * UNITS + u] = kept[u]; //@for u in UNITS if GRU
            let delta_g = read_delta(NEXT, row, g * HIDDEN, unit); //@for g in GATES if not BY_STEP
            pending[(g * VECTORS + q) * UNITS + u] = delta_g[u]; //@for u in UNITS, g in GATES if not BY_STEP
        }
    }
    for (var turn = 0u; turn < TURNS; turn++) {
        if (turn + CONTINUES > 0u) {
            var sum_v_c_p_e = Floats(0.0); //@for v in SPANS, c in WIDTH, p in LOADS, e in PER_LOAD
            for (var gate = 0u; gate < GATES; gate++) {
                const chunk = 0u; //@if not BY_STEP
                for (var chunk = 0u; chunk < HIDDEN; chunk += CHUNK) { //@if BY_STEP
                // The chunk, or the gate, before has been read.
                workgroupBarrier();
                if (BY_STEP) {
                    for (var column = lane * UNITS; column < CHUNK; column += LANES * UNITS) {
                        for (var q = 0u; q < VECTORS; q++) {
                            let delta = read_delta(NEXT, first + q * SIZE, gate * HIDDEN, chunk + column);
                            deltas[(column + u) * VECTORS + q] = delta[u]; //@for u in UNITS
                        }
                    }
                } else {
                    for (var q = 0u; q < VECTORS; q++) {
//@for u in UNITS
                        deltas[(unit + u) * VECTORS + q] = pending[(gate * VECTORS + q) * UNITS + u];
//@end
                    }
                }
                workgroupBarrier();
                for (var k = 0u; k + 3u < min(CHUNK, HIDDEN - chunk); k += 4u) {
//@for p in LOADS
                    let own_p = deltas[(k + (own / PER_LOAD) % 4u) * VECTORS //@if BROADCAST
                        + p * PER_LOAD + own % PER_LOAD]; //@if BROADCAST
//@for s in 4, e in PER_LOAD
                    var delta_s_p_e: Floats;
                    if (BROADCAST) {
                        delta_s_p_e = subgroupBroadcast(own_p, s * PER_LOAD + e);
                    } else {
                        delta_s_p_e = deltas[(k + s) * VECTORS + p * PER_LOAD + e];
                    }
//@end
//@end
//@for v in SPANS, s in 4
                    let weights_v_s = weights((gate * HIDDEN + chunk + k + s) * HIDDEN + column_v);
//@for c in WIDTH, p in LOADS, e in PER_LOAD
                    sum_v_c_p_e = accumulate(sum_v_c_p_e, delta_s_p_e, weights_v_s[c]);
//@end
//@end
                }
                } //@if BY_STEP
                if (TAIL) {
                    for (var k = HIDDEN & 0xfffffffcu; k < HIDDEN; k++) {
                        let weight_v = read_1[(gate * HIDDEN + k) * HIDDEN + column_v]; //@for v in SPANS
//@for v in SPANS, c in WIDTH, p in LOADS, e in PER_LOAD
                        sum_v_c_p_e = accumulate(
                            sum_v_c_p_e,
                            deltas[(k % CHUNK) * VECTORS + p * PER_LOAD + e],
                            weight_v,
                        );
//@end
                    }
                }
            }
//@for v in SPANS, c in WIDTH, p in LOADS, e in PER_LOAD
            {
                let at = (p * PER_LOAD + e) * UNITS + v * WIDTH + c;
                hiddens[at] = add_each(hiddens[at], sum_v_c_p_e);
            }
//@end
        }
        if (turn == COUNT) {
            break;
        }
        let number = FIRST + COUNT - (turn + 1u);
        let t = time(number);
        for (var q = 0u; q < VECTORS; q++) {
            let row = first + q * SIZE;
            let seed = read_seed(t, row, 0u, unit);
            let states = read_state(t, row, 0u, unit);
            var saved: array<Tile, 4>; //@if SAVED
            saved[s] = read_saved(t, row, s * HIDDEN, unit); //@for s in 4 if SAVED
            let old = before(number, row, unit); //@if SAVED
            // The gradients of G, and of R where they differ.
            var gates: array<Tile, GATES>;
            var products: array<Tile, GATES>; //@if GRU
//@for u in UNITS
            {
                let at = q * UNITS + u;
                var dh = hiddens[at];
                if (!SEED_CELL) {
                    dh = add_each(hiddens[at], seed[u]);
                }
                if (LSTM) {
                    var dc = cells[at];
                    if (SEED_CELL) {
                        dc = add_each(cells[at], seed[u]);
                    }
                    let squashed = tanh_each(states[u]);
                    let d_cell = add_each(dc, through_tanh(mul_each(dh, saved[3][u]), squashed));
                    gates[0][u] = through_sigmoid(mul_each(d_cell, saved[2][u]), saved[0][u]);
                    gates[1][u] = through_sigmoid(mul_each(d_cell, old[u]), saved[1][u]);
                    gates[2][u] = through_tanh(mul_each(d_cell, saved[0][u]), saved[2][u]);
                    gates[3][u] = through_sigmoid(mul_each(dh, squashed), saved[3][u]);
                    cells[at] = mul_each(d_cell, saved[1][u]);
                    hiddens[at] = Floats(0.0);
                } else if (GRU) {
                    let d_new = through_tanh(mul_each(dh, sub_each(Floats(1.0), saved[1][u])), saved[2][u]);
                    gates[0][u] = through_sigmoid(mul_each(d_new, saved[3][u]), saved[0][u]);
                    gates[1][u] = through_sigmoid(mul_each(dh, sub_each(old[u], saved[2][u])), saved[1][u]);
                    gates[2][u] = d_new;
                    products[0][u] = gates[0][u];
                    products[1][u] = gates[1][u];
                    products[2][u] = mul_each(d_new, saved[0][u]);
                    hiddens[at] = mul_each(dh, saved[1][u]);
                } else {
                    if (RELU) {
                        gates[0][u] = select(Floats(0.0), dh, states[u] > Floats(0.0));
                    } else {
                        gates[0][u] = through_tanh(dh, states[u]);
                    }
                    hiddens[at] = Floats(0.0);
                }
                if (GRU) {
                    pending[g * VECTORS * UNITS + at] = products[g][u]; //@for g in GATES if not BY_STEP
                } else {
                    pending[g * VECTORS * UNITS + at] = gates[g][u]; //@for g in GATES if not BY_STEP
                }
            }
//@end
            store_gates(t, row, g * HIDDEN, unit, gates[g]); //@for g in GATES
            store_products(t, row, g * HIDDEN, unit, products[g]); //@for g in GATES if GRU
        }
    }
    for (var q = 0u; q < VECTORS; q++) {
        var hidden: Tile;
        hidden[u] = hiddens[q * UNITS + u]; //@for u in UNITS
        store_hidden(0u, first + q * SIZE, 0u, unit, hidden);
        var cell: Tile; //@if LSTM
        cell[u] = cells[q * UNITS + u]; //@for u in UNITS if LSTM
        store_cell(0u, first + q * SIZE, 0u, unit, cell); //@if LSTM
    }
}
