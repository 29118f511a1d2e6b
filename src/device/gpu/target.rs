//! An adapter's description, and its limits as the planner's [`Target`].

use crate::base::target::{Family, Geometry, Target};
use crate::device::{DeviceError, DeviceInfo};

/// Loop iterations one invocation may run in total: Mesa's software driver silently ends loops at 65,535.
const MAX_LOOP_ITERATIONS: u32 = 60_000;

/// The description of an adapter.
pub fn info(info: &wgpu::AdapterInfo) -> DeviceInfo {
    let kind = match info.device_type {
        wgpu::DeviceType::DiscreteGpu => "discrete",
        wgpu::DeviceType::IntegratedGpu => "integrated",
        wgpu::DeviceType::VirtualGpu => "virtual",
        wgpu::DeviceType::Other => "other",
        wgpu::DeviceType::Cpu => "software",
    };
    DeviceInfo {
        backend: info.backend.to_str().to_string(),
        name: info.name.clone(),
        driver: format!("{} {}", info.driver, info.driver_info).trim().to_string(),
        kind: kind.into(),
    }
}

/// The target of a device opened with `limits`. `subgroup_size` is the invocations of every subgroup, or 0 if
/// the size varies or subgroups cannot exchange values.
pub fn target(limits: &wgpu::Limits, family: Family, subgroup_size: u32) -> Target {
    Target {
        family,
        max_binding_bytes: limits.max_storage_buffer_binding_size,
        max_buffer_bytes: limits.max_buffer_size,
        max_storage_buffers: limits.max_storage_buffers_per_shader_stage as usize,
        max_workgroups: limits.max_compute_workgroups_per_dimension,
        max_invocations: limits.max_compute_invocations_per_workgroup,
        max_workgroup_bytes: limits.max_compute_workgroup_storage_size,
        max_loop_iterations: MAX_LOOP_ITERATIONS,
        subgroup_size,
        max_uniform_bytes: limits.max_uniform_buffer_binding_size as usize,
        max_uniform_buffers: limits.max_uniform_buffers_per_shader_stage as usize,
        exact: false,
        geometry: Geometry::usual(family),
    }
}

/// The kernel family that suits a type of adapter: software rasterisers run barriers as coroutines, so they
/// are several times faster without workgroup memory.
pub fn family(device_type: wgpu::DeviceType) -> Family {
    match device_type {
        wgpu::DeviceType::Cpu => Family::Registers,
        _ => Family::Workgroup,
    }
}

/// The family set by `GRIDLIGHT_KERNELS` (`registers` or `workgroup`), if any.
///
/// # Errors
/// If it has any other value.
pub fn family_from_environment() -> Result<Option<Family>, DeviceError> {
    match std::env::var("GRIDLIGHT_KERNELS").ok().as_deref() {
        None | Some("") => Ok(None),
        Some("registers") => Ok(Some(Family::Registers)),
        Some("workgroup") => Ok(Some(Family::Workgroup)),
        Some(other) => Err(DeviceError::Environment {
            name: "GRIDLIGHT_KERNELS",
            found: other.into(),
            allowed: "`registers` or `workgroup`",
        }),
    }
}
