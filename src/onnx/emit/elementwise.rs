//! Functions of single elements, sums and maxima: in whatever order the axes lie.

use super::super::builder::{Builder, float, int, ints};
use super::super::proto::element;
use super::super::trace::{Dim, refusal};
use super::{Constant, Emitted, Emitter, Held, Value};
use crate::graph::ValueId;
use crate::scalar::{BinaryFn, ReduceKind, UnaryFn};

impl Emitter<'_> {
    pub(super) fn unary(&mut self, f: UnaryFn, x: ValueId) -> Emitted<Held> {
        let x = self.held(x)?;
        let name = unary(self.builder, f, &x.name);
        Ok(Held { name, truth: None, ..x })
    }

    pub(super) fn activation(&mut self, op: &str, x: ValueId, alpha: f64) -> Emitted<Held> {
        let x = self.held(x)?;
        let name = self.builder.node(op, &[&x.name], vec![float("alpha", alpha)]);
        Ok(Held { name, truth: None, ..x })
    }

    pub(super) fn binary(&mut self, value: ValueId, f: BinaryFn, operands: [ValueId; 2]) -> Emitted<Held> {
        let (aligned, dims, order) = self.align(value, &operands)?;
        let names: Vec<&str> = aligned.iter().map(|held| held.name.as_str()).collect();
        let [a, b] = names[..] else {
            return Err(refusal(self.trace.graph(), value, "has other operands"));
        };
        let (name, truth) = binary(self.builder, f, [a, b]);
        Ok(Held { name, dims, order, truth })
    }

    pub(super) fn select(&mut self, value: ValueId, operands: [ValueId; 3]) -> Emitted<Held> {
        let (aligned, dims, order) = self.align(value, &operands)?;
        let [condition, a, b] = &aligned[..] else {
            return Err(refusal(self.trace.graph(), value, "has other operands"));
        };
        let truth = match &condition.truth {
            Some(truth) => truth.clone(),
            None => self.builder.cast(&condition.name, element::BOOL),
        };
        let name = self.builder.node("Where", &[&truth, &a.name, &b.name], vec![]);
        Ok(Held { name, dims, order, truth: None })
    }

    /// The operands with their axes in one order, so that they broadcast; then extents and order of the
    /// result.
    fn align(&mut self, value: ValueId, operands: &[ValueId]) -> Emitted<(Vec<Held>, Vec<Dim>, Vec<usize>)> {
        let rank = self.trace.graph().shape(value).len();
        let values: Vec<Value> = operands.iter().map(|&v| self.known(v).cloned()).collect::<Emitted<_>>()?;
        let identity: Vec<usize> = (0..rank).collect();
        let mut orders = values.iter().filter_map(|value| match value {
            Value::Held(held) if !held.dims.iter().all(|dim| dim.is_one()) => Some(&held.order),
            _ => None,
        });
        let order = match orders.next() {
            Some(first) if first.len() == rank && orders.all(|order| order == first) => first.clone(),
            _ => identity.clone(),
        };
        let aligned: Vec<Held> = (values.iter())
            .map(|value| match value {
                Value::Constant(constant) => self.constant_in(constant, &order),
                Value::Held(held) if held.order == order => held.clone(),
                // A single element lies in any order.
                Value::Held(held) if order != identity && held.dims.iter().all(|dim| dim.is_one()) => {
                    let name = self.builder.reshape(&held.name, &vec![1; rank]);
                    Held { name, dims: vec![Dim::fixed(1); rank], order: order.clone(), truth: None }
                }
                Value::Held(held) => self.turn_to_order(held),
            })
            .collect();
        let mut dims = vec![Dim::fixed(1); rank];
        for held in &aligned {
            let added = rank - held.dims.len().min(rank);
            for (at, &dim) in held.dims.iter().enumerate() {
                let known = &mut dims[added + at];
                match (known.is_one(), dim.is_one()) {
                    (true, _) => *known = dim,
                    (false, false) if *known != dim => {
                        return Err(refusal(self.trace.graph(), value, "has extents that do not match"));
                    }
                    _ => {}
                }
            }
        }
        Ok((aligned, dims, order))
    }

    /// A constant with its axes in the order of another value.
    fn constant_in(&mut self, constant: &Constant, order: &[usize]) -> Held {
        if constant.data.len() == 1 {
            let name = match constant.name.as_str() {
                "constant" => self.builder.number(constant.data[0]),
                _ => self.initializer(constant),
            };
            return Held::new(name, vec![Dim::fixed(1); constant.shape.len()]);
        }
        let identity = order.iter().enumerate().all(|(axis, &place)| axis == place);
        if identity {
            return self.held_constant(constant);
        }
        let mut shape = vec![1; order.len() - constant.shape.len().min(order.len())];
        shape.extend(&constant.shape);
        // Axis j of the result is the graph's axis that lies there.
        let mut permutation = vec![0; order.len()];
        for (axis, &place) in order.iter().enumerate() {
            permutation[place] = axis;
        }
        let turned = Constant { shape, ..constant.clone() }.permuted(&permutation);
        let held = self.held_constant(&turned);
        Held { order: order.to_vec(), ..held }
    }

    pub(super) fn reduce(&mut self, kind: ReduceKind, x: ValueId, axes: &[usize]) -> Emitted<Held> {
        let x = self.complete(x)?;
        let places: Vec<usize> = axes.iter().map(|&axis| x.order[axis]).collect();
        let dims = without(&x.dims, &places);
        let name = match kind {
            ReduceKind::Sum => {
                let places: Vec<i64> = places.iter().map(|&place| place as i64).collect();
                let places = self.builder.integers(&places);
                self.builder.node("ReduceSum", &[&x.name, &places], vec![int("keepdims", 1)])
            }
            ReduceKind::Max => self.builder.node("ReduceMax", &[&x.name], vec![ints("axes", places)]),
        };
        Ok(Held { name, dims, truth: None, ..x })
    }

    /// The mean over axes, which stay or not as the node's shape says.
    pub(super) fn mean(&mut self, value: ValueId, x: ValueId, axes: &[usize]) -> Emitted<Held> {
        let x = self.complete(x)?;
        let rank = x.order.len();
        let keep = self.trace.graph().shape(value).len() == rank;
        let places: Vec<usize> = axes.iter().map(|&axis| x.order[axis]).collect();
        let attributes = vec![ints("axes", places.iter().copied()), int("keepdims", i64::from(keep))];
        let name = self.builder.node("ReduceMean", &[&x.name], attributes);
        if keep {
            return Ok(Held { name, dims: without(&x.dims, &places), truth: None, ..x });
        }
        let kept = |place: &usize| !places.contains(place);
        let dims = (0..rank).filter(kept).map(|place| x.dims[place]).collect();
        let rank_of = |place: usize| (0..place).filter(|p| kept(p)).count();
        let order = x.order.iter().filter(|&place| kept(place)).map(|&place| rank_of(place)).collect();
        Ok(Held { name, dims, order, truth: None })
    }

    /// A value in whatever order, with all its elements.
    pub(super) fn complete(&mut self, x: ValueId) -> Emitted<Held> {
        let held = self.held(x)?;
        if held.turned() == self.dims(x)? { Ok(held) } else { self.whole(x) }
    }

    pub(super) fn softmax(&mut self, x: ValueId, log: bool) -> Emitted<Held> {
        let x = self.whole(x)?;
        let op = if log { "LogSoftmax" } else { "Softmax" };
        let name = self.builder.node(op, &[&x.name], vec![int("axis", -1)]);
        Ok(Held { name, ..x })
    }
}

/// A function of single elements.
pub(in crate::onnx) fn unary(b: &mut Builder, f: UnaryFn, x: &str) -> String {
    let op = match f {
        UnaryFn::Neg => "Neg",
        UnaryFn::Abs => "Abs",
        UnaryFn::Sign => "Sign",
        UnaryFn::Exp => "Exp",
        UnaryFn::Log => "Log",
        UnaryFn::Sqrt => "Sqrt",
        UnaryFn::Reciprocal => "Reciprocal",
        UnaryFn::Sin => "Sin",
        UnaryFn::Cos => "Cos",
        UnaryFn::Tanh => "Tanh",
        UnaryFn::Sigmoid => "Sigmoid",
        UnaryFn::Relu => "Relu",
        UnaryFn::Softplus => "Softplus",
        UnaryFn::Erf => "Erf",
        UnaryFn::Floor => "Floor",
        UnaryFn::StopGradient => "Identity",
        UnaryFn::Square => return b.node("Mul", &[x, x], vec![]),
        UnaryFn::Silu => {
            let gate = b.node("Sigmoid", &[x], vec![]);
            return b.node("Mul", &[x, &gate], vec![]);
        }
        UnaryFn::ExpM1 => return b.exp_m1(x),
        UnaryFn::Log1p => {
            let one = b.number(1.0);
            let sum = b.node("Add", &[x, &one], vec![]);
            return b.node("Log", &[&sum], vec![]);
        }
        UnaryFn::Gelu => {
            let root = b.number(std::f32::consts::FRAC_1_SQRT_2);
            let (one, half) = (b.number(1.0), b.number(0.5));
            let scaled = b.node("Mul", &[x, &root], vec![]);
            let erf = b.node("Erf", &[&scaled], vec![]);
            let sum = b.node("Add", &[&erf, &one], vec![]);
            let weighted = b.node("Mul", &[x, &sum], vec![]);
            return b.node("Mul", &[&weighted, &half], vec![]);
        }
    };
    b.node(op, &[x], vec![])
}

/// A function of pairs of elements; of comparisons also the truth values.
pub(in crate::onnx) fn binary(b: &mut Builder, f: BinaryFn, operands: [&str; 2]) -> (String, Option<String>) {
    let op = match f {
        BinaryFn::Add => "Add",
        BinaryFn::Sub => "Sub",
        BinaryFn::Mul => "Mul",
        BinaryFn::Div => "Div",
        BinaryFn::Min => "Min",
        BinaryFn::Max => "Max",
        BinaryFn::Less => "Less",
        BinaryFn::LessEqual => "LessOrEqual",
        BinaryFn::Equal => "Equal",
    };
    let result = b.node(op, &operands, vec![]);
    match f {
        BinaryFn::Less | BinaryFn::LessEqual | BinaryFn::Equal => {
            (b.cast(&result, element::FLOAT), Some(result))
        }
        _ => (result, None),
    }
}

/// Extents with 1 at some places.
fn without(dims: &[Dim], places: &[usize]) -> Vec<Dim> {
    let mut dims = dims.to_vec();
    for &place in places {
        dims[place] = Dim::fixed(1);
    }
    dims
}
