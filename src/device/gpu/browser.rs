//! The one adapter that a browser offers.

use super::device::{GpuDevice, GpuOptions};
use crate::device::DeviceError;
use crate::device::tuning::Tuning;

/// Opens the browser's adapter, in exact mode if `exact`.
///
/// # Errors
/// If there is no WebGPU, or no adapter, or it does not work.
pub async fn open(exact: bool) -> Result<GpuDevice, DeviceError> {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor {
        backends: wgpu::Backends::BROWSER_WEBGPU,
        ..wgpu::InstanceDescriptor::new_without_display_handle()
    });
    let options = wgpu::RequestAdapterOptions {
        power_preference: wgpu::PowerPreference::HighPerformance,
        ..Default::default()
    };
    let adapter = instance.request_adapter(&options).await;
    let adapter = adapter.map_err(|e| DeviceError::NoAdapter(format!("the browser offers none: {e}")))?;
    GpuDevice::open(&adapter, &GpuOptions { exact, tuning: Tuning::Off, ..GpuOptions::default() }).await
}
