//! A program loaded several times, whose copies a launch runs together (see `kernels::shader::copies`).

use super::GpuSession;
use crate::base::step::StepRecord;
use crate::device::group::{Batch, Copies};
use crate::device::{DeviceError, Session};
use crate::kernels::shader::Shader;
use crate::kernels::shader::copies::Strides;
use crate::plan::{BufferId, Dispatch, Program, Slice};

impl GpuSession {
    /// Where words of a copy are in the buffer of all.
    fn place(&self, copy: usize, buffer: BufferId, start: usize) -> usize {
        copy * self.words.get(buffer.0 as usize).copied().unwrap_or(0) + start
    }
}

impl Copies for GpuSession {
    fn write(
        &mut self,
        copy: usize,
        buffer: BufferId,
        start: usize,
        words: &[u32],
    ) -> Result<(), DeviceError> {
        self.write_words(buffer, self.place(copy, buffer, start), words)
    }

    fn read(
        &mut self,
        copy: usize,
        buffer: BufferId,
        start: usize,
        words: usize,
    ) -> Result<Vec<u32>, DeviceError> {
        self.read_words(buffer, self.place(copy, buffer, start), words)
    }

    fn run(&mut self, batch: &Batch) -> Result<(), DeviceError> {
        self.run_copies(&batch.runs, |run| batch.records(run))
    }

    fn clear(&mut self, copy: usize) -> Result<(), DeviceError> {
        let gpu = &self.gpu;
        gpu.guard.call("clearing buffers", 0, |device| {
            let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: None });
            for (buffer, &words) in self.buffers.iter().zip(&self.words).filter(|(_, words)| **words > 0) {
                let bytes = 4 * words as u64;
                encoder.clear_buffer(buffer, copy as u64 * bytes, Some(bytes));
            }
            gpu.queue.submit([encoder.finish()]);
        })
    }

    fn profile(&mut self, phase: usize, step: &StepRecord) -> Result<Vec<f64>, DeviceError> {
        Session::profile(self, phase, step)
    }
}

/// How far apart the copies of each operand of a launch are, in the order in which they are bound.
pub fn strides(program: &Program, launch: &[Dispatch], shader: &Shader) -> Strides {
    let stride = |slice: &Slice| Some(program.buffers[slice.buffer.0 as usize].words);
    let writes = launch.iter().flat_map(|d| &d.writes).map(stride).collect();
    let mut reads = vec![];
    for (number, dispatch) in launch.iter().enumerate() {
        reads.extend(dispatch.reads.iter().map(stride));
        // The table is the same for all.
        reads.extend(shader.normal_tables.contains(&number).then_some(None));
    }
    [writes, reads]
}
