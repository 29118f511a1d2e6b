//! Puts values in their places at the end of a pass: a step's results (loss, predictions) at the step's place in a result
//! buffer, and sums whose parts were computed apart.

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

/// Read `i`: the parts of value `i`, one after the other; write `i`: their sum, in the order of parts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Store {
    /// What is put in place.
    pub values: Vec<Stored>,
}

/// A value, and where in its write it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Stored {
    /// Its words.
    pub words: usize,
    /// Parts that are added up, of as many words each; one is copied as it is, be it numbers or not.
    pub parts: usize,
    /// Whether it goes to word `step.slot * words`, and not to the first.
    pub by_step: bool,
}

impl Stored {
    /// A result of one part, at the step's place.
    pub fn result(words: usize) -> Self {
        Self { words, parts: 1, by_step: true }
    }

    /// Words of all parts.
    pub fn read(&self) -> usize {
        self.words * self.parts
    }
}

impl KernelDef for Store {
    fn name(&self) -> &'static str {
        "store"
    }

    fn shape(&self) -> String {
        let value = |stored: &Stored| match stored.parts {
            1 => stored.words.to_string(),
            parts => format!("{} of {parts} parts", stored.words),
        };
        self.values.iter().map(value).collect::<Vec<_>>().join(" + ")
    }

    fn cost(&self) -> Cost {
        let words: usize = self.values.iter().map(|stored| stored.words).sum();
        let read: usize = self.values.iter().map(Stored::read).sum();
        Cost { flops: (read - words) as u64, bytes: 4 * (read + words) as u64 }
    }

    fn signature(&self) -> Signature {
        let reads: Vec<_> = self.values.iter().map(|stored| (stored.read(), Content::Normal)).collect();
        let writes: Vec<_> = self.values.iter().map(|stored| stored.words).collect();
        Signature::new(&reads, &writes)
    }

    fn iterations(&self, _target: &Target) -> usize {
        self.values.iter().map(|stored| stored.parts).max().unwrap_or(0)
    }

    fn native(&self, exact: bool) -> Box<dyn NativeRun> {
        Box::new(native::NativeStore::new(self, exact))
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
