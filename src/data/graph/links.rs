//! Edges from a table with one in each row.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use super::edges::{Edge, Edges};
use crate::base::order::Order;
use crate::data::config::{ColumnKind, CsvConfig, GraphConfig};
use crate::data::table::Table;
use crate::data::{DataError, cells, formats};

/// An edge of the file: its target and source, its weight, and its row.
type Found = (u32, u32, f32, usize);

/// The nodes that edges are between.
pub trait Ends {
    /// The column that says, beside the name of a node, which one is meant.
    fn column(&self) -> Option<&str>;

    /// The number of the node of a name, given what that column holds; `None` if the edge is of no interest.
    ///
    /// # Errors
    /// If there is no such node: what the cell of the name does, or, if true, that of the other column.
    fn find(&self, name: &str, beside: &str) -> Result<Option<u32>, (String, bool)>;

    /// The name of a node.
    fn name(&self, node: u32) -> &str;
}

/// Nodes of these names, all of one graph.
pub struct Names<'a> {
    names: &'a [String],
    numbers: HashMap<&'a str, u32>,
}

impl<'a> Names<'a> {
    /// Nodes in this order.
    pub fn new(names: &'a [String]) -> Self {
        Self { names, numbers: names.iter().map(String::as_str).zip(0..).collect() }
    }
}

impl Ends for Names<'_> {
    fn column(&self) -> Option<&str> {
        None
    }

    fn find(&self, name: &str, _: &str) -> Result<Option<u32>, (String, bool)> {
        self.numbers.get(name).copied().map(Some).ok_or_else(|| {
            let reason = format!(
                "names the node \"{}\", and none of the {} nodes is called that; add it to the nodes, or remove the \
                 edge",
                shown(name),
                self.names.len()
            );
            (reason, false)
        })
    }

    fn name(&self, node: u32) -> &str {
        &self.names[node as usize]
    }
}

/// The beginning of a name.
pub fn shown(name: &str) -> String {
    name.chars().take(80).collect()
}

/// Reads the edges between nodes.
///
/// # Errors
/// If the file cannot be read, an edge names no node, a weight is no number from 0 up, or an edge is given twice with
/// different weights.
pub fn read(config: &GraphConfig, path: &Path, nodes: &dyn Ends) -> Result<Edges, DataError> {
    crate::base::input::refuse_special(path).map_err(|reason| DataError::Io { path: path.into(), reason })?;
    let csv = CsvConfig::default();
    let expected = [&config.source, &config.target].into_iter().chain(&config.weight).map(String::as_str);
    let expected: Vec<&str> = expected.chain(nodes.column()).collect();
    let mut table = Table::read(path, &csv, &expected)?;
    let beside = nodes.column().map(|name| table.find(name)).transpose()?;
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
        let mut found = formats::find(&table, &BTreeMap::new(), &csv, &|_| false)?;
        found.retain(|name, _| name == weight);
        formats::apply(&mut table, &found)?;
    }
    let found = found(config, &table, (ends, beside), nodes)?;
    let (list, repeated) = distinct(&table, found, nodes, config.directed)?;
    let notes = match repeated {
        0 => vec![],
        _ => vec![format!("{repeated} edges of {} are given again; each counts once", path.display())],
    };
    Ok(Edges { list, notes })
}

fn found(
    config: &GraphConfig,
    table: &Table,
    (ends, beside): ([usize; 2], Option<usize>),
    nodes: &dyn Ends,
) -> Result<Vec<Found>, DataError> {
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
            let other = beside.map_or_else(Default::default, |at| table.cell(at, row));
            nodes.find(&name, &other).map_err(|(reason, of_other)| match (name.is_empty(), beside) {
                (_, Some(at)) if of_other => at_line(row, at, reason),
                (true, _) => at_line(row, column, "is empty; an edge has a node at both ends".into()),
                (false, _) => at_line(row, column, reason),
            })
        };
        let (Some(source), Some(target)) = (node(ends[0])?, node(ends[1])?) else { continue };
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
    nodes: &dyn Ends,
    directed: bool,
) -> Result<(Vec<Edge>, usize), DataError> {
    found.order_by_key(|&(target, source, _, row)| (target, source, row));
    let mut repeated = std::collections::BTreeSet::new();
    let mut list: Vec<Edge> = vec![];
    let mut first = 0;
    for &(target, source, weight, row) in &found {
        match list.last() {
            Some(&(other, same, known)) if (other, same) == (source, target) => {
                if known != weight {
                    let [from, to] = [source, target].map(|node| nodes.name(node));
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
