//! From what the user asked for to an opened device.

use super::cpu::CpuDevice;
use super::gpu::{self, GpuOptions, adapters};
use super::{Device, DeviceChoice, DeviceError, DeviceInfo};

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

/// Where another device comes from when one is lost.
pub trait Spares {
    /// Opens the device `lost` again: the same adapter with the same driver, so that the bits are the same.
    ///
    /// # Errors
    /// If it is not there or does not work.
    fn reopen(&mut self, lost: &DeviceInfo) -> Result<Box<dyn Device>, DeviceError>;

    /// Another kind of device, if the user left the choice to the program.
    fn fallback(&mut self) -> Option<Box<dyn Device>>;
}

/// The devices of this machine, as [`open`] gives them.
#[derive(Clone, Copy, Debug)]
pub struct Installed {
    /// What the user asked for.
    pub choice: DeviceChoice,
    /// Whether devices compute with the same bits as every other.
    pub exact: bool,
}

impl Spares for Installed {
    fn reopen(&mut self, lost: &DeviceInfo) -> Result<Box<dyn Device>, DeviceError> {
        let options = GpuOptions { exact: self.exact, ..GpuOptions::default() };
        Ok(Box::new(adapters::open_again(lost, &options)?))
    }

    fn fallback(&mut self) -> Option<Box<dyn Device>> {
        let automatic = self.choice == DeviceChoice::Auto;
        automatic.then(|| Box::new(CpuDevice::new(None).exact(self.exact)) as Box<dyn Device>)
    }
}

/// Lets go of a device. One that was lost may fail even at that.
pub fn close(device: Box<dyn Device>) {
    gpu::quietly(|| drop(device));
}
