//! Texts of rows: each becomes a row of as many symbols, those after its end being padding.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::DataError;
use super::config::TextConfig;
use super::dataset::Documents;
use super::symbols::FittedText;
use super::table::Table;

/// Symbols of all rows at most.
const MOST: usize = 1 << 30;

/// How the texts of rows become numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FittedDocuments {
    /// The column of the texts; none if rows are pieces of one text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// Their symbols.
    pub text: FittedText,
}

impl FittedDocuments {
    /// Fits symbols on the texts of `rows` of a table; `directory` is that of the experiment.
    ///
    /// # Errors
    /// If there is no such column, no row has a text, or a file of tokens cannot be read.
    pub(super) fn fit(
        config: &TextConfig,
        column: &str,
        directory: &Path,
        table: &Table,
        rows: &[usize],
    ) -> Result<Self, DataError> {
        let at = table.find(column)?;
        let mut all = String::new();
        for &row in rows.iter().filter(|&&row| !table.is_missing(at, row)) {
            all.push_str(&table.cell(at, row));
            // Words do not reach from one row into the next.
            all.push('\n');
        }
        if all.is_empty() {
            let reason = "it is empty in every training row; there is no text to learn from".into();
            return Err(DataError::Treatment { column: column.into(), reason });
        }
        let text = FittedText::fit(config, directory, &all)?;
        Ok(Self { column: Some(column.into()), text })
    }

    /// Encodes the texts of `rows`; a row without one has no symbols.
    ///
    /// # Errors
    /// If there is no such column, or there are too many symbols.
    pub(super) fn encode(&self, table: &Table, rows: &[usize]) -> Result<Documents, DataError> {
        let at = table.find(self.column.as_deref().unwrap_or_default())?;
        let texts = rows.iter().map(|&row| match table.is_missing(at, row) {
            true => None,
            false => Some(table.cell(at, row)),
        });
        let mut encode = self.text.encoder();
        let all = texts.map(|text| text.map(|text| encode(&text)).unwrap_or_default());
        self.padded(all, rows.len(), &table.path)
    }

    /// The pieces of one text.
    pub(super) fn pieces(&self, symbols: &[u32], path: &Path) -> Result<Documents, DataError> {
        let length = self.text.length;
        self.padded(symbols.chunks(length).map(<[u32]>::to_vec), symbols.len().div_ceil(length), path)
    }

    fn padded(
        &self,
        texts: impl Iterator<Item = Vec<u32>>,
        rows: usize,
        path: &Path,
    ) -> Result<Documents, DataError> {
        let length = self.text.length;
        if rows.saturating_mul(length) > MOST {
            let reason = format!(
                "{rows} texts of `data.text.length` = {length} symbols are more than {MOST}; use a shorter length"
            );
            return Err(DataError::Text { path: path.into(), reason });
        }
        let mut found = Documents {
            length,
            vocabulary: self.text.inputs(),
            symbols: Vec::with_capacity(rows * length),
            lengths: Vec::with_capacity(rows),
            cut: 0,
            unknown: 0,
        };
        for text in texts {
            let kept = text.len().min(length);
            found.cut += usize::from(text.len() > length);
            found.unknown += text[..kept].iter().filter(|symbol| **symbol == 0).count();
            found.symbols.extend(&text[..kept]);
            // Where a text ends is told by its length.
            found.symbols.resize(found.symbols.len() + length - kept, 0);
            found.lengths.push(kept as u32);
        }
        Ok(found)
    }
}

/// What is to be known of texts that were read: how many are empty, and how many were cut off.
pub(super) fn told(read: &Documents, fitted: &FittedDocuments) -> Option<String> {
    let column = fitted.column.as_ref()?;
    let mut parts = vec![];
    if read.cut > 0 {
        parts.push(format!(
            "{} of {} have more than `data.text.length` = {} {}s, which alone are read",
            read.cut,
            read.lengths.len(),
            read.length,
            fitted.text.unit()
        ));
    }
    match read.lengths.iter().filter(|length| **length == 0).count() {
        0 => {}
        empty => parts.push(format!("{empty} are empty")),
    }
    if read.unknown > 0 {
        parts.push(format!("{} characters are unknown from training", read.unknown));
    }
    (!parts.is_empty()).then(|| format!("texts in `{column}`: {}", parts.join("; ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_padded_and_cut() {
        let text = FittedText { length: 3, vocabulary: "ab".into(), tokens: None };
        let fitted = FittedDocuments { column: None, text };
        let texts = ["ab", "", "bbaa", "a?a"].map(|text| fitted.text.encode(text));
        let found = fitted.padded(texts.into_iter(), 4, Path::new("t")).unwrap();
        assert_eq!(found.symbols, [1, 2, 0, 0, 0, 0, 2, 2, 1, 1, 0, 1]);
        assert_eq!(found.lengths, [2, 0, 3, 3]);
        assert_eq!([found.cut, found.unknown, found.vocabulary], [1, 1, 4]);
    }

    #[test]
    fn a_text_is_cut_into_pieces() {
        let text = FittedText { length: 2, vocabulary: "ab".into(), tokens: None };
        let fitted = FittedDocuments { column: None, text };
        let found = fitted.pieces(&[1, 2, 2, 1, 1], Path::new("t")).unwrap();
        assert_eq!(found.symbols, [1, 2, 2, 1, 1, 0]);
        assert_eq!(found.lengths, [2, 2, 1]);
    }
}
