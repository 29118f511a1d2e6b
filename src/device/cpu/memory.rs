//! The CPU backend's memory: the only place that hands out disjoint parts of shared buffers.
#![allow(unsafe_code, reason = "kernels run on several threads over disjoint parts of the program's buffers")]

use crate::device::DeviceError;
use crate::native::operands::{Operands, Part};
use crate::plan::{Dispatch, Program};

/// 64 bytes: the alignment of every buffer.
#[repr(C, align(64))]
#[derive(Clone, Copy)]
struct Line([f32; 16]);

/// Buffers of a program, zeroed.
pub struct Memory {
    buffers: Vec<Vec<Line>>,
}

impl Memory {
    /// Allocates every buffer of `program`.
    ///
    /// # Errors
    /// If there is not enough memory.
    pub fn new(program: &Program) -> Result<Self, DeviceError> {
        let mut buffers = vec![];
        for buffer in &program.buffers {
            let count = buffer.words.div_ceil(16);
            let mut lines = vec![];
            let (bytes, purpose) = (64 * count as u64, buffer.name.clone());
            lines.try_reserve_exact(count).map_err(|_| DeviceError::OutOfMemory { bytes, purpose })?;
            lines.resize(count, Line([0.0; 16]));
            buffers.push(lines);
        }
        Ok(Self { buffers })
    }

    /// Bytes allocated.
    pub fn bytes(&self) -> u64 {
        self.buffers.iter().map(|b| 64 * b.len() as u64).sum()
    }

    /// All words of a buffer.
    pub fn words(&mut self, buffer: usize) -> &mut [f32] {
        let lines = &mut self.buffers[buffer];
        // SAFETY: a `Line` is 16 `f32` without padding, and the slice is borrowed mutably from `self`.
        unsafe { std::slice::from_raw_parts_mut(lines.as_mut_ptr().cast(), 16 * lines.len()) }
    }

    /// The operands of a dispatch of a validated program. They stay valid for as long as the memory: buffers
    /// are never resized.
    pub fn operands(&mut self, dispatch: &Dispatch) -> Operands {
        let mut part = |slice: &crate::plan::Slice| {
            let words = self.words(slice.buffer.0 as usize);
            Part::of(&mut words[slice.start..slice.start + slice.words])
        };
        let reads = dispatch.reads.iter().map(&mut part).collect();
        let writes = dispatch.writes.iter().map(&mut part).collect();
        // SAFETY: buffers are never resized, and `CpuSession` keeps this memory for as long as the operands.
        unsafe { Operands::new(reads, writes) }
    }
}
