//! Recomputation of activations on the CPU backend: the bits, the memory, and what is said of it.

use gridlight::base::target::{Family, Target};
use gridlight::device::Device;
use gridlight::device::cpu::CpuDevice;
use gridlight::experiment::Experiment;
use gridlight::plan::{BufferClass, Compiled};
use gridlight::train::TrainError;

use crate::saving;

#[test]
fn what_is_computed_again_changes_no_bit() {
    for exact in [false, true] {
        saving::recomputing_changes_no_bit(&CpuDevice::new(Some(2)).exact(exact), &["auto"]).unwrap();
    }
}

/// The program of a transformer of this many blocks.
fn compiled(blocks: usize, recompute: &str, target: &Target) -> Result<Compiled, TrainError> {
    let change = |experiment: &mut Experiment| {
        (experiment.model.blocks, experiment.model.width) = (Some(blocks), Some(64));
        experiment.train.recompute = recompute.parse().unwrap();
    };
    saving::compiled("transformer", "", change, target)
}

#[test]
fn a_deep_transformer_takes_less_than_half_of_the_memory_for_a_third_more_arithmetic() {
    let minimum = Target::webgpu_minimum;
    for target in [Target::native(), minimum(Family::Registers), minimum(Family::Workgroup)] {
        let plain = compiled(24, "off", &target).unwrap();
        assert_eq!(plain.saved, None);
        let again = compiled(24, "auto", &target).unwrap();
        let found = again.saved.unwrap();
        let memory = found.activation_bytes as f64 / found.plain_activation_bytes as f64;
        let cost = found.flops as f64 / found.plain_flops as f64;
        println!("{:?}: {memory:.3} of the memory, {cost:.3} of the arithmetic, {found:?}", target.family);
        assert!(memory <= 0.45 && cost <= 1.35, "{:?}: {memory} {cost}", target.family);
        // What is said is what is planned.
        assert_eq!(found.activation_bytes, again.activation_bytes[0]);
        assert_eq!(found.plain_activation_bytes, plain.activation_bytes[0]);
        assert_eq!(found.flops, again.program.phases[0].cost().flops);
        assert!(
            again.program.class_bytes(BufferClass::Activations)
                < plain.program.class_bytes(BufferClass::Activations)
        );
        if target.family != Family::Native {
            continue;
        }
        // A limit in between is kept, with less arithmetic.
        let limit = (found.activation_bytes + found.plain_activation_bytes) / 2;
        let within = compiled(24, &format!("{} kB", limit / 1000), &target).unwrap().saved.unwrap();
        assert!(within.activation_bytes <= limit && within.flops < found.flops, "{within:?}, limit {limit}");
        // One that suffices costs nothing, and one that nothing meets is refused with what would do.
        let enough = compiled(24, "1 GB", &target).unwrap();
        assert_eq!(enough.program, plain.program);
        let error = compiled(24, "5 kB", &target).unwrap_err().to_string();
        assert!(error.contains("`train.recompute` allows 5000"), "{error}");
    }
}

#[test]
fn what_is_planned_is_allocated() {
    let device = CpuDevice::new(Some(2));
    let program = compiled(6, "auto", device.target()).unwrap().program;
    assert_eq!(device.load(&program).unwrap().allocated_bytes(), program.bytes());
}

#[test]
fn wrong_settings_are_refused() {
    let read = |value: &str| {
        let text = format!(
            "name = \"b\"\n[data]\nsource = \"b.csv\"\ntarget = \"y\"\n[train]\nrecompute = {value}\n"
        );
        Experiment::parse(&text, "b.toml", &[])
    };
    for wrong in ["\"on\"", "3", "\"12 parsecs\"", "true"] {
        let error = read(wrong).unwrap_err().to_string();
        assert!(error.contains("b.toml:6:13") && error.contains("\"512 MiB\""), "{error}");
    }
    let kept = read("\"1.5 GiB\"").unwrap();
    assert!(kept.resolved().contains("recompute = \"1536 MiB\""), "{}", kept.resolved());
}
