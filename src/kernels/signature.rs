//! Describes a kernel's operands: how many words they have and which random values are valid in them. Derived
//! from the kernel alone, so that any kernel of any plan can be checked and run in isolation.

use crate::base::packed::Packed;
use crate::base::tensor::elements;
use crate::scalar::{Body, Inst, View};

/// The values of an operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Standard normal numbers.
    Normal,
    /// Absolute values of normal numbers: variances, weights, norms.
    Positive,
    /// Normal numbers small enough that recurrent states do not grow.
    Weights {
        /// Number of states that are summed.
        states: usize,
    },
    /// 0 or 1.
    Switch,
    /// Words of two normal numbers in half precision.
    Halves,
    /// Integers below a bound.
    Index {
        /// The bound.
        below: usize,
    },
    /// Integers that do not descend, from 0 to the last.
    Ascending {
        /// The last.
        to: usize,
    },
    /// Graphs of these sizes, with as many edges, one after the other.
    Graphs(Packed),
    /// Positions of the integers in another read operand, in each run in the order of these.
    Ordered {
        /// The other operand.
        by: usize,
        /// Larger ones count as this.
        below: usize,
        /// Positions per run.
        run: usize,
    },
}

/// One operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OperandSpec {
    /// Its length; 0 if the kernel has no operand at this position.
    pub words: usize,
    /// Its values.
    pub content: Content,
    /// Whether NaN in it has a defined effect.
    pub takes_nan: bool,
    /// For written operands: whether the kernel reads the previous contents.
    pub updated: bool,
}

impl OperandSpec {
    /// An operand that is read, or written without being read.
    pub fn new(words: usize, content: Content) -> Self {
        Self { words, content, takes_nan: true, updated: false }
    }
}

/// All operands of a kernel, in the order of its dispatch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Signature {
    /// Read operands.
    pub reads: Vec<OperandSpec>,
    /// Written operands.
    pub writes: Vec<OperandSpec>,
}

impl Signature {
    /// Read operands with these lengths and contents, and written `f32` operands with these lengths.
    pub fn new(reads: &[(usize, Content)], writes: &[usize]) -> Self {
        Self {
            reads: reads.iter().map(|&(words, content)| OperandSpec::new(words, content)).collect(),
            writes: writes.iter().map(|&words| OperandSpec::new(words, Content::Normal)).collect(),
        }
    }

    /// Adds the operands that `body` loads and stores over `shape`.
    pub fn add_body(&mut self, body: &Body, shape: &[usize]) {
        for inst in &body.insts {
            match inst {
                Inst::Load { operand, view } => {
                    let none = OperandSpec::new(0, Content::Normal);
                    self.reads.resize(self.reads.len().max(operand + 1), none);
                    let words = &mut self.reads[*operand].words;
                    *words = view_end(view, shape).max(*words);
                }
                Inst::Previous { output } => {
                    self.add_write(*output, elements(shape));
                    self.writes[*output].updated = true;
                }
                _ => {}
            }
        }
        for &(_, output) in &body.stores {
            self.add_write(output, elements(shape));
        }
    }

    /// Adds the outputs that have a position, with their lengths.
    pub fn add_outputs(&mut self, positions: &[Option<usize>], lengths: &[usize]) {
        for (position, &words) in positions.iter().zip(lengths) {
            if let Some(output) = position {
                self.add_write(*output, words);
            }
        }
    }

    /// Adds written operand `output`.
    pub fn add_write(&mut self, output: usize, words: usize) {
        let none = OperandSpec::new(0, Content::Normal);
        self.writes.resize(self.writes.len().max(output + 1), none);
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
