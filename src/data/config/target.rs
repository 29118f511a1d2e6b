//! The columns that a model learns to predict.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A column to predict, or several that hold numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "expected the name of a column in quotes, or a list of names such as [\"low\", \"high\"]"
)]
pub enum Targets {
    /// One column.
    One(String),
    /// Several columns of numbers.
    Several(Vec<String>),
}

impl Targets {
    /// The names, in order.
    pub fn names(&self) -> &[String] {
        match self {
            Self::One(name) => std::slice::from_ref(name),
            Self::Several(names) => names,
        }
    }

    /// The first name; empty if there is none.
    pub fn first(&self) -> &str {
        self.names().first().map_or("", String::as_str)
    }

    /// Whether a column is among them.
    pub fn contains(&self, name: &str) -> bool {
        self.names().iter().any(|known| known == name)
    }

    /// What is wrong with a list of names: there is none, or one is there twice.
    pub fn problem(&self) -> Option<String> {
        let names = self.names();
        if names.is_empty() {
            return Some("= [] names no column; name the one to predict, or several".into());
        }
        let twice = names.iter().enumerate().find(|(at, name)| names[..*at].contains(name));
        twice.map(|(_, name)| format!("names `{name}` twice; leave one out"))
    }
}

impl From<&str> for Targets {
    fn from(name: &str) -> Self {
        Self::One(name.into())
    }
}

impl std::fmt::Display for Targets {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "{}", self.names().join(", "))
    }
}
