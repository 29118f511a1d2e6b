//! A graph of ONNX under construction: nodes, constants and unique names.

use std::collections::{BTreeMap, BTreeSet};

use super::proto::{Attribute, Node, Tensor, element, kind};

/// The operator set of machine learning: encoders of strings.
pub const ML: &str = "ai.onnx.ml";

/// A graph under construction.
#[derive(Debug, Default)]
pub struct Builder {
    /// Nodes so far.
    pub nodes: Vec<Node>,
    /// Constants so far.
    pub initializers: Vec<Tensor>,
    /// Begin of the names of new nodes: the layer.
    pub scope: String,
    names: BTreeSet<String>,
    /// Small constants, to use each once.
    known: BTreeMap<(Vec<i64>, i32, Vec<u8>), String>,
}

/// An integer attribute.
pub fn int(name: &str, value: i64) -> Attribute {
    Attribute { name: name.into(), i: Some(value), r#type: kind::INT, ..Attribute::default() }
}

/// An attribute of integers.
pub fn ints(name: &str, values: impl IntoIterator<Item = usize>) -> Attribute {
    let ints = values.into_iter().map(|value| value as i64).collect();
    Attribute { name: name.into(), ints, r#type: kind::INTS, ..Attribute::default() }
}

/// An attribute of integers of any sign.
pub fn integers(name: &str, values: impl IntoIterator<Item = i64>) -> Attribute {
    let ints = values.into_iter().collect();
    Attribute { name: name.into(), ints, r#type: kind::INTS, ..Attribute::default() }
}

/// An attribute that is a number.
pub fn float(name: &str, value: f64) -> Attribute {
    Attribute { name: name.into(), f: Some(value as f32), r#type: kind::FLOAT, ..Attribute::default() }
}

/// An attribute of numbers.
pub fn floats(name: &str, floats: Vec<f32>) -> Attribute {
    Attribute { name: name.into(), floats, r#type: kind::FLOATS, ..Attribute::default() }
}

/// An attribute that is a text.
pub fn text(name: &str, value: &str) -> Attribute {
    Attribute { name: name.into(), s: Some(value.into()), r#type: kind::STRING, ..Attribute::default() }
}

/// An attribute of texts.
pub fn texts<'a>(name: &str, values: impl IntoIterator<Item = &'a str>) -> Attribute {
    let strings = values.into_iter().map(|value| value.as_bytes().to_vec()).collect();
    Attribute { name: name.into(), strings, r#type: kind::STRINGS, ..Attribute::default() }
}

impl Builder {
    /// A name like `wanted` that nothing has yet.
    pub fn fresh(&mut self, wanted: &str) -> String {
        let mut name = wanted.to_string();
        let mut number = 1;
        while !self.names.insert(name.clone()) {
            number += 1;
            name = if wanted.ends_with('/') {
                format!("{wanted}{number}")
            } else {
                format!("{wanted} {number}")
            };
        }
        name
    }

    /// Appends a node and returns the name of its result.
    pub fn node(&mut self, op: &str, inputs: &[&str], attributes: Vec<Attribute>) -> String {
        self.named(op, inputs, attributes, None)
    }

    /// Appends a node whose result has the reserved name `output`.
    pub fn output(&mut self, op: &str, inputs: &[&str], attributes: Vec<Attribute>, output: &str) -> String {
        self.named(op, inputs, attributes, Some(output))
    }

    fn named(
        &mut self,
        op: &str,
        inputs: &[&str],
        attributes: Vec<Attribute>,
        output: Option<&str>,
    ) -> String {
        let wanted =
            if self.scope.is_empty() { format!("data/{op}") } else { format!("{}/{op}", self.scope) };
        let name = self.fresh(&wanted);
        let result = output.map_or_else(|| name.clone(), String::from);
        self.nodes.push(Node {
            input: inputs.iter().map(|input| (*input).to_string()).collect(),
            output: vec![result.clone()],
            name,
            op_type: op.into(),
            attribute: attributes,
            domain: if op == "LabelEncoder" { ML.into() } else { String::new() },
        });
        result
    }

    /// Appends a node with several results; the names of those that are left out are empty.
    pub fn several(
        &mut self,
        op: &str,
        inputs: &[&str],
        attributes: Vec<Attribute>,
        results: &[&str],
    ) -> Vec<String> {
        let first = self.node(op, inputs, attributes);
        let outputs: Vec<String> =
            results.iter().map(|result| self.fresh(&format!("{first}/{result}"))).collect();
        if let Some(node) = self.nodes.last_mut() {
            node.output.clone_from(&outputs);
        }
        outputs
    }

    /// A constant with a name like `wanted`; the same name for the same constant.
    pub fn weights(&mut self, wanted: &str, dims: &[usize], data: &[f32]) -> String {
        let dims: Vec<i64> = dims.iter().map(|&extent| extent as i64).collect();
        let raw: Vec<u8> = data.iter().flat_map(|x| x.to_le_bytes()).collect();
        let same = |tensor: &&Tensor| {
            tensor.name.starts_with(wanted) && tensor.dims == dims && tensor.raw_data.as_ref() == Some(&raw)
        };
        if let Some(tensor) = self.initializers.iter().find(same) {
            return tensor.name.clone();
        }
        let name = self.fresh(wanted);
        self.push(&name, dims, element::FLOAT, raw);
        name
    }

    /// A small constant of numbers.
    pub fn numbers(&mut self, dims: &[usize], data: &[f32]) -> String {
        let raw = data.iter().flat_map(|x| x.to_le_bytes()).collect();
        self.small(dims, element::FLOAT, raw)
    }

    /// A number.
    pub fn number(&mut self, value: f32) -> String {
        self.numbers(&[], &[value])
    }

    /// A number in double precision.
    pub fn double(&mut self, value: f64) -> String {
        self.small(&[], element::DOUBLE, value.to_le_bytes().to_vec())
    }

    /// A list of numbers in double precision.
    pub fn doubles(&mut self, data: &[f64]) -> String {
        self.small(&[data.len()], element::DOUBLE, data.iter().flat_map(|x| x.to_le_bytes()).collect())
    }

    /// A small constant list of integers.
    pub fn integers(&mut self, data: &[i64]) -> String {
        let raw = data.iter().flat_map(|x| x.to_le_bytes()).collect();
        self.small(&[data.len()], element::INT64, raw)
    }

    fn small(&mut self, dims: &[usize], kind: i32, raw: Vec<u8>) -> String {
        let dims: Vec<i64> = dims.iter().map(|&extent| extent as i64).collect();
        let key = (dims.clone(), kind, raw.clone());
        if let Some(name) = self.known.get(&key) {
            return name.clone();
        }
        let name = self.fresh("constant/");
        self.push(&name, dims, kind, raw);
        self.known.insert(key, name.clone());
        name
    }

    fn push(&mut self, name: &str, dims: Vec<i64>, data_type: i32, raw: Vec<u8>) {
        let tensor = Tensor { dims, data_type, name: name.into(), raw_data: Some(raw), ..Tensor::default() };
        self.initializers.push(tensor);
    }

    /// `e^x - 1`, with all digits near 0, where it is `2 t / (1 - t)` with `t = tanh(x / 2)`.
    pub fn exp_m1(&mut self, x: &str) -> String {
        let [half, one, two] = [0.5, 1.0, 2.0].map(|x| self.number(x));
        let halved = self.node("Mul", &[x, &half], vec![]);
        let t = self.node("Tanh", &[&halved], vec![]);
        let (twice, rest) = (self.node("Mul", &[&t, &two], vec![]), self.node("Sub", &[&one, &t], vec![]));
        let near = self.node("Div", &[&twice, &rest], vec![]);
        let power = self.node("Exp", &[x], vec![]);
        let far = self.node("Sub", &[&power, &one], vec![]);
        let size = self.node("Abs", &[x], vec![]);
        let is_near = self.node("Less", &[&size, &one], vec![]);
        self.node("Where", &[&is_near, &near, &far], vec![])
    }

    /// An operator of two operands without attributes.
    pub fn two(&mut self, op: &str, a: &str, b: &str) -> String {
        self.node(op, &[a, b], vec![])
    }

    /// An operator of one operand without attributes.
    pub fn one(&mut self, op: &str, x: &str) -> String {
        self.node(op, &[x], vec![])
    }

    /// `x` in parts of these extents along an axis.
    pub fn split(&mut self, x: &str, extents: &[usize], axis: usize) -> Vec<String> {
        if let [_] = extents {
            return vec![x.to_string()];
        }
        let sizes: Vec<i64> = extents.iter().map(|&extent| extent as i64).collect();
        let sizes = self.integers(&sizes);
        let names: Vec<String> = (0..extents.len()).map(|at| at.to_string()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        self.several("Split", &[x, &sizes], vec![int("axis", axis as i64)], &names)
    }

    /// Parts one after the other along an axis.
    pub fn concat(&mut self, parts: &[String], axis: usize) -> String {
        match parts {
            [only] => only.clone(),
            _ => {
                let names: Vec<&str> = parts.iter().map(String::as_str).collect();
                self.node("Concat", &names, vec![int("axis", axis as i64)])
            }
        }
    }

    /// The sum over axes, which stay with extent 1.
    pub fn sum(&mut self, x: &str, axes: &[i64]) -> String {
        let axes = self.integers(axes);
        self.node("ReduceSum", &[x, &axes], vec![int("keepdims", 1)])
    }

    /// Zeros of a shape.
    pub fn zeros(&mut self, shape: &[usize]) -> String {
        let shape: Vec<i64> = shape.iter().map(|&extent| extent as i64).collect();
        let shape = self.integers(&shape);
        // Without a value, its elements are 0 in single precision.
        self.node("ConstantOfShape", &[&shape], vec![])
    }

    /// `x` in another element type.
    pub fn cast(&mut self, x: &str, to: i32) -> String {
        self.node("Cast", &[x], vec![int("to", i64::from(to))])
    }

    /// `x` in the shape that the node's specification gives: 0 keeps an extent, -1 is what is left.
    pub fn reshape(&mut self, x: &str, shape: &[i64]) -> String {
        let shape = self.integers(shape);
        self.node("Reshape", &[x, &shape], vec![])
    }

    /// `x` with another axis of extent 1.
    pub fn unsqueeze(&mut self, x: &str, axis: i64) -> String {
        let axes = self.integers(&[axis]);
        self.node("Unsqueeze", &[x, &axes], vec![])
    }

    /// `x` without an axis of extent 1.
    pub fn squeeze(&mut self, x: &str, axis: i64) -> String {
        let axes = self.integers(&[axis]);
        self.node("Squeeze", &[x, &axes], vec![])
    }
}
