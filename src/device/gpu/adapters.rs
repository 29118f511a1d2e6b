//! Lists the installed adapters and selects one.

use super::device::{GpuDevice, GpuOptions};
use super::target;
use crate::device::adapter::{AdapterLimits, AdapterReport};
use crate::device::{DeviceError, DeviceInfo};

/// The installed adapters, best first. The position is the number users give.
fn installed() -> Vec<wgpu::Adapter> {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor {
        backends: wgpu::Backends::VULKAN | wgpu::Backends::METAL | wgpu::Backends::DX12,
        // No driver debug layers, and no validation of indirect dispatches, which are not used.
        flags: wgpu::InstanceFlags::empty(),
        ..wgpu::InstanceDescriptor::new_without_display_handle()
    });
    let mut adapters = pollster::block_on(instance.enumerate_adapters(wgpu::Backends::all()));
    adapters.sort_by_key(|adapter| rank(adapter.get_info().device_type));
    adapters
}

/// Order of preference; `auto` takes only the first two ranks.
fn rank(device_type: wgpu::DeviceType) -> usize {
    match device_type {
        wgpu::DeviceType::DiscreteGpu => 0,
        wgpu::DeviceType::IntegratedGpu => 1,
        wgpu::DeviceType::VirtualGpu => 2,
        wgpu::DeviceType::Other => 3,
        wgpu::DeviceType::Cpu => 4,
    }
}

/// Whether `auto` may select an adapter of this type.
fn is_automatic(device_type: wgpu::DeviceType) -> bool {
    rank(device_type) <= 1
}

/// All adapters, marking the one that `auto` selects. Each is opened and tested for that.
pub fn list() -> Vec<AdapterReport> {
    let mut taken = false;
    let mut reports = vec![];
    for (number, adapter) in installed().into_iter().enumerate() {
        let info = adapter.get_info();
        let opened = GpuDevice::open(&adapter, &GpuOptions::default());
        let (auto, why) = match opened {
            Err(error) => (false, format!("cannot be used: {error}")),
            Ok(_) if !is_automatic(info.device_type) => {
                (false, "used only on request: not a discrete or integrated GPU".to_string())
            }
            Ok(_) if taken => (false, "a better adapter comes first".to_string()),
            Ok(_) => (true, "the first discrete GPU, else the first integrated one".to_string()),
        };
        taken |= auto;
        let limits = adapter.limits();
        reports.push(AdapterReport {
            number,
            info: target::info(&info),
            features: features(adapter.features()),
            limits: AdapterLimits {
                max_buffer_bytes: limits.max_buffer_size,
                max_binding_bytes: limits.max_storage_buffer_binding_size,
                max_storage_buffers: limits.max_storage_buffers_per_shader_stage,
                max_workgroups: limits.max_compute_workgroups_per_dimension,
                max_invocations: limits.max_compute_invocations_per_workgroup,
                max_workgroup_bytes: limits.max_compute_workgroup_storage_size,
            },
            auto,
            why,
        });
    }
    reports
}

/// Names of the optional features that this program uses or that tell users what their GPU supports.
fn features(available: wgpu::Features) -> Vec<String> {
    let known = [
        (wgpu::Features::TIMESTAMP_QUERY, "timestamp-query"),
        (wgpu::Features::PIPELINE_CACHE, "pipeline-cache"),
        (wgpu::Features::SHADER_F16, "shader-f16"),
        (wgpu::Features::SUBGROUP, "subgroup"),
        (wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX, "cooperative-matrix"),
    ];
    known.iter().filter(|(f, _)| available.contains(*f)).map(|(_, name)| name.to_string()).collect()
}

/// Opens adapter number `number`, or the best one that works.
///
/// # Errors
/// If there is none, or it does not work.
pub fn open(number: Option<usize>, options: &GpuOptions) -> Result<GpuDevice, DeviceError> {
    let adapters = installed();
    if let Some(number) = number {
        let missing =
            || DeviceError::NoSuchAdapter(among(&adapters, &format!("there is no adapter gpu:{number}")));
        return GpuDevice::open(adapters.get(number).ok_or_else(missing)?, options);
    }
    let mut failure = None;
    for adapter in &adapters {
        match GpuDevice::open(adapter, options) {
            Ok(device) => return Ok(device),
            Err(error) => failure = failure.or(Some(error)),
        }
    }
    Err(failure.unwrap_or_else(|| DeviceError::NoAdapter(among(&adapters, "no GPU driver is installed"))))
}

/// Opens the adapter described by `info`, and no other.
///
/// # Errors
/// If it is missing or does not work.
pub fn open_again(info: &DeviceInfo, options: &GpuOptions) -> Result<GpuDevice, DeviceError> {
    let adapters = installed();
    let found = adapters.iter().find(|adapter| target::info(&adapter.get_info()) == *info);
    let missing = || DeviceError::NoAdapter(among(&adapters, &format!("{} is gone", info.name)));
    GpuDevice::open(found.ok_or_else(missing)?, options)
}

/// Opens the adapter that `auto` selects: the first discrete GPU that works, then an integrated one. [`list`]
/// reports why other adapters were not selected.
///
/// # Errors
/// If an environment variable has an invalid value.
pub fn open_automatic(options: &GpuOptions) -> Result<Option<GpuDevice>, DeviceError> {
    target::family_from_environment()?;
    let adapters = installed();
    let mut candidates = adapters.iter().filter(|a| is_automatic(a.get_info().device_type));
    Ok(candidates.find_map(|adapter| GpuDevice::open(adapter, options).ok()))
}

/// A message that lists the adapters there are, for a number or kind that does not exist.
fn among(adapters: &[wgpu::Adapter], asked: &str) -> String {
    let names: Vec<String> =
        adapters.iter().enumerate().map(|(i, a)| format!("gpu:{i} {}", a.get_info().name)).collect();
    let there = if names.is_empty() { "none".to_string() } else { names.join(", ") };
    format!(
        "{asked}; adapters with a Vulkan, Metal or DX12 driver: {there}; install the GPU's driver or use \
         `--device cpu`"
    )
}
