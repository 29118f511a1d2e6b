//! Graphs whose number of rows is a symbol. The extents of a graph are numbers, so the same model is built
//! for several numbers of rows (and of steps of a text), and each extent compared: what changes in proportion
//! is the symbol times a factor, what remains is a number, and all else cannot be exported.

use crate::graph::{Graph, Op, ValueId};
use crate::nn::model::ModelGraph;
use crate::train::TrainError;

/// An extent: `factor`, times the number of rows, times the number of steps of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dim {
    /// What is known of it.
    pub factor: usize,
    /// Whether it is in proportion to the number of rows.
    pub rows: bool,
    /// Whether it is in proportion to the number of steps.
    pub steps: bool,
}

impl Dim {
    /// A number.
    pub fn fixed(factor: usize) -> Self {
        Self { factor, rows: false, steps: false }
    }

    /// The number, if it is known.
    pub fn known(self) -> Option<usize> {
        (!self.rows && !self.steps).then_some(self.factor)
    }

    /// Whether it is 1, and repeats where another extent is wanted.
    pub fn is_one(self) -> bool {
        self.known() == Some(1)
    }
}

/// Numbers of rows and of steps that are compared: primes, so that products of other extents are none of
/// them.
const ROWS: [usize; 2] = [29, 31];
const STEPS: [usize; 2] = [37, 41];

/// A model's graph whose extents are symbols.
#[derive(Debug)]
pub struct Trace {
    /// The model for some number of rows.
    pub model: ModelGraph,
    /// Extents by node; `None` where they, or the operation, depend on the number of rows otherwise.
    dims: Vec<Option<Vec<Dim>>>,
}

impl Trace {
    /// The model that `build` makes for a number of rows and a number of steps.
    ///
    /// # Errors
    /// If it cannot be built.
    pub fn of(build: impl Fn(usize, usize) -> Result<ModelGraph, TrainError>) -> Result<Self, TrainError> {
        let model = build(ROWS[0], STEPS[0])?;
        let other = [build(ROWS[1], STEPS[0])?.graph, build(ROWS[0], STEPS[1])?.graph];
        let dims = (0..model.graph.nodes.len()).map(|at| dims_of(&model.graph, &other, at)).collect();
        Ok(Self { model, dims })
    }

    /// A model whose extents are all numbers.
    pub fn fixed(model: ModelGraph) -> Self {
        let extents = |shape: &[usize]| Some(shape.iter().map(|&extent| Dim::fixed(extent)).collect());
        let dims = model.graph.nodes.iter().map(|node| extents(&node.ty.shape)).collect();
        Self { model, dims }
    }

    /// The graph.
    pub fn graph(&self) -> &Graph {
        &self.model.graph
    }

    /// The extents of a value.
    ///
    /// # Errors
    /// If it depends on the number of rows other than in proportion, as the means of losses do.
    pub fn dims(&self, value: ValueId) -> Result<&[Dim], TrainError> {
        let known = self.dims.get(value.index()).and_then(Option::as_deref);
        known.ok_or_else(|| refusal(self.graph(), value, "depends on the number of rows in a way"))
    }
}

/// The error that a value cannot be exported: where, what, and how to go on.
pub fn refusal(graph: &Graph, value: ValueId, why: &str) -> TrainError {
    let node = graph.node(value);
    let layer = if node.layer.is_empty() { String::new() } else { format!("{}: ", node.layer) };
    TrainError::Input(format!(
        "{layer}the operator `{}` {why}, which ONNX export does not know; export the weights alone with a \
         file that ends in .safetensors",
        node.op.def().name()
    ))
}

/// The extents of node `at`; `None` if it is not the same operation in the other graphs.
fn dims_of(graph: &Graph, [rows, steps]: &[Graph; 2], at: usize) -> Option<Vec<Dim>> {
    let node = graph.nodes.get(at)?;
    let (by_rows, by_steps) = (rows.nodes.get(at)?, steps.nodes.get(at)?);
    for other in [by_rows, by_steps] {
        if node.inputs != other.inputs || !alike(&node.op, &other.op) {
            return None;
        }
    }
    let (a, b, c) = (&node.ty.shape, &by_rows.ty.shape, &by_steps.ty.shape);
    if a.len() != b.len() || a.len() != c.len() {
        return None;
    }
    a.iter().zip(b).zip(c).map(|((&a, &b), &c)| dim(a, b, c)).collect()
}

/// The extent that is `a`, `b` with other rows, and `c` with other steps.
fn dim(a: usize, b: usize, c: usize) -> Option<Dim> {
    let (rows, steps) = (a != b, a != c);
    let in_proportion = (!rows || a * ROWS[1] == b * ROWS[0]) && (!steps || a * STEPS[1] == c * STEPS[0]);
    let per_row = if rows { a / ROWS[0] } else { a };
    let factor = if steps { per_row / STEPS[0] } else { per_row };
    in_proportion.then_some(Dim { factor, rows, steps })
}

/// Whether two operators differ in extents alone.
fn alike(a: &Op, b: &Op) -> bool {
    match (a, b) {
        (Op::Reshape(_), Op::Reshape(_)) | (Op::Broadcast(_), Op::Broadcast(_)) => true,
        (Op::Slice(a), Op::Slice(b)) => a.starts.len() == b.starts.len(),
        (Op::Constant(a), Op::Constant(b)) => {
            a == b || uniform(&a.data).is_some_and(|a| uniform(&b.data) == Some(a))
        }
        (Op::Source(a), Op::Source(b)) => a.source == b.source && a.ty.dtype == b.ty.dtype,
        (Op::Random(a), Op::Random(b)) => (a.kind, a.stream) == (b.kind, b.stream),
        _ => a == b,
    }
}

/// The value of every element, if it is the same.
pub fn uniform(data: &[u32]) -> Option<u32> {
    data.first().copied().filter(|first| data.iter().all(|x| x == first))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_extent_is_a_number_or_in_proportion() {
        let [(r, other_r), (t, other_t)] = [ROWS, STEPS].map(|[one, other]| (one, other));
        let of = |factor, rows, steps| Some(Dim { factor, rows, steps });
        assert_eq!(dim(12, 12, 12), Some(Dim::fixed(12)));
        // A number that happens to be that of the rows is a number.
        assert_eq!(dim(r, r, r), Some(Dim::fixed(r)));
        assert_eq!(dim(r, other_r, r), of(1, true, false));
        assert_eq!(dim(6 * r, 6 * other_r, 6 * r), of(6, true, false));
        assert_eq!(dim(r * t, other_r * t, r * other_t), of(1, true, true));
        assert_eq!(dim(r + 1, other_r + 1, r + 1), None);
    }
}
