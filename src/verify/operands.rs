//! What a kernel's operands are: how many words, and which random values make sense in them. From the kernel
//! alone, so that any kernel of any plan can be run by itself.

use crate::base::rng;
use crate::base::step::StepRecord;
use crate::base::tensor::elements;
use crate::kernels::Kernel;
use crate::kernels::batch::Batch;
use crate::kernels::matmul::{Left, MatrixView};
use crate::kernels::norm::GradientNorm;
use crate::kernels::optimizer::Optimizer;
use crate::kernels::pool::{Collect, Pooling};
use crate::kernels::recurrence::Cell;
use crate::kernels::samples::{self, Sample};
use crate::scalar::{Body, Inst, View};

/// Which values an operand takes.
#[derive(Clone, Copy)]
enum Content {
    /// Standard normal numbers.
    Normal,
    /// Their absolute values: variances, weights, norms.
    Positive,
    /// Normal numbers so small that states which go round through them do not grow.
    Weights {
        /// States that are added up.
        states: usize,
    },
    /// 0 or 1.
    Switch,
    /// Whole numbers below a bound.
    Index {
        /// The bound.
        below: usize,
    },
}

/// One operand: its length, and its values before the kernel runs.
#[derive(Clone, Copy)]
struct Operand {
    words: usize,
    content: Content,
}

/// All operands of a kernel, in the order of its dispatch.
#[derive(Default)]
struct Operands {
    reads: Vec<Operand>,
    writes: Vec<Operand>,
}

impl Operand {
    fn new(words: usize, content: Content) -> Self {
        Self { words: words.max(1), content }
    }

    /// Values of this operand, drawn from `stream`. A long operand repeats its first part, so that large
    /// benchmarks do not spend their time here.
    fn fill(&self, stream: u32) -> samples::Operand {
        const PERIOD: usize = 65_521;
        let words: Vec<u32> =
            (0..self.words.min(PERIOD)).map(|i| rng::word([17, 4], stream, 1, i as u32)).collect();
        let words = words.iter().copied().cycle().take(self.words);
        match self.content {
            Content::Normal => samples::Operand::Floats(words.map(rng::normal).collect()),
            Content::Positive => {
                samples::Operand::Floats(words.map(|w| rng::normal(w).abs() + 0.01).collect())
            }
            Content::Weights { states } => {
                samples::Operand::Floats(words.map(|w| rng::normal(w) / states.max(1) as f32).collect())
            }
            Content::Switch => samples::Operand::Floats(words.map(|w| (w & 1) as f32).collect()),
            Content::Index { below } => {
                samples::Operand::Integers(words.map(|w| w % below.max(1) as u32).collect())
            }
        }
    }
}

/// `kernel` with random operands of the sizes it needs; written operands hold NaN unless the kernel reads them.
pub fn sample(kernel: &Kernel) -> Sample {
    let operands = Operands::of(kernel);
    let count = operands.reads.len();
    let reads = operands.reads.iter().enumerate().map(|(at, operand)| operand.fill(at as u32)).collect();
    let write = |(at, operand): (usize, &Operand)| match updates_in_place(kernel, at) {
        true => operand.fill((count + at) as u32),
        false if matches!(operand.content, Content::Index { .. }) => {
            samples::Operand::unwritten_integers(operand.words)
        }
        false => samples::Operand::unwritten(operand.words),
    };
    let writes = operands.writes.iter().enumerate().map(write).collect();
    let step = StepRecord {
        step: 3,
        seed_low: 20,
        seed_high: 26,
        learning_rate: 0.01,
        optimizer: [0.5, 0.25, 0.75, 0.125],
        ..StepRecord::default()
    };
    Sample { kernel: kernel.clone(), reads, writes, step }
}

/// Whether the kernel reads its output `output`.
fn updates_in_place(kernel: &Kernel, output: usize) -> bool {
    let reads = |body: &Body| body.insts.contains(&Inst::Previous { output });
    match kernel {
        Kernel::Optimizer(k) => reads(&k.body),
        Kernel::Recurrence(k) => k.continues(output),
        Kernel::RecurrenceGrad(k) => k.continues(output),
        other => other.bodies().into_iter().any(reads),
    }
}

impl Operands {
    /// The operands of `kernel`.
    fn of(kernel: &Kernel) -> Self {
        use Content::{Index, Normal, Positive, Switch, Weights};
        let lists = |reads: &[(usize, Content)], writes: &[usize]| Self {
            reads: reads.iter().map(|&(words, content)| Operand::new(words, content)).collect(),
            writes: writes.iter().map(|&words| Operand::new(words, Normal)).collect(),
        };
        match kernel {
            Kernel::MatMul(k) => {
                let end = |v: &MatrixView, rows: usize, columns: usize| {
                    let last = |n: usize, stride: usize| n.saturating_sub(1) * stride;
                    1 + v.offset + last(k.batch, v.batch) + last(rows, v.row) + last(columns, v.col)
                };
                let a = match &k.a {
                    Left::Matrix(view) => end(view, k.m, k.k),
                    Left::Windows(windows) => windows.end(k.batch),
                };
                let b = end(&k.b, k.k, k.n);
                let mut operands = lists(&[(a, Normal), (b, Normal)], &[]);
                operands.add_body(&k.epilogue, &[k.batch, k.m, k.n]);
                let parts = k.splits.max(1);
                operands.add_write(0, if parts > 1 { parts * k.batch * k.m * k.n } else { 1 });
                if let Some(output) = k.row_sums {
                    operands.add_write(output, parts * k.m);
                }
                operands
            }
            Kernel::Pointwise(k) => {
                let mut operands = Self::default();
                operands.add_body(&k.body, &k.shape);
                operands
            }
            Kernel::Reduce(k) => {
                let mut operands = Self::default();
                operands.add_body(&k.prologue, &k.input_shape());
                operands.add_body(&k.epilogue, &k.output_shape());
                operands
            }
            Kernel::Softmax(k) => lists(&[(k.rows * k.columns, Normal)], &[k.rows * k.columns]),
            Kernel::CrossEntropy(k) => {
                let logits = k.rows * k.classes;
                let reads = [(logits, Normal), (k.rows, Index { below: k.classes }), (k.classes, Positive)];
                let mut operands = lists(&reads, &[]);
                for (output, words) in [(k.loss, k.rows), (k.delta, logits)] {
                    if let Some(output) = output {
                        operands.add_write(output, words);
                    }
                }
                operands
            }
            Kernel::Gather(k) => lists(
                &[(k.vocabulary * k.width, Normal), (k.count, Index { below: k.vocabulary })],
                &[k.count * k.width],
            ),
            Kernel::GatherGrad(k) => lists(
                &[(k.count, Index { below: k.vocabulary }), (k.count * k.width, Normal)],
                &[k.vocabulary * k.width],
            ),
            Kernel::Pool(k) => {
                let (results, taps) = (k.results(), k.axes[0].taps * k.axes[1].taps);
                let mut operands = lists(&[(k.pixels(), Normal)], &[]);
                match k.pooling {
                    Pooling::Max { values, taps: chosen } => {
                        for output in values.iter().chain(&chosen) {
                            operands.add_write(*output, results);
                        }
                        if let Some(output) = chosen {
                            operands.writes[output].content = Index { below: taps };
                        }
                    }
                    Pooling::Pick => {
                        operands.reads.push(Operand::new(results, Index { below: taps }));
                        operands.add_write(0, results);
                    }
                    Pooling::Average(_) => operands.add_write(0, results),
                }
                operands
            }
            Kernel::PoolGrad(k) => {
                let taps = Index { below: k.axes[0].taps * k.axes[1].taps };
                let mut reads = vec![(k.results(), Normal)];
                if k.collect == Collect::Chosen {
                    reads.insert(0, (k.results(), taps));
                }
                lists(&reads, &[k.pixels()])
            }
            Kernel::Recurrence(k) => {
                let scan = &k.scan;
                let (state, weights) = (scan.batch * scan.hidden, scan.width() * scan.hidden);
                let gates = scan.steps * state * scan.cell.gates();
                let mut reads =
                    vec![(gates, Normal), (weights, Weights { states: scan.hidden }), (state, Normal)];
                match scan.cell {
                    Cell::Tanh | Cell::Relu => {}
                    Cell::Lstm => reads.push((state, Normal)),
                    Cell::Gru => reads.push((scan.width(), Normal)),
                }
                let mut operands = lists(&reads, &[]);
                let lengths = [1, 1, scan.cell.saved()].map(|width| scan.steps * state * width);
                operands.add_outputs(&k.outputs, &lengths);
                operands
            }
            Kernel::RecurrenceGrad(k) => {
                let scan = &k.scan;
                let (state, weights) = (scan.batch * scan.hidden, scan.width() * scan.hidden);
                let units = scan.steps * state;
                let mut reads = vec![(units, Normal), (weights, Weights { states: scan.width() })];
                if scan.cell.saved() > 0 {
                    // Gates from 0 to 1.
                    reads.push((units * scan.cell.saved(), Switch));
                }
                reads.push((units, Normal));
                if scan.cell.saved() > 0 {
                    reads.push((state, Normal));
                }
                let mut operands = lists(&reads, &[]);
                let gates = units * scan.cell.gates();
                operands.add_outputs(&k.outputs, &[gates, gates, state, state]);
                operands
            }
            Kernel::GradientNorm(k) if k.stage == 0 => lists(&[(k.len, Normal)], &[k.partials()]),
            Kernel::GradientNorm(k) => lists(&[(GradientNorm::partials(k), Positive)], &[2]),
            Kernel::Optimizer(k) => {
                let mut reads = vec![(k.len, Normal), (k.len / Optimizer::BLOCK, Switch)];
                if k.clipped {
                    reads.push((2, Positive));
                }
                let mut operands = lists(&reads, &vec![k.len; 1 + k.slots]);
                for state in &mut operands.writes[1..] {
                    state.content = Positive;
                }
                operands
            }
            Kernel::Batch(k) => Self::of_batch(k),
            Kernel::Augment(k) => {
                let rows = 2 * k.batch;
                let mut operands =
                    lists(&[(1, Normal), (rows * k.values(), Normal)], &[k.batch * k.values()]);
                operands.reads[0] = Operand::new(k.batch, Index { below: rows });
                operands
            }
            Kernel::Store(k) => {
                let reads: Vec<_> = k.widths.iter().map(|&w| (w, Normal)).collect();
                lists(&reads, &k.widths)
            }
        }
    }

    fn of_batch(k: &Batch) -> Self {
        // Twice the rows of a batch, so that rows are left out and others come twice.
        let rows = 2 * k.batch;
        let mut operands = Self::default();
        operands.reads.push(Operand::new(k.batch, Content::Index { below: rows }));
        for column in &k.columns {
            operands.reads.push(Operand::new(column.words(rows), Content::Normal));
            operands.writes.push(Operand::new(k.batch * column.width, Content::Normal));
        }
        operands
    }

    /// Adds what `body` loads and stores over `shape`.
    fn add_body(&mut self, body: &Body, shape: &[usize]) {
        for inst in &body.insts {
            match inst {
                Inst::Load { operand, view } => {
                    let none = Operand::new(1, Content::Normal);
                    self.reads.resize(self.reads.len().max(operand + 1), none);
                    let words = &mut self.reads[*operand].words;
                    *words = view_end(view, shape).max(*words);
                }
                Inst::Previous { output } => self.add_write(*output, elements(shape)),
                _ => {}
            }
        }
        for &(_, output) in &body.stores {
            self.add_write(output, elements(shape));
        }
    }

    /// Adds the outputs that have a position, with their lengths.
    fn add_outputs(&mut self, positions: &[Option<usize>], lengths: &[usize]) {
        for (position, &words) in positions.iter().zip(lengths) {
            if let Some(output) = position {
                self.add_write(*output, words);
            }
        }
    }

    fn add_write(&mut self, output: usize, words: usize) {
        self.writes.resize(self.writes.len().max(output + 1), Operand::new(1, Content::Normal));
        let known = &mut self.writes[output].words;
        *known = words.max(*known);
    }
}

/// One more than the largest element that `view` reads over `shape`.
fn view_end(view: &View, shape: &[usize]) -> usize {
    let mut last = view.offset;
    for (d, (&stride, &extent)) in view.strides.iter().zip(shape).enumerate() {
        let guards = view.guards.iter().filter(|g| g.0 == d);
        let (first, end) = guards.fold((0, extent), |(f, e), g| (f.max(g.1), e.min(g.2)));
        if end <= first {
            return 1;
        }
        last += stride * if stride > 0 { end - 1 } else { first } as isize;
    }
    last.max(0) as usize + 1
}
