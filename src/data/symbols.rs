//! Texts as numbers: what is fitted on the training part of a text, or on the texts of rows.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::DataError;
use super::config::{TextConfig, TokensConfig};
use super::tokens::{self, BytePairs};

/// What is fitted on the training part of a text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FittedText {
    /// Symbols per sequence.
    pub length: usize,
    /// Characters of the training part, ascending; character `i` is symbol `i + 1`. Empty if symbols are no characters.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub vocabulary: String,
    /// What symbols are instead of characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<FittedTokens>,
}

/// Symbols that are no characters; number `i` is symbol `i + 1`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FittedTokens {
    /// Bytes.
    Bytes,
    /// Byte pairs.
    Pairs(BytePairs),
}

impl FittedText {
    /// Fits symbols on the text of the training rows; `directory` is that of the experiment.
    ///
    /// # Errors
    /// If a file of tokens cannot be read or is none.
    pub(super) fn fit(config: &TextConfig, directory: &Path, train: &str) -> Result<Self, DataError> {
        let length = config.length;
        let with = |tokens| Self { length, vocabulary: String::new(), tokens: Some(tokens) };
        Ok(match &config.tokens {
            TokensConfig::Characters => {
                let known: BTreeSet<char> = train.chars().collect();
                Self { length, vocabulary: known.iter().collect(), tokens: None }
            }
            TokensConfig::Bytes => with(FittedTokens::Bytes),
            TokensConfig::Bpe(size) => with(FittedTokens::Pairs(tokens::fit(train, *size))),
            TokensConfig::File(file) => {
                let path = directory.join(file);
                let text = std::fs::read_to_string(&path)
                    .map_err(|e| DataError::Io { path: path.clone(), reason: e.to_string() })?;
                let pairs = tokens::read(&text).map_err(|reason| DataError::Text { path, reason })?;
                with(FittedTokens::Pairs(pairs))
            }
        })
    }

    /// A symbol, for people.
    pub fn unit(&self) -> &'static str {
        match &self.tokens {
            None => "character",
            Some(FittedTokens::Bytes) => "byte",
            Some(FittedTokens::Pairs(_)) => "token",
        }
    }

    /// Number of symbols, including the one for unknown characters.
    pub fn symbols(&self) -> usize {
        1 + match &self.tokens {
            None => self.vocabulary.chars().count(),
            Some(FittedTokens::Bytes) => 256,
            Some(FittedTokens::Pairs(pairs)) => pairs.tokens.len(),
        }
    }

    /// The symbol that hides another one from a model, in texts of rows.
    pub fn mask(&self) -> u32 {
        self.symbols() as u32
    }

    /// Number of symbols that a model of texts of rows reads: with the one that hides others.
    pub fn inputs(&self) -> usize {
        self.symbols() + 1
    }

    /// Encodes one text after the other.
    pub fn encoder(&self) -> impl FnMut(&str) -> Vec<u32> {
        let numbers: BTreeMap<char, u32> = self.vocabulary.chars().zip(1..).collect();
        let mut pairs = match &self.tokens {
            Some(FittedTokens::Pairs(pairs)) => Some(tokens::Encoder::new(pairs)),
            _ => None,
        };
        let bytes = self.tokens == Some(FittedTokens::Bytes);
        move |text| match &mut pairs {
            Some(pairs) => pairs.encode(text).into_iter().map(|number| number + 1).collect(),
            None if bytes => text.bytes().map(|byte| 1 + u32::from(byte)).collect(),
            None => text.chars().map(|c| numbers.get(&c).copied().unwrap_or(0)).collect(),
        }
    }

    /// The symbols of a text.
    pub fn encode(&self, text: &str) -> Vec<u32> {
        self.encoder()(text)
    }

    /// The text of symbols; U+FFFD for unknown characters, and for bytes that are no UTF-8.
    pub fn decode(&self, symbols: &[u32]) -> String {
        let numbers = symbols.iter().map(|symbol| (*symbol as usize).checked_sub(1));
        match &self.tokens {
            None => {
                let characters: Vec<char> = self.vocabulary.chars().collect();
                let of = |at: usize| characters.get(at).copied();
                numbers.map(|at| at.and_then(of).unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
            }
            Some(FittedTokens::Bytes) => {
                String::from_utf8_lossy(&numbers.map(|at| at.unwrap_or(0xff) as u8).collect::<Vec<_>>())
                    .into()
            }
            Some(FittedTokens::Pairs(pairs)) => {
                let bytes = pairs.bytes();
                let of = |at: Option<usize>| at.and_then(|at| bytes.get(at)).map_or(&b"\xff"[..], |b| b);
                String::from_utf8_lossy(&numbers.flat_map(of).copied().collect::<Vec<_>>()).into()
            }
        }
    }

    /// A character of a text that is none of the symbols.
    pub fn unknown(&self, text: &str) -> Option<char> {
        text.chars().find(|c| self.tokens.is_none() && !self.vocabulary.contains(*c))
    }

    /// The text of the file with which another run has the same symbols, if they are byte pairs.
    pub fn file(&self) -> Option<String> {
        match &self.tokens {
            Some(FittedTokens::Pairs(pairs)) => Some(tokens::write(pairs)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_are_those_of_the_vocabulary_and_one_for_others() {
        let fitted = FittedText { length: 2, vocabulary: "\nabé".into(), tokens: None };
        assert_eq!([fitted.symbols(), fitted.inputs()], [5, 6]);
        let symbols = fitted.encode("b\né?a");
        assert_eq!(symbols, [3, 1, 4, 0, 2]);
        assert_eq!(fitted.decode(&symbols), "b\né\u{fffd}a");
        assert_eq!(fitted.unknown("ab?"), Some('?'));
    }

    #[test]
    fn every_text_has_bytes() {
        let fitted = FittedText { length: 2, vocabulary: String::new(), tokens: Some(FittedTokens::Bytes) };
        assert_eq!(fitted.encode("aé"), [98, 196, 170]);
        assert_eq!(fitted.decode(&[98, 196, 170]), "aé");
        assert_eq!(fitted.decode(&[196]), "\u{fffd}");
        assert_eq!([fitted.symbols(), fitted.mask() as usize], [257, 257]);
        assert_eq!(fitted.unknown("漢"), None);
    }

    #[test]
    fn byte_pairs_are_fitted_on_the_training_text() {
        let config = TextConfig { length: 4, tokens: TokensConfig::Bpe(260), column: None };
        let fitted = FittedText::fit(&config, Path::new("."), "the theme then").unwrap();
        assert!(fitted.symbols() <= 261 && fitted.symbols() > 257);
        let symbols = fitted.encode("the äther");
        assert!(symbols.len() < 10);
        assert_eq!(fitted.decode(&symbols), "the äther");
        assert!(fitted.file().is_some());
    }
}
