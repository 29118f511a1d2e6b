// Numbers from half precision, two to a word: read 0 [ELEMENTS] words, of which word w holds numbers 2 w (in the low
// bits) and 2 w + 1; write 0 [LENGTH] f32. Exact. With integers, but for numbers below the normal ones.
//@import step
@group(0) @binding(0) var<storage, read_write> write_0: array<u32>;
@group(1) @binding(0) var<storage, read> read_0: array<u32>;
const LENGTH: u32 = 2u; //@param
const ELEMENTS: u32 = 1u; //@param
const GROUPS_X: u32 = 65535u; //@param
const LANES: u32 = 64u; //@param

// The bits in single precision of a half-precision number.
fn single_of(half: u32) -> u32 {
    let sign = (half & 0x8000u) << 16u;
    let exponent = (half >> 10u) & 31u;
    let fraction = half & 1023u;
    if (exponent == 31u) {
        return sign | 0x7f800000u | (fraction << 13u);
    }
    if (exponent == 0u) {
        // fraction / 2^24, a normal number in single precision.
        return sign | bitcast<u32>(f32(fraction) * 5.9604644775390625e-8f);
    }
    return sign | ((exponent + 112u) << 23u) | (fraction << 13u);
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (group.y * GROUPS_X + group.x) * LANES + lane;
    if (i >= ELEMENTS) {
        return;
    }
    let word = read_0[i];
    write_0[2u * i] = single_of(word & 0xffffu);
    if (2u * i + 1u < LENGTH) {
        write_0[2u * i + 1u] = single_of(word >> 16u);
    }
}
