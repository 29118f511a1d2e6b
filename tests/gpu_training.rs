//! The GPU backend as a whole: PyTorch's trajectories, random fused graphs, long loops.

mod agreement;
mod common;
#[path = "pytorch/image_trajectory.rs"]
mod image_trajectory;
#[path = "pytorch/trajectory.rs"]
mod trajectory;
#[path = "pytorch/vae_trajectory.rs"]
mod vae_trajectory;

use std::process::ExitCode;

use gridlight::device::gpu::GpuOptions;

fn main() -> ExitCode {
    common::run(&[
        ("losses_follow_pytorch_for_200_steps_of_every_optimizer", || {
            Ok(trajectory::check_all(&common::device(&GpuOptions::default())?, 1e-4)?)
        }),
        ("losses_of_a_cnn_and_a_residual_network_follow_pytorch_for_50_steps", || {
            Ok(image_trajectory::check_images(&common::device(&GpuOptions::default())?, 1e-3)?)
        }),
        ("losses_parts_and_gradients_of_an_autoencoder_follow_pytorch_for_100_steps", || {
            Ok(vae_trajectory::check_autoencoder(&common::device(&GpuOptions::default())?, 1e-4)?)
        }),
        ("every_operator_agrees_with_the_reference", || {
            Ok(agreement::every_operator(&common::device(&GpuOptions::default())?)?)
        }),
        ("random_graphs_agree_with_the_reference", || {
            Ok(agreement::random_graphs(&common::device(&GpuOptions::default())?, 30)?)
        }),
        ("random_convolutions_and_their_gradients_agree_with_the_reference", || {
            Ok(agreement::random_convolutions(&common::device(&GpuOptions::default())?, 30)?)
        }),
        ("long_loops_are_right", || Ok(agreement::long_loops(&common::device(&GpuOptions::default())?)?)),
    ])
}
