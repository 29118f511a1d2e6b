//! Samples and benchmarks of softmax.

use super::Softmax;
use crate::kernels::samples::{Draw, Operand, Sample};

pub(super) fn softmax(draw: &mut Draw) -> Sample {
    let (rows, columns, log) = (draw.extent(), draw.extent(), draw.one_in(2));
    let scale = draw.choice(&[1.0, 30.0]);
    let logits = draw.normals(rows * columns).iter().map(|x| x * scale).collect();
    let kernel = Softmax { rows, columns, log };
    draw.sample(kernel, vec![Operand::Floats(logits)], vec![Operand::unwritten(rows * columns)])
}

pub(super) fn benchmarks() -> Vec<Softmax> {
    [(32, 10), (4096, 256), (64, 10_000)]
        .map(|(rows, columns)| Softmax { rows, columns, log: false })
        .to_vec()
}
