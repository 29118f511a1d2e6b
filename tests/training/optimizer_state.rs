//! The optimizer's state in the host's memory: the same training, in less memory of the device.

use gridlight::base::target::{Family, Target};
use gridlight::device::cpu::CpuDevice;
use gridlight::experiment::Experiment;
use gridlight::run::job::Options;
use gridlight::run::{planned, trainer};
use gridlight::train::optimizer_state::OptimizerState;

use crate::bench::{Bench, Recorder, SHORT};

/// Rules with state and without, of which some look at whole tensors or at the whole gradient.
const RULES: [&str; 7] = [
    "optimizer = \"adam\"\n",
    "optimizer = \"adam\"\naccumulate = 4\nclip_norm = 0.01\n",
    "optimizer = { type = \"sgd\" }\nlearning_rate = 0.02\n",
    "optimizer = { type = \"sgd\", momentum = 0.9 }\naccumulate = 2\nlearning_rate = 0.02\n",
    "optimizer = { type = \"lamb\", weight_decay = 0.1 }\nclip_norm = 1.0\n",
    "optimizer = \"adamw\"\ngroup = [{ parameters = \"0.*\", learning_rate = 1e-4, weight_decay = 0.3 }]\n",
    "optimizer = \"adam\"\nfreeze = [\"0.*\"]\n",
];

#[test]
fn updates_on_the_host_have_the_bits_of_those_on_the_device() {
    for rule in RULES {
        let mut bench = Bench::new(300, &format!("{SHORT}{rule}"));
        bench.train(&bench.options("device"), &mut Recorder::default()).unwrap();
        bench.experiment.train.optimizer_state = OptimizerState::Host;
        bench.train(&bench.options("host"), &mut Recorder::default()).unwrap();
        assert_eq!(bench.bits("host"), bench.bits("device"), "{rule}");
    }
}

#[test]
fn a_run_goes_on_with_its_state_elsewhere() {
    use OptimizerState::{Device, Host};
    for rule in [RULES[1], RULES[4]] {
        let mut bench = Bench::new(300, &format!("{SHORT}{rule}"));
        bench.train(&bench.options("whole"), &mut Recorder::default()).unwrap();
        for (before, after) in [(Device, Host), (Host, Device), (Host, Host)] {
            let out = format!("{before:?} {after:?}");
            bench.experiment.train.optimizer_state = before;
            let cut = Options { max_steps: Some(13), ..bench.options(&out) };
            bench.train(&cut, &mut Recorder::default()).unwrap();
            bench.experiment.train.optimizer_state = after;
            let resumed = Options { resume: true, ..bench.options(&out) };
            bench.train(&resumed, &mut Recorder::default()).unwrap();
            assert_eq!(bench.bits("whole"), bench.bits(&out), "{rule}, {out}");
        }
    }
}

#[test]
fn training_that_diverges_says_the_same_wherever_the_state_is() {
    let said = |place: OptimizerState| {
        // The loss overflows after some steps, and again after the one that is skipped.
        let mut bench = Bench::new(300, &format!("{SHORT}learning_rate = 1e30\nskip_non_finite_steps = 1\n"));
        bench.experiment.train.optimizer_state = place;
        let mut recorder = Recorder::default();
        let error = bench.train(&bench.options("run"), &mut recorder).unwrap_err().to_string();
        (error, recorder.notes)
    };
    let device = said(OptimizerState::Device);
    assert!(device.1.iter().any(|note| note.contains("is skipped (1 of 1)")), "{device:?}");
    assert_eq!(said(OptimizerState::Host), device);
}

#[test]
fn the_device_has_no_room_for_state_that_is_on_the_host() {
    let target = Target::webgpu_minimum(Family::Workgroup);
    for parts in [1, 4] {
        let mut bench = Bench::new(300, &format!("{SHORT}accumulate = {parts}\n"));
        let mut plan = |place: OptimizerState| {
            bench.experiment.train.optimizer_state = place;
            let (compiled, step) =
                planned::planned(&bench.experiment, &bench.data, &target, &mut |_| ()).unwrap();
            compiled.report(&step, |_| [1, 1, 1])
        };
        let (device, host) = (plan(OptimizerState::Device), plan(OptimizerState::Host));
        let state = |report: &gridlight::plan::PlanReport| {
            report
                .bytes_by_kind
                .iter()
                .find(|kind| kind.kind == "optimizer state")
                .map_or(0, |kind| kind.bytes)
        };
        assert!(state(&device) > 0 && device.host.is_none());
        assert_eq!(state(&host), 0);
        assert!(host.peak_bytes <= device.peak_bytes - state(&device));
        let there = host.host.expect("what the host keeps");
        assert_eq!(there.optimizer_state_bytes, state(&device));
        assert!(host.table().contains("update: on the host"), "{}", host.table());
    }
}

#[test]
fn one_process_keeps_all_of_what_several_would_share() {
    let mut bench = Bench::new(300, SHORT);
    bench.train(&bench.options("device"), &mut Recorder::default()).unwrap();
    bench.experiment.train.optimizer_state = OptimizerState::Sharded;
    let mut recorder = Recorder::default();
    bench.train(&bench.options("sharded"), &mut recorder).unwrap();
    assert_eq!(bench.bits("sharded"), bench.bits("device"));
    assert!(
        recorder.notes.iter().any(|note| note.contains("this one keeps all of it")),
        "{:?}",
        recorder.notes
    );
}

#[test]
fn a_pair_keeps_its_state_on_the_device() {
    let text = "name = \"b\"\n[data]\nsource = \"b.csv\"\nfeatures = [\"a\", \"b\"]\n[model]\nfamily = \"gan\"\n\
                hidden = [4]\n[train]\noptimizer_state = \"host\"\n";
    let error = Experiment::parse(text, "b.toml", &[]).unwrap_err().to_string();
    assert!(error.contains("optimizer_state") && error.contains("family = \"gan\""), "{error}");
}

#[test]
fn exact_updates_on_the_host_have_the_bits_of_those_on_the_device() {
    let mut bench = Bench::new(300, &format!("{SHORT}clip_norm = 0.05\n"));
    let device = CpuDevice::new(Some(2)).exact(true);
    let mut train = |place: OptimizerState, out: &str| {
        bench.experiment.train.optimizer_state = place;
        let mut recorder = Recorder::default();
        trainer::train(&bench.experiment, &bench.data, &device, &bench.options(out), &mut recorder).unwrap();
        bench.bits(out)
    };
    assert_eq!(train(OptimizerState::Host, "host"), train(OptimizerState::Device, "device"));
}
