//! What is wrong with a configuration, and where.

/// A value of a configuration file that cannot be.
#[derive(Clone, Debug, thiserror::Error, PartialEq)]
#[error("{place}: {reason}")]
pub struct ConfigError {
    /// `file:line:column`, `file`, or the argument that set it.
    pub place: String,
    /// What was found and what is allowed.
    pub reason: String,
}
