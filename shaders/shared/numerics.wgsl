// Scalar functions that are accurate where WGSL's own are loose: NaN is kept, and no intermediate result
// overflows. Written with the functions of arithmetic.wgsl, or of exact.wgsl, which give them the same bits
// everywhere. WGSL may assume that NaN does not occur, so NaN is recognised by its bits.
fn is_nan_(x: f32) -> bool {
    return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u;
}

// A non-finite constant: WGSL has no literal for one. The bits pass through a variable so that the compiler
// does not evaluate the conversion, which would be an error.
fn not_finite(bits: u32) -> f32 {
    var hidden = bits;
    return bitcast<f32>(hidden);
}

// max(x, 0) would turn NaN into 0 and hide a diverged run; the sign of the result for -0 is left to the
// device.
fn relu_(x: f32) -> f32 {
    return select(0.0, x, (x > 0.0) | is_nan_(x));
}

// sign(NaN) is 0 or 1 on some drivers.
fn sign_(x: f32) -> f32 {
    let size = select(select(0.0, -1.0, x < 0.0), 1.0, x > 0.0);
    return select(size, x, is_nan_(x));
}

fn min_(a: f32, b: f32) -> f32 {
    return select(b, a, ((a < b) & !is_nan_(b)) | is_nan_(a));
}

fn max_(a: f32, b: f32) -> f32 {
    return select(b, a, ((a > b) & !is_nan_(b)) | is_nan_(a));
}

// e^x by range reduction to |r| <= ln(2)/2 and a polynomial (Cephes), about 2 units in the last place;
// the built-in may be off by 3 + 2|x| units.
fn exp_(x: f32) -> f32 {
    let c = clamp(x, -104.0, 88.8);
    let n = round(mul_(c, 1.44269504));
    let r = multiply_add(n, 2.12194440e-4, sub_(c, mul_(n, 0.693359375)));
    var p = 1.9875691500e-4;
    p = multiply_add(p, r, 1.3981999507e-3);
    p = multiply_add(p, r, 8.3334519073e-3);
    p = multiply_add(p, r, 4.1665795894e-2);
    p = multiply_add(p, r, 1.6666665459e-1);
    p = multiply_add(p, r, 5.0000001201e-1);
    let y = add_(multiply_add(mul_(p, r), r, r), 1.0);
    let half = i32(n) / 2;
    let rest = i32(n) - half;
    let first = mul_(y, bitcast<f32>(u32(half + 127) << 23u));
    return select(mul_(first, bitcast<f32>(u32(rest + 127) << 23u)), x, is_nan_(x));
}

fn expm1_(x: f32) -> f32 {
    var p = 0.0001984127;
    p = multiply_add(p, x, 0.0013888889);
    p = multiply_add(p, x, 0.0083333333);
    p = multiply_add(p, x, 0.041666667);
    p = multiply_add(p, x, 0.16666667);
    p = multiply_add(p, x, 0.5);
    p = multiply_add(p, x, 1.0);
    return select(sub_(exp_(x), 1.0), mul_(p, x), abs(x) < 0.5);
}

// ln(1 + x): a series near 0, where 1 + x loses digits.
fn log1p_(x: f32) -> f32 {
    let s = div_(x, add_(2.0, x));
    let z = mul_(s, s);
    // 2 atanh(s), |s| <= 1/5 where it is used
    var p = 0.09090909;
    p = multiply_add(p, z, 0.11111111);
    p = multiply_add(p, z, 0.14285714);
    p = multiply_add(p, z, 0.2);
    p = multiply_add(p, z, 0.33333333);
    p = multiply_add(p, z, 1.0);
    let series = mul_(mul_(2.0, s), p);
    return select(log_(add_(1.0, x)), series, (x > -0.3) & (x < 0.5));
}

// The built-in overflows to NaN on some drivers for |x| > 44; in f32 tanh(15) is 1.
fn tanh_(x: f32) -> f32 {
    let z = mul_(x, x);
    var p = -5.70498872745e-3;
    p = multiply_add(p, z, 2.06390887954e-2);
    p = multiply_add(p, z, -5.37397155531e-2);
    p = multiply_add(p, z, 1.33314422036e-1);
    p = multiply_add(p, z, -3.33332819422e-1);
    let near = multiply_add(mul_(p, z), x, x);
    let a = clamp(abs(x), 0.0, 15.0);
    let far = mul_(sign_(x), sub_(1.0, div_(2.0, add_(exp_(mul_(2.0, a)), 1.0))));
    return select(select(far, near, abs(x) < 0.625), x, is_nan_(x));
}

// The upper half of a product.
fn upper_(a: u32, b: u32) -> u32 {
    let low = (a & 0xffffu) * (b & 0xffffu);
    let first = (a >> 16u) * (b & 0xffffu) + (low >> 16u);
    let second = (a & 0xffffu) * (b >> 16u) + (first & 0xffffu);
    return (a >> 16u) * (b >> 16u) + (first >> 16u) + (second >> 16u);
}

// The sine of x and of `first` quarters of a turn; the built-ins are accurate near 0 alone. Turns are taken off in integers,
// by a window of the bits of 2 / pi (Payne and Hanek 1983), for arguments of any size.
fn circular_(x: f32, first: u32) -> f32 {
    let bits = bitcast<u32>(x) & 0x7fffffffu;
    let m = (bits & 0x007fffffu) | 0x00800000u;
    var words = array<u32, 8>(0u, 0xa2f9836eu, 0x4e441529u, 0xfc2757d1u, 0xf534ddc0u, 0xdb629599u, 0x3c439041u, 0xfe5163abu);
    // Bits whose product with |x| are whole turns are left out.
    let start = clamp(bits >> 23u, 126u, 254u) - 120u;
    let word = start >> 5u;
    let left = start & 31u;
    let w0 = (words[word] << left) | ((words[word + 1u] >> 1u) >> (31u - left));
    let w1 = (words[word + 1u] << left) | ((words[word + 2u] >> 1u) >> (31u - left));
    let w2 = (words[word + 2u] << left) | ((words[word + 3u] >> 1u) >> (31u - left));
    // The product has 2 bits before the point, and 62 after it.
    var low = m * w1;
    let more = upper_(m, w2);
    low += more;
    var high = m * w0 + upper_(m, w1) + select(0u, 1u, low < more);
    var quarters = (high + 0x20000000u) >> 30u;
    high -= quarters << 30u;
    let below = (high >> 31u) == 1u;
    high = select(high, ~high + select(0u, 1u, low == 0u), below);
    low = select(low, ~low + 1u, below);
    let zeros = countLeadingZeros(high);
    let less = min(zeros, 31u);
    let lower = min(countLeadingZeros(low), 31u);
    let top = select((high << less) | ((low >> 1u) >> (31u - less)), low << lower, high == 0u) >> 8u;
    let size = bitcast<f32>((105u - select(less, 32u + lower, high == 0u)) << 23u);
    let rest = mul_(mul_(f32(top), 1.5707964), size);
    let near = bits < 0x3f490fdbu;
    let r = select(select(rest, -rest, below), bitcast<f32>(bits), near);
    quarters = select(quarters, 0u, near) + first;
    let z = mul_(r, r);
    var p = -1.9515295891e-4;
    p = multiply_add(p, z, 8.3321608736e-3);
    p = multiply_add(p, z, -1.6666654611e-1);
    let sine = multiply_add(mul_(p, z), r, r);
    var q = 2.443315711809948e-5;
    q = multiply_add(q, z, -1.388731625493765e-3);
    q = multiply_add(q, z, 4.166664568298827e-2);
    let cosine = multiply_add(mul_(q, z), z, sub_(1.0, mul_(0.5, z)));
    // The sine is odd, the cosine even, and either changes its sign with half a turn.
    let odd = (bitcast<u32>(x) >> 31u) & (1u - first);
    let sign = select(1.0, -1.0, (odd ^ ((quarters >> 1u) & 1u)) == 1u);
    let y = mul_(select(sine, cosine, (quarters & 1u) == 1u), sign);
    return select(y, not_finite(0x7fc00000u), bits >= 0x7f800000u);
}

fn sin_(x: f32) -> f32 {
    return circular_(x, 0u);
}

fn cos_(x: f32) -> f32 {
    return circular_(x, 1u);
}

fn sigmoid_(x: f32) -> f32 {
    let e = exp_(-abs(x));
    let y = div_(1.0, add_(1.0, e));
    return select(y, mul_(e, y), x < 0.0);
}

fn silu_(x: f32) -> f32 {
    return mul_(x, sigmoid_(x));
}

fn softplus_(x: f32) -> f32 {
    return add_(relu_(x), log1p_(exp_(-abs(x))));
}

// Taylor series below 1, Abramowitz and Stegun 7.1.26 above.
fn erf_(x: f32) -> f32 {
    let z = mul_(x, x);
    let a = abs(x);
    var near = 1.480719282e-08;
    near = multiply_add(near, z, -1.636584469e-07);
    near = multiply_add(near, z, 1.646211437e-06);
    near = multiply_add(near, z, -1.492565036e-05);
    near = multiply_add(near, z, 1.205533298e-04);
    near = multiply_add(near, z, -8.548327023e-04);
    near = multiply_add(near, z, 5.223977625e-03);
    near = multiply_add(near, z, -2.686617065e-02);
    near = multiply_add(near, z, 1.128379167e-01);
    near = multiply_add(near, z, -3.761263890e-01);
    near = multiply_add(near, z, 1.128379167e+00);
    let k = div_(1.0, multiply_add(0.3275911, a, 1.0));
    var p = 1.061405429;
    p = multiply_add(p, k, -1.453152027);
    p = multiply_add(p, k, 1.421413741);
    p = multiply_add(p, k, -0.284496736);
    p = multiply_add(p, k, 0.254829592);
    let far = mul_(sign_(x), sub_(1.0, mul_(mul_(p, k), exp_(-z))));
    return select(select(far, mul_(near, x), a < 1.0), x, is_nan_(x));
}

fn gelu_(x: f32) -> f32 {
    return mul_(mul_(0.5, x), add_(1.0, erf_(mul_(x, 0.70710678))));
}
