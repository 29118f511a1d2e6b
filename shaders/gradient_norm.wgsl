// Global gradient norm. Partial stage: write 0 [PARTIALS] sums of squares of 1024 words each, one invocation
// a sum. Final stage: write 0 is the norm and the factor min(1, max_norm / (norm + 1e-6)), as PyTorch's
// clip_grad_norm_.
//@import step, arithmetic, numerics
@group(0) @binding(0) var<storage, read_write> write_0: array<f32>;
@group(1) @binding(0) var<storage, read> read_0: array<f32>;
const LEN: u32 = 1u; //@param
const PARTIALS: u32 = 1u; //@param
const MAX_NORM: f32 = 1.0; //@param
const FINAL: bool = false; //@param
const GROUPS_X: u32 = 65535u; //@param

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (group.y * GROUPS_X + group.x) * 64u + lane;
    var total = 0.0;
    if (FINAL) {
        if (i != 0u) {
            return;
        }
        for (var p = 0u; p < PARTIALS; p++) {
            total = add_(total, read_0[p]);
        }
        let norm = sqrt_(total);
        let factor = div_(MAX_NORM, add_(norm, 1e-6));
        write_0[0] = norm;
        write_0[1] = select(min_(factor, 1.0), norm, is_nan_(norm));
    } else {
        if (i >= PARTIALS) {
            return;
        }
        for (var p = i * 1024u; p < min(i * 1024u + 1024u, LEN); p++) {
            total = multiply_add(read_0[p], read_0[p], total);
        }
        write_0[i] = total;
    }
}
