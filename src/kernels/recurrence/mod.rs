//! Recurrences over time: every step of a layer and direction in one kernel, each row of the batch by itself.
//!
//! With `G_t = W_ih x_t + b_ih`, computed for all steps before, and `R_t = W_hh h_(t-1)` (for a GRU
//! `+ b_hh`), PyTorch's `nn.RNN`, `nn.LSTM` and `nn.GRU`:
//!
//! | cell | gates | step |
//! |---|---|---|
//! | tanh, relu | 1 | `h_t = f(G + R)` |
//! | LSTM | i, f, g, o | `c_t = sigmoid(f) c_(t-1) + sigmoid(i) tanh(g)`, `h_t = sigmoid(o) tanh(c_t)` |
//! | GRU | r, z, n | `n = tanh(G_n + sigmoid(r) R_n)`, `h_t = (1 - sigmoid(z)) n + sigmoid(z) h_(t-1)` |

pub mod native;
mod oracle;
mod parts;
mod rules;
mod sample;
mod shader;
mod units;

use super::native::NativeRun;
use super::oracle::Operands;
use super::samples::Family;
use super::shader::{Shader, ShaderError};
use super::signature::{Content, Signature};
use super::{Cost, Kernel, KernelDef};
use crate::base::target::Target;
use crate::oracle::Approx;
pub use parts::{Part, Path};

/// What a step computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cell {
    /// `tanh`, Elman's.
    Tanh,
    /// `max(x, 0)`
    Relu,
    /// Long short-term memory (Hochreiter and Schmidhuber 1997).
    Lstm,
    /// Gated recurrent unit (Cho et al. 2014, arXiv:1406.1078), the reset gate after the product.
    Gru,
}

impl Cell {
    /// Rows of the weights for each hidden unit.
    pub fn gates(self) -> usize {
        match self {
            Cell::Tanh | Cell::Relu => 1,
            Cell::Lstm => 4,
            Cell::Gru => 3,
        }
    }

    /// Values of each unit and step that the gradient needs besides states: the LSTM's gates i, f, g, o, the
    /// GRU's r, z, n and `R_n`.
    pub fn saved(self) -> usize {
        match self {
            Cell::Tanh | Cell::Relu => 0,
            Cell::Lstm | Cell::Gru => 4,
        }
    }

    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Cell::Tanh => "tanh",
            Cell::Relu => "relu",
            Cell::Lstm => "lstm",
            Cell::Gru => "gru",
        }
    }
}

/// Sizes of a scan over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Scan {
    /// What a step computes.
    pub cell: Cell,
    /// Steps, `T`.
    pub steps: usize,
    /// Rows, `B`.
    pub batch: usize,
    /// Hidden units, `H`.
    pub hidden: usize,
    /// Whether it goes from the last step to the first.
    pub reverse: bool,
}

impl Scan {
    /// `g H`
    pub fn width(&self) -> usize {
        self.cell.gates() * self.hidden
    }

    /// The position in time of step number `step` of the scan.
    pub fn time(&self, step: usize) -> usize {
        if self.reverse { self.steps - 1 - step } else { step }
    }

    fn shape(&self) -> String {
        let Scan { cell, steps, batch, hidden, reverse } = *self;
        let reverse = if reverse { " reverse" } else { "" };
        format!("{} {steps}x{batch}x{hidden}{reverse}", cell.name())
    }

    /// Of `steps` steps with a product for each but the first or the last if `products` is one less, which
    /// move `values` values for each unit.
    fn cost(&self, steps: usize, products: usize, values: usize) -> Cost {
        let units = self.batch * self.hidden;
        let flops = units * (2 * products * self.width() + 20 * steps);
        let words = units * steps * values + self.width() * self.hidden;
        Cost { flops: flops as u64, bytes: 4 * words as u64 }
    }
}

/// The states of the steps of a part. Reads: `G` `[T, B, g H]`, `W_hh` `[g H, H]`, `h_0` `[B, H]`, then of an
/// LSTM `c_0` `[B, H]`, of a GRU `b_hh` `[3 H]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Recurrence {
    /// Sizes.
    pub scan: Scan,
    /// Which steps. A part that goes on needs `h`, and of an LSTM `c`, among its outputs, and reads them
    /// there.
    pub part: Part,
    /// Positions in `writes`, where wanted: `h` `[T, B, H]`, `c` `[T, B, H]` (LSTM), saved values
    /// `[T, B, 4 H]` ([`Cell::saved`]).
    pub outputs: [Option<usize>; 3],
}

/// Which states a gradient is given of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Seed {
    /// Of `h`.
    Hidden,
    /// Of the LSTM's `c`.
    Cell,
}

/// The gradient, from the last step back to the first. Reads: the gradient of the states `[T, B, H]`, `W_hh`,
/// then of tanh and relu `h`; of an LSTM the saved values, `c`, `c_0`; of a GRU the saved values, `h`, `h_0`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RecurrenceGrad {
    /// Sizes.
    pub scan: Scan,
    /// Which steps. A part before the last goes on from the gradient of `R` of the step after it, and for an
    /// LSTM from the gradient of `c`, for a GRU from what reaches `h` other than through the product: the
    /// outputs hold them.
    pub part: Part,
    /// Whether the product of the part's first step is added to what reaches the state before it, which makes
    /// that the gradient of `h_0`.
    pub closes: bool,
    /// What the given gradient is of.
    pub seed: Seed,
    /// Positions in `writes`, where wanted: gradients of `G` `[T, B, g H]`, of `R` (GRU; of others it is the
    /// same), of `h_0` `[B, H]`, of `c_0` (LSTM).
    pub outputs: [Option<usize>; 4],
}

/// Where each of the outputs goes if only some are kept.
fn kept<const N: usize>(outputs: &[usize]) -> [Option<usize>; N] {
    std::array::from_fn(|output| outputs.iter().position(|&kept| kept == output))
}

impl Recurrence {
    /// Whether it goes on from what is in written operand `output`.
    pub fn continues(&self, output: usize) -> bool {
        self.part.first > 0 && self.outputs[..2].contains(&Some(output))
    }
}

impl KernelDef for Recurrence {
    fn name(&self) -> &'static str {
        "recurrence"
    }

    fn shape(&self) -> String {
        self.scan.shape() + &self.part.shape(&self.scan)
    }

    fn cost(&self) -> Cost {
        let cell = self.scan.cell;
        let widths = [1, 1, cell.saved()];
        let written: usize =
            self.outputs.iter().zip(widths).filter(|(o, _)| o.is_some()).map(|(_, w)| w).sum();
        self.scan.cost(self.part.count, self.part.count, cell.gates() + written)
    }

    fn signature(&self) -> Signature {
        let scan = &self.scan;
        let (state, weights) = (scan.batch * scan.hidden, scan.width() * scan.hidden);
        let gates = scan.steps * state * scan.cell.gates();
        let states = Content::Weights { states: scan.hidden };
        let mut reads = vec![(gates, Content::Normal), (weights, states), (state, Content::Normal)];
        match scan.cell {
            Cell::Tanh | Cell::Relu => {}
            Cell::Lstm => reads.push((state, Content::Normal)),
            Cell::Gru => reads.push((scan.width(), Content::Normal)),
        }
        let mut signature = Signature::new(&reads, &[]);
        let lengths = [1, 1, scan.cell.saved()].map(|width| scan.steps * state * width);
        signature.add_outputs(&self.outputs, &lengths);
        for (output, spec) in signature.writes.iter_mut().enumerate() {
            spec.updated = self.continues(output);
        }
        signature
    }

    fn keep_outputs(&self, outputs: &[usize]) -> Option<Kernel> {
        Some(Kernel::new(Self { outputs: kept(outputs), ..self.clone() }))
    }

    fn iterations(&self, _target: &Target) -> usize {
        shader::iterations(&self.scan, &self.part)
    }

    fn native(&self, exact: bool) -> Box<dyn NativeRun> {
        Box::new(native::NativeRecurrence::new(self.clone(), exact))
    }

    fn oracle(&self, operands: &Operands, writes: &mut [Vec<Approx>]) {
        self.evaluate(operands, writes);
    }

    fn shader(&self, target: &Target) -> Result<Shader, ShaderError> {
        shader::recurrence(self, target)
    }

    fn samples() -> &'static [Family] {
        &[("recurrence", sample::recurrence)]
    }

    fn benchmarks() -> Vec<Self> {
        sample::benchmarks()
    }
}

impl RecurrenceGrad {
    /// The output that holds the gradient of `R`.
    pub fn products(&self) -> Option<usize> {
        self.outputs[usize::from(self.scan.cell == Cell::Gru)]
    }

    /// Whether it goes on from what is in written operand `output`.
    pub fn continues(&self, output: usize) -> bool {
        let carried = match self.scan.cell {
            Cell::Tanh | Cell::Relu => None,
            Cell::Lstm => self.outputs[3],
            Cell::Gru => self.outputs[2],
        };
        self.part.end() < self.scan.steps && [self.products(), carried].contains(&Some(output))
    }
}

impl KernelDef for RecurrenceGrad {
    fn name(&self) -> &'static str {
        "recurrence_grad"
    }

    fn shape(&self) -> String {
        self.scan.shape() + &self.part.shape(&self.scan)
    }

    fn cost(&self) -> Cost {
        let cell = self.scan.cell;
        let written = self.outputs[..2].iter().flatten().count() * cell.gates();
        let first = usize::from(self.part.end() == self.scan.steps);
        let products = (self.part.count + usize::from(self.closes)).saturating_sub(first);
        self.scan.cost(self.part.count, products, 2 + cell.saved() + written)
    }

    fn signature(&self) -> Signature {
        let scan = &self.scan;
        let (state, weights) = (scan.batch * scan.hidden, scan.width() * scan.hidden);
        let units = scan.steps * state;
        let mut reads = vec![(units, Content::Normal), (weights, Content::Weights { states: scan.width() })];
        if scan.cell.saved() > 0 {
            // Gates from 0 to 1.
            reads.push((units * scan.cell.saved(), Content::Switch));
        }
        reads.push((units, Content::Normal));
        if scan.cell.saved() > 0 {
            reads.push((state, Content::Normal));
        }
        let mut signature = Signature::new(&reads, &[]);
        let gates = units * scan.cell.gates();
        signature.add_outputs(&self.outputs, &[gates, gates, state, state]);
        for (output, spec) in signature.writes.iter_mut().enumerate() {
            spec.updated = self.continues(output);
        }
        signature
    }

    fn keep_outputs(&self, outputs: &[usize]) -> Option<Kernel> {
        let outputs = kept(outputs);
        Some(Kernel::new(Self { closes: outputs[2].is_some(), outputs, ..self.clone() }))
    }

    fn iterations(&self, _target: &Target) -> usize {
        shader::iterations(&self.scan, &self.part)
    }

    fn native(&self, exact: bool) -> Box<dyn NativeRun> {
        Box::new(native::NativeRecurrence::new(self.clone(), exact))
    }

    fn oracle(&self, operands: &Operands, writes: &mut [Vec<Approx>]) {
        self.evaluate(operands, writes);
    }

    fn shader(&self, target: &Target) -> Result<Shader, ShaderError> {
        shader::recurrence_grad(self, target)
    }

    fn samples() -> &'static [Family] {
        &[("recurrence_grad", sample::recurrence_grad)]
    }

    fn benchmarks() -> Vec<Self> {
        sample::gradient_benchmarks()
    }
}
