//! Opens the device the user requested.

use super::cpu::CpuDevice;
use super::gpu::{self, GpuOptions, adapters};
use super::{Device, DeviceChoice, DeviceError, DeviceInfo};

pub use super::gpu::adapters::{AdapterLimits, AdapterReport, list};

/// Opens the device of `choice`, in exact mode if `exact`. `auto` takes the first discrete GPU that works,
/// then an integrated one, then the CPU backend; `gpu` takes the best adapter that works, including software
/// adapters.
///
/// # Errors
/// If the requested adapter is missing or does not work, or an environment variable has an invalid value.
/// `auto` and `cpu` never fail for lack of a GPU.
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

/// Supplies a replacement when a device is lost.
pub trait Spares {
    /// Reopens the device `lost`: the same adapter with the same driver, so that results have the same bits.
    ///
    /// # Errors
    /// If it is missing or does not work.
    fn reopen(&mut self, lost: &DeviceInfo) -> Result<Box<dyn Device>, DeviceError>;

    /// Returns a different kind of device, if the user left the choice to the program.
    fn fallback(&mut self) -> Option<Box<dyn Device>>;
}

/// The devices of this machine, opened with [`open`].
#[derive(Clone, Copy, Debug)]
pub struct Installed {
    /// What the user requested.
    pub choice: DeviceChoice,
    /// Whether devices run in exact mode.
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

/// Drops a device. Even this may fail after a loss.
pub fn close(device: Box<dyn Device>) {
    gpu::quietly(|| drop(device));
}
