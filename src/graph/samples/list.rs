//! The samples, by kind of operator.

use super::{Draw, Sample};
use crate::base::rng::RandomKind;
use crate::base::step::StepScalar;
use crate::base::tensor::DType;
use crate::graph::build::Built;
use crate::graph::{Graph, GraphError, Op, Source, ValueId, ops};
use crate::scalar::{BinaryFn, UnaryFn};

/// A graph under construction and its inputs so far.
pub(super) struct Inputs {
    pub graph: Graph,
    inputs: Vec<(ValueId, Draw)>,
}

impl Inputs {
    pub fn draw(&mut self, shape: &[usize], draw: Draw) -> Built {
        let dtype = if matches!(draw, Draw::Index(_)) { DType::U32 } else { DType::F32 };
        let name = format!("input {}", self.inputs.len());
        let value = self.graph.source(Source::Parameter(name), shape, dtype)?;
        self.inputs.push((value, draw));
        Ok(value)
    }

    pub fn normal(&mut self, shape: &[usize]) -> Built {
        self.draw(shape, Draw::Normal)
    }
}

pub(super) struct Collection(Vec<Sample>);

impl Collection {
    pub fn add(
        &mut self,
        name: String,
        build: impl FnOnce(&mut Inputs) -> Result<ValueId, GraphError>,
    ) -> Result<(), GraphError> {
        let mut inputs = Inputs { graph: Graph::new(), inputs: vec![] };
        let output = build(&mut inputs)?;
        self.0.push(Sample { name, graph: inputs.graph, inputs: inputs.inputs, output });
        Ok(())
    }
}

/// Samples of every operator, over shapes with extents such as 1, 3, 17, 63, 65 and 257.
///
/// # Errors
/// If a sample is ill-shaped, which is a bug in this file.
pub fn samples() -> Result<Vec<Sample>, GraphError> {
    let mut all = Collection(vec![]);
    unary(&mut all)?;
    activations(&mut all)?;
    binary(&mut all)?;
    views(&mut all)?;
    reductions(&mut all)?;
    products(&mut all)?;
    super::convolutions::convolutions(&mut all)?;
    super::convolutions::normalisations(&mut all)?;
    super::pools::pools(&mut all)?;
    super::pools::resampling(&mut all)?;
    super::recurrences::recurrences(&mut all)?;
    rows(&mut all)?;
    lookups(&mut all)?;
    draws(&mut all)?;
    Ok(all.0)
}

fn unary(all: &mut Collection) -> Result<(), GraphError> {
    for f in UnaryFn::ALL {
        let draw = match f {
            UnaryFn::Log | UnaryFn::Sqrt | UnaryFn::Reciprocal => Draw::Between(0.5, 3.0),
            UnaryFn::Log1p => Draw::Between(-0.5, 3.0),
            UnaryFn::Abs | UnaryFn::Sign | UnaryFn::Relu => Draw::AwayFromZero,
            _ => Draw::Normal,
        };
        for shape in [&[1][..], &[3, 17], &[257]] {
            all.add(format!("{} {shape:?}", ops::Unary(f).label()), |g| {
                let x = g.draw(shape, draw)?;
                g.graph.unary(f, x)
            })?;
        }
    }
    Ok(())
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

fn binary(all: &mut Collection) -> Result<(), GraphError> {
    let shapes: [(&[usize], &[usize]); 6] = [
        (&[1], &[1]),
        (&[3, 17], &[17]),
        (&[5, 1], &[1, 7]),
        (&[], &[2, 3]),
        (&[63], &[63]),
        (&[65, 3], &[1]),
    ];
    for f in BinaryFn::ALL {
        let (left, right) = match f {
            BinaryFn::Add | BinaryFn::Sub | BinaryFn::Mul => (Draw::Normal, Draw::Normal),
            BinaryFn::Div => (Draw::Normal, Draw::AwayFromZero),
            _ => (Draw::Lattice { shift: 0.0 }, Draw::Lattice { shift: 0.5 }),
        };
        for (a, b) in shapes {
            all.add(format!("{} {a:?} {b:?}", ops::Binary(f).label()), |g| {
                let (a, b) = (g.draw(a, left)?, g.draw(b, right)?);
                g.graph.binary(f, a, b)
            })?;
        }
    }
    for shape in [&[1][..], &[3, 17], &[257]] {
        all.add(format!("select {shape:?}"), |g| {
            let sign = g.draw(shape, Draw::AwayFromZero)?;
            let zero = g.graph.scalar(0.0)?;
            let condition = g.graph.less(zero, sign)?;
            let (a, b) = (g.normal(shape)?, g.normal(&[1])?);
            g.graph.select(condition, a, b)
        })?;
    }
    Ok(())
}

fn views(all: &mut Collection) -> Result<(), GraphError> {
    type Build = fn(&mut Graph, ValueId) -> Built;
    let functions: [(&str, &[usize], Build); 12] = [
        ("reshape", &[4, 6], |g, x| g.reshape(x, &[2, 1, 12])),
        ("permute", &[2, 3, 5], |g, x| g.permute(x, &[2, 0, 1])),
        ("transpose", &[17, 63], |g, x| g.permute(x, &[1, 0])),
        ("broadcast", &[3, 1], |g, x| g.broadcast(x, &[2, 3, 4])),
        ("broadcast scalar", &[], |g, x| g.broadcast(x, &[3, 1])),
        ("slice", &[5, 7], |g, x| g.slice(x, &[1, 3], &[3, 2])),
        ("pad", &[3, 2], |g, x| g.pad(x, &[1, 0], &[2, 3])),
        ("permute reshape", &[2, 3, 4], |g, x| {
            let transposed = g.permute(x, &[0, 2, 1])?;
            g.reshape(transposed, &[8, 3])
        }),
        ("pad reshape", &[3, 5], |g, x| {
            let padded = g.pad(x, &[1, 1], &[0, 1])?;
            g.reshape(padded, &[28])
        }),
        ("pad slice", &[5], |g, x| {
            let padded = g.pad(x, &[2], &[1])?;
            g.slice(padded, &[1], &[6])
        }),
        ("slice pad", &[7, 3], |g, x| {
            let part = g.slice(x, &[2, 0], &[3, 2])?;
            g.pad(part, &[0, 1], &[4, 0])
        }),
        ("pad permute broadcast", &[2, 1, 3], |g, x| {
            let padded = g.pad(x, &[0, 0, 1], &[0, 0, 1])?;
            let turned = g.permute(padded, &[2, 1, 0])?;
            g.broadcast(turned, &[5, 4, 2])
        }),
    ];
    for (name, shape, build) in functions {
        all.add(format!("{name} {shape:?}"), |g| {
            let x = g.normal(shape)?;
            let y = build(&mut g.graph, x)?;
            // A function of the view, so that its second derivatives are not all zero.
            g.graph.unary(UnaryFn::Tanh, y)
        })?;
        all.add(format!("{name} {shape:?} alone"), |g| {
            let x = g.normal(shape)?;
            build(&mut g.graph, x)
        })?;
    }
    for parts in [1, 2, 3, 9] {
        all.add(format!("concat of {parts}"), |g| {
            let parts: Result<Vec<_>, _> = (0..parts).map(|i| g.normal(&[2, 1 + i, 3])).collect();
            let joined = g.graph.concat(&parts?, 1)?;
            g.graph.unary(UnaryFn::Square, joined)
        })?;
    }
    all.add("concat of a product and its operand".into(), |g| {
        let (a, b) = (g.normal(&[3, 5])?, g.normal(&[5, 4])?);
        let product = g.graph.matmul(a, b)?;
        let joined = g.graph.concat(&[product, a], 1)?;
        g.graph.unary(UnaryFn::Sigmoid, joined)
    })
}

fn reductions(all: &mut Collection) -> Result<(), GraphError> {
    let shapes: [(&[usize], &[usize]); 9] = [
        (&[1], &[0]),
        (&[65], &[0]),
        (&[3, 17], &[0]),
        (&[3, 17], &[1]),
        (&[2, 3, 5], &[1]),
        (&[2, 3, 5], &[0, 2]),
        (&[2, 3, 5], &[0, 1, 2]),
        (&[257, 3], &[0]),
        (&[3, 257], &[1]),
    ];
    for (shape, axes) in shapes {
        for keep in [false, true] {
            all.add(format!("sum {shape:?} over {axes:?}"), |g| {
                let x = g.normal(shape)?;
                let square = g.graph.unary(UnaryFn::Square, x)?;
                g.graph.sum(square, axes, keep)
            })?;
        }
        all.add(format!("mean {shape:?} over {axes:?}"), |g| {
            let x = g.normal(shape)?;
            let mean = g.graph.mean(x, axes, false)?;
            g.graph.unary(UnaryFn::Tanh, mean)
        })?;
        all.add(format!("max {shape:?} over {axes:?}"), |g| {
            let x = g.draw(shape, Draw::Lattice { shift: 0.0 })?;
            let max = g.graph.max(x, axes, false)?;
            g.graph.unary(UnaryFn::Square, max)
        })?;
    }
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

fn products(all: &mut Collection) -> Result<(), GraphError> {
    for (m, k, n) in [(1, 1, 1), (3, 17, 5), (17, 1, 3), (1, 65, 63), (65, 3, 17)] {
        for (ta, tb) in [(false, false), (false, true), (true, false), (true, true)] {
            let a = if ta { [k, m] } else { [m, k] };
            let b = if tb { [n, k] } else { [k, n] };
            all.add(format!("matmul {a:?} {b:?} transposed {ta} {tb}"), |g| {
                let (a, b) = (g.normal(&a)?, g.normal(&b)?);
                g.graph.matmul_with(a, b, ta, tb)
            })?;
        }
    }
    let batched: [(&[usize], &[usize], bool, bool); 7] = [
        (&[2, 3, 5], &[2, 5, 4], false, false),
        (&[2, 5, 3], &[2, 4, 5], true, true),
        (&[2, 1, 3, 5], &[3, 5, 4], false, false),
        (&[3, 5], &[2, 5, 4], false, false),
        (&[2, 3, 5], &[5, 4], false, false),
        (&[2, 3, 5], &[4, 5], false, true),
        (&[2, 5, 3], &[5, 4], true, false),
    ];
    for (a, b, ta, tb) in batched {
        all.add(format!("matmul {a:?} {b:?} transposed {ta} {tb}"), |g| {
            let (a, b) = (g.normal(a)?, g.normal(b)?);
            g.graph.matmul_with(a, b, ta, tb)
        })?;
    }
    for rows in [1, 3, 32] {
        all.add(format!("dense relu dense, {rows} rows"), |g| {
            let (x, w, b) = (g.normal(&[rows, 3])?, g.normal(&[17, 3])?, g.normal(&[17])?);
            let product = g.graph.matmul_with(x, w, false, true)?;
            let sum = g.graph.add(product, b)?;
            // Smooth, because no draw keeps every pre-activation clear of 0.
            let h = g.graph.unary(UnaryFn::Silu, sum)?;
            let (w, b) = (g.normal(&[1, 17])?, g.normal(&[1])?);
            let product = g.graph.matmul_with(h, w, false, true)?;
            g.graph.add(product, b)
        })?;
    }
    Ok(())
}

fn rows(all: &mut Collection) -> Result<(), GraphError> {
    for shape in [&[1, 1][..], &[5], &[3, 17], &[2, 3, 65]] {
        all.add(format!("softmax {shape:?}"), |g| {
            let x = g.normal(shape)?;
            g.graph.softmax(x)
        })?;
        all.add(format!("log_softmax {shape:?}"), |g| {
            let x = g.normal(shape)?;
            g.graph.log_softmax(x)
        })?;
        all.add(format!("log_softmax {shape:?} over axis 0"), |g| {
            let x = g.normal(shape)?;
            g.graph.log_softmax_over(x, 0)
        })?;
        all.add(format!("softmax {shape:?} over axis 0"), |g| {
            let x = g.normal(shape)?;
            g.graph.softmax_over(x, 0)
        })?;
    }
    for (count, classes) in [(1, 1), (3, 5), (17, 2), (65, 10)] {
        for smoothing in [0.0, 0.1] {
            let cross_entropy = |g: &mut Inputs| {
                let logits = g.normal(&[count, classes])?;
                let labels = g.draw(&[count], Draw::Index(classes))?;
                let weights: Vec<f32> = (0..classes).map(|c| 0.5 + 0.25 * c as f32).collect();
                let weights = g.graph.constant(&[classes], &weights)?;
                Ok([logits, labels, weights])
            };
            all.add(format!("cross_entropy [{count}, {classes}] smoothing {smoothing}"), |g| {
                let [logits, labels, weights] = cross_entropy(g)?;
                g.graph.cross_entropy(logits, labels, weights, smoothing)
            })?;
            all.add(format!("cross_entropy_delta [{count}, {classes}] smoothing {smoothing}"), |g| {
                let operands = cross_entropy(g)?;
                let op = ops::CrossEntropyDelta { smoothing: smoothing.to_bits() };
                g.graph.push(Op::CrossEntropyDelta(op), &operands)
            })?;
        }
    }
    Ok(())
}

fn lookups(all: &mut Collection) -> Result<(), GraphError> {
    for (vocabulary, width, indices) in [(1, 1, &[1][..]), (7, 4, &[17]), (3, 1, &[2, 3]), (65, 3, &[5])] {
        all.add(format!("gather [{vocabulary}, {width}] by {indices:?}"), |g| {
            let table = g.normal(&[vocabulary, width])?;
            let indices = g.draw(indices, Draw::Index(vocabulary))?;
            let rows = g.graph.gather(table, indices)?;
            g.graph.unary(UnaryFn::Square, rows)
        })?;
        all.add(format!("gather_grad [{vocabulary}, {width}] by {indices:?}"), |g| {
            let rows = g.normal(&[indices, &[width]].concat())?;
            let indices = g.draw(indices, Draw::Index(vocabulary))?;
            g.graph.push(Op::GatherGrad(ops::GatherGrad { vocabulary }), &[indices, rows])
        })?;
    }
    Ok(())
}

fn draws(all: &mut Collection) -> Result<(), GraphError> {
    let kinds = [RandomKind::Uniform, RandomKind::Normal, RandomKind::Mask { threshold: 1 << 31 }];
    for kind in kinds {
        all.add(format!("random {kind:?}"), |g| {
            let x = g.normal(&[3, 17])?;
            let random = g.graph.random(kind, 3, &[3, 17])?;
            let product = g.graph.mul(x, random)?;
            g.graph.unary(UnaryFn::Tanh, product)
        })?;
    }
    all.add("step_scalar".into(), |g| {
        let x = g.normal(&[5])?;
        let rate = g.graph.step_scalar(StepScalar::LearningRate)?;
        let scaled = g.graph.mul(x, rate)?;
        g.graph.exp(scaled)
    })
}
