//! Samples and benchmarks of parameter updates.

use super::Optimizer;
use crate::kernels::samples::{Draw, Operand, Sample};
use crate::optim;

pub(super) fn optimizer(draw: &mut Draw) -> Sample {
    let rule = draw.choice(&[0, 1, 2, 3, 4]);
    let rule: optim::Optimizer = match rule {
        0 => optim::Sgd { weight_decay: 0.01, ..optim::Sgd::default() }.into(),
        1 => optim::Sgd { momentum: 0.9, dampening: 0.1, ..optim::Sgd::default() }.into(),
        2 => optim::Adam { weight_decay: 0.01, ..optim::Adam::default() }.into(),
        3 => optim::AdamW::default().into(),
        _ => optim::RmsProp { momentum: 0.9, weight_decay: 0.01, ..optim::RmsProp::default() }.into(),
    };
    let (len, slots) = (Optimizer::BLOCK * draw.extent(), rule.slots());
    let cuts =
        if len > 2 * Optimizer::BLOCK { vec![Optimizer::BLOCK, len - Optimizer::BLOCK] } else { vec![] };
    let (clipped, grouped) = (draw.one_in(2), draw.one_in(3));
    let kernel = Optimizer { len, slots, clipped, grouped, body: rule.body(), cuts };
    let mask = Operand::Floats((0..len / Optimizer::BLOCK).map(|_| draw.below(2) as f32).collect());
    let mut reads = vec![draw.floats(len), mask];
    if kernel.clipped {
        reads.push(Operand::Floats(vec![4.0, 0.25]));
    }
    if kernel.grouped {
        reads.push(Operand::Floats((0..len / Optimizer::BLOCK).map(|at| [1.0, 0.1, 0.0][at % 3]).collect()));
    }
    let mut writes = vec![draw.floats(len)];
    // Running mean squares are not negative.
    for _ in 0..slots {
        writes.push(Operand::Floats(draw.normals(len).iter().map(|x| x * x + 0.01).collect()));
    }
    draw.sample(kernel, reads, writes)
}

pub(super) fn benchmarks() -> Vec<Optimizer> {
    let rules = ["sgd", "adam"].into_iter().filter_map(optim::Optimizer::named);
    let of_rule = |rule: optim::Optimizer| {
        [1 << 14, 1 << 20].map(|len| Optimizer {
            len,
            slots: rule.slots(),
            clipped: false,
            grouped: false,
            body: rule.body(),
            cuts: vec![],
        })
    };
    rules.flat_map(of_rule).collect()
}
