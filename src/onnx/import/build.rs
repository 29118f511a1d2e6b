//! From a model's nodes to a graph, by the graph's own builder methods.
//!
//! A value is known before anything runs (shapes and what is computed of them), is a tensor of the file that
//! nothing has read yet, or is a value of the graph. Images lie channels-first in ONNX and channels-last in the
//! graph, so a value remembers how it lies, and is turned only where an operator needs the other order.
//! Everything that is not supported is found in one pass: what follows from it is skipped in silence, or computed of
//! what stands in for it ([`super::guess`]).

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::guess::Guesses;
use super::known::{Kind, Known};
use super::mend::{Freed, Mends, PROBE, with_rows};
use super::model::{Body, Node, Source, Stored};
pub use super::value::{Fail, Held, Outcome, Problem, Value};
use crate::base::tensor::DType;
use crate::graph::{Op, ValueId};
use crate::nn::network::Network;

/// What builds the results of a node.
pub type Operators = fn(&mut Builder, &Node) -> Outcome<Vec<Value>>;

/// A graph under construction.
pub struct Builder<'m, 'n, 'g> {
    /// The network that it becomes.
    pub net: &'n mut Network<'g>,
    pub(super) source: &'m Source,
    operators: Operators,
    /// How often each name is read.
    pub(super) uses: &'m HashMap<String, usize>,
    values: HashMap<String, Value>,
    /// Tensors of the file within branches that are taken.
    inner: HashMap<String, Stored>,
    pub(super) declared: HashMap<String, ValueId>,
    /// Tensors that are running statistics.
    pub(super) statistics: HashSet<String>,
    /// Names of what does not depend on the inputs, nor on their shapes.
    constants: HashSet<String>,
    /// What is not supported.
    pub problems: Vec<Problem>,
    /// The number of rows, if it is another than that of the file.
    pub freed: Option<Freed>,
    /// Shapes that hold the number of rows.
    pub mends: &'n mut Mends,
    /// Number of the current node, counted with those of branches.
    pub at: usize,
    dropouts: u32,
    /// Values that are places along an axis, and its extent.
    pub(super) places: HashMap<ValueId, usize>,
    /// What stands in for what is not supported, if only problems are looked for.
    pub guesses: Option<Guesses>,
    /// Whether everything is computed as the file says, rather than as layers that are trained.
    pub literal: bool,
}

impl<'m, 'n, 'g> Builder<'m, 'n, 'g> {
    /// A builder of `source`; nothing is built yet.
    pub fn new(
        source: &'m Source,
        operators: Operators,
        uses: &'m HashMap<String, usize>,
        net: &'n mut Network<'g>,
        freed: Option<Freed>,
        mends: &'n mut Mends,
    ) -> Self {
        Self {
            net,
            source,
            operators,
            uses,
            values: HashMap::new(),
            inner: HashMap::new(),
            declared: HashMap::new(),
            statistics: HashSet::new(),
            constants: HashSet::new(),
            problems: vec![],
            freed,
            mends,
            at: 0,
            dropouts: 0,
            places: HashMap::new(),
            guesses: None,
            literal: true,
        }
    }

    /// Says what a name is.
    pub fn bind(&mut self, name: &str, value: Value) {
        self.values.insert(name.to_string(), value);
    }

    /// Builds the nodes, those alone that `wanted` says.
    pub fn run(&mut self, nodes: &[Node], wanted: &dyn Fn(&Node) -> bool) {
        for node in nodes {
            self.at += 1;
            if wanted(node) {
                self.node(node);
            }
        }
    }

    fn node(&mut self, node: &Node) {
        self.net.graph.set_layer(node.label());
        let parameters = self.net.parameters.len();
        let found = (self.operators)(self, node).and_then(|values| {
            // What an operator was not asked for, it does not do.
            match node.refused_attributes() {
                None => Ok(values),
                Some(reason) => Err(Fail::Reason(reason)),
            }
        });
        let behind = self.guesses.as_ref().is_some_and(|guesses| guesses.is_behind(node));
        let values = found.unwrap_or_else(|fail| {
            let reason = match fail {
                Fail::Reason(reason) => Some(reason),
                // What does not fit may not because of what was guessed.
                Fail::Shapes(reason) => Some(reason).filter(|_| !behind),
                Fail::Follows => None,
            };
            if let Some(reason) = reason {
                // A value that an attribute should have had may be what does not fit.
                let reason = node.mistyped().map_or(reason, |of_type| of_type);
                let reason = match self.freed.is_some_and(|freed| freed.rows == PROBE) {
                    true => with_rows(&reason),
                    false => reason,
                };
                self.problems.push(Problem { node: node.name.clone(), op: node.op.clone(), reason });
            }
            vec![]
        });
        if node.inputs.iter().all(|name| name.is_empty() || self.is_constant(name)) {
            self.constants.extend(node.outputs.iter().cloned());
        }
        for (at, name) in node.outputs.iter().enumerate().filter(|(_, name)| !name.is_empty()) {
            let value = values.get(at).cloned().unwrap_or_else(|| self.guess(name));
            self.values.insert(name.clone(), value);
        }
        if let Some(guesses) = self.guesses.as_mut().filter(|_| behind) {
            guesses.note(&node.outputs);
        }
        let declared = &self.net.parameters[parameters..];
        if !declared.is_empty() {
            let trained = declared.iter().map(|(p, _)| p.shape.iter().product::<usize>()).sum();
            let shape = match node.outputs.first().and_then(|name| self.values.get(name)) {
                Some(Value::Graph(held)) => self.shape_of(held).get(1..).map(<[usize]>::to_vec),
                _ => None,
            };
            self.net.summary.push((node.op.clone(), shape.unwrap_or_default(), trained));
        }
    }

    /// Builds the nodes of a branch that is taken.
    pub fn branch(&mut self, body: &Body) -> Vec<Value> {
        self.inner.extend(body.tensors.iter().map(|(name, stored)| (name.clone(), stored.clone())));
        self.run(&body.nodes, &|_| true);
        body.outputs.iter().map(|name| self.named(name)).collect()
    }

    /// What a name is.
    pub fn named(&self, name: &str) -> Value {
        if let Some(value) = self.values.get(name) {
            return value.clone();
        }
        match self.tensor(name) {
            Some(Stored::Known(known)) => known.clone().into(),
            Some(_) => Value::Stored(name.to_string()),
            None => Value::Broken,
        }
    }

    /// Adds a tensor to those of the file.
    pub fn store(&mut self, name: &str, stored: Stored) {
        self.inner.insert(name.to_string(), stored);
    }

    /// Whether a value depends neither on the inputs nor on their shapes.
    pub fn is_constant(&self, name: &str) -> bool {
        self.constants.contains(name) || self.tensor(name).is_some()
    }

    pub(super) fn tensor(&self, name: &str) -> Option<&Stored> {
        self.inner.get(name).or_else(|| self.source.tensors.get(name))
    }

    /// The type of the elements of operand `at`, if it is an input of the model: [`crate::onnx::proto::element`].
    pub fn input_type(&self, node: &Node, at: usize) -> Option<i32> {
        let name = node.inputs.get(at)?;
        self.source.inputs.iter().find(|port| port.name == *name).map(|port| port.elements)
    }

    /// Operand `at` of a node; none if it was left out.
    pub fn operand(&self, node: &Node, at: usize) -> Outcome<Option<Value>> {
        let Some(name) = node.inputs.get(at).filter(|name| !name.is_empty()) else { return Ok(None) };
        match self.named(name) {
            Value::Broken if !self.values.contains_key(name) => Err(format!(
                "its operand `{name:.80}` is neither computed before it nor a tensor of the file"
            )
            .into()),
            Value::Broken => Err(Fail::Follows),
            value => Ok(Some(value)),
        }
    }

    /// Operand `at` of a node.
    pub fn value(&self, node: &Node, at: usize) -> Outcome<Value> {
        self.operand(node, at)?.ok_or_else(|| format!("its operand {} is missing", at + 1).into())
    }

    /// A value as one of the graph.
    pub fn hold(&mut self, value: &Value) -> Outcome<Held> {
        match value {
            Value::Graph(held) => Ok(*held),
            Value::Known(known) => {
                let id = self.constant(known)?;
                Ok(Held::new(id).of(known.kind))
            }
            Value::Stored(name) => Ok(Held::new(self.weight(name, false)?)),
            Value::Text(..) => Err("it computes with texts".into()),
            Value::Broken => Err(Fail::Follows),
        }
    }

    /// Operand `at` as a value of the graph.
    pub fn held(&mut self, node: &Node, at: usize) -> Outcome<Held> {
        let value = self.value(node, at)?;
        self.hold(&value)
    }

    /// Operand `at` as numbers of the graph whose axes lie as in ONNX.
    pub fn numbers(&mut self, node: &Node, at: usize) -> Outcome<ValueId> {
        let held = self.held(node, at)?;
        Self::want_floats(&held)?;
        self.first(&held)
    }

    /// Refuses integers and truth values.
    pub fn want_floats(held: &Held) -> Outcome<()> {
        match held.kind {
            Kind::Float => Ok(()),
            Kind::Int => Err("it computes with integers that are not known before it runs".into()),
            Kind::Bool => Err("it computes with truth values".into()),
        }
    }

    /// Operand `at`, which must be known before anything runs; none if it was left out.
    pub fn known(&self, node: &Node, at: usize) -> Outcome<Option<Arc<Known>>> {
        let Some(value) = self.operand(node, at)? else { return Ok(None) };
        match self.known_of(&value)? {
            Some(known) => Ok(Some(known)),
            None => {
                Err(format!("its operand {} is computed from the inputs; it must be a constant", at + 1)
                    .into())
            }
        }
    }

    /// The integers of operand `at`.
    pub fn integers(&self, node: &Node, at: usize) -> Outcome<Option<Vec<i64>>> {
        Ok(self.known(node, at)?.map(|known| known.integers()))
    }

    /// What a value is, if that is known.
    pub fn known_of(&self, value: &Value) -> Outcome<Option<Arc<Known>>> {
        match value {
            Value::Known(known) => Ok(Some(known.clone())),
            Value::Stored(name) => match self.tensor(name) {
                Some(Stored::Weights { shape, data }) => Ok(Some(Arc::new(Known {
                    kind: Kind::Float,
                    shape: shape.clone(),
                    data: data.iter().map(|&x| f64::from(x)).collect(),
                }))),
                Some(Stored::Refused(reason)) => Err(format!("its tensor `{name:.80}`: {reason}").into()),
                Some(Stored::Texts { .. }) => Err(format!("its tensor `{name:.80}` holds texts").into()),
                _ => Ok(None),
            },
            Value::Graph(_) | Value::Text(..) | Value::Broken => Ok(None),
        }
    }

    /// The extents of a value, in ONNX's order.
    pub fn extents(&self, value: &Value) -> Outcome<Vec<usize>> {
        match value {
            Value::Known(known) => Ok(known.shape.clone()),
            Value::Stored(name) => match self.tensor(name) {
                Some(Stored::Weights { shape, .. } | Stored::Texts { shape, .. }) => Ok(shape.clone()),
                Some(Stored::Refused(reason)) => Err(format!("its tensor `{name:.80}`: {reason}").into()),
                _ => Err(Fail::Follows),
            },
            Value::Graph(held) | Value::Text(held, _) => Ok(self.shape_of(held)),
            Value::Broken => Err(Fail::Follows),
        }
    }

    /// The extents of a value of the graph, in ONNX's order.
    pub fn shape_of(&self, held: &Held) -> Vec<usize> {
        let mut shape = self.net.graph.shape(held.id).clone();
        if held.last
            && let Some(channels) = shape.pop()
        {
            shape.insert(1, channels);
        }
        shape
    }

    /// A value whose axes lie as in ONNX.
    pub fn first(&mut self, held: &Held) -> Outcome<ValueId> {
        if !held.last {
            return Ok(held.id);
        }
        let rank = self.net.graph.shape(held.id).len();
        let order: Vec<usize> = [0, rank - 1].into_iter().chain(1..rank - 1).collect();
        self.turned(held.id, &order)
    }

    /// A value of three or more axes whose channels lie last.
    pub fn channels_last(&mut self, held: &Held) -> Outcome<ValueId> {
        let rank = self.net.graph.shape(held.id).len();
        if held.last || rank < 3 {
            return Ok(held.id);
        }
        let order: Vec<usize> = std::iter::once(0).chain(2..rank).chain([1]).collect();
        self.turned(held.id, &order)
    }

    /// Axes in another order; a second change that undoes a first takes back to what was before it.
    pub fn turned(&mut self, x: ValueId, order: &[usize]) -> Outcome<ValueId> {
        let node = self.net.graph.node(x);
        if let Op::Permute(before) = &node.op {
            let joined: Vec<usize> = order.iter().map(|&axis| before.permutation[axis]).collect();
            let from = node.inputs[0];
            return Ok(self.net.graph.permute(from, &joined)?);
        }
        Ok(self.net.graph.permute(x, order)?)
    }

    /// The extent of the axis along which a value is places, if it is.
    pub fn extent_of_places(&self, id: ValueId) -> Option<usize> {
        let mut id = id;
        loop {
            if let Some(&extent) = self.places.get(&id) {
                return Some(extent);
            }
            let node = self.net.graph.node(id);
            match node.op {
                Op::Reshape(_) | Op::Permute(_) | Op::Slice(_) | Op::Broadcast(_) => id = node.inputs[0],
                _ => return None,
            }
        }
    }

    /// Drops elements in training.
    pub fn drop(&mut self, rate: f64, held: &Held) -> Outcome<Held> {
        self.dropouts += 1;
        let stream = self.net.first_stream + self.dropouts;
        Ok(Held { id: self.net.drop(stream, rate, held.id)?, ..*held })
    }

    /// An input of the graph's own, as integers and as indices.
    pub fn index_input(numbers: Option<ValueId>, ids: ValueId) -> Held {
        Held { id: numbers.unwrap_or(ids), last: false, kind: Kind::Int, ids: Some(ids) }
    }

    /// Whether a value is of numbers; integers may lie as indices alone.
    pub fn is_float(&self, id: ValueId) -> bool {
        self.net.graph.ty(id).dtype == DType::F32
    }

    /// What stands in for a result that there is not.
    fn guess(&mut self, name: &str) -> Value {
        let Some(guesses) = &mut self.guesses else { return Value::Broken };
        let port = self.source.between.get(name).filter(|port| port.is_float());
        let Some(shape) = port.and_then(|port| guesses.shape(port, self.freed)) else { return Value::Broken };
        let source = crate::graph::Source::Parameter(format!("guess {name}"));
        match self.net.graph.source(source, &shape, DType::F32) {
            Ok(id) => {
                guesses.note(&[name.to_string()]);
                Held::new(id).into()
            }
            Err(_) => Value::Broken,
        }
    }
}
