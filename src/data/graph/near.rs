//! Edges from distances and correlations.

use super::edges::Edges;
use super::wrong;
use crate::base::order::Order;
use crate::base::parallel::prelude::*;
use crate::data::config::{ColumnKind, GraphConfig};
use crate::data::dataset::Dataset;
use crate::data::table::Table;
use crate::data::{DataError, cells};

/// Nodes between all of which distances are computed.
const MOST_POINTS: usize = 50_000;
/// Edges that a radius may give.
const MOST_EDGES: usize = 100_000_000;

/// The coordinates of each node.
///
/// # Errors
/// If one is no number, or there are too many nodes.
pub fn points(graph: &GraphConfig, table: &Table) -> Result<Vec<Vec<f64>>, DataError> {
    let count = table.lines.len();
    let first = graph.coordinates.first().map_or("", String::as_str);
    if count > MOST_POINTS {
        let reason = format!(
            "distances between {count} nodes are too many to compute; at most {MOST_POINTS} nodes can be: give their \
             edges in a file (`data.graph.edges`)"
        );
        return Err(wrong(first, reason));
    }
    let rows: Vec<usize> = (0..count).collect();
    let mut points = vec![vec![]; count];
    for name in &graph.coordinates {
        let at = table.find(name)?;
        for (row, value) in cells::values(table, at, &rows, ColumnKind::Number)?.into_iter().enumerate() {
            let Some(value) = value else {
                let (path, line, column) = (table.path.clone(), table.lines[row], name.clone());
                let reason = "is empty, and a node without coordinates is near no other; give it some".into();
                return Err(DataError::Series { path, line, column, reason });
            };
            points[row].push(value);
        }
    }
    Ok(points)
}

/// The square of the distance.
fn apart(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
}

/// Edges from the `count` nearest nodes to each; of equally near ones, those that come first.
///
/// # Errors
/// If there are not as many other nodes.
pub fn nearest(points: &[Vec<f64>], count: usize, directed: bool) -> Result<Edges, DataError> {
    few("nearest", points.len(), count)?;
    let of = |target: usize| {
        let mut others: Vec<(f64, u32)> = (0..points.len())
            .filter(|&source| source != target)
            .map(|source| (apart(&points[source], &points[target]), source as u32))
            .collect();
        let order = |a: &(f64, u32), b: &(f64, u32)| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1));
        others.select_nth_unstable_by(count - 1, order);
        others[..count].iter().map(|&(_, source)| [source, target as u32]).collect::<Vec<_>>()
    };
    let pairs: Vec<Vec<[u32; 2]>> = (0..points.len()).into_par_iter().map(of).collect();
    Ok(Edges::of_pairs(pairs.concat(), directed))
}

/// Edges between nodes that are at most `radius` apart.
///
/// # Errors
/// If there are too many.
pub fn within(points: &[Vec<f64>], radius: f64) -> Result<Edges, DataError> {
    let near = |target: usize, source: usize| {
        source != target && apart(&points[source], &points[target]) <= radius * radius
    };
    let of = |target: usize| (0..points.len()).filter(|&source| near(target, source)).count();
    let count: usize = (0..points.len()).into_par_iter().map(of).sum();
    if count > MOST_EDGES {
        let reason = format!(
            "`data.graph.radius` = {radius} gives {count} edges, at most {MOST_EDGES} can be; use a smaller one, or \
             `nearest`"
        );
        return Err(wrong("radius", reason));
    }
    let of = |target: usize| {
        let sources = (0..points.len()).filter(|&source| near(target, source));
        sources.map(|source| [source as u32, target as u32]).collect::<Vec<_>>()
    };
    let pairs: Vec<Vec<[u32; 2]>> = (0..points.len()).into_par_iter().map(of).collect();
    Ok(Edges::of_pairs(pairs.concat(), true))
}

/// Edges from the `count` targets of windows whose stored training rows are most correlated with each.
///
/// # Errors
/// If there are not as many other targets.
pub fn correlated(train: &Dataset, targets: usize, count: usize, directed: bool) -> Result<Edges, DataError> {
    few("correlation", targets, count)?;
    let width = train.features.len().max(1);
    let series = |target: usize| train.x.chunks(width).map(move |row| f64::from(row[target]));
    let of = |target: usize| {
        let mut others: Vec<(f64, u32)> = (0..targets)
            .filter(|&source| source != target)
            .map(|source| (correlation(series(source), series(target)).abs(), source as u32))
            .collect();
        others.order_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        others[..count].iter().map(|&(_, source)| [source, target as u32]).collect::<Vec<_>>()
    };
    let pairs: Vec<Vec<[u32; 2]>> = (0..targets).into_par_iter().map(of).collect();
    Ok(Edges::of_pairs(pairs.concat(), directed))
}

/// Pearson's correlation of the pairs that are known; 0 of constants.
fn correlation(a: impl Iterator<Item = f64>, b: impl Iterator<Item = f64>) -> f64 {
    let pairs: Vec<(f64, f64)> = a.zip(b).filter(|(a, b)| a.is_finite() && b.is_finite()).collect();
    let count = pairs.len().max(1) as f64;
    let mean_a = pairs.iter().map(|pair| pair.0).sum::<f64>() / count;
    let mean_b = pairs.iter().map(|pair| pair.1).sum::<f64>() / count;
    let (mut both, mut of_a, mut of_b) = (0.0, 0.0, 0.0);
    for (a, b) in pairs {
        let (a, b) = (a - mean_a, b - mean_b);
        both += a * b;
        of_a += a * a;
        of_b += b * b;
    }
    if of_a > 0.0 && of_b > 0.0 { both / (of_a * of_b).sqrt() } else { 0.0 }
}

/// Every node needs as many others.
fn few(key: &str, nodes: usize, count: usize) -> Result<(), DataError> {
    if count < nodes {
        return Ok(());
    }
    let most = match nodes {
        0 | 1 => "a graph with edges needs several nodes".into(),
        _ => format!("at most {} are possible", nodes - 1),
    };
    Err(wrong(
        key,
        format!("`data.graph.{key}` = {count} of the other nodes, and there are {nodes} nodes; {most}"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(x: &[f64]) -> Vec<Vec<f64>> {
        x.iter().map(|&x| vec![x]).collect()
    }

    fn pairs(edges: &Edges) -> Vec<[u32; 2]> {
        edges.list.iter().map(|edge| [edge.0, edge.1]).collect()
    }

    #[test]
    fn the_nearest_are_found_and_ties_go_to_the_first() {
        let directed = nearest(&line(&[0.0, 1.0, 2.0, 10.0]), 1, true).unwrap();
        assert_eq!(pairs(&directed), [[1, 0], [0, 1], [1, 2], [2, 3]]);
        let both = nearest(&line(&[0.0, 1.0, 2.0, 10.0]), 1, false).unwrap();
        assert_eq!(pairs(&both), [[1, 0], [0, 1], [2, 1], [1, 2], [3, 2], [2, 3]]);
        let error = nearest(&line(&[0.0, 1.0]), 2, true).unwrap_err().to_string();
        assert!(error.contains("at most 1"), "{error}");
        assert!(nearest(&line(&[0.0]), 1, true).unwrap_err().to_string().contains("several nodes"));
    }

    #[test]
    fn a_radius_is_inclusive() {
        let found = within(&line(&[0.0, 1.0, 2.5, 10.0]), 1.5).unwrap();
        assert_eq!(pairs(&found), [[1, 0], [0, 1], [2, 1], [1, 2]]);
    }

    #[test]
    fn correlations_are_found_whatever_their_sign() {
        let rows = [
            [1.0, -1.1, 5.0],
            [2.0, -2.0, 4.0],
            [3.0, -2.9, 5.5],
            [4.0, -4.2, 5.0],
            [f32::NAN, 7.0, f32::NAN],
        ];
        let train = Dataset {
            features: ["a", "b", "c"].map(String::from).to_vec(),
            x: rows.concat(),
            ..Dataset::default()
        };
        assert_eq!(pairs(&correlated(&train, 3, 1, true).unwrap()), [[1, 0], [0, 1], [0, 2]]);
    }
}
