//! Samples of pooling and resampling: every attribute, alone and together.

use super::Draw;
use super::list::Collection;
use crate::graph::GraphError;
use crate::graph::pooling::PoolSpec;
use crate::graph::upsampling::{ResampleSpec, Resampling};
use crate::scalar::UnaryFn;

/// Images `[N, H, W, C]` and attributes.
type Case = ([usize; 4], PoolSpec);

pub(super) fn pools(all: &mut Collection) -> Result<(), GraphError> {
    let of = PoolSpec::new;
    let cases: [Case; 14] = [
        ([1, 1, 1, 1], of([1, 1])),
        ([2, 4, 6, 4], of([2, 2])),
        ([1, 5, 7, 3], of([2, 2])),
        ([2, 7, 6, 4], of([3, 3]).every([2, 2]).padded([1, 1])),
        ([1, 5, 5, 2], of([3, 3]).every([1, 1]).padded([1, 1])),
        ([1, 9, 8, 5], of([2, 3]).every([3, 3])),
        ([2, 9, 9, 1], PoolSpec { dilation: [2, 2], ..of([3, 3]).every([2, 1]) }),
        ([1, 7, 5, 8], PoolSpec { ceil_mode: true, ..of([2, 2]) }),
        ([1, 6, 6, 3], PoolSpec { ceil_mode: true, ..of([3, 3]).every([2, 2]).padded([1, 1]) }),
        ([1, 2, 3, 4], of([5, 5]).every([1, 1]).padded([2, 2])),
        ([1, 1, 11, 3], PoolSpec { padding: [[0, 0], [1, 2]], ..of([1, 4]).every([1, 3]) }),
        ([1, 4, 3, 2], PoolSpec { padding: [[0, 1], [2, 0]], ..of([3, 3]).every([2, 1]) }),
        ([1, 3, 3, 4], of([3, 3])),
        ([1, 9, 9, 4], of([5, 5]).every([2, 2])),
    ];
    for (image, spec) in cases {
        all.add(format!("max_pool {image:?} {spec:?}"), |g| {
            let x = g.draw(&image, Draw::Lattice { shift: 0.0 })?;
            let y = g.graph.max_pool(x, &spec)?;
            // A function of the maxima, so that second derivatives are not all zero; none that cancels far from 0.
            g.graph.unary(UnaryFn::Square, y)
        })?;
        for (count_include_pad, divisor_override) in [(true, None), (false, None), (true, Some(3))] {
            let spec = PoolSpec { count_include_pad, divisor_override, ..spec };
            all.add(format!("avg_pool {image:?} {spec:?}"), |g| {
                let x = g.normal(&image)?;
                let y = g.graph.avg_pool(x, &spec)?;
                g.graph.unary(UnaryFn::Tanh, y)
            })?;
        }
    }
    all.add("relu between pooling, channels first".into(), |g| {
        let x = g.draw(&[2, 4, 6, 6], Draw::Lattice { shift: 0.5 })?;
        let x = g.graph.permute(x, &[0, 2, 3, 1])?;
        let y = g.graph.unary(UnaryFn::Relu, x)?;
        let y = g.graph.max_pool(y, &of([2, 2]).every([1, 1]))?;
        let y = g.graph.avg_pool(y, &of([2, 2]))?;
        g.graph.permute(y, &[0, 3, 1, 2])
    })
}

pub(super) fn resampling(all: &mut Collection) -> Result<(), GraphError> {
    let linear = |align_corners| Resampling::Linear { align_corners };
    for resampling in [Resampling::Nearest, linear(false), linear(true)] {
        for (image, size) in [
            ([1, 1, 1, 1], [1, 1]),
            ([2, 3, 2, 4], [6, 4]),
            ([1, 3, 5, 3], [5, 8]),
            ([1, 8, 7, 2], [3, 7]),
            ([1, 1, 6, 3], [1, 15]),
            ([1, 4, 4, 1], [1, 1]),
        ] {
            all.add(format!("resample {image:?} to {size:?}, {resampling:?}"), |g| {
                let x = g.normal(&image)?;
                let y = g.graph.resample(x, &ResampleSpec::new(size, resampling))?;
                g.graph.unary(UnaryFn::Tanh, y)
            })?;
        }
        all.add(format!("resample [1, 5, 4, 2] by [2.5, 1.7], {resampling:?}"), |g| {
            let x = g.normal(&[1, 5, 4, 2])?;
            let spec = ResampleSpec::scaled([5, 4], [2.5, 1.7], resampling);
            let y = g.graph.resample(x, &spec)?;
            g.graph.unary(UnaryFn::Tanh, y)
        })?;
    }
    Ok(())
}
