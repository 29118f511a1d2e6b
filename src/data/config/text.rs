//! The `[data.text]` table: a text, whose characters are predicted one after the other.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The `[data.text]` table: the source is a text, whose next character is predicted from the preceding ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table such as { length = 64 }")]
pub struct TextConfig {
    /// Characters per sequence, which is how far gradients reach back. States are carried to the next
    /// sequence.
    #[serde(default = "default_length")]
    pub length: usize,
}

fn default_length() -> usize {
    64
}

impl TextConfig {
    /// Key and reason, if a value is out of range.
    pub fn problem(self) -> Option<(&'static str, String)> {
        const MOST: usize = 65_536;
        let reason = format!("= {} is not in 1..={MOST}", self.length);
        (!(1..=MOST).contains(&self.length)).then_some(("data.text.length", reason))
    }
}
