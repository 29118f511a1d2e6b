// The gradient of attention: read 0 = dy and 1 = queries [BATCH, QUERIES, HEADS, D], read 2 and 3 = keys and values
// [BATCH, KEYS, HEADS / SHARED, D], or all but dy packed in read 1; then log-sums L and sums of y dy, D, of the
// queries [BATCH, QUERIES, HEADS], and lengths [BATCH]. With p = e^(s - L), s = SCALE q k as forward, and ds = p (dy v - D) SCALE it
// writes dq = sum_j ds k_j [BATCH, QUERIES, HEADS, D], and dk = sum_i ds q_i and dv = sum_i p dy_i one after the
// other [2, BATCH, KEYS, HEADS / SHARED, D], or packed. The first KEY_GROUPS workgroups have ROWS keys an invocation
// in registers and go through the queries, the others ROWS queries and go through the keys.
//@import step, arithmetic, numerics, random
//@include one or four if FOUR
//@include attention
@group(0) @binding(0) var<storage, read_write> write_0: array<Floats>; //@insert bindings
@group(1) @binding(0) var<storage, read> read_0: array<Floats>; //@insert nothing
@group(1) @binding(1) var<storage, read> read_1: array<Floats>; //@insert nothing
@group(1) @binding(2) var<storage, read> read_2: array<Floats>; //@insert nothing
@group(1) @binding(3) var<storage, read> read_3: array<Floats>; //@insert nothing
@group(1) @binding(4) var<storage, read> read_4: array<f32>; //@insert nothing
@group(1) @binding(5) var<storage, read> read_5: array<f32>; //@insert nothing
@group(1) @binding(6) var<storage, read> read_6: array<u32>; //@insert nothing
const TILES: u32 = 1u; //@param
const KEY_TILES: u32 = 1u; //@param
const KEY_GROUPS: u32 = 1u; //@param
const ROWS: u32 = 1u; //@param
const LANES: u32 = 64u; //@param
const GROUPS_X: u32 = 65535u; //@param
const OF_QUERIES: bool = true; //@param
const OF_KEYS: bool = true; //@param
const r: u32 = 0u; //@index
const p: u32 = 0u; //@index
const e: u32 = 0u; //@index
const LOADS: u32 = 1u; //@param
const EACH: u32 = 1u; //@param
const BROADCAST: bool = true; //@param

fn read_query(at: u32) -> Floats {
    return read_1[at]; //@insert read_query
}

fn read_key(at: u32) -> Floats {
    return read_2[at]; //@insert read_key
}

fn read_value(at: u32) -> Floats {
    return read_3[at]; //@insert read_value
}

fn read_log_sum(row: u32) -> f32 {
    return read_4[row]; //@insert read_log_sum
}

fn read_product(row: u32) -> f32 {
    return read_5[row]; //@insert read_product
}

fn length(b: u32) -> u32 {
    return min(KEYS, read_6[b]); //@insert length
}

fn store_query(at: u32, value: Floats) {
    write_0[at] = value; //@insert store_query
}

fn store_key(at: u32, value: Floats) {
    write_0[at] = value; //@insert store_key
}

fn store_value(at: u32, value: Floats) {
    write_0[at] = value; //@insert store_value
}

// p and ds of a pair, from its score and its product dy v.
fn change(pair: u32, s: f32, dv: f32, log_sum: f32, product: f32, seen: bool) -> vec2<f32> {
    let p = select(0.0, exp_(sub_(s, log_sum)), seen);
    let ds = mul_(mul_(p, sub_(dropped(pair, dv), product)), SCALE);
    return vec2<f32>(dropped(pair, p), select(0.0, ds, seen));
}

fn queries(at: u32, lane: u32, own: u32) {
    let first = (at % TILES) * LANES * ROWS;
    let head = (at / TILES) % HEADS;
    let b = at / (TILES * HEADS);
    if (b >= BATCH) {
        return;
    }
    // Rows beyond the last repeat it; what they give is not stored.
//@for r in ROWS
    let query_r = first + r * LANES + lane;
    let row_r = (b * QUERIES + min(query_r, QUERIES - 1u)) * HEADS + head;
    let log_sum_r = read_log_sum(row_r);
    let product_r = read_product(row_r);
    let at_r = query_at(b, head, min(query_r, QUERIES - 1u));
//@for p in LOADS, e in EACH
    let dy_r_p_e = read_0[row_r * VECTORS + p * EACH + e];
    let q_r_p_e = read_query(at_r + p * EACH + e);
    var dq_r_p_e = Floats(0.0);
//@end
//@end
    let falls = slope(head);
    var limit = length(b);
    if (CAUSAL) {
        limit = min(limit, first + LANES * ROWS);
    }
    for (var j = 0u; j < limit; j++) {
        let key = key_at(b, head, j);
        var qk_r = Floats(0.0); //@for r in ROWS
        var dv_r = Floats(0.0); //@for r in ROWS
//@for p in LOADS
        let own_k_p = read_key(key + KEY_OFFSET + p * EACH + own % EACH); //@if BROADCAST
        let own_v_p = read_value(key + VALUE_OFFSET + p * EACH + own % EACH); //@if BROADCAST
//@end
//@for p in LOADS, e in EACH
        var k_p_e: Floats;
        var v_p_e: Floats;
        if (BROADCAST) {
            k_p_e = subgroupBroadcast(own_k_p, e);
            v_p_e = subgroupBroadcast(own_v_p, e);
        } else {
            k_p_e = read_key(key + KEY_OFFSET + p * EACH + e);
            v_p_e = read_value(key + VALUE_OFFSET + p * EACH + e);
        }
        qk_r = add_product(qk_r, q_r_p_e, k_p_e); //@for r in ROWS
        dv_r = add_product(dv_r, dy_r_p_e, v_p_e); //@for r in ROWS
//@end
//@for r in ROWS
        let pair_r = pair_of(b, head, query_r, j);
        let s_r = score(total(qk_r), falls, query_r, j);
        let ds_r = change(pair_r, s_r, total(dv_r), log_sum_r, product_r, !CAUSAL || j <= query_r).y;
        dq_r_p_e = add_scaled(dq_r_p_e, ds_r, k_p_e); //@for p in LOADS, e in EACH
//@end
    }
//@for r in ROWS
    if (query_r < QUERIES) {
        store_query(at_r + p * EACH + e, dq_r_p_e); //@for p in LOADS, e in EACH
    }
//@end
}

fn keys(at: u32, lane: u32, own: u32) {
    let first = (at % KEY_TILES) * LANES * ROWS;
    let key_head = (at / KEY_TILES) % (HEADS / SHARED);
    let b = at / (KEY_TILES * (HEADS / SHARED));
//@for r in ROWS
    let key_r = first + r * LANES + lane;
    let at_r = key_at(b, key_head * SHARED, min(key_r, KEYS - 1u));
//@for p in LOADS, e in EACH
    let k_r_p_e = read_key(at_r + KEY_OFFSET + p * EACH + e);
    let v_r_p_e = read_value(at_r + VALUE_OFFSET + p * EACH + e);
    var dk_r_p_e = Floats(0.0);
    var dv_r_p_e = Floats(0.0);
//@end
//@end
    let end = length(b);
    for (var head = key_head * SHARED; head < (key_head + 1u) * SHARED; head++) {
        let falls = slope(head);
        // Earlier queries see none of the keys.
        var begin = 0u;
        if (CAUSAL) {
            begin = first;
        }
        for (var i = begin; i < QUERIES; i++) {
            let row = (b * QUERIES + i) * HEADS + head;
            let query = query_at(b, head, i);
            let log_sum = read_log_sum(row);
            let product = read_product(row);
            var qk_r = Floats(0.0); //@for r in ROWS
            var yv_r = Floats(0.0); //@for r in ROWS
//@for p in LOADS
            let own_dy_p = read_0[row * VECTORS + p * EACH + own % EACH]; //@if BROADCAST
            let own_q_p = read_query(query + p * EACH + own % EACH); //@if BROADCAST
//@end
//@for p in LOADS, e in EACH
            var dy_p_e: Floats;
            var q_p_e: Floats;
            if (BROADCAST) {
                dy_p_e = subgroupBroadcast(own_dy_p, e);
                q_p_e = subgroupBroadcast(own_q_p, e);
            } else {
                dy_p_e = read_0[row * VECTORS + p * EACH + e];
                q_p_e = read_query(query + p * EACH + e);
            }
            qk_r = add_product(qk_r, q_p_e, k_r_p_e); //@for r in ROWS
            yv_r = add_product(yv_r, dy_p_e, v_r_p_e); //@for r in ROWS
//@end
//@for r in ROWS
            let pair_r = pair_of(b, head, i, key_r);
            let seen_r = key_r < end && (!CAUSAL || key_r <= i);
            let s_r = score(total(qk_r), falls, i, key_r);
            let both_r = change(pair_r, s_r, total(yv_r), log_sum, product, seen_r);
            dk_r_p_e = add_scaled(dk_r_p_e, both_r.y, q_p_e); //@for p in LOADS, e in EACH
            dv_r_p_e = add_scaled(dv_r_p_e, both_r.x, dy_p_e); //@for p in LOADS, e in EACH
//@end
        }
    }
//@for r in ROWS
    if (key_r < KEYS) {
//@for p in LOADS, e in EACH
        store_key(at_r + KEY_OFFSET + p * EACH + e, dk_r_p_e);
        store_value(at_r + VALUE_OFFSET + p * EACH + e, dv_r_p_e);
//@end
    }
//@end
}

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
    @builtin(subgroup_invocation_id) number: u32, //@if BROADCAST
) {
    var own = 0u;
    own = number; //@if BROADCAST
    let at = group.y * GROUPS_X + group.x;
    if (at < KEY_GROUPS) {
        if (OF_KEYS) {
            keys(at, lane, own);
        }
    } else if (OF_QUERIES) {
        queries(at - KEY_GROUPS, lane, own);
    }
}
