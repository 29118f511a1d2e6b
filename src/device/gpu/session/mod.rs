//! A program loaded on a GPU.

mod profile;
mod tuner;

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use super::handle::Gpu;
use super::pace::{self, Launches, Pace};
use super::pipelines::{self, Job, Pipeline};
use super::readback::Readback;
use crate::base::step::StepRecord;
use crate::base::target::Target;
use crate::device::limits;
use crate::device::tuning::{Tuned, Tuning};
use crate::device::{DeviceError, DeviceInfo, Run, Session, check_phases};
use crate::kernels::shader::Shader;
use crate::plan::{BufferId, Dispatch, Phase, Program, Slice};

/// Step records on the device at once; a call of `run` with more uploads them in several parts.
const RECORDS: usize = 1024;
/// Bytes given to `write_buffer` before a submission frees the staging memory behind them.
const PENDING_BYTES: u64 = 32 << 20;
/// Bytes of a step record.
const RECORD_BYTES: usize = size_of::<StepRecord>();

/// Makes the shader of a launch for a target.
pub(super) type ShaderOf<'a> = dyn Fn(&[Dispatch], &Target) -> Result<Shader, DeviceError> + 'a;

/// A launch ready to be encoded.
pub(super) struct Command {
    pipeline: wgpu::ComputePipeline,
    writes: wgpu::BindGroup,
    reads: wgpu::BindGroup,
    workgroups: [u32; 3],
}

/// Buffers, bind groups and pipelines of a program.
///
/// A call of `run` uploads its step records once (64 bytes each, at the adapter's alignment) and nothing
/// within steps; everything else stays on the device.
pub struct GpuSession {
    pub(super) gpu: Arc<Gpu>,
    info: DeviceInfo,
    buffers: Vec<wgpu::Buffer>,
    pub(super) phases: Vec<Vec<Command>>,
    records: wgpu::Buffer,
    record_group: wgpu::BindGroup,
    record_stride: usize,
    staged: Vec<u8>,
    pace: Pace,
    readback: Readback,
    pending_bytes: u64,
    allocated_bytes: u64,
    uploaded_bytes: u64,
    /// What the tuner measured when the program was loaded.
    tuned: Vec<Tuned>,
}

impl GpuSession {
    /// Allocates, compiles and binds.
    ///
    /// # Errors
    /// If the program does not fit, a shader is refused or the device fails.
    pub(super) fn load(
        gpu: &Arc<Gpu>,
        info: &DeviceInfo,
        target: &Target,
        program: &Program,
        shader_of: &ShaderOf,
        tuning: Tuning,
    ) -> Result<Self, DeviceError> {
        limits::check_program(program, target)?;
        let uses = matches!(tuning, Tuning::Known | Tuning::Measure(_));
        let mut jobs = vec![];
        for launch in program.phases.iter().flat_map(Phase::launches) {
            let mut shader = shader_of(launch, target)?;
            let known = if uses { gpu.choices().of(&shader.source) } else { None };
            if let Some(geometry) = known.filter(|geometry| *geometry != target.geometry) {
                shader = shader_of(launch, &Target { geometry, ..target.clone() })?;
            }
            limits::check_shader(launch, &shader, target)?;
            jobs.push(Job::new(launch, shader));
        }
        let usage = wgpu::BufferUsages::STORAGE
            | wgpu::BufferUsages::UNIFORM
            | wgpu::BufferUsages::COPY_SRC
            | wgpu::BufferUsages::COPY_DST;
        let mut buffers = vec![];
        for spec in &program.buffers {
            // A buffer of no bytes cannot be created, and nothing can name a part of it.
            buffers.push(gpu.buffer(&spec.name, 4 * spec.words.max(1) as u64, usage)?);
        }
        let compiled = pipelines::compile(gpu, &jobs)?;
        let mut ready = jobs.iter().zip(compiled);
        let mut phases = vec![];
        for phase in &program.phases {
            let mut commands = vec![];
            for (launch, (job, pipeline)) in phase.launches().zip(&mut ready) {
                commands.push(command(gpu, &buffers, launch, job, &pipeline)?);
            }
            phases.push(commands);
        }
        let of_launch = |launch: &[Dispatch]| launch.iter().map(|d| pace::work(d.kernel.cost())).sum();
        let work = program.phases.iter().map(|p| p.launches().map(of_launch).collect()).collect();
        let record_stride = RECORD_BYTES.max(gpu.limits.min_uniform_buffer_offset_alignment as usize);
        let bytes = (RECORDS * record_stride) as u64;
        let usage = wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST;
        let records = gpu.buffer("step records", bytes, usage)?;
        let record_group = gpu.guard.call("binding step records", 0, |device| {
            let size = wgpu::BufferSize::new(RECORD_BYTES as u64);
            let binding = wgpu::BufferBinding { buffer: &records, offset: 0, size };
            bind_group(device, &gpu.record_layout, &[binding])
        })?;
        let mut session = Self {
            gpu: gpu.clone(),
            info: info.clone(),
            allocated_bytes: buffers.iter().map(wgpu::Buffer::size).sum(),
            buffers,
            pace: Pace::new(work),
            phases,
            records,
            record_group,
            record_stride,
            staged: vec![],
            readback: Readback::default(),
            pending_bytes: 0,
            uploaded_bytes: 0,
            tuned: vec![],
        };
        if let Tuning::Measure(budget) | Tuning::Again(budget) = tuning {
            session.tune(program, target, shader_of, Instant::now() + budget, uses)?;
        }
        if let Some(cache) = &gpu.cache {
            cache.save();
        }
        Ok(session)
    }

    /// Puts `steps` (at most [`RECORDS`]) into the table of step records.
    pub(super) fn upload_records<'s>(
        &mut self,
        steps: impl ExactSizeIterator<Item = &'s StepRecord>,
    ) -> Result<(), DeviceError> {
        self.staged.clear();
        self.staged.resize(steps.len() * self.record_stride, 0);
        for (record, bytes) in steps.zip(self.staged.chunks_mut(self.record_stride)) {
            bytes[..RECORD_BYTES].copy_from_slice(bytemuck::bytes_of(record));
        }
        self.uploaded_bytes += self.staged.len() as u64;
        // The queue keeps order: submissions made before this still see the records of theirs.
        let (queue, records, staged) = (&self.gpu.queue, &self.records, &self.staged);
        self.gpu.guard.call("uploading step records", 0, |_| queue.write_buffer(records, 0, staged))
    }

    /// Encodes one dispatch with the record at position `record` of the table.
    pub(super) fn encode(&self, pass: &mut wgpu::ComputePass<'_>, command: &Command, record: usize) {
        pass.set_pipeline(&command.pipeline);
        pass.set_bind_group(0, &command.writes, &[]);
        pass.set_bind_group(1, &command.reads, &[]);
        pass.set_bind_group(2, &self.record_group, &[(record * self.record_stride) as u32]);
        let [x, y, z] = command.workgroups;
        pass.dispatch_workgroups(x, y, z);
    }

    /// Submits launches of runs whose records are in the table.
    fn submit(&self, launches: &Launches, range: Range<usize>) -> Result<wgpu::SubmissionIndex, DeviceError> {
        self.gpu.guard.call("submitting steps", 0, |device| {
            let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: None });
            {
                let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
                for launch in launches.places(range) {
                    self.encode(&mut pass, &self.phases[launch.phase][launch.number], launch.run);
                }
            }
            self.gpu.queue.submit([encoder.finish()])
        })
    }

    /// A buffer by number, if words `start..start + words` lie in it.
    fn part(&self, buffer: BufferId, start: usize, words: usize) -> Result<&wgpu::Buffer, DeviceError> {
        let found = self.buffers.get(buffer.0 as usize);
        let end = start.checked_add(words).and_then(|end| end.checked_mul(4));
        match (found, end) {
            (Some(found), Some(end)) if end as u64 <= found.size() => Ok(found),
            _ => Err(DeviceError::Validation(format!(
                "words {start}..{start}+{words} do not lie in buffer {} of this program",
                buffer.0
            ))),
        }
    }
}

fn command(
    gpu: &Gpu,
    buffers: &[wgpu::Buffer],
    launch: &[Dispatch],
    job: &Job,
    pipeline: &Pipeline,
) -> Result<Command, DeviceError> {
    let bind = |slice: &Slice| {
        let (offset, size) = (4 * slice.start as u64, 4 * slice.words as u64);
        let buffer = &buffers[slice.buffer.0 as usize];
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
    gpu.guard.call(&format!("binding `{}`", job.shader.name), 0, |device| Command {
        pipeline: pipeline.pipeline.clone(),
        writes: bind_group(device, &layouts.writes, &writes),
        reads: bind_group(device, &layouts.reads, &reads),
        workgroups: job.shader.workgroups,
    })
}

fn bind_group(
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

impl Session for GpuSession {
    fn info(&self) -> &DeviceInfo {
        &self.info
    }

    fn write(&mut self, buffer: BufferId, start: usize, words: &[u32]) -> Result<(), DeviceError> {
        self.part(buffer, start, words.len())?;
        let mut at = start;
        for part in words.chunks(PENDING_BYTES as usize / 4) {
            let bytes: &[u8] = bytemuck::cast_slice(part);
            let (queue, target) = (&self.gpu.queue, &self.buffers[buffer.0 as usize]);
            self.gpu.guard.call("uploading", bytes.len() as u64, |_| {
                queue.write_buffer(target, 4 * at as u64, bytes);
            })?;
            at += part.len();
            self.uploaded_bytes += bytes.len() as u64;
            self.pending_bytes += bytes.len() as u64;
            if self.pending_bytes >= PENDING_BYTES {
                self.pending_bytes = 0;
                let index = self.gpu.guard.call("submitting an upload", 0, |_| queue.submit([]))?;
                self.gpu.guard.wait(Some(index))?;
            }
        }
        Ok(())
    }

    fn read(&mut self, buffer: BufferId, start: usize, words: usize) -> Result<Vec<u32>, DeviceError> {
        self.part(buffer, start, words)?;
        self.wait()?;
        let source = &self.buffers[buffer.0 as usize];
        self.readback.read(&self.gpu, source, start, words)
    }

    fn run_all(&mut self, runs: &[Run]) -> Result<(), DeviceError> {
        check_phases(runs, self.phases.len())?;
        for part in runs.chunks(RECORDS) {
            self.upload_records(part.iter().map(|run| &run.step))?;
            let launches = Launches::new(part, |phase| self.phases[phase].len());
            let mut left = launches.all();
            while !left.is_empty() {
                let next = self.pace.next(&launches, left.clone());
                left.start = next.end;
                let index = self.submit(&launches, next.clone())?;
                self.pace.submitted(&self.gpu.guard, index, &launches, next)?;
            }
        }
        self.pending_bytes = 0;
        self.gpu.guard.check()
    }

    fn wait(&mut self) -> Result<(), DeviceError> {
        self.pace.finish(&self.gpu.guard)
    }

    fn profile(&mut self, phase: usize, step: &StepRecord) -> Result<Vec<f64>, DeviceError> {
        profile::profile(self, phase, step)
    }

    fn tuned(&self) -> &[Tuned] {
        &self.tuned
    }

    fn allocated_bytes(&self) -> u64 {
        self.allocated_bytes
    }

    fn traffic(&self) -> (u64, u64) {
        (self.uploaded_bytes, self.readback.reads())
    }
}
