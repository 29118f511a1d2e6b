//! The nodes and edges of many graphs, from a table of each.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::edges::Edge;
use super::links::{self, Ends, shown};
use crate::base::order::Order;
use crate::data::config::{CsvConfig, DataConfig, GraphConfig, SplitConfig};
use crate::data::fitted::FittedGraphs;
use crate::data::formats::{self, Formats};
use crate::data::table::{Column, Table};
use crate::data::{DataError, Understanding, fit};

/// The feature of nodes that have no other.
const DEGREE: &str = "neighbours";

/// Where nodes and edges are.
pub struct Files {
    pub nodes: PathBuf,
    pub edges: PathBuf,
}

/// The nodes of graphs, graph by graph, and their edges.
pub struct Members {
    /// The table of nodes.
    pub table: Table,
    /// How its features are written.
    pub formats: Formats,
    /// Its rows, graph by graph.
    pub rows: Vec<usize>,
    /// Where those of each graph begin, and where the last one's end.
    pub starts: Vec<usize>,
    /// Edges between nodes, numbered in that order, in the order of their targets.
    pub edges: Vec<Edge>,
    /// Whether the number of neighbours is the only feature of nodes, the last column.
    pub counted: bool,
    /// For people.
    pub notes: Vec<String>,
}

/// How tables are read.
pub enum Reading<'a> {
    /// For the first time: what they hold is of these graphs alone.
    First(&'a DataConfig),
    /// As before, with the number of neighbours or without: graphs that are not asked for are left out.
    Alike(&'a CsvConfig, &'a FittedGraphs),
}

/// The names of graphs and of nodes.
struct Known<'a> {
    id: &'a str,
    graphs: HashMap<&'a str, u32>,
    /// The number of each node, by its graph and its name.
    nodes: HashMap<(u32, String), u32>,
    names: Vec<String>,
    strict: bool,
    /// The file with the graphs, for messages.
    source: &'a Path,
}

impl Known<'_> {
    /// The number of a graph; `None` if it is of no interest.
    fn graph(&self, name: &str) -> Result<Option<u32>, String> {
        match self.graphs.get(name) {
            Some(&graph) => Ok(Some(graph)),
            None if name.is_empty() => Err("is empty; it names a graph".into()),
            None if !self.strict => Ok(None),
            None => Err(format!(
                "names the graph \"{}\", and none of the {} graphs of {} is called that; add it there, or remove the row",
                shown(name),
                self.graphs.len(),
                self.source.display()
            )),
        }
    }
}

impl Ends for Known<'_> {
    fn column(&self) -> Option<&str> {
        Some(self.id)
    }

    fn find(&self, name: &str, beside: &str) -> Result<Option<u32>, (String, bool)> {
        let Some(graph) = self.graph(beside).map_err(|reason| (reason, true))? else { return Ok(None) };
        self.nodes.get(&(graph, name.to_string())).copied().map(Some).ok_or_else(|| {
            let reason = format!(
                "names the node \"{}\", and no node of the graph \"{}\" is called that; add it to the nodes, or remove \
                 the edge",
                shown(name),
                shown(beside)
            );
            (reason, false)
        })
    }

    fn name(&self, node: u32) -> &str {
        &self.names[node as usize]
    }
}

/// Reads the nodes and edges of the graphs called `ids`, which stand in `source`.
///
/// # Errors
/// If a file cannot be read, a node has no name or one that its graph has already, or an edge is not between two nodes of
/// a graph.
pub fn read(
    config: &GraphConfig,
    files: &Files,
    (ids, source): (&[String], &Path),
    reading: &Reading,
) -> Result<Members, DataError> {
    let id = config.id.as_deref().unwrap_or_default();
    let (csv, strict) = match reading {
        Reading::First(config) => (&config.csv, true),
        Reading::Alike(csv, _) => (*csv, false),
    };
    crate::base::input::refuse_special(&files.nodes)
        .map_err(|reason| DataError::Io { path: files.nodes.clone(), reason })?;
    let expected: Vec<&str> =
        [id, config.node()].into_iter().chain(config.features.iter().flatten().map(String::as_str)).collect();
    let mut table = Table::read(&files.nodes, csv, &expected)?;
    let [graph, node] = [table.find(id)?, table.find(config.node())?];
    let names_of = |table: &Table, column: usize| -> Vec<String> {
        (0..table.lines.len()).map(|row| table.cell(column, row).into_owned()).collect()
    };
    // Names are compared as they are written.
    let [of_graph, of_node] = [graph, node].map(|column| names_of(&table, column));
    let mut notes = vec![];
    formats::note_missing(&mut notes, &formats::emptied(&mut table, csv));
    let formats = match reading {
        Reading::First(data) => {
            let mut formats = formats::find(&table, &data.types, csv, &|_| false)?;
            formats.retain(|name, _| name != id && name != config.node());
            formats
        }
        Reading::Alike(_, fitted) => fitted.formats.clone(),
    };
    formats::apply(&mut table, &formats)?;
    let graphs = ids.iter().map(String::as_str).zip(0..).collect();
    let mut known = Known { id, graphs, nodes: HashMap::new(), names: vec![], strict, source };
    let (rows, starts) = sorted(&table, [graph, node], &of_graph, &of_node, &mut known, ids.len())?;
    let edges = edges(config, files, &known)?;
    notes.iter_mut().for_each(|note| *note = format!("{}: {note}", files.nodes.display()));
    notes.extend(edges.notes);
    let mut members = Members { table, formats, rows, starts, edges: edges.list, counted: false, notes };
    let counts = match reading {
        Reading::First(data) => members.features(config, &data.exclude)?.is_empty(),
        Reading::Alike(_, fitted) => fitted.counted,
    };
    if counts {
        members.count_neighbours();
    }
    members.table.settle();
    Ok(members)
}

/// Numbers the nodes graph by graph: their rows, and where each graph's begin.
fn sorted(
    table: &Table,
    [graph, node]: [usize; 2],
    of_graph: &[String],
    of_node: &[String],
    known: &mut Known,
    graphs: usize,
) -> Result<(Vec<usize>, Vec<usize>), DataError> {
    let at_line = |row: usize, column: usize, reason: String| DataError::Series {
        path: table.file_of(row),
        line: table.lines[row],
        column: table.names[column].clone(),
        reason,
    };
    let mut found = vec![];
    for (row, name) in of_graph.iter().enumerate() {
        let Some(number) = known.graph(name).map_err(|reason| at_line(row, graph, reason))? else { continue };
        if of_node[row].is_empty() {
            return Err(at_line(row, node, "is empty; give every node a name".into()));
        }
        found.push((number, row));
    }
    found.order();
    let mut starts = vec![0; graphs + 1];
    for (place, &(number, row)) in found.iter().enumerate() {
        starts[number as usize + 1] += 1;
        if let Some(first) = known.nodes.insert((number, of_node[row].clone()), place as u32) {
            let line = table.lines[found[first as usize].1];
            let reason = format!(
                "names the node \"{}\" of graph \"{}\" in line {line} again; remove one of them",
                shown(&of_node[row]),
                shown(&of_graph[row])
            );
            return Err(at_line(row, node, reason));
        }
        known.names.push(of_node[row].clone());
    }
    for graph in 0..graphs {
        starts[graph + 1] += starts[graph];
    }
    Ok((found.into_iter().map(|(_, row)| row).collect(), starts))
}

/// The edges between known nodes.
fn edges(config: &GraphConfig, files: &Files, known: &Known) -> Result<super::Edges, DataError> {
    match links::read(config, &files.edges, known) {
        // Graphs may be single nodes, and a table then has a header alone; a file with nothing in it is none.
        Err(DataError::Empty { path, .. }) if std::fs::metadata(&path).is_ok_and(|file| file.len() > 0) => {
            let note = format!("{}: has no rows, so no graph has an edge", path.display());
            Ok(super::Edges { notes: vec![note], ..super::Edges::default() })
        }
        found => found,
    }
}

impl Members {
    /// The columns that are features of nodes.
    ///
    /// # Errors
    /// If there is no such column, or it is to be left out too.
    pub fn features(&self, config: &GraphConfig, exclude: &[String]) -> Result<Vec<usize>, DataError> {
        if self.counted {
            return Ok(vec![self.table.names.len() - 1]);
        }
        if let Some(features) = &config.features {
            if let Some(name) = features.iter().find(|name| exclude.contains(name)) {
                let reason = "it is in `data.graph.features` and in `exclude`; remove it from one of them";
                return Err(DataError::Treatment { column: name.clone(), reason: reason.into() });
            }
            return features.iter().map(|name| self.table.find(name)).collect();
        }
        let names = [config.id.as_deref().unwrap_or_default(), config.node()];
        let is_feature = |at: &usize| {
            let name = &self.table.names[*at];
            !names.contains(&name.as_str()) && !exclude.contains(name)
        };
        Ok((0..self.table.names.len()).filter(is_feature).collect())
    }

    /// Adds the number of neighbours of each node to the table.
    fn count_neighbours(&mut self) {
        let mut counts = vec![0.0; self.table.lines.len()];
        for (_, target, _) in self.edges.iter().filter(|(source, target, _)| source != target) {
            counts[self.rows[*target as usize]] += 1.0;
        }
        let mut cells = Column::default();
        counts.into_iter().for_each(|count| cells.push_number(count));
        // Whatever else is called so is no feature.
        self.table.names.iter_mut().filter(|name| *name == DEGREE).for_each(|name| name.push('\''));
        self.counted = true;
        self.table.names.push(DEGREE.into());
        self.table.columns.push(cells);
    }

    /// What the table of nodes is, and what its columns become.
    pub fn understood(&self, config: &DataConfig, fitted: &FittedGraphs) -> Understanding {
        let nodes = DataConfig {
            target: None,
            weight: None,
            split: SplitConfig::default(),
            features: fitted.config.features.clone(),
            ..config.clone()
        };
        let mut understood = Understanding::of_table(&nodes, &self.table, &self.formats);
        let node = understood.columns.iter_mut().filter(|column| column.name == fitted.config.node());
        node.for_each(|column| column.names("node"));
        understood.columns.iter_mut().for_each(|column| column.fitted(&fitted.columns));
        understood.split = String::new();
        understood
    }

    /// The rows of the nodes of these graphs.
    pub fn rows_of(&self, graphs: impl Iterator<Item = usize>) -> Vec<usize> {
        graphs.flat_map(|at| &self.rows[self.starts[at]..self.starts[at + 1]]).copied().collect()
    }

    /// The edges of a graph, whose nodes are numbered from 0.
    pub fn edges_of(&self, graph: usize) -> impl Iterator<Item = Edge> + '_ {
        let (first, end) = (self.starts[graph], self.starts[graph + 1]);
        let at = |node: usize| self.edges.partition_point(move |edge| (edge.1 as usize) < node);
        let edges = &self.edges[at(first)..at(end)];
        edges
            .iter()
            .map(move |&(source, target, weight)| (source - first as u32, target - first as u32, weight))
    }

    /// Refuses columns whose missing values need other rows, or drop one.
    ///
    /// # Errors
    /// The first such column.
    pub fn check(&self, config: &DataConfig, columns: &[usize]) -> Result<(), DataError> {
        use crate::data::config::Fill;
        for &at in columns {
            let reason = match fit::column_fill(config, &self.table, at) {
                Fill::Drop => "a node cannot be dropped without its edges, as [data.clean] asks",
                Fill::ForwardFill => {
                    "nodes have no order in which one could get the value before it, as [data.clean] asks"
                }
                _ => continue,
            };
            let reason = format!("{reason}; fill missing values of nodes otherwise");
            return Err(DataError::Treatment { column: self.table.names[at].clone(), reason });
        }
        Ok(())
    }
}
