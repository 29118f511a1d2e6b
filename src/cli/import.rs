//! `gridlight import`

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use gridlight::device::DeviceChoice;
use gridlight::onnx::import::{Imported, Inspection};
use gridlight::run::imported;
use gridlight::train::output::refuse_same;
use serde::Serialize;

use super::output::save;
use super::{Failure, exit_code, open_device, print, print_json};

/// Show what an ONNX model of others is made of and whether all of it is supported, or run it.
#[derive(Args)]
#[command(after_help = "Examples:\n  gridlight import model.onnx\n  \
                  gridlight import model.onnx --inputs x.npy --output y.json\n\n\
                  To train it further, name it in an experiment: [model] from = \"model.onnx\"")]
pub struct Import {
    /// ONNX file, of operator sets 7 and up.
    model: PathBuf,
    /// Run it on these arrays: .npy for a single input, .npz or .json for inputs by name.
    #[arg(long, value_name = "FILE")]
    inputs: Option<PathBuf>,
    /// Write the outputs of the run to this .json file instead of standard output.
    #[arg(long, value_name = "FILE", requires = "inputs")]
    output: Option<PathBuf>,
    /// An extent that the file leaves open, besides the rows: NAME=NUMBER. May be repeated.
    #[arg(long, value_name = "NAME=NUMBER")]
    size: Vec<String>,
    /// auto, cpu, gpu or gpu:N (see `gridlight devices`), for --inputs.
    #[arg(long, default_value = "auto")]
    device: DeviceChoice,
    /// Print one JSON object on standard output.
    #[arg(long)]
    json: bool,
}

/// What `--json` prints of a model.
#[derive(Serialize)]
struct Report {
    model: String,
    producer: String,
    opset: i64,
    sha256: String,
    inputs: Vec<Described>,
    outputs: Vec<Output>,
    operators: BTreeMap<String, usize>,
    parameters: usize,
    tensors: Vec<Tensor>,
    assumed: BTreeMap<String, usize>,
    mixes_rows: bool,
    /// Whether the file says double precision anywhere; numbers are computed in single precision.
    doubles: bool,
    unsupported: Vec<Unsupported>,
}

#[derive(Serialize)]
struct Described {
    name: String,
    r#type: String,
}

#[derive(Serialize)]
struct Output {
    name: String,
    /// Extents, `"N"` for the rows; absent if it cannot be computed.
    #[serde(skip_serializing_if = "Option::is_none")]
    shape: Option<Vec<serde_json::Value>>,
}

#[derive(Serialize)]
struct Tensor {
    name: String,
    shape: Vec<usize>,
}

#[derive(Serialize)]
struct Unsupported {
    node: String,
    operator: String,
    reason: String,
}

impl Import {
    pub fn run(self) -> Result<(), Failure> {
        let model = Imported::read(&self.model)?;
        if let Some(inputs) = &self.inputs {
            return self.compute(&model, inputs);
        }
        let mut sizes = BTreeMap::new();
        for size in &self.size {
            let parsed = size.split_once('=').and_then(|(name, n)| Some((name.to_string(), n.parse().ok()?)));
            let (name, n) = parsed.filter(|(_, n)| (1..=1usize << 24).contains(n)).ok_or_else(|| {
                Failure::input(format!(
                    "--size {size}: give a name and a number from 1 up, such as length=128"
                ))
            })?;
            sizes.insert(name, n);
        }
        let inspection = model.inspect(&sizes);
        let report = self.report(&model, inspection);
        if self.json {
            print_json(&report)?;
        } else {
            print(&report.text())?;
        }
        match report.unsupported.len() {
            0 => Ok(()),
            n => {
                let what = if n == 1 { "1 node is".into() } else { format!("{n} nodes are") };
                Err(Failure::input(format!("{}: {what} not supported, as listed", self.model.display())))
            }
        }
    }

    fn compute(&self, model: &Imported, inputs: &std::path::Path) -> Result<(), Failure> {
        if let Some(output) = &self.output {
            refuse_same(&self.model, output)?;
            refuse_same(inputs, output)?;
        }
        let given = imported::inputs(model, inputs)?;
        let device = open_device(self.device, false)?;
        let found = imported::run(model, &given, &*device).map_err(|error| {
            let code = exit_code(error.kind());
            Failure { code, error: anyhow::anyhow!("{}: {error}", self.model.display()) }
        })?;
        let found: BTreeMap<String, imported::Array> = found.into_iter().collect();
        match &self.output {
            None => print_json(&found),
            Some(path) => {
                let bytes = serde_json::to_vec(&found).map_err(Failure::input)?;
                save("outputs", path, &bytes)
            }
        }
    }

    fn report(&self, model: &Imported, inspection: Inspection) -> Report {
        let source = &model.source;
        let described = |port: &gridlight::onnx::import::model::Port| Described {
            name: port.name.clone(),
            r#type: port.describe(),
        };
        let side = |&n: &usize| match n {
            0 => serde_json::Value::from("N"),
            n => serde_json::Value::from(n),
        };
        let output = |(name, shape): (String, Option<Vec<usize>>)| Output {
            name,
            shape: shape.map(|shape| shape.iter().map(side).collect()),
        };
        let count = |(_, shape): &(String, Vec<usize>)| shape.iter().product::<usize>();
        let unsupported = inspection.problems.into_iter();
        Report {
            model: self.model.display().to_string(),
            producer: source.producer.clone(),
            opset: source.opset,
            sha256: model.digest.clone(),
            inputs: source.inputs.iter().map(described).collect(),
            outputs: inspection.outputs.into_iter().map(output).collect(),
            operators: inspection.operators,
            parameters: inspection.parameters.iter().map(count).sum(),
            tensors: (inspection.parameters.into_iter().chain(inspection.states))
                .map(|(name, shape)| Tensor { name, shape })
                .collect(),
            assumed: inspection.assumed.into_iter().collect(),
            mixes_rows: inspection.mixes_rows,
            doubles: source.has_doubles,
            unsupported: unsupported
                .map(|p| Unsupported { node: p.node, operator: p.op, reason: p.reason })
                .collect(),
        }
    }
}

impl Report {
    fn text(&self) -> String {
        let mut text = format!("{}: {}, operator set {}\n", self.model, self.producer, self.opset);
        for input in &self.inputs {
            text += &format!("  input   {}: {}\n", input.name, input.r#type);
        }
        for output in &self.outputs {
            let shape = output.shape.as_ref().map(|shape| {
                let sides =
                    shape.iter().map(|side| side.as_str().map_or_else(|| side.to_string(), String::from));
                format!("[{}]", sides.collect::<Vec<_>>().join(", "))
            });
            text += &format!("  output  {}: {}\n", output.name, shape.as_deref().unwrap_or("not supported"));
        }
        for (name, n) in &self.assumed {
            text += &format!("  note: {name} is open; {n} was tried (--size {name}=NUMBER)\n");
        }
        if self.doubles {
            text += "  note: numbers are computed in single precision, also where the file says double\n";
        }
        let operators: Vec<String> = self.operators.iter().map(|(op, n)| format!("{op} {n}")).collect();
        text += &format!("operators: {}\n", operators.join(", "));
        text += &format!("parameters: {}\n", self.parameters);
        for tensor in &self.tensors {
            text += &format!("  {} {:?}\n", tensor.name, tensor.shape);
        }
        for problem in &self.unsupported {
            text += &format!(
                "not supported: node `{}` ({}): {}\n",
                problem.node, problem.operator, problem.reason
            );
        }
        if self.mixes_rows {
            text += "all of it is supported, but what it gives for a row depends on the other rows of a batch, so \
                     experiments cannot predict with it; --inputs runs it as it is\n";
        } else if self.unsupported.is_empty() {
            text += "all of it is supported; train it with [model] from = \"...\" in an experiment\n";
        }
        text
    }
}
