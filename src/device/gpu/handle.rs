//! An opened wgpu device, shared by its sessions.

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use super::cache::DiskCache;
use super::choices::Choices;
use super::guard::Guard;
use crate::device::DeviceError;

/// The state shared by the sessions of a device.
pub struct Gpu {
    /// Calls into wgpu, with failures as error values.
    pub guard: Guard,
    /// Where work is submitted.
    pub queue: wgpu::Queue,
    /// The limits the device was opened with.
    pub limits: wgpu::Limits,
    /// Whether the device supports timestamps.
    pub has_timestamps: bool,
    /// Whether shaders keep wgpu's checks.
    pub checked: bool,
    /// Layout of the bind group of the step record.
    pub record_layout: wgpu::BindGroupLayout,
    /// The driver's compiled code on disk.
    pub cache: Option<DiskCache>,
    /// What the tuner has chosen.
    pub choices: Mutex<Choices>,
    /// See [`Gpu::normal_table`].
    pub normal_table: OnceLock<wgpu::Buffer>,
}

impl Gpu {
    /// What the tuner has chosen.
    pub fn choices(&self) -> MutexGuard<'_, Choices> {
        self.choices.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A zeroed buffer.
    ///
    /// # Errors
    /// If there is not enough memory.
    pub fn buffer(
        &self,
        name: &str,
        bytes: u64,
        usage: wgpu::BufferUsages,
    ) -> Result<wgpu::Buffer, DeviceError> {
        self.guard.call(&format!("buffer `{name}`"), bytes, |device| {
            let size = bytes;
            device.create_buffer(&wgpu::BufferDescriptor {
                label: Some(name),
                size,
                usage,
                mapped_at_creation: false,
            })
        })
    }

    /// The quantile table of normal random numbers, uploaded on first use.
    ///
    /// # Errors
    /// If the device fails.
    pub fn normal_table(&self) -> Result<&wgpu::Buffer, DeviceError> {
        if self.normal_table.get().is_none() {
            let bytes: &[u8] = bytemuck::cast_slice(crate::base::rng::normal_table());
            let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST;
            let buffer = self.buffer("normal table", bytes.len() as u64, usage)?;
            self.guard
                .call("uploading the normal table", 0, |_| self.queue.write_buffer(&buffer, 0, bytes))?;
            let _ = self.normal_table.set(buffer);
        }
        self.normal_table.get().ok_or_else(|| DeviceError::Validation("no normal table".into()))
    }
}
