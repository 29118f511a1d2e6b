//! Text generation.

use crate::base::rng::{self, streams};
use crate::data::{Dataset, FittedText, Text};
use crate::nn::Language;
use crate::nn::inputs::TextShape;
use crate::tasks::Trained;
use crate::train::TrainError;
use crate::train::engine::Engine;

/// Options for generating text.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Writing {
    /// Number of texts.
    pub count: usize,
    /// Symbols of each, besides the prompt.
    pub length: usize,
    /// Divisor of the logits: below 1, likely characters become more likely; 0 always takes the most likely
    /// one.
    pub temperature: f64,
    /// The start of each text; by default, as after the end of a line.
    pub prompt: Option<String>,
    /// Seed of the draw.
    pub seed: u64,
}

/// The text shown in a report.
pub(super) const SHOWN: Writing = Writing { count: 1, length: 1000, temperature: 0.8, prompt: None, seed: 0 };

/// Maximum texts per call.
const MOST_TEXTS: usize = 512;
/// Maximum characters of a text.
const MOST_CHARACTERS: usize = 10_000_000;

impl Writing {
    fn check(&self) -> Result<(), TrainError> {
        let wrong = |name, problem: String| Err(TrainError::Setting { run: None, name, problem });
        if !(1..=MOST_TEXTS).contains(&self.count) {
            return wrong("count", format!("{} is not in 1..={MOST_TEXTS} for texts", self.count));
        }
        if !(1..=MOST_CHARACTERS).contains(&self.length) {
            return wrong("length", format!("{} is not in 1..={MOST_CHARACTERS}", self.length));
        }
        if !(0.0..=1e6).contains(&self.temperature) {
            return wrong("temperature", format!("{} is not in 0..=1000000", self.temperature));
        }
        Ok(())
    }
}

/// The symbols that a text starts with.
fn prompt(fitted: &FittedText, given: Option<&str>) -> Result<Vec<u32>, TrainError> {
    let Some(given) = given.filter(|text| !text.is_empty()) else {
        // Where a sentence may start, if the text has lines.
        let line = fitted.tokens.is_some() || fitted.vocabulary.contains('\n');
        return Ok(if line { fitted.encode("\n") } else { vec![1] });
    };
    if let Some(unknown) = fitted.unknown(given) {
        let problem = format!("holds {unknown:?}, which the training text does not");
        return Err(TrainError::Setting { run: None, name: "prompt", problem });
    }
    Ok(fitted.encode(given))
}

/// Generates texts with a trained model, each including its prompt.
///
/// # Errors
/// If a setting is out of range, the prompt has a character that does not occur in the training text, the
/// weights do not match the model, or the device fails.
pub(super) fn write(
    trained: &Trained,
    text: &FittedText,
    writing: &Writing,
) -> Result<Vec<String>, TrainError> {
    writing.check()?;
    let begin = prompt(text, writing.prompt.as_deref())?;
    let vocabulary = text.symbols();
    let shape = TextShape { length: text.length, vocabulary };
    let model = Language::new(trained.settings.model, shape, trained.settings.train.loss.clone());
    let mut next = Next::new(trained, model, shape, writing.count)?;
    let mut logits = vec![];
    for &symbol in &begin {
        logits = next.after(&vec![symbol; writing.count])?;
    }
    let mut written: Vec<Vec<u32>> = vec![vec![]; writing.count];
    let seed = [writing.seed as u32, (writing.seed >> 32) as u32];
    for step in 0..writing.length {
        let draw = |(row, logits): (usize, &[f32])| {
            let uniform = rng::uniform(rng::word(seed, streams::SAMPLE, step as u32, row as u32));
            pick(logits, writing.temperature, f64::from(uniform))
        };
        let drawn: Vec<u32> = logits.chunks(vocabulary).enumerate().map(draw).collect();
        for (text, &symbol) in written.iter_mut().zip(&drawn) {
            text.push(symbol);
        }
        if step + 1 < writing.length {
            logits = next.after(&drawn)?;
        }
    }
    let prompt = writing.prompt.as_deref().unwrap_or_default();
    Ok(written.iter().map(|symbols| prompt.to_string() + &text.decode(symbols)).collect())
}

/// A model that predicts the next symbol of each text.
struct Next<'a> {
    engine: Engine,
    trained: &'a Trained<'a>,
    model: Language,
    shape: TextShape,
    reads: Reads,
}

/// What a model reads for the next symbol.
enum Reads {
    /// The last symbol alone: states are carried.
    Last,
    /// The last symbol alone, as keys and values of those before are kept; these symbols of each text.
    Kept(Vec<Vec<u32>>),
    /// All of the last symbols of each text.
    All(Vec<Vec<u32>>),
}

impl<'a> Next<'a> {
    fn new(
        trained: &'a Trained,
        model: Language,
        shape: TextShape,
        count: usize,
    ) -> Result<Self, TrainError> {
        let nothing = vec![vec![]; count];
        let carries = !model.attends() || model.can_cache();
        let engine = match carries {
            true => carried(trained, &model, shape.vocabulary, count)?,
            false => whole(trained, &model, shape, count)?,
        };
        let reads = match (model.attends(), carries) {
            (false, _) => Reads::Last,
            (true, true) => Reads::Kept(nothing),
            (true, false) => Reads::All(nothing),
        };
        Ok(Self { engine, trained, model, shape, reads })
    }

    /// The logits `[texts, vocabulary]` of the symbols that follow these.
    fn after(&mut self, symbols: &[u32]) -> Result<Vec<f32>, TrainError> {
        let TextShape { length, vocabulary } = self.shape;
        if let Reads::Kept(texts) = &mut self.reads
            && texts.first().is_some_and(|text| text.len() == length)
        {
            // From now on the first symbol is forgotten with each new one. The places of the others change, and what was kept
            // of them with it, so all are read again.
            let texts = std::mem::take(texts);
            self.engine = whole(self.trained, &self.model, self.shape, texts.len())?;
            self.reads = Reads::All(texts);
        }
        let texts = match &mut self.reads {
            Reads::Last => return self.engine.go_on(symbols),
            Reads::Kept(texts) => {
                remember(texts, length, symbols);
                return self.engine.go_on(symbols);
            }
            Reads::All(texts) => texts,
        };
        remember(texts, length, symbols);
        let last = texts.first().map_or(0, |text| text.len() - 1);
        let rows = sequences(texts, self.shape);
        self.engine.replace(&rows)?;
        let order: Vec<u32> = (0..rows.rows as u32).collect();
        let logits = self.engine.go_on(&order)?;
        let of = |text: &[f32]| text[last * vocabulary..(last + 1) * vocabulary].to_vec();
        Ok(logits.chunks(length * vocabulary).flat_map(of).collect())
    }
}

/// A model that reads one symbol of each of `count` texts at a time.
fn carried(
    trained: &Trained,
    model: &Language,
    vocabulary: usize,
    count: usize,
) -> Result<Engine, TrainError> {
    // Row `s` of this text reads symbol `s`, so the row order determines what is read next.
    let symbols: Vec<u32> = (0..=vocabulary.max(count) as u32).map(|s| s % vocabulary as u32).collect();
    let alphabet = Some(Text { length: 1, vocabulary, symbols });
    let alphabet = Dataset { rows: count, text: alphabet, ..Dataset::default() };
    let mut engine = Engine::generating(trained.device, &model.clone().generator(), &alphabet)?;
    trained.restore(&mut engine)?;
    Ok(engine)
}

/// A model that reads whole sequences of each of `count` texts.
fn whole(trained: &Trained, model: &Language, shape: TextShape, count: usize) -> Result<Engine, TrainError> {
    let empty = sequences(&vec![vec![]; count], shape);
    let mut engine = Engine::generating(trained.device, &model.clone().with_logits(), &empty)?;
    trained.restore(&mut engine)?;
    Ok(engine)
}

/// Appends a symbol to each text, and forgets the first where there would be more than `length`.
fn remember(texts: &mut [Vec<u32>], length: usize, symbols: &[u32]) {
    for (text, &symbol) in texts.iter_mut().zip(symbols) {
        if text.len() == length {
            text.remove(0);
        }
        text.push(symbol);
    }
}

/// Texts as rows of equal length; what follows a text does not matter to the predictions before it.
fn sequences(texts: &[Vec<u32>], TextShape { length, vocabulary }: TextShape) -> Dataset {
    let padded = |text: &Vec<u32>| text.iter().copied().chain(std::iter::repeat(0)).take(length).collect();
    let symbols = texts.iter().flat_map(|text| -> Vec<u32> { padded(text) }).chain([0]).collect();
    let text = Some(Text { length, vocabulary, symbols });
    Dataset { rows: texts.len(), text, ..Dataset::default() }
}

/// Samples a symbol from the softmax of `logits / temperature`, given a `uniform` number in 0..1. Symbol 0,
/// for unknown characters, is never generated.
fn pick(logits: &[f32], temperature: f64, uniform: f64) -> u32 {
    let known = logits.iter().map(|&x| f64::from(x)).enumerate().skip(1);
    let (best, most) = known.clone().fold((1, f64::NEG_INFINITY), |a, b| if b.1 > a.1 { b } else { a });
    if temperature == 0.0 {
        return best as u32;
    }
    let weights: Vec<(usize, f64)> = known.map(|(s, x)| (s, ((x - most) / temperature).exp())).collect();
    let mut left = uniform * weights.iter().map(|(_, weight)| weight).sum::<f64>();
    for &(symbol, weight) in &weights {
        left -= weight;
        if left < 0.0 {
            return symbol as u32;
        }
    }
    best as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_are_drawn_by_their_probabilities() {
        let logits = [9.0, 0.0, 3f32.ln(), f32::NEG_INFINITY];
        assert_eq!(pick(&logits, 1.0, 0.0), 1);
        assert_eq!(pick(&logits, 1.0, 0.2499), 1);
        assert_eq!(pick(&logits, 1.0, 0.2501), 2);
        assert_eq!(pick(&logits, 1.0, 1.0 - 1e-9), 2);
        // At half the temperature, the probabilities are 1/10 and 9/10.
        assert_eq!(pick(&logits, 0.5, 0.0999), 1);
        assert_eq!(pick(&logits, 0.5, 0.1001), 2);
        assert_eq!(pick(&logits, 0.0, 0.0), 2);
    }

    #[test]
    fn a_prompt_holds_known_characters() {
        let fitted = FittedText { length: 4, vocabulary: "\nab".into(), tokens: None };
        assert_eq!(prompt(&fitted, Some("ba")).unwrap(), [3, 2]);
        assert_eq!(prompt(&fitted, None).unwrap(), [1]);
        let message = prompt(&fitted, Some("ax")).unwrap_err().to_string();
        assert!(message.contains("'x'"), "{message}");
    }
}
