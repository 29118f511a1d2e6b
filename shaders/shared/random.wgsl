// Threefry2x32-20 (Salmon et al. 2011): the random word of an element from (seed, stream, step, element).
// Bit-identical to src/base/rng.rs. Needs `step`.
fn threefry_round(x: vec2<u32>, rotation: u32) -> vec2<u32> {
    let a = x.x + x.y;
    return vec2<u32>(a, ((x.y << rotation) | (x.y >> (32u - rotation))) ^ a);
}

fn threefry_group(x0: vec2<u32>, r: vec4<u32>, keys: vec2<u32>, number: u32) -> vec2<u32> {
    var x = threefry_round(x0, r.x);
    x = threefry_round(x, r.y);
    x = threefry_round(x, r.z);
    x = threefry_round(x, r.w);
    return vec2<u32>(x.x + keys.x, x.y + keys.y + number);
}

// The words of elements 2 * pair and 2 * pair + 1.
fn random_pair(stream: u32, pair: u32) -> vec2<u32> {
    let k0 = step.seed_low;
    let k1 = step.seed_high ^ (stream * 0x9E3779B1u);
    let k2 = k0 ^ k1 ^ 0x1BD11BDAu;
    let even = vec4<u32>(13u, 15u, 26u, 6u);
    let odd = vec4<u32>(17u, 29u, 16u, 24u);
    var x = vec2<u32>(step.step + k0, pair + k1);
    x = threefry_group(x, even, vec2<u32>(k1, k2), 1u);
    x = threefry_group(x, odd, vec2<u32>(k2, k0), 2u);
    x = threefry_group(x, even, vec2<u32>(k0, k1), 3u);
    x = threefry_group(x, odd, vec2<u32>(k1, k2), 4u);
    x = threefry_group(x, even, vec2<u32>(k2, k0), 5u);
    return x;
}

fn random_word(stream: u32, element: u32) -> u32 {
    let x = random_pair(stream, element >> 1u);
    return select(x.x, x.y, (element & 1u) == 1u);
}

// The words of four elements, starting at an even one.
fn random_four(stream: u32, element: u32) -> vec4<u32> {
    return vec4<u32>(random_pair(stream, element >> 1u), random_pair(stream, (element >> 1u) + 1u));
}
