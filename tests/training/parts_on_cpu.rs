//! Data sets in parts and as bytes, on the CPU.

use gridlight::device::cpu::CpuDevice;

use crate::parts::{a_custom_loop_reads_every_part, parts_and_bytes_train_the_same_bits};

#[test]
fn parts_and_bytes_train_the_same_bits_on_the_cpu() {
    parts_and_bytes_train_the_same_bits(&CpuDevice::new(Some(2)));
    parts_and_bytes_train_the_same_bits(&CpuDevice::new(Some(1)).exact(true));
}

#[test]
fn a_custom_loop_reads_every_part_on_the_cpu() {
    a_custom_loop_reads_every_part(&CpuDevice::new(Some(2)));
}
