//! Samples of compositions of several operators by builder methods.

use super::{Collection, Draw};
use crate::graph::pooling::PoolSpec;
use crate::graph::upsampling::{ResampleSpec, Resampling};
use crate::graph::{Built, Graph, GraphError, ValueId};
use crate::scalar::UnaryFn;

/// All launches.
pub(super) fn add_all(all: &mut Collection) -> Result<(), GraphError> {
    activations(all)?;
    standardised(all)?;
    dense(all)?;
    pools(all)?;
    resampling(all)
}

fn activations(all: &mut Collection) -> Result<(), GraphError> {
    type Build = fn(&mut Graph, ValueId) -> Built;
    let functions: [(&str, Build); 4] = [
        ("leaky_relu", |g, x| g.leaky_relu(x, 0.01)),
        ("elu", |g, x| g.elu(x, 1.5)),
        ("hard_sigmoid", |g, x| g.hard_sigmoid(x)),
        ("hard_swish", |g, x| g.hard_swish(x)),
    ];
    for (name, build) in functions {
        for shape in [&[1][..], &[3, 17], &[63]] {
            all.add(format!("{name} {shape:?}"), |g| {
                let x = g.draw(shape, Draw::AwayFromZero)?;
                build(&mut g.graph, x)
            })?;
        }
    }
    Ok(())
}

fn standardised(all: &mut Collection) -> Result<(), GraphError> {
    all.add("standardised columns [17, 3]".into(), |g| {
        let x = g.normal(&[17, 3])?;
        let mean = g.graph.mean(x, &[0], true)?;
        let centred = g.graph.sub(x, mean)?;
        let square = g.graph.unary(UnaryFn::Square, centred)?;
        let variance = g.graph.mean(square, &[0], true)?;
        let spread = g.graph.add_scalar(variance, 1e-5)?;
        let deviation = g.graph.unary(UnaryFn::Sqrt, spread)?;
        g.graph.div(centred, deviation)
    })
}

fn dense(all: &mut Collection) -> Result<(), GraphError> {
    for rows in [1, 3, 32] {
        all.add(format!("dense relu dense, {rows} rows"), |g| {
            let (x, w, b) = (g.normal(&[rows, 3])?, g.normal(&[17, 3])?, g.normal(&[17])?);
            let product = g.graph.matmul_with(x, w, false, true)?;
            let sum = g.graph.add(product, b)?;
            // Smooth, because no draw keeps every pre-activation away from 0.
            let h = g.graph.unary(UnaryFn::Silu, sum)?;
            let (w, b) = (g.normal(&[1, 17])?, g.normal(&[1])?);
            let product = g.graph.matmul_with(h, w, false, true)?;
            g.graph.add(product, b)
        })?;
    }
    Ok(())
}

fn pools(all: &mut Collection) -> Result<(), GraphError> {
    for f in [UnaryFn::Relu, UnaryFn::Tanh, UnaryFn::Sigmoid] {
        for spec in [PoolSpec::new([2, 2]), PoolSpec::new([3, 3]).every([2, 2]).padded([1, 1])] {
            all.add(format!("{} before max_pool {spec:?}", f.name()), |g| {
                let x = g.draw(&[2, 6, 7, 3], Draw::Lattice { shift: 0.5 })?;
                let y = g.graph.unary(f, x)?;
                let y = g.graph.max_pool(y, &spec)?;
                g.graph.unary(UnaryFn::Square, y)
            })?;
        }
    }
    all.add("relu between pooling, channels first".into(), |g| {
        let x = g.draw(&[2, 4, 6, 6], Draw::Lattice { shift: 0.5 })?;
        let x = g.graph.permute(x, &[0, 2, 3, 1])?;
        let y = g.graph.unary(UnaryFn::Relu, x)?;
        let y = g.graph.max_pool(y, &PoolSpec::new([2, 2]).every([1, 1]))?;
        let y = g.graph.avg_pool(y, &PoolSpec::new([2, 2]))?;
        g.graph.permute(y, &[0, 3, 1, 2])
    })
}

fn resampling(all: &mut Collection) -> Result<(), GraphError> {
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
