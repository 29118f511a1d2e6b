//! From shaders to pipelines: equal sources are compiled once, several at a time, with explicit layouts.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::handle::Gpu;
use crate::device::DeviceError;
use crate::kernels::shader::Shader;
use crate::plan::Dispatch;

/// Bind group layouts of a shader: writes, reads, step record.
pub struct Layouts {
    /// Group 0: `var<storage, read_write>`.
    pub writes: wgpu::BindGroupLayout,
    /// Group 1: `var<storage, read>`.
    pub reads: wgpu::BindGroupLayout,
}

/// A compiled shader.
#[derive(Clone)]
pub struct Pipeline {
    /// The compiled pipeline.
    pub pipeline: wgpu::ComputePipeline,
    /// Layouts of its bind groups.
    pub layouts: Arc<Layouts>,
}

/// A shader and the number of its bindings.
pub struct Job {
    /// The source.
    pub shader: Shader,
    /// Written bindings.
    pub writes: usize,
    /// Read bindings, including the normal table.
    pub reads: usize,
}

impl Job {
    /// The shader of `launch`.
    pub fn new(launch: &[Dispatch], shader: Shader) -> Self {
        let writes = launch.iter().map(|d| d.writes.len()).sum();
        let reads = launch.iter().map(|d| d.reads.len()).sum::<usize>() + shader.normal_tables.len();
        Self { shader, writes, reads }
    }

    /// Checks that the shader declares exactly the operands that will be bound. A driver does not object to
    /// an extra one; in a shader shared by several kernels, it would shift the operands of the next kernel.
    fn check(&self) -> Result<(), DeviceError> {
        let Shader { name, source, .. } = &self.shader;
        let declared = [0, 1].map(|group| source.matches(&format!("@group({group}) @binding(")).count());
        let bound = [self.writes, self.reads];
        if declared == bound {
            return Ok(());
        }
        let reason = format!(
            "shader `{name}` declares {declared:?} written and read operands, but {bound:?} are bound"
        );
        Err(DeviceError::Validation(reason))
    }
}

/// Compiles all `jobs`, on as many threads as the machine has cores; equal sources share a pipeline.
///
/// # Errors
/// The first failure, in the order of `jobs`.
pub fn compile(gpu: &Gpu, jobs: &[Job]) -> Result<Vec<Pipeline>, DeviceError> {
    let mut unique: BTreeMap<&str, usize> = BTreeMap::new();
    let mut firsts = vec![];
    let mut picks = vec![];
    for job in jobs {
        job.check()?;
        let pick = *unique.entry(&job.shader.source).or_insert_with(|| {
            firsts.push(job);
            firsts.len() - 1
        });
        picks.push(pick);
    }
    let next = AtomicUsize::new(0);
    let results: Vec<Mutex<Option<Result<Pipeline, DeviceError>>>> =
        firsts.iter().map(|_| Mutex::new(None)).collect();
    let work = || {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(job) = firsts.get(at) else { break };
            *results[at].lock().unwrap_or_else(PoisonError::into_inner) = Some(build(gpu, job));
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from).clamp(1, 8);
    std::thread::scope(|scope| {
        for _ in 1..threads.min(firsts.len()) {
            scope.spawn(work);
        }
        work();
    });
    let mut compiled = vec![];
    for result in results {
        let result = result.into_inner().unwrap_or_else(PoisonError::into_inner);
        compiled.push(result.unwrap_or_else(|| Err(DeviceError::Validation("not compiled".into())))?);
    }
    Ok(picks.into_iter().map(|pick| compiled[pick].clone()).collect())
}

fn build(gpu: &Gpu, job: &Job) -> Result<Pipeline, DeviceError> {
    let name = &job.shader.name;
    gpu.guard.call(&format!("compiling shader `{name}`"), 0, |device| {
        let module = super::trusted::shader_module(device, name, &job.shader.source, gpu.checked);
        let writes = storage_layout(device, job.writes, false, &[]);
        let reads = storage_layout(device, job.reads, true, &job.shader.uniforms);
        let layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some(name),
            bind_group_layouts: &[Some(&writes), Some(&reads), Some(&gpu.record_layout)],
            immediate_size: 0,
        });
        let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(name),
            layout: Some(&layout),
            module: &module,
            entry_point: Some("main"),
            compilation_options: wgpu::PipelineCompilationOptions {
                constants: &[],
                zero_initialize_workgroup_memory: gpu.checked,
            },
            cache: gpu.cache.as_ref().map(|cache| &cache.pipelines),
        });
        Pipeline { pipeline, layouts: Arc::new(Layouts { writes, reads }) }
    })
}

/// Layout of `bindings` buffers in storage, but for the `uniforms` among them.
fn storage_layout(
    device: &wgpu::Device,
    bindings: usize,
    read_only: bool,
    uniforms: &[usize],
) -> wgpu::BindGroupLayout {
    let kind = |binding: usize| match uniforms.contains(&binding) {
        true => wgpu::BufferBindingType::Uniform,
        false => wgpu::BufferBindingType::Storage { read_only },
    };
    let entries: Vec<_> =
        (0..bindings).map(|binding| layout_entry(binding as u32, kind(binding), false)).collect();
    device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: None, entries: &entries })
}

/// Layout of group 2: one step record, at a dynamic offset.
pub fn record_layout(device: &wgpu::Device) -> wgpu::BindGroupLayout {
    device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
        label: Some("step record"),
        entries: &[layout_entry(0, wgpu::BufferBindingType::Uniform, true)],
    })
}

fn layout_entry(
    binding: u32,
    ty: wgpu::BufferBindingType,
    has_dynamic_offset: bool,
) -> wgpu::BindGroupLayoutEntry {
    wgpu::BindGroupLayoutEntry {
        binding,
        visibility: wgpu::ShaderStages::COMPUTE,
        ty: wgpu::BindingType::Buffer { ty, has_dynamic_offset, min_binding_size: None },
        count: None,
    }
}
