//! Experiments whose text names no data, as an argument does: `--set data.source=...`.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Experiment;
use crate::base::tree::{self, Error};

/// The argument's key.
const KEY: &str = "data.source";

/// Reads a text, with the source of an argument if it has none itself, so that whatever else is wrong with it is told
/// with its place.
///
/// # Errors
/// If the text is not TOML, or no experiment.
pub(super) fn read(text: &str, overrides: &[String]) -> Result<Experiment, Error> {
    let mut document = DeTable::parse(text)?;
    let given = overrides.iter().rev().filter_map(|argument| argument.split_once('='));
    if let Some((_, source)) = given.into_iter().find(|(key, _)| key.trim() == KEY) {
        let data = document
            .get_mut()
            .entry(placed("data".into()))
            .or_insert_with(|| placed(DeValue::Table(DeTable::new())));
        if let DeValue::Table(data) = data.get_mut() {
            let source = source.trim().trim_matches('"');
            data.entry(placed("source".into())).or_insert_with(|| placed(DeValue::String(source.into())));
        }
    }
    tree::of_toml(document).read()
}

/// What is nowhere in the text.
fn placed<T>(value: T) -> Spanned<T> {
    Spanned::new(0..0, value)
}
