//! Text data: the characters of a file as symbols, cut into consecutive sequences.
//!
//! The symbols are the characters of the training part; symbol 0 stands for any other character. A model
//! never sees it in training, so that an unknown character costs as much as it should.

use std::collections::BTreeSet;
use std::path::Path;

use super::config::{DataConfig, SplitConfig, TextConfig, Validation};
use super::dataset::{Dataset, Text};
use super::fitted::{Fitted, FittedTarget, FittedText};
use super::split::Least;
use super::table::Table;
use super::{DataError, Loaded, Understanding, digest_all, split};
use crate::base::files;

/// Maximum characters of a text.
const MOST: usize = 1 << 30;

impl FittedText {
    /// Cuts a part of a text into sequences. For training they must be `whole`: an incomplete one at the end
    /// is dropped.
    fn dataset(
        &self,
        name: &str,
        characters: &[char],
        whole: bool,
        path: &Path,
    ) -> Result<Dataset, DataError> {
        let count = characters.len();
        let needed = if whole { self.length + 1 } else { 2 };
        if count < needed {
            let what = if whole {
                format!("a sequence of `data.text.length` = {} and the character after it need", self.length)
            } else {
                "one to read and the one after it, which is predicted, are".into()
            };
            let shorter = if whole { "a shorter length or " } else { "" };
            let reason =
                format!("{name} has {count} characters; {what} {needed}: use {shorter}a longer text");
            return Err(DataError::Text { path: path.into(), reason });
        }
        let used = if whole { (count - 1) / self.length * self.length + 1 } else { count };
        let symbols = self.encode(&characters[..used]);
        let text = Text { length: self.length, vocabulary: self.symbols(), symbols };
        Ok(Dataset { rows: text.rows(), text: Some(text), ..Dataset::default() })
    }
}

/// The characters of a file.
fn read(path: &Path) -> Result<Vec<char>, DataError> {
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
    let characters: Vec<char> = text.chars().collect();
    match characters.len() {
        0 => Err(bad("the file is empty; expected a text".into())),
        count if count > MOST => Err(bad(format!("it has {count} characters; at most {MOST} are supported"))),
        _ => Ok(characters),
    }
}

/// Reads, splits, fits and encodes a text; `directory` is that of the experiment file.
pub(super) fn load(
    config: &DataConfig,
    text: TextConfig,
    directory: &Path,
    path: &Path,
) -> Result<Loaded, DataError> {
    let all = read(path)?;
    let read_other = |file: &str| {
        let path = directory.join(file);
        Ok::<_, DataError>((read(&path)?, path))
    };
    let (mut train, mut validation, mut test) = (all.clone(), None, None);
    match &config.split {
        SplitConfig::Order { .. } => {
            let rows: Vec<usize> = (0..all.len()).collect();
            let parts = split::split(&config.split, &Table::default(), &rows, None, Least::ONE)?;
            let characters = |rows: &[usize]| -> Vec<char> { rows.iter().map(|&r| all[r]).collect() };
            train = characters(&parts.train);
            validation = Some((characters(&parts.validation), path.to_path_buf()));
            test = (!parts.test.is_empty()).then(|| (characters(&parts.test), path.to_path_buf()));
        }
        SplitConfig::Files { validation: Validation::File(file), test: other, .. } => {
            validation = Some(read_other(file)?);
            test = other.as_ref().map(|file| read_other(file)).transpose()?;
        }
        _ => {}
    }
    let Some((validation, validation_path)) = validation else {
        let reason = "a text is split by order, with the last characters as the test set, or by files: use \
                      by = \"order\", or by = \"files\" with `validation` a file";
        return Err(DataError::Split { reason: reason.into() });
    };
    let known: BTreeSet<char> = train.iter().copied().collect();
    if let (Some(only), 1) = (known.first(), known.len()) {
        let reason = format!("every character of the training part is {only:?}; there is nothing to learn");
        return Err(DataError::Text { path: path.into(), reason });
    }
    let fitted = FittedText { length: text.length, vocabulary: known.iter().collect() };
    let parts = [
        fitted.dataset("the training part", &train, true, path)?,
        fitted.dataset("the validation part", &validation, false, &validation_path)?,
        match test {
            Some((test, path)) => fitted.dataset("the test part", &test, false, &path)?,
            None => Dataset::default(),
        },
    ];
    let [train, validation, test] = parts;
    let fitted = Fitted { target: FittedTarget::Text(fitted), ..Fitted::default() };
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_are_those_of_the_vocabulary_and_one_for_others() {
        let fitted = FittedText { length: 2, vocabulary: "\nabé".into() };
        assert_eq!(fitted.symbols(), 5);
        let symbols = fitted.encode(&['b', '\n', 'é', '?', 'a']);
        assert_eq!(symbols, [3, 1, 4, 0, 2]);
        let text: String = symbols.into_iter().map(|s| fitted.character(s)).collect();
        assert_eq!(text, "b\né\u{fffd}a");
    }

    #[test]
    fn sequences_follow_each_other_and_one_more_symbol_is_predicted() {
        let fitted = FittedText { length: 3, vocabulary: "ab".into() };
        let of = |text: &str, whole: bool| {
            fitted.dataset("the text", &text.chars().collect::<Vec<_>>(), whole, Path::new("t"))
        };
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
