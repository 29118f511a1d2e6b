//! Tests that depend on the machine: its GPUs, disk and signals, and reference figures beside this checkout.
//!
//! These tests have their own harness, because it is only known at start-up which of them can run. A test
//! that cannot run is listed as ignored, with the reason in its name (see [`harness`]).

#[path = "../common/agreement.rs"]
mod agreement;
mod conformance;
#[path = "../common/custom_loop.rs"]
mod custom_loop;
mod everywhere;
#[path = "../common/examples.rs"]
mod examples;
#[path = "../pytorch/families.rs"]
mod families;
#[path = "../common/faults.rs"]
mod faults;
#[path = "../pytorch/gan_trajectory.rs"]
mod gan_trajectory;
mod gpu_device;
mod gpu_kernels;
mod gpu_training;
#[path = "../pytorch/graph_trajectory.rs"]
mod graph_trajectory;
mod harness;
#[path = "../pytorch/image_trajectory.rs"]
mod image_trajectory;
#[path = "../common/interruptions.rs"]
mod interruptions;
#[path = "../common/many.rs"]
mod many;
mod many_on_gpu;
mod minimum_limits;
#[path = "../common/mutate.rs"]
mod mutate;
mod nn;
mod null_driver;
mod operator_cases;
#[path = "../common/parts.rs"]
mod parts;
#[path = "../common/planted.rs"]
mod planted;
mod pooling;
mod ranks;
mod recurrent;
#[path = "../common/rings.rs"]
mod rings;
#[path = "../common/saving.rs"]
mod saving;
#[path = "../common/silent.rs"]
mod silent;
#[path = "../common/synthetic.rs"]
mod synthetic;
mod train_gpu;
#[path = "../pytorch/trajectory.rs"]
mod trajectory;
#[path = "../pytorch/transformer_trajectory.rs"]
mod transformer_trajectory;
mod trust_system;
mod tuned;
#[path = "../pytorch/vae_trajectory.rs"]
mod vae_trajectory;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

/// Creates the tests of a module.
type Group = (&'static str, fn() -> Vec<Trial>);

const GROUPS: [Group; 14] = [
    ("conformance", conformance::trials),
    ("gpu_device", gpu_device::trials),
    ("gpu_kernels", gpu_kernels::trials),
    ("gpu_training", gpu_training::trials),
    ("many_on_gpu", many_on_gpu::trials),
    ("minimum_limits", minimum_limits::trials),
    ("nn", nn::trials),
    ("operator_cases", operator_cases::trials),
    ("pooling", pooling::trials),
    ("ranks", ranks::trials),
    ("recurrent", recurrent::trials),
    ("train_gpu", train_gpu::trials),
    ("trust_system", trust_system::trials),
    ("tuned", tuned::trials),
];

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let null_driver: Group = ("null_driver", null_driver::trials);
    // With a driver that computes nothing, no other test can pass.
    let others: &[Group] = if null_driver::arithmetic().is_some() { &[] } else { &GROUPS };
    let groups = others.iter().chain([&null_driver]);
    let trials = groups.flat_map(|(group, trials)| trials().into_iter().map(|trial| trial.with_kind(*group)));
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}
