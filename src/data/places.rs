//! Rows from several data sets in a fixed number of places: what a model reads that answers requests.

use super::dataset::{CategoryIds, Dataset, Windows};
use super::encode::feature_names;
use super::fitted::{Encoding, Fitted, FittedColumn, FittedPixels, FittedWindow};
use crate::data::config::Missing;

impl Dataset {
    /// `places` rows like those that `fitted` encodes, each of them 0, without a target. Windows do not overlap.
    pub fn blank(fitted: &Fitted, places: usize) -> Self {
        let names =
            |columns: &[FittedColumn]| columns.iter().flat_map(feature_names).collect::<Vec<String>>();
        let features = match (&fitted.image, &fitted.window) {
            (Some(image), _) => image.names(),
            (None, Some(window)) => features_of_windows(fitted, window, names),
            (None, None) => names(&fitted.columns),
        };
        let ids = |column: &FittedColumn| match &column.encoding {
            Encoding::Embedding { names, .. } => Some(CategoryIds {
                name: column.name.clone(),
                vocabulary: names.len() + 1,
                ids: vec![0; places],
            }),
            Encoding::Number { .. } | Encoding::OneHot { .. } | Encoding::Calendar { .. } => None,
        };
        let nodes = fitted.graph.as_ref().and_then(|graph| {
            let (name, vocabulary) = (graph.id.clone()?, graph.nodes.count());
            Some(CategoryIds { name, vocabulary, ids: vec![0; places] })
        });
        let windows = fitted.window.as_ref().map(|window| {
            let config = &window.config;
            let (first_target, steps) = (config.length - 1 + config.first_step(), config.steps());
            let span = first_target + steps;
            Windows {
                length: config.length,
                first_target,
                steps,
                targets: window.past.len().max(1),
                stored: places * span,
                starts: (0..places).map(|place| (place * span) as u32).collect(),
                ..Windows::default()
            }
        });
        let stored = windows.as_ref().map_or(places, |windows| windows.stored);
        let targets = match fitted.target.columns().len() {
            _ if fitted.target.pixels().is_some() => fitted.target.pixels().map_or(0, FittedPixels::count),
            several @ 2.. if windows.is_none() => several,
            _ => 0,
        };
        Self {
            rows: places,
            x: vec![0.0; stored * features.len()],
            features,
            categories: fitted.columns.iter().filter_map(ids).chain(nodes).collect(),
            targets,
            windows,
            ..Self::default()
        }
    }

    /// Puts row `row` of `rows`, which are encoded alike, in a place of these.
    pub fn put(&mut self, place: usize, rows: &Self, row: usize) {
        let (mut from, mut to, mut length) = (row, place, 1);
        if let (Some(own), Some(others)) = (&self.windows, &rows.windows) {
            (from, to, length) = (others.starts[row] as usize, own.starts[place] as usize, own.length);
        }
        let values = rows.features_of(from..from + length);
        let start = to * self.features.len();
        self.x[start..start + values.len()].copy_from_slice(&values);
        for (own, others) in self.categories.iter_mut().zip(&rows.categories) {
            own.ids[place] = others.ids[row];
        }
    }
}

/// The features of a row of a window, in the order of [`super::window`].
fn features_of_windows(
    fitted: &Fitted,
    window: &FittedWindow,
    names: impl Fn(&[FittedColumn]) -> Vec<String>,
) -> Vec<String> {
    let columns = &fitted.columns;
    let (now, ahead) = columns.split_at(columns.len() - window.future.min(columns.len()));
    let past = window.past.iter().map(|(name, _)| name.clone());
    let mut features: Vec<String> = past.clone().collect();
    if window.config.missing == Missing::Mask {
        features.extend(past.map(|name| format!("{name} is missing")));
    }
    features.extend(names(now));
    for offset in window.config.offsets().filter(|_| !ahead.is_empty()) {
        features.extend(names(ahead).iter().map(|name| format!("{name} (+{offset})")));
    }
    features
}
