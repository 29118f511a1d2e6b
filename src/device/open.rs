//! From what the user asked for to an opened device.

use super::cpu::CpuDevice;
use super::gpu::{GpuOptions, adapters};
use super::{Device, DeviceChoice, DeviceError};

pub use super::gpu::adapters::{AdapterLimits, AdapterReport, list};

/// Opens the device of `choice`: `auto` takes the first discrete GPU that works, then an integrated one, then
/// the CPU backend; `gpu` the best adapter that works, software ones included.
///
/// # Errors
/// If the adapter asked for is not there or does not work, or an environment variable cannot be followed. `auto`
/// and `cpu` never fail for want of a GPU.
pub fn open(choice: DeviceChoice) -> Result<Box<dyn Device>, DeviceError> {
    let options = GpuOptions::default();
    Ok(match choice {
        DeviceChoice::Cpu => Box::new(CpuDevice::new(None)),
        DeviceChoice::Gpu => Box::new(adapters::open(None, &options)?),
        DeviceChoice::GpuNumber(number) => Box::new(adapters::open(Some(number), &options)?),
        DeviceChoice::Auto => match adapters::open_automatic(&options)? {
            Some(device) => Box::new(device),
            None => Box::new(CpuDevice::new(None)),
        },
    })
}
