//! Samples and benchmarks of the gradient norm.

use super::GradientNorm;
use crate::kernels::samples::{Draw, Operand, Sample};

pub(super) fn gradient_norm(draw: &mut Draw) -> Sample {
    let len = 64 * draw.extent();
    let max_norm = draw.choice(&[0.5f32, 1e6]).to_bits();
    let stage = draw.below(2) as u32;
    let kernel = GradientNorm { len, stage, max_norm };
    if stage == 0 {
        let writes = vec![Operand::unwritten(kernel.partials())];
        let reads = vec![draw.floats(len)];
        return draw.sample(kernel, reads, writes);
    }
    let squares = draw.normals(kernel.partials()).iter().map(|x| x * x).collect();
    draw.sample(kernel, vec![Operand::Floats(squares)], vec![Operand::unwritten(2)])
}

pub(super) fn benchmarks() -> Vec<GradientNorm> {
    let max_norm = 1.0f32.to_bits();
    [0, 1].map(|stage| GradientNorm { len: 1 << 20, stage, max_norm }).to_vec()
}
