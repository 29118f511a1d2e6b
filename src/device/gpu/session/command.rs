//! A launch with its operands bound, ready to be encoded.

use super::super::handle::Gpu;
use super::super::pipelines::{Job, Pipeline};
use crate::device::DeviceError;
use crate::plan::{Dispatch, Slice};

/// A launch ready to be encoded.
pub struct Command {
    /// The compiled shader.
    pub pipeline: wgpu::ComputePipeline,
    /// Written and read operands, of all copies.
    pub operands: [wgpu::BindGroup; 2],
    /// Workgroups of one copy.
    pub workgroups: [u32; 3],
}

/// A launch with its operands, which lie in `buffers`; `words` are those of each buffer of one copy.
///
/// # Errors
/// If the device fails.
pub fn command(
    gpu: &Gpu,
    (buffers, words, copies): (&[wgpu::Buffer], &[usize], usize),
    launch: &[Dispatch],
    job: &Job,
    pipeline: &Pipeline,
) -> Result<Command, DeviceError> {
    let bind = |slice: &Slice| {
        let at = slice.buffer.0 as usize;
        let buffer = &buffers[at];
        // From the first copy's to the end of the last one's.
        let others = 4 * ((copies - 1) * words[at]) as u64;
        let (offset, size) = (4 * slice.start as u64, 4 * slice.words as u64 + others);
        // Shaders may read whole vectors of four words; slices start at multiples of 64 words.
        let size = wgpu::BufferSize::new(size.next_multiple_of(16).min(buffer.size() - offset));
        wgpu::BufferBinding { buffer, offset, size }
    };
    let writes: Vec<_> = launch.iter().flat_map(|d| &d.writes).map(bind).collect();
    let mut reads = vec![];
    for (number, dispatch) in launch.iter().enumerate() {
        reads.extend(dispatch.reads.iter().map(bind));
        if job.shader.normal_tables.contains(&number) {
            reads.push(gpu.normal_table()?.as_entire_buffer_binding());
        }
    }
    let layouts = &pipeline.layouts;
    let operands = gpu.guard.call(&format!("binding `{}`", job.shader.name), 0, |device| {
        [bind_group(device, &layouts.writes, &writes), bind_group(device, &layouts.reads, &reads)]
    })?;
    Ok(Command { pipeline: pipeline.pipeline.clone(), operands, workgroups: job.shader.workgroups })
}

/// Buffers as the bindings 0, 1, ... of a group.
pub fn bind_group(
    device: &wgpu::Device,
    layout: &wgpu::BindGroupLayout,
    buffers: &[wgpu::BufferBinding<'_>],
) -> wgpu::BindGroup {
    let entries: Vec<_> = buffers
        .iter()
        .enumerate()
        .map(|(binding, buffer)| wgpu::BindGroupEntry {
            binding: binding as u32,
            resource: wgpu::BindingResource::Buffer(buffer.clone()),
        })
        .collect();
    device.create_bind_group(&wgpu::BindGroupDescriptor { label: None, layout, entries: &entries })
}
