//! WGSL templates: loading, expansion, and the one place that prints scalar bodies.

pub mod body;
pub mod declarations;
mod expand;
mod fold;
mod library;
pub mod tokens;

pub use expand::{Template, TemplateError, Text};
pub use library::as_written;
