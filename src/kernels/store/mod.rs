//! Copies a step's results (loss, predictions) to the step's place in a result buffer.

pub mod native;
mod oracle;
mod sample;
mod shader;

use super::native::NativeRun;
use super::oracle::Operands;
use super::samples::Family;
use super::shader::{Shader, ShaderError};
use super::signature::{Content, Signature};
use super::{Cost, KernelDef};
use crate::base::target::Target;
use crate::oracle::Approx;

/// Read `i`: `widths[i]` words; write `i`: result buffer, written from word `step.slot * widths[i]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Store {
    /// Words of each result.
    pub widths: Vec<usize>,
}

impl KernelDef for Store {
    fn name(&self) -> &'static str {
        "store"
    }

    fn shape(&self) -> String {
        self.widths.iter().map(|w| w.to_string()).collect::<Vec<_>>().join("+")
    }

    fn cost(&self) -> Cost {
        Cost { flops: 0, bytes: 8 * self.widths.iter().sum::<usize>() as u64 }
    }

    fn signature(&self) -> Signature {
        let reads: Vec<_> = self.widths.iter().map(|&width| (width, Content::Normal)).collect();
        Signature::new(&reads, &self.widths)
    }

    fn iterations(&self, _target: &Target) -> usize {
        0
    }

    fn native(&self, _exact: bool) -> Box<dyn NativeRun> {
        Box::new(self.clone())
    }

    fn oracle(&self, operands: &Operands, writes: &mut [Vec<Approx>]) {
        self.evaluate(operands, writes);
    }

    fn shader(&self, target: &Target) -> Result<Shader, ShaderError> {
        shader::store(self, target)
    }

    fn samples() -> &'static [Family] {
        &[("store", sample::store)]
    }

    fn benchmarks() -> Vec<Self> {
        sample::benchmarks()
    }
}
