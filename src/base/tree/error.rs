//! What is wrong with a value, and where.

use std::fmt;

use super::Span;

/// What is wrong with a value, and where it stands if it comes from a text.
#[derive(Clone, Debug, PartialEq)]
pub struct Error(Box<Wrong>);

#[derive(Clone, Debug, PartialEq)]
struct Wrong {
    message: String,
    span: Option<Span>,
}

impl Error {
    pub(super) fn new(message: impl Into<String>, span: Option<Span>) -> Self {
        Self(Box::new(Wrong { message: message.into(), span }))
    }

    /// What is wrong.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Where the innermost value that it is about stands, in bytes of its text.
    pub fn span(&self) -> Option<Span> {
        self.0.span.clone()
    }

    /// The error within a value that stands at `span`.
    #[inline(never)]
    pub(super) fn within(mut self, span: Option<Span>) -> Self {
        if self.0.span.is_none() {
            self.0.span = span;
        }
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for Error {}

impl serde::de::Error for Error {
    #[inline(never)]
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(message.to_string(), None)
    }
}

impl From<toml::de::Error> for Error {
    fn from(error: toml::de::Error) -> Self {
        Self::new(error.message(), error.span())
    }
}
