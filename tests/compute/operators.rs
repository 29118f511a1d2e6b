//! Shape rule, gradient, second derivative and messages of every operator. (plan_agrees.rs and
//! tests/machine/gpu_training.rs test that the backends agree with the reference.)

use std::collections::BTreeMap;

use gridlight::base::step::StepRecord;
use gridlight::base::tensor::{DType, Tensor};
use gridlight::graph::ops::EvalContext;
use gridlight::graph::samples::Sample;
use gridlight::graph::{Graph, Op, Source, ValueId, all_samples, autodiff, ops, reference};
use gridlight::scalar::UnaryFn;

/// Number of elements per input whose derivatives are checked.
const CHECKED: usize = 24;

fn step() -> StepRecord {
    StepRecord { step: 3, seed_low: 7, seed_high: 11, learning_rate: 0.25, ..StepRecord::default() }
}

fn evaluate(graph: &Graph, bindings: &BTreeMap<ValueId, Tensor>, outputs: &[ValueId]) -> Vec<Tensor> {
    reference::evaluate(graph, bindings, &EvalContext { step: step() }, outputs).unwrap()
}

/// The sum of all elements of `value`.
fn total(g: &mut Graph, value: ValueId) -> ValueId {
    let axes: Vec<usize> = (0..g.shape(value).len()).collect();
    g.sum(value, &axes, false).unwrap()
}

/// `d(scalar)/dx[element]` by central differences, extrapolated once (Richardson): error of order `h^4`.
fn difference(
    graph: &Graph,
    bindings: &mut BTreeMap<ValueId, Tensor>,
    scalar: ValueId,
    x: ValueId,
    element: usize,
) -> f64 {
    let middle = bindings[&x].data[element];
    let mut slope = |h: f64| {
        let mut at = |x_moved: f64| {
            bindings.get_mut(&x).unwrap().data[element] = x_moved;
            evaluate(graph, bindings, &[scalar])[0].data[0]
        };
        let (above, below) = (at(middle + h), at(middle - h));
        bindings.get_mut(&x).unwrap().data[element] = middle;
        (above - below) / (2.0 * h)
    };
    let h = 1e-3;
    (4.0 * slope(h / 2.0) - slope(h)) / 3.0
}

/// Largest difference between the gradient of `scalar` and finite differences, relative to the largest
/// element of the gradient of the same input.
fn largest_error(
    graph: &Graph,
    bindings: &BTreeMap<ValueId, Tensor>,
    scalar: ValueId,
    wrt: &[ValueId],
) -> f64 {
    let mut graph = graph.clone();
    let gradients = autodiff::gradients(&mut graph, scalar, wrt).unwrap();
    let found = evaluate(&graph, bindings, &gradients);
    let size = evaluate(&graph, bindings, &[scalar])[0].data[0].abs();
    let mut bindings = bindings.clone();
    let mut largest = 0f64;
    for (&x, gradient) in wrt.iter().zip(&found) {
        assert_eq!(&gradient.shape, graph.shape(x), "a gradient has its input's shape");
        let scale = gradient.data.iter().fold(0f64, |m, g| m.max(g.abs()));
        // Differences of a function of magnitude `s` have rounding errors of about s * 1e-16 / h.
        let scale = scale.max(1e-6 * (1.0 + size));
        let stride = gradient.data.len().div_ceil(CHECKED);
        for element in (0..gradient.data.len()).step_by(stride) {
            let expected = difference(&graph, &mut bindings, scalar, x, element);
            let error = (gradient.data[element] - expected).abs() / scale;
            largest = largest.max(if error.is_nan() { f64::INFINITY } else { error });
        }
    }
    largest
}

/// The sample's result times a random cotangent, summed, as if the graph continued.
fn with_cotangent(mut sample: Sample) -> (Sample, ValueId) {
    let dy = sample.add_input_like(sample.output).unwrap();
    let product = sample.graph.mul(sample.output, dy).unwrap();
    let loss = total(&mut sample.graph, product);
    (sample, loss)
}

fn has_no_second_derivative(graph: &Graph) -> bool {
    graph.nodes.iter().any(|node| matches!(node.op, Op::RecurrenceGrad(_) | Op::AttentionGrad(_)))
}

/// Gradients of recurrences and attention cannot be differentiated again, and reports so.
fn expect_refusal(graph: &mut Graph, scalar: ValueId, wrt: &[ValueId]) {
    let refused = autodiff::gradients(graph, scalar, wrt).unwrap_err().to_string();
    assert!(refused.contains("second derivatives of"), "{refused}");
}

#[test]
fn gradients_agree_with_finite_differences() {
    for sample in all_samples().unwrap() {
        let wrt = sample.differentiable();
        let refuses = has_no_second_derivative(&sample.graph);
        let (mut sample, loss) = with_cotangent(sample);
        if refuses {
            expect_refusal(&mut sample.graph, loss, &wrt);
            continue;
        }
        let error = largest_error(&sample.graph, &sample.bindings(1), loss, &wrt);
        assert!(error <= 1e-6, "{}: gradient is off by {error:e}", sample.name);
    }
}

#[test]
fn second_derivatives_agree_with_finite_differences() {
    for sample in all_samples().unwrap().into_iter().filter(|s| !has_no_second_derivative(&s.graph)) {
        let wrt = sample.differentiable();
        let (mut sample, loss) = with_cotangent(sample);
        let gradients = autodiff::gradients(&mut sample.graph, loss, &wrt).unwrap();
        if has_no_second_derivative(&sample.graph) {
            let again = total(&mut sample.graph, gradients[0]);
            expect_refusal(&mut sample.graph, again, &wrt);
            continue;
        }
        let mut directional = sample.graph.scalar(0.0).unwrap();
        for gradient in gradients {
            let direction = sample.add_input_like(gradient).unwrap();
            let product = sample.graph.mul(gradient, direction).unwrap();
            let part = total(&mut sample.graph, product);
            directional = sample.graph.add(directional, part).unwrap();
        }
        let wrt = sample.differentiable();
        let error = largest_error(&sample.graph, &sample.bindings(2), directional, &wrt);
        assert!(error <= 1e-6, "{}: second derivative is off by {error:e}", sample.name);
    }
}

#[test]
fn every_operator_has_a_sample() {
    for of in ops::samples().unwrap() {
        let has = |sample: &Sample| sample.graph.nodes.iter().any(|node| (of.is)(&node.op));
        assert!(of.samples.iter().any(has), "no sample of {} has it", of.operator);
    }
}

fn source(g: &mut Graph, name: &str, shape: &[usize], dtype: DType) -> ValueId {
    g.source(Source::Parameter(name.into()), shape, dtype).unwrap()
}

/// The error message of `build`.
fn message(
    build: impl FnOnce(&mut Graph, ValueId, ValueId) -> Result<ValueId, gridlight::graph::GraphError>,
) -> String {
    let mut g = Graph::new();
    let a = source(&mut g, "a", &[32, 64], DType::F32);
    let b = source(&mut g, "b", &[128, 48], DType::F32);
    g.set_layer("layer 2 (dense)");
    build(&mut g, a, b).unwrap_err().to_string()
}

#[test]
fn shape_errors_name_the_layer_the_operator_and_the_shapes() {
    assert_eq!(
        message(|g, a, b| g.matmul(a, b)),
        "layer 2 (dense): matmul(f32[32, 64], f32[128, 48]): the left operand has 64 columns, the right \
         operand has 128 rows; they must be equal"
    );
    assert_eq!(
        message(|g, a, b| g.matmul_with(a, b, true, true)),
        "layer 2 (dense): matmul(f32[32, 64], f32[128, 48]): the left operand (transposed) has 32 columns, \
         the right operand (transposed) has 48 rows; they must be equal"
    );
    assert_eq!(
        message(|g, a, b| g.add(a, b)),
        "layer 2 (dense): add(f32[32, 64], f32[128, 48]): the shapes differ and do not broadcast to a \
         common one"
    );
    assert_eq!(
        message(|g, a, _| g.reshape(a, &[3])),
        "layer 2 (dense): reshape(f32[32, 64]): cannot reshape 2048 elements to [3]"
    );
    assert_eq!(
        message(|g, a, _| g.softmax_over(a, 2)),
        "layer 2 (dense): softmax(f32[32, 64]): there is no axis 2; the axes are 0..2"
    );
    for error in [
        message(|g, a, b| g.concat(&[a, b], 0)),
        message(|g, a, _| g.permute(a, &[0, 0])),
        message(|g, a, _| g.broadcast(a, &[32, 65])),
        message(|g, a, _| g.slice(a, &[0, usize::MAX], &[1, 2])),
        message(|g, a, _| g.pad(a, &[1], &[0])),
        message(|g, a, _| g.pad(a, &[usize::MAX, 0], &[1, 0])),
        message(|g, a, _| g.sum(a, &[1, 0], true)),
        message(|g, a, _| g.max(a, &[2], true)),
        message(|g, a, b| g.gather(a, b)),
        message(|g, a, b| g.cross_entropy(a, b, b, 0.0)),
        message(|g, a, b| g.select(a, b, a)),
        message(|g, a, _| autodiff::gradients(g, a, &[a]).map(|v| v[0])),
    ] {
        assert!(error.starts_with("layer 2 (dense): ") && error.contains("f32[32, 64]"), "{error}");
    }
}

#[test]
fn tensors_that_no_device_can_hold_are_refused_by_name() {
    let mut g = Graph::new();
    let size = |shape: &[usize]| Graph::new().source(Source::Parameter("w".into()), shape, DType::F32);
    assert!(size(&[1 << 40, 1 << 40]).unwrap_err().to_string().contains("more than 4294967295 elements"));
    assert!(size(&[3, 0]).unwrap_err().to_string().contains("at least 1"));
    let column = source(&mut g, "column", &[1 << 20, 1], DType::F32);
    let row = source(&mut g, "row", &[1, 1 << 20], DType::F32);
    assert!(g.matmul(column, row).unwrap_err().to_string().contains("matmul"));
    assert!(g.add(column, row).is_err());
}

#[test]
fn integers_have_no_arithmetic() {
    let mut g = Graph::new();
    let labels = source(&mut g, "labels", &[4], DType::U32);
    assert!(g.add(labels, labels).unwrap_err().to_string().contains("expected f32 operands"));
    assert!(g.sum(labels, &[0], false).is_err());
    assert!(g.neg(labels).is_err());
    assert!(g.reshape(labels, &[2, 2]).is_ok());
}

/// Values of `build(x)` and of the gradient of its sum, at `x`.
fn value_and_slope(x: &[f64], build: impl FnOnce(&mut Graph, ValueId) -> ValueId) -> (Vec<f64>, Vec<f64>) {
    let mut g = Graph::new();
    let source = source(&mut g, "x", &[x.len()], DType::F32);
    let y = build(&mut g, source);
    let loss = total(&mut g, y);
    let slope = autodiff::gradients(&mut g, loss, &[source]).unwrap();
    let bindings = BTreeMap::from([(source, Tensor::new([x.len()], x.to_vec()))]);
    let mut values = evaluate(&g, &bindings, &[y, slope[0]]);
    let slope = values.remove(1).data;
    (values.remove(0).data, slope)
}

#[test]
fn kinks_and_ties_follow_pytorch() {
    let relu = value_and_slope(&[-1.0, 0.0, 2.0], |g, x| g.unary(UnaryFn::Relu, x).unwrap());
    assert_eq!(relu, (vec![0.0, 0.0, 2.0], vec![0.0, 0.0, 1.0]));
    let (y, dx) = value_and_slope(&[f64::NAN], |g, x| g.unary(UnaryFn::Relu, x).unwrap());
    assert!(y[0].is_nan() && dx == [1.0]);
    let abs = value_and_slope(&[-1.0, 0.0, 2.0], |g, x| g.unary(UnaryFn::Abs, x).unwrap());
    assert_eq!(abs, (vec![1.0, 0.0, 2.0], vec![-1.0, 0.0, 1.0]));
    // torch.amax splits the gradient equally among ties.
    let amax = value_and_slope(&[3.0, 1.0, 3.0], |g, x| g.max(x, &[0], false).unwrap());
    assert_eq!(amax, (vec![3.0], vec![0.5, 0.0, 0.5]));
    let limit = |g: &mut Graph, x| {
        let one = g.scalar(1.0).unwrap();
        g.maximum(x, one).unwrap()
    };
    assert_eq!(value_and_slope(&[0.0, 1.0, 2.0], limit), (vec![1.0, 1.0, 2.0], vec![0.0, 0.5, 1.0]));
    let elu = value_and_slope(&[-1000.0, 1000.0], |g, x| g.elu(x, 1.0).unwrap());
    assert_eq!(elu, (vec![-1.0, 1000.0], vec![0.0, 1.0]));
}

#[test]
fn extreme_arguments_stay_finite() {
    for f in [UnaryFn::Tanh, UnaryFn::Sigmoid, UnaryFn::Softplus, UnaryFn::Gelu, UnaryFn::Silu] {
        let (y, dx) = value_and_slope(&[-1e4, -100.0, 100.0, 1e4], |g, x| g.unary(f, x).unwrap());
        assert!(y.iter().chain(&dx).all(|v| v.is_finite()), "{f:?}: {y:?} {dx:?}");
    }
    let (y, dx) = value_and_slope(&[1e4, -1e4, 0.0], |g, x| g.softmax(x).unwrap());
    assert_eq!(y, [1.0, 0.0, 0.0]);
    assert!(dx.iter().all(|v| *v == 0.0));
}

#[test]
fn indices_outside_the_table_give_nan() {
    let mut g = Graph::new();
    let table = source(&mut g, "table", &[2, 1], DType::F32);
    let indices = source(&mut g, "indices", &[3], DType::U32);
    let rows = g.gather(table, indices).unwrap();
    let bindings = BTreeMap::from([
        (table, Tensor::new([2, 1], vec![5.0, 6.0])),
        (indices, Tensor::new([3], vec![1.0, 2.0, 0.0])),
    ]);
    let rows = &evaluate(&g, &bindings, &[rows])[0].data;
    assert!(rows[0] == 6.0 && rows[1].is_nan() && rows[2] == 5.0);
}

#[test]
fn a_value_used_twice_adds_up_and_an_unused_one_has_gradient_zero() {
    let mut g = Graph::new();
    let x = source(&mut g, "x", &[2], DType::F32);
    let unused = source(&mut g, "unused", &[3, 1], DType::F32);
    let square = g.mul(x, x).unwrap();
    let cube = g.mul(square, x).unwrap();
    let loss = total(&mut g, cube);
    g.set_layer("kept");
    let gradients = autodiff::gradients(&mut g, loss, &[x, unused, square]).unwrap();
    let bindings = BTreeMap::from([(x, Tensor::new([2], vec![2.0, -3.0]))]);
    let values = evaluate(&g, &bindings, &gradients);
    assert_eq!(values[0].data, [12.0, 27.0]);
    assert_eq!((&values[1].shape, &values[1].data), (&vec![3, 1], &vec![0.0; 3]));
    assert_eq!(values[2].data, [2.0, -3.0]);
    let error = g.add(x, unused).map(|_| ()).and_then(|()| g.matmul(x, unused)).unwrap_err();
    assert!(error.to_string().starts_with("kept: matmul"), "differentiation keeps the layer's name");
}
