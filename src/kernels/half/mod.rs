//! Numbers in half precision while they wait to be used, and back.

pub mod native;
mod oracle;
mod sample;
mod shader;

use super::native::NativeRun;
use super::oracle::Operands;
use super::samples::Family;
use super::shader::{Shader, ShaderError};
use super::signature::{Content, OperandSpec, Signature};
use super::{Cost, KernelDef};
use crate::base::target::Target;
use crate::oracle::Approx;

/// Which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Way {
    /// Read 0: `len` numbers; write 0: [`Half::words`] words, of two numbers in half precision each, the first in the
    /// low bits. Rounded to nearest, ties to even; finite numbers beyond 65,504 become that, so that one large number
    /// does not become infinite; infinity and NaN stay what they are.
    Store,
    /// Read 0: [`Half::words`] words; write 0: `len` numbers.
    Load,
}

/// Numbers to half precision or from it. With the same bits on every device.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Half {
    /// Number of numbers.
    pub len: usize,
    /// Which way.
    pub way: Way,
}

impl Half {
    /// Words that hold `len` numbers in half precision.
    pub fn words(len: usize) -> usize {
        len.div_ceil(2)
    }
}

impl KernelDef for Half {
    fn name(&self) -> &'static str {
        match self.way {
            Way::Store => "half_store",
            Way::Load => "half_load",
        }
    }

    fn shape(&self) -> String {
        self.len.to_string()
    }

    /// Conversions count as an operation each.
    fn cost(&self) -> Cost {
        Cost { flops: self.len as u64, bytes: 4 * (self.len + Self::words(self.len)) as u64 }
    }

    fn signature(&self) -> Signature {
        let words = Self::words(self.len);
        match self.way {
            Way::Store => {
                let writes = vec![OperandSpec::new(words, Content::Halves)];
                Signature { writes, ..Signature::new(&[(self.len, Content::Normal)], &[]) }
            }
            Way::Load => Signature::new(&[(words, Content::Halves)], &[self.len]),
        }
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
        shader::half(self, target)
    }

    fn samples() -> &'static [Family] {
        &[("half_store", sample::store), ("half_load", sample::load)]
    }

    fn benchmarks() -> Vec<Self> {
        sample::benchmarks()
    }
}
