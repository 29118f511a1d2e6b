//! Formulas in Rust notation: handles with operators that append to a graph.
//!
//! ```
//! use gridlight::graph::Source;
//! use gridlight::graph::expression::Workspace;
//!
//! let workspace = Workspace::new();
//! let x = workspace.source(Source::Batch("x".into()), &[32, 8]);
//! let y = workspace.source(Source::Batch("y".into()), &[32, 1]);
//! let w = workspace.source(Source::Parameter("0.weight".into()), &[8, 1]);
//! let b = workspace.source(Source::Parameter("0.bias".into()), &[1]);
//!
//! let prediction = (x.matmul(&w) + &b).tanh();
//! let loss = (prediction - &y).square().mean(&[0, 1]);
//! let gradients = loss.gradients(&[&w, &b]);
//!
//! let (graph, values) = workspace.finish(&[&loss, &gradients[0], &gradients[1]])?;
//! assert_eq!(graph.shape(values[1]), &[8, 1]);
//! # Ok::<(), gridlight::graph::GraphError>(())
//! ```
//!
//! [`Graph::formula`] appends a formula to an existing graph; the gradient rules of operators are written
//! this way.
//!
//! An error does not interrupt the formula: the first one is kept, values that depend on it are undefined,
//! and [`Workspace::finish`] returns it.

use std::cell::RefCell;
use std::rc::Rc;

use super::{Built, Graph, GraphError, Source, ValueId, autodiff};
use crate::base::tensor::DType;
use crate::scalar::{BinaryFn, UnaryFn};

mod functions;
mod operators;

#[derive(Debug, Default)]
struct Inner {
    graph: Graph,
    error: Option<GraphError>,
}

impl Inner {
    /// The value that `build` appends; `None` if it fails, in which case the first error is kept.
    fn attempt<T>(&mut self, build: impl FnOnce(&mut Graph) -> Result<T, GraphError>) -> Option<T> {
        match build(&mut self.graph) {
            Ok(value) => Some(value),
            Err(error) => {
                self.error.get_or_insert(error);
                None
            }
        }
    }
}

/// A graph under construction; creates expressions.
#[derive(Clone, Debug, Default)]
pub struct Workspace(Rc<RefCell<Inner>>);

/// A value of a [`Workspace`]; cheap to clone.
#[derive(Clone, Debug)]
pub struct Expression {
    workspace: Workspace,
    /// `None` after an error.
    value: Option<ValueId>,
}

/// The right side of an operator: an expression or a number.
#[derive(Clone, Debug)]
pub enum Operand {
    /// A tensor.
    Expression(Expression),
    /// The same number for every element.
    Number(f64),
}

impl From<Expression> for Operand {
    fn from(expression: Expression) -> Self {
        Operand::Expression(expression)
    }
}

impl From<&Expression> for Operand {
    fn from(expression: &Expression) -> Self {
        Operand::Expression(expression.clone())
    }
}

impl From<f64> for Operand {
    fn from(number: f64) -> Self {
        Operand::Number(number)
    }
}

impl Workspace {
    /// An empty workspace.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the layer that the following expressions belong to, for messages and plans.
    pub fn set_layer(&self, layer: impl Into<String>) {
        self.0.borrow_mut().graph.set_layer(layer);
    }

    /// A `f32` tensor bound from outside.
    pub fn source(&self, source: Source, shape: &[usize]) -> Expression {
        self.append(|g| g.source(source, shape, DType::F32))
    }

    /// Class labels or indices bound from outside.
    pub fn labels(&self, source: Source, shape: &[usize]) -> Expression {
        self.append(|g| g.source(source, shape, DType::U32))
    }

    /// A constant tensor; `data` must have as many elements as `shape`.
    pub fn constant(&self, shape: &[usize], data: &[f32]) -> Expression {
        self.append(|g| g.constant(shape, data))
    }

    /// A scalar constant.
    pub fn scalar(&self, value: f64) -> Expression {
        self.append(|g| g.scalar(value))
    }

    /// Appends anything that [`Graph`]'s builder methods can make.
    pub fn append(&self, build: impl FnOnce(&mut Graph) -> Built) -> Expression {
        let value = self.0.borrow_mut().attempt(build);
        Expression { workspace: self.clone(), value }
    }

    /// The graph so far, and the given values in it.
    ///
    /// # Errors
    /// The first error in this workspace.
    pub fn finish(&self, outputs: &[&Expression]) -> Result<(Graph, Vec<ValueId>), GraphError> {
        let outputs = self.values(outputs);
        let inner = self.0.borrow();
        match (&inner.error, outputs) {
            (None, Some(values)) => Ok((inner.graph.clone(), values)),
            (Some(error), _) => Err(error.clone()),
            (None, None) => Err(foreign()),
        }
    }

    /// The values of `expressions` in this workspace; `None` if one is undefined or belongs to another
    /// workspace (which is recorded as an error).
    fn values(&self, expressions: &[&Expression]) -> Option<Vec<ValueId>> {
        if expressions.iter().any(|e| !Rc::ptr_eq(&self.0, &e.workspace.0)) {
            return self.0.borrow_mut().attempt(|_| Err(foreign()));
        }
        expressions.iter().map(|e| e.value).collect()
    }
}

impl Graph {
    /// Appends the formula that `write` builds from `operands`.
    ///
    /// ```
    /// use gridlight::base::tensor::DType;
    /// use gridlight::graph::{Graph, Source};
    ///
    /// let mut graph = Graph::new();
    /// let x = graph.source(Source::Batch("x".into()), &[32, 8], DType::F32)?;
    /// let swish = graph.formula([x], |[x]| &x * x.sigmoid())?;
    /// assert_eq!(graph.shape(swish), &[32, 8]);
    /// # Ok::<(), gridlight::graph::GraphError>(())
    /// ```
    ///
    /// # Errors
    /// The first error in the formula.
    pub fn formula<const N: usize>(
        &mut self,
        operands: [ValueId; N],
        write: impl FnOnce([Expression; N]) -> Expression,
    ) -> Built {
        let workspace = Workspace::default();
        workspace.0.borrow_mut().graph = std::mem::take(self);
        let expression = |value| Expression { workspace: workspace.clone(), value: Some(value) };
        let written = write(operands.map(expression));
        let value = workspace.values(&[&written]);
        let mut inner = workspace.0.borrow_mut();
        *self = std::mem::take(&mut inner.graph);
        match (inner.error.take(), value) {
            (None, Some(values)) => Ok(values[0]),
            (Some(error), _) => Err(error),
            (None, None) => Err(foreign()),
        }
    }
}

fn foreign() -> GraphError {
    let reason = "an operand was made in another workspace; make all operands of a formula in one".into();
    GraphError { layer: String::new(), op: "expression", operands: String::new(), reason }
}

impl Expression {
    /// The value in the graph, unless an error occurred.
    pub fn value(&self) -> Option<ValueId> {
        self.value
    }

    /// Appends anything that `build` makes of this value with [`Graph`]'s methods.
    pub fn apply(&self, build: impl FnOnce(&mut Graph, ValueId) -> Built) -> Self {
        self.with(&[], |graph, value, _| build(graph, value))
    }

    /// Appends what `build` makes of this value and `others`.
    fn with(
        &self,
        others: &[&Expression],
        build: impl FnOnce(&mut Graph, ValueId, &[ValueId]) -> Built,
    ) -> Self {
        let others = self.workspace.values(others);
        let value = self
            .value
            .zip(others)
            .and_then(|(value, others)| self.workspace.0.borrow_mut().attempt(|g| build(g, value, &others)));
        Self { workspace: self.workspace.clone(), value }
    }

    /// An elementwise function.
    pub fn unary(&self, f: UnaryFn) -> Self {
        self.with(&[], |g, x, _| g.unary(f, x))
    }

    /// A function of two tensors, broadcast to a common shape.
    pub fn binary(&self, f: BinaryFn, other: impl Into<Operand>) -> Self {
        match other.into() {
            Operand::Expression(other) => self.with(&[&other], |g, x, others| g.binary(f, x, others[0])),
            Operand::Number(number) => self.with(&[], |g, x, _| match f {
                BinaryFn::Add => g.add_scalar(x, number),
                BinaryFn::Mul => g.mul_scalar(x, number),
                _ => {
                    let number = g.scalar(number)?;
                    g.binary(f, x, number)
                }
            }),
        }
    }

    /// `a` where this is not 0, else `b`.
    pub fn select(&self, a: impl Into<Operand>, b: impl Into<Operand>) -> Self {
        let (a, b) = (self.operand(a), self.operand(b));
        self.with(&[&a, &b], |g, condition, others| g.select(condition, others[0], others[1]))
    }

    fn operand(&self, operand: impl Into<Operand>) -> Self {
        match operand.into() {
            Operand::Expression(expression) => expression,
            Operand::Number(number) => self.workspace.scalar(number),
        }
    }

    /// Matrix product over the last two axes.
    pub fn matmul(&self, other: &Expression) -> Self {
        self.with(&[other], |g, a, others| g.matmul(a, others[0]))
    }

    /// Swaps the last two axes.
    pub fn transpose(&self) -> Self {
        self.with(&[], |g, x, _| {
            let mut axes: Vec<usize> = (0..g.shape(x).len()).collect();
            let rank = axes.len();
            if rank >= 2 {
                axes.swap(rank - 2, rank - 1);
            }
            g.permute(x, &axes)
        })
    }

    /// Permutes the axes.
    pub fn permute(&self, permutation: &[usize]) -> Self {
        self.with(&[], |g, x, _| g.permute(x, permutation))
    }

    /// The same elements in another shape.
    pub fn reshape(&self, shape: &[usize]) -> Self {
        self.with(&[], |g, x, _| g.reshape(x, shape))
    }

    /// `extents` indices from `starts` on each axis.
    pub fn slice(&self, starts: &[usize], extents: &[usize]) -> Self {
        self.with(&[], |g, x, _| g.slice(x, starts, extents))
    }

    /// Sum over `axes` (ascending), which are removed.
    pub fn sum(&self, axes: &[usize]) -> Self {
        self.with(&[], |g, x, _| g.sum(x, axes, false))
    }

    /// Sum over `axes` (ascending), which remain with extent 1.
    pub fn sum_keep(&self, axes: &[usize]) -> Self {
        self.with(&[], |g, x, _| g.sum(x, axes, true))
    }

    /// Mean over `axes` (ascending), which are removed.
    pub fn mean(&self, axes: &[usize]) -> Self {
        self.with(&[], |g, x, _| g.mean(x, axes, false))
    }

    /// Maximum over `axes` (ascending), which are removed.
    pub fn max(&self, axes: &[usize]) -> Self {
        self.with(&[], |g, x, _| g.max(x, axes, false))
    }

    /// Softmax over the last axis.
    pub fn softmax(&self) -> Self {
        self.with(&[], |g, x, _| g.softmax(x))
    }

    /// Logarithm of the softmax over the last axis.
    pub fn log_softmax(&self) -> Self {
        self.with(&[], |g, x, _| g.log_softmax(x))
    }

    /// Gathers rows of this table `[V, D]` by `indices`.
    pub fn gather(&self, indices: &Expression) -> Self {
        self.with(&[indices], |g, table, others| g.gather(table, others[0]))
    }

    /// Gradients of this scalar with respect to each of `wrt`.
    pub fn gradients(&self, wrt: &[&Expression]) -> Vec<Expression> {
        let found = self.value.zip(self.workspace.values(wrt)).and_then(|(loss, wrt)| {
            self.workspace.0.borrow_mut().attempt(|g| autodiff::gradients(g, loss, &wrt))
        });
        let value = |i: usize| found.as_ref().map(|values| values[i]);
        (0..wrt.len()).map(|i| Self { workspace: self.workspace.clone(), value: value(i) }).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::base::tensor::Tensor;
    use crate::graph::ops::EvalContext;
    use crate::graph::reference;

    fn source(workspace: &Workspace, name: &str, shape: &[usize]) -> Expression {
        workspace.source(Source::Parameter(name.into()), shape)
    }

    #[test]
    fn operators_mean_what_they_say() {
        let workspace = Workspace::new();
        let x = source(&workspace, "x", &[2]);
        let y = 2.0 * &x - (1.0 - x.clone()) / 4.0 + -&x * &x;
        let (graph, values) = workspace.finish(&[&y]).unwrap();
        let bindings = BTreeMap::from([(x.value().unwrap(), Tensor::new([2], vec![3.0, -1.0]))]);
        let found = reference::evaluate(&graph, &bindings, &EvalContext::default(), &values).unwrap();
        assert_eq!(found[0].data, [6.0 + 0.5 - 9.0, -2.0 - 0.5 - 1.0]);
    }

    #[test]
    fn the_first_mistake_is_reported_at_the_end() {
        let workspace = Workspace::new();
        let (a, b) = (source(&workspace, "a", &[2, 3]), source(&workspace, "b", &[2, 3]));
        workspace.set_layer("layer 7");
        let wrong = a.matmul(&b).tanh() + &a;
        let later = a.reshape(&[5]);
        let error = workspace.finish(&[&wrong, &later]).unwrap_err().to_string();
        assert!(error.starts_with("layer 7: matmul(f32[2, 3], f32[2, 3])"), "{error}");
    }

    #[test]
    fn a_wrong_formula_leaves_the_graph_as_it_was() {
        let mut graph = Graph::new();
        let source = |g: &mut Graph, name: &str, shape: &[usize]| {
            g.source(Source::Parameter(name.into()), shape, DType::F32).unwrap()
        };
        let (a, b) = (source(&mut graph, "a", &[2, 3]), source(&mut graph, "b", &[2, 3]));
        let error = graph.formula([a, b], |[a, b]| a.matmul(&b) * 2.0).unwrap_err().to_string();
        assert!(error.starts_with("matmul(f32[2, 3], f32[2, 3])"), "{error}");
        assert_eq!(graph.nodes.len(), 2);
        let product = graph.formula([a, b], |[a, b]| a.matmul(&b.transpose())).unwrap();
        assert_eq!(graph.shape(product), &[2, 2]);
    }

    #[test]
    fn operands_of_two_workspaces_do_not_mix() {
        let (first, second) = (Workspace::new(), Workspace::new());
        let (a, b) = (source(&first, "a", &[2]), source(&second, "b", &[2]));
        let sum = &a + &b;
        assert!(first.finish(&[&sum]).unwrap_err().to_string().contains("another workspace"));
        assert!(second.finish(&[&a]).unwrap_err().to_string().contains("another workspace"));
    }
}
