//! A file's graph in plain terms: nodes with functions written out, tensors by name, inputs and outputs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::super::proto::{self, Extent, element};
use super::known::{self, Kind, Known, type_name};
use super::linear;

/// Most nodes of a model.
const MAX_NODES: usize = 200_000;
/// How deep functions use each other at most.
const MAX_DEPTH: usize = 16;

/// A tensor of a file.
#[derive(Clone, Debug)]
pub enum Stored {
    /// Numbers in single precision: parameters, or constants.
    Weights {
        /// Extents.
        shape: Vec<usize>,
        /// Elements.
        data: Arc<Vec<f32>>,
    },
    /// Integers or truth values.
    Known(Known),
    /// Texts: names of classes.
    Texts {
        /// Extents.
        shape: Vec<usize>,
        /// Elements.
        data: Arc<Vec<String>>,
    },
    /// One that cannot be read, and why.
    Refused(String),
}

/// An extent of an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Side {
    /// A number.
    Fixed(usize),
    /// Any number; the same wherever it has this name.
    Named(String),
    /// Any number.
    Free,
}

/// What goes in or comes out.
#[derive(Clone, Debug, PartialEq)]
pub struct Port {
    /// Its name.
    pub name: String,
    /// The type of its elements: [`element`].
    pub elements: i32,
    /// Its extents, if the file tells how many there are.
    pub shape: Option<Vec<Side>>,
}

/// An operation.
#[derive(Debug, Default)]
pub struct Node {
    /// The operator; with its domain, unless it is a standard one.
    pub op: String,
    /// Its name, or that of its first result.
    pub name: String,
    /// Operands; empty for those left out.
    pub inputs: Vec<String>,
    /// Results; empty for those left out.
    pub outputs: Vec<String>,
    /// Version of the operator set.
    pub opset: i64,
    /// Its attributes.
    pub attributes: Vec<proto::Attribute>,
    /// Graphs among its attributes, by attribute.
    pub graphs: Vec<(String, Body)>,
    /// Attributes that were looked at.
    looked_at: Mutex<BTreeSet<String>>,
}

/// The graph of a node.
#[derive(Debug, Default)]
pub struct Body {
    /// Its nodes in order.
    pub nodes: Vec<Node>,
    /// Its results.
    pub outputs: Vec<String>,
    /// Its tensors.
    pub tensors: BTreeMap<String, Stored>,
}

/// A model of a file.
#[derive(Debug, Default)]
pub struct Source {
    /// Nodes in order.
    pub nodes: Vec<Node>,
    /// What goes in.
    pub inputs: Vec<Port>,
    /// What comes out.
    pub outputs: Vec<Port>,
    /// Tensors by name.
    pub tensors: BTreeMap<String, Stored>,
    /// Version of the standard operators.
    pub opset: i64,
    /// The program that wrote it.
    pub producer: String,
}

impl Node {
    /// A node with one result and no graphs, called as its result.
    pub fn plain(
        op: &str,
        output: &str,
        inputs: Vec<String>,
        opset: i64,
        attributes: Vec<proto::Attribute>,
    ) -> Self {
        let (op, name, outputs) = (op.to_string(), output.to_string(), vec![output.to_string()]);
        Self { op, name, inputs, outputs, opset, attributes, ..Self::default() }
    }

    /// How messages call it.
    pub fn label(&self) -> String {
        format!("node `{:.120}` ({:.60})", self.name, self.op)
    }

    /// The attribute of this name; it then counts as looked at.
    pub fn attribute(&self, name: &str) -> Option<&proto::Attribute> {
        self.looked_at().insert(name.to_string());
        self.attributes.iter().find(|attribute| attribute.name == name)
    }

    fn looked_at(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.looked_at.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there is such an attribute.
    pub fn has(&self, name: &str) -> bool {
        self.attribute(name).is_some()
    }

    /// The integer `name`.
    pub fn int(&self, name: &str, default: i64) -> i64 {
        self.attribute(name).and_then(|a| a.i).unwrap_or(default)
    }

    /// The number `name`.
    pub fn float(&self, name: &str, default: f64) -> f64 {
        // As it was meant: 1e-5 is stored as the nearest number of single precision.
        let number = |x: f32| x.to_string().parse().unwrap_or(f64::from(x));
        self.attribute(name).and_then(|a| a.f).map_or(default, number)
    }

    /// The integers `name`.
    pub fn ints(&self, name: &str) -> Option<Vec<i64>> {
        self.attribute(name).map(|a| a.ints.clone())
    }

    /// The text `name`.
    pub fn text(&self, name: &str, default: &str) -> String {
        let text = self.attribute(name).and_then(|a| a.s.as_ref());
        text.map_or_else(|| default.to_string(), |s| String::from_utf8_lossy(s).into_owned())
    }

    /// The texts `name`.
    pub fn texts(&self, name: &str) -> Vec<String> {
        let strings = self.attribute(name).map(|a| a.strings.clone()).unwrap_or_default();
        strings.iter().map(|s| String::from_utf8_lossy(s).into_owned()).collect()
    }

    /// The attributes that nothing looked at.
    pub fn unread(&self) -> Vec<&str> {
        let looked_at = self.looked_at();
        let names = self.attributes.iter().map(|attribute| attribute.name.as_str());
        names.filter(|name| !looked_at.contains(*name)).collect()
    }
}

/// The functions of a file by domain and name.
type Functions<'a> = BTreeMap<(&'a str, &'a str), &'a proto::Function>;

/// What is known while functions are written out.
struct Reader<'a> {
    functions: Functions<'a>,
    directory: &'a Path,
    left: usize,
    calls: usize,
}

/// How names within a function are called outside, and what its attributes are.
#[derive(Default)]
struct Scope {
    prefix: String,
    names: BTreeMap<String, String>,
    attributes: Vec<proto::Attribute>,
    opsets: BTreeMap<String, i64>,
    depth: usize,
}

impl Scope {
    fn name(&self, name: &str) -> String {
        match self.names.get(name) {
            Some(outside) => outside.clone(),
            None if name.is_empty() => String::new(),
            None => format!("{}{name}", self.prefix),
        }
    }

    /// An attribute with the value that the function was given; none if it was not.
    fn attribute(&self, attribute: &proto::Attribute) -> Option<proto::Attribute> {
        if attribute.ref_attr_name.is_empty() {
            return Some(attribute.clone());
        }
        let given = self.attributes.iter().find(|a| a.name == attribute.ref_attr_name)?;
        Some(proto::Attribute { name: attribute.name.clone(), ..given.clone() })
    }
}

/// The model of a file, whose external data lie in `directory`.
///
/// # Errors
/// If its parts do not fit together.
pub fn read(model: &proto::Model, directory: &Path) -> Result<Source, String> {
    let graph = model.graph.as_ref().ok_or("it holds no graph")?;
    let opsets: BTreeMap<String, i64> =
        model.opset_import.iter().map(|set| (domain(&set.domain).to_string(), set.version)).collect();
    let opset = opsets.get("").copied().unwrap_or(1);
    let functions = model.functions.iter().map(|f| ((domain(&f.domain), f.name.as_str()), f)).collect();
    let mut reader = Reader { functions, directory, left: MAX_NODES, calls: 0 };
    let scope = Scope { opsets, ..Scope::default() };
    let body = reader.body(graph, &scope)?;
    if let Some(sparse) = graph.sparse_initializer.first() {
        let name = sparse.values.as_ref().map_or("", |values| values.name.as_str());
        return Err(format!("its tensor `{name:.80}` is stored as a sparse one, which is not read"));
    }
    // In old files every tensor is also an input.
    let inputs = graph.input.iter().filter(|info| !body.tensors.contains_key(&info.name));
    let inputs: Result<Vec<Port>, String> = inputs.map(port).collect();
    let outputs: Result<Vec<Port>, String> = graph.output.iter().map(port).collect();
    let producer =
        format!("{} {}", model.producer_name, model.producer_version).trim().chars().take(80).collect();
    Ok(Source {
        nodes: body.nodes,
        inputs: inputs?,
        outputs: outputs?,
        tensors: body.tensors,
        opset,
        producer,
    })
}

fn domain(name: &str) -> &str {
    if name == "ai.onnx" { "" } else { name }
}

fn port(info: &proto::ValueInfo) -> Result<Port, String> {
    let ty = info.r#type.as_ref().and_then(|ty| ty.tensor_type.as_ref());
    let Some(ty) = ty else { return Ok(Port { name: info.name.clone(), elements: 0, shape: None }) };
    let side = |dimension: &proto::Dimension| match &dimension.value {
        Some(Extent::Value(n)) => usize::try_from(*n).map(Side::Fixed).or(Ok(Side::Free)),
        Some(Extent::Name(name)) if !name.is_empty() => Ok(Side::Named(name.clone())),
        _ => Ok(Side::Free),
    };
    let shape: Option<Result<Vec<Side>, String>> =
        ty.shape.as_ref().map(|shape| shape.dim.iter().map(side).collect());
    Ok(Port { name: info.name.clone(), elements: ty.elem_type, shape: shape.transpose()? })
}

impl Reader<'_> {
    fn body(&mut self, graph: &proto::Graph, scope: &Scope) -> Result<Body, String> {
        let mut tensors = BTreeMap::new();
        for tensor in &graph.initializer {
            tensors.insert(scope.name(&tensor.name), stored(tensor, self.directory));
        }
        let mut nodes = vec![];
        for node in &graph.node {
            self.node(node, scope, &mut nodes)?;
        }
        let outputs = graph.output.iter().map(|info| scope.name(&info.name)).collect();
        let nodes = linear::written_out(nodes, &mut tensors);
        Ok(Body { nodes, outputs, tensors })
    }

    /// Appends a node, or those of the function that it calls.
    fn node(&mut self, node: &proto::Node, scope: &Scope, nodes: &mut Vec<Node>) -> Result<(), String> {
        self.left = self.left.checked_sub(1).ok_or(format!("it has more than {MAX_NODES} nodes"))?;
        let set = domain(&node.domain);
        let attributes: Vec<proto::Attribute> =
            node.attribute.iter().filter_map(|attribute| scope.attribute(attribute)).collect();
        if let Some(&function) = self.functions.get(&(set, node.op_type.as_str())) {
            return self.call(node, function, attributes, scope, nodes);
        }
        let list = |names: &[String]| names.iter().map(|name| scope.name(name)).collect::<Vec<String>>();
        let (inputs, outputs) = (list(&node.input), list(&node.output));
        let mut graphs = vec![];
        let mut plain = vec![];
        for attribute in attributes {
            match &attribute.g {
                Some(graph) => graphs.push((attribute.name.clone(), self.body(graph, scope)?)),
                None => plain.push(attribute),
            }
        }
        let op = if set.is_empty() { node.op_type.clone() } else { format!("{set}.{}", node.op_type) };
        let name = match (node.name.as_str(), outputs.first()) {
            ("", Some(output)) => output.clone(),
            (name, _) => format!("{}{name}", scope.prefix),
        };
        let opset = scope.opsets.get(set).copied().unwrap_or(1);
        let looked_at = Mutex::default();
        nodes.push(Node { op, name, inputs, outputs, opset, attributes: plain, graphs, looked_at });
        Ok(())
    }

    fn call(
        &mut self,
        node: &proto::Node,
        function: &proto::Function,
        given: Vec<proto::Attribute>,
        scope: &Scope,
        nodes: &mut Vec<Node>,
    ) -> Result<(), String> {
        if scope.depth >= MAX_DEPTH {
            return Err(format!(
                "its function `{:.60}` uses functions more than {MAX_DEPTH} deep",
                function.name
            ));
        }
        self.calls += 1;
        let mut inner = Scope {
            prefix: format!("{}{}#{}/", scope.prefix, function.name, self.calls),
            ..Scope::default()
        };
        inner.depth = scope.depth + 1;
        for (at, name) in function.input.iter().enumerate() {
            let outside = node.input.get(at).map(|name| scope.name(name)).unwrap_or_default();
            inner.names.insert(name.clone(), outside);
        }
        for (name, outside) in function.output.iter().zip(&node.output).filter(|(_, o)| !o.is_empty()) {
            inner.names.insert(name.clone(), scope.name(outside));
        }
        let defaults = function.attribute_proto.iter();
        let missing = defaults.filter(|default| !given.iter().any(|a| a.name == default.name)).cloned();
        inner.attributes = given.iter().cloned().chain(missing).collect();
        let sets = function.opset_import.iter().map(|set| (domain(&set.domain).to_string(), set.version));
        inner.opsets = sets.collect();
        for node in &function.node {
            self.node(node, &inner, nodes)?;
        }
        Ok(())
    }
}

/// A tensor of a file: floating-point numbers as weights.
pub fn stored(tensor: &proto::Tensor, directory: &Path) -> Stored {
    if tensor.data_type == element::STRING {
        return match known::read_texts(tensor) {
            Ok((shape, data)) => Stored::Texts { shape, data: Arc::new(data) },
            Err(reason) => Stored::Refused(reason),
        };
    }
    match known::read(tensor, directory) {
        Ok(Known { kind: Kind::Float, shape, data }) => {
            let large = |x: &&f64| x.is_finite() && !(**x as f32).is_finite();
            if let Some(x) = data.iter().find(large) {
                return Stored::Refused(format!("it holds {x}, which is too large for single precision"));
            }
            Stored::Weights { shape, data: Arc::new(data.into_iter().map(|x| x as f32).collect()) }
        }
        Ok(known) => Stored::Known(known),
        Err(reason) => Stored::Refused(reason),
    }
}

impl Port {
    /// Its type and shape, for people: `float [N, 3, 224, 224]`.
    pub fn describe(&self) -> String {
        let side = |side: &Side| match side {
            Side::Fixed(n) => n.to_string(),
            Side::Named(name) => name.chars().take(40).collect(),
            Side::Free => "?".into(),
        };
        let elements = if self.elements == 0 { "no tensor".into() } else { type_name(self.elements) };
        match &self.shape {
            Some(shape) => format!("{elements} [{}]", shape.iter().map(side).collect::<Vec<_>>().join(", ")),
            None => elements,
        }
    }

    /// Whether its elements are numbers of any precision.
    pub fn is_float(&self) -> bool {
        matches!(self.elements, element::FLOAT | element::DOUBLE | element::FLOAT16 | element::BFLOAT16)
    }
}
