//! Trained models as Python: one file made for a run that repeats its preprocessing with NumPy and its network with
//! PyTorch, and its weights beside it. Only what the run needs is in it; what has no form there is refused by name.

mod images;
mod network;
mod parts;
mod rows;

use std::collections::BTreeSet;
use std::fmt::Write;

use crate::data::{Fitted, FittedScaling, FittedTarget};
use crate::nn::losses::Loss;
use crate::tasks::Settings;
use crate::train::TrainError;
use crate::train::checkpoint::NamedTensor;

/// What is written.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The experiment's settings.
    pub settings: Settings<'a>,
    /// What was fitted on the training rows.
    pub fitted: &'a Fitted,
    /// The weights.
    pub weights: &'a [NamedTensor],
    /// Name of the experiment.
    pub name: &'a str,
    /// Name of the file of weights, which lies beside the program.
    pub file: &'a str,
}

/// Code under construction.
#[derive(Debug, Default)]
struct Code {
    /// The parts of `parts.py` and `pictures.py` that it needs.
    needed: BTreeSet<&'static str>,
    /// Names of constants and their values.
    constants: Vec<(&'static str, String)>,
}

impl Code {
    /// Notes that a part is needed, and returns its name.
    fn part(&mut self, name: &'static str) -> &'static str {
        self.needed.insert(name);
        name
    }

    fn constant(&mut self, name: &'static str, value: impl Into<String>) {
        self.constants.push((name, value.into()));
    }

    /// A scaling as a function of `x`, or the way back.
    fn scaling(&mut self, scaling: &FittedScaling, back: bool) -> String {
        let numbers = |points: &[f64]| points.iter().map(|x| number(*x)).collect::<Vec<_>>().join(", ");
        let of = |name: &str, shift: &f64, scale: &f64| {
            format!("lambda x: {name}(x, {}, {})", number(*shift), number(*scale))
        };
        match scaling {
            FittedScaling::None => "lambda x: x".into(),
            FittedScaling::Affine { shift, scale } => {
                of(self.part(if back { "affine_back" } else { "affine" }), shift, scale)
            }
            FittedScaling::Log1p { shift, scale } => {
                of(self.part(if back { "log1p_back" } else { "log1p" }), shift, scale)
            }
            FittedScaling::Quantile { points } => {
                let name = self.part(if back { "quantile_back" } else { "quantile" });
                format!("lambda x: {name}(x, [{}])", numbers(points))
            }
        }
    }
}

/// The program.
///
/// # Errors
/// If something of the run has no form there, by its key or name.
pub fn export(request: &Request) -> Result<String, TrainError> {
    check(request)?;
    let mut code = Code::default();
    let features = rows::write(&mut code, request)?;
    let network = network::write(&mut code, request)?;
    let prediction = prediction(&mut code, request)?;
    for part in ["load", "run"] {
        code.part(part);
    }
    let mut body = String::new();
    for (name, value) in &code.constants {
        let _ = writeln!(body, "{name} = {value}");
    }
    for part in parts::with_needed(&code.needed) {
        let _ = write!(body, "\n\n{}\n", part.trim_end());
    }
    let _ = write!(body, "\n\n{}\n\n{network}\n\n{prediction}\n\n{}\n", features.code, features.program);
    Ok(head(request, &features, &body) + &body)
}

/// Refuses what has no form there.
fn check(request: &Request) -> Result<(), TrainError> {
    let Request { settings, fitted, .. } = request;
    let model = settings.model;
    let family = (model.variational().is_some() || model.adversarial().is_some(), "`vae` and `gan`");
    if fitted.graphs.is_some() {
        let reason = "rows that are graphs: not available in Python export; export the weights with --output \
                      weights.safetensors";
        return Err(TrainError::Input(reason.into()));
    }
    if fitted.documents.is_some() {
        let reason = "the texts of rows: not available in Python export; export the weights with --output weights.safetensors";
        return Err(TrainError::Input(reason.into()));
    }
    let refused = [
        family,
        (fitted.target.text().is_some(), "language models"),
        (model.network.is_some(), "`model.from`"),
        (settings.train.loss.quantiles().len() > 1, "several quantiles of a prediction"),
        (!fitted.csv.is_default(), "`data.csv`"),
        (!fitted.derive.is_empty(), "`data.derive`"),
        (fitted.reshape.is_some(), "`data.reshape`"),
    ];
    if let Some((_, what)) = refused.into_iter().find(|(is, _)| *is) {
        return Err(refuse(what));
    }
    match fitted.formats.iter().next() {
        Some((column, format)) => {
            Err(refuse(&format!("column `{column}`, whose cells are written as {},", format.describe())))
        }
        None => Ok(()),
    }
}

fn refuse(what: &str) -> TrainError {
    TrainError::Input(format!("{what}: not available in Python export; export ONNX with --output model.onnx"))
}

/// What comes before `body`: what the file is, and what it imports.
fn head(request: &Request, features: &rows::Features, body: &str) -> String {
    let name = request.name.replace(['\\', '"'], "");
    let program = request.file.replace(".safetensors", ".py");
    let mut text = format!(
        "#!/usr/bin/env python3\n\"\"\"The model \"{name}\", trained with Gridlight {version}: {what}.\n\n    python3 \
         {program} {usage} > predictions.csv\n\nNeeds numpy and torch. The weights are read from {file} beside this \
         file.\n\"\"\"\n\n",
        version = env!("CARGO_PKG_VERSION"),
        what = features.what,
        usage = features.usage,
        file = request.file,
    );
    let modules =
        ["collections", "csv", "datetime", "json", "math", "pathlib", "statistics", "struct", "sys"];
    for module in modules {
        if module == "pathlib" || body.contains(&format!("{module}.")) {
            let _ = writeln!(text, "import {module}");
        }
    }
    text += "\nimport numpy\nimport torch\nfrom torch import nn\nfrom torch.nn import functional\n\n";
    let _ = writeln!(text, "WEIGHTS = pathlib.Path(__file__).resolve().parent / {}", quoted(request.file));
    text
}

/// The function that says what a network's outputs mean.
fn prediction(code: &mut Code, request: &Request) -> Result<String, TrainError> {
    let target = &request.fitted.target;
    code.constant("OUTPUTS", target.outputs().to_string());
    let mut text = String::from(
        "def meaning(raw):\n    \"\"\"Predictions by name, from the outputs of the network.\"\"\"\n",
    );
    let classes = target.classes();
    if classes.is_empty() {
        let titles = list(&target.titles());
        text += "    columns = {}\n";
        let one = matches!(target, FittedTarget::Rate { .. });
        let _ = writeln!(text, "    for at, (name, back) in enumerate(zip({titles}, BACK)):");
        text += "        columns[name] = back(raw[:, at])\n    return columns\n";
        let backs: Vec<String> = (0..target.outputs())
            .map(|at| match (one, target.scaling(at)) {
                (true, _) => "numpy.exp".to_string(),
                (_, Some(scaling)) => code.scaling(scaling, true),
                (_, None) => "lambda x: x".to_string(),
            })
            .collect();
        return Ok(format!("BACK = [{}]\n\n\n{text}", backs.join(", ")));
    }
    let name = target.name().unwrap_or_default();
    code.part("probabilities");
    let _ = writeln!(text, "    names, chances = {}, probabilities(raw)", list(classes));
    let chosen = match request.fitted.threshold {
        Some(threshold) => format!("(chances[:, 1] > {}).astype(int)", number(threshold)),
        None => "chances.argmax(1)".into(),
    };
    let _ = writeln!(text, "    columns = {{{}: [names[at] for at in {chosen}]}}", quoted(name));
    text +=
        "    for at, name in enumerate(names):\n        columns[f\"probability {name}\"] = chances[:, at]\n";
    Ok(text + "    return columns\n")
}

/// What is added to a network's outputs.
fn offset(loss: &Loss) -> Option<f64> {
    loss.offset()
}

/// A number as Python has it.
fn number(x: f64) -> String {
    match x {
        x if x.is_nan() => "math.nan".into(),
        x if x.is_infinite() => if x > 0.0 { "math.inf" } else { "-math.inf" }.into(),
        x => format!("{x:?}"),
    }
}

/// A text as Python has it: JSON's escapes are Python's.
fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_default()
}

/// A list of texts.
fn list<T: AsRef<str>>(texts: &[T]) -> String {
    format!("[{}]", texts.iter().map(|text| quoted(text.as_ref())).collect::<Vec<_>>().join(", "))
}
