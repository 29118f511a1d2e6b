//! WGSL templates: loading, expansion, and the one place that prints scalar bodies.

pub mod body;
mod expand;
mod library;

pub use expand::{Template, TemplateError, Text};
pub use library::as_written;
