//! `gridlight export`

use std::path::{Path, PathBuf};

use clap::Args;
use gridlight::onnx::assembly::{Extent, OPSET, Port};
use gridlight::run::directory::RunDirectory;
use gridlight::run::export::{self, Format};
use gridlight::train::output::{refuse_same, write};
use serde::Serialize;

use super::{Failure, print_json, tell};

/// Write a trained model as ONNX, with its preprocessing inside, or its weights alone.
#[derive(Args)]
#[command(after_help = "Example:\n  gridlight export runs/traffic --output traffic.onnx\n  \
                  gridlight export runs/traffic --output traffic.safetensors")]
pub struct Export {
    /// Run directory.
    run: PathBuf,
    /// File to write: `.onnx` for the whole model (operator set 17), `.safetensors` for the weights with the
    /// names of a PyTorch state dict.
    #[arg(long)]
    output: PathBuf,
    /// The network alone: it reads encoded and scaled features, and its outputs are scaled numbers or logits.
    #[arg(long)]
    raw: bool,
    /// Print one JSON object on standard output: the format, and what goes in and comes out.
    #[arg(long)]
    json: bool,
}

/// What `export --json` prints.
#[derive(Serialize)]
struct Report {
    output: String,
    format: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    opset: Option<i64>,
    inputs: Vec<Described>,
    outputs: Vec<Described>,
}

/// An input or output.
#[derive(Serialize)]
struct Described {
    name: String,
    r#type: &'static str,
    /// Extents; a name stands for any number.
    shape: Vec<serde_json::Value>,
    meaning: String,
}

impl Export {
    pub fn run(self) -> Result<(), Failure> {
        let Some(format) = Format::of(&self.output) else {
            let reason = "the file must end in .onnx or .safetensors, which says the format";
            return Err(Failure::input(format!("{}: {reason}", self.output.display())));
        };
        keep_run(&self.run, &self.output)?;
        let report = match format {
            Format::Onnx => {
                let exported = export::onnx(&self.run, self.raw)?;
                write(&self.output, &exported.bytes)?;
                self.report("onnx", Some(OPSET), &exported.inputs, &exported.outputs)
            }
            Format::Safetensors => {
                write(&self.output, &export::safetensors(&self.run)?)?;
                self.report("safetensors", None, &[], &[])
            }
        };
        if self.json {
            return print_json(&report);
        }
        tell(format_args!("model written to {}", self.output.display()));
        for (what, ports) in [("input", &report.inputs), ("output", &report.outputs)] {
            for port in ports {
                let extents: Vec<String> = port.shape.iter().map(shown).collect();
                tell(format_args!("  {what} {}: {} [{}]", port.name, port.r#type, extents.join(", ")));
            }
        }
        Ok(())
    }

    fn report(&self, format: &'static str, opset: Option<i64>, inputs: &[Port], outputs: &[Port]) -> Report {
        let described = |ports: &[Port]| ports.iter().map(describe).collect();
        let output = self.output.display().to_string();
        Report { output, format, opset, inputs: described(inputs), outputs: described(outputs) }
    }
}

fn describe(port: &Port) -> Described {
    let extent = |extent: &Extent| match extent {
        Extent::Fixed(n) => serde_json::Value::from(*n),
        Extent::Symbol(name) => serde_json::Value::from(*name),
    };
    Described {
        name: port.name.clone(),
        r#type: port.elements_name(),
        shape: port.shape.iter().map(extent).collect(),
        meaning: port.meaning.clone(),
    }
}

fn shown(extent: &serde_json::Value) -> String {
    extent.as_str().map_or_else(|| extent.to_string(), String::from)
}

/// Refuses to write over the weights of the run.
fn keep_run(run: &Path, output: &Path) -> Result<(), Failure> {
    let best = RunDirectory::open(run)?.best();
    refuse_same(&best, output)?;
    let checkpoints = std::fs::read_dir(run.join("checkpoints")).into_iter().flatten().flatten();
    for checkpoint in checkpoints {
        refuse_same(&checkpoint.path(), output)?;
    }
    Ok(())
}
