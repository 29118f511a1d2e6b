//! Rows that are the nodes of a graph: all of them are encoded once, and samples are their numbers. Rows that are graphs
//! stand in [`whole`].

mod edges;
mod links;
mod members;
mod near;
mod stored;
mod whole;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use super::config::{Fill, GraphConfig, ReshapeConfig, SplitConfig};
use super::dataset::{CategoryIds, Dataset};
use super::fitted::{Encoding, Fitted, FittedGraph, FittedTarget};
use super::formats::Formats;
use super::split::Least;
use super::table::Table;
use super::{DataConfig, DataError, Goal, Loaded, Understanding, fit, split};
use crate::base::nodes::{NodeCategory, Nodes};
use edges::Edges;
pub use stored::{FILE, load as load_stored, save};
pub(super) use whole::{load as load_whole, of_rows as of_graphs};

/// Nodes that may have a feature each.
const MOST_IDENTITIES: usize = 4096;

/// The error that a column or key of the graph is wrong.
fn wrong(column: &str, reason: String) -> DataError {
    DataError::Treatment { column: column.into(), reason }
}

/// Splits, fits and encodes a table whose rows are the nodes of a graph.
pub(super) fn load(
    config: &DataConfig,
    graph: &GraphConfig,
    directory: &Path,
    (table, formats): (&Table, &Formats),
    goal: Goal,
) -> Result<Loaded, DataError> {
    let id = graph.id.as_deref().unwrap_or_default();
    check(config, id)?;
    let names = names(table, id, "node")?;
    let targets = super::find_targets(config, table)?;
    let rows = super::kept_rows(config, table, &targets)?;
    let classes = super::class_column(goal, targets.first().copied());
    let parts = split::split(&config.split, table, &rows, classes, Least::ONE)?;
    let target = FittedTarget::fit_all(config, table, &targets, &parts.train, goal)?;
    let columns = super::feature_columns(config, table)?.into_iter();
    let columns =
        columns.map(|c| fit::fit_column(config, table, c, &parts.train)).collect::<Result<Vec<_>, _>>()?;
    if columns.is_empty() && !graph.identity {
        let reason = "no other column is left to predict from; set `data.graph.identity` = true to give each node a \
                      feature of its own";
        return Err(wrong(id, reason.into()));
    }
    if graph.identity && names.len() > MOST_IDENTITIES {
        let reason = format!(
            "`data.graph.identity` gives each of {} nodes as many features; at most {MOST_IDENTITIES} nodes may have \
             them: give nodes other features",
            names.len()
        );
        return Err(wrong(id, reason));
    }
    let mut fitted = Fitted { target, ..like(config, formats) };
    let all: Vec<usize> = (0..names.len()).collect();
    let of_nodes = Fitted { columns, target: FittedTarget::Absent, weight: None, ..fitted.clone() };
    let known = of_nodes.encode(table, &all, false)?;
    let found = find_edges(graph, directory, table, &names)?;
    let mut understood = Understanding::of_table(config, table, formats);
    understood.notes.extend(found.notes.iter().cloned());
    let categories = known.categories.iter().map(|c| NodeCategory {
        name: c.name.clone(),
        vocabulary: c.vocabulary,
        ids: c.ids.clone(),
    });
    let nodes = Nodes {
        names,
        features: known.features.clone(),
        x: known.x.clone(),
        categories: categories.collect(),
        identity: graph.identity,
        ..found.nodes()
    };
    understood.notes.push(summary(&nodes, graph.directed));
    understood.fitted(&of_nodes);
    fitted.graph = Some(FittedGraph {
        id: graph.id.clone(),
        columns: of_nodes.columns,
        digest: stored::digest(&nodes),
        nodes: Arc::new(nodes),
    });
    let encode = |rows: &[usize]| of_rows(&fitted, table, rows, true);
    let (train, validation, test) = (encode(&parts.train)?, encode(&parts.validation)?, encode(&parts.test)?);
    fitted.constant = fitted.target.constant(&train);
    fitted.constants = fitted.target.constants(&train);
    understood.split_rows(table, &parts, &fitted.target);
    if goal == Goal::Regression {
        understood.predicts_numbers(table);
    }
    let unlabelled = table.lines.len() - rows.len();
    if unlabelled > 0 {
        understood
            .notes
            .push(format!("{unlabelled} nodes without a target are in the graph, and in no part"));
    }
    Ok(Loaded { fitted, train, validation, test, digest: String::new(), dropped: 0, understood })
}

/// What is fitted of the table itself.
fn like(config: &DataConfig, formats: &Formats) -> Fitted {
    Fitted {
        csv: config.csv.clone(),
        formats: formats.clone(),
        derive: config.derive.clone(),
        reshape: config.reshape.clone(),
        weight: config.weight.clone(),
        ..Fitted::default()
    }
}

/// Keys that need rows which can be left out, or rows of other files.
fn check(config: &DataConfig, id: &str) -> Result<(), DataError> {
    let clean = &config.clean;
    let drops = [&clean.numbers, &clean.categories].into_iter().chain(clean.columns.values());
    if !clean.drop_missing.is_empty() || drops.into_iter().any(|fill| *fill == Fill::Drop) {
        let reason = "a node cannot be dropped without its edges, as [data.clean] asks; fill missing values otherwise, \
                      or remove the node and its edges from the files";
        return Err(wrong(id, reason.into()));
    }
    if let SplitConfig::Files { .. } = config.split {
        let reason = "`by` = \"files\" has nodes in other files, and all nodes of a graph are in one; use \"column\" to \
                      say which nodes train";
        return Err(DataError::Split { reason: reason.into() });
    }
    Ok(())
}

/// The name of each row's node, or of whatever else a row is.
fn names(table: &Table, id: &str, what: &str) -> Result<Vec<String>, DataError> {
    let at = table.find(id)?;
    let at_line = |row: usize, reason: String| DataError::Series {
        path: table.file_of(row),
        line: table.lines[row],
        column: id.into(),
        reason,
    };
    let mut seen: HashMap<String, usize> = HashMap::new();
    let mut names = Vec::with_capacity(table.lines.len());
    for row in 0..table.lines.len() {
        if table.is_missing(at, row) {
            return Err(at_line(row, format!("is empty; give every {what} a name")));
        }
        let name = table.cell(at, row).into_owned();
        if let Some(first) = seen.insert(name.clone(), row) {
            let line = table.lines[first];
            return Err(at_line(
                row,
                format!("names the {what} \"{name}\" of line {line} again; remove one of them"),
            ));
        }
        names.push(name);
    }
    Ok(names)
}

fn find_edges(
    graph: &GraphConfig,
    directory: &Path,
    table: &Table,
    names: &[String],
) -> Result<Edges, DataError> {
    if let Some(file) = &graph.edges {
        return links::read(graph, &directory.join(file), &links::Names::new(names));
    }
    let points = near::points(graph, table)?;
    match (graph.nearest, graph.radius) {
        (Some(count), _) => near::nearest(&points, count, graph.directed),
        (None, Some(radius)) => near::within(&points, radius),
        (None, None) => Ok(Edges::default()),
    }
}

/// What a graph is, in a sentence.
fn summary(nodes: &Nodes, directed: bool) -> String {
    let loops = nodes.edges().filter(|(source, target, _)| source == target).count();
    let links = nodes.sources.len();
    let edges =
        if directed { format!("{links} directed") } else { ((links - loops) / 2 + loops).to_string() };
    let mut text = format!("a graph of {} nodes and {edges} edges", nodes.count());
    if loops > 0 {
        text += &format!(", {loops} of them from a node to itself");
    }
    match nodes.isolated() {
        0 => text,
        isolated => format!("{text}; {isolated} nodes have no neighbours, and layers read them alone"),
    }
}

/// Adds the graph whose nodes are the targets of windows.
pub(super) fn of_series(
    config: &DataConfig,
    graph: &GraphConfig,
    directory: &Path,
    loaded: &mut Loaded,
) -> Result<(), DataError> {
    let Some(window) = &loaded.fitted.window else { return Ok(()) };
    // Rows that become the columns of a single value are the nodes: `s0`, not `speed s0`.
    let value = match &config.reshape {
        Some(ReshapeConfig::Pivot { values, .. }) if values.len() == 1 => format!("{} ", values[0]),
        _ => String::new(),
    };
    let name = |(name, _): &(String, _)| name.strip_prefix(&value).unwrap_or(name).to_string();
    let names: Vec<String> = window.past.iter().map(name).collect();
    if names.is_empty() {
        let reason = "[data.graph] is of series of numbers, and this target is a class";
        return Err(wrong(loaded.fitted.target.name().unwrap_or_default(), reason.into()));
    }
    let found = match (&graph.edges, graph.correlation) {
        (Some(file), _) => links::read(graph, &directory.join(file), &links::Names::new(&names))?,
        (None, Some(count)) => near::correlated(&loaded.train, names.len(), count, graph.directed)?,
        (None, None) => Edges::default(),
    };
    loaded.understood.notes.extend(found.notes.iter().cloned());
    let nodes = Nodes { names, identity: graph.identity, ..found.nodes() };
    loaded.understood.notes.push(summary(&nodes, graph.directed));
    loaded.fitted.graph = Some(FittedGraph {
        id: None,
        columns: vec![],
        digest: stored::digest(&nodes),
        nodes: Arc::new(nodes),
    });
    Ok(())
}

/// Encodes rows of a table that name nodes of the graph.
///
/// # Errors
/// If a row names no node, or has other features than that node has in the graph.
pub(super) fn of_rows(
    fitted: &Fitted,
    table: &Table,
    rows: &[usize],
    with_target: bool,
) -> Result<Dataset, DataError> {
    let Some((graph, id)) = fitted.graph.as_ref().and_then(|graph| Some((graph, graph.id.as_ref()?))) else {
        return Ok(Dataset::default());
    };
    let numbers: HashMap<&str, u32> = graph.nodes.names.iter().map(String::as_str).zip(0..).collect();
    let at = table.find(id)?;
    let mut ids = vec![];
    for &row in rows {
        let name = table.cell(at, row);
        let Some(&number) = numbers.get(&*name) else {
            let shown: String = name.chars().take(80).collect();
            let reason = format!(
                "holds \"{shown}\", which is none of the {} nodes of the graph that the model was trained on; it \
                 predicts these alone",
                numbers.len()
            );
            let (path, line) = (table.path.clone(), table.lines[row]);
            return Err(DataError::Series { path, line, column: id.clone(), reason });
        };
        ids.push(number);
    }
    same_features(fitted, graph, table, rows, &ids)?;
    let names = ids.iter().map(|&id| graph.nodes.names[id as usize].clone()).collect();
    let vocabulary = graph.nodes.count();
    let base = fitted.encode(table, rows, with_target)?;
    Ok(Dataset {
        rows: rows.len(),
        categories: vec![CategoryIds { name: id.clone(), vocabulary, ids }],
        row_names: names,
        ..base
    })
}

/// Refuses rows whose features are not those that the graph has of their nodes; a table need not have them.
fn same_features(
    fitted: &Fitted,
    graph: &FittedGraph,
    table: &Table,
    rows: &[usize],
    ids: &[u32],
) -> Result<(), DataError> {
    let nodes = &graph.nodes;
    // What fills a cell from the rows before it depends on which rows there are.
    let alone = |encoding: &Encoding| match encoding {
        Encoding::Number { forward, .. }
        | Encoding::OneHot { forward, .. }
        | Encoding::Embedding { forward, .. } => !forward,
        Encoding::Calendar { .. } => true,
    };
    let columns = graph.columns.iter().filter(|c| alone(&c.encoding) && table.names.contains(&c.name));
    for column in columns {
        let part = Fitted {
            columns: vec![column.clone()],
            target: FittedTarget::Absent,
            weight: None,
            reshape: None,
            ..fitted.clone()
        };
        let found = part.encode(table, rows, false)?;
        let width = found.features.len();
        let first = nodes.features.iter().position(|name| Some(name) == found.features.first()).unwrap_or(0);
        let category = nodes.categories.iter().find(|category| category.name == column.name);
        for (at, (&row, &id)) in rows.iter().zip(ids).enumerate() {
            let start = id as usize * nodes.features.len() + first;
            let same = found.x[at * width..(at + 1) * width] == nodes.x[start..start + width];
            let ids = found.categories.first().zip(category);
            if same && ids.is_none_or(|(new, old)| new.ids[at] == old.ids[id as usize]) {
                continue;
            }
            let reason = format!(
                "has another value than node \"{}\" of the graph that the model was trained on, whose features it \
                 reads; leave the column out, or train on the new graph",
                nodes.names[id as usize]
            );
            let (path, line) = (table.path.clone(), table.lines[row]);
            return Err(DataError::Series { path, line, column: column.name.clone(), reason });
        }
    }
    Ok(())
}
