// What attention and its gradient have in common: sizes, products of rows, and dropout. Needs `random`, and one or
// four.
const BATCH: u32 = 1u; //@param
const HEADS: u32 = 1u; //@param
// Heads of the queries that share one of the keys.
const SHARED: u32 = 1u; //@param
const QUERIES: u32 = 1u; //@param
const KEYS: u32 = 1u; //@param
// Floats of a row.
const VECTORS: u32 = 1u; //@param
// Floats from one step to the next, and before the first key and value.
const QUERY_STEP: u32 = 1u; //@param
const KEY_STEP: u32 = 1u; //@param
const KEY_OFFSET: u32 = 0u; //@param
const VALUE_OFFSET: u32 = 0u; //@param
const SCALE: f32 = 1.0; //@param
const CAUSAL: bool = false; //@param
const ALIBI: bool = false; //@param
const DROPOUT: bool = false; //@param
const THRESHOLD: u32 = 0u; //@param
const FACTOR: f32 = 1.0; //@param
const STREAM: u32 = 0u; //@param

fn query_at(b: u32, head: u32, i: u32) -> u32 {
    return (b * QUERIES + i) * QUERY_STEP + head * VECTORS;
}

// Key j as a head of the queries sees it, without KEY_OFFSET; the value with VALUE_OFFSET.
fn key_at(b: u32, head: u32, j: u32) -> u32 {
    return (b * KEYS + j) * KEY_STEP + (head / SHARED) * VECTORS;
}

// The element of a pair in [BATCH, HEADS, QUERIES, KEYS].
fn pair_of(b: u32, head: u32, query: u32, key: u32) -> u32 {
    return ((b * HEADS + head) * QUERIES + query) * KEYS + key;
}

// What the scores of a head fall by for each step between query and key.
fn slope(head: u32) -> f32 {
    return 0.0; //@insert slope
}

// The score of a pair from its product, with the slope of the head.
fn score(product: f32, falls: f32, query: u32, key: u32) -> f32 {
    if (ALIBI) {
        let apart = f32(max(query, key) - min(query, key));
        return sub_(mul_(product, SCALE), mul_(falls, apart));
    } else {
        return mul_(product, SCALE);
    }
}

// x times what dropout gives the pair.
fn dropped(pair: u32, x: f32) -> f32 {
    if (DROPOUT) {
        let word = random_word(STREAM, step.micro_batch * (BATCH * HEADS * QUERIES * KEYS) + pair);
        return select(0.0, mul_(x, FACTOR), word < THRESHOLD);
    } else {
        return x;
    }
}

fn add_product(sum: Floats, a: Floats, b: Floats) -> Floats {
    return sum + a * b; //@insert add_product
}

fn add_scaled(sum: Floats, a: f32, b: Floats) -> Floats {
    return sum + a * b; //@insert add_scaled
}

// The sum of the elements.
fn total(x: Floats) -> f32 {
    return f32(x); //@insert total
}
