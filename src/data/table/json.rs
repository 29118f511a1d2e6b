//! JSON tables: one object a line, or an array of objects. A key that an object lacks is a missing value.

use std::path::Path;

use serde_json::Value;

use super::{Column, MAX_COLUMNS, Table};
use crate::base::json::Unique;
use crate::data::DataError;

/// Reads objects with plain values.
///
/// # Errors
/// If the text is not JSON, or a value is nested.
pub fn read(path: &Path, bytes: &[u8]) -> Result<Table, DataError> {
    let mut table = Table { path: path.into(), ..Table::default() };
    let malformed = |line: u64, reason: String| DataError::Malformed { path: path.into(), line, reason };
    let array = bytes.iter().find(|b| !b.is_ascii_whitespace()) == Some(&b'[');
    if array {
        let rows: Vec<Unique> =
            serde_json::from_slice(bytes).map_err(|e| malformed(e.line() as u64, e.to_string()))?;
        table = of_objects(path, &rows.into_iter().map(|Unique(row)| row).collect::<Vec<_>>())?;
        table.notes.push("an array of JSON objects".into());
    } else {
        for (number, text) in bytes.split(|&b| b == b'\n').enumerate() {
            let line = number as u64 + 1;
            if text.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            let Unique(row) = serde_json::from_slice(text).map_err(|e| malformed(line, e.to_string()))?;
            add(&mut table, line, &row).map_err(|reason| malformed(line, reason))?;
        }
        table.notes.push("JSON, one object a line".into());
    }
    Ok(table)
}

/// Makes a table of objects with plain values; the number of a row is its line.
///
/// # Errors
/// If a row is no object, or a value is nested.
pub fn of_objects(path: &Path, rows: &[Value]) -> Result<Table, DataError> {
    let mut table = Table { path: path.into(), ..Table::default() };
    for (row, line) in rows.iter().zip(1..) {
        let malformed = |reason| DataError::Malformed { path: path.into(), line, reason };
        add(&mut table, line, row).map_err(malformed)?;
    }
    Ok(table)
}

fn add(table: &mut Table, line: u64, row: &Value) -> Result<(), String> {
    let Value::Object(row) = row else {
        return Err("expected an object such as {\"area\": 70.5, \"city\": \"Bonn\"}".into());
    };
    for (name, value) in row {
        let cell = match value {
            Value::Null => String::new(),
            Value::Bool(x) => x.to_string(),
            Value::Number(x) => x.to_string(),
            Value::String(x) => x.trim().to_string(),
            Value::Array(_) | Value::Object(_) => {
                return Err(format!("`{name}` is nested; only plain values are supported"));
            }
        };
        let at = table.names.iter().position(|n| n == name).unwrap_or_else(|| {
            table.names.push(name.clone());
            let mut column = Column::default();
            column.push_missing(table.lines.len());
            table.columns.push(column);
            table.names.len() - 1
        });
        if table.names.len() > MAX_COLUMNS {
            return Err(format!("there are more than {MAX_COLUMNS} different keys"));
        }
        table.columns[at].push(&cell);
    }
    table.lines.push(line);
    for column in &mut table.columns {
        column.push_missing(table.lines.len() - column.len());
    }
    Ok(())
}
