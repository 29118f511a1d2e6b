// Arithmetic with the same bits on every device and in src/scalar/exact.rs: each sum, difference and product
// is rounded separately, and everything else is built from them. Needs `step`.

// WGSL lets the device contract and reorder operations, flush subnormals, and ignore the sign of zero. A
// result whose bits pass through a word that is 0 in every step record cannot be contracted or reordered;
// subnormals and zeros become +0.
fn settled(x: f32) -> f32 {
    let bits = bitcast<u32>(x) ^ step.zero;
    return bitcast<f32>(select(bits, 0u, (bits & 0x7f800000u) == 0u));
}

fn add_(a: f32, b: f32) -> f32 {
    return settled(a + b);
}

fn sub_(a: f32, b: f32) -> f32 {
    return settled(a - b);
}

fn mul_(a: f32, b: f32) -> f32 {
    return settled(a * b);
}

fn multiply_add(a: f32, b: f32, c: f32) -> f32 {
    return add_(mul_(a, b), c);
}

// 2^n for n in -126..=127.
fn power_of_two(n: i32) -> f32 {
    return bitcast<f32>(u32(n + 127) << 23u);
}

// x * 2^n in two steps, so that neither factor leaves the range.
fn scaled(x: f32, n: i32) -> f32 {
    let half = n / 2;
    return mul_(mul_(x, power_of_two(half)), power_of_two(n - half));
}

fn exponent_of(bits: u32) -> i32 {
    return i32((bits >> 23u) & 0xffu) - 127;
}

// The significand, in [1, 2).
fn significand_of(bits: u32) -> f32 {
    return bitcast<f32>((bits & 0x007fffffu) | 0x3f800000u);
}

// Newton's iteration for the reciprocal of the divisor's significand, starting from a line with an error of
// at most 1/17.
fn div_(a: f32, b: f32) -> f32 {
    let a_bits = bitcast<u32>(a);
    let b_bits = bitcast<u32>(b);
    let d = significand_of(b_bits) * 0.5;
    var y = sub_(2.8235295, mul_(1.8823529, d));
    y = multiply_add(y, sub_(1.0, mul_(d, y)), y);
    y = multiply_add(y, sub_(1.0, mul_(d, y)), y);
    y = multiply_add(y, sub_(1.0, mul_(d, y)), y);
    let quotient = mul_(significand_of(a_bits), y * 0.5);
    let size = bitcast<u32>(scaled(quotient, exponent_of(a_bits) - exponent_of(b_bits)));
    let a_zero = (a_bits & 0x7f800000u) == 0u;
    let b_zero = (b_bits & 0x7f800000u) == 0u;
    let a_infinite = (a_bits & 0x7fffffffu) == 0x7f800000u;
    let b_infinite = (b_bits & 0x7fffffffu) == 0x7f800000u;
    let a_nan = (a_bits & 0x7fffffffu) > 0x7f800000u;
    let b_nan = (b_bits & 0x7fffffffu) > 0x7f800000u;
    var bits = select(size, 0u, a_zero | b_infinite);
    bits = select(bits, 0x7f800000u, a_infinite | b_zero);
    bits = select(bits, 0x7fc00000u, a_nan | b_nan | (a_zero & b_zero) | (a_infinite & b_infinite));
    return bitcast<f32>((bits | ((a_bits ^ b_bits) & 0x80000000u)) ^ step.zero);
}

// Newton's iteration for 1 / sqrt of x scaled to [1, 4) by an even power of two.
fn sqrt_(x: f32) -> f32 {
    let bits = bitcast<u32>(x);
    let odd = exponent_of(bits) & 1;
    let m = bitcast<f32>((bits & 0x007fffffu) | (u32(127 + odd) << 23u));
    var y = bitcast<f32>(0x5f3759dfu - (bitcast<u32>(m) >> 1u));
    y = mul_(y, sub_(1.5, mul_(m * 0.5, mul_(y, y))));
    y = mul_(y, sub_(1.5, mul_(m * 0.5, mul_(y, y))));
    y = mul_(y, sub_(1.5, mul_(m * 0.5, mul_(y, y))));
    let root = bitcast<u32>(mul_(mul_(m, y), power_of_two((exponent_of(bits) - odd) / 2)));
    let zero = (bits & 0x7f800000u) == 0u;
    let infinite = bits == 0x7f800000u;
    var result = select(root, bits & 0x80000000u, zero);
    result = select(result, bits, infinite);
    result = select(result, 0x7fc00000u, ((bits & 0x7fffffffu) > 0x7f800000u) | ((bits > 0x80000000u) & !zero));
    return bitcast<f32>(result ^ step.zero);
}

// Cephes' logf.
fn log_(x: f32) -> f32 {
    let bits = bitcast<u32>(x);
    let m = mul_(significand_of(bits), 0.5);
    let low = m < 0.70710678;
    let e = f32(exponent_of(bits) + 1 - select(0, 1, low));
    let f = sub_(settled(select(m, m + m, low)), 1.0);
    let z = mul_(f, f);
    var p = 7.0376836e-2;
    p = multiply_add(p, f, -0.1151461);
    p = multiply_add(p, f, 0.11676998);
    p = multiply_add(p, f, -0.12420141);
    p = multiply_add(p, f, 0.14249323);
    p = multiply_add(p, f, -0.16668057);
    p = multiply_add(p, f, 0.20000715);
    p = multiply_add(p, f, -0.24999994);
    p = multiply_add(p, f, 0.3333333);
    var y = mul_(mul_(f, z), p);
    y = multiply_add(-2.1219444e-4, e, y);
    y = multiply_add(-0.5, z, y);
    y = multiply_add(0.6933594, e, add_(y, f));
    let zero = (bits & 0x7f800000u) == 0u;
    var result = select(bitcast<u32>(y), bits, bits == 0x7f800000u);
    result = select(result, 0x7fc00000u, ((bits & 0x7fffffffu) > 0x7f800000u) | (bits > 0x80000000u));
    result = select(result, 0xff800000u, zero);
    return bitcast<f32>(result ^ step.zero);
}
