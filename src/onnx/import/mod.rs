//! Models of others, from ONNX files: their graphs by the builder methods of [`crate::graph`], so that gradients,
//! plans and kernels are those of any model.
//!
//! A file is read within bounds ([`file`]), its functions are written out ([`model`]), and its nodes become a graph
//! ([`build`], with one file for each group of operators in [`ops`]). What depends on shapes alone is computed on the
//! way ([`known`]). The number of rows is free, whatever the file was exported with ([`mend`], [`free`]). In training, a model
//! is the body of an experiment's ([`network`]).

mod adapters;
pub mod build;
mod feed;
pub mod file;
mod free;
mod guess;
pub mod known;
mod linear;
pub mod literal;
pub mod mend;
pub mod model;
pub mod network;
mod ops;
mod reader;
mod scores;
#[cfg(test)]
mod tests;
pub mod value;
mod weights;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;

use prost::Message;
use sha2::{Digest, Sha256};

use super::proto;
use crate::base::tensor::DType;
use crate::graph::{Graph, Source as GraphSource, ValueId};
use crate::nn::network::Network;
use crate::train::TrainError;
use crate::train::checkpoint::hexadecimal;
use build::{Builder, Held, Problem, Value};
use guess::Guesses;
use known::Kind;
use mend::{Freed, Mends, PROBE};
use model::{Node, Port, Side, Source};

/// The extent that is tried where a file leaves one open that is not the rows.
const OPEN: usize = 16;

/// A model of a file.
#[derive(Debug)]
pub struct Imported {
    /// Its graph in plain terms.
    pub source: Source,
    /// How often each name is read.
    uses: HashMap<String, usize>,
    /// The number of its node by result.
    made_by: HashMap<String, usize>,
    /// SHA-256 of the file.
    pub digest: String,
    /// The file, with all weights in it.
    bytes: Vec<u8>,
}

/// What a model is found to be.
#[derive(Clone, Debug, Default)]
pub struct Inspection {
    /// How often it has each operator.
    pub operators: BTreeMap<String, usize>,
    /// Its parameters: name, shape.
    pub parameters: Vec<(String, Vec<usize>)>,
    /// Running statistics.
    pub states: Vec<(String, Vec<usize>)>,
    /// What is not supported.
    pub problems: Vec<Problem>,
    /// Outputs by name: their shape, 0 for the rows; none if they cannot be computed.
    pub outputs: Vec<(String, Option<Vec<usize>>)>,
    /// Extents that the file leaves open, and what was tried instead.
    pub assumed: Vec<(String, usize)>,
    /// Whether what it gives for a row depends on the other rows of a batch.
    pub mixes_rows: bool,
}

impl Imported {
    /// Reads a file.
    ///
    /// # Errors
    /// If it cannot be read, or is no ONNX file.
    pub fn read(path: &Path) -> Result<Self, TrainError> {
        let bytes = file::read(path)?;
        let directory = path.parent().unwrap_or(Path::new(""));
        Self::of(bytes, directory).map_err(|reason| TrainError::unusable(path, reason))
    }

    /// The model of a file's contents; `directory` is where external data lie.
    ///
    /// # Errors
    /// If it is no ONNX file, or its parts do not fit together.
    pub fn of(bytes: Vec<u8>, directory: &Path) -> Result<Self, String> {
        let mut proto = file::parse(&bytes)?;
        let source = reader::read(&proto, directory)?;
        let mut uses = HashMap::new();
        count_uses(&source.nodes, &mut uses);
        for port in &source.outputs {
            *uses.entry(port.name.clone()).or_insert(0) += 1;
        }
        let mut made_by = HashMap::new();
        for (at, node) in source.nodes.iter().enumerate() {
            for name in node.outputs.iter().filter(|name| !name.is_empty()) {
                if made_by.insert(name.clone(), at).is_some() {
                    return Err(format!("two nodes compute `{name:.80}`; a value is computed once"));
                }
            }
        }
        let bytes = if inline_external(&mut proto, directory)? { proto.encode_to_vec() } else { bytes };
        let digest = hexadecimal(&Sha256::digest(&bytes));
        Ok(Self { source, uses, made_by, digest, bytes })
    }

    /// A builder of the model; nothing is built yet.
    fn builder<'m, 'n, 'g>(
        &'m self,
        net: &'n mut Network<'g>,
        freed: Option<Freed>,
        mends: &'n mut Mends,
    ) -> Builder<'m, 'n, 'g> {
        Builder::new(&self.source, ops::build, &self.uses, net, freed, mends)
    }

    /// The file, with all weights in it.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Numbers of the nodes that some values depend on.
    pub fn ancestors(&self, names: &[String]) -> BTreeSet<usize> {
        let mut open: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut found = BTreeSet::new();
        while let Some(name) = open.pop() {
            let Some(&at) = self.made_by.get(name) else { continue };
            if found.insert(at) {
                let node = &self.source.nodes[at];
                open.extend(node.inputs.iter().map(String::as_str));
                open.extend(captured(node));
            }
        }
        found
    }

    /// What the model is, tried with a number of rows that stands for any. `sizes` are extents that the file leaves
    /// open, by name; a name that is given frees no other.
    pub fn inspect(&self, sizes: &BTreeMap<String, usize>) -> Inspection {
        let mut graph = Graph::new();
        let mut net = Network::new(&mut graph, false);
        let exported = self.exported_rows();
        let freed = exported.map(|exported| Freed { exported, rows: PROBE });
        let mut inspection = Inspection::default();
        let found = self.freed_shapes(sizes);
        let mut mends = found.clone().unwrap_or_else(|_| Mends::probing());
        for node in &self.source.nodes {
            *inspection.operators.entry(node.op.clone()).or_insert(0) += 1;
        }
        let mut builder = self.builder(&mut net, freed, &mut mends);
        let mut guesses = Guesses::default();
        guesses.extents.clone_from(sizes);
        for port in &self.source.inputs {
            match tried_shape(port, sizes, &mut inspection.assumed) {
                Ok(shape) => match bind_input(&mut builder, port, &shape) {
                    Ok(()) => {}
                    Err(reason) => builder.problems.push(problem_of(port, reason)),
                },
                Err(reason) => builder.problems.push(problem_of(port, reason)),
            }
        }
        guesses.extents.extend(inspection.assumed.iter().cloned());
        for port in &self.source.inputs {
            if let Some(Side::Named(name)) = port.shape.as_ref().and_then(|shape| shape.first()) {
                guesses.extents.insert(name.clone(), PROBE);
            }
        }
        builder.guesses = Some(guesses);
        builder.run(&self.source.nodes, &|_| true);
        for port in &self.source.outputs {
            let shape = builder.extents(&builder.named(&port.name)).ok();
            let free = |n: usize| if exported.is_some() && n == PROBE { 0 } else { n };
            let shape = shape.map(|shape| shape.into_iter().map(free).collect());
            inspection.outputs.push((port.name.clone(), shape));
        }
        inspection.problems = std::mem::take(&mut builder.problems);
        if inspection.problems.is_empty() {
            inspection.mixes_rows = self.mixes_rows(sizes);
        }
        // What keeps the rows from being freed, if it is nothing of a single node.
        if let (Err(reason), true) = (found, inspection.problems.is_empty()) {
            inspection.problems.push(Problem { node: "rows".into(), op: "input".into(), reason });
        }
        let Network { parameters, states, .. } = net;
        inspection.parameters = parameters.into_iter().map(|(p, _)| (p.name, p.shape)).collect();
        inspection.states = states.into_iter().map(|s| (s.name, s.shape)).collect();
        inspection
    }

    /// Where shapes hold the rows, tried with the shapes of [`tried_shape`].
    fn freed_shapes(&self, sizes: &BTreeMap<String, usize>) -> Result<Mends, String> {
        let Some(exported) = self.exported_rows().filter(|&exported| exported > 0) else {
            return Ok(Mends::probing());
        };
        self.free_rows(exported, &self.tried_shapes(sizes)?, &BTreeMap::new())
    }

    /// The shapes with which inputs are tried.
    fn tried_shapes(&self, sizes: &BTreeMap<String, usize>) -> Result<BTreeMap<String, Vec<usize>>, String> {
        let tried = |port: &Port| Ok((port.name.clone(), tried_shape(port, sizes, &mut vec![])?));
        self.source.inputs.iter().map(tried).collect()
    }

    /// The rows with which the model was exported: the first extent of its inputs, 0 if it is open; none if the
    /// inputs have no common one.
    pub fn exported_rows(&self) -> Option<usize> {
        let mut rows = None;
        for port in &self.source.inputs {
            let first = match port.shape.as_ref()?.first()? {
                Side::Fixed(n) => *n,
                _ => 0,
            };
            match rows {
                None => rows = Some(first),
                Some(known) if known == first => {}
                Some(_) => return None,
            }
        }
        rows
    }
}

/// How often each name is read, in branches too.
fn count_uses(nodes: &[Node], uses: &mut HashMap<String, usize>) {
    for node in nodes {
        for name in node.inputs.iter().filter(|name| !name.is_empty()) {
            *uses.entry(name.clone()).or_insert(0) += 1;
        }
        for (_, body) in &node.graphs {
            count_uses(&body.nodes, uses);
            for name in &body.outputs {
                *uses.entry(name.clone()).or_insert(0) += 1;
            }
        }
    }
}

/// What the graphs of a node read, of itself or from outside.
fn captured(node: &Node) -> Vec<&str> {
    let mut names = vec![];
    for (_, body) in &node.graphs {
        names.extend(body.outputs.iter().map(String::as_str));
        for inner in &body.nodes {
            names.extend(inner.inputs.iter().map(String::as_str));
            names.extend(captured(inner));
        }
    }
    names
}

fn problem_of(port: &Port, reason: String) -> Problem {
    Problem { node: port.name.clone(), op: "input".into(), reason }
}

/// The shape with which an input is tried.
fn tried_shape(
    port: &Port,
    sizes: &BTreeMap<String, usize>,
    assumed: &mut Vec<(String, usize)>,
) -> Result<Vec<usize>, String> {
    let Some(shape) = &port.shape else { return Err("the file does not say what shape it has".into()) };
    let mut tried = vec![];
    for (axis, side) in shape.iter().enumerate() {
        tried.push(match side {
            _ if axis == 0 => PROBE,
            Side::Fixed(n) => *n,
            Side::Named(name) if sizes.contains_key(name) => sizes[name],
            side => {
                let name = match side {
                    Side::Named(name) => name.clone(),
                    _ => format!("{}[{axis}]", port.name),
                };
                if !assumed.iter().any(|(known, _)| *known == name) {
                    assumed.push((name, OPEN));
                }
                OPEN
            }
        });
    }
    Ok(tried)
}

/// How the numbers of an input are bound.
pub fn source_name(port: &str) -> String {
    format!("input {port}")
}

/// How the same input is bound as indices.
pub fn index_name(port: &str) -> String {
    format!("indices {port}")
}

/// The input whose numbers are bound by this name.
fn source_port(name: &str) -> Option<&str> {
    name.strip_prefix("input ")
}

/// The input whose indices are bound by this name.
fn index_port(name: &str) -> Option<&str> {
    name.strip_prefix("indices ")
}

/// Declares an input of the graph's own.
///
/// # Errors
/// If its elements are of a type that is not supported.
pub fn bind_input(builder: &mut Builder, port: &Port, shape: &[usize]) -> Result<(), String> {
    let kind = Kind::of(port.elements)
        .ok_or_else(|| format!("inputs of the type {} are not supported", known::type_name(port.elements)))?;
    let mut source = |name: String, ty| -> Result<ValueId, String> {
        let source = GraphSource::Parameter(name);
        builder.net.graph.source(source, shape, ty).map_err(|e| e.reason)
    };
    let numbers = source(source_name(&port.name), DType::F32)?;
    let held = match kind {
        Kind::Int => Builder::index_input(Some(numbers), source(index_name(&port.name), DType::U32)?),
        kind => Held::new(numbers).of(kind),
    };
    builder.bind(&port.name, Value::Graph(held));
    Ok(())
}

/// Puts the data of tensors that lie in other files into the model itself; whether there are any.
fn inline_external(proto: &mut proto::Model, directory: &Path) -> Result<bool, String> {
    let graph = proto.graph.as_mut().ok_or("it holds no graph")?;
    let mut any = false;
    for tensor in graph.initializer.iter_mut().filter(|tensor| tensor.data_location == 1) {
        let read = known::read(tensor, directory);
        let Ok(known) = read else { continue };
        // Numbers are used in single precision.
        let raw = match known.kind {
            Kind::Float => {
                tensor.data_type = proto::element::FLOAT;
                known.data.iter().flat_map(|&x| (x as f32).to_le_bytes()).collect()
            }
            _ => {
                tensor.data_type = proto::element::INT64;
                known.data.iter().flat_map(|&x| (x as i64).to_le_bytes()).collect()
            }
        };
        tensor.raw_data = Some(raw);
        tensor.data_location = 0;
        tensor.external_data.clear();
        any = true;
    }
    Ok(any)
}

/// What is not supported, in one sentence: every problem once.
pub fn problem_text(problems: &[Problem]) -> String {
    const MOST: usize = 12;
    let mut shown: Vec<String> = problems
        .iter()
        .take(MOST)
        .map(|p| format!("node `{:.120}` ({:.60}): {}", p.node, p.op, p.reason))
        .collect();
    if problems.len() > MOST {
        shown.push(format!("and {} more (see `gridlight import FILE`)", problems.len() - MOST));
    }
    shown.join("; ")
}

/// A model ready to be the body of an experiment's.
///
/// # Errors
/// If the file cannot be read, or something in it is not supported.
pub fn body(path: &Path, output: Option<&str>, new_head: bool) -> Result<Arc<network::Body>, TrainError> {
    let imported = Imported::read(path)?;
    let file = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let body = network::Body::new(imported, file, output, new_head);
    body.map(Arc::new).map_err(|reason| TrainError::unusable(path, reason))
}
