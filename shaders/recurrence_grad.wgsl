// The gradient of recurrence.wgsl, from the last of COUNT steps back to the first. Read 0 is the gradient of
// the states [STEPS, BATCH, HIDDEN], read 1 is W [GATES x HIDDEN, HIDDEN]. To the gradient of h (of which a
// GRU has kept a share), each step adds what the R of the next step sends back through W; from the gradients
// of h and c, it computes those of its G and R. If it CLOSES, the last product gives the gradient of the
// preceding state. A workgroup takes ROWS rows of the batch through all steps. An invocation takes UNITS
// adjacent units of these rows, WIDTH of them per load of the weights, and sums their products in registers,
// k advancing by 4. The gradients of R are in workgroup memory, one gate at a time: for each unit, VECTORS
// vectors of rows. With BY_STEP, a workgroup takes a block of the units through one step, and reads the
// gradients of R from memory, CHUNK at a time. With BROADCAST, the 8 invocations of a subgroup load one
// vector each, PER_LOAD of them at 4 k, and exchange them.
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
// Whether there is a step after the last one, and its position in time.
const CONTINUES: u32 = 0u; //@param
const NEXT: u32 = 0u; //@param
const TURNS: u32 = 1u; //@param
const BATCH: u32 = 1u; //@param
const HIDDEN: u32 = 4u; //@param
const GATES: u32 = 1u; //@param
const SPANS: u32 = 1u; //@param
const WIDTH: u32 = 1u; //@param
const UNITS: u32 = SPANS * WIDTH;
const LOADS: u32 = 1u; //@param
const PER_LOAD: u32 = 1u; //@param
const VECTORS: u32 = LOADS * PER_LOAD;
// Rows per vector.
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
const v: u32 = 0u; //@index
const c: u32 = 0u; //@index
const p: u32 = 0u; //@index
const e: u32 = 0u; //@index
// A vector of rows for each unit of an invocation.
alias Tile = array<Floats, UNITS>;
var<workgroup> deltas: array<Floats, CHUNK * VECTORS>;
// Elements (t, row.., column + unit..) of the operands.
fn read_seed(t: u32, row: u32, column: u32, unit: u32) -> Tile { return Tile(read_0[t + row + column + unit]); } //@insert read_seed
fn read_saved(t: u32, row: u32, column: u32, unit: u32) -> Tile { return Tile(Floats(0.0)); } //@insert read_saved
fn read_state(t: u32, row: u32, column: u32, unit: u32) -> Tile { return Tile(Floats(0.0)); } //@insert read_state
fn read_first(t: u32, row: u32, column: u32, unit: u32) -> Tile { return Tile(Floats(0.0)); } //@insert read_first
fn read_delta(t: u32, row: u32, column: u32, unit: u32) -> Tile { return Tile(Floats(0.0)); } //@insert read_delta
fn read_kept(t: u32, row: u32, column: u32, unit: u32) -> Tile { return Tile(Floats(0.0)); } //@insert read_kept
fn read_cell(t: u32, row: u32, column: u32, unit: u32) -> Tile { return Tile(Floats(0.0)); } //@insert read_cell
fn store_gates(t: u32, row: u32, column: u32, unit: u32, tile: Tile) { write_0[t + row + column + unit] = tile[0]; } //@insert store_gates
fn store_products(t: u32, row: u32, column: u32, unit: u32, tile: Tile) {} //@insert store_products
fn store_hidden(t: u32, row: u32, column: u32, unit: u32, tile: Tile) {} //@insert store_hidden
fn store_cell(t: u32, row: u32, column: u32, unit: u32, tile: Tile) {} //@insert store_cell

// Position in time of a step.
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
    // Units beyond the last one repeat it; their results are not stored.
//@for v in SPANS
    let column_v = min(unit + v * WIDTH, HIDDEN - WIDTH);
//@end
    var hiddens: array<Floats, VECTORS * UNITS>;
//@if LSTM
//|     var cells: array<Floats, VECTORS * UNITS>;
//@end
//@if BY_STEP
//@else
    var pending: array<Floats, GATES * VECTORS * UNITS>;
//@end
    if (CONTINUES > 0u) {
        for (var q = 0u; q < VECTORS; q++) {
            let row = first + q * SIZE;
//@if LSTM
//|             let cell = read_cell(0u, row, 0u, unit);
//@end
//@if GRU
//|             let kept = read_kept(0u, row, 0u, unit);
//@end
//@if BY_STEP
//@else
//@for g in GATES
            let delta_g = read_delta(NEXT, row, g * HIDDEN, unit);
//@end
//@end
//@for u in UNITS
//@if LSTM
//|             cells[q * UNITS + u] = cell[u];
//@end
//@if GRU
//|             hiddens[q * UNITS + u] = kept[u];
//@end
//@if BY_STEP
//@else
//@for g in GATES
            pending[(g * VECTORS + q) * UNITS + u] = delta_g[u];
//@end
//@end
//@end
        }
    }
    for (var turn = 0u; turn < TURNS; turn++) {
        if (turn + CONTINUES > 0u) {
//@for v in SPANS
//@for c in WIDTH
//@for p in LOADS
//@for e in PER_LOAD
            var sum_v_c_p_e = Floats(0.0);
//@end
//@end
//@end
//@end
            for (var gate = 0u; gate < GATES; gate++) {
//@if BY_STEP
//|                 for (var chunk = 0u; chunk < HIDDEN; chunk += CHUNK) {
//|                 // The chunk before has been read.
//|                 workgroupBarrier();
//|                 for (var column = lane * UNITS; column < CHUNK; column += LANES * UNITS) {
//|                     for (var q = 0u; q < VECTORS; q++) {
//|                         let delta = read_delta(NEXT, first + q * SIZE, gate * HIDDEN, chunk + column);
//@for u in UNITS
//|                         deltas[(column + u) * VECTORS + q] = delta[u];
//@end
//|                     }
//|                 }
//@else
                const chunk = 0u;
                // The gradients of the previous gate have been read.
                workgroupBarrier();
                for (var q = 0u; q < VECTORS; q++) {
//@for u in UNITS
                    deltas[(unit + u) * VECTORS + q] = pending[(gate * VECTORS + q) * UNITS + u];
//@end
                }
//@end
                workgroupBarrier();
                for (var k = 0u; k + 3u < min(CHUNK, HIDDEN - chunk); k += 4u) {
//@for p in LOADS
//@if BROADCAST
//|                     let own_p = deltas[(k + (own / PER_LOAD) % 4u) * VECTORS + p * PER_LOAD + own % PER_LOAD];
//@end
//@for s in 4
//@for e in PER_LOAD
//@if BROADCAST
//|                     let delta_s_p_e = subgroupBroadcast(own_p, s * PER_LOAD + e);
//@else
                    let delta_s_p_e = deltas[(k + s) * VECTORS + p * PER_LOAD + e];
//@end
//@end
//@end
//@end
//@for v in SPANS
//@for s in 4
//@if WIDE
//|                     let weights_v_s = read_1[((gate * HIDDEN + chunk + k + s) * HIDDEN + column_v) / 4u];
//@end
//@for c in WIDTH
//@if WIDE
//|                     let weight_v_s_c = weights_v_s[c];
//@else
                    let weight_v_s_c = read_1[(gate * HIDDEN + chunk + k + s) * HIDDEN + column_v];
//@end
//@for p in LOADS
//@for e in PER_LOAD
                    sum_v_c_p_e = accumulate(sum_v_c_p_e, delta_s_p_e, weight_v_s_c);
//@end
//@end
//@end
//@end
//@end
                }
//@if BY_STEP
//|                 }
//@end
//@if TAIL
//|                 for (var k = HIDDEN & 0xfffffffcu; k < HIDDEN; k++) {
//@for v in SPANS
//|                     let weight_v = read_1[(gate * HIDDEN + k) * HIDDEN + column_v];
//@for p in LOADS
//@for e in PER_LOAD
//|                     sum_v_0_p_e = accumulate(sum_v_0_p_e, deltas[(k % CHUNK) * VECTORS + p * PER_LOAD + e], weight_v);
//@end
//@end
//@end
//|                 }
//@end
            }
//@for v in SPANS
//@for c in WIDTH
//@for p in LOADS
//@for e in PER_LOAD
            {
                let at = (p * PER_LOAD + e) * UNITS + v * WIDTH + c;
                hiddens[at] = add_each(hiddens[at], sum_v_c_p_e);
            }
//@end
//@end
//@end
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
//@if SAVED
//@for s in 4
//|             let saved_s = read_saved(t, row, s * HIDDEN, unit);
//@end
//|             let old = before(number, row, unit);
//@end
//@for g in GATES
            var gates_g: Tile;
//@end
//@if GRU
//@for g in GATES
//|             var products_g: Tile;
//@end
//@end
//@for u in UNITS
            {
                let at = q * UNITS + u;
//@if SEED_CELL
//|                 let dh = hiddens[at];
//@else
                let dh = add_each(hiddens[at], seed[u]);
//@end
//@if LSTM
//@if SEED_CELL
//|                 let dc = add_each(cells[at], seed[u]);
//@else
//|                 let dc = cells[at];
//@end
//|                 let squashed = tanh_each(states[u]);
//|                 let d_cell = add_each(dc, through_tanh(mul_each(dh, saved_3[u]), squashed));
//|                 gates_0[u] = through_sigmoid(mul_each(d_cell, saved_2[u]), saved_0[u]);
//|                 gates_1[u] = through_sigmoid(mul_each(d_cell, old[u]), saved_1[u]);
//|                 gates_2[u] = through_tanh(mul_each(d_cell, saved_0[u]), saved_2[u]);
//|                 gates_3[u] = through_sigmoid(mul_each(dh, squashed), saved_3[u]);
//|                 cells[at] = mul_each(d_cell, saved_1[u]);
//|                 hiddens[at] = Floats(0.0);
//@else
//@if GRU
//|                 let d_new = through_tanh(mul_each(dh, sub_each(Floats(1.0), saved_1[u])), saved_2[u]);
//|                 gates_0[u] = through_sigmoid(mul_each(d_new, saved_3[u]), saved_0[u]);
//|                 gates_1[u] = through_sigmoid(mul_each(dh, sub_each(old[u], saved_2[u])), saved_1[u]);
//|                 gates_2[u] = d_new;
//|                 products_0[u] = gates_0[u];
//|                 products_1[u] = gates_1[u];
//|                 products_2[u] = mul_each(d_new, saved_0[u]);
//|                 hiddens[at] = mul_each(dh, saved_1[u]);
//@else
//@for g in GATES
//@if RELU
//|                 gates_g[u] = select(Floats(0.0), dh, states[u] > Floats(0.0));
//@else
                gates_g[u] = through_tanh(dh, states[u]);
//@end
//@end
                hiddens[at] = Floats(0.0);
//@end
//@end
//@if BY_STEP
//@else
//@for g in GATES
//@if GRU
//|                 pending[g * VECTORS * UNITS + at] = products_g[u];
//@else
                pending[g * VECTORS * UNITS + at] = gates_g[u];
//@end
//@end
//@end
            }
//@end
//@for g in GATES
            store_gates(t, row, g * HIDDEN, unit, gates_g);
//@if GRU
//|             store_products(t, row, g * HIDDEN, unit, products_g);
//@end
//@end
        }
    }
    for (var q = 0u; q < VECTORS; q++) {
        var hidden: Tile;
//@for u in UNITS
        hidden[u] = hiddens[q * UNITS + u];
//@end
        store_hidden(0u, first + q * SIZE, 0u, unit, hidden);
//@if LSTM
//|         var cell: Tile;
//@for u in UNITS
//|         cell[u] = cells[q * UNITS + u];
//@end
//|         store_cell(0u, first + q * SIZE, 0u, unit, cell);
//@end
    }
}
