//! Half precision for values that wait for the backward pass: memory, gradients, and what is kept in checkpoints.

use gridlight::base::target::{Family, Target};
use gridlight::device::cpu::CpuDevice;
use gridlight::experiment::Experiment;
use gridlight::plan::Recompute;
use gridlight::run::job::Options;
use gridlight::run::trainer;
use gridlight::train::checkpoint;
use gridlight::train::precision::Precision;

use crate::saving;
use crate::silent::Silent;

fn device() -> CpuDevice {
    CpuDevice::new(Some(2))
}

#[test]
fn activations_take_about_half_of_the_memory() {
    let minimum = Target::webgpu_minimum;
    for target in [Target::native(), minimum(Family::Registers), minimum(Family::Workgroup)] {
        let bytes = |precision, recompute| {
            let change = |experiment: &mut Experiment| {
                (experiment.model.blocks, experiment.model.width) = (Some(24), Some(64));
                (experiment.train.precision, experiment.train.recompute) = (precision, recompute);
            };
            saving::compiled("transformer", "", change, &target).unwrap().activation_bytes[0]
        };
        let single = bytes(Precision::Single, Recompute::Off);
        let mixed = bytes(Precision::Mixed, Recompute::Off);
        let part = mixed as f64 / single as f64;
        println!("{:?}: {mixed} of {single} bytes, {part:.3}", target.family);
        assert!(part <= 0.55, "{:?}: {mixed} of {single} bytes", target.family);
        if target.family != Family::Native {
            continue;
        }
        // Both savings go together.
        let both = bytes(Precision::Mixed, Recompute::Auto);
        let again = bytes(Precision::Single, Recompute::Auto);
        assert!(both < mixed && both <= again, "{:?}: {both}, {again}, {mixed}", target.family);
    }
}

#[test]
fn gradients_are_those_of_single_precision_within_the_rounding() {
    saving::mixed_gradients_are_near(&device()).unwrap();
}

#[test]
fn a_resumed_run_has_the_bits_of_an_uninterrupted_one() {
    let directory = tempfile::tempdir().unwrap();
    let keys = "precision = \"mixed\"\nrecompute = \"auto\"\n";
    let (experiment, data) = saving::bench(directory.path(), "transformer", keys);
    let train = |out: &str, steps: u64, resume: bool| {
        let run = directory.path().join(out);
        let options = Options { out: run.clone(), max_steps: Some(steps), resume, ..Options::default() };
        trainer::train(&experiment, &data, &device(), &options, &mut Silent).unwrap();
        std::fs::read(checkpoint::list(&run.join("checkpoints")).pop().unwrap().1).unwrap()
    };
    let whole = train("whole", 7, false);
    train("cut", 3, false);
    assert!(train("cut", 7, true) == whole);
}

#[test]
fn exact_mode_refuses_mixed_precision() {
    let read = |keys: &str| {
        let text = format!("name = \"b\"\n[data]\nsource = \"b.csv\"\ntarget = \"y\"\n[train]\n{keys}");
        Experiment::parse(&text, "b.toml", &[])
    };
    let error = read("exact = true\nprecision = \"mixed\"\n").unwrap_err().to_string();
    assert!(error.contains("b.toml:7") && error.contains("`train.exact`"), "{error}");
    let error = read("precision = \"half\"\n").unwrap_err().to_string();
    assert!(error.contains("mixed"), "{error}");
    read("precision = \"mixed\"\n").unwrap();
}
