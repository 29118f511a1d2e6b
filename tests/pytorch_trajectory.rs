//! A fixed MLP with fixed weights and unshuffled data follows PyTorch's loss for 200 steps within 1e-4, for every
//! optimizer, on the CPU backend (tests/gpu_training.rs does the same on the GPU).

#[path = "pytorch/trajectory.rs"]
mod trajectory;

use gridlight::device::cpu::CpuDevice;

#[test]
fn losses_follow_pytorch_for_200_steps_of_every_optimizer() {
    trajectory::check_all(&CpuDevice::new(Some(2)), 1e-4).unwrap();
}
