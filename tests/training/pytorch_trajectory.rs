//! An MLP with fixed weights and unshuffled data follows PyTorch's loss for 200 steps within 1e-4, for every
//! optimizer; a CNN, a residual network, transformers of text, images and windows, networks on graphs and adversarial pairs for 50 steps
//! within 1e-3; and
//! a variational autoencoder for 100 steps within 1e-4. On the CPU backend (tests/machine/gpu_training.rs does the
//! same on the GPU). Loss and gradients of residual networks, AlexNet and a temporal convolutional network are PyTorch's.

use gridlight::device::cpu::CpuDevice;

use crate::{
    families, gan_trajectory, graph_trajectory, image_trajectory, trajectory, transformer_trajectory,
    vae_trajectory,
};

#[test]
fn losses_follow_pytorch_for_200_steps_of_every_optimizer() {
    trajectory::check_all(&CpuDevice::new(Some(2)), 1e-4).unwrap();
}

#[test]
fn losses_of_a_cnn_and_a_residual_network_follow_pytorch_for_50_steps() {
    image_trajectory::check_images(&CpuDevice::new(Some(2)), 1e-3).unwrap();
}

#[test]
fn losses_of_transformers_follow_pytorch_for_50_steps() {
    transformer_trajectory::check_transformers(&CpuDevice::new(Some(2)), 1e-3).unwrap();
}

#[test]
fn losses_of_networks_on_graphs_follow_pytorch_for_50_steps() {
    graph_trajectory::check_graphs(&CpuDevice::new(Some(2)), 1e-3).unwrap();
}

#[test]
fn gradients_of_networks_with_a_name_are_pytorchs() {
    families::check_families(&CpuDevice::new(Some(2)), 1e-4, false).unwrap();
}

#[test]
fn both_losses_of_adversarial_pairs_follow_pytorch_for_50_rounds() {
    gan_trajectory::check_pairs(&CpuDevice::new(Some(2)), 1e-3).unwrap();
}

#[test]
fn losses_parts_and_gradients_of_an_autoencoder_follow_pytorch_for_100_steps() {
    vae_trajectory::check_autoencoder(&CpuDevice::new(Some(2)), 1e-4).unwrap();
}
