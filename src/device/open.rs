//! From what the user asked for to an opened device.

use super::cpu::CpuDevice;
use super::gpu::{GpuOptions, adapters};
use super::{Device, DeviceChoice, DeviceError};

pub use super::gpu::adapters::{AdapterLimits, AdapterReport, list};

/// Opens the device of `choice`, with the same bits as every other device if `exact`: `auto` takes the first discrete GPU that works, then an integrated one, then
/// the CPU backend; `gpu` the best adapter that works, software ones included.
///
/// # Errors
/// If the adapter asked for is not there or does not work, or an environment variable cannot be followed. `auto`
/// and `cpu` never fail for want of a GPU.
pub fn open(choice: DeviceChoice, exact: bool) -> Result<Box<dyn Device>, DeviceError> {
    let options = GpuOptions { exact, ..GpuOptions::default() };
    let cpu = || Box::new(CpuDevice::new(None).exact(exact));
    Ok(match choice {
        DeviceChoice::Cpu => cpu(),
        DeviceChoice::Gpu => Box::new(adapters::open(None, &options)?),
        DeviceChoice::GpuNumber(number) => Box::new(adapters::open(Some(number), &options)?),
        DeviceChoice::Auto => match adapters::open_automatic(&options)? {
            Some(device) => Box::new(device),
            None => cpu(),
        },
    })
}
