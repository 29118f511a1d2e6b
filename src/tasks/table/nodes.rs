//! Rows that are the nodes of a graph: the graph with its predictions, in the report.

use super::Head;
use crate::base::nodes::Nodes;
use crate::base::number::figure;
use crate::data::{CategoryIds, Dataset, Fitted};
use crate::report::network::{Mark, picture};
use crate::report::section;
use crate::report::tables::table;
use crate::tasks::{Shown, Trained};
use crate::train::TrainError;
use crate::train::metrics::{Predictions, decide};

/// The section about the graph; nothing if rows are no nodes.
///
/// # Errors
/// If the device fails.
pub(super) fn section_of(
    fitted: &Fitted,
    head: &dyn Head,
    trained: &Trained,
    shown: &Shown,
) -> Result<String, TrainError> {
    let Some((graph, id)) = fitted.graph.as_ref().and_then(|graph| Some((graph, graph.id.clone()?))) else {
        return Ok(String::new());
    };
    let nodes = &*graph.nodes;
    let count = nodes.count();
    let ids = CategoryIds { name: id, vocabulary: count, ids: (0..count as u32).collect() };
    let all = Dataset { rows: count, categories: vec![ids], ..Dataset::default() };
    let weights = if shown.rows.weights.is_empty() { vec![] } else { vec![1.0; count] };
    let found = trained.evaluate(&Dataset { weights, ..all }, 1)?;
    let mut marks = marks(fitted, head, nodes, &found);
    for (row, wrong) in wrong(head, shown).into_iter().enumerate() {
        let node = shown.rows.categories.first().and_then(|column| column.ids.get(row));
        if let Some(mark) = node.and_then(|&node| marks.get_mut(node as usize)) {
            mark.ring = wrong;
        }
    }
    let ring = format!("predicted wrongly ({} nodes)", shown.part);
    let drawn = picture("Predictions of all nodes", nodes, &marks, head.classes(), &ring);
    Ok(section("Graph", &(table(&["", ""], &facts(head, nodes, &marks), 1) + &drawn)))
}

/// How each node is drawn: by its class, or by how large its value is.
fn marks(fitted: &Fitted, head: &dyn Head, nodes: &Nodes, found: &Predictions) -> Vec<Mark> {
    let classes = head.classes();
    if classes.is_empty() {
        let values = found.values(&fitted.target);
        let outputs = fitted.target.outputs().max(1);
        let first = || values.iter().step_by(outputs).copied().filter(|y| y.is_finite());
        let (low, high) = (first().fold(f64::INFINITY, f64::min), first().fold(f64::NEG_INFINITY, f64::max));
        let mark = |(name, y): (&String, &f64)| Mark {
            strength: if high > low { (y - low) / (high - low) } else { 0.5 },
            title: format!("{name}: {}", figure(*y)),
            ..Mark::default()
        };
        return nodes.names.iter().zip(values.iter().step_by(outputs)).map(mark).collect();
    }
    let mark = |(name, p): (&String, &Vec<f64>)| {
        let colour = decide(p, head.threshold());
        let title = format!("{name}: {} ({})", classes[colour], figure(p[colour]));
        Mark { colour, strength: 2.0 * (p[colour] - 0.5).max(0.0) + 0.2, title, ring: false }
    };
    nodes.names.iter().zip(&found.probabilities()).map(mark).collect()
}

/// Whether each shown row is predicted to be of another class than it is.
fn wrong(head: &dyn Head, shown: &Shown) -> Vec<bool> {
    if head.classes().is_empty() {
        return vec![];
    }
    let truth = shown.predictions.truth.iter();
    let found = shown.predictions.probabilities();
    found.iter().zip(truth).map(|(p, &truth)| decide(p, head.threshold()) as f64 != truth).collect()
}

/// The graph in numbers.
fn facts(head: &dyn Head, nodes: &Nodes, marks: &[Mark]) -> Vec<Vec<String>> {
    let mut neighbours = vec![0usize; nodes.count()];
    let (mut alike, mut links) = (0, 0);
    for (source, target, _) in nodes.edges().filter(|(source, target, _)| source != target) {
        neighbours[target as usize] += 1;
        links += 1;
        let colour = |node: u32| marks.get(node as usize).map(|mark| mark.colour);
        alike += usize::from(colour(source) == colour(target));
    }
    neighbours.sort_unstable();
    let middle = neighbours.get(neighbours.len() / 2).copied().unwrap_or(0);
    let most = neighbours.last().copied().unwrap_or(0);
    let row = |name: &str, value: String| vec![name.to_string(), value];
    let mut rows = vec![
        row("nodes", nodes.count().to_string()),
        row("links from a node to another", links.to_string()),
        row("neighbours of a node, median and most", format!("{middle}, {most}")),
        row("nodes without neighbours", nodes.isolated().to_string()),
    ];
    if !head.classes().is_empty() && links > 0 {
        let share = 100.0 * f64::from(alike as u32) / f64::from(links as u32);
        rows.push(row("links within a predicted class", format!("{share:.1} %")));
    }
    rows
}
