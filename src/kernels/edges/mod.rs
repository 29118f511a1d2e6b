//! Kernels on the edges of a fixed graph, or of each graph of a batch: sums over neighbours, products of the two ends of
//! each edge, and softmax over the edges of each row. Sums are in the order of the edges; nothing is added atomically.

mod native;
mod oracle;
mod sample;
mod shader;

use super::native::NativeRun;
use super::oracle::Operands;
use super::samples::Family;
use super::shader::{Shader, ShaderError};
use super::signature::{Content, Signature};
use super::{Cost, KernelDef};
use crate::base::packed::{Packed, Places};
use crate::base::target::Target;
use crate::oracle::Approx;

/// The weights of the edges in a sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Weights {
    /// All are 1.
    None,
    /// `[edges, heads]`, for all of the batch.
    Shared,
    /// `[batch, edges, heads]`
    Each,
}

/// Reads: values `[batch, columns, width]`, where each row's edges start `u32[rows + 1]`, their columns `u32[edges]`,
/// weights unless there are none, and, if `numbered`, which weight each edge has `u32[edges]`. Write 0:
/// `[batch, rows, width]`, the weighted sum over the edges of each row. Graphs with edges of their own have all that is
/// known of these as [`Packed`] `u32[batch, words]`, which then is each of those operands.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NeighbourSum {
    /// Independent graphs with the same edges.
    pub batch: usize,
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub columns: usize,
    /// Edges.
    pub edges: usize,
    /// Values of a row or a column.
    pub width: usize,
    /// Parts of them with a weight each.
    pub heads: usize,
    /// The weights.
    pub weights: Weights,
    /// Whether weights are read in another order than edges lie in.
    pub numbered: bool,
    /// Edges of the row that has most.
    pub longest: usize,
    /// Whether each graph has edges of its own, and by which end they are found.
    pub own: Option<End>,
}

/// The end of edges by which they are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum End {
    /// The target, or row.
    Target,
    /// The source, or column.
    Source,
}

/// Where edges are, and the words and contents of their `operands` operands.
fn edges_of(
    own: Option<End>,
    batch: usize,
    packed: Packed,
    shared: &[(usize, Content)],
) -> (Places, Vec<(usize, Content)>) {
    match own {
        None => (Places::default(), shared.to_vec()),
        Some(end) => {
            let operand = (batch * packed.words(), Content::Graphs(packed));
            (packed.places(end == End::Source), vec![operand; shared.len()])
        }
    }
}

impl NeighbourSum {
    /// The kernel of no edges.
    pub fn nothing() -> Self {
        let weights = Weights::None;
        Self {
            batch: 0,
            rows: 0,
            columns: 0,
            edges: 0,
            width: 0,
            heads: 1,
            weights,
            numbered: false,
            longest: 0,
            own: None,
        }
    }

    /// Sizes of graphs with edges of their own.
    fn packed(&self) -> Packed {
        Packed { nodes: self.rows, edges: self.edges, longest: self.longest }
    }

    /// Where edges are, and the operands with them: where those of rows start, their columns, and their numbers.
    fn ends(&self) -> (Places, Vec<(usize, Content)>) {
        let shared = [
            (self.rows + 1, Content::Ascending { to: self.edges }),
            (self.edges, Content::Index { below: self.columns }),
            (self.edges, Content::Index { below: self.edges }),
        ];
        edges_of(self.own, self.batch, self.packed(), &shared)
    }

    /// Words of the weights; 0 if there are none.
    fn weight_words(&self) -> usize {
        match self.weights {
            Weights::None => 0,
            Weights::Shared => self.edges * self.heads,
            Weights::Each => self.batch * self.edges * self.heads,
        }
    }
}

impl KernelDef for NeighbourSum {
    fn name(&self) -> &'static str {
        "neighbour_sum"
    }

    fn shape(&self) -> String {
        let Self { batch, rows, columns, edges, width, .. } = self;
        let weights = if self.weights == Weights::None { "" } else { " weighted" };
        format!("{batch}x{rows}x{columns} with {edges} edges of {width}{weights}")
    }

    fn cost(&self) -> Cost {
        let terms = self.batch * self.edges * self.width;
        let moved =
            self.batch * (self.rows + self.columns) * self.width + self.weight_words() + 2 * self.edges;
        Cost { flops: (1 + u64::from(self.weights != Weights::None)) * terms as u64, bytes: 4 * moved as u64 }
    }

    fn signature(&self) -> Signature {
        let (_, ends) = self.ends();
        let mut reads = vec![(self.batch * self.columns * self.width, Content::Normal), ends[0], ends[1]];
        if self.weights != Weights::None {
            reads.push((self.weight_words(), Content::Normal));
        }
        if self.numbered {
            reads.push(ends[2]);
        }
        Signature::new(&reads, &[self.batch * self.rows * self.width])
    }

    fn iterations(&self, _target: &Target) -> usize {
        self.longest
    }

    fn native(&self, exact: bool) -> Box<dyn NativeRun> {
        native::sum(self, exact)
    }

    fn oracle(&self, operands: &Operands, writes: &mut [Vec<Approx>]) {
        self.evaluate(operands, writes);
    }

    fn shader(&self, target: &Target) -> Result<Shader, ShaderError> {
        shader::sum(self, target)
    }

    fn samples() -> &'static [Family] {
        &[("neighbour_sum", sample::sum)]
    }

    fn benchmarks() -> Vec<Self> {
        sample::sum_benchmarks()
    }
}

/// Reads: values of the rows `[batch, rows, width]`, of the columns `[batch, columns, width]`, the row and the column of
/// each edge, `u32[edges]` each. Write 0: `[batch, edges, heads]`, the product of the two over the columns of each
/// head. Of graphs with edges of their own, rows and columns are both [`Packed`] `u32[batch, words]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EdgeDot {
    /// Independent graphs with the same edges.
    pub batch: usize,
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub columns: usize,
    /// Edges.
    pub edges: usize,
    /// Values of a row or a column.
    pub width: usize,
    /// Parts of them that are added up by themselves.
    pub heads: usize,
    /// Whether each graph has edges of its own, and 0 for those that it lacks.
    pub own: bool,
}

impl EdgeDot {
    /// The kernel of no edges.
    pub fn nothing() -> Self {
        Self { batch: 0, rows: 0, columns: 0, edges: 0, width: 0, heads: 1, own: false }
    }

    /// Sizes of graphs with edges of their own.
    fn packed(&self) -> Packed {
        Packed { nodes: self.rows, edges: self.edges, longest: 0 }
    }

    /// Words of a graph, and where the rows and the columns of edges begin in them.
    fn places(&self) -> [usize; 3] {
        match self.own {
            true => [self.packed().words(), self.packed().targets(), self.packed().places(false).others],
            false => [0; 3],
        }
    }
}

impl KernelDef for EdgeDot {
    fn name(&self) -> &'static str {
        "edge_dot"
    }

    fn shape(&self) -> String {
        let Self { batch, rows, columns, edges, width, heads, .. } = self;
        format!("{batch}x{rows}x{columns} with {edges} edges of {width} in {heads}")
    }

    fn cost(&self) -> Cost {
        let terms = self.batch * self.edges * self.width;
        let nodes = self.batch * (self.rows + self.columns) * self.width;
        let moved = nodes + self.batch * self.edges * self.heads + 2 * self.edges;
        Cost { flops: 2 * terms as u64, bytes: 4 * moved as u64 }
    }

    fn signature(&self) -> Signature {
        let shared = [
            (self.edges, Content::Index { below: self.rows }),
            (self.edges, Content::Index { below: self.columns }),
        ];
        let own = self.own.then_some(End::Target);
        let (_, ends) = edges_of(own, self.batch, self.packed(), &shared);
        let reads = [
            (self.batch * self.rows * self.width, Content::Normal),
            (self.batch * self.columns * self.width, Content::Normal),
            ends[0],
            ends[1],
        ];
        Signature::new(&reads, &[self.batch * self.edges * self.heads])
    }

    fn iterations(&self, _target: &Target) -> usize {
        self.width / self.heads.max(1)
    }

    fn native(&self, exact: bool) -> Box<dyn NativeRun> {
        native::dot(self, exact)
    }

    fn oracle(&self, operands: &Operands, writes: &mut [Vec<Approx>]) {
        self.evaluate(operands, writes);
    }

    fn shader(&self, target: &Target) -> Result<Shader, ShaderError> {
        shader::dot(self, target)
    }

    fn samples() -> &'static [Family] {
        &[("edge_dot", sample::dot)]
    }

    fn benchmarks() -> Vec<Self> {
        sample::dot_benchmarks()
    }
}

/// Reads: scores `[batch, edges, heads]`, and where each row's edges start `u32[rows + 1]`. Write 0:
/// `[batch, edges, heads]`, their softmax over the edges of each row. Of graphs with edges of their own, the second is
/// [`Packed`] `u32[batch, words]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EdgeSoftmax {
    /// Independent graphs with the same edges.
    pub batch: usize,
    /// Rows.
    pub rows: usize,
    /// Edges.
    pub edges: usize,
    /// Scores of an edge.
    pub heads: usize,
    /// Edges of the row that has most.
    pub longest: usize,
    /// Whether each graph has edges of its own, and 0 for those that it lacks.
    pub own: bool,
}

impl EdgeSoftmax {
    /// The kernel of no edges.
    pub fn nothing() -> Self {
        Self { batch: 0, rows: 0, edges: 0, heads: 1, longest: 0, own: false }
    }

    /// Sizes of graphs with edges of their own.
    fn packed(&self) -> Packed {
        Packed { nodes: self.rows, edges: self.edges, longest: self.longest }
    }

    /// Where edges are, and the operand with where those of rows start.
    fn ends(&self) -> (Places, Vec<(usize, Content)>) {
        let shared = [(self.rows + 1, Content::Ascending { to: self.edges })];
        edges_of(self.own.then_some(End::Target), self.batch, self.packed(), &shared)
    }
}

impl KernelDef for EdgeSoftmax {
    fn name(&self) -> &'static str {
        "edge_softmax"
    }

    fn shape(&self) -> String {
        let Self { batch, rows, edges, heads, .. } = self;
        format!("{batch}x{rows} with {edges} edges of {heads}")
    }

    fn cost(&self) -> Cost {
        let scores = (self.batch * self.edges * self.heads) as u64;
        Cost { flops: 5 * scores, bytes: 8 * scores }
    }

    fn signature(&self) -> Signature {
        let words = self.batch * self.edges * self.heads;
        let (_, ends) = self.ends();
        Signature::new(&[(words, Content::Normal), ends[0]], &[words])
    }

    fn iterations(&self, _target: &Target) -> usize {
        // The last row of a graph also fills the places of edges that it lacks.
        3 * self.longest + if self.own { self.edges } else { 0 }
    }

    fn native(&self, exact: bool) -> Box<dyn NativeRun> {
        match exact {
            true => Box::new(native::ExactSoftmax(self.clone())),
            false => Box::new(self.clone()),
        }
    }

    fn oracle(&self, operands: &Operands, writes: &mut [Vec<Approx>]) {
        self.evaluate(operands, writes);
    }

    fn shader(&self, target: &Target) -> Result<Shader, ShaderError> {
        shader::softmax(self, target)
    }

    fn samples() -> &'static [Family] {
        &[("edge_softmax", sample::softmax)]
    }

    fn benchmarks() -> Vec<Self> {
        sample::softmax_benchmarks()
    }
}
