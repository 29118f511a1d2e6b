//! Samples of a generative model: codes drawn from the prior and decoded, as pictures or numbers; or texts.

use std::path::Path;

use super::evaluate::{Opened, open};
use super::text::{self, Writing};
use super::trainer::model_of;
use crate::base::rng::{self, streams};
use crate::data::table::Table;
use crate::data::{Dataset, Fitted, FittedImage, FittedTarget, Target};
use crate::device::Device;
use crate::nn::Model;
use crate::report::grid;
use crate::train::TrainError;
use crate::train::checkpoint::{self, NamedTensor};
use crate::train::engine::Engine;

/// Most samples of one call.
const MOST: usize = 1_000_000;

/// What is to be drawn.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Request<'a> {
    /// How many; by default 64 rows or images, or one text.
    pub count: Option<usize>,
    /// Seed of the draw.
    pub seed: u64,
    /// File to write; texts may do without.
    pub output: Option<&'a Path>,
    /// Characters of a text (500).
    pub length: Option<usize>,
    /// Divides the logits of a text (1).
    pub temperature: Option<f64>,
    /// How a text begins.
    pub prompt: Option<String>,
}

/// What was drawn.
#[derive(Clone, Debug, PartialEq)]
pub enum Drawn {
    /// So many samples, which were written to the file.
    Written(usize),
    /// Texts, for which no file was named.
    Text(String),
}

/// Between two texts.
const BETWEEN: &str = "\n----------\n";

/// Draws from the best weights of `run`: texts from a model of text, else rows or images from an autoencoder.
///
/// # Errors
/// If the run cannot be read or its model generates nothing, something asked for is not of its kind or out of range, the
/// output cannot be written, or the device fails.
pub fn sample(run: &Path, request: &Request, device: &dyn Device) -> Result<Drawn, TrainError> {
    let opened = open(run)?;
    let wrong = |reason: &str| Err(TrainError::Input(format!("{}: {reason}", run.display())));
    let FittedTarget::Text(_) = &opened.fitted.target else {
        let given = [
            ("--length", request.length.is_some()),
            ("--temperature", request.temperature.is_some()),
            ("--prompt", request.prompt.is_some()),
        ];
        if let Some((option, _)) = given.iter().find(|(_, given)| *given) {
            return wrong(&format!("{option} is for models of text ([data.text]); this one is none"));
        }
        let Some(output) = request.output else {
            return wrong("the samples need a file: name a .png, .npy or .csv file with --output");
        };
        let count = request.count.unwrap_or(64);
        rows(&opened, run, count, request.seed, output, device)?;
        return Ok(Drawn::Written(count));
    };
    if request.output.is_some_and(|o| ["png", "npy", "csv"].contains(&extension(o).as_str())) {
        return wrong("it writes text; name a .txt file with --output, or none to see the text");
    }
    let writing = Writing {
        count: request.count.unwrap_or(1),
        length: request.length.unwrap_or(500),
        temperature: request.temperature.unwrap_or(1.0),
        prompt: request.prompt.clone(),
        seed: request.seed,
    };
    let restore = |engine: &mut Engine| opened.restore(engine);
    let texts = text::write(&opened.experiment, &opened.fitted, restore, &writing, device)?;
    let text = texts.join(BETWEEN);
    let Some(output) = request.output else { return Ok(Drawn::Text(text)) };
    checkpoint::write_atomically(output, text.as_bytes())?;
    Ok(Drawn::Written(writing.count))
}

fn extension(path: &Path) -> String {
    path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_lowercase()
}

/// Draws `count` samples from the best weights of an autoencoder and writes them to `output`: a picture (`.png`, a grid of
/// images), an array (`.npy`, `f32` `[count, features]` or `[count, C, H, W]`) or a table (`.csv`), in the features' own
/// units. A conditional model draws its classes in turn.
fn rows(
    opened: &Opened,
    run: &Path,
    count: usize,
    seed: u64,
    output: &Path,
    device: &dyn Device,
) -> Result<(), TrainError> {
    let extension = extension(output);
    if !["png", "npy", "csv"].contains(&extension.as_str()) {
        return Err(TrainError::Input(format!(
            "{}: the file must end in .png, .npy or .csv",
            output.display()
        )));
    }
    if !(1..=MOST).contains(&count) {
        return Err(TrainError::Input(format!("--count {count} is not in 1..={MOST}")));
    }
    let names = feature_names(&opened.fitted)?;
    let like = Dataset { features: names.clone(), ..Dataset::default() };
    let model = model_of(&opened.experiment, &opened.fitted, &like);
    let Some(decoder) = model.decoder() else {
        return Err(TrainError::Input(format!(
            "{}: its model predicts and generates nothing; train one of `family = \"vae\"`, or one of \
             text",
            run.display()
        )));
    };
    if extension == "png" && opened.fitted.image.is_none() {
        let reason = "the rows are no images; write the samples to a .csv or .npy file";
        return Err(TrainError::Input(format!("{}: {reason}", output.display())));
    }
    let codes = prior(count, model.outputs, [seed as u32, (seed >> 32) as u32]);
    let labels = (0..count).map(|i| (i % classes(&opened.fitted).max(1)) as u32).collect();
    let decoded = decode(device, &decoder, &opened.weights, codes, Some(labels))?;
    let values = opened.fitted.own_units(&names, &decoded);
    let bytes = match (extension.as_str(), &opened.fitted.image) {
        ("png", Some(image)) => grid::png(image, &values),
        ("npy", image) => npy(&values, &shape(count, image.as_ref(), names.len())),
        _ => csv(&names, &values).map_err(|e| TrainError::Io { path: output.into(), reason: e })?,
    };
    checkpoint::write_atomically(output, &bytes)
}

/// Codes `[count, latent]` of the prior, `N(0, 1)`.
pub(super) fn prior(count: usize, latent: usize, seed: [u32; 2]) -> Vec<f32> {
    let code = |i: usize| rng::normal(rng::word(seed, streams::SAMPLE, 0, i as u32));
    (0..count * latent).map(code).collect()
}

/// Expected features `[codes, features]` of codes, as they are scaled.
///
/// # Errors
/// If the weights are of another model, or the device fails.
pub(super) fn decode(
    device: &dyn Device,
    decoder: &Model,
    weights: &[NamedTensor],
    codes: Vec<f32>,
    labels: Option<Vec<u32>>,
) -> Result<Vec<f32>, TrainError> {
    let latent = decoder.inputs.features;
    let rows = codes.len() / latent.max(1);
    let rows = Dataset {
        rows,
        features: (1..=latent).map(|at| format!("code {at}")).collect(),
        x: codes,
        target: labels.map(Target::Labels),
        source_rows: (0..rows).collect(),
        ..Dataset::default()
    };
    let mut engine = Engine::new(device, decoder, None, &rows)?;
    engine.restore(weights, false)?;
    Ok(engine.evaluate()?.raw)
}

/// Names of the features that a run's rows become.
pub(super) fn feature_names(fitted: &Fitted) -> Result<Vec<String>, TrainError> {
    if let Some(image) = &fitted.image {
        return Ok(image.names());
    }
    let names: Vec<String> = fitted.columns.iter().map(|c| c.name.clone()).collect();
    let columns = vec![vec![]; names.len()];
    Ok(fitted.encode(&Table { names, columns, ..Table::default() }, &[], false)?.features)
}

fn classes(fitted: &Fitted) -> usize {
    match &fitted.target {
        FittedTarget::Classes { names, .. } => names.len(),
        _ => 0,
    }
}

fn shape(count: usize, image: Option<&FittedImage>, features: usize) -> Vec<usize> {
    match image {
        Some(image) => vec![count, image.shape.channels, image.shape.height, image.shape.width],
        None => vec![count, features],
    }
}

/// NumPy's array format, version 1.0.
fn npy(values: &[f32], shape: &[usize]) -> Vec<u8> {
    let extents: Vec<String> = shape.iter().map(usize::to_string).collect();
    let mut header =
        format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}), }}", extents.join(", "));
    // Magic, version and length are 10 bytes; the data begin at a multiple of 64.
    let blanks = (64 - (10 + header.len() + 1) % 64) % 64;
    header.push_str(&" ".repeat(blanks));
    header.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(values.iter().flat_map(|x| x.to_le_bytes()));
    bytes
}

fn csv(names: &[String], values: &[f32]) -> Result<Vec<u8>, String> {
    let mut writer = csv::Writer::from_writer(vec![]);
    writer.write_record(names).map_err(|e| e.to_string())?;
    for row in values.chunks(names.len().max(1)) {
        writer.write_record(row.iter().map(f32::to_string)).map_err(|e| e.to_string())?;
    }
    writer.into_inner().map_err(|e| e.to_string())
}
