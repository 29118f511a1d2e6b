//! A program loaded on a GPU.

mod command;
mod copies;
mod profile;
mod tuner;

use self::command::{Command, bind_group, command};
pub(super) use copies::strides;

use std::ops::Range;
use std::sync::Arc;

#[cfg(target_family = "wasm")]
use super::awaited::Readback;
use super::handle::Gpu;
use super::pace::{self, Launches, Pace, Place};
use super::pipelines::{self, Job};
#[cfg(not(target_family = "wasm"))]
use super::readback::Readback;
use crate::base::clock::Instant;
use crate::base::step::StepRecord;
use crate::base::target::Target;
#[cfg(target_family = "wasm")]
use crate::device::Fetch;
use crate::device::limits;
use crate::device::tuning::{Tuned, Tuning};
use crate::device::{DeviceError, DeviceInfo, Run, Session, check_phases};
use crate::kernels::shader::Shader;
#[cfg(target_family = "wasm")]
use crate::plan::Slice;
use crate::plan::{BufferId, Dispatch, Phase, Program};

/// Step records on the device at once; a call of `run` with more uploads them in several parts.
const RECORDS: usize = 1024;
/// The least number of runs that are uploaded at once, where each has the records of many copies.
const LEAST_RUNS: usize = 64;
/// Bytes given to `write_buffer` before a submission frees the staging memory behind them.
const PENDING_BYTES: u64 = 32 << 20;
/// Bytes of a step record.
const RECORD_BYTES: usize = size_of::<StepRecord>();

/// Makes the shader of a launch for a target.
pub(super) type ShaderOf<'a> = dyn Fn(&[Dispatch], &Target) -> Result<Shader, DeviceError> + 'a;

/// Buffers, bind groups and pipelines of a program.
///
/// A call of `run` uploads its step records once (64 bytes each, at the adapter's alignment) and nothing
/// within steps; everything else stays on the device. The program may be loaded several times
/// ([`crate::device::group`]); usually there is one copy.
pub struct GpuSession {
    pub(super) gpu: Arc<Gpu>,
    info: DeviceInfo,
    buffers: Vec<wgpu::Buffer>,
    pub(super) phases: Vec<Vec<Command>>,
    records: wgpu::Buffer,
    record_group: wgpu::BindGroup,
    record_stride: usize,
    /// Copies of the program: each buffer holds them one after the other.
    copies: usize,
    /// Words of each buffer of one copy.
    words: Vec<usize>,
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
        copies: usize,
    ) -> Result<Self, DeviceError> {
        limits::check_program(program, target, copies)?;
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
            buffers.push(gpu.buffer(&spec.name, 4 * (copies * spec.words).max(1) as u64, usage)?);
        }
        let words: Vec<usize> = program.buffers.iter().map(|spec| spec.words).collect();
        let compiled = pipelines::compile(gpu, &jobs)?;
        let mut ready = jobs.iter().zip(compiled);
        let mut phases = vec![];
        for phase in &program.phases {
            let mut commands = vec![];
            for (launch, (job, pipeline)) in phase.launches().zip(&mut ready) {
                commands.push(command(gpu, (&buffers, &words, copies), launch, job, &pipeline)?);
            }
            phases.push(commands);
        }
        let of_launch = |launch: &[Dispatch]| {
            copies as f64 * launch.iter().map(|d| pace::work(d.kernel.cost())).sum::<f64>()
        };
        let work = program.phases.iter().map(|p| p.launches().map(of_launch).collect()).collect();
        let record_stride =
            (copies * RECORD_BYTES).next_multiple_of(gpu.limits.min_uniform_buffer_offset_alignment as usize);
        let bytes = (runs_at_once(copies) * record_stride) as u64;
        let usage = wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST;
        let records = gpu.buffer("step records", bytes, usage)?;
        let record_group = gpu.guard.call("binding step records", 0, |device| {
            let size = wgpu::BufferSize::new((copies * RECORD_BYTES) as u64);
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
            copies,
            words,
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

    /// Puts the records of `runs` (at most [`runs_at_once`]) into the table of step records, those of a run side by
    /// side.
    pub(super) fn upload_records<'s>(
        &mut self,
        runs: impl ExactSizeIterator<Item = &'s [StepRecord]>,
    ) -> Result<(), DeviceError> {
        self.staged.clear();
        self.staged.resize(runs.len() * self.record_stride, 0);
        for (records, bytes) in runs.zip(self.staged.chunks_mut(self.record_stride)) {
            let records: &[u8] = bytemuck::cast_slice(records);
            bytes[..records.len()].copy_from_slice(records);
        }
        self.uploaded_bytes += self.staged.len() as u64;
        // The queue keeps order: submissions made before this still see the records of theirs.
        let (queue, records, staged) = (&self.gpu.queue, &self.records, &self.staged);
        self.gpu.guard.call("uploading step records", 0, |_| queue.write_buffer(records, 0, staged))
    }

    /// Puts `step` into the table as the first run, for all copies.
    pub(super) fn upload_for_all(&mut self, step: &StepRecord) -> Result<(), DeviceError> {
        let of = |copy| StepRecord { copy: copy as u32, ..*step };
        let records: Vec<StepRecord> = (0..self.copies).map(of).collect();
        self.upload_records(std::iter::once(&records[..]))
    }

    /// Encodes a launch for as many copies as run `run` of the table has records of.
    pub(super) fn encode(
        &self,
        pass: &mut wgpu::ComputePass<'_>,
        command: &Command,
        run: usize,
        copies: usize,
    ) {
        let [x, y, z] = command.workgroups;
        pass.set_pipeline(&command.pipeline);
        pass.set_bind_group(0, &command.operands[0], &[]);
        pass.set_bind_group(1, &command.operands[1], &[]);
        pass.set_bind_group(2, &self.record_group, &[(run * self.record_stride) as u32]);
        pass.dispatch_workgroups(x, y, z * copies as u32);
    }

    /// Runs phases one after the other, each for the copies that `records` has records of.
    fn run_copies<'r>(
        &mut self,
        runs: &'r [Run],
        records: impl Fn(usize) -> &'r [StepRecord],
    ) -> Result<(), DeviceError> {
        check_phases(runs, self.phases.len())?;
        self.readback.forget();
        let most = runs_at_once(self.copies);
        for (number, part) in runs.chunks(most).enumerate() {
            let first = number * most;
            self.upload_records((first..first + part.len()).map(&records))?;
            let launches = Launches::new(part, |phase| self.phases[phase].len());
            let mut left = launches.all();
            while !left.is_empty() {
                let next = self.pace.next(&launches, left.clone());
                left.start = next.end;
                let index = self.submit(&launches, next.clone(), |run| records(first + run))?;
                self.pace.submitted(&self.gpu.guard, index, &launches, next)?;
            }
        }
        self.pending_bytes = 0;
        self.gpu.guard.check()
    }

    /// Submits launches of runs whose records are in the table.
    fn submit<'r>(
        &self,
        launches: &Launches,
        range: Range<usize>,
        records: impl Fn(usize) -> &'r [StepRecord],
    ) -> Result<wgpu::SubmissionIndex, DeviceError> {
        self.gpu.guard.call("submitting steps", 0, |device| {
            let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: None });
            {
                let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
                for Place { run, phase, number } in launches.places(range) {
                    self.encode(&mut pass, &self.phases[phase][number], run, records(run).len());
                }
            }
            self.gpu.queue.submit([encoder.finish()])
        })
    }

    /// Words from `start` on of a buffer, of whatever copies they are.
    fn write_words(&mut self, buffer: BufferId, start: usize, words: &[u32]) -> Result<(), DeviceError> {
        self.part(buffer, start, words.len())?;
        self.readback.forget();
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

    fn read_words(&mut self, buffer: BufferId, start: usize, words: usize) -> Result<Vec<u32>, DeviceError> {
        self.part(buffer, start, words)?;
        self.wait()?;
        #[cfg(target_family = "wasm")]
        return self.readback.read(Slice { buffer, start, words });
        #[cfg(not(target_family = "wasm"))]
        self.readback.read(&self.gpu, &self.buffers[buffer.0 as usize], start, words)
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

/// How many runs the table of step records holds.
fn runs_at_once(copies: usize) -> usize {
    (RECORDS / copies).max(LEAST_RUNS)
}

impl Session for GpuSession {
    fn info(&self) -> &DeviceInfo {
        &self.info
    }

    fn write(&mut self, buffer: BufferId, start: usize, words: &[u32]) -> Result<(), DeviceError> {
        self.write_words(buffer, start, words)
    }

    fn read(&mut self, buffer: BufferId, start: usize, words: usize) -> Result<Vec<u32>, DeviceError> {
        self.read_words(buffer, start, words)
    }

    #[cfg(target_family = "wasm")]
    fn fetch<'s>(&'s mut self, parts: &'s [Slice]) -> Fetch<'s> {
        Box::pin(async move {
            for part in parts {
                self.part(part.buffer, part.start, part.words)?;
            }
            self.readback.fetch(&self.gpu, &self.buffers, parts).await
        })
    }

    fn run_all(&mut self, runs: &[Run]) -> Result<(), DeviceError> {
        self.run_copies(runs, |run| std::slice::from_ref(&runs[run].step))
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
