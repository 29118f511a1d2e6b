//! Ordered reduction: sum or maximum of a fused prologue, then a fused epilogue.
//!
//! The iteration shape is `kept ++ reduced`. For each kept index the prologue's value is combined over the
//! reduced indices in a fixed order, which is the same for every device class: cut into `chunk`s, and within
//! a chunk as the kernel documents.

pub mod native;
mod oracle;
mod sample;
mod shader;

use super::native::NativeRun;
use super::oracle::Operands;
use super::samples::Family;
use super::shader::{Shader, ShaderError};
use super::signature::Signature;
use super::{Cost, KernelDef};
use crate::base::target::Target;
use crate::base::tensor::{Shape, elements};
use crate::oracle::Approx;
use crate::scalar::ReduceKind;
use crate::scalar::{Body, Reg};

/// One reduction.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reduce {
    /// Sum or maximum.
    pub kind: ReduceKind,
    /// Extents that stay.
    pub kept: Shape,
    /// Extents that are combined.
    pub reduced: Shape,
    /// Over the iteration shape `kept ++ reduced`: loads and arithmetic; it stores nothing.
    pub prologue: Body,
    /// Register of the prologue that is combined.
    pub value: Reg,
    /// Elements of the flattened reduced extents combined into one result; `None` combines all. With
    /// `Some(c)`, the results are partial: the epilogue's iteration shape is `kept ++ [ceil(R / c)]`.
    pub chunk: Option<usize>,
    /// Over `kept` (or `kept ++ [chunks]`); `Accumulator` is the combined value.
    pub epilogue: Body,
}

impl Reduce {
    /// Elements combined per kept index.
    pub fn reduced_len(&self) -> usize {
        elements(&self.reduced)
    }

    /// Partial results per kept index.
    pub fn chunks(&self) -> usize {
        self.chunk.map_or(1, |c| self.reduced_len().div_ceil(c.max(1)).max(1))
    }

    /// Iteration shape of the prologue.
    pub fn input_shape(&self) -> Shape {
        self.kept.iter().chain(&self.reduced).copied().collect()
    }

    /// Iteration shape of the epilogue.
    pub fn output_shape(&self) -> Shape {
        let mut shape = self.kept.clone();
        if self.chunk.is_some() {
            shape.push(self.chunks());
        }
        shape
    }
}

impl KernelDef for Reduce {
    fn name(&self) -> &'static str {
        "reduce"
    }

    fn shape(&self) -> String {
        let kind = match self.kind {
            ReduceKind::Sum => "sum",
            ReduceKind::Max => "max",
        };
        format!(
            "{kind} {:?} over {:?} {} ops",
            self.kept,
            self.reduced,
            self.prologue.flops() + self.epilogue.flops()
        )
    }

    fn cost(&self) -> Cost {
        let (inputs, outputs) = (self.input_shape(), self.output_shape());
        let flops = elements(&inputs) as u64 * (self.prologue.flops() + 1)
            + elements(&outputs) as u64 * self.epilogue.flops();
        let bytes = super::body_bytes(&self.prologue, &inputs) + super::body_bytes(&self.epilogue, &outputs);
        Cost { flops, bytes }
    }

    fn signature(&self) -> Signature {
        let mut signature = Signature::default();
        signature.add_body(&self.prologue, &self.input_shape());
        signature.add_body(&self.epilogue, &self.output_shape());
        signature
    }

    fn bodies(&self) -> Vec<&Body> {
        vec![&self.prologue, &self.epilogue]
    }

    fn iterations(&self, _target: &Target) -> usize {
        self.chunk.unwrap_or_else(|| self.reduced_len())
    }

    fn native(&self, exact: bool) -> Box<dyn NativeRun> {
        Box::new(native::NativeReduce::new(self, exact))
    }

    fn oracle(&self, operands: &Operands, writes: &mut [Vec<Approx>]) {
        self.evaluate(operands, writes);
    }

    fn shader(&self, target: &Target) -> Result<Shader, ShaderError> {
        shader::reduce(self, target)
    }

    fn samples() -> &'static [Family] {
        &[("reduce", sample::reduce)]
    }

    fn benchmarks() -> Vec<Self> {
        sample::benchmarks()
    }
}
