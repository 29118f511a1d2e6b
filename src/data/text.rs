//! Text data: the characters of a file as symbols, cut into consecutive sequences.
//!
//! The symbols are the characters of the training part; symbol 0 stands for any other character. A model
//! never sees it in training, so that an unknown character costs as much as it should.

use std::path::Path;

use super::config::{DataConfig, SplitConfig, TextConfig, Validation};
use super::dataset::{Dataset, Text};
use super::documents::FittedDocuments;
use super::fitted::{Fitted, FittedTarget};
use super::split::Least;
use super::symbols::FittedText;
use super::table::Table;
use super::{DataError, Goal, Loaded, Understanding, digest_all, split};
use crate::base::files;

/// Maximum characters of a text.
const MOST: usize = 1 << 30;

impl FittedText {
    /// Cuts a part of a text into sequences. For training they must be `whole`: an incomplete one at the end
    /// is dropped.
    fn dataset(&self, name: &str, text: &str, whole: bool, path: &Path) -> Result<Dataset, DataError> {
        let mut symbols = self.encode(text);
        let (count, unit) = (symbols.len(), self.unit());
        let needed = if whole { self.length + 1 } else { 2 };
        if count < needed {
            let what = if whole {
                format!("a sequence of `data.text.length` = {} and the {unit} after it need", self.length)
            } else {
                "one to read and the one after it, which is predicted, are".into()
            };
            let shorter = if whole { "a shorter length or " } else { "" };
            let reason = format!("{name} has {count} {unit}s; {what} {needed}: use {shorter}a longer text");
            return Err(DataError::Text { path: path.into(), reason });
        }
        if whole {
            symbols.truncate((count - 1) / self.length * self.length + 1);
        }
        let text = Text { length: self.length, vocabulary: self.symbols(), symbols };
        Ok(Dataset { rows: text.rows(), text: Some(text), ..Dataset::default() })
    }
}

impl FittedDocuments {
    /// The pieces of a text, of which a model predicts hidden symbols.
    fn dataset(&self, name: &str, text: &str, path: &Path) -> Result<Dataset, DataError> {
        let symbols = self.text.encode(text);
        if symbols.is_empty() {
            let reason = format!("{name} is empty; expected a text");
            return Err(DataError::Text { path: path.into(), reason });
        }
        let documents = self.pieces(&symbols, path)?;
        Ok(Dataset { rows: documents.lengths.len(), documents: Some(documents), ..Dataset::default() })
    }
}

/// The text of a file.
fn read(path: &Path) -> Result<String, DataError> {
    let bytes = files::read(path).map_err(|e| DataError::Io { path: path.into(), reason: e.to_string() })?;
    let bad = |reason: String| DataError::Text { path: path.into(), reason };
    let text = match std::str::from_utf8(&bytes) {
        Ok(text) => text.strip_prefix('\u{feff}').unwrap_or(text),
        Err(error) => {
            let good = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
            let line = 1 + good.matches('\n').count();
            let column = 1 + good.chars().rev().take_while(|&c| c != '\n').count();
            let byte = bytes[error.valid_up_to()];
            return Err(bad(format!(
                "line {line}, column {column} (byte {}): 0x{byte:02x} is not UTF-8; save the text as UTF-8 \
                 and try again",
                error.valid_up_to()
            )));
        }
    };
    match text.chars().count() {
        0 => Err(bad("the file is empty; expected a text".into())),
        count if count > MOST => Err(bad(format!("it has {count} characters; at most {MOST} are supported"))),
        _ => Ok(text.into()),
    }
}

/// Reads, splits, fits and encodes a text; `directory` is that of the experiment file.
pub(super) fn load(
    config: &DataConfig,
    text: &TextConfig,
    directory: &Path,
    path: &Path,
    goal: Goal,
) -> Result<Loaded, DataError> {
    let all = read(path)?;
    let read_other = |file: &str| {
        let path = directory.join(file);
        Ok::<_, DataError>((read(&path)?, path))
    };
    let (train, validation, test) = match &config.split {
        SplitConfig::Order { .. } => {
            let characters: Vec<char> = all.chars().collect();
            let rows: Vec<usize> = (0..characters.len()).collect();
            let parts = split::split(&config.split, &Table::default(), &rows, None, Least::ONE)?;
            let text = |rows: &[usize]| -> String { rows.iter().map(|&r| characters[r]).collect() };
            let validation = Some((text(&parts.validation), path.to_path_buf()));
            let test = (!parts.test.is_empty()).then(|| (text(&parts.test), path.to_path_buf()));
            (text(&parts.train), validation, test)
        }
        SplitConfig::Files { validation: Validation::File(file), test: other, .. } => {
            let test = other.as_ref().map(|file| read_other(file)).transpose()?;
            (all, Some(read_other(file)?), test)
        }
        _ => (all, None, None),
    };
    let Some((validation, validation_path)) = validation else {
        let reason = "a text is split by order, with the last characters as the test set, or by files: use \
                      by = \"order\", or by = \"files\" with `validation` a file";
        return Err(DataError::Split { reason: reason.into() });
    };
    let first = train.chars().next();
    if let Some(only) = first.filter(|only| train.chars().all(|c| c == *only)) {
        let reason = format!("every character of the training part is {only:?}; there is nothing to learn");
        return Err(DataError::Text { path: path.into(), reason });
    }
    let fitted = FittedText::fit(text, directory, &train)?;
    let documents = FittedDocuments { column: None, text: fitted };
    let names = ["the training part", "the validation part", "the test part"];
    let texts = [Some((train, path.to_path_buf())), Some((validation, validation_path)), test];
    let mut parts = vec![];
    for (at, (name, text)) in names.into_iter().zip(texts).enumerate() {
        parts.push(match text {
            None => Dataset::default(),
            Some((text, path)) if goal == Goal::Features => documents.dataset(name, &text, &path)?,
            Some((text, path)) => documents.text.dataset(name, &text, at == 0, &path)?,
        });
    }
    let [train, validation, test] = <[Dataset; 3]>::try_from(parts).unwrap_or_default();
    let fitted = match goal {
        Goal::Features => Fitted { documents: Some(documents), ..Fitted::default() },
        _ => Fitted { target: FittedTarget::Text(documents.text), ..Fitted::default() },
    };
    let digest = digest_all(config, directory, path)?;
    Ok(Loaded {
        fitted,
        train,
        validation,
        test,
        digest,
        dropped: 0,
        understood: Understanding::without_columns(config, vec![]),
    })
}

/// Encodes another text with what was fitted.
pub(super) fn load_with(fitted: &FittedText, path: &Path) -> Result<Dataset, DataError> {
    fitted.dataset("the text", &read(path)?, false, path)
}

/// Encodes another text as pieces, with what was fitted.
pub(super) fn pieces_with(fitted: &FittedDocuments, path: &Path) -> Result<Dataset, DataError> {
    fitted.dataset("the text", &read(path)?, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_follow_each_other_and_one_more_symbol_is_predicted() {
        let fitted = FittedText { length: 3, vocabulary: "ab".into(), tokens: None };
        let of = |text: &str, whole: bool| fitted.dataset("the text", text, whole, Path::new("t"));
        for (text, whole, rows, predicted) in [
            ("abab", true, 1, 3),
            ("ababab", true, 1, 3),
            ("abababa", true, 2, 6),
            ("abab", false, 1, 3),
            ("ababab", false, 2, 5),
            ("abababa", false, 2, 6),
            ("ab", false, 1, 1),
        ] {
            let dataset = of(text, whole).unwrap();
            assert_eq!(
                (dataset.rows, dataset.text.unwrap().predicted()),
                (rows, predicted),
                "{text} {whole}"
            );
        }
        let message = of("aba", true).unwrap_err().to_string();
        assert!(message.contains("has 3 characters") && message.contains("need 4"), "{message}");
        let message = of("a", false).unwrap_err().to_string();
        assert!(message.contains("has 1 characters") && message.contains("are 2"), "{message}");
    }
}
