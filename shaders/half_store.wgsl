// Numbers in half precision, two to a word: read 0 [LENGTH] f32, write 0 [ELEMENTS] words, of which word w holds
// numbers 2 w (in the low bits) and 2 w + 1. Rounded to nearest, ties to even; finite numbers beyond 65504 become
// 65504. With integers alone: devices may round, and flush small numbers, each in their own way.
//@import step
@group(0) @binding(0) var<storage, read_write> write_0: array<u32>;
@group(1) @binding(0) var<storage, read> read_0: array<u32>;
const LENGTH: u32 = 2u; //@param
const ELEMENTS: u32 = 1u; //@param
const GROUPS_X: u32 = 65535u; //@param
const LANES: u32 = 64u; //@param

// The half-precision number nearest to the one with these bits.
fn half_of(bits: u32) -> u32 {
    let sign = (bits >> 16u) & 0x8000u;
    let size = bits & 0x7fffffffu;
    if (size >= 0x7f800000u) {
        return sign | select(0x7c00u, 0x7e00u, size > 0x7f800000u);
    }
    if (size >= 0x477fe000u) {
        return sign | 0x7bffu;
    }
    if (size >= 0x38800000u) {
        return sign | (((size + 0xfffu + ((size >> 13u) & 1u)) >> 13u) - 0x1c000u);
    }
    if (size < 0x33000000u) {
        return sign;
    }
    // A multiple of 2^-24.
    let mantissa = (size & 0x7fffffu) | 0x800000u;
    let shift = 126u - (size >> 23u);
    let whole = mantissa >> shift;
    let rest = mantissa & ((1u << shift) - 1u);
    let tie = 1u << (shift - 1u);
    return sign | (whole + select(0u, 1u, (rest > tie) | ((rest == tie) & ((whole & 1u) == 1u))));
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (group.y * GROUPS_X + group.x) * LANES + lane;
    if (i >= ELEMENTS) {
        return;
    }
    var word = half_of(read_0[2u * i]);
    if (2u * i + 1u < LENGTH) {
        word = word | (half_of(read_0[2u * i + 1u]) << 16u);
    }
    write_0[i] = word;
}
