//! Samples of convolutions: every attribute, alone and together.

use super::list::Collection;
use crate::graph::GraphError;
use crate::graph::convolution::ConvSpec;
use crate::scalar::UnaryFn;

/// Image `[N, H, W, C]`, kernel extents, output channels, attributes.
type Case = ([usize; 4], [usize; 2], usize, ConvSpec);

pub(super) fn convolutions(all: &mut Collection) -> Result<(), GraphError> {
    let plain = ConvSpec::default();
    let cases: [Case; 14] = [
        ([1, 1, 1, 1], [1, 1], 1, plain),
        ([2, 5, 6, 3], [3, 3], 4, plain),
        ([2, 5, 6, 4], [3, 3], 8, plain.padded([1, 1])),
        ([1, 7, 7, 4], [3, 3], 16, ConvSpec { stride: [2, 2], ..plain.padded([1, 1]) }),
        ([1, 8, 10, 2], [3, 2], 3, ConvSpec { stride: [3, 3], ..plain }),
        ([2, 9, 8, 1], [3, 3], 5, ConvSpec { dilation: [2, 2], ..plain }),
        ([1, 9, 9, 2], [3, 3], 2, ConvSpec { dilation: [2, 1], stride: [1, 2], ..plain.padded([2, 1]) }),
        ([2, 4, 5, 6], [3, 3], 4, ConvSpec { groups: 2, ..plain.padded([1, 1]) }),
        ([2, 5, 5, 3], [3, 3], 3, ConvSpec { groups: 3, ..plain.padded([1, 1]) }),
        ([1, 5, 4, 3], [3, 3], 6, ConvSpec { groups: 3, stride: [2, 1], ..plain }),
        ([3, 4, 4, 5], [1, 1], 17, plain),
        ([2, 2, 2, 3], [5, 5], 4, plain.padded([2, 2])),
        ([2, 1, 9, 3], [1, 4], 5, ConvSpec { padding: [[0, 0], [1, 2]], ..plain }),
        ([1, 3, 4, 2], [2, 2], 3, ConvSpec { padding: [[0, 1], [2, 0]], ..plain }),
    ];
    for (image, kernel, outputs, spec) in cases {
        all.add(format!("conv2d {image:?} by {kernel:?} to {outputs}, {spec:?}"), |g| {
            let x = g.normal(&image)?;
            let w = g.normal(&[kernel[0], kernel[1], image[3] / spec.groups, outputs])?;
            g.graph.conv2d(x, w, &spec)
        })?;
    }
    let transposed: [(Case, [usize; 2]); 5] = [
        (([1, 3, 4, 2], [3, 3], 3, plain), [0, 0]),
        (([2, 3, 3, 4], [2, 2], 8, ConvSpec { stride: [2, 2], ..plain }), [0, 0]),
        (([1, 4, 3, 3], [3, 3], 2, ConvSpec { stride: [2, 3], ..plain.padded([1, 1]) }), [1, 2]),
        (([1, 3, 3, 2], [3, 2], 2, ConvSpec { dilation: [2, 1], ..plain.padded([1, 0]) }), [0, 0]),
        (([1, 3, 3, 4], [3, 3], 6, ConvSpec { stride: [2, 1], groups: 2, ..plain }), [0, 0]),
    ];
    for ((image, kernel, outputs, spec), extra) in transposed {
        all.add(
            format!("conv_transpose2d {image:?} by {kernel:?} to {outputs}, {spec:?} + {extra:?}"),
            |g| {
                let x = g.normal(&image)?;
                let w = g.normal(&[kernel[0], kernel[1], image[3] / spec.groups, outputs])?;
                g.graph.conv_transpose2d(x, w, &spec, extra)
            },
        )?;
    }
    for channels in [3, 4] {
        all.add(format!("conv2d + bias, tanh, of {channels} channels first"), |g| {
            let (x, w, b) =
                (g.normal(&[2, channels, 5, 6])?, g.normal(&[5, channels, 3, 3])?, g.normal(&[5])?);
            let x = g.graph.permute(x, &[0, 2, 3, 1])?;
            let w = g.graph.permute(w, &[2, 3, 1, 0])?;
            let y = g.graph.conv2d(x, w, &plain.padded([1, 1]))?;
            let sum = g.graph.add(y, b)?;
            let y = g.graph.unary(UnaryFn::Tanh, sum)?;
            g.graph.permute(y, &[0, 3, 1, 2])
        })?;
    }
    Ok(())
}

/// Batch, layer and group normalisation.
pub(super) fn normalisations(all: &mut Collection) -> Result<(), GraphError> {
    let cases: [(&[usize], &[usize], &[usize]); 5] = [
        (&[17, 5], &[0], &[1, 5]),
        (&[3, 33], &[1], &[1, 33]),
        (&[3, 4, 5, 6], &[0, 1, 2], &[1, 1, 1, 6]),
        (&[2, 9, 2, 3], &[1, 3], &[1, 1, 2, 3]),
        (&[4, 1, 3, 8], &[0, 1, 2], &[1, 1, 1, 8]),
    ];
    for (shape, axes, weight) in cases {
        all.add(format!("normalise {shape:?} over {axes:?}"), |g| {
            let (x, w, b) = (g.normal(shape)?, g.normal(weight)?, g.normal(weight)?);
            Ok(g.graph.normalise(x, axes, 1e-5, w, b)?.y)
        })?;
    }
    Ok(())
}
