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
    #[command(flatten)]
    file: File,
    /// The network alone: it reads encoded and scaled features, and its outputs are scaled numbers or logits.
    #[arg(long, requires = "output", conflicts_with_all = ["python", "training_step"])]
    raw: bool,
    /// Print one JSON object on standard output: the format, and what goes in and comes out.
    #[arg(long)]
    json: bool,
}

/// What to write: one of these.
#[derive(Args)]
#[group(required = true, multiple = false)]
struct File {
    /// File to write: `.onnx` for the whole model (operator set 17), `.safetensors` for the weights with the
    /// names of a PyTorch state dict.
    #[arg(long)]
    output: Option<PathBuf>,
    /// ONNX file to write with a whole training step: a batch, weights and optimizer state go in, the loss and these after
    /// the step come out.
    #[arg(long, value_name = "FILE")]
    training_step: Option<PathBuf>,
    /// Python file to write: the preprocessing with NumPy and the network with PyTorch; the weights are written beside
    /// it, with the ending .safetensors.
    #[arg(long, value_name = "FILE")]
    python: Option<PathBuf>,
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
        let (what, path, report) = match &self.file {
            File { python: Some(path), .. } => ("program", path, self.python(path)?),
            File { training_step: Some(path), .. } => ("training step", path, self.step(path)?),
            File { output: Some(path), .. } => ("model", path, self.model(path)?),
            _ => return Err(Failure::input("no file is given; use --output")),
        };
        if self.json {
            return print_json(&report);
        }
        tell(format_args!("{what} written to {}", path.display()));
        for (what, ports) in [("input", &report.inputs), ("output", &report.outputs)] {
            for port in ports {
                let extents: Vec<String> = port.shape.iter().map(shown).collect();
                tell(format_args!("  {what} {}: {} [{}]", port.name, port.r#type, extents.join(", ")));
            }
        }
        Ok(())
    }

    /// Writes the model or its weights.
    fn model(&self, path: &Path) -> Result<Report, Failure> {
        let Some(format) = Format::of(path) else {
            let reason = "the file must end in .onnx or .safetensors, which says the format";
            return Err(Failure::input(format!("{}: {reason}", path.display())));
        };
        keep_run(&self.run, path)?;
        Ok(match format {
            Format::Onnx => {
                let exported = export::onnx(&self.run, self.raw)?;
                write(path, &exported.bytes)?;
                report(path, "onnx", Some(OPSET), [&exported.inputs, &exported.outputs])
            }
            Format::Safetensors => {
                write(path, &export::safetensors(&self.run)?)?;
                report(path, "safetensors", None, [&[], &[]])
            }
        })
    }

    /// Writes the Python program and its weights.
    fn python(&self, path: &Path) -> Result<Report, Failure> {
        let is_python = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("py"));
        let weights = path.with_extension("safetensors");
        let name = weights.file_name().and_then(|name| name.to_str()).filter(|_| is_python);
        let Some(name) = name else {
            return Err(Failure::input(format!("{}: the file must end in .py", path.display())));
        };
        keep_run(&self.run, path)?;
        keep_run(&self.run, &weights)?;
        let (program, data) = export::python(&self.run, name)?;
        write(&weights, &data)?;
        write(path, program.as_bytes())?;
        Ok(report(path, "python", None, [&[], &[]]))
    }

    /// Writes the training step.
    fn step(&self, path: &Path) -> Result<Report, Failure> {
        if Format::of(path) != Some(Format::Onnx) {
            let reason = "the file of a training step must end in .onnx";
            return Err(Failure::input(format!("{}: {reason}", path.display())));
        }
        keep_run(&self.run, path)?;
        let exported = export::training_step(&self.run)?;
        write(path, &exported.bytes)?;
        Ok(report(path, "onnx-training-step", Some(OPSET), [&exported.inputs, &exported.outputs]))
    }
}

fn report(path: &Path, format: &'static str, opset: Option<i64>, [inputs, outputs]: [&[Port]; 2]) -> Report {
    let described = |ports: &[Port]| ports.iter().map(describe).collect();
    let output = path.display().to_string();
    Report { output, format, opset, inputs: described(inputs), outputs: described(outputs) }
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
