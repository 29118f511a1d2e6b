// A dispatch whose result is checked before a device is trusted: output = input xor step number. Shapes:
// input, output u32[64]. One workgroup of 64 invocations.

@group(0) @binding(0) var<storage, read_write> output: array<u32>;
@group(1) @binding(0) var<storage, read> input: array<u32>;
@group(2) @binding(0) var<uniform> step: array<vec4<u32>, 4>;

@compute @workgroup_size(64)
fn main(@builtin(local_invocation_index) i: u32) {
    output[i] = input[i] ^ step[0].x;
}
