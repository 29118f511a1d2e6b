//! The files of an explanation.

use super::Explained;
use crate::explain::found::{Attributed, Effects, Nearest, Permutation};

/// A file by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Its name.
    pub name: String,
    /// Its contents.
    pub bytes: Vec<u8>,
}

/// `explain.html`, `explain.json`, a CSV file for each method, and the pictures.
pub fn files(explained: &Explained) -> Vec<File> {
    let found = &explained.found;
    let file = |name: &str, bytes: Vec<u8>| File { name: name.into(), bytes };
    let mut files = vec![file("explain.html", explained.html.clone().into_bytes())];
    if let Ok(json) = serde_json::to_vec(found) {
        files.push(file("explain.json", json));
    }
    if let Some(permutation) = &found.permutation {
        files.push(file("permutation.csv", importances(permutation)));
    }
    let tables = [
        ("shap.csv", &found.shap),
        ("integrated-gradients.csv", &found.integrated_gradients),
        ("rollout.csv", &found.rollout),
    ];
    for (name, table) in tables {
        files.extend(table.as_ref().map(|table| file(name, rows(table))));
    }
    if let Some(effects) = &found.effects {
        files.push(file("effects.csv", curves(effects)));
    }
    if let Some(nearest) = &found.nearest {
        files.push(file("nearest.csv", neighbours(nearest)));
    }
    files.extend(explained.pictures.iter().map(|(name, png)| file(name, png.clone())));
    files
}

/// Lines of cells as a CSV file.
fn csv(lines: impl Iterator<Item = Vec<String>>) -> Vec<u8> {
    let mut writer = csv::Writer::from_writer(vec![]);
    for line in lines {
        // Writing to memory cannot fail, and lines are of one length.
        let _ = writer.write_record(&line);
    }
    writer.into_inner().unwrap_or_default()
}

fn importances(found: &Permutation) -> Vec<u8> {
    let head = ["metric", "column", "mean", "deviation"].map(String::from).to_vec();
    let lines = found.by_metric.iter().flat_map(|of| {
        of.columns.iter().map(|c| {
            vec![of.metric.to_string(), c.column.clone(), c.mean.0.to_string(), c.deviation.0.to_string()]
        })
    });
    csv(std::iter::once(head).chain(lines))
}

/// One line for each row: what is explained, its base, and the parts of the columns.
fn rows(found: &Attributed) -> Vec<u8> {
    let head =
        ["row", "explained", "base"].map(String::from).into_iter().chain(found.columns.iter().cloned());
    let lines = found.values.iter().enumerate().map(|(at, values)| {
        let own =
            [found.rows[at].to_string(), found.explained[at].0.to_string(), found.base[at].0.to_string()];
        own.into_iter().chain(values.iter().map(|x| x.0.to_string())).collect()
    });
    csv(std::iter::once(head.collect()).chain(lines))
}

/// One line for each neighbour of each row.
fn neighbours(found: &Nearest) -> Vec<u8> {
    let head = ["row", "truth", "neighbour", "training_row", "distance", "target"].map(String::from).to_vec();
    let lines = found.each.iter().flat_map(|of| {
        of.neighbours.iter().enumerate().map(|(rank, near)| {
            let (truth, rank) = (of.truth.clone().unwrap_or_default(), (rank + 1).to_string());
            let distance = near.distance.0.to_string();
            vec![of.row.to_string(), truth, rank, near.row.clone(), distance, near.target.clone()]
        })
    });
    csv(std::iter::once(head).chain(lines))
}

fn curves(found: &Effects) -> Vec<u8> {
    let head = ["column", "predicted", "value", "partial_dependence", "accumulated_local_effects"];
    let mut lines = vec![head.map(String::from).to_vec()];
    for effect in &found.columns {
        for (at, predicted) in found.predicted.iter().enumerate() {
            for (place, x) in effect.at.iter().enumerate() {
                let value = effect.names.get(place).cloned().unwrap_or_else(|| x.0.to_string());
                let partial = effect.partial_dependence[at][place].0.to_string();
                let local = effect.accumulated_local_effects.get(at).map(|curve| curve[place].0.to_string());
                lines.push(vec![
                    effect.column.clone(),
                    predicted.clone(),
                    value,
                    partial,
                    local.unwrap_or_default(),
                ]);
            }
        }
    }
    csv(lines.into_iter())
}
