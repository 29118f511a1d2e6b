//! Samples of elementwise bodies.

use super::Pointwise;
use crate::base::tensor::elements;
use crate::kernels::samples::{Draw, Operand, Sample};

pub(super) fn pointwise(draw: &mut Draw) -> Sample {
    let rank = draw.below(5);
    let shape = draw.shape(rank, Draw::LIMIT);
    let mut start = vec![];
    let mut reads = vec![];
    let mut writes = vec![draw.output(elements(&shape), &mut start)];
    let (mut body, last) = draw.body(&shape, &start, &mut reads);
    body.stores.push((last, 0));
    if draw.one_in(2) {
        let other = draw.below(body.insts.len());
        body.stores.push((other as u32, 1));
        writes.push(Operand::unwritten(elements(&shape)));
    }
    draw.sample(Pointwise { shape, body }, reads, writes)
}
