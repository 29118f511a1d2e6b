//! The training rows that are nearest to rows in the last hidden features of a model.

use super::Request;
use crate::base::number::{Number, figure};
use crate::data::Dataset;
use crate::device::Device;
use crate::explain::found::{Nearest, NearestOf, Neighbour};
use crate::run::opened::Opened;
use crate::run::studied::Studied;
use crate::run::sure;
use crate::train::TrainError;
use crate::train::metrics::Predictions;
use crate::uncertainty::novelty;

/// Rows at most.
const ROWS: usize = 100;
/// Neighbours of each.
const NEIGHBOURS: usize = 5;

/// The nearest training rows of the selected rows.
///
/// # Errors
/// If the run's data cannot be read, or the device fails.
pub(super) fn nearest(
    opened: &Opened,
    studied: &mut Studied,
    request: &Request,
    device: &dyn Device,
) -> Result<Nearest, TrainError> {
    let mut training = sure::own_data(opened, "is asked for its nearest training rows")?.train;
    opened.task().admit(&mut training);
    let trained = opened.trained(device);
    let known = trained.features(&training)?;
    let width = known.outputs.max(1);
    let rows = studied.positions("nearest", ROWS, request.seed);
    let own = trained.features(&studied.rows)?;
    let chosen: Vec<f32> =
        rows.iter().flat_map(|row| own.raw[row * width..(row + 1) * width].to_vec()).collect();
    let (names, targets) = (names(&training), targets(opened, &training));
    let truth = targets_if_any(opened, studied);
    let neighbour = |&(at, distance): &novelty::Neighbour| Neighbour {
        row: names(at),
        distance: Number(distance),
        target: targets.get(at).cloned().unwrap_or_default(),
    };
    let found = novelty::nearest(&known.raw, &chosen, width, NEIGHBOURS);
    let each = rows.iter().zip(&found).map(|(row, near)| NearestOf {
        row: row + 1,
        truth: truth.get(*row).cloned(),
        neighbours: near.iter().map(neighbour).collect(),
    });
    Ok(Nearest { features: width, training_rows: training.rows, each: each.collect() })
}

/// What rows are called.
fn names(rows: &Dataset) -> impl Fn(usize) -> String + '_ {
    move |at| match (&rows.windows, rows.row_names.get(at)) {
        (Some(windows), _) => windows.places.get(at).map_or_else(String::new, |place| {
            let time = if place.predicted.is_empty() { &place.last } else { &place.predicted };
            [place.group.as_str(), time].join(" ").trim().to_string()
        }),
        (None, Some(name)) => name.clone(),
        (None, None) => (rows.source_rows.get(at).copied().unwrap_or(at) + 1).to_string(),
    }
}

/// The targets of rows: names of classes, or numbers in their own units.
fn targets(opened: &Opened, rows: &Dataset) -> Vec<String> {
    let target = &opened.fitted.target;
    let members = rows.windows.as_ref().map(|windows| windows.members.clone());
    let predictions = Predictions { truth: rows.truth(), members, ..Predictions::default() };
    match target.classes() {
        [] => {
            let values = predictions.true_values(target);
            let row = |row: &[f64]| row.iter().map(|y| figure(*y)).collect::<Vec<_>>().join(", ");
            values.chunks(target.outputs().max(1)).map(row).collect()
        }
        names => {
            let name = |class: &f64| names.get(*class as usize).cloned().unwrap_or_default();
            predictions.truth.iter().map(name).collect()
        }
    }
}

/// The targets of the rows, if they have any.
fn targets_if_any(opened: &Opened, studied: &Studied) -> Vec<String> {
    if studied.has_target() { targets(opened, &studied.rows) } else { vec![] }
}
