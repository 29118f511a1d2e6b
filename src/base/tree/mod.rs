//! Values of settings and of stored metadata, whatever they were written in, and one way from them into types.
//!
//! Deserializers are compiled anew for each type that is read by each of them. Here, TOML and JSON become the same tree
//! first, so that a type is read by one deserializer, which does nothing else. Messages are those of `toml`.

mod access;
mod de;
mod error;
mod read;

use std::ops::Range;

use serde::de::DeserializeOwned;

pub use error::Error;
pub use read::{of_json, of_toml, of_toml_text};

/// Where a value stands in its text, in bytes.
pub(crate) type Span = Range<usize>;

/// A value, and where it stands if it comes from a text.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    span: Option<Span>,
    value: Value,
}

/// What a value is.
#[derive(Clone, Debug, PartialEq)]
enum Value {
    Null,
    Bool(bool),
    Integer(i64),
    /// A larger integer.
    Unsigned(u64),
    /// A much larger one.
    Wide(i128),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    /// Keys in order, where they stand, and their values.
    Table(Vec<Entry>),
    /// A number that no type holds; the message.
    Beyond(&'static str),
}

/// An entry of a table.
#[derive(Clone, Debug, PartialEq)]
struct Entry {
    key: String,
    span: Option<Span>,
    node: Node,
}

impl Node {
    /// A table with one text.
    pub fn named(key: &str, text: &str) -> Self {
        let entry = Entry { key: key.into(), span: None, node: Value::Text(text.into()).into() };
        Value::Table(vec![entry]).into()
    }

    /// The value as a type.
    ///
    /// # Errors
    /// If it is none of that type.
    pub fn read<T: DeserializeOwned>(self) -> Result<T, Error> {
        let span = self.span.clone();
        T::deserialize(self).map_err(|error| error.within(span))
    }

    /// The text, if it is one.
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }
}

impl From<Value> for Node {
    fn from(value: Value) -> Self {
        Self { span: None, value }
    }
}

#[cfg(test)]
mod tests;
