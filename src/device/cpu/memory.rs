//! The CPU backend's memory: the only place that hands out disjoint parts of shared buffers.
#![allow(unsafe_code, reason = "kernels run on several threads over disjoint parts of the program's buffers")]

use crate::device::DeviceError;
use crate::native::operands::{Operands, Part};
use crate::native::pages::Words;
use crate::plan::{Dispatch, Program};

/// Words of a line of the cache, of which buffers are multiples.
const LINE: usize = 16;

/// Buffers of a program, zeroed.
pub struct Memory {
    buffers: Vec<Words>,
}

impl Memory {
    /// Allocates every buffer of `program`.
    ///
    /// # Errors
    /// If that is more than the `available` bytes, if they are known, or there is not enough memory.
    pub fn new(program: &Program, available: Option<u64>) -> Result<Self, DeviceError> {
        // The system would grant them, and end some process once they are written to.
        let bytes = program.bytes();
        if let Some(available) = available.filter(|&available| bytes > available) {
            return Err(DeviceError::HostMemory { bytes, available });
        }
        let mut buffers = vec![];
        for buffer in &program.buffers {
            let words = Words::zeroed(buffer.words.next_multiple_of(LINE));
            let out_of_memory = || DeviceError::OutOfMemory {
                bytes: 4 * buffer.words.next_multiple_of(LINE) as u64,
                purpose: buffer.name.clone(),
            };
            buffers.push(words.ok_or_else(out_of_memory)?);
        }
        Ok(Self { buffers })
    }

    /// Bytes allocated.
    pub fn bytes(&self) -> u64 {
        self.buffers.iter().map(|words| size_of_val(&**words) as u64).sum()
    }

    /// All words of a buffer.
    pub fn words(&mut self, buffer: usize) -> &mut [f32] {
        &mut self.buffers[buffer]
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{BufferClass, BufferSpec};

    #[test]
    fn a_program_larger_than_the_machine_is_refused_before_it_is_allocated() {
        let buffer = |words| BufferSpec { name: "b".into(), words, class: BufferClass::Data };
        let program = Program { buffers: vec![buffer(64), buffer(128)], phases: vec![] };
        let bytes = program.bytes();
        assert_eq!(Memory::new(&program, Some(bytes)).unwrap().bytes(), bytes);
        assert!(Memory::new(&program, None).is_ok());
        let Err(error) = Memory::new(&program, Some(bytes - 1)) else { panic!("it was allocated") };
        assert_eq!(error, DeviceError::HostMemory { bytes, available: bytes - 1 });
        // Nothing has as much: no page of it is touched.
        let vast = Program { buffers: vec![buffer(1 << 50)], phases: vec![] };
        assert!(matches!(Memory::new(&vast, Some(1 << 40)), Err(DeviceError::HostMemory { .. })));
    }
}
