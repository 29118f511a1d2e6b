//! Edges from a table with one in each row.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use super::edges::{Edge, Edges};
use crate::data::config::{ColumnKind, CsvConfig, GraphConfig};
use crate::data::table::Table;
use crate::data::{DataError, cells, formats};

/// An edge of the file: its target and source, its weight, and its row.
type Found = (u32, u32, f32, usize);

/// Reads the edges between nodes of these names.
///
/// # Errors
/// If the file cannot be read, an edge names no node, a weight is no number from 0 up, or an edge is given twice with
/// different weights.
pub fn read(config: &GraphConfig, path: &Path, names: &[String]) -> Result<Edges, DataError> {
    crate::base::input::refuse_special(path).map_err(|reason| DataError::Io { path: path.into(), reason })?;
    let csv = CsvConfig::default();
    let expected: Vec<&str> =
        [&config.source, &config.target].into_iter().chain(&config.weight).map(String::as_str).collect();
    let mut table = Table::read(path, &csv, &expected)?;
    let ends = [table.find(&config.source)?, table.find(&config.target)?];
    if ends[0] == ends[1] {
        let reason =
            format!("`source` and `target` of [data.graph] are both \"{}\"; name two columns", config.source);
        return Err(DataError::Treatment { column: config.source.clone(), reason });
    }
    // Names of nodes are compared as they are written; only weights are numbers.
    if let Some(weight) = &config.weight {
        table.find(weight)?;
        formats::clear_missing(&mut table, &csv);
        let mut found = formats::find(&table, &BTreeMap::new(), &csv)?;
        found.retain(|name, _| name == weight);
        formats::apply(&mut table, &found);
    }
    let found = found(config, &table, ends, names)?;
    let (list, repeated) = distinct(&table, found, names, config.directed)?;
    let notes = match repeated {
        0 => vec![],
        _ => vec![format!("{repeated} edges of {} are given again; each counts once", path.display())],
    };
    Ok(Edges { list, notes })
}

fn found(
    config: &GraphConfig,
    table: &Table,
    ends: [usize; 2],
    names: &[String],
) -> Result<Vec<Found>, DataError> {
    let numbers: HashMap<&str, u32> = names.iter().map(String::as_str).zip(0..).collect();
    let at_line = |row: usize, column: usize, reason: String| DataError::Series {
        path: table.file_of(row),
        line: table.lines[row],
        column: table.names[column].clone(),
        reason,
    };
    let rows: Vec<usize> = (0..table.lines.len()).collect();
    let weight = config.weight.as_ref().map(|name| table.find(name)).transpose()?;
    let weights = weight.map(|at| cells::values(table, at, &rows, ColumnKind::Number)).transpose()?;
    let mut found = vec![];
    for &row in &rows {
        let node = |column: usize| {
            let name = table.cell(column, row);
            numbers.get(&*name).copied().ok_or_else(|| {
                let shown: String = name.chars().take(80).collect();
                let reason = match shown.is_empty() {
                    true => "is empty; an edge has a node at both ends".into(),
                    false => format!(
                        "names the node \"{shown}\", and none of the {} nodes is called that; add it to the nodes, or \
                         remove the edge",
                        names.len()
                    ),
                };
                at_line(row, column, reason)
            })
        };
        let (source, target) = (node(ends[0])?, node(ends[1])?);
        let weight = match (&weights, weight) {
            (Some(weights), Some(at)) => match weights[row] {
                Some(value) if value >= 0.0 => value as f32,
                value => {
                    let found = value.map_or("is empty".into(), |value| format!("holds {value}"));
                    return Err(at_line(row, at, format!("{found}; a weight is a number from 0 up")));
                }
            },
            _ => 1.0,
        };
        found.push((target, source, weight, row));
        if !config.directed && source != target {
            found.push((source, target, weight, row));
        }
    }
    Ok(found)
}

/// Each edge once, in order, and how many rows repeat one.
fn distinct(
    table: &Table,
    mut found: Vec<Found>,
    names: &[String],
    directed: bool,
) -> Result<(Vec<Edge>, usize), DataError> {
    found.sort_by_key(|&(target, source, _, row)| (target, source, row));
    let mut repeated = std::collections::BTreeSet::new();
    let mut list: Vec<Edge> = vec![];
    let mut first = 0;
    for &(target, source, weight, row) in &found {
        match list.last() {
            Some(&(other, same, known)) if (other, same) == (source, target) => {
                if known != weight {
                    let [from, to] = [source, target].map(|node| &names[node as usize]);
                    let or =
                        if directed { "" } else { ", or set `directed` = true if they lead opposite ways" };
                    let (line, file) = (table.lines[first], table.file_of(first));
                    let place = match file == table.file_of(row) {
                        true => format!("line {line}"),
                        false => format!("{}, line {line},", file.display()),
                    };
                    let reason = format!(
                        "gives the edge between \"{from}\" and \"{to}\" of {place} again, with weight {weight} instead \
                         of {known}; remove one of them{or}"
                    );
                    return Err(DataError::Series {
                        path: table.file_of(row),
                        line: table.lines[row],
                        column: String::new(),
                        reason,
                    });
                }
                repeated.insert(row);
            }
            _ => {
                list.push((source, target, weight));
                first = row;
            }
        }
    }
    Ok((list, repeated.len()))
}
