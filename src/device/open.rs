//! Opens the device the user requested.

use super::adapter::AdapterReport;
use super::cpu::CpuDevice;
use super::{Device, DeviceChoice, DeviceError, DeviceInfo};

/// Opens the device of `choice`, in exact mode if `exact`. `auto` takes the first discrete GPU that works,
/// then an integrated one, then the CPU backend; `gpu` takes the best adapter that works, including software
/// adapters.
///
/// # Errors
/// If the requested adapter is missing or does not work, or an environment variable has an invalid value.
/// `auto` and `cpu` never fail for lack of a GPU.
pub fn open(choice: DeviceChoice, exact: bool) -> Result<Box<dyn Device>, DeviceError> {
    let cpu = || Box::new(CpuDevice::new(None).exact(exact));
    Ok(match choice {
        DeviceChoice::Cpu => cpu(),
        DeviceChoice::Gpu => gpus::open(None, exact)?,
        DeviceChoice::GpuNumber(number) => gpus::open(Some(number), exact)?,
        DeviceChoice::Auto => match gpus::open_automatic(exact)? {
            Some(device) => device,
            None => cpu(),
        },
    })
}

/// All adapters, with the one that `auto` takes; each is opened and tried for that.
pub fn list() -> Vec<AdapterReport> {
    gpus::list()
}

/// Where another device comes from when one is lost.
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
        gpus::open_again(lost, self.exact)
    }

    fn fallback(&mut self) -> Option<Box<dyn Device>> {
        let automatic = self.choice == DeviceChoice::Auto;
        automatic.then(|| Box::new(CpuDevice::new(None).exact(self.exact)) as Box<dyn Device>)
    }
}

/// Drops a device. Even this may fail after a loss.
pub fn close(device: Box<dyn Device>) {
    gpus::close(device);
}

/// The adapters that the GPU backend finds.
#[cfg(all(feature = "gpu", not(target_family = "wasm")))]
mod gpus {
    use super::{Device, DeviceError, DeviceInfo};
    pub use crate::device::gpu::adapters::list;
    use crate::device::gpu::{GpuOptions, adapters, quietly};
    use crate::device::tuning::Tuning;

    fn options(exact: bool) -> GpuOptions {
        GpuOptions { exact, tuning: Tuning::Known, ..GpuOptions::default() }
    }

    pub fn open(number: Option<usize>, exact: bool) -> Result<Box<dyn Device>, DeviceError> {
        Ok(Box::new(adapters::open(number, &options(exact))?))
    }

    pub fn open_automatic(exact: bool) -> Result<Option<Box<dyn Device>>, DeviceError> {
        Ok(adapters::open_automatic(&options(exact))?.map(|device| Box::new(device) as Box<dyn Device>))
    }

    pub fn open_again(lost: &DeviceInfo, exact: bool) -> Result<Box<dyn Device>, DeviceError> {
        Ok(Box::new(adapters::open_again(lost, &options(exact))?))
    }

    pub fn close(device: Box<dyn Device>) {
        quietly(|| drop(device));
    }
}

/// A build without the GPU backend finds none; in a browser, one is awaited (`gpu::browser`).
#[cfg(any(not(feature = "gpu"), target_family = "wasm"))]
mod gpus {
    use super::{AdapterReport, Device, DeviceError, DeviceInfo};

    pub fn list() -> Vec<AdapterReport> {
        vec![]
    }

    pub fn open(_number: Option<usize>, _exact: bool) -> Result<Box<dyn Device>, DeviceError> {
        Err(DeviceError::NoBackend)
    }

    pub fn open_automatic(_exact: bool) -> Result<Option<Box<dyn Device>>, DeviceError> {
        Ok(None)
    }

    pub fn open_again(_lost: &DeviceInfo, _exact: bool) -> Result<Box<dyn Device>, DeviceError> {
        Err(DeviceError::NoBackend)
    }

    pub fn close(device: Box<dyn Device>) {
        drop(device);
    }
}
