//! Language models: symbols in, the logits of the next symbol out; the states of recurrent layers go in and
//! come out, so that a text can be read in pieces of any length. Where steps attend to one another instead, texts have
//! the length of the training sequences; what stands after a character does not matter to it. Texts of rows have that
//! length too, and say where they end.

use super::Request;
use super::assembly::{Assembly, Extent, ROWS};
use super::emit::{Emitter, Held};
use super::proto::element;
use super::trace::{Dim, Trace};
use crate::data::{FittedText, FittedTokens};
use crate::graph::Source;
use crate::nn::inputs::{DocumentShape, LENGTH, TextShape, X};

use crate::nn::{Language, Masked, Model};
use crate::train::TrainError;

/// Any number of steps.
const STEPS: Extent = Extent::Symbol("T");

/// What the symbols of a text are.
fn meaning_of(text: &FittedText) -> &'static str {
    match &text.tokens {
        None => "numbers of characters: their places in the metadata's `vocabulary`, from 1 on; 0 for others",
        Some(FittedTokens::Bytes) => "bytes, each 1 more",
        Some(FittedTokens::Pairs(_)) => "numbers of tokens of the metadata's `tokenizer`, each 1 more",
    }
}

/// What says which symbols there are, for the metadata.
pub fn symbols_of(text: &FittedText) -> (String, String) {
    match text.file() {
        Some(tokens) => ("tokenizer".to_string(), tokens),
        None => ("vocabulary".to_string(), text.vocabulary.clone()),
    }
}

/// The symbols and the lengths of the texts of rows.
#[derive(Debug)]
pub struct Texts {
    symbols: String,
    lengths: String,
    /// Symbols of each text.
    length: usize,
}

impl Texts {
    /// Declares the inputs.
    pub fn declare(assembly: &mut Assembly, text: &FittedText) -> Self {
        let length = text.length;
        let meaning = format!("{}; after the end of a text any, such as 0", meaning_of(text));
        let symbols = assembly.input("tokens", element::INT64, &[ROWS, Extent::Fixed(length)], &meaning);
        let meaning = format!("how many of them each text has, from 0 to {length}");
        let lengths = assembly.input("length", element::INT64, &[ROWS], &meaning);
        Self { symbols, lengths, length }
    }

    /// Says in a graph what its batches are.
    pub fn bind(&self, emitter: &mut Emitter) {
        let rows = Dim { factor: 1, rows: true, steps: false };
        if let Some(value) = emitter.source(&Source::Batch(X.into())) {
            emitter.bind(value, Held::new(self.symbols.clone(), vec![rows, Dim::fixed(self.length)]));
        }
        if let Some(value) = emitter.source(&Source::Batch(LENGTH.into())) {
            emitter.bind(value, Held::new(self.lengths.clone(), vec![rows]));
        }
    }
}

/// Writes a masked language model; returns what it does.
///
/// # Errors
/// If it has an operator that ONNX does not have.
pub fn write_masked(
    assembly: &mut Assembly,
    request: &Request,
    text: &FittedText,
) -> Result<String, TrainError> {
    let shape = DocumentShape { length: text.length, vocabulary: text.inputs() };
    let model = Masked::new(request.settings.model, shape).with_logits();
    let trace = Trace::of(|rows, _| Ok(model.graph(rows, false)?))?;
    let texts = Texts::declare(assembly, text);
    let mut emitter = Emitter::new(&mut assembly.builder, &trace, request.weights);
    texts.bind(&mut emitter);
    let found = emitter.emit(&[trace.model.predictions])?;
    let logits = found.first().map(|held| held.name.clone()).unwrap_or_default();
    let b = &mut assembly.builder;
    let extents = b.integers(&[-1, shape.length as i64, shape.known() as i64]);
    let logits = b.node("Reshape", &[&logits, &extents], vec![]);
    let mask = text.mask();
    let meaning = format!(
        "logits of the token at each place; their softmax are its probabilities, of interest where `tokens` is {mask}, \
         which hides one"
    );
    let extents = [ROWS, Extent::Fixed(shape.length), Extent::Fixed(shape.known())];
    assembly.output("logits", &logits, element::FLOAT, &extents, &meaning);
    Ok("Predicts hidden tokens of texts.".into())
}

/// Writes a language model; returns what it does.
///
/// # Errors
/// If it has an operator that ONNX does not have.
pub fn write(assembly: &mut Assembly, request: &Request, text: &FittedText) -> Result<String, TrainError> {
    let (config, loss) = (request.settings.model, &request.settings.train.loss);
    let vocabulary = text.symbols();
    let model = |length| Language::new(config, TextShape { length, vocabulary }, loss.clone()).with_logits();
    // Positions and masks of attention have the length of the training sequences.
    let fixed = model(text.length).attends().then_some(text.length);
    let trace = Trace::of(|rows, length| Ok(model(fixed.unwrap_or(length)).graph(rows, false)?))?;
    let steps = fixed.map_or(STEPS, Extent::Fixed);
    let tokens = assembly.input("tokens", element::INT64, &[ROWS, steps], meaning_of(text));
    let mut states = vec![];
    for state in &trace.model.carried {
        let name = state.name.split_once('.').map_or(state.name.as_str(), |(_, name)| name);
        let shape = [ROWS, Extent::Fixed(state.shape[1])];
        let meaning = "state before the first character; zeros at the beginning of a text";
        states.push((state, assembly.input(name, element::FLOAT, &shape, meaning), shape));
    }
    let mut emitter = Emitter::new(&mut assembly.builder, &trace, request.weights);
    let rows = Dim { factor: 1, rows: true, steps: false };
    if let Some(value) = emitter.source(&Source::Batch(X.into())) {
        let steps = fixed.map_or(Dim { factor: 1, rows: false, steps: true }, Dim::fixed);
        let dims = vec![rows, steps];
        emitter.bind(value, Held::new(tokens.clone(), dims));
    }
    for (state, name, _) in &states {
        if let Some(value) = emitter.source(&Source::State(state.name.clone())) {
            emitter.bind(value, Held::new(name.clone(), vec![rows, Dim::fixed(state.shape[1])]));
        }
    }
    let next = |name: &String| trace.model.updates.iter().find(|(n, _)| n == name).map(|(_, v)| *v);
    let mut wanted = vec![trace.model.predictions];
    wanted.extend(states.iter().filter_map(|(state, ..)| next(&state.name)));
    let found = emitter.emit(&wanted)?;
    let Some((logits, after)) = found.split_first() else { return Ok(String::new()) };
    let b = &mut assembly.builder;
    let shape = b.node("Shape", &[&tokens], vec![]);
    let symbols = b.integers(&[vocabulary as i64]);
    let shape = b.node("Concat", &[&shape, &symbols], vec![super::builder::int("axis", 0)]);
    let logits = b.node("Reshape", &[&logits.name, &shape], vec![]);
    let shape = [ROWS, steps, Extent::Fixed(vocabulary)];
    let meaning = "logits of the character after each; their softmax are its probabilities";
    assembly.output("logits", &logits, element::FLOAT, &shape, meaning);
    for ((_, name, shape), value) in states.iter().zip(after) {
        let meaning = format!("`{name}` after the last character");
        assembly.output(&format!("next {name}"), &value.name, element::FLOAT, shape, &meaning);
    }
    Ok("Predicts the next character of a text.".into())
}
