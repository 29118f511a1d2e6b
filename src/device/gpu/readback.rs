//! Copies results to the host: a blocking copy through a mapped buffer that is kept between calls.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::handle::Gpu;
use crate::device::DeviceError;

/// Largest copy; longer reads take several.
const CHUNK_BYTES: u64 = 64 << 20;

/// How long to wait for the callback of a finished copy.
const CALLBACK_PATIENCE: Duration = Duration::from_secs(10);

/// The mapped buffer and the number of reads.
#[derive(Default)]
pub struct Readback {
    buffer: Option<wgpu::Buffer>,
    reads: u64,
}

impl Readback {
    /// Blocking reads so far.
    pub fn reads(&self) -> u64 {
        self.reads
    }

    /// Nothing is kept between reads.
    pub fn forget(&mut self) {}

    /// Copies words `start..start + words` of `source`; the range must be in bounds.
    ///
    /// # Errors
    /// If the device fails.
    pub fn read(
        &mut self,
        gpu: &Gpu,
        source: &wgpu::Buffer,
        start: usize,
        words: usize,
    ) -> Result<Vec<u32>, DeviceError> {
        self.reads += 1;
        let mut result = Vec::with_capacity(words);
        let end = 4 * (start + words) as u64;
        let mut at = 4 * start as u64;
        while at < end {
            let bytes = (end - at).min(CHUNK_BYTES).min(gpu.limits.max_buffer_size);
            self.chunk(gpu, source, at, bytes, &mut result)?;
            at += bytes;
        }
        Ok(result)
    }

    fn chunk(
        &mut self,
        gpu: &Gpu,
        source: &wgpu::Buffer,
        offset: u64,
        bytes: u64,
        result: &mut Vec<u32>,
    ) -> Result<(), DeviceError> {
        if self.buffer.as_ref().is_none_or(|buffer| buffer.size() < bytes) {
            let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
            self.buffer = Some(gpu.buffer("read-back", bytes, usage)?);
        }
        let Some(buffer) = &self.buffer else { return Ok(()) };
        let mapped = Arc::new(Mutex::new(None));
        let outcome = mapped.clone();
        let index = gpu.guard.call("reading results", bytes, |device| {
            let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: None });
            encoder.copy_buffer_to_buffer(source, offset, buffer, 0, bytes);
            let index = gpu.queue.submit([encoder.finish()]);
            buffer.map_async(wgpu::MapMode::Read, 0..bytes, move |result| {
                *outcome.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
            });
            index
        })?;
        gpu.guard.wait(Some(index))?;
        let taken = || mapped.lock().unwrap_or_else(PoisonError::into_inner).take();
        let mut outcome = taken();
        // Another thread waiting on the same device may have received the callback and not run it yet.
        let patience = Instant::now();
        while outcome.is_none() && patience.elapsed() < CALLBACK_PATIENCE {
            std::thread::sleep(Duration::from_micros(50));
            gpu.guard.wait(None)?;
            outcome = taken();
        }
        if !matches!(outcome, Some(Ok(()))) {
            return Err(DeviceError::Validation(format!("results cannot be mapped: {outcome:?}")));
        }
        let view = gpu.guard.call("reading results", 0, |_| buffer.get_mapped_range(0..bytes))?;
        let view = view.map_err(|e| DeviceError::Validation(e.to_string()))?;
        result.extend_from_slice(bytemuck::cast_slice(&view));
        drop(view);
        gpu.guard.call("reading results", 0, |_| buffer.unmap())
    }
}
