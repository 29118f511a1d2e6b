//! From a graph's nodes to ONNX's.
//!
//! A graph keeps images channels-last and PyTorch's weights permuted; ONNX wants channels first and the
//! weights as they are stored. So a value remembers in which order its axes lie in ONNX: permuting it costs
//! nothing, functions of single elements work in any order, and a transposition is written only where an
//! operator needs another order than the one at hand. Repetition is lazy in the same way, as ONNX's operators
//! broadcast by themselves. Weights are permuted here, at once.

mod attention;
mod edges;
mod elementwise;
mod folded;
mod gradients;
mod layers;
mod pool;
mod recurrent;
mod unrolled;
mod views;

use std::collections::{BTreeMap, BTreeSet};

use super::builder::{Builder, ints};
use super::recognise::{Form, form, form_in_step};
use super::trace::{Dim, Trace, refusal};
use crate::base::tensor::DType;
use crate::graph::ops::{Pool, PoolKind};
use crate::graph::{Op, Source, ValueId};
use crate::train::TrainError;
use crate::train::checkpoint::NamedTensor;

pub(super) use elementwise::{binary, unary};

type Emitted<T> = Result<T, TrainError>;

/// A value as ONNX has it.
#[derive(Clone, Debug)]
pub(super) struct Held {
    /// Its name.
    pub name: String,
    /// Its extents as they lie; fewer, or 1, where it repeats.
    pub dims: Vec<Dim>,
    /// Where each of the graph's axes lies.
    pub order: Vec<usize>,
    /// The same as truth values, of comparisons.
    truth: Option<String>,
}

impl Held {
    /// A value whose axes lie as in the graph.
    pub fn new(name: String, dims: Vec<Dim>) -> Self {
        let order = (0..dims.len()).collect();
        Self { name, dims, order, truth: None }
    }

    /// The same elements read with axes in another order: axis `i` is where axis `order[i]` was.
    pub fn read_in(self, order: &[usize]) -> Self {
        Self { order: order.iter().map(|&axis| self.order[axis]).collect(), ..self }
    }

    /// Its extents in the graph's order.
    fn turned(&self) -> Vec<Dim> {
        self.order.iter().map(|&at| self.dims[at]).collect()
    }
}

/// A constant: weights, with the name of the parameter they come from.
#[derive(Clone, Debug)]
struct Constant {
    name: String,
    shape: Vec<usize>,
    data: Vec<f32>,
}

#[derive(Clone, Debug)]
enum Value {
    Held(Held),
    Constant(Constant),
}

/// Writes the nodes that some values of a graph need.
pub(super) struct Emitter<'a> {
    pub builder: &'a mut Builder,
    trace: &'a Trace,
    weights: BTreeMap<&'a str, &'a NamedTensor>,
    values: BTreeMap<ValueId, Value>,
    /// The results of recurrent layers by gates, weights and direction: all states, the last, the last cell.
    layers: BTreeMap<(ValueId, ValueId, bool), [Held; 3]>,
    /// What reshaped values were before, by name.
    reshapes: BTreeMap<String, (String, Vec<Dim>)>,
    /// Whether it writes a training step, whose weights are no constants.
    in_step: bool,
    /// What of a training step several values are part of.
    shared: Shared,
}

/// What of a training step is written once for several values.
#[derive(Debug, Default)]
struct Shared {
    /// The results of recurrences by operands and direction: states, cells, what is saved.
    recurrences: BTreeMap<(Vec<ValueId>, bool), [Held; 3]>,
    /// Their gradients by operands, direction and whether what is given is of the cells: of the gates, the products,
    /// the first states and the first cells.
    gradients: BTreeMap<(Vec<ValueId>, bool, bool), [Held; 4]>,
    /// Windows' maxima and their places by images.
    maxima: Vec<(ValueId, Pool, [Held; 2])>,
}

impl<'a> Emitter<'a> {
    pub fn new(builder: &'a mut Builder, trace: &'a Trace, weights: &'a [NamedTensor]) -> Self {
        let weights = weights.iter().map(|tensor| (tensor.0.as_str(), tensor)).collect();
        Self {
            builder,
            trace,
            weights,
            values: BTreeMap::new(),
            layers: BTreeMap::new(),
            reshapes: BTreeMap::new(),
            in_step: false,
            shared: Shared::default(),
        }
    }

    /// One for a training step: values that are bound may be trained; `weights` remain as they are.
    pub fn of_step(builder: &'a mut Builder, trace: &'a Trace, weights: &'a [NamedTensor]) -> Self {
        Self { in_step: true, ..Self::new(builder, trace, weights) }
    }

    /// Says what a value of the graph is, instead of what computes it there.
    pub fn bind(&mut self, value: ValueId, held: Held) {
        self.values.insert(value, Value::Held(held));
    }

    /// The source of a batch, if the graph reads it.
    pub fn source(&self, wanted: &Source) -> Option<ValueId> {
        let is = |op: &Op| matches!(op, Op::Source(source) if source.source == *wanted);
        let nodes = &self.trace.graph().nodes;
        nodes.iter().position(|node| is(&node.op)).map(|at| ValueId(at as u32))
    }

    /// Writes what `wanted` needs, and returns the name of each, its axes as in the graph.
    ///
    /// # Errors
    /// If there is an operator that ONNX does not know, or weights do not fit.
    pub fn emit(&mut self, wanted: &[ValueId]) -> Emitted<Vec<Held>> {
        let graph = self.trace.graph();
        let mut needed: BTreeSet<ValueId> = wanted.iter().copied().collect();
        let mut forms = BTreeMap::new();
        let mut open = needed.clone();
        while let Some(value) = open.pop_last() {
            if self.values.contains_key(&value) {
                continue;
            }
            let form = if self.in_step { form_in_step(graph, value) } else { form(graph, value) };
            // In a training step, weights change.
            if !self.in_step {
                self.fold_weights(&form)?;
            }
            let node = graph.node(value);
            let operands = form.operands().unwrap_or_else(|| match node.op {
                // What else they read are the edges, which they know.
                Op::NeighbourSum(_) | Op::EdgeSoftmax(_) => {
                    [0, 3].iter().filter_map(|&at| node.inputs.get(at).copied()).collect()
                }
                _ => node.inputs.clone(),
            });
            forms.insert(value, form);
            open.extend(operands.iter().copied().filter(|&operand| needed.insert(operand)));
        }
        for (value, form) in forms {
            self.builder.scope.clone_from(&graph.node(value).layer);
            let found = self.value(value, &form)?;
            self.values.insert(value, found);
        }
        let scope = std::mem::take(&mut self.builder.scope);
        let found = wanted.iter().map(|&value| self.in_order(value)).collect();
        self.builder.scope = scope;
        found
    }

    fn value(&mut self, value: ValueId, form: &Form) -> Emitted<Value> {
        let held = match form {
            Form::Plain => return self.plain(value),
            Form::Gemm { a, b, bias, transposed } => self.gemm(value, [*a, *b], *bias, *transposed)?,
            Form::BatchNorm { x, mean, variance, weight, bias, eps } => {
                self.batch_norm(*x, [*weight, *bias, *mean, *variance], *eps)?
            }
            Form::LayerNorm { x, weight, bias, eps } => self.layer_norm(*x, [*weight, *bias], *eps)?,
            Form::Mean { x, axes } => self.mean(value, *x, axes)?,
            Form::LeakyRelu { x, slope } => self.activation("LeakyRelu", *x, *slope)?,
            Form::Elu { x, alpha } => self.activation("Elu", *x, *alpha)?,
            Form::Conv { x, w, bias, conv } => self.convolution(value, [*x, *w], *bias, conv)?,
            Form::Recurrent(layer) => self.recurrent(value, layer)?,
        };
        Ok(Value::Held(held))
    }

    /// An operator as it is.
    fn plain(&mut self, value: ValueId) -> Emitted<Value> {
        let node = self.trace.graph().node(value);
        let inputs = &node.inputs;
        Ok(Value::Held(match &node.op {
            Op::Source(source) => return self.source_value(value, &source.source, &source.ty.shape),
            Op::Constant(constant) => return self.constant(value, constant),
            Op::Reshape(_) => return self.reshape(value, inputs[0]),
            Op::Permute(permute) => return self.permute(inputs[0], &permute.permutation),
            Op::Broadcast(_) => return self.broadcast(value, inputs[0]),
            // Computed by others; only its gradient is a rule of its own.
            Op::Normalise(_) => return self.known(inputs[0]).cloned(),
            Op::Unary(unary) => self.unary(unary.0, inputs[0])?,
            Op::Binary(binary) => self.binary(value, binary.0, [inputs[0], inputs[1]])?,
            Op::Select(_) => self.select(value, [inputs[0], inputs[1], inputs[2]])?,
            Op::Slice(slice) => self.slice(value, inputs[0], &slice.starts)?,
            Op::Pad(pad) => self.pad(value, inputs[0], &pad.before, &pad.after)?,
            Op::Concat(concat) => self.concat(value, inputs, concat.axis)?,
            Op::Reduce(reduce) => self.reduce(reduce.kind, inputs[0], &reduce.axes)?,
            Op::MatMul(matmul) => {
                self.matmul(value, [inputs[0], inputs[1]], [matmul.transpose_a, matmul.transpose_b])?
            }
            Op::Pool(pool) if self.in_step && matches!(pool.kind, PoolKind::Max | PoolKind::MaxTap) => {
                self.max_pool(value, inputs[0], pool)?
            }
            Op::Pool(pool) => self.pool(value, inputs[0], pool)?,
            Op::PoolGrad(gradient) if self.in_step => self.pool_gradient(value, inputs, gradient)?,
            Op::PoolGrad(repeat) => self.enlarge(value, inputs[0], repeat)?,
            Op::Softmax(softmax) => self.softmax(inputs[0], softmax.log)?,
            Op::Attention(attention) => self.attention(value, inputs, attention)?,
            Op::Gather(_) => self.gather(value, [inputs[0], inputs[1]])?,
            Op::NeighbourSum(sum) => self.neighbour_sum(value, inputs, sum)?,
            Op::EdgeSoftmax(softmax) => self.edge_softmax(value, inputs, softmax)?,
            Op::ConvWeight(gradient) if self.in_step => {
                self.conv_weight(value, [inputs[0], inputs[1]], gradient)?
            }
            Op::Recurrence(recurrence) if self.in_step => self.recurrence(inputs, recurrence)?,
            Op::RecurrenceGrad(gradient) if self.in_step => self.recurrence_gradient(inputs, gradient)?,
            Op::AttentionGrad(gradient) if self.in_step => {
                self.attention_gradient(value, inputs, gradient)?
            }
            Op::CrossEntropy(loss) if self.in_step => self.cross_entropy(value, inputs, loss.smoothing)?,
            Op::CrossEntropyDelta(loss) if self.in_step => {
                self.cross_entropy_delta(value, inputs, loss.smoothing)?
            }
            Op::GatherGrad(_) if self.in_step => self.gather_gradient(value, [inputs[0], inputs[1]])?,
            Op::StepScalar(_)
            | Op::Random(_)
            | Op::Conv(_)
            | Op::ConvWeight(_)
            | Op::Recurrence(_)
            | Op::RecurrenceGrad(_)
            | Op::AttentionGrad(_)
            | Op::CrossEntropy(_)
            | Op::CrossEntropyDelta(_)
            | Op::GatherGrad(_)
            | Op::EdgeDot(_)
            | Op::OwnNeighbourSum(_)
            | Op::OwnEdgeDot(_)
            | Op::OwnEdgeSoftmax(_) => {
                return Err(refusal(self.trace.graph(), value, "computes something here"));
            }
        }))
    }

    /// The weights that a source stands for.
    fn source_value(&mut self, value: ValueId, source: &Source, shape: &[usize]) -> Emitted<Value> {
        let (Source::Parameter(name) | Source::State(name)) = source else {
            return Err(refusal(self.trace.graph(), value, "reads something of training"));
        };
        let tensor = self.weights.get(name.as_str());
        let model = &self.trace.model;
        let parameters = model.parameters.iter().map(|p| (&p.name, &p.shape));
        let mut declared = parameters.chain(model.states.iter().map(|s| (&s.name, &s.shape)));
        let expected = declared.find(|(known, _)| *known == name).map_or(shape, |(_, shape)| shape);
        match tensor {
            Some((_, found, data)) if found == expected => {
                // The graph reads it as it lies in memory.
                let data = model.arrangement(name).to_memory(data.clone());
                Ok(Value::Constant(Constant { name: name.clone(), shape: shape.to_vec(), data }))
            }
            _ => Err(TrainError::Tensor {
                name: name.clone(),
                found: tensor.map(|tensor| tensor.1.clone()),
                expected: expected.to_vec(),
            }),
        }
    }

    fn constant(&mut self, value: ValueId, constant: &crate::graph::ops::Constant) -> Emitted<Value> {
        if constant.ty.dtype != DType::F32 {
            if constant.ty.shape.len() != 1 {
                return Err(refusal(self.trace.graph(), value, "holds integers"));
            }
            let words: Vec<i64> = constant.data.iter().map(|&word| i64::from(word)).collect();
            let dims = vec![Dim::fixed(words.len())];
            return Ok(Value::Held(Held::new(self.builder.integers(&words), dims)));
        }
        let number = |bits: u32| f32::from_bits(bits);
        let (shape, data) = match super::trace::uniform(&constant.data) {
            Some(bits) => (vec![1; constant.ty.shape.len()], vec![number(bits)]),
            None => (constant.ty.shape.clone(), constant.data.iter().map(|&bits| number(bits)).collect()),
        };
        Ok(Value::Constant(Constant { name: "constant".into(), shape, data }))
    }

    /// A value that was written before.
    fn known(&self, value: ValueId) -> Emitted<&Value> {
        let missing = || refusal(self.trace.graph(), value, "is used before it is computed");
        self.values.get(&value).ok_or_else(missing)
    }

    /// The extents of a value, of which all are numbers.
    fn numbers(&self, value: ValueId) -> Emitted<Vec<usize>> {
        let known: Option<Vec<usize>> = self.trace.dims(value)?.iter().map(|dim| dim.known()).collect();
        known.ok_or_else(|| refusal(self.trace.graph(), value, "has extents that are not fixed"))
    }

    /// A value whose axes lie as in the graph.
    fn in_order(&mut self, value: ValueId) -> Emitted<Held> {
        let held = self.held(value)?;
        Ok(self.turn_to_order(&held))
    }

    /// A value as it lies; constants become initialisers.
    fn held(&mut self, value: ValueId) -> Emitted<Held> {
        Ok(match self.known(value)?.clone() {
            Value::Held(held) => held,
            Value::Constant(constant) => self.held_constant(&constant),
        })
    }

    fn held_constant(&mut self, constant: &Constant) -> Held {
        let dims = constant.shape.iter().map(|&extent| Dim::fixed(extent)).collect();
        Held::new(self.initializer(constant), dims)
    }

    fn initializer(&mut self, Constant { name, shape, data }: &Constant) -> String {
        match name.as_str() {
            "constant" => self.builder.numbers(shape, data),
            name => self.builder.weights(name, shape, data),
        }
    }

    fn turn_to_order(&mut self, held: &Held) -> Held {
        let order: Vec<usize> = (0..held.order.len()).collect();
        self.turn(held, &order)
    }

    /// The same value with its axes in another order.
    fn turn(&mut self, held: &Held, order: &[usize]) -> Held {
        // Axis j of the result lies where the graph's axis does that lies there.
        let mut permutation = vec![0; order.len()];
        for (axis, &place) in order.iter().enumerate() {
            permutation[place] = held.order[axis];
        }
        let dims: Vec<Dim> = permutation.iter().map(|&from| held.dims[from]).collect();
        let moves: Vec<usize> =
            permutation.iter().copied().filter(|&from| !held.dims[from].is_one()).collect();
        let name = if permutation.iter().enumerate().all(|(to, &from)| to == from) {
            held.name.clone()
        } else if moves.is_sorted() {
            // Only axes of extent 1 change places.
            self.reshaped(&held.name, &held.dims, &dims)
                .unwrap_or_else(|| self.transposed(held, &permutation))
        } else {
            self.transposed(held, &permutation)
        };
        Held { name, dims, order: order.to_vec(), truth: None }
    }

    fn transposed(&mut self, held: &Held, permutation: &[usize]) -> String {
        self.builder.node("Transpose", &[&held.name], vec![ints("perm", permutation.iter().copied())])
    }

    /// A weight vector or matrix as an initialiser; other values in the graph's order.
    fn operand(&mut self, value: ValueId) -> Emitted<String> {
        Ok(self.in_order(value)?.name)
    }

    /// The weights that a value is.
    fn weight(&self, value: ValueId) -> Emitted<&Constant> {
        match self.known(value)? {
            Value::Constant(constant) => Ok(constant),
            Value::Held(_) => Err(refusal(self.trace.graph(), value, "computes weights")),
        }
    }

    /// The extents of a value in the graph.
    fn dims(&self, value: ValueId) -> Emitted<Vec<Dim>> {
        self.trace.dims(value).map(<[Dim]>::to_vec)
    }

    /// A value whose axes lie as in the graph, and that has all its elements.
    fn whole(&mut self, value: ValueId) -> Emitted<Held> {
        let held = self.in_order(value)?;
        let dims = self.dims(value)?;
        if held.dims == dims {
            return Ok(held);
        }
        let known: Option<Vec<i64>> = (dims.iter().enumerate())
            .map(|(at, dim)| {
                let lies = (at + held.dims.len()).checked_sub(dims.len()).map(|at| held.dims[at]);
                // An extent of 1 keeps what is there.
                let kept = (lies == Some(*dim)).then_some(1);
                dim.known().map(|n| n as i64).or(kept)
            })
            .collect();
        let shape = known.ok_or_else(|| refusal(self.trace.graph(), value, "repeats rows"))?;
        let shape = self.builder.integers(&shape);
        Ok(Held::new(self.builder.node("Expand", &[&held.name, &shape], vec![]), dims))
    }
}
