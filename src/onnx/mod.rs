//! Trained models as ONNX: networks at the level of the standard's named operators, with everything inside
//! that happens to raw values before the network and to its outputs after it.
//!
//! # From operators, not from layers
//!
//! The network is written from the operators of the inference graph. A layer is made of few operators, which
//! have one meaning each; an export of the layers would state every layer's mathematics a second time, and a
//! new layer would be missing until somebody did so. From operators, a new layer exports as soon as it is
//! built, or is refused by the name of the operator that ONNX does not have; so do autoencoders and language
//! models, which are more than layers in sequence. Two things had to be found for it: the number of rows is a
//! symbol ([`trace`]), and operators that make a whole are written as that whole ([`recognise`]).
//!
//! # What goes in and comes out
//!
//! One input for each raw column, `[N, 1]`, or `[N, T, 1]` for windows of a series; images `[N, C, H, W]`
//! with the values of their files; texts as numbers of symbols `[N, T]`. What a graph cannot read is an input
//! with a meaning of its own, as the parts of a date are. Targets come out in their own units, classes as
//! `label` and `probabilities`. Each input and output states its meaning in its `doc_string`.

pub mod assembly;
pub mod builder;
mod cells;
mod columns;
mod emit;
mod generator;
mod heads;
pub mod import;
mod inputs;
pub mod proto;
mod quantile;
mod recognise;
mod scale;
pub mod step;
mod text;
mod trace;
mod variational;

use assembly::{Assembly, Port};

use crate::data::Fitted;
use crate::tasks::Settings;
use crate::train::TrainError;
use crate::train::checkpoint::NamedTensor;

/// What is exported.
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
    /// SHA-256 of the weights' file.
    pub digest: &'a str,
    /// Whether to leave out what comes before and after the network.
    pub raw: bool,
}

/// A model as ONNX.
#[derive(Clone, Debug, PartialEq)]
pub struct Exported {
    /// The file.
    pub bytes: Vec<u8>,
    /// What goes in.
    pub inputs: Vec<Port>,
    /// What comes out.
    pub outputs: Vec<Port>,
}

/// A trained model as ONNX.
///
/// # Errors
/// If it has an operator or preprocessing that ONNX does not have, or the weights do not fit.
pub fn export(request: &Request) -> Result<Exported, TrainError> {
    let mut assembly = Assembly::default();
    let Request { settings, fitted, .. } = *request;
    if fitted.graphs.is_some() {
        let reason = "its rows are graphs with edges of their own (`data.graph.nodes`), over which ONNX has no sums; \
                      export the weights as .safetensors, or predict with `gridlight predict`";
        return Err(TrainError::Input(reason.into()));
    }
    let mut metadata = vec![
        ("gridlight.run".to_string(), request.digest.to_string()),
        ("experiment".to_string(), request.name.to_string()),
    ];
    let does = if settings.model.variational().is_some() {
        variational::write(&mut assembly, request)?
    } else if settings.model.adversarial().is_some() {
        generator::write(&mut assembly, request)?
    } else if let Some(text) = fitted.target.text() {
        metadata.push(text::symbols_of(text));
        text::write(&mut assembly, request, text)?
    } else if let (Some(documents), true) = (&fitted.documents, settings.model.is_masked()) {
        metadata.push(text::symbols_of(&documents.text));
        text::write_masked(&mut assembly, request, &documents.text)?
    } else {
        metadata.extend(fitted.documents.as_ref().map(|documents| text::symbols_of(&documents.text)));
        heads::write(&mut assembly, request)?
    };
    metadata.extend(heads::metadata(request));
    let doc = describe(&does, &assembly);
    let (inputs, outputs) = (assembly.inputs.clone(), assembly.outputs.clone());
    Ok(Exported { bytes: assembly.finish(request.name, &doc, metadata), inputs, outputs })
}

/// What the model does, and what goes in and comes out, for people.
fn describe(does: &str, assembly: &Assembly) -> String {
    let lines = |ports: &[Port]| -> String {
        ports.iter().map(|port| format!("- {}: {}\n", port.name, port.meaning)).collect()
    };
    format!("{does}\nInputs:\n{}Outputs:\n{}", lines(&assembly.inputs), lines(&assembly.outputs))
}

/// The error that something before or after the network has no form in ONNX.
fn refuse(reason: &str) -> TrainError {
    TrainError::Input(format!(
        "{reason}, which is not available in ONNX export; export the network alone with --raw"
    ))
}
