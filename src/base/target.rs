//! What the planner and the kernels know about a device.

/// A device as plain data, so that plans for any adapter can be made and tested on any machine.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// Kernel family.
    pub family: Family,
    /// Largest storage buffer binding, in bytes.
    pub max_binding_bytes: u64,
    /// Largest buffer, in bytes.
    pub max_buffer_bytes: u64,
    /// Storage buffers one dispatch may bind.
    pub max_storage_buffers: usize,
    /// Workgroups per dispatch dimension.
    pub max_workgroups: u32,
    /// Invocations per workgroup.
    pub max_invocations: u32,
    /// Bytes of workgroup memory.
    pub max_workgroup_bytes: u32,
    /// Loop iterations one invocation may run in total (software drivers silently truncate longer loops).
    pub max_loop_iterations: u32,
    /// Invocations per subgroup if shaders may exchange values within subgroups and all have the same size;
    /// else 0.
    pub subgroup_size: u32,
    /// Whether every operation has the same bits on every device (`train.exact`).
    pub exact: bool,
}

/// The kernel implementations that suit a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// Native code on the CPU.
    Native,
    /// WGSL with register tiles, no workgroup memory and no barriers, for software rasterisers.
    Registers,
    /// WGSL with workgroup-memory tiles, for GPUs.
    Workgroup,
}

impl Target {
    /// The limits every WebGPU implementation guarantees; the shipped experiments must fit them.
    pub fn webgpu_minimum(family: Family) -> Self {
        Self {
            family,
            max_binding_bytes: 128 << 20,
            max_buffer_bytes: 256 << 20,
            max_storage_buffers: 8,
            max_workgroups: 65_535,
            max_invocations: 256,
            max_workgroup_bytes: 16_384,
            max_loop_iterations: 60_000,
            subgroup_size: 0,
            exact: false,
        }
    }

    /// The CPU backend, limited only by host memory.
    pub fn native() -> Self {
        Self {
            family: Family::Native,
            max_binding_bytes: 1 << 40,
            max_buffer_bytes: 1 << 40,
            max_storage_buffers: 64,
            max_workgroups: u32::MAX,
            max_invocations: 1,
            max_workgroup_bytes: 0,
            max_loop_iterations: u32::MAX,
            subgroup_size: 0,
            exact: false,
        }
    }
}
