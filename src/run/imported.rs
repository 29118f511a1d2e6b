//! Runs a model of others as it is: arrays in, arrays out.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::base::input;
use crate::base::number::Number;
use crate::base::step::StepRecord;
use crate::base::tensor::{DType, elements};
use crate::data::image::{Pixels, array, npy};
use crate::device::Device;
use crate::graph::{Op, Source};
use crate::onnx::import::known::{Kind, Known};
use crate::onnx::import::literal::{Literal, Output};
use crate::onnx::import::{Imported, index_name, source_name};
use crate::plan::{self, Entry, ProgramSpec};
use crate::train::TrainError;

/// Largest file of arrays as JSON.
const MAX_JSON: u64 = 1 << 30;
/// Integers from here on are not all numbers of single precision.
const MAX_WHOLE: f64 = 16_777_216.0;

/// A number, or one of `"NaN"`, `"inf"`, `"-inf"`.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Cell {
    Finite(f64),
    Truth(bool),
    Named(String),
}

/// An array in a JSON file.
#[derive(Clone, Debug, Deserialize)]
struct JsonArray {
    shape: Vec<usize>,
    data: Vec<Cell>,
}

/// An array that came out.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Array {
    /// Extents.
    pub shape: Vec<usize>,
    /// Elements, row-major.
    pub data: Elements,
}

/// The elements of an array that came out.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Elements {
    /// Numbers; those that are not finite as texts.
    Numbers(Vec<Number>),
    /// Texts: names of classes.
    Texts(Vec<String>),
}

impl Elements {
    /// The numbers; none of texts.
    pub fn numbers(&self) -> &[Number] {
        match self {
            Self::Numbers(numbers) => numbers,
            Self::Texts(_) => &[],
        }
    }
}

/// Arrays for the inputs of a model: a `.npy` file for its only one, an `.npz` or `.json` file
/// (`{"x": {"shape": [2, 3], "data": [...]}}`) by name.
///
/// # Errors
/// If the file cannot be read, or an input is missing.
pub fn inputs(model: &Imported, path: &Path) -> Result<BTreeMap<String, Known>, TrainError> {
    let ports = &model.source.inputs;
    let ending = path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_lowercase();
    let wrong = |reason: String| TrainError::unusable(path, reason);
    let mut found = BTreeMap::new();
    match ending.as_str() {
        "npy" => {
            let [port] = &ports[..] else {
                let names: Vec<&str> = ports.iter().map(|port| port.name.as_str()).collect();
                return Err(wrong(format!(
                    "the model has the inputs {}; give them in an .npz file",
                    names.join(", ")
                )));
            };
            found.insert(port.name.clone(), known_of(npy::read(path)?));
        }
        "npz" => {
            let arrays = npy::read_archive(path, |name| ports.iter().any(|port| port.name == name))?;
            found.extend(arrays.into_iter().map(|(name, array)| (name, known_of(array))));
        }
        "json" => {
            let bytes = input::read(path, MAX_JSON).map_err(&wrong)?;
            let arrays: BTreeMap<String, JsonArray> = serde_json::from_slice(&bytes).map_err(|e| {
                wrong(format!(
                    "is no JSON object of arrays {{\"x\": {{\"shape\": [1], \"data\": [0.5]}}}}: {e}"
                ))
            })?;
            for (name, array) in arrays {
                let number = |cell: &Cell| match cell {
                    Cell::Finite(x) => Some(*x),
                    Cell::Truth(x) => Some(f64::from(u8::from(*x))),
                    Cell::Named(text) => text.parse::<f64>().ok(),
                };
                let data: Option<Vec<f64>> = array.data.iter().map(number).collect();
                let data =
                    data.ok_or_else(|| wrong(format!("`{name:.80}` holds a text that is no number")))?;
                if elements(&array.shape) != data.len() {
                    let (count, shape) = (data.len(), array.shape);
                    return Err(wrong(format!("`{name:.80}` has {count} numbers for the shape {shape:?}")));
                }
                found.insert(name, Known { kind: Kind::Float, shape: array.shape, data });
            }
        }
        _ => return Err(wrong("must end in .npy, .npz or .json, which says how arrays are stored".into())),
    }
    for port in ports {
        let Some(known) = found.get_mut(&port.name) else {
            return Err(wrong(format!("the input `{:.80}` ({}) is missing", port.name, port.describe())));
        };
        known.kind = Kind::of(port.elements).unwrap_or(Kind::Float);
    }
    found.retain(|name, _| ports.iter().any(|port| port.name == *name));
    Ok(found)
}

fn known_of(array: array::Array) -> Known {
    let data = match array.values {
        Pixels::Bytes(bytes) => bytes.into_iter().map(f64::from).collect(),
        Pixels::Floats(floats) => floats.into_iter().map(f64::from).collect(),
    };
    Known { kind: Kind::Float, shape: array.shape, data }
}

/// The outputs of a model for these inputs.
///
/// # Errors
/// If something in the model is not supported, an input does not fit, or the device fails.
pub fn run(
    model: &Imported,
    inputs: &BTreeMap<String, Known>,
    device: &dyn Device,
) -> Result<Vec<(String, Array)>, TrainError> {
    let literal = model.literal(inputs).map_err(TrainError::Input)?;
    let computed = compute(&literal, inputs, device)?;
    let mut results = vec![];
    let mut computed = computed.into_iter();
    for Output { name, value, texts } in &literal.outputs {
        let (shape, data) = match value {
            Ok(known) => (known.shape.clone(), known.data.clone()),
            Err(id) => (literal.graph.shape(*id).clone(), computed.next().unwrap_or_default()),
        };
        let data = match texts {
            None => Elements::Numbers(data.into_iter().map(Number).collect()),
            Some(texts) => {
                let text = |at: f64| texts.get(at as usize).cloned();
                let found: Option<Vec<String>> = data.into_iter().map(text).collect();
                Elements::Texts(
                    found.ok_or_else(|| TrainError::Input(format!("`{name}` has no such class")))?,
                )
            }
        };
        results.push((name.clone(), Array { shape, data }));
    }
    Ok(results)
}

/// The values that are computed, in order.
fn compute(
    literal: &Literal,
    inputs: &BTreeMap<String, Known>,
    device: &dyn Device,
) -> Result<Vec<Vec<f64>>, TrainError> {
    let wanted: Vec<_> =
        literal.outputs.iter().filter_map(|output| output.value.as_ref().err().copied()).collect();
    if wanted.is_empty() {
        return Ok(vec![]);
    }
    let (mut parameters, mut states, mut values) = (vec![], vec![], vec![]);
    for node in &literal.graph.nodes {
        let Op::Source(op) = &node.op else { continue };
        let (list, name) = match &op.source {
            Source::Parameter(name) => (&mut parameters, name),
            Source::State(name) => (&mut states, name),
            _ => continue,
        };
        list.push(Entry { name: name.clone(), words: node.ty.elements(), decay: false });
        values.push((name.clone(), words(literal, inputs, name, node.ty.dtype)?));
    }
    let results = wanted.iter().enumerate().map(|(i, &v)| (format!("output {i}"), v)).collect();
    let spec = ProgramSpec::once("evaluate", (&literal.graph, 1), parameters, states, results);
    let compiled = plan::compile(&spec, device.target())?;
    let mut session = device.load(&compiled.program)?;
    for (slice, words) in &compiled.layout.constants {
        session.write(slice.buffer, slice.start, words)?;
    }
    for (name, slice) in compiled.layout.parameters().chain(&compiled.layout.states) {
        if let Some((_, words)) = values.iter().find(|(known, _)| known == name) {
            session.write(slice.buffer, slice.start, words)?;
        }
    }
    session.run(0, &[StepRecord::default()])?;
    let mut found = vec![];
    for (result, &value) in compiled.layout.phases[0].results.iter().zip(&wanted) {
        let words = session.read(result.slice.buffer, result.slice.start, result.words)?;
        let indices = literal.graph.ty(value).dtype == DType::U32;
        let number = |word: u32| if indices { f64::from(word) } else { f64::from(f32::from_bits(word)) };
        found.push(words.into_iter().map(number).collect());
    }
    Ok(found)
}

/// The words of an operand: an input, or a tensor of the file.
fn words(
    literal: &Literal,
    inputs: &BTreeMap<String, Known>,
    name: &str,
    dtype: DType,
) -> Result<Vec<u32>, TrainError> {
    let input = inputs.iter().find(|(port, _)| source_name(port) == name || index_name(port) == name);
    if let Some((port, known)) = input {
        let wrong = |reason: &str| TrainError::Input(format!("the input `{port:.80}` {reason}"));
        if dtype == DType::U32 {
            let whole =
                known.data.iter().all(|x| x.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(x));
            if !whole {
                return Err(wrong("holds an index below 0, or beyond 32 bits"));
            }
            return Ok(known.data.iter().map(|&x| x as u32).collect());
        }
        if known.kind == Kind::Int && known.data.iter().any(|x| x.abs() > MAX_WHOLE) {
            return Err(wrong("holds integers that single precision does not have"));
        }
        return Ok(known.data.iter().map(|&x| (x as f32).to_bits()).collect());
    }
    let Some((_, data)) = literal.given.iter().find(|(known, _)| known == name) else { return Ok(vec![]) };
    Ok(literal.arrangement(name).to_memory(data.to_vec()).into_iter().map(f32::to_bits).collect())
}
