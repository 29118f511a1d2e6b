//! Samples and benchmarks of pooling: windows of any geometry, overlapping, separate, padded, and larger than
//! the image.
//! the image.

use super::{Collect, Divisor, Pool, PoolAxis, PoolGrad, Pooling};
use crate::kernels::samples::{Draw, Operand, Sample};

/// An axis on which every window reads a line of the image.
fn axis(draw: &mut Draw) -> PoolAxis {
    loop {
        let (taps, dilation) = (1 + draw.below(5), draw.choice(&[1, 1, 1, 2, 3]));
        let reach = (taps - 1) * dilation;
        let axis = PoolAxis {
            positions: 1 + draw.below(9),
            taps,
            extent: 1 + draw.below(13),
            stride: draw.choice(&[1, 2, 2, 3, 5]),
            dilation,
            before: draw.below(reach + 1).min(4),
            after: draw.below(3),
        };
        if (0..axis.positions).all(|p| !axis.inside(p).is_empty()) {
            return axis;
        }
    }
}

fn geometry(draw: &mut Draw) -> (usize, [PoolAxis; 2], usize) {
    let images = draw.choice(&[1, 1, 2, 3]);
    let axes = [axis(draw), axis(draw)];
    (images, axes, draw.choice(&[1, 2, 3, 4, 8, 16, 21, 36]))
}

fn divisor(draw: &mut Draw) -> Divisor {
    draw.choice(&[Divisor::Padded, Divisor::Inside, Divisor::Fixed(3)])
}

/// Taps of any window, some of them outside the image.
fn taps(draw: &mut Draw, axes: &[PoolAxis; 2], len: usize) -> Operand {
    draw.integers(len, axes[0].taps * axes[1].taps)
}

pub(super) fn pool(draw: &mut Draw) -> Sample {
    let (images, axes, channels) = geometry(draw);
    let pooling = match draw.below(5) {
        0 => Pooling::Max { values: Some(0), taps: None },
        1 => Pooling::Max { values: None, taps: Some(0) },
        2 => Pooling::Max { values: Some(0), taps: Some(1) },
        3 => Pooling::Pick,
        _ => Pooling::Average(divisor(draw)),
    };
    let kernel = Pool { images, axes, channels, pooling };
    // Few distinct numbers, so that there are ties.
    let ties = draw.one_in(2);
    let round = |x: f32| if ties { (2.0 * x).round() / 2.0 } else { x };
    let pixels = draw.normals(kernel.pixels()).into_iter().map(round).collect();
    let mut reads = vec![Operand::Floats(pixels)];
    let results = kernel.results();
    let writes = match pooling {
        Pooling::Max { values: Some(_), taps: Some(_) } => {
            vec![Operand::unwritten(results), Operand::unwritten_integers(results)]
        }
        Pooling::Max { taps: Some(_), .. } => vec![Operand::unwritten_integers(results)],
        _ => vec![Operand::unwritten(results)],
    };
    if pooling == Pooling::Pick {
        reads.push(taps(draw, &axes, results));
    }
    draw.sample(kernel, reads, writes)
}

pub(super) fn pool_grad(draw: &mut Draw) -> Sample {
    let (images, axes, channels) = geometry(draw);
    let chosen = draw.one_in(2);
    let collect = if chosen { Collect::Chosen } else { Collect::Average(divisor(draw)) };
    let kernel = PoolGrad { images, axes, channels, collect };
    let mut reads = vec![];
    if chosen {
        reads.push(taps(draw, &axes, kernel.results()));
    }
    reads.push(draw.floats(kernel.results()));
    let writes = vec![Operand::unwritten(kernel.pixels())];
    draw.sample(kernel, reads, writes)
}

/// Images `[images, extent, extent, channels]` with square windows; wide windows are padded.
fn typical() -> [(usize, [PoolAxis; 2], usize); 3] {
    [(64, 24, 64, 2, 2), (64, 28, 32, 2, 2), (64, 24, 64, 3, 2)].map(
        |(images, extent, channels, taps, stride)| {
            let before = (taps - 1) / 2;
            let positions = (extent + 2 * before - taps) / stride + 1;
            let axis = PoolAxis { positions, taps, extent, stride, dilation: 1, before, after: before };
            (images, [axis, axis], channels)
        },
    )
}

pub(super) fn benchmarks() -> Vec<Pool> {
    let kinds = [Pooling::Max { values: Some(0), taps: Some(1) }, Pooling::Average(Divisor::Padded)];
    let kernels = |(images, axes, channels)| kinds.map(|pooling| Pool { images, axes, channels, pooling });
    typical().into_iter().flat_map(kernels).collect()
}

pub(super) fn gradient_benchmarks() -> Vec<PoolGrad> {
    let kinds = [Collect::Chosen, Collect::Average(Divisor::Padded)];
    let kernels =
        |(images, axes, channels)| kinds.map(|collect| PoolGrad { images, axes, channels, collect });
    typical().into_iter().flat_map(kernels).collect()
}
