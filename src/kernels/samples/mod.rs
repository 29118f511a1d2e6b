//! Random kernels with random operands, which tests and `gridlight verify` run on every device and compare
//! with the [oracle](super::oracle). The same family and seed give the same sample everywhere.

mod draw;

pub use draw::Draw;

use super::Kernel;
use super::signature::{Content, OperandSpec};
use crate::base::number::to_half;
use crate::base::rng;
use crate::base::step::StepRecord;

/// A kernel and everything it needs to run.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The kernel.
    pub kernel: Kernel,
    /// Read operands.
    pub reads: Vec<Operand>,
    /// Initial contents of written operands: random numbers where the kernel reads them, else NaN.
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
    /// Random values of an operand, drawn from `stream`. A long operand repeats its first part, so that large
    /// benchmarks do not spend their time here.
    fn random(spec: &OperandSpec, stream: u32) -> Self {
        const PERIOD: usize = 65_521;
        let count = spec.words.max(1);
        let words: Vec<u32> =
            (0..count.min(PERIOD)).map(|i| rng::word([17, 4], stream, 1, i as u32)).collect();
        let words = words.iter().copied().cycle().take(count);
        match spec.content {
            Content::Normal => Operand::Floats(words.map(rng::normal).collect()),
            Content::Positive => Operand::Floats(words.map(|w| rng::normal(w).abs() + 0.01).collect()),
            Content::Weights { states } => {
                Operand::Floats(words.map(|w| rng::normal(w) / states.max(1) as f32).collect())
            }
            Content::Switch => Operand::Floats(words.map(|w| (w & 1) as f32).collect()),
            Content::Halves => {
                let pair = |w: u32| [w, w.rotate_left(16)].map(|w| u32::from(to_half(rng::normal(w))));
                Operand::Integers(words.map(pair).map(|[low, high]| low | high << 16).collect())
            }
            Content::Index { below } => Operand::Integers(words.map(|w| w % below.max(1) as u32).collect()),
            Content::Ascending { to } => {
                let last = count.saturating_sub(1).max(1);
                Operand::Integers((0..count).map(|i| (i * to / last) as u32).collect())
            }
            Content::Graphs(packed) => {
                let edge = |i: usize, word: u32| {
                    let target = (i * packed.nodes / packed.edges.max(1)) as u32;
                    [word % packed.nodes.max(1) as u32, target]
                };
                let edges: Vec<[u32; 2]> =
                    words.take(packed.edges).enumerate().map(|(i, w)| edge(i, w)).collect();
                let mut graph = vec![];
                packed.pack(&edges, &mut graph);
                Operand::Integers(graph.into_iter().cycle().take(count).collect())
            }
            // Needs the other operand.
            Content::Ordered { .. } => Operand::Integers((0..count as u32).collect()),
        }
    }

    /// The contents as device words.
    pub fn words(&self) -> Vec<u32> {
        match self {
            Operand::Floats(values) => values.iter().map(|x| x.to_bits()).collect(),
            Operand::Integers(values) => values.clone(),
        }
    }

    /// The contents as numbers for the oracle.
    pub fn numbers(&self) -> Vec<f64> {
        match self {
            Operand::Floats(values) => values.iter().map(|&x| f64::from(x)).collect(),
            Operand::Integers(values) => values.iter().map(|&x| f64::from(x)).collect(),
        }
    }

    /// Contents that reveal whether elements were written.
    pub fn unwritten(len: usize) -> Self {
        Operand::Floats(vec![f32::NAN; len])
    }

    /// The same for integers.
    pub fn unwritten_integers(len: usize) -> Self {
        Operand::Integers(vec![u32::MAX; len])
    }

    /// The number that a word of this operand represents.
    pub fn number(&self, word: u32) -> f64 {
        match self {
            Operand::Floats(_) => f64::from(f32::from_bits(word)),
            Operand::Integers(_) => f64::from(word),
        }
    }
}

/// The positions of `indices`, in each run of `run` in the order of these; those above
/// `below` count as it.
pub(super) fn ordered(indices: &[u32], below: usize, run: usize) -> Vec<u32> {
    let mut order: Vec<u32> = (0..indices.len() as u32).collect();
    for run in order.chunks_mut(run.max(1)) {
        run.sort_by_key(|&position| indices[position as usize].min(below as u32));
    }
    order
}

/// A name, as returned by [`KernelDef::name`](super::KernelDef::name), and a function that draws a sample.
pub type Family = (&'static str, fn(&mut Draw) -> Sample);

/// Names of the families.
pub fn families() -> impl Iterator<Item = &'static str> {
    super::families().map(|(name, _)| *name)
}

/// Random kernel number `seed` of a family; `None` if there is no such family.
pub fn random_kernel(family: &str, seed: u32) -> Option<Sample> {
    let (name, draw) = super::families().find(|(name, _)| *name == family)?;
    Some(draw(&mut Draw::new(name, seed)))
}

impl Sample {
    /// `kernel` with random operands of the required sizes; written operands hold NaN unless the kernel reads
    /// them.
    pub fn of(kernel: &Kernel) -> Self {
        let signature = kernel.signature();
        let count = signature.reads.len();
        let numbered = |(at, spec)| Operand::random(spec, at as u32);
        let mut reads: Vec<Operand> = signature.reads.iter().enumerate().map(numbered).collect();
        for (at, spec) in signature.reads.iter().enumerate() {
            if let Content::Ordered { by, below, run } = spec.content {
                reads[at] = Operand::Integers(ordered(&reads[by].words(), below, run));
            }
        }
        let write = |(at, spec): (usize, &OperandSpec)| match (spec.updated, spec.content) {
            (true, _) => Operand::random(spec, (count + at) as u32),
            (false, Content::Index { .. } | Content::Halves) => {
                Operand::unwritten_integers(spec.words.max(1))
            }
            (false, _) => Operand::unwritten(spec.words.max(1)),
        };
        let writes = signature.writes.iter().enumerate().map(write).collect();
        let step = StepRecord {
            step: 3,
            seed_low: 20,
            seed_high: 26,
            learning_rate: 0.01,
            optimizer: [0.5, 0.25, 0.75, 0.125],
            ..StepRecord::default()
        };
        Self { kernel: kernel.clone(), reads, writes, step }
    }

    /// The same sample with NaN in some elements of those floating-point reads where NaN has a defined
    /// effect.
    pub fn with_nan(mut self, seed: u32) -> Self {
        let mut draw = Draw::new("nan", seed);
        let signature = self.kernel.signature();
        for (read, spec) in self.reads.iter_mut().zip(&signature.reads) {
            if !spec.takes_nan {
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
