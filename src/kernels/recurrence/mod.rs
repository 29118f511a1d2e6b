//! Recurrences over time: every step of a layer and direction in one kernel, each row of the batch by itself.
//!
//! With `G_t = W_ih x_t + b_ih`, computed for all steps before, and `R_t = W_hh h_(t-1)` (for a GRU `+ b_hh`), PyTorch's
//! `nn.RNN`, `nn.LSTM` and `nn.GRU`:
//!
//! | cell | gates | step |
//! |---|---|---|
//! | tanh, relu | 1 | `h_t = f(G + R)` |
//! | LSTM | i, f, g, o | `c_t = sigmoid(f) c_(t-1) + sigmoid(i) tanh(g)`, `h_t = sigmoid(o) tanh(c_t)` |
//! | GRU | r, z, n | `n = tanh(G_n + sigmoid(r) R_n)`, `h_t = (1 - sigmoid(z)) n + sigmoid(z) h_(t-1)` |

pub mod native;
mod rules;
mod units;

use super::Cost;

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

    /// Values of each unit and step that the gradient needs besides states: the LSTM's gates i, f, g, o, the GRU's r,
    /// z, n and `R_n`.
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

    fn cost(&self, values: usize) -> Cost {
        let units = self.steps * self.batch * self.hidden;
        let products = 2 * units * self.width();
        let words = units * values + self.width() * self.hidden;
        Cost { flops: (products + 20 * units) as u64, bytes: 4 * words as u64 }
    }
}

/// The states of all steps. Reads: `G` `[T, B, g H]`, `W_hh` `[g H, H]`, `h_0` `[B, H]`, then of an LSTM `c_0` `[B, H]`, of a
/// GRU `b_hh` `[3 H]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Recurrence {
    /// Sizes.
    pub scan: Scan,
    /// Positions in `writes`, where wanted: `h` `[T, B, H]`, `c` `[T, B, H]` (LSTM), saved values `[T, B, 4 H]`
    /// ([`Cell::saved`]).
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

/// The gradient, from the last step back to the first. Reads: the gradient of the states `[T, B, H]`, `W_hh`, then of tanh
/// and relu `h`; of an LSTM the saved values, `c`, `c_0`; of a GRU the saved values, `h`, `h_0`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RecurrenceGrad {
    /// Sizes.
    pub scan: Scan,
    /// What the given gradient is of.
    pub seed: Seed,
    /// Positions in `writes`, where wanted: gradients of `G` `[T, B, g H]`, of `R` (GRU; of others it is the same), of `h_0`
    /// `[B, H]`, of `c_0` (LSTM).
    pub outputs: [Option<usize>; 4],
}

/// Where each of the outputs goes if only some are kept.
fn kept<const N: usize>(outputs: &[usize]) -> [Option<usize>; N] {
    std::array::from_fn(|output| outputs.iter().position(|&kept| kept == output))
}

impl Recurrence {
    /// For people.
    pub fn shape(&self) -> String {
        self.scan.shape()
    }

    /// Cost.
    pub fn cost(&self) -> Cost {
        let cell = self.scan.cell;
        let widths = [1, 1, cell.saved()];
        let written: usize =
            self.outputs.iter().zip(widths).filter(|(o, _)| o.is_some()).map(|(_, w)| w).sum();
        self.scan.cost(cell.gates() + written)
    }

    /// The same with the given outputs alone.
    pub(super) fn keep_outputs(self, outputs: &[usize]) -> Self {
        Self { outputs: kept(outputs), ..self }
    }
}

impl RecurrenceGrad {
    /// For people.
    pub fn shape(&self) -> String {
        self.scan.shape()
    }

    /// Cost.
    pub fn cost(&self) -> Cost {
        let cell = self.scan.cell;
        let written = self.outputs[..2].iter().flatten().count() * cell.gates();
        self.scan.cost(2 + cell.saved() + written)
    }

    /// The same with the given outputs alone.
    pub(super) fn keep_outputs(self, outputs: &[usize]) -> Self {
        Self { outputs: kept(outputs), ..self }
    }
}

/// Loop iterations of one invocation of a shader for each step, at most: products by four, one gate after the other,
/// and what is done for each vector of rows.
pub fn iterations(scan: &Scan) -> usize {
    let vectors = scan.batch.div_ceil(4).min(4);
    let products = scan.hidden / 4 + scan.hidden % 4;
    scan.cell.gates() * (products + vectors + 1) + vectors + 1
}

/// Most steps of one kernel that software drivers are sure to finish, and soon; longer sequences are cut. The steps of
/// `scan` do not matter.
pub fn most_steps(scan: &Scan) -> usize {
    const ITERATIONS: usize = 50_000;
    const FLOPS: usize = 2_500_000_000;
    let flops = 2 * scan.batch * scan.hidden * scan.width();
    (ITERATIONS / iterations(scan)).min(FLOPS / flops.max(1)).max(1)
}
