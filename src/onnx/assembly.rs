//! A model under assembly: its graph, what goes in and what comes out.

use std::collections::BTreeSet;

use prost::Message;

use super::builder::{Builder, ML};
use super::proto::{self, element};

/// Version of the file's format: what ONNX 1.12 and later read.
const IR_VERSION: i64 = 8;
/// Version of the standard operators.
pub const OPSET: i64 = 17;
/// Version of the operators of [`ML`] that belongs to it.
const ML_OPSET: i64 = 3;

/// An extent of an input or output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// A number.
    Fixed(usize),
    /// Any number, the same wherever it has this name.
    Symbol(&'static str),
}

/// Any number of rows.
pub const ROWS: Extent = Extent::Symbol("N");

/// An input or output.
#[derive(Clone, Debug, PartialEq)]
pub struct Port {
    /// Its name.
    pub name: String,
    /// Its elements: [`element`].
    pub elements: i32,
    /// Its shape.
    pub shape: Vec<Extent>,
    /// What it means.
    pub meaning: String,
}

impl Port {
    /// The name of its elements' type, as ONNX Runtime's.
    pub fn elements_name(&self) -> &'static str {
        match self.elements {
            element::FLOAT => "float32",
            element::INT64 => "int64",
            element::DOUBLE => "float64",
            _ => "string",
        }
    }
}

/// A model under assembly.
#[derive(Debug, Default)]
pub struct Assembly {
    /// Its graph.
    pub builder: Builder,
    /// What goes in.
    pub inputs: Vec<Port>,
    /// What comes out.
    pub outputs: Vec<Port>,
    /// What inputs are if they are not given.
    defaults: Vec<proto::Tensor>,
}

impl Assembly {
    /// Declares an input and returns its name: `wanted`, with a number if there is one of this name.
    pub fn input(&mut self, wanted: &str, elements: i32, shape: &[Extent], meaning: &str) -> String {
        let name = self.builder.fresh(wanted);
        let (shape, meaning) = (shape.to_vec(), meaning.into());
        self.inputs.push(Port { name: name.clone(), elements, shape, meaning });
        name
    }

    /// Says what an input of numbers is if it is not given.
    pub fn default_of(&mut self, input: &str, shape: &[usize], data: &[f32]) {
        self.defaults.push(proto::Tensor {
            dims: shape.iter().map(|&extent| extent as i64).collect(),
            data_type: element::FLOAT,
            name: input.into(),
            raw_data: Some(data.iter().flat_map(|x| x.to_le_bytes()).collect()),
            ..proto::Tensor::default()
        });
    }

    /// Declares an output, which `value` is.
    pub fn output(&mut self, wanted: &str, value: &str, elements: i32, shape: &[Extent], meaning: &str) {
        let name = self.builder.fresh(wanted);
        self.builder.output("Identity", &[value], vec![], &name);
        let (shape, meaning) = (shape.to_vec(), meaning.into());
        self.outputs.push(Port { name, elements, shape, meaning });
    }

    /// The file.
    pub fn finish(mut self, name: &str, doc: &str, metadata: Vec<(String, String)>) -> Vec<u8> {
        self.prune();
        self.builder.initializers.append(&mut self.defaults);
        let info = |port: &Port| value_info(&port.name, port.elements, &port.shape, &port.meaning);
        let graph = proto::Graph {
            node: self.builder.nodes,
            name: name.into(),
            initializer: self.builder.initializers,
            doc_string: doc.into(),
            input: self.inputs.iter().map(info).collect(),
            output: self.outputs.iter().map(info).collect(),
            ..proto::Graph::default()
        };
        let opset = |domain: &str, version| proto::OperatorSet { domain: domain.into(), version };
        let mut opsets = vec![opset("", OPSET)];
        if graph.node.iter().any(|node| node.domain == ML) {
            opsets.push(opset(ML, ML_OPSET));
        }
        let model = proto::Model {
            ir_version: IR_VERSION,
            producer_name: "gridlight".into(),
            producer_version: env!("CARGO_PKG_VERSION").into(),
            doc_string: doc.into(),
            graph: Some(graph),
            opset_import: opsets,
            metadata_props: metadata.into_iter().map(|(key, value)| proto::Entry { key, value }).collect(),
            ..proto::Model::default()
        };
        model.encode_to_vec()
    }

    /// Takes out what no output needs.
    fn prune(&mut self) {
        let mut needed: BTreeSet<String> = self.outputs.iter().map(|port| port.name.clone()).collect();
        let mut kept = vec![];
        for mut node in std::mem::take(&mut self.builder.nodes).into_iter().rev() {
            if !node.output.iter().any(|output| needed.contains(output)) {
                continue;
            }
            // The parts of a split are as many as its extents.
            if node.op_type != "Split" {
                node.output.iter_mut().filter(|output| !needed.contains(*output)).for_each(String::clear);
            }
            while node.output.last().is_some_and(String::is_empty) {
                node.output.pop();
            }
            needed.extend(node.input.iter().cloned());
            kept.push(node);
        }
        kept.reverse();
        self.builder.nodes = kept;
        self.builder.initializers.retain(|tensor| needed.contains(&tensor.name));
    }
}

/// The description of an input or output.
fn value_info(name: &str, elements: i32, shape: &[Extent], meaning: &str) -> proto::ValueInfo {
    let dim = |extent: &Extent| {
        let value = match extent {
            Extent::Fixed(n) => proto::Extent::Value(*n as i64),
            Extent::Symbol(name) => proto::Extent::Name((*name).to_string()),
        };
        proto::Dimension { value: Some(value) }
    };
    let shape = Some(proto::Shape { dim: shape.iter().map(dim).collect() });
    let tensor_type = Some(proto::TensorType { elem_type: elements, shape });
    let r#type = Some(proto::Type { tensor_type });
    proto::ValueInfo { name: name.into(), r#type, doc_string: meaning.into() }
}
