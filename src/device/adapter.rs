//! GPU adapters as `gridlight devices` shows them.

use super::DeviceInfo;

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
