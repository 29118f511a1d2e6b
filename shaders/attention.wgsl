// Attention: read 0 = queries [BATCH, QUERIES, HEADS, D], read 1 and 2 = keys and values
// [BATCH, KEYS, HEADS / SHARED, D], or all of them packed in read 0; then lengths [BATCH]. It writes
// y = sum_j p_j v_j / sum_j p_j of each query [BATCH, QUERIES, HEADS, D] and its log-sum [BATCH, QUERIES, HEADS],
// with p_j = e^(s_j - max s), s_j = SCALE q k_j, less the head's slope times the distance if ALIBI. An invocation has
// ROWS queries in registers and goes through the keys, one after the other, which all invocations of a workgroup read
// together; with BROADCAST, each reads one of EACH vectors, and the others get it from there. It keeps the largest score
// so far and scales what it has summed when it meets a larger one.
//@import step, arithmetic, numerics, random
//@include one or four if FOUR
//@include attention
@group(0) @binding(0) var<storage, read_write> write_0: array<Floats>; //@insert bindings
@group(1) @binding(0) var<storage, read> read_0: array<Floats>; //@insert nothing
@group(1) @binding(1) var<storage, read> read_1: array<Floats>; //@insert nothing
@group(1) @binding(2) var<storage, read> read_2: array<Floats>; //@insert nothing
@group(1) @binding(3) var<storage, read> read_3: array<u32>; //@insert nothing
const TILES: u32 = 1u; //@param
const ROWS: u32 = 1u; //@param
const LANES: u32 = 64u; //@param
const GROUPS_X: u32 = 65535u; //@param
const r: u32 = 0u; //@index
const p: u32 = 0u; //@index
const e: u32 = 0u; //@index
const LOADS: u32 = 1u; //@param
const EACH: u32 = 1u; //@param
const BROADCAST: bool = true; //@param
const LOWEST: f32 = -3.4028234e38;

fn read_query(at: u32) -> Floats {
    return read_0[at]; //@insert read_query
}

fn read_key(at: u32) -> Floats {
    return read_1[at]; //@insert read_key
}

fn read_value(at: u32) -> Floats {
    return read_2[at]; //@insert read_value
}

fn length(b: u32) -> u32 {
    return min(KEYS, read_3[b]); //@insert length
}

fn store_result(at: u32, value: Floats) {
    write_0[at] = value; //@insert store_result
}

fn store_log_sum(row: u32, value: f32) {
    write_0[row] = Floats(value); //@insert store_log_sum
}

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
    @builtin(subgroup_invocation_id) own: u32, //@if BROADCAST
) {
    let at = group.y * GROUPS_X + group.x;
    let first = (at % TILES) * LANES * ROWS;
    let head = (at / TILES) % HEADS;
    let b = at / (TILES * HEADS);
    if (b >= BATCH) {
        return;
    }
    // Queries beyond the last repeat it; what they give is not stored.
//@for r in ROWS
    let query_r = first + r * LANES + lane;
    let row_r = (b * QUERIES + min(query_r, QUERIES - 1u)) * HEADS + head;
    let at_r = query_at(b, head, min(query_r, QUERIES - 1u));
    let q_r_p_e = read_query(at_r + p * EACH + e); //@for p in LOADS, e in EACH
    var y_r_p_e = Floats(0.0); //@for p in LOADS, e in EACH
    var largest_r = LOWEST;
    var total_r = 0.0;
//@end
    let falls = slope(head);
    var limit = length(b);
    if (CAUSAL) {
        limit = min(limit, first + LANES * ROWS);
    }
    for (var j = 0u; j < limit; j++) {
        let key = key_at(b, head, j);
        var dot_r = Floats(0.0); //@for r in ROWS
//@for p in LOADS
        let own_k_p = read_key(key + KEY_OFFSET + p * EACH + own % EACH); //@if BROADCAST
        let own_v_p = read_value(key + VALUE_OFFSET + p * EACH + own % EACH); //@if BROADCAST
//@end
//@for p in LOADS, e in EACH
        var k_p_e: Floats;
        if (BROADCAST) {
            k_p_e = subgroupBroadcast(own_k_p, e);
        } else {
            k_p_e = read_key(key + KEY_OFFSET + p * EACH + e);
        }
        dot_r = add_product(dot_r, q_r_p_e, k_p_e); //@for r in ROWS
//@end
//@for r in ROWS
        let score_r = score(total(dot_r), falls, query_r, j);
        let seen_r = !CAUSAL || j <= query_r;
        if (seen_r && score_r > largest_r) {
            let factor = exp_(sub_(largest_r, score_r));
            total_r = mul_(total_r, factor);
            y_r_p_e = scale_each(y_r_p_e, factor); //@for p in LOADS, e in EACH
            largest_r = score_r;
        }
        let power_r = select(0.0, exp_(sub_(score_r, largest_r)), seen_r);
        total_r = add_(total_r, power_r);
        let weight_r = dropped(pair_of(b, head, query_r, j), power_r);
//@end
//@for p in LOADS, e in EACH
        var v_p_e: Floats;
        if (BROADCAST) {
            v_p_e = subgroupBroadcast(own_v_p, e);
        } else {
            v_p_e = read_value(key + VALUE_OFFSET + p * EACH + e);
        }
        y_r_p_e = add_scaled(y_r_p_e, weight_r, v_p_e); //@for r in ROWS
//@end
    }
//@for r in ROWS
    if (query_r < QUERIES) {
        let none = total_r == 0.0;
        let inverse = select(div_(1.0, total_r), 0.0, none);
        store_result(row_r * VECTORS + p * EACH + e, scale_each(y_r_p_e, inverse)); //@for p in LOADS, e in EACH
        store_log_sum(row_r, select(add_(largest_r, log_(total_r)), 0.0, none));
    }
//@end
}
