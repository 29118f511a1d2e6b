// Scalar functions that hold where WGSL's own are loose: NaN is kept, nothing overflows on the way.
// WGSL may assume that NaN does not occur, so NaN is recognised by its bits.
fn is_nan_(x: f32) -> bool {
    return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u;
}

// A non-finite constant: WGSL has no literal for one. The bits pass through a variable so that the compiler
// does not evaluate the conversion, which would be an error.
fn not_finite(bits: u32) -> f32 {
    var hidden = bits;
    return bitcast<f32>(hidden);
}

// max(x, 0) would turn NaN into 0 and hide a diverged run.
fn relu_(x: f32) -> f32 {
    return select(max(x, 0.0), x, is_nan_(x));
}

// sign(NaN) is 0 or 1 on some drivers.
fn sign_(x: f32) -> f32 {
    return select(sign(x), x, is_nan_(x));
}

fn min_(a: f32, b: f32) -> f32 {
    return select(select(min(a, b), b, is_nan_(b)), a, is_nan_(a));
}

fn max_(a: f32, b: f32) -> f32 {
    return select(select(max(a, b), b, is_nan_(b)), a, is_nan_(a));
}

// e^x by range reduction to |r| <= ln(2)/2 and a polynomial (Cephes), about 2 units in the last place;
// the built-in may be off by 3 + 2|x| units.
fn exp_(x: f32) -> f32 {
    let c = clamp(x, -104.0, 88.8);
    let n = round(c * 1.44269504);
    let r = (c - n * 0.693359375) + n * 2.12194440e-4;
    var p = 1.9875691500e-4;
    p = p * r + 1.3981999507e-3;
    p = p * r + 8.3334519073e-3;
    p = p * r + 4.1665795894e-2;
    p = p * r + 1.6666665459e-1;
    p = p * r + 5.0000001201e-1;
    let y = p * r * r + r + 1.0;
    let half = i32(n) / 2;
    let rest = i32(n) - half;
    let scaled = y * bitcast<f32>(u32(half + 127) << 23u) * bitcast<f32>(u32(rest + 127) << 23u);
    return select(scaled, x, is_nan_(x));
}

fn expm1_(x: f32) -> f32 {
    let series = x * (1.0 + x * (0.5 + x * (0.16666667 + x * (0.041666667 + x * (0.0083333333 + x * (0.0013888889 + x * 0.0001984127))))));
    return select(exp_(x) - 1.0, series, abs(x) < 0.5);
}

// ln(1 + x): a series near 0, where 1 + x loses digits.
fn log1p_(x: f32) -> f32 {
    let s = x / (2.0 + x);
    let z = s * s;
    // 2 atanh(s), |s| <= 1/5 where it is used
    let series = 2.0 * s * (1.0 + z * (0.33333333 + z * (0.2 + z * (0.14285714 + z * (0.11111111 + z * 0.09090909)))));
    return select(log(1.0 + x), series, x > -0.3 && x < 0.5);
}

// The built-in overflows to NaN on some drivers for |x| > 44; in f32 tanh(15) is 1.
fn tanh_(x: f32) -> f32 {
    let z = x * x;
    var p = -5.70498872745e-3;
    p = p * z + 2.06390887954e-2;
    p = p * z - 5.37397155531e-2;
    p = p * z + 1.33314422036e-1;
    p = p * z - 3.33332819422e-1;
    let near = p * z * x + x;
    let a = clamp(abs(x), 0.0, 15.0);
    let far = sign(x) * (1.0 - 2.0 / (exp_(2.0 * a) + 1.0));
    return select(select(far, near, abs(x) < 0.625), x, is_nan_(x));
}

fn sigmoid_(x: f32) -> f32 {
    let e = exp_(-abs(x));
    let y = 1.0 / (1.0 + e);
    return select(y, e * y, x < 0.0);
}

fn softplus_(x: f32) -> f32 {
    return relu_(x) + log1p_(exp_(-abs(x)));
}

// Taylor series below 1, Abramowitz and Stegun 7.1.26 above.
fn erf_(x: f32) -> f32 {
    let z = x * x;
    let a = abs(x);
    var near = 1.480719282e-08;
    near = near * z - 1.636584469e-07;
    near = near * z + 1.646211437e-06;
    near = near * z - 1.492565036e-05;
    near = near * z + 1.205533298e-04;
    near = near * z - 8.548327023e-04;
    near = near * z + 5.223977625e-03;
    near = near * z - 2.686617065e-02;
    near = near * z + 1.128379167e-01;
    near = near * z - 3.761263890e-01;
    near = near * z + 1.128379167e+00;
    let k = 1.0 / (1.0 + 0.3275911 * a);
    let p = k * (0.254829592 + k * (-0.284496736 + k * (1.421413741 + k * (-1.453152027 + k * 1.061405429))));
    let far = sign(x) * (1.0 - p * exp_(-z));
    return select(select(far, near * x, a < 1.0), x, is_nan_(x));
}
