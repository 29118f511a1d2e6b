//! Samples and benchmarks of half precision.

use super::{Half, Way};
use crate::kernels::samples::{Draw, Operand, Sample};

pub(super) fn store(draw: &mut Draw) -> Sample {
    let len = draw.extent() * draw.extent();
    let scale = draw.choice(&[1.0, 1e-4, 1e-7, 3e4]);
    let numbers = draw.normals(len).into_iter().map(|x| x * scale).collect();
    let kernel = Half { len, way: Way::Store };
    let writes = vec![Operand::unwritten_integers(Half::words(len))];
    draw.sample(kernel, vec![Operand::Floats(numbers)], writes)
}

pub(super) fn load(draw: &mut Draw) -> Sample {
    let len = draw.extent() * draw.extent();
    let kernel = Half { len, way: Way::Load };
    let words = Half::words(len);
    // Any number or infinity.
    let mut number = || (draw.below(0x7c01) | draw.below(2) << 15) as u32;
    let read = Operand::Integers((0..words).map(|_| number() | number() << 16).collect());
    draw.sample(kernel, vec![read], vec![Operand::unwritten(len)])
}

pub(super) fn benchmarks() -> Vec<Half> {
    [Way::Store, Way::Load].map(|way| Half { len: 1 << 20, way }).to_vec()
}
