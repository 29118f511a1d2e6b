//! The `[data.text]` table: a text whose symbols are predicted, or rows that each have a text.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The `[data.text]` table: the source is a text, whose next symbol is predicted from the preceding ones; or, with
/// `column`, a table whose rows each have a text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table such as { length = 64 }")]
pub struct TextConfig {
    /// Symbols per sequence, which is how far gradients reach back; states are carried to the next
    /// sequence. With `column`, symbols of a row's text that are read; what follows is cut off.
    #[serde(default = "default_length")]
    pub length: usize,
    /// What symbols are: `"characters"` (default), `"bytes"`, `{ bpe = 1000 }` for that many tokens of one or more bytes,
    /// found in the training part, or `{ file = "tokenizer.json" }` for those of a file, as GPT-2's or one that a run wrote.
    #[serde(default, skip_serializing_if = "TokensConfig::is_characters")]
    pub tokens: TokensConfig,
    /// The column of a table that holds the text of each row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
}

/// What the symbols of a text are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(
    rename_all = "snake_case",
    expecting = "\"characters\", \"bytes\", { bpe = 1000 } or { file = \"tokenizer.json\" }"
)]
pub enum TokensConfig {
    /// Characters of the training part.
    #[default]
    Characters,
    /// Bytes of UTF-8.
    Bytes,
    /// This many byte pairs, found in the training part.
    Bpe(usize),
    /// The byte pairs of a file.
    File(String),
}

impl TokensConfig {
    fn is_characters(&self) -> bool {
        *self == Self::Characters
    }

    /// A symbol, for messages.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Characters => "character",
            Self::Bytes => "byte",
            Self::Bpe(_) | Self::File(_) => "token",
        }
    }
}

fn default_length() -> usize {
    64
}

impl TextConfig {
    /// Key and reason, if a value is out of range.
    pub fn problem(&self) -> Option<(&'static str, String)> {
        const MOST: usize = 65_536;
        const TOKENS: std::ops::RangeInclusive<usize> = 257..=65_536;
        if !(1..=MOST).contains(&self.length) {
            return Some(("data.text.length", format!("= {} is not in 1..={MOST}", self.length)));
        }
        match self.tokens {
            TokensConfig::Bpe(size) if !TOKENS.contains(&size) => {
                let reason = format!(
                    "has bpe = {size}, which is not in {}..={}: 256 tokens are the bytes",
                    TOKENS.start(),
                    TOKENS.end()
                );
                Some(("data.text.tokens", reason))
            }
            _ => None,
        }
    }
}
