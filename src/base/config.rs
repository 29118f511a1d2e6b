//! Configuration errors, with their location.

/// An invalid value in a configuration file.
#[derive(Clone, Debug, thiserror::Error, PartialEq)]
#[error("{place}: {reason}")]
pub struct ConfigError {
    /// `file:line:column`, `file`, or the argument that set it.
    pub place: String,
    /// What was found and what is allowed.
    pub reason: String,
}
