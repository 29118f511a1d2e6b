//! Reads a file's graph in plain terms.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;

use super::super::proto::{self, Extent, element};
use super::linear;
use super::model::{Body, Node, Port, Side, Source, stored};

/// Most nodes of a model.
const MAX_NODES: usize = 200_000;
/// How deep functions use each other at most.
const MAX_DEPTH: usize = 16;

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

/// The newest of ONNX's operator sets that is known here.
const NEWEST: i64 = 26;

/// The model of a file, whose external data lie in `directory`.
///
/// # Errors
/// If its parts do not fit together.
pub fn read(model: &proto::Model, directory: &Path) -> Result<Source, String> {
    let graph = model.graph.as_ref().ok_or("it holds no graph")?;
    let opsets: BTreeMap<String, i64> =
        model.opset_import.iter().map(|set| (domain(&set.domain).to_string(), set.version)).collect();
    let opset = opsets.get("").copied().unwrap_or(1);
    if opset > NEWEST {
        return Err(format!(
            "it is of operator set {opset}, and operators may mean something else there; the newest that is known here \
             is {NEWEST}: export it for that one"
        ));
    }
    if graph.output.is_empty() {
        return Err("its graph has no outputs".into());
    }
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
    let between = graph.value_info.iter().filter_map(|info| Some((info.name.clone(), port(info).ok()?)));
    let producer =
        format!("{} {}", model.producer_name, model.producer_version).trim().chars().take(80).collect();
    Ok(Source {
        nodes: body.nodes,
        inputs: inputs?,
        outputs: outputs?,
        tensors: body.tensors,
        has_doubles: has_doubles(graph),
        between: between.collect(),
        opset,
        producer,
    })
}

/// Whether inputs, outputs, tensors or casts of a graph are of double precision.
fn has_doubles(graph: &proto::Graph) -> bool {
    let of_port = |info: &proto::ValueInfo| {
        let ty = info.r#type.as_ref().and_then(|ty| ty.tensor_type.as_ref());
        ty.is_some_and(|ty| ty.elem_type == element::DOUBLE)
    };
    let of_node = |node: &proto::Node| {
        let is_double = |attribute: &proto::Attribute| {
            (attribute.name == "to" && attribute.i == Some(i64::from(element::DOUBLE)))
                || attribute.t.as_ref().is_some_and(|tensor| tensor.data_type == element::DOUBLE)
        };
        node.attribute.iter().any(is_double)
    };
    graph.input.iter().chain(&graph.output).any(of_port)
        || graph.initializer.iter().any(|tensor| tensor.data_type == element::DOUBLE)
        || graph.node.iter().any(of_node)
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
