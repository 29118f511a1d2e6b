//! Graphs whose plans are compared with the reference: random graphs, and graphs with long loops.

use std::collections::BTreeMap;

use gridlight::base::rng;
use gridlight::base::rng::RandomKind;
use gridlight::base::step::StepRecord;
use gridlight::base::tensor::{DType, Tensor, elements};
use gridlight::device::Device;
use gridlight::graph::build::common_shape;
use gridlight::graph::convolution::ConvSpec;
use gridlight::graph::ops::{self, EvalContext};
use gridlight::graph::reference::evaluate;
use gridlight::graph::samples::Sample;
use gridlight::graph::{Graph, Op, Source, ValueId, all_samples, autodiff};
use gridlight::scalar::{BinaryFn, ReduceKind, UnaryFn};
use gridlight::verify::{Case, compare, relative_error};

/// Deterministic draws of one case.
struct Draws {
    seed: [u32; 2],
    count: u32,
}

impl Draws {
    fn below(&mut self, n: usize) -> usize {
        self.count += 1;
        rng::word(self.seed, 99, 0, self.count) as usize % n
    }

    fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }
}

/// A graph of `length` random operators (views, broadcasts, scalar functions, reductions, products, random
/// masks), and the gradients of its last value.
pub fn random_case(seed: u64, length: usize) -> Case {
    let mut draws = Draws { seed: [seed as u32, (seed >> 32) as u32], count: 0 };
    let mut g = Graph::new();
    let mut bindings = BTreeMap::new();
    let mut sources = vec![];
    for number in 0..3 {
        let shape: Vec<usize> = (0..1 + draws.below(3)).map(|_| draws.pick(&[1, 2, 3, 5, 8, 17])).collect();
        let value = g.source(Source::Parameter(format!("s{number}")), &shape, DType::F32).unwrap();
        let word = |i: usize| rng::word(draws.seed, 50 + number, 0, i as u32);
        let data = (0..elements(&shape)).map(|i| f64::from(rng::normal(word(i)))).collect();
        bindings.insert(value, Tensor::new(shape, data));
        sources.push(value);
    }
    let mut values = sources.clone();
    while values.len() < length {
        let x = values[values.len() - 1 - draws.below(values.len().min(4))];
        if let Some(next) = random_operator(&mut g, &mut draws, x, &values) {
            values.push(next);
        }
    }
    let last = values[values.len() - 1];
    let axes: Vec<usize> = (0..g.shape(last).len()).collect();
    let total = g.sum(last, &axes, false).unwrap();
    let mut outputs = vec![last, values[values.len() / 2], total];
    outputs.extend(autodiff::gradients(&mut g, total, &sources).unwrap());
    let step = StepRecord { step: 3, seed_low: 5, ..StepRecord::default() };
    Case { name: format!("random graph {seed}"), graph: g, bindings, outputs, step, magnitude: 0.01 }
}

/// Applies one more operator to `x`, keeping values small so that functions neither saturate nor overflow.
fn random_operator(g: &mut Graph, draws: &mut Draws, x: ValueId, values: &[ValueId]) -> Option<ValueId> {
    let shape = g.shape(x).clone();
    let rank = shape.len();
    match draws.below(13) {
        0 | 1 => {
            let smooth = [
                UnaryFn::Tanh,
                UnaryFn::Sigmoid,
                UnaryFn::Gelu,
                UnaryFn::Silu,
                UnaryFn::Softplus,
                UnaryFn::Erf,
                UnaryFn::Neg,
                UnaryFn::Relu,
                UnaryFn::Abs,
            ];
            g.unary(draws.pick(&smooth), x).ok()
        }
        2 | 3 => {
            let other = draws.pick(values);
            let common = common_shape(&[&shape, g.shape(other)])?;
            if elements(&common) > 20_000 {
                return None;
            }
            let f = draws.pick(&[BinaryFn::Add, BinaryFn::Sub, BinaryFn::Mul]);
            let y = g.binary(f, x, other).ok()?;
            g.unary(UnaryFn::Tanh, y).ok()
        }
        4 => {
            let limit = g.scalar(0.123).ok()?;
            let less = g.less(x, limit).ok()?;
            let scaled = g.mul_scalar(x, 0.7).ok()?;
            g.select(less, x, scaled).ok()
        }
        5 if rank > 0 => {
            let axis = draws.below(rank);
            let keep = draws.below(2) == 0;
            if draws.below(3) == 0 { g.max(x, &[axis], keep).ok() } else { g.mean(x, &[axis], keep).ok() }
        }
        6 => g.reshape(x, &[elements(&shape)]).ok(),
        7 if rank > 1 => {
            let mut order: Vec<usize> = (0..rank).collect();
            order.swap(0, rank - 1);
            g.permute(x, &order).ok()
        }
        8 if rank > 0 => {
            let axis = draws.below(rank);
            if shape[axis] < 3 {
                return None;
            }
            let (mut starts, mut extents) = (vec![0; rank], shape.clone());
            starts[axis] = 1;
            extents[axis] -= 2;
            g.slice(x, &starts, &extents).ok()
        }
        9 if rank > 0 && elements(&shape) < 5_000 => {
            let (mut before, mut after) = (vec![0; rank], vec![0; rank]);
            before[draws.below(rank)] = 2;
            after[draws.below(rank)] = 1;
            g.pad(x, &before, &after).ok()
        }
        10 if rank > 0 && elements(&shape) < 5_000 => {
            let scaled = g.mul_scalar(x, 0.5).ok()?;
            g.concat(&[x, scaled, x], draws.below(rank)).ok()
        }
        11 if rank > 1 && shape[rank - 1] * shape[rank - 2] < 1_000 => {
            let product = g.matmul_with(x, x, false, true).ok()?;
            let scaled = g.mul_scalar(product, 1.0 / shape[rank - 1] as f64).ok()?;
            if draws.below(2) == 0 { g.unary(UnaryFn::Tanh, scaled).ok() } else { Some(scaled) }
        }
        12 if rank > 0 => {
            if draws.below(2) == 0 {
                return g.softmax(x).ok();
            }
            let mask =
                g.random(RandomKind::Mask { threshold: 3 << 30 }, draws.below(9) as u32, &shape).ok()?;
            g.mul(x, mask).ok()
        }
        _ => None,
    }
}

/// Compares `count` random graphs with the reference.
pub fn random_graphs(device: &dyn Device, count: u64) -> Result<(), String> {
    for seed in 0..count {
        check_random(device, seed, 4 + (seed % 20) as usize)?;
    }
    Ok(())
}

/// Compares one random graph with the reference. Some graphs lose digits by construction (`1 - tanh(x)^2` far
/// out), so the tolerance includes the effect of a few units in the last place in every result.
pub fn check_random(device: &dyn Device, seed: u64, length: usize) -> Result<(), String> {
    let case = random_case(seed, length);
    let tolerance = (8.0 * single_precision_error(&case)?).clamp(1e-4, 1e-2);
    let agreement = compare(device, &case, tolerance).map_err(|e| format!("{}: {e}", case.name))?;
    if agreement.passed() {
        return Ok(());
    }
    let line =
        |(i, n): (usize, &gridlight::graph::Node)| format!("{i}: {:?} {:?} -> {}\n", n.op, n.inputs, n.ty);
    let nodes: String = case.graph.nodes.iter().enumerate().map(line).collect();
    Err(format!("{}: {agreement:?}, outputs {:?}\n{nodes}", case.name, case.outputs))
}

/// How far the reference's outputs move when every rounded value changes randomly by 2^-22 relative: twice
/// the spacing of single precision, about the error allowed to devices' functions.
fn single_precision_error(case: &Case) -> Result<f64, String> {
    let context = EvalContext { step: case.step };
    let mut inputs = case.bindings.clone();
    for x in inputs.values_mut().flat_map(|tensor| &mut tensor.data) {
        *x = f64::from(*x as f32);
    }
    let exact = evaluate(&case.graph, &inputs, &context, &case.outputs).map_err(|e| e.to_string())?;
    let mut moved = inputs;
    for (i, node) in case.graph.nodes.iter().enumerate() {
        let value = ValueId(i as u32);
        let rounds = match &node.op {
            Op::Unary(_) | Op::MatMul(_) | Op::Softmax(_) => true,
            Op::Binary(ops::Binary(f)) => {
                matches!(f, BinaryFn::Add | BinaryFn::Sub | BinaryFn::Mul | BinaryFn::Div)
            }
            Op::Reduce(reduce) => reduce.kind == ReduceKind::Sum,
            _ => false,
        };
        if rounds {
            let values = evaluate(&case.graph, &moved, &context, &[value]).map_err(|e| e.to_string())?;
            let mut tensor = values.into_iter().next().ok_or("no value")?;
            for (at, x) in tensor.data.iter_mut().enumerate() {
                let up = rng::word([7, 9], value.0, 0, at as u32).is_multiple_of(2);
                *x *= 1.0 + if up { f64::exp2(-22.0) } else { -f64::exp2(-22.0) };
            }
            moved.insert(value, tensor);
        }
    }
    let outputs = evaluate(&case.graph, &moved, &context, &case.outputs).map_err(|e| e.to_string())?;
    let errors = exact.iter().zip(&outputs).map(|(e, m)| relative_error(&e.data, &m.data, case.magnitude));
    Ok(errors.filter(|e| e.is_finite()).fold(0.0, f64::max))
}

/// Compares the samples of every operator, with the gradients of all their inputs.
pub fn every_operator(device: &dyn Device) -> Result<(), String> {
    for sample in all_samples().map_err(|e| e.to_string())? {
        let case = case_with_gradients(sample);
        let agreement = compare(device, &case, 1e-5).map_err(|e| format!("{}: {e}", case.name))?;
        if !agreement.passed() {
            return Err(format!("{}: {agreement:?}", case.name));
        }
    }
    Ok(())
}

/// The sample's result, and the gradients of its randomly weighted sum.
fn case_with_gradients(mut sample: Sample) -> Case {
    // The gradient of a recurrence has no gradient itself.
    let refuses =
        sample.graph.nodes.iter().any(|node| matches!(node.op, Op::RecurrenceGrad(_) | Op::AttentionGrad(_)));
    let wrt = if refuses { vec![] } else { sample.differentiable() };
    let weights = sample.add_input_like(sample.output).unwrap();
    let gradients = autodiff::vjp(&mut sample.graph, sample.output, weights, &wrt).unwrap();
    let step = StepRecord { step: 3, seed_low: 7, learning_rate: 0.25, ..StepRecord::default() };
    Case {
        bindings: sample.bindings(3),
        outputs: std::iter::once(sample.output).chain(gradients).collect(),
        name: sample.name,
        graph: sample.graph,
        step,
        magnitude: 0.0,
    }
}

/// Compares `count` random convolutions and transposed convolutions, and both gradients of each, with the
/// reference: odd extents, strides, dilations, groups, asymmetric padding, kernels larger than the image,
/// single images.
pub fn random_convolutions(device: &dyn Device, count: u32) -> Result<(), String> {
    let mut transposed = 0;
    for seed in 0..count {
        let case = random_convolution(seed);
        transposed += u32::from(case.name.contains("transposed"));
        let agreement = compare(device, &case, 1e-5).map_err(|e| format!("{}: {e}", case.name))?;
        if !agreement.passed() {
            return Err(format!("{}: {agreement:?}", case.name));
        }
    }
    assert!(transposed > count / 8, "{transposed} of {count} are transposed");
    Ok(())
}

fn random_convolution(seed: u32) -> Case {
    let mut draws = Draws { seed: [seed, 77], count: 0 };
    let groups = draws.pick(&[1, 1, 1, 2, 3, 5]);
    let (inputs, outputs) =
        (groups * draws.pick(&[1, 2, 3, 4, 8]), groups * draws.pick(&[1, 2, 3, 4, 7, 16]));
    let taps: [usize; 2] = std::array::from_fn(|_| draws.pick(&[1, 2, 3, 3, 5]));
    let stride = std::array::from_fn(|_| draws.pick(&[1, 1, 2, 3]));
    let dilation = std::array::from_fn(|_| draws.pick(&[1, 1, 2]));
    let transposed = draws.below(4) == 0;
    // Enough zeros for the window to fit; a transposed convolution loses at most one tap at its edges.
    let image: [usize; 2] = std::array::from_fn(|_| draws.pick(&[1, 2, 3, 5, 7, 8, 11]));
    let padding = std::array::from_fn(|d| {
        let window = (taps[d] - 1) * dilation[d] + 1;
        if transposed {
            return [(window - 1).min(draws.below(2)), (window - 1).min(draws.below(2))];
        }
        let needed = window.saturating_sub(image[d]);
        let before = draws.below(needed + 2);
        [before, needed.saturating_sub(before) + draws.below(2)]
    });
    let spec = ConvSpec { stride, dilation, padding, groups };
    let kind = if transposed { "transposed convolution" } else { "convolution" };
    let batch = draws.pick(&[1, 1, 2, 3]);
    let name = format!("{kind} {seed}: [{batch}, {image:?}, {inputs}] by {taps:?} to {outputs}, {spec:?}");
    let mut g = Graph::new();
    let mut bindings = BTreeMap::new();
    let mut bind = |g: &mut Graph, number: u32, shape: &[usize]| {
        let value = g.source(Source::Parameter(format!("s{number}")), shape, DType::F32).unwrap();
        let word = |i: usize| rng::word([seed, 78], number, 0, i as u32);
        let data = (0..elements(shape)).map(|i| f64::from(rng::normal(word(i)))).collect();
        bindings.insert(value, Tensor::new(shape.to_vec(), data));
        value
    };
    let x = bind(&mut g, 0, &[batch, image[0], image[1], inputs]);
    let w = bind(&mut g, 1, &[taps[0], taps[1], inputs / groups, outputs]);
    let y = if transposed { g.conv_transpose2d(x, w, &spec, [0, 0]) } else { g.conv2d(x, w, &spec) };
    let y = y.unwrap_or_else(|e| panic!("{name}: {e}"));
    let shape = g.shape(y).clone();
    let dy = bind(&mut g, 2, &shape);
    let mut outputs = vec![y];
    outputs.extend(autodiff::vjp(&mut g, y, dy, &[x, w]).unwrap());
    Case { name, graph: g, bindings, outputs, step: StepRecord::default(), magnitude: 0.0 }
}

/// Reductions and products that exceed a software driver's limit of 65,535 loop iterations.
pub fn long_loops(device: &dyn Device) -> Result<(), String> {
    let mut cases = vec![];
    for (name, shapes) in [
        ("matmul with k = 70,000", vec![vec![3, 70_000], vec![5, 70_000]]),
        ("sum over 1,000,000", vec![vec![1_000_000]]),
        ("column sums of 70,000 rows", vec![vec![70_000, 3]]),
        ("softmax over 70,000", vec![vec![2, 70_000]]),
    ] {
        let mut g = Graph::new();
        let mut bindings = BTreeMap::new();
        let mut values = vec![];
        for (number, shape) in shapes.iter().enumerate() {
            let value = g.source(Source::Parameter(format!("s{number}")), shape, DType::F32).unwrap();
            let word = |i: usize| rng::word([1, 2], 7 + number as u32, 0, i as u32);
            let data = (0..elements(shape)).map(|i| f64::from(rng::uniform(word(i)))).collect();
            bindings.insert(value, Tensor::new(shape.clone(), data));
            values.push(value);
        }
        let output = match name {
            n if n.starts_with("matmul") => g.matmul_with(values[0], values[1], false, true),
            n if n.starts_with("softmax") => g.softmax(values[0]),
            _ => g.sum(values[0], &[0], false),
        };
        let outputs = vec![output.unwrap()];
        cases.push(Case {
            name: name.into(),
            graph: g,
            bindings,
            outputs,
            step: StepRecord::default(),
            magnitude: 0.0,
        });
    }
    for case in cases {
        let agreement = compare(device, &case, 1e-5).map_err(|e| format!("{}: {e}", case.name))?;
        if !agreement.passed() {
            return Err(format!("{}: {agreement:?}", case.name));
        }
    }
    Ok(())
}
