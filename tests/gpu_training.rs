//! Training on the GPU: PyTorch's trajectories, and agreement with the reference on fused graphs.

mod common;
#[path = "pytorch/trajectory.rs"]
mod trajectory;

use std::process::ExitCode;

use gridlight::device::gpu::GpuOptions;

fn main() -> ExitCode {
    common::run(&[("losses_follow_pytorch_for_200_steps_of_every_optimizer", || {
        Ok(trajectory::check_all(&common::device(&GpuOptions::default())?, 1e-4)?)
    })])
}
