//! From what the user asked for to an opened device.

use super::cpu::CpuDevice;
use super::{Device, DeviceChoice, DeviceError, DeviceInfo};

/// One adapter as `gridlight devices` shows it.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct AdapterReport {
    /// Number for `--device gpu:N`.
    pub number: usize,
    /// Name, driver, backend and type.
    #[serde(flatten)]
    pub info: DeviceInfo,
    /// Optional features that are used when present.
    pub features: Vec<String>,
    /// Limits that decide what fits.
    pub limits: AdapterLimits,
    /// Whether `--device auto` takes it.
    pub auto: bool,
    /// Why `auto` takes it or not.
    pub why: String,
}

/// Limits that decide what fits on an adapter.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct AdapterLimits {
    /// Largest buffer, in bytes.
    pub max_buffer_bytes: u64,
    /// Largest storage buffer binding, in bytes.
    pub max_binding_bytes: u64,
    /// Storage buffers of one kernel.
    pub max_storage_buffers: u32,
    /// Workgroups in one dimension of a dispatch.
    pub max_workgroups: u32,
    /// Invocations of a workgroup.
    pub max_invocations: u32,
    /// Bytes of workgroup memory.
    pub max_workgroup_bytes: u32,
}

/// Opens the device of `choice`, with the same bits as every other device if `exact`: `auto` takes the first discrete GPU that works, then an integrated one, then
/// the CPU backend; `gpu` the best adapter that works, software ones included.
///
/// # Errors
/// If the adapter asked for is not there or does not work, or an environment variable cannot be followed. `auto`
/// and `cpu` never fail for want of a GPU.
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
        gpus::open_again(lost, self.exact)
    }

    fn fallback(&mut self) -> Option<Box<dyn Device>> {
        let automatic = self.choice == DeviceChoice::Auto;
        automatic.then(|| Box::new(CpuDevice::new(None).exact(self.exact)) as Box<dyn Device>)
    }
}

/// Lets go of a device. One that was lost may fail even at that.
pub fn close(device: Box<dyn Device>) {
    gpus::close(device);
}

/// The adapters that the GPU backend finds.
#[cfg(feature = "gpu")]
mod gpus {
    use super::{Device, DeviceError, DeviceInfo};
    pub use crate::device::gpu::adapters::list;
    use crate::device::gpu::{GpuOptions, adapters, quietly};

    fn options(exact: bool) -> GpuOptions {
        GpuOptions { exact, ..GpuOptions::default() }
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

/// A build without the GPU backend finds none.
#[cfg(not(feature = "gpu"))]
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
