//! Fused plans agree with the graph on the CPU backend (tests/machine/gpu_training.rs does the same on the
//! GPU).

use gridlight::device::cpu::CpuDevice;
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
