//! The body of a request: rows as JSON or CSV, or a picture.

use std::io::Write;
use std::path::Path;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::base::json::Unique;
use crate::data::{self, DataError, Dataset, Fitted, RowsInMemory};

/// What a request brings.
#[derive(Clone, Copy, Debug)]
pub enum Body<'a> {
    /// One object, an array of objects, `{"rows": [...]}`, or a list of values for each column.
    Json(&'a [u8]),
    /// One JSON object a line.
    Lines(&'a [u8]),
    /// A table with a header.
    Csv(&'a [u8]),
    /// A picture in one of the formats that training reads.
    Picture(&'a [u8]),
}

/// Why a request is refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Refused {
    /// Where, what was found, what is allowed.
    pub error: String,
    /// The row of JSON, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub row: Option<u64>,
    /// The line of CSV, from 1, which is that of the header.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// The column.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
}

impl Refused {
    fn because(error: impl Into<String>) -> Self {
        Self { error: error.into(), ..Self::default() }
    }
}

/// How messages call the table of a request; no file has this name.
const REQUEST: &str = "\u{1}request";

/// The forms that JSON may have.
const FORMS: &str = "send an object such as {\"area\": 70.5, \"city\": \"Bonn\"}, an array of them, {\"rows\": [...]}, \
                     or an array of values for each column";

/// Reads the rows of a request.
///
/// # Errors
/// Where something is wrong with them, what was found, and what is allowed.
pub fn read(fitted: &Fitted, body: Body, with_target: bool) -> Result<Dataset, Refused> {
    let pictures = fitted.image.as_ref().is_some_and(|image| image.columns.is_empty());
    match body {
        Body::Picture(bytes) if pictures => picture(fitted, bytes, with_target),
        Body::Picture(_) => Err(Refused::because(
            "the model reads rows of a table, and this is a picture; send JSON or CSV, see /model for the columns",
        )),
        _ if pictures => Err(Refused::because(
            "the model reads pictures; send one as the body, with its type, such as Content-Type: image/png",
        )),
        Body::Json(bytes) => {
            let rows = objects(bytes)?;
            table(fitted, RowsInMemory::Objects(&rows), with_target, "row")
        }
        Body::Lines(bytes) => table(fitted, RowsInMemory::Text(bytes), with_target, "line"),
        Body::Csv(bytes) => table(fitted, RowsInMemory::Text(bytes), with_target, "line"),
    }
}

fn table(fitted: &Fitted, rows: RowsInMemory, with_target: bool, unit: &str) -> Result<Dataset, Refused> {
    let found = data::load_in_memory(fitted, Path::new(REQUEST), rows, with_target);
    found.map_err(|error| refused(&error, unit))
}

/// A picture is read from a file, as in training.
fn picture(fitted: &Fitted, bytes: &[u8], with_target: bool) -> Result<Dataset, Refused> {
    let create = tempfile::Builder::new().prefix("gridlight-picture-").tempfile();
    let written =
        create.and_then(|mut file| file.write_all(bytes).and_then(|()| file.flush()).map(|()| file));
    let file = written.map_err(|e| Refused::because(format!("the server cannot keep the picture: {e}")))?;
    let found = data::load_with(fitted, file.path(), with_target);
    let mut rows = found.map_err(|error| {
        let text = error.to_string().replace(&file.path().display().to_string(), "the picture");
        Refused::because(text)
    })?;
    rows.row_names = vec!["picture".into(); rows.rows];
    Ok(rows)
}

/// The rows of a JSON body as objects.
fn objects(bytes: &[u8]) -> Result<Vec<Value>, Refused> {
    let Unique(body) = serde_json::from_slice(bytes)
        .map_err(|e| Refused::because(format!("the body is not JSON: {e}; {FORMS}")))?;
    let rows = match body {
        Value::Array(rows) => rows,
        Value::Object(mut body) if body.len() == 1 && body.get("rows").is_some_and(Value::is_array) => {
            match body.remove("rows") {
                Some(Value::Array(rows)) => rows,
                _ => vec![],
            }
        }
        Value::Object(mut body) if body.len() == 1 && body.get("columns").is_some_and(Value::is_object) => {
            match body.remove("columns") {
                Some(Value::Object(columns)) => across(columns)?,
                _ => vec![],
            }
        }
        Value::Object(body) if !body.is_empty() && body.values().all(Value::is_array) => across(body)?,
        Value::Object(body) => vec![Value::Object(body)],
        _ => return Err(Refused::because(format!("the body is a single value; {FORMS}"))),
    };
    if rows.is_empty() { Err(Refused::because(format!("there are no rows; {FORMS}"))) } else { Ok(rows) }
}

/// Rows from columns.
fn across(columns: Map<String, Value>) -> Result<Vec<Value>, Refused> {
    let mut rows: Vec<Map<String, Value>> = vec![];
    let mut first: Option<(String, usize)> = None;
    for (name, values) in columns {
        let Value::Array(values) = values else {
            let error = format!("column `{name}` holds no array; {FORMS}");
            return Err(Refused { column: Some(name), ..Refused::because(error) });
        };
        match &first {
            None => {
                first = Some((name.clone(), values.len()));
                rows = vec![Map::new(); values.len()];
            }
            Some((other, count)) if *count != values.len() => {
                let error = format!(
                    "column `{name}` has {} values and column `{other}` has {count}; send as many for each",
                    values.len()
                );
                return Err(Refused { column: Some(name), ..Refused::because(error) });
            }
            Some(_) => {}
        }
        for (row, value) in rows.iter_mut().zip(values) {
            row.insert(name.clone(), value);
        }
    }
    Ok(rows.into_iter().map(Value::Object).collect())
}

/// An error about a table as one about a request, whose rows are counted in `unit`s.
fn refused(error: &DataError, unit: &str) -> Refused {
    let (line, column) = match error {
        DataError::Cell { line, column, .. } | DataError::UnknownClass { line, column, .. } => {
            (Some(*line), Some(column.clone()))
        }
        DataError::Series { line, column, .. } => {
            (Some(*line), Some(column.clone()).filter(|name| !name.is_empty()))
        }
        DataError::Malformed { line, .. } | DataError::NotText { line, .. } => (Some(*line), None),
        DataError::MissingColumn { column, .. }
        | DataError::DuplicateColumn { column, .. }
        | DataError::Treatment { column, .. }
        | DataError::BadTarget { column, .. } => (None, Some(column.clone())),
        DataError::Empty { .. } => return Refused::because("there are no rows; send a header line and rows"),
        DataError::Io { .. }
        | DataError::TooManyColumns { .. }
        | DataError::Image { .. }
        | DataError::Text { .. }
        | DataError::Split { .. } => (None, None),
    };
    let text = error.to_string().replace(&format!(" (table {REQUEST})"), "");
    let text = match line {
        Some(line) => text.replace(&format!("{REQUEST}:{line}: "), &format!("{unit} {line}: ")),
        None => text.replace(&format!("{REQUEST}:1: "), ""),
    };
    let error = text.replace(&format!("{REQUEST}: "), "").replace(REQUEST, "the request");
    let (row, line) = if unit == "row" { (line, None) } else { (None, line) };
    Refused { error, row, line, column }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(body: &str) -> Result<String, String> {
        let rows = objects(body.as_bytes()).map_err(|refused| refused.error)?;
        Ok(Value::Array(rows).to_string())
    }

    #[test]
    fn json_has_four_forms() {
        let two = r#"[{"a":1,"b":"x"},{"a":2,"b":null}]"#;
        for body in [
            two.to_string(),
            format!("{{\"rows\": {two}}}"),
            r#"{"a": [1, 2], "b": ["x", null]}"#.into(),
            r#"{"columns": {"a": [1, 2], "b": ["x", null]}}"#.into(),
        ] {
            assert_eq!(rows(&body).as_deref(), Ok(two), "{body}");
        }
        assert_eq!(rows(r#"{"a": 1, "rows": "x"}"#).unwrap(), r#"[{"a":1,"rows":"x"}]"#);
    }

    #[test]
    fn other_json_is_refused_with_what_is_wrong() {
        for (body, part) in [
            ("", "not JSON"),
            ("{\"a\": 1", "not JSON"),
            ("7", "a single value"),
            ("[]", "there are no rows"),
            ("{\"rows\": []}", "there are no rows"),
            ("{\"a\": [1], \"b\": [1, 2]}", "column `b` has 2 values and column `a` has 1"),
            ("{\"columns\": {\"a\": 1}}", "column `a` holds no array"),
        ] {
            let error = rows(body).unwrap_err();
            assert!(error.contains(part), "{body}: {error}");
        }
    }
}
