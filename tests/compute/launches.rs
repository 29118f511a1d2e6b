//! The maximum work of a single launch in the shipped experiments.

use std::path::Path;

use gridlight::base::target::{Family, Target};
use gridlight::device::gpu::pace::{FIRST_WORK, work};
use gridlight::experiment::Experiment;
use gridlight::plan::Phase;
use gridlight::run::trainer;
use gridlight::train::engine::{self, Training};

/// A launch cannot be split, so the launches that a plan makes of an experiment must be small enough. Half a
/// second at the rate of [`FIRST_WORK`], that of the slowest devices, is enough for all but the text
/// experiment: its recurrences are split at 1.1 GFLOP, not counting their bytes, and the gradient of its
/// weights is a product of 2.1 GFLOP, which takes 1.25 s: less than the 2 s that operating systems allow.
#[test]
fn no_launch_of_a_shipped_experiment_takes_long() {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/experiments");
    let paths = std::fs::read_dir(&shipped).unwrap().map(|entry| entry.unwrap().path());
    let paths: Vec<_> = paths.filter(|path| path.extension().is_some_and(|e| e == "toml")).collect();
    assert!(!paths.is_empty());
    for path in paths {
        let experiment = Experiment::read(&path, &[]).unwrap();
        let data = trainer::load_data(&experiment, &shipped).unwrap();
        let model = trainer::model_of(&experiment, &data.fitted, &data.train).unwrap();
        let images = trainer::image_changes(&experiment, &data.fitted).unwrap();
        let training = Training {
            noise: experiment.data.augment.noise,
            images: images.as_ref(),
            decay: experiment.train.decay,
            clip_norm: experiment.train.clip_norm,
            ..Training::new(&data.train, experiment.train.batch_size, experiment.train.optimizer.clone())
        };
        for family in [Family::Registers, Family::Workgroup] {
            let target = Target::webgpu_minimum(family);
            let compiled = engine::compile(&*model, Some(&training), &data.validation, &target).unwrap().0;
            for launch in compiled.program.phases.iter().flat_map(Phase::launches) {
                let work: f64 = launch.iter().map(|d| work(d.kernel.cost())).sum();
                let label = &launch[0].label;
                let most = match (experiment.data.text.is_some(), launch[0].kernel.name()) {
                    (true, "matmul") => 2.5 * FIRST_WORK,
                    (true, _) => 1.25 * FIRST_WORK,
                    (false, _) => FIRST_WORK,
                };
                assert!(work <= most, "{}, {family:?}, {label}: {work:e}", path.display());
            }
        }
    }
}
