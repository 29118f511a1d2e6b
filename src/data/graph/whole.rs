//! Rows that are graphs: each has nodes and edges of its own, in tables beside that of the rows.

use std::collections::HashSet;
use std::path::Path;

use super::links::shown;
use super::members::{Files, Members, Reading, read};
use super::{like, names};
use crate::base::edges::{Edge, with_loops};
use crate::base::nodes::NodeCategory;
use crate::base::packed::Packed;
use crate::data::config::{DataConfig, GraphConfig, SplitConfig, Validation};
use crate::data::dataset::Dataset;
use crate::data::fitted::{Fitted, FittedGraphs, FittedTarget};
use crate::data::formats::Formats;
use crate::data::padded::{Graphs, ends};
use crate::data::read::Alike;
use crate::data::split::{self, Least};
use crate::data::table::Table;
use crate::data::{
    DataError, Goal, Loaded, Understanding, class_column, feature_columns, find_targets, fit, kept_rows, room,
};

/// Bytes that all graphs may take together.
const MOST_BYTES: u64 = 1 << 34;
/// How many times as much memory encoding and evaluating them takes, as measured.
const COPIES: u64 = 4;
/// The part of the words that is worth a warning if it is padding, in percent.
const WASTEFUL: usize = 80;

/// A table of rows that are graphs, and the graphs.
struct Read<'a> {
    fitted: &'a Fitted,
    graphs: &'a FittedGraphs,
    table: &'a Table,
    /// The number of the first row's graph.
    first: usize,
    members: &'a Members,
}

/// Splits, fits and encodes a table whose rows are graphs.
pub(in crate::data) fn load(
    config: &DataConfig,
    graph: &GraphConfig,
    directory: &Path,
    (table, formats): (&Table, &Formats),
    goal: Goal,
) -> Result<Loaded, DataError> {
    let id = graph.id.as_deref().unwrap_or_default();
    let others = others(config, directory, formats)?;
    let tables: Vec<&Table> = std::iter::once(table).chain(others.iter().flatten()).collect();
    let (ids, firsts) = all_names(&tables, id)?;
    let files = Files {
        nodes: directory.join(graph.nodes.as_deref().unwrap_or_default()),
        edges: directory.join(graph.edges.as_deref().unwrap_or_default()),
    };
    let members = read(graph, &files, (&ids, &table.path), &Reading::First(config))?;
    known_columns(config, table, &members)?;
    let targets = find_targets(config, table)?;
    let rows = kept_rows(config, table, &targets)?;
    let classes = class_column(goal, targets.first().copied());
    let parts = split::split(&config.split, table, &rows, classes, Least::ONE)?;
    let target = FittedTarget::fit_all(config, table, &targets, &parts.train, goal)?;
    let fit_all = |table: &Table, columns: &[usize], rows: &[usize]| {
        let fit = |&column: &usize| fit::fit_column(config, table, column, rows);
        columns.iter().map(fit).collect::<Result<Vec<_>, _>>()
    };
    let columns = fit_all(table, &feature_columns(config, table)?, &parts.train)?;
    let of_nodes = members.features(graph, &config.exclude)?;
    members.check(config, &of_nodes)?;
    let of_nodes = fit_all(&members.table, &of_nodes, &members.rows_of(parts.train.iter().copied()))
        .map_err(|error| error.in_file(&members.table.path))?;
    let named = |file: &Option<String>| {
        file.as_deref().and_then(|file| Path::new(file).file_name()?.to_str().map(str::to_string))
    };
    let own = GraphConfig { nodes: named(&graph.nodes), edges: named(&graph.edges), ..graph.clone() };
    let graphs = FittedGraphs {
        config: own,
        columns: of_nodes,
        counted: members.counted,
        formats: members.formats.clone(),
    };
    let fitted = Fitted { columns, target, ..like(config, formats) };
    let part = |at: usize| Read {
        fitted: &fitted,
        graphs: &graphs,
        table: tables[at],
        first: firsts[at],
        members: &members,
    };
    // Which table each part is in, and its rows there.
    let mut all = vec![(part(0), parts.train.clone())];
    let mut at = 0;
    for (other, rows) in others.iter().zip([&parts.validation, &parts.test]) {
        all.push(match other {
            None => (part(0), rows.clone()),
            Some(table) => {
                at += 1;
                (part(at), kept_rows(config, table, &find_targets(config, table)?)?)
            }
        });
    }
    let packed = sizes(&all)?;
    let told = told(&all, packed);
    let [train, validation, test] = [0, 1, 2].map(|part| all[part].0.encode(&all[part].1, packed, true));
    let (train, validation, test) = (train?, validation?, test?);
    let mut understood = Understanding::of_table(config, table, formats);
    understood.notes.extend(members.notes.iter().cloned());
    understood.notes.extend(told);
    understood.fitted(&fitted);
    understood.nodes = Some(Box::new(members.understood(config, &graphs)));
    if goal == Goal::Regression {
        understood.predicts_numbers(table);
    }
    understood.split_rows(table, &parts, &fitted.target);
    let dropped = table.lines.len() - rows.len();
    understood.parts = [&train, &validation, &test].map(|part| part.rows);
    let weight = crate::data::weights::find(config, table)?;
    understood.drop_rows_of(table, &targets, weight, dropped);
    let fitted = Fitted {
        constant: fitted.target.constant(&train),
        constants: fitted.target.constants(&train),
        graphs: Some(graphs),
        ..fitted
    };
    Ok(Loaded { fitted, train, validation, test, digest: String::new(), dropped, understood })
}

/// The tables of validation and test rows, where these are in files of their own.
fn others(config: &DataConfig, directory: &Path, formats: &Formats) -> Result<[Option<Table>; 2], DataError> {
    let SplitConfig::Files { validation, test, .. } = &config.split else { return Ok([None, None]) };
    let alike = Alike { csv: &config.csv, formats, derive: &config.derive, reshape: None };
    let read = |file: &String| alike.read(&directory.join(file), &[]);
    let validation = match validation {
        Validation::File(file) => Some(read(file)?),
        Validation::Part(_) => None,
    };
    // Without a file, there are no test rows.
    Ok([validation, test.as_ref().map(read).transpose()?])
}

/// The names of the graphs of all tables, and which is the first of each.
fn all_names(tables: &[&Table], id: &str) -> Result<(Vec<String>, Vec<usize>), DataError> {
    let (mut all, mut firsts) = (vec![], vec![]);
    for table in tables {
        let found = names(table, id, "graph")?;
        let known: HashSet<&String> = all.iter().collect();
        if let Some(row) = found.iter().position(|name| known.contains(name)) {
            let reason = format!(
                "names the graph \"{}\" of another part again; remove one of them",
                shown(&found[row])
            );
            let (path, line) = (table.file_of(row), table.lines[row]);
            return Err(DataError::Series { path, line, column: id.into(), reason });
        }
        firsts.push(all.len());
        all.extend(found);
    }
    Ok((all, firsts))
}

/// Refuses keys of columns that neither table has.
fn known_columns(config: &DataConfig, table: &Table, members: &Members) -> Result<(), DataError> {
    let keys = config.types.keys().chain(config.clean.columns.keys()).chain(config.transform.columns.keys());
    let keys = keys.chain(&config.exclude);
    for name in keys.filter(|name| !members.table.names.contains(name)) {
        table.find(name)?;
    }
    Ok(())
}

/// Encodes rows of a table in a file, whose graphs have their nodes and edges in files beside it.
pub(in crate::data) fn of_rows(
    fitted: &Fitted,
    graphs: &FittedGraphs,
    (table, path): (&Table, &Path),
    rows: &[usize],
    with_target: bool,
) -> Result<Dataset, DataError> {
    let config = &graphs.config;
    let ids = names(table, config.id.as_deref().unwrap_or_default(), "graph")?;
    let beside = |file: &Option<String>| path.with_file_name(file.as_deref().unwrap_or_default());
    let files = Files { nodes: beside(&config.nodes), edges: beside(&config.edges) };
    let is_given = crate::data::table::given::is_name(path);
    if is_given || [&files.nodes, &files.edges].iter().any(|file| !file.is_file()) {
        let [nodes, edges] =
            [&files.nodes, &files.edges].map(|file| file.file_name().unwrap_or_default().display());
        let reason = format!(
            "its rows are graphs, whose nodes and edges must stand in files called {nodes} and {edges} beside that of the \
             rows"
        );
        return Err(DataError::Io { path: path.into(), reason });
    }
    let reading = Reading::Alike(&fitted.csv, graphs);
    let members = read(config, &files, (&ids, path), &reading)?;
    let read = Read { fitted, graphs, table, first: 0, members: &members };
    let all = [(read, rows.to_vec())];
    all[0].0.encode(rows, sizes(&all)?, with_target)
}

impl Read<'_> {
    /// The edges of a row's graph, with a loop at every node.
    fn looped(&self, row: usize) -> Vec<Edge> {
        with_loops(self.nodes(row), self.edges(row), true)
    }

    /// Nodes of a row's graph.
    fn nodes(&self, row: usize) -> usize {
        let graph = self.first + row;
        self.members.starts[graph + 1] - self.members.starts[graph]
    }

    /// The edges of a row's graph.
    fn edges(&self, row: usize) -> impl Iterator<Item = Edge> + '_ {
        self.members.edges_of(self.first + row)
    }

    /// The error that something is wrong with the graph of a row.
    fn at_line(&self, row: usize, reason: String) -> DataError {
        let column = self.graphs.config.id.clone().unwrap_or_default();
        DataError::Series { path: self.table.file_of(row), line: self.table.lines[row], column, reason }
    }

    /// Encodes rows and their graphs.
    fn encode(&self, rows: &[usize], packed: Packed, with_target: bool) -> Result<Dataset, DataError> {
        let members = self.members;
        let of_nodes = Fitted {
            columns: self.graphs.columns.clone(),
            target: FittedTarget::Absent,
            weight: None,
            reshape: None,
            ..self.fitted.clone()
        };
        let nodes = of_nodes
            .encode(&members.table, &members.rows_of(rows.iter().map(|row| self.first + row)), false)
            .map_err(|error| error.in_file(&members.table.path))?;
        let mut base = self.fitted.encode(self.table, rows, with_target)?;
        base.unseen.extend(nodes.unseen);
        base.filled.extend(nodes.filled);
        let id = self.table.find(self.graphs.config.id.as_deref().unwrap_or_default())?;
        let row_names = rows.iter().map(|&row| self.table.cell(id, row).into_owned()).collect();
        let width = nodes.features.len();
        let categories = nodes.categories.iter().map(|c| NodeCategory {
            name: c.name.clone(),
            vocabulary: c.vocabulary,
            ids: Vec::with_capacity(rows.len() * packed.nodes),
        });
        let mut graphs = Graphs {
            packed,
            x: Vec::with_capacity(rows.len() * packed.nodes * width),
            categories: categories.collect(),
            ..Graphs::default()
        };
        let mut first = 0;
        for &row in rows {
            let (count, end) = (self.nodes(row), (graphs.counts.len() + 1) * packed.nodes);
            graphs.x.extend(&nodes.x[first * width..(first + count) * width]);
            graphs.x.resize(end * width, 0.0);
            for (own, all) in graphs.categories.iter_mut().zip(&nodes.categories) {
                own.ids.extend(&all.ids[first..first + count]);
                own.ids.resize(end, 0);
            }
            first += count;
            graphs.add_edges(count, &self.looped(row), &self.edges(row).collect::<Vec<_>>());
        }
        graphs.features = nodes.features;
        Ok(Dataset { row_names, graphs: Some(graphs), ..base })
    }
}

/// The names of the columns of nodes, the first of them if they are many.
fn features(fitted: &FittedGraphs) -> String {
    if fitted.counted {
        return "the number of its neighbours, as there is no other".into();
    }
    let names: Vec<&str> = fitted.columns.iter().map(|column| column.name.as_str()).collect();
    match names.len() {
        0..=12 => names.join(", "),
        count => format!("{}, ... ({count})", names[..12].join(", ")),
    }
}

/// The sizes that the graphs of all parts are padded to.
fn sizes(parts: &[(Read, Vec<usize>)]) -> Result<Packed, DataError> {
    let mut packed = Packed { nodes: 1, edges: 1, longest: 1 };
    let (mut largest, mut count) = (None, 0);
    for (read, rows) in parts {
        count += rows.len();
        for &row in rows {
            let nodes = read.nodes(row);
            if nodes == 0 {
                let file = read.members.table.path.display();
                let reason = format!("has no node in {file}; give it at least one, or remove the row");
                return Err(read.at_line(row, reason));
            }
            if nodes > packed.nodes || largest.is_none() {
                largest = Some((read, row));
            }
            packed = packed.with(nodes, &ends(&read.looped(row)));
        }
    }
    let Some((read, row)) = largest else { return Ok(packed) };
    let width: usize = read.graphs.columns.iter().map(|column| column.features().max(1)).sum();
    let each = packed.words() + 2 * packed.edges + packed.nodes * width;
    let bytes = 4 * each as u64 * count as u64;
    if bytes > MOST_BYTES || room::is_too_short(COPIES * bytes) {
        let reason = format!(
            "is the largest of {count} graphs, which are all padded to its {} nodes and to {} edges, and would take \
             {:.1} GB; leave out the largest graphs, or cut them into parts",
            packed.nodes,
            packed.edges,
            bytes as f64 * 1e-9
        );
        return Err(read.at_line(row, reason));
    }
    Ok(packed)
}

/// What graphs are, for people.
fn told(parts: &[(Read, Vec<usize>)], packed: Packed) -> Vec<String> {
    let each = || parts.iter().flat_map(|(read, rows)| rows.iter().map(move |&row| (read, row)));
    let mut counts: Vec<usize> = each().map(|(read, row)| read.nodes(row)).collect();
    counts.sort_unstable();
    let (graphs, nodes) = (counts.len(), counts.iter().sum::<usize>());
    let links: usize = each().map(|(read, row)| read.edges(row).count()).sum();
    let alone: usize = each().map(|(read, row)| isolated(read.nodes(row), read.edges(row))).sum();
    let way = if parts[0].0.graphs.config.directed { "" } else { ", both ways of each edge" };
    let mut text = format!(
        "{graphs} graphs of {} to {} nodes, {nodes} nodes and {links} links in all{way}; the features of a node: {}",
        counts.first().copied().unwrap_or(0),
        packed.nodes,
        features(parts[0].0.graphs)
    );
    if alone > 0 {
        text += &format!("; {alone} nodes have no neighbours, and layers read them alone");
    }
    let padding = 100 - 100 * nodes / (packed.nodes * graphs).max(1);
    text += &format!("; padded to the largest, {padding} % of the places of nodes are empty");
    let waste = (padding >= WASTEFUL).then(|| {
        format!(
            "{padding} % of the work on nodes is on padding: half of the graphs have at most {} nodes, and the largest has \
             {}; without the few largest, training is faster",
            counts[graphs / 2],
            packed.nodes
        )
    });
    std::iter::once(text).chain(waste).collect()
}

/// Nodes without any edge but to themselves.
fn isolated(nodes: usize, edges: impl Iterator<Item = Edge>) -> usize {
    let mut met = vec![false; nodes];
    for (source, target, _) in edges.filter(|edge| edge.0 != edge.1) {
        (met[source as usize], met[target as usize]) = (true, true);
    }
    met.into_iter().filter(|met| !met).count()
}
