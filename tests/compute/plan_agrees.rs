//! Fused plans agree with the graph on the CPU backend (tests/machine/gpu_training.rs does the same on the
//! GPU).

use gridlight::base::step::StepRecord;
use gridlight::base::tensor::DType;
use gridlight::device::Device;
use gridlight::device::cpu::CpuDevice;
use gridlight::graph::{Graph, Source};
use gridlight::plan::{self, Entry, ProgramSpec};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use crate::agreement;

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 300,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(1),
        ..ProptestConfig::default()
    })]

    #[test]
    fn random_graphs_agree_with_the_reference(seed in any::<u64>(), length in 4usize..24) {
        agreement::check_random(&CpuDevice::new(Some(1)), seed, length).map_err(TestCaseError::fail)?;
    }
}

#[test]
fn numbered_random_graphs_agree_with_the_reference() {
    agreement::random_graphs(&CpuDevice::new(Some(2)), 100).unwrap();
}

#[test]
fn a_graph_that_cancels_agrees_with_the_reference() {
    agreement::check_random(&CpuDevice::new(Some(1)), 13037140691054352049, 9).unwrap();
}

#[test]
fn every_operator_agrees_with_the_reference() {
    agreement::every_operator(&CpuDevice::new(Some(2))).unwrap();
}

#[test]
fn random_convolutions_and_their_gradients_agree_with_the_reference() {
    agreement::random_convolutions(&CpuDevice::new(Some(2)), 200).unwrap();
}

#[test]
fn long_loops_are_right() {
    agreement::long_loops(&CpuDevice::new(Some(2))).unwrap();
}

/// A value may depend on a state as it was and, in the same kernel, on what it becomes.
#[test]
fn the_old_and_the_new_value_of_a_state_are_told_apart() {
    let mut graph = Graph::new();
    let shape = [1, 4];
    let state = graph.source(Source::State("s".into()), &shape, DType::F32).unwrap();
    let x = graph.source(Source::Batch("x".into()), &shape, DType::F32).unwrap();
    let new = graph.add(state, x).unwrap();
    let both = graph.mul(state, new).unwrap();
    let entry = Entry { name: "s".into(), words: 4, decay: false };
    let mut spec = ProgramSpec::once("both", (&graph, 1), vec![], vec![entry], vec![("y".into(), both)]);
    spec.phases[0].pass.as_mut().unwrap().states = vec![("s".into(), new)];
    let device = CpuDevice::new(Some(1));
    let compiled = plan::compile(&spec, device.target()).unwrap();
    let mut session = device.load(&compiled.program).unwrap();
    let phase = &compiled.layout.phases[0];
    let (input, result, kept) = (phase.inputs[0].1, phase.results[0].slice, compiled.layout.states[0].1);
    let words = |values: &[f32]| values.iter().map(|x| x.to_bits()).collect::<Vec<u32>>();
    session.write(kept.buffer, kept.start, &words(&[1.0, 2.0, 3.0, 4.0])).unwrap();
    session.write(input.buffer, input.start, &words(&[10.0, 20.0, 30.0, 40.0])).unwrap();
    for (product, state) in [
        ([11.0, 44.0, 99.0, 176.0], [11.0, 22.0, 33.0, 44.0]),
        ([231.0, 924.0, 2079.0, 3696.0], [21.0, 42.0, 63.0, 84.0]),
    ] {
        session.run(0, &[StepRecord::default()]).unwrap();
        assert_eq!(session.read(result.buffer, result.start, 4).unwrap(), words(&product));
        assert_eq!(session.read(kept.buffer, kept.start, 4).unwrap(), words(&state));
    }
}

/// What a pass keeps may be a term of something else that it keeps, in the same buffer; and a value that it keeps may be made
/// of another state as it was.
#[test]
fn kept_values_that_are_made_of_each_other_are_right() {
    let mut graph = Graph::new();
    let shape = [2, 2];
    let mut source = |source| graph.source(source, &shape, DType::F32).unwrap();
    let [a, b, c] = ["a", "b", "c"].map(|name| source(Source::State(name.into())));
    let x = source(Source::Batch("x".into()));
    let squared = graph.matmul(x, x).unwrap();
    let cubed = graph.matmul(squared, x).unwrap();
    let sum = graph.add(cubed, squared).unwrap();
    let last = graph.matmul(b, x).unwrap();
    let entries = ["a", "b", "c"].map(|name| Entry { name: name.into(), words: 4, decay: false });
    let used = graph.add(a, c).unwrap();
    let results = vec![("y".into(), used)];
    let mut spec = ProgramSpec::once("kept", (&graph, 1), vec![], entries.to_vec(), results);
    let new = vec![("a".into(), squared), ("b".into(), sum), ("c".into(), last)];
    spec.phases[0].pass.as_mut().unwrap().states = new;
    let device = CpuDevice::new(Some(1));
    let compiled = plan::compile(&spec, device.target()).unwrap();
    let mut session = device.load(&compiled.program).unwrap();
    let input = compiled.layout.phases[0].inputs[0].1;
    let words = |values: &[f32]| values.iter().map(|x| x.to_bits()).collect::<Vec<u32>>();
    session.write(input.buffer, input.start, &words(&[1.0, 2.0, 0.0, 1.0])).unwrap();
    let place = |name: &str| compiled.layout.states.iter().find(|(known, _)| known == name).unwrap().1;
    session.write(place("b").buffer, place("b").start, &words(&[1.0, 0.0, 0.0, 3.0])).unwrap();
    // x = [1 2; 0 1], x x = [1 4; 0 1], x x x = [1 6; 0 1]; c is b as it was, times x.
    session.run(0, &[StepRecord::default()]).unwrap();
    for (name, expected) in
        [("a", [1.0, 4.0, 0.0, 1.0]), ("b", [2.0, 10.0, 0.0, 2.0]), ("c", [1.0, 2.0, 0.0, 3.0])]
    {
        let place = place(name);
        assert_eq!(session.read(place.buffer, place.start, 4).unwrap(), words(&expected), "{name}");
    }
}
