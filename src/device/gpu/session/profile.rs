//! Seconds per launch, for `plan` and `bench`: from GPU timestamps where available, else by waiting for each
//! launch.

use super::{Command, GpuSession};
use crate::base::clock::Instant;
use crate::base::step::StepRecord;
use crate::device::{DeviceError, Run, Session, check_phases};

/// Dispatches timed with one query set; WebGPU allows 4,096 queries.
const PER_SET: usize = 1024;

/// Runs one step of `phase` and returns the seconds of each launch.
///
/// With timestamps, each dispatch gets its own pass. Without, each is submitted and waited for, which adds
/// the cost of a submission (tens of microseconds) to each figure.
///
/// # Errors
/// If the device fails.
pub fn profile(session: &mut GpuSession, phase: usize, step: &StepRecord) -> Result<Vec<f64>, DeviceError> {
    check_phases(&[Run { phase, step: *step }], session.phases.len())?;
    session.wait()?;
    session.upload_for_all(step)?;
    let mut seconds = vec![];
    let mut at = 0;
    while at < session.phases[phase].len() {
        let end = (at + PER_SET).min(session.phases[phase].len());
        if session.gpu.has_timestamps {
            seconds.extend(timestamps(session, phase, at..end)?);
        } else {
            for dispatch in at..end {
                seconds.push(session.timed(&session.phases[phase][dispatch], 1)?);
            }
        }
        at = end;
    }
    Ok(seconds)
}

/// In a browser nothing can be waited for.
#[cfg(target_family = "wasm")]
fn timestamps(_: &GpuSession, _: usize, _: std::ops::Range<usize>) -> Result<Vec<f64>, DeviceError> {
    Err(DeviceError::Validation("a browser does not time launches".into()))
}

#[cfg(not(target_family = "wasm"))]
fn timestamps(
    session: &GpuSession,
    phase: usize,
    range: std::ops::Range<usize>,
) -> Result<Vec<f64>, DeviceError> {
    let gpu = &session.gpu;
    let commands = &session.phases[phase][range];
    let queries = 2 * commands.len() as u32;
    let bytes = 8 * u64::from(queries);
    let usage = wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC;
    let resolved = gpu.buffer("timestamps", bytes, usage)?;
    gpu.guard.call("timing dispatches", bytes, |device| {
        let set = device.create_query_set(&wgpu::QuerySetDescriptor {
            label: None,
            ty: wgpu::QueryType::Timestamp,
            count: queries,
        });
        let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: None });
        for (at, command) in commands.iter().enumerate() {
            let writes = wgpu::ComputePassTimestampWrites {
                query_set: &set,
                beginning_of_pass_write_index: Some(2 * at as u32),
                end_of_pass_write_index: Some(2 * at as u32 + 1),
            };
            let descriptor = wgpu::ComputePassDescriptor { label: None, timestamp_writes: Some(writes) };
            session.encode(&mut encoder.begin_compute_pass(&descriptor), command, 0, session.copies);
        }
        encoder.resolve_query_set(&set, 0..queries, &resolved, 0);
        gpu.queue.submit([encoder.finish()])
    })?;
    let words =
        crate::device::gpu::readback::Readback::default().read(gpu, &resolved, 0, 2 * queries as usize)?;
    let ticks: Vec<u64> = words.chunks(2).map(|w| u64::from(w[0]) | u64::from(w[1]) << 32).collect();
    let period = f64::from(gpu.queue.get_timestamp_period()) * 1e-9;
    Ok(ticks.chunks(2).map(|t| t[1].saturating_sub(t[0]) as f64 * period).collect())
}

impl GpuSession {
    /// Seconds per run of a launch for all copies, with the first records of the table, over `runs` consecutive
    /// ones that are waited for.
    pub(super) fn timed(&self, command: &Command, runs: usize) -> Result<f64, DeviceError> {
        let gpu = &self.gpu;
        let start = Instant::now();
        let index = gpu.guard.call("timing a dispatch", 0, |device| {
            let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: None });
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            for _ in 0..runs {
                self.encode(&mut pass, command, 0, self.copies);
            }
            drop(pass);
            gpu.queue.submit([encoder.finish()])
        })?;
        gpu.guard.wait(Some(index))?;
        Ok(start.elapsed().as_secs_f64() / runs as f64)
    }
}
