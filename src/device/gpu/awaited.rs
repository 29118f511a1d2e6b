//! Copies results to the host in a browser, where nothing may wait for them: they are awaited, and read afterwards.

use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};

use super::handle::Gpu;
use crate::device::DeviceError;
use crate::plan::Slice;

/// Largest copy; longer ones take several.
const CHUNK_BYTES: u64 = 64 << 20;

/// What was copied since the last run, the mapped buffer, and the number of copies.
#[derive(Default)]
pub struct Readback {
    buffer: Option<wgpu::Buffer>,
    fetched: Vec<(Slice, Vec<u32>)>,
    reads: u64,
}

/// The outcome of a mapping, and who awaits it.
#[derive(Default)]
struct Mapping {
    outcome: Option<Result<(), wgpu::BufferAsyncError>>,
    waker: Option<Waker>,
}

impl Readback {
    /// Copies so far.
    pub fn reads(&self) -> u64 {
        self.reads
    }

    /// Forgets what was copied: it is about to change.
    pub fn forget(&mut self) {
        self.fetched.clear();
    }

    /// The words `part` of a buffer, which lie in a part that was fetched.
    ///
    /// # Errors
    /// If they do not: nothing can wait for them.
    pub fn read(&self, part: Slice) -> Result<Vec<u32>, DeviceError> {
        let found = self.fetched.iter().find_map(|(slice, words)| {
            let from = part.start.checked_sub(slice.start)?;
            (slice.buffer == part.buffer).then(|| words.get(from..from + part.words))?
        });
        found.map(<[u32]>::to_vec).ok_or_else(|| {
            let reason = format!("{part:?} is read before it was fetched, which a browser cannot wait for");
            DeviceError::Validation(reason)
        })
    }

    /// Copies `parts` of `buffers`; they must be in bounds.
    ///
    /// # Errors
    /// If the device fails, or anything before it failed.
    pub async fn fetch(
        &mut self,
        gpu: &Gpu,
        buffers: &[wgpu::Buffer],
        parts: &[Slice],
    ) -> Result<(), DeviceError> {
        self.reads += 1;
        for part in parts {
            let source = &buffers[part.buffer.0 as usize];
            let mut words = Vec::with_capacity(part.words);
            while words.len() < part.words {
                let start = part.start + words.len();
                let most = CHUNK_BYTES.min(gpu.limits.max_buffer_size) as usize / 4;
                let count = (part.words - words.len()).min(most);
                self.chunk(gpu, source, (start, count), &mut words).await?;
            }
            self.fetched.push((*part, words));
        }
        Ok(())
    }

    async fn chunk(
        &mut self,
        gpu: &Gpu,
        source: &wgpu::Buffer,
        (start, count): (usize, usize),
        words: &mut Vec<u32>,
    ) -> Result<(), DeviceError> {
        let bytes = 4 * count as u64;
        if self.buffer.as_ref().is_none_or(|buffer| buffer.size() < bytes) {
            let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
            self.buffer = Some(gpu.buffer("read-back", bytes, usage)?);
        }
        let Some(buffer) = &self.buffer else { return Ok(()) };
        let mapping = Arc::new(Mutex::new(Mapping::default()));
        let mapped = mapping.clone();
        gpu.guard.call("reading results", bytes, |device| {
            let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: None });
            encoder.copy_buffer_to_buffer(source, 4 * start as u64, buffer, 0, bytes);
            gpu.queue.submit([encoder.finish()]);
            buffer.map_async(wgpu::MapMode::Read, 0..bytes, move |result| {
                let mut mapped = mapped.lock().unwrap_or_else(PoisonError::into_inner);
                mapped.outcome = Some(result);
                if let Some(waker) = mapped.waker.take() {
                    waker.wake();
                }
            });
        })?;
        let outcome = std::future::poll_fn(|context| {
            let mut mapping = mapping.lock().unwrap_or_else(PoisonError::into_inner);
            match mapping.outcome.take() {
                Some(outcome) => Poll::Ready(outcome),
                None => {
                    mapping.waker = Some(context.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await;
        // What failed before these results is known by now.
        gpu.guard.check()?;
        outcome.map_err(|e| DeviceError::Validation(format!("results cannot be mapped: {e}")))?;
        let view = buffer.get_mapped_range(0..bytes).map_err(|e| DeviceError::Validation(e.to_string()))?;
        // The copy in a browser's memory is not aligned to words.
        words.extend(
            view.chunks_exact(4).map(|bytes| u32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])),
        );
        drop(view);
        buffer.unmap();
        Ok(())
    }
}
