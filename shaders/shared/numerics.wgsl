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
