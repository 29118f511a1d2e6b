//! Attention over long sequences: memory that grows with the length alone, the right figures, and messages.

use std::collections::BTreeMap;

use gridlight::base::rng;
use gridlight::base::step::StepRecord;
use gridlight::base::target::{Family, Target};
use gridlight::base::tensor::{DType, Tensor};
use gridlight::device::cpu::CpuDevice;
use gridlight::graph::attention::{Attend, Heads};
use gridlight::graph::{Graph, GraphError, Source, ValueId, autodiff};
use gridlight::kernels::shader::launch;
use gridlight::plan::{
    self, Batches, Dispatch, Entry, Gradients, ParameterSet, PassSpec, PhaseSpec, ProgramSpec,
};
use gridlight::verify::{Case, run};

/// Elements of a head.
const WIDTH: usize = 64;

/// Causal self-attention of one head over `steps` steps: the packed operand, the result, and the gradient of the sum
/// of its squares.
fn attention(g: &mut Graph, steps: usize) -> [ValueId; 3] {
    let all = g.source(Source::Parameter("all".into()), &[1, steps, 3, WIDTH], DType::F32).unwrap();
    let y = g.attention_packed(all, 1, None, Attend::new(WIDTH, true)).unwrap();
    let square = g.mul(y, y).unwrap();
    let total = g.sum(square, &[0, 1, 2, 3], false).unwrap();
    let gradient = autodiff::gradients(g, total, &[all]).unwrap()[0];
    [all, y, gradient]
}

/// Words of all buffers of a plan that computes the gradient, whose shaders are made too.
fn words(steps: usize, target: &Target) -> usize {
    let mut graph = Graph::new();
    let [_, _, gradient] = attention(&mut graph, steps);
    let entry = Entry { name: "all".into(), words: steps * 3 * WIDTH, decay: false };
    let pass = PassSpec {
        graph: &graph,
        batch: 1,
        batches: Batches::Written,
        augment: vec![],
        slots: 1,
        results: vec![("gradient".into(), gradient)],
        gradients: vec![],
        into: Gradients::Replace,
        states: vec![],
    };
    let spec = ProgramSpec {
        sets: vec![ParameterSet { name: "operands".into(), parameters: vec![entry], optimizer: None }],
        phases: vec![PhaseSpec { name: "attention".into(), pass: Some(pass), ..PhaseSpec::default() }],
        ..ProgramSpec::default()
    };
    let compiled = plan::compile(&spec, target).unwrap();
    for dispatches in compiled.program.phases[0].launches() {
        launch(&dispatches.iter().map(Dispatch::bound).collect::<Vec<_>>(), target).unwrap();
    }
    compiled.program.buffers.iter().map(|buffer| buffer.words).sum()
}

#[test]
fn memory_grows_with_the_length_and_not_with_its_square() {
    for family in [Family::Registers, Family::Workgroup] {
        let target = Target::webgpu_minimum(family);
        let (short, long) = (words(1024, &target), words(16_384, &target));
        assert!(long <= 17 * short, "{family:?}: {short} words for 1,024 steps, {long} for 16,384");
    }
}

#[test]
fn rows_of_a_long_sequence_are_those_of_the_formula() {
    let steps = 2053;
    let mut graph = Graph::new();
    let outputs @ [all, ..] = attention(&mut graph, steps);
    let data: Vec<f64> =
        (0..steps * 3 * WIDTH).map(|i| f64::from(rng::normal(rng::word([4, 2], 0, 0, i as u32)))).collect();
    let case = Case {
        name: "attention".into(),
        graph,
        bindings: BTreeMap::from([(all, Tensor::new([1, steps, 3, WIDTH], data.clone()))]),
        outputs: outputs[1..].to_vec(),
        step: StepRecord::default(),
        magnitude: 0.01,
    };
    let found = run(&CpuDevice::new(Some(2)), &case).unwrap();
    let row = |step: usize, part: usize| &data[(step * 3 + part) * WIDTH..][..WIDTH];
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let weights = |i: usize| -> Vec<f64> {
        let powers: Vec<f64> = (0..=i).map(|j| (dot(row(i, 0), row(j, 1)) / 8.0).exp()).collect();
        let total: f64 = powers.iter().sum();
        powers.into_iter().map(|p| p / total).collect()
    };
    let result = |i: usize| -> Vec<f64> {
        let weights = weights(i);
        (0..WIDTH).map(|d| weights.iter().enumerate().map(|(j, p)| p * row(j, 2)[d]).sum()).collect()
    };
    let near = |what: String, found: &[f64], expected: &[f64]| {
        let size = expected.iter().fold(0f64, |m, x| m.max(x.abs()));
        for (f, e) in found.iter().zip(expected) {
            assert!((f - e).abs() <= 2e-5 * size, "{what}: {f}, expected {e}");
        }
    };
    for i in [0, 1, 63, 64, 127, 128, 1000, steps - 1] {
        near(format!("row {i}"), &found[0].data[i * WIDTH..][..WIDTH], &result(i));
    }
    // dL/dy = 2 y; of a query and of the last value, which only the last query sees.
    for i in [5, 130, steps - 1] {
        let (weights, y) = (weights(i), result(i));
        let change: Vec<f64> = weights
            .iter()
            .enumerate()
            .map(|(j, p)| p * 2.0 * (dot(&y, row(j, 2)) - dot(&y, &y)) / 8.0)
            .collect();
        let dq: Vec<f64> =
            (0..WIDTH).map(|d| change.iter().enumerate().map(|(j, c)| c * row(j, 1)[d]).sum()).collect();
        near(format!("gradient of query {i}"), &found[1].data[i * 3 * WIDTH..][..WIDTH], &dq);
    }
    let last = steps - 1;
    let dv: Vec<f64> = result(last).iter().map(|y| 2.0 * y * weights(last)[last]).collect();
    near("gradient of the last value".into(), &found[1].data[(last * 3 + 2) * WIDTH..][..WIDTH], &dv);
}

#[test]
fn messages_say_what_does_not_fit() {
    let of = |shapes: [[usize; 4]; 3], causal: bool| -> GraphError {
        let mut g = Graph::new();
        let mut input =
            |at: usize| g.source(Source::Parameter(format!("{at}")), &shapes[at], DType::F32).unwrap();
        let (q, k, v) = (input(0), input(1), input(2));
        g.attention(Heads { q, k, v }, None, Attend::new(4, causal)).unwrap_err()
    };
    for (shapes, causal, expected) in [
        (
            [[2, 5, 3, 4], [2, 5, 2, 4], [2, 5, 2, 4]],
            false,
            "3 heads of queries cannot share 2 heads of keys",
        ),
        ([[2, 5, 2, 4], [2, 6, 2, 4], [2, 6, 2, 4]], true, "5 queries and 6 keys"),
        ([[2, 5, 2, 4], [1, 5, 2, 4], [1, 5, 2, 4]], false, "same batch"),
        ([[2, 5, 2, 4], [2, 5, 2, 4], [2, 6, 2, 4]], false, "one shape"),
        ([[1, 2, 1, 300], [1, 2, 1, 300], [1, 2, 1, 300]], false, "at most 256"),
    ] {
        let message = of(shapes, causal).to_string();
        assert!(message.contains(expected), "{message}");
    }
}
