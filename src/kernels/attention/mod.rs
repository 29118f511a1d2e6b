//! Scaled dot-product attention and its gradient; the formulas are at [`crate::oracle::attention`]. No matrix of
//! queries by keys is ever in memory: rows keep a running maximum and sum (Milakov and Gimelshein 2018,
//! arXiv:1805.02867), and the gradient computes the probabilities again from the log-sums (Dao et al. 2022,
//! arXiv:2205.14135).

mod blocks;
mod exact;
mod gradient;
pub mod native;
mod oracle;
mod sample;
mod shader;

use super::matmul::sample::product;
use super::native::NativeRun;
use super::oracle::Operands;
use super::samples::Family;
use super::shader::{Shader, ShaderError};
use super::signature::{Content, Signature};
use super::{Cost, Kernel, KernelDef};
use crate::base::rng;
use crate::base::step::StepRecord;
use crate::base::target::Target;
use crate::native::operands::Operands as NativeOperands;
use crate::oracle::Approx;
pub use crate::oracle::attention::{Sizes, slope};

/// Largest width of a head: its row is kept in registers.
pub const MAX_WIDTH: usize = 256;

/// Dropout of the probabilities.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Dropout {
    /// A pair is kept if its random word is below this.
    pub threshold: u32,
    /// Bits of the factor of what is kept.
    pub factor: u32,
    /// Random stream.
    pub stream: u32,
}

impl Dropout {
    /// Whether it keeps a pair, by its element in `[B, H, T, S]`.
    fn keeps(&self, sizes: &Sizes, step: &StepRecord, pair: usize) -> bool {
        let count = sizes.batch * sizes.heads * sizes.queries * sizes.keys;
        let word =
            rng::word([step.seed_low, step.seed_high], self.stream, step.step, step.element(pair, count));
        word < self.threshold
    }

    /// The factor of a pair.
    pub fn of_pair(&self, sizes: &Sizes, step: &StepRecord, pair: usize) -> f32 {
        if self.keeps(sizes, step, pair) { f32::from_bits(self.factor) } else { 0.0 }
    }
}

/// What forward and backward have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Form {
    /// Sizes.
    pub sizes: Sizes,
    /// Bits of the factor of the scores.
    pub scale: u32,
    /// Whether the last read operand says how many keys each sequence has, `u32[B]`.
    pub lengths: bool,
    /// Dropout, in training.
    pub dropout: Option<Dropout>,
}

impl Form {
    fn scale(&self) -> f32 {
        f32::from_bits(self.scale)
    }

    /// What the scores of a head fall by for each step between query and key.
    fn slope(&self, head: usize) -> Option<f32> {
        self.sizes.alibi.then(|| slope(head, self.sizes.heads))
    }

    /// Pairs of a query and a key that it sees, if all sequences are whole.
    fn pairs(&self) -> usize {
        let Sizes { batch, heads, queries, keys, causal, .. } = self.sizes;
        let seen = if causal { queries * (queries + 1) / 2 } else { queries * keys };
        batch * heads * seen
    }

    /// For `products` multiply-adds for each pair and element, and these words moved.
    fn cost(&self, products: usize, words: usize) -> Cost {
        let flops = self.pairs() * (2 * products * self.sizes.width + 8);
        Cost { flops: flops as u64, bytes: 4 * words as u64 }
    }

    /// Products of all queries with all keys (`[T, D] x [D, S]`, `scores` of them) and of all pairs with the width of a
    /// head (`[T, S] x [S, D]`, `sums`).
    fn products(&self, scores: usize, sums: usize) -> Vec<Kernel> {
        let Sizes { batch, heads, queries, keys, width, .. } = self.sizes;
        let product = |sizes, transposed| Kernel::new(product(sizes, false, transposed, false, 1));
        let scores = (0..scores).map(|_| product([batch * heads, queries, keys, width], true));
        let sums = (0..sums).map(|_| product([batch * heads, queries, width, keys], false));
        scores.chain(sums).collect()
    }

    /// The read operands with queries, keys and values, the first of which is `first`.
    fn operands(&self, first: usize) -> [usize; 3] {
        if self.sizes.packed { [first; 3] } else { [first, first + 1, first + 2] }
    }

    /// The lengths of these operands.
    fn words(&self) -> Vec<usize> {
        let Sizes { packed, .. } = self.sizes;
        let keys = if packed { vec![] } else { vec![self.sizes.key_words(); 2] };
        [vec![self.sizes.query_words()], keys].concat()
    }

    fn shape(&self) -> String {
        let Sizes { batch, heads, key_heads, queries, keys, width, causal, alibi, packed } = self.sizes;
        let packed = if packed { " packed" } else { "" };
        let shared = if key_heads == heads { String::new() } else { format!("/{key_heads}") };
        let causal = if causal { " causal" } else { "" };
        let alibi = if alibi { " alibi" } else { "" };
        let lengths = if self.lengths { " lengths" } else { "" };
        let dropout = if self.dropout.is_some() { " dropout" } else { "" };
        format!("{batch}x{heads}{shared} {queries}x{keys}x{width}{causal}{alibi}{packed}{lengths}{dropout}")
    }

    /// NaN in what a query does not see may reach it: devices multiply it with zero.
    fn allow_nan(&self, signature: &mut Signature) {
        let sees_all = !self.sizes.causal && !self.lengths && self.dropout.is_none();
        signature.reads.iter_mut().for_each(|read| read.takes_nan = sees_all);
    }

    /// How many keys sequence `b` has.
    fn length(&self, operands: &NativeOperands, b: usize) -> usize {
        let last = operands.reads() - 1;
        if self.lengths { operands.read_words(last)[b] as usize } else { self.sizes.keys }
    }

    fn lengths(&self) -> Option<(usize, Content)> {
        self.lengths.then_some((self.sizes.batch, Content::Index { below: self.sizes.keys + 1 }))
    }
}

/// Reads: queries `[B, T, H, D]`, keys and values `[B, S, G, D]`, or one packed tensor `[B, T, H + 2 G, D]`; lengths
/// `u32[B]` if there are any.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Attention {
    /// Sizes and the like.
    pub form: Form,
    /// Positions in `writes`, where wanted: the result `[B, T, H, D]`, the log-sums `[B, T, H]`.
    pub outputs: [Option<usize>; 2],
}

/// Reads: the gradient `[B, T, H, D]`, queries, keys, values (or the packed tensor), the log-sums `[B, T, H]`, the sum
/// of the products of result and gradient of each query `[B, T, H]`, lengths.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AttentionGrad {
    /// Sizes and the like.
    pub form: Form,
    /// Positions in `writes`, where wanted: the gradients of the queries `[B, T, H, D]`, of keys and values
    /// `[2, B, S, G, D]`; or of the packed tensor alone.
    pub outputs: [Option<usize>; 2],
}

impl AttentionGrad {
    /// Whether gradients of queries, and of keys and values, are wanted.
    fn of(&self) -> [bool; 2] {
        let [first, second] = self.outputs.map(|output| output.is_some());
        [first, if self.form.sizes.packed { first } else { second }]
    }

    /// The written operands with the gradients of queries, of keys and of values, and how many elements after their
    /// places in the operands.
    fn places(&self) -> [Option<(usize, usize)>; 3] {
        self.form.sizes.gradients().map(|(output, offset)| Some((self.outputs[output]?, offset)))
    }
}

/// Where each of the outputs goes if only some are kept.
fn kept(outputs: &[usize]) -> [Option<usize>; 2] {
    [0, 1].map(|output| outputs.iter().position(|&kept| kept == output))
}

impl KernelDef for Attention {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn products(&self) -> Vec<Kernel> {
        self.form.products(1, 1)
    }

    fn shape(&self) -> String {
        self.form.shape()
    }

    fn cost(&self) -> Cost {
        let sizes = &self.form.sizes;
        let read: usize = self.form.words().iter().sum();
        self.form.cost(2, read + sizes.result_words() + sizes.statistics())
    }

    fn signature(&self) -> Signature {
        let sizes = &self.form.sizes;
        let mut reads: Vec<_> = self.form.words().into_iter().map(|words| (words, Content::Normal)).collect();
        reads.extend(self.form.lengths());
        let mut signature = Signature::new(&reads, &[]);
        signature.add_outputs(&self.outputs, &[sizes.result_words(), sizes.statistics()]);
        self.form.allow_nan(&mut signature);
        signature
    }

    fn keep_outputs(&self, outputs: &[usize]) -> Option<Kernel> {
        Some(Kernel::new(Self { outputs: kept(outputs), ..self.clone() }))
    }

    fn iterations(&self, _target: &Target) -> usize {
        self.form.sizes.keys
    }

    fn native(&self, exact: bool) -> Box<dyn NativeRun> {
        match exact {
            true => Box::new(exact::Exact(self.clone())),
            false => Box::new(self.clone()),
        }
    }

    fn oracle(&self, operands: &Operands, writes: &mut [Vec<Approx>]) {
        self.evaluate(operands, writes);
    }

    fn shader(&self, target: &Target) -> Result<Shader, ShaderError> {
        shader::attention(self, target)
    }

    fn samples() -> &'static [Family] {
        &[("attention", sample::attention)]
    }

    fn benchmarks() -> Vec<Self> {
        sample::benchmarks()
    }
}

impl KernelDef for AttentionGrad {
    fn name(&self) -> &'static str {
        "attention_grad"
    }

    fn products(&self) -> Vec<Kernel> {
        let [queries, keys] = self.of().map(usize::from);
        self.form.products(2, queries + 2 * keys)
    }

    fn shape(&self) -> String {
        self.form.shape()
    }

    /// Where both are computed at once: the scores, `dp`, `dq`, `dk` and `dv`.
    fn cost(&self) -> Cost {
        let [queries, keys] = self.of().map(usize::from);
        let words =
            self.signature().reads.iter().chain(&self.signature().writes).map(|spec| spec.words).sum();
        self.form.cost(2 + queries + 2 * keys, words)
    }

    fn signature(&self) -> Signature {
        let sizes = &self.form.sizes;
        let [queries, keys, statistics] = [sizes.query_words(), sizes.key_words(), sizes.statistics()];
        let normal = |words| (words, Content::Normal);
        let mut reads = vec![normal(sizes.result_words())];
        reads.extend(self.form.words().into_iter().map(normal));
        // Log-sums that keep the probabilities small, whatever the scores are.
        reads.push((statistics, Content::Positive));
        reads.push(normal(statistics));
        reads.extend(self.form.lengths());
        let mut signature = Signature::new(&reads, &[]);
        signature.add_outputs(&self.outputs, &[queries, 2 * keys]);
        self.form.allow_nan(&mut signature);
        signature
    }

    fn keep_outputs(&self, outputs: &[usize]) -> Option<Kernel> {
        Some(Kernel::new(Self { outputs: kept(outputs), ..self.clone() }))
    }

    fn iterations(&self, _target: &Target) -> usize {
        let Sizes { heads, key_heads, queries, keys, .. } = self.form.sizes;
        let [of_queries, of_keys] = self.of();
        let by_queries = if of_queries { keys } else { 0 };
        let by_keys = if of_keys { (queries + 1) * heads / key_heads } else { 0 };
        by_queries.max(by_keys)
    }

    fn native(&self, exact: bool) -> Box<dyn NativeRun> {
        match exact {
            true => Box::new(exact::Exact(self.clone())),
            false => Box::new(self.clone()),
        }
    }

    fn oracle(&self, operands: &Operands, writes: &mut [Vec<Approx>]) {
        self.evaluate(operands, writes);
    }

    fn shader(&self, target: &Target) -> Result<Shader, ShaderError> {
        shader::gradient(self, target)
    }

    fn samples() -> &'static [Family] {
        &[("attention_grad", sample::gradient)]
    }

    fn benchmarks() -> Vec<Self> {
        sample::gradient_benchmarks()
    }
}
