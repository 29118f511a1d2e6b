//! Times the geometries of a program's launches on the device, the heaviest launch first, and keeps the fastest
//! of each. All compute the same bits, so a wrong measurement costs time and nothing else.

use std::time::Duration;

use super::{Command, GpuSession, ShaderOf, command};
use crate::base::clock::Instant;
use crate::base::order::Order;
use crate::base::step::StepRecord;
use crate::base::target::{Geometry, Target};
use crate::device::DeviceError;
use crate::device::gpu::pace;
use crate::device::gpu::pipelines::{self, Job};
use crate::device::tuning::{Tried, Tuned};
use crate::plan::{Dispatch, Program};

/// A geometry must save this part of the time to be chosen: less is noise.
const GAIN: f64 = 0.05;
/// Duration of a series of runs of one geometry.
const REPEAT: Duration = Duration::from_millis(8);
/// Series of repetitions, of which the fastest counts.
const SERIES: usize = 2;
/// Most runs in a series.
const MOST_RUNS: usize = 64;

/// One launch of the program.
struct Place<'a> {
    phase: usize,
    number: usize,
    launch: &'a [Dispatch],
    /// Its shader in the usual geometry.
    source: String,
    /// Estimated work.
    work: f64,
}

impl GpuSession {
    /// Measures launches until `end`, only those whose geometry is not known if `unknown`, and clears all buffers
    /// after: no data may have been uploaded.
    ///
    /// # Errors
    /// If the device fails.
    pub(super) fn tune(
        &mut self,
        program: &Program,
        target: &Target,
        shader_of: &ShaderOf,
        end: Instant,
        unknown: bool,
    ) -> Result<(), DeviceError> {
        let mut places = self.places(program, target, shader_of, unknown)?;
        places.order_by(|a, b| b.work.total_cmp(&a.work));
        self.upload_for_all(&StepRecord::default())?;
        for place in places {
            if Instant::now() >= end {
                break;
            }
            self.tune_launch(&place, target, shader_of, end)?;
        }
        if !self.tuned.is_empty() {
            self.gpu.choices().save();
            self.clear()?;
        }
        Ok(())
    }

    /// The launches to measure, each shader once.
    fn places<'a>(
        &self,
        program: &'a Program,
        target: &Target,
        shader_of: &ShaderOf,
        unknown: bool,
    ) -> Result<Vec<Place<'a>>, DeviceError> {
        let mut found: Vec<Place> = vec![];
        for (phase, launches) in program.phases.iter().enumerate() {
            for (number, launch) in launches.launches().enumerate() {
                let source = shader_of(launch, target)?.source;
                let known = unknown && self.gpu.choices().of(&source).is_some();
                if !known && found.iter().all(|place| place.source != source) {
                    let work = launch.iter().map(|d| pace::work(d.kernel.cost())).sum();
                    found.push(Place { phase, number, launch, source, work });
                }
            }
        }
        Ok(found)
    }

    /// Measures one launch, as far as there is time until `end`.
    fn tune_launch(
        &mut self,
        place: &Place,
        target: &Target,
        shader_of: &ShaderOf,
        end: Instant,
    ) -> Result<(), DeviceError> {
        let mut jobs: Vec<(Geometry, Job)> = vec![];
        for geometry in Geometry::all(target.family) {
            let shader = shader_of(place.launch, &Target { geometry, ..target.clone() })?;
            let is_new = |(_, job): &(Geometry, Job)| job.shader.source != shader.source;
            if shader.source != place.source && jobs.iter().all(is_new) {
                jobs.push((geometry, Job::new(place.launch, shader)));
            }
        }
        if jobs.is_empty() {
            return Ok(());
        }
        let usual = self.time(target.geometry, &self.phases[place.phase][place.number])?;
        // Tiles of more rows take longer to compile, at least in proportion.
        jobs.retain(|(geometry, _)| {
            let rows = geometry.row_groups as f64 / target.geometry.row_groups as f64;
            let guess = 2.0 * usual.first_seconds * rows;
            Instant::now() + Duration::from_secs_f64(guess) < end
        });
        let (geometries, jobs): (Vec<Geometry>, Vec<Job>) = jobs.into_iter().unzip();
        let gpu = self.gpu.clone();
        let compiled = pipelines::compile(&gpu, &jobs)?;
        let mut best = (target.geometry, (1.0 - GAIN) * usual.seconds);
        let mut tried = vec![usual];
        let mut chosen = None;
        for ((geometry, job), pipeline) in geometries.into_iter().zip(&jobs).zip(compiled) {
            if Instant::now() >= end {
                break;
            }
            let command =
                command(&gpu, (&self.buffers, &self.words, self.copies), place.launch, job, &pipeline)?;
            let time = self.time(geometry, &command)?;
            if time.seconds < best.1 {
                best = (geometry, time.seconds);
                chosen = Some(command);
            }
            tried.push(time);
        }
        if let Some(command) = chosen {
            self.phases[place.phase][place.number] = command;
        }
        let kernels = place.launch.iter().map(|d| format!("{} {}", d.kernel.name(), d.kernel.shape()));
        let launch = kernels.collect::<Vec<_>>().join(" | ");
        let tuned = Tuned { launch, chosen: best.0, tried };
        gpu.choices().set(&place.source, tuned.clone());
        self.tuned.push(tuned);
        Ok(())
    }

    /// Times a launch: its first run, which drivers may compile in, and the fastest of several others.
    fn time(&self, geometry: Geometry, command: &Command) -> Result<Tried, DeviceError> {
        let first_seconds = self.timed(command, 1)?;
        let mut seconds = self.timed(command, 1)?;
        let runs = ((REPEAT.as_secs_f64() / seconds.max(1e-9)) as usize).clamp(1, MOST_RUNS);
        for _ in 0..SERIES {
            seconds = seconds.min(self.timed(command, runs)?);
        }
        Ok(Tried { geometry, seconds, first_seconds })
    }

    /// Zeros in all buffers, as they were allocated.
    fn clear(&mut self) -> Result<(), DeviceError> {
        let gpu = &self.gpu;
        let index = gpu.guard.call("clearing buffers", 0, |device| {
            let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: None });
            for buffer in &self.buffers {
                encoder.clear_buffer(buffer, 0, None);
            }
            gpu.queue.submit([encoder.finish()])
        })?;
        gpu.guard.wait(Some(index))
    }
}
