//! A program under construction: its buffers, and the places in them.

use super::spec::{Entry, Layout, ProgramSpec};
use super::{BufferClass, BufferId, BufferSpec, Program, Slice};
use crate::base::target::Target;
use crate::kernels::optimizer::Optimizer;

/// The program so far, and where things are in it.
pub(super) struct Builder<'a> {
    pub spec: &'a ProgramSpec<'a>,
    pub target: &'a Target,
    pub program: Program,
    pub layout: Layout,
}

/// Words rounded up to WebGPU's binding alignment (256 bytes).
pub(super) fn aligned(words: usize) -> usize {
    words.next_multiple_of(Optimizer::BLOCK).max(Optimizer::BLOCK)
}

impl Builder<'_> {
    pub fn add_buffer(&mut self, name: String, class: BufferClass, words: usize) -> BufferId {
        self.program.buffers.push(BufferSpec { name, class, words: aligned(words) });
        BufferId((self.program.buffers.len() - 1) as u32)
    }

    /// Adds a buffer with space for each entry; returns their slices.
    pub fn add_region(&mut self, name: &str, class: BufferClass, entries: &[Entry]) -> Vec<(String, Slice)> {
        let total = entries.iter().map(|e| aligned(e.words)).sum();
        let buffer = self.add_buffer(name.into(), class, total);
        let mut start = 0;
        let mut places = vec![];
        for entry in entries {
            places.push((entry.name.clone(), Slice { buffer, start, words: entry.words }));
            start += aligned(entry.words);
        }
        places
    }

    /// A slice for a constant tensor; equal constants share one.
    pub fn place_constant(&mut self, data: &[u32]) -> Slice {
        if let Some((slice, _)) = self.layout.constants.iter().find(|(_, known)| known == data) {
            return *slice;
        }
        let name = format!("constant {}", self.layout.constants.len());
        let buffer = self.add_buffer(name, BufferClass::Constants, data.len());
        let slice = Slice { buffer, start: 0, words: data.len() };
        self.layout.constants.push((slice, data.to_vec()));
        slice
    }
}
