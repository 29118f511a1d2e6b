//! What the planner and the kernels know about a device.

use serde::{Deserialize, Serialize};

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
    /// Largest uniform buffer binding, in bytes.
    pub max_uniform_bytes: usize,
    /// Uniform buffers one dispatch may bind, the step record included.
    pub max_uniform_buffers: usize,
    /// Whether every operation has the same bits on every device (`train.exact`).
    pub exact: bool,
    /// How shaders are laid out.
    pub geometry: Geometry,
}

/// How shaders are laid out. All layouts compute the same bits, so that the choice, which is made by measuring
/// the adapter, can cost time alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Geometry {
    /// Most groups of eight rows of a product that an invocation of the register template computes; twice as many
    /// of a large one.
    pub row_groups: usize,
    /// Invocations along a side of a product's tile in workgroup memory, where there are enough rows and
    /// columns.
    pub side: usize,
    /// Blocks of 4 x 4 elements that such an invocation computes one below the other.
    pub row_blocks: usize,
    /// Blocks of 4 x 4 elements that such an invocation computes side by side.
    pub col_blocks: usize,
    /// Whether small read operands are uniform buffers.
    pub uniforms: bool,
}

impl Geometry {
    /// The layout that does best for most kernels of a family, as far as measured: the first guess of the
    /// tuner, and what is used without it.
    pub fn usual(family: Family) -> Self {
        let uniforms = family == Family::Registers;
        Self { row_groups: 2, side: 16, row_blocks: 1, col_blocks: 1, uniforms }
    }

    /// All layouts that the tuner may choose from; families have different ones.
    pub fn all(family: Family) -> Vec<Self> {
        let usual = Self::usual(family);
        let tiles: Vec<Self> = match family {
            Family::Native => vec![usual],
            Family::Registers => {
                [1, 2, 4].map(|row_groups| Self { row_groups, ..usual }).into_iter().collect()
            }
            Family::Workgroup => [(16, 1, 1), (8, 1, 1), (8, 2, 1), (8, 2, 2), (16, 2, 1), (16, 2, 2)]
                .map(|(side, row_blocks, col_blocks)| Self { side, row_blocks, col_blocks, ..usual })
                .into_iter()
                .collect(),
        };
        tiles.iter().flat_map(|tile| [false, true].map(|uniforms| Self { uniforms, ..*tile })).collect()
    }
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
            max_uniform_bytes: 65_536,
            max_uniform_buffers: 12,
            exact: false,
            geometry: Geometry::usual(family),
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
            max_uniform_bytes: 0,
            max_uniform_buffers: 0,
            exact: false,
            geometry: Geometry::usual(Family::Native),
        }
    }
}
