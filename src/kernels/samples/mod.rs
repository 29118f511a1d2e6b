//! Random kernels with random operands: what tests and `gridlight verify` run on every device and compare with
//! the [oracle](super::oracle). The same family and seed give the same sample everywhere.

mod augment;
mod body;
mod families;
mod pools;
mod recurrences;

pub use body::Draw;

use super::Kernel;
use crate::base::step::StepRecord;

/// A kernel and everything it needs to run.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The kernel.
    pub kernel: Kernel,
    /// Read operands.
    pub reads: Vec<Operand>,
    /// Written operands as they are before: random numbers where the kernel reads them, else NaN.
    pub writes: Vec<Operand>,
    /// The step.
    pub step: StepRecord,
}

/// Contents of an operand.
#[derive(Clone, Debug, PartialEq)]
pub enum Operand {
    /// `f32` elements.
    Floats(Vec<f32>),
    /// `u32` elements.
    Integers(Vec<u32>),
}

impl Operand {
    /// As words for a device.
    pub fn words(&self) -> Vec<u32> {
        match self {
            Operand::Floats(values) => values.iter().map(|x| x.to_bits()).collect(),
            Operand::Integers(values) => values.clone(),
        }
    }

    /// As numbers for the oracle.
    pub fn numbers(&self) -> Vec<f64> {
        match self {
            Operand::Floats(values) => values.iter().map(|&x| f64::from(x)).collect(),
            Operand::Integers(values) => values.iter().map(|&x| f64::from(x)).collect(),
        }
    }

    /// Elements that show whether they were written.
    pub fn unwritten(len: usize) -> Self {
        Operand::Floats(vec![f32::NAN; len])
    }

    /// The same of integers.
    pub fn unwritten_integers(len: usize) -> Self {
        Operand::Integers(vec![u32::MAX; len])
    }

    /// The number that a word of this operand stands for.
    pub fn number(&self, word: u32) -> f64 {
        match self {
            Operand::Floats(_) => f64::from(f32::from_bits(word)),
            Operand::Integers(_) => f64::from(word),
        }
    }
}

/// Makes a sample from random draws.
type Family = fn(&mut Draw) -> Sample;

/// Every kernel family and how its samples are drawn.
const FAMILIES: [(&str, Family); 17] = [
    ("batch", families::batch),
    ("matmul", families::matmul),
    ("pointwise", families::pointwise),
    ("reduce", families::reduce),
    ("softmax", families::softmax),
    ("cross_entropy", families::cross_entropy),
    ("gather", families::gather),
    ("gather_grad", families::gather_grad),
    ("gradient_norm", families::gradient_norm),
    ("optimizer", families::optimizer),
    ("store", families::store),
    ("conv", families::conv),
    ("pool", pools::pool),
    ("pool_grad", pools::pool_grad),
    ("augment", augment::augment),
    ("recurrence", recurrences::recurrence),
    ("recurrence_grad", recurrences::recurrence_grad),
];

/// Names of the families, as [`Kernel::name`] gives them.
pub fn families() -> impl Iterator<Item = &'static str> {
    FAMILIES.iter().map(|(name, _)| *name)
}

/// Random kernel number `seed` of a family; `None` if there is no such family.
pub fn random_kernel(family: &str, seed: u32) -> Option<Sample> {
    let at = FAMILIES.iter().position(|(name, _)| *name == family)?;
    Some(FAMILIES[at].1(&mut Draw::new(at as u32, seed)))
}

impl Sample {
    /// The same sample with NaN in some elements of its floating-point reads. A convolution's weights stay finite:
    /// whether a weight outside the image counts is left open.
    pub fn with_nan(mut self, seed: u32) -> Self {
        let mut draw = Draw::new(u32::MAX, seed);
        let weights = (self.kernel.name() == "conv").then_some(1);
        for (at, read) in self.reads.iter_mut().enumerate() {
            if weights == Some(at) {
                continue;
            }
            if let Operand::Floats(values) = read {
                for _ in 0..values.len().div_ceil(16) {
                    let at = draw.below(values.len());
                    values[at] = f32::NAN;
                }
            }
        }
        self
    }
}
