//! Several models on the CPU's threads.

use crate::interruptions::Family;
use crate::many;
use gridlight::device::Device;
use gridlight::device::cpu::CpuDevice;

fn open(threads: usize, exact: bool) -> Box<dyn Device> {
    Box::new(CpuDevice::new(Some(threads)).exact(exact))
}

#[test]
fn models_end_as_each_does_alone() {
    let all = [Family::Mlp, Family::Cnn, Family::Rnn, Family::Text, Family::Vae, Family::Gan];
    many::models_end_as_each_does_alone(&|| open(3, false), &all);
    many::models_end_as_each_does_alone(&|| open(2, true), &[Family::Mlp, Family::Cnn]);
    // One thread trains one after the other.
    many::models_end_as_each_does_alone(&|| open(1, false), &[Family::Mlp]);
}

#[test]
fn interrupted_models_go_on_together() {
    many::interrupted_models_go_on_together(&|| open(3, false));
}
