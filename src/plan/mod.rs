//! The plan: everything that will run, as data, before anything runs.
//!
//! A [`Program`] holds all buffers of a run and one list of dispatches per phase (train step, evaluation
//! batch). It can be printed, compared and checked without a device. A device allocates exactly these buffers
//! and runs exactly these dispatches.

mod access;
mod builder;
mod columns;
mod compile;
mod data;
mod draft;
mod drafter;
mod emit;
mod forward;
mod fuse;
mod gather;
mod groups;
mod halves;
mod launch;
mod memory;
mod recompute;
mod recurrence;
mod saving;
mod settle;
mod spec;
mod stage;
mod text;
mod trust;
mod update;
mod validate;
mod view;

use crate::kernels::shader::Bound;
use crate::kernels::{Cost, Kernel};
pub use columns::{ByteValues, DataColumn, DataLayout, DataPart, DataSpec};
pub use recompute::compile;
pub use saving::{Recompute, Saved};
pub use spec::{
    Augmentation, Batches, Compiled, Entry, Gradients, ImageChanges, Layout, OptimizerSpec, ParameterSet,
    Part, PassSpec, PhaseLayout, PhaseSpec, PlanError, ProgramSpec, ResultLayout, SetLayout, UpdateSpec,
};
pub use text::{KernelReport, KindBytes, PlanReport, align, quantity};

/// A buffer of a program: position in [`Program::buffers`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BufferId(pub u32);

/// The contents of a buffer; classes are separate buffers because a GPU tracks hazards per buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum BufferClass {
    /// Trained tensors, one contiguous region.
    Parameters,
    /// Their gradients, same layout.
    Gradients,
    /// One optimizer state slot, same layout.
    OptimizerState,
    /// Running statistics.
    State,
    /// Constant tensors.
    Constants,
    /// Data set columns and row orders.
    Data,
    /// Results kept for the host: losses, predictions.
    Results,
    /// Intermediate values that share memory over time.
    Activations,
}

/// One buffer.
#[derive(Clone, Debug, PartialEq)]
pub struct BufferSpec {
    /// For display: `activations 1`, `parameters`.
    pub name: String,
    /// Its contents.
    pub class: BufferClass,
    /// Length in 32-bit words; a multiple of 64.
    pub words: usize,
}

/// A range of a buffer, in words. `start` is a multiple of 64 (256 bytes, WebGPU's binding alignment).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Slice {
    /// The buffer.
    pub buffer: BufferId,
    /// First word.
    pub start: usize,
    /// Words in use (not rounded up).
    pub words: usize,
}

/// A kernel and the memory it works on.
///
/// Invariants, checked by [`Program::validate`]: within a launch, no write overlaps a read or another write,
/// and no buffer is both read and written.
#[derive(Clone, Debug, PartialEq)]
pub struct Dispatch {
    /// The kernel.
    pub kernel: Kernel,
    /// Read operands.
    pub reads: Vec<Slice>,
    /// Written operands (also read where the body uses `Previous`).
    pub writes: Vec<Slice>,
    /// The layers whose nodes this dispatch computes, for display.
    pub label: String,
    /// Launch number. Dispatches of a phase with the same number are independent: a GPU runs them as one.
    pub launch: usize,
}

impl Dispatch {
    /// The kernel and how much is bound to its read operands.
    pub fn bound(&self) -> Bound<'_> {
        Bound { kernel: &self.kernel, reads: self.reads.iter().map(|slice| slice.words).collect() }
    }
}

/// A list of dispatches run in order, once per step.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Phase {
    /// `train`, `evaluate`.
    pub name: String,
    /// The dispatches in order.
    pub dispatches: Vec<Dispatch>,
}

/// All buffers and phases of a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Program {
    /// Buffers, allocated once.
    pub buffers: Vec<BufferSpec>,
    /// Phases.
    pub phases: Vec<Phase>,
}

impl Phase {
    /// Groups of dispatches that run as one launch, in order.
    pub fn launches(&self) -> impl Iterator<Item = &[Dispatch]> {
        self.dispatches.chunk_by(|a, b| a.launch == b.launch)
    }

    /// Sum of the dispatches' costs.
    pub fn cost(&self) -> Cost {
        self.dispatches
            .iter()
            .map(|d| d.kernel.cost())
            .fold(Cost::default(), |a, b| Cost { flops: a.flops + b.flops, bytes: a.bytes + b.bytes })
    }
}

impl Program {
    /// Total bytes of all buffers, as a device allocates them.
    pub fn bytes(&self) -> u64 {
        self.buffers.iter().map(|b| 4 * b.words as u64).sum()
    }

    /// Bytes of the buffers of one class.
    pub fn class_bytes(&self, class: BufferClass) -> u64 {
        self.buffers.iter().filter(|b| b.class == class).map(|b| 4 * b.words as u64).sum()
    }
}
