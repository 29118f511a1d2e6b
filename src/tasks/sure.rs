//! What a table of predictions says of how sure they are: columns behind those of the predictions.

use super::{Table, Trained};
use crate::data::{Dataset, FittedTarget};
use crate::train::TrainError;
use crate::train::metrics::Predictions;
use crate::uncertainty::calibration::Calibration;
use crate::uncertainty::coverage::Asked;
use crate::uncertainty::mixture::Spread;
use crate::uncertainty::novelty::Novelty;
use crate::uncertainty::scores::Sets;

/// What predictions are to say of how sure they are.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wanted {
    /// Intervals or sets with this coverage, calibrated so.
    pub coverage: Option<(f64, Calibration)>,
    /// How sets are chosen.
    pub sets: Sets,
    /// Draws of units to drop; none if 0.
    pub dropout_samples: u32,
    /// How unlike other rows each row is.
    pub novelty: Option<Novelty>,
}

impl Wanted {
    /// Nothing but predictions.
    pub const NOTHING: &'static Self =
        &Self { coverage: None, sets: Sets::Lac, dropout_samples: 0, novelty: None };
}

/// A column of a table.
struct Column {
    title: String,
    /// Whether it holds texts; else numbers.
    is_text: bool,
    /// One for each row.
    cells: Vec<String>,
}

/// Appends the columns for predictions of `rows` to their table.
///
/// # Errors
/// If the device fails.
pub(super) fn add_columns(
    table: &mut Table,
    trained: &Trained,
    rows: &Dataset,
    predictions: &Predictions,
    spread: Option<&Spread>,
) -> Result<(), TrainError> {
    append(table, columns(trained, rows, predictions, spread)?);
    Ok(())
}

/// Appends to the table of predictions the intervals or sets that are wanted.
pub(crate) fn add_coverage(
    table: &mut Table,
    target: &FittedTarget,
    wanted: &Wanted,
    rows: &Dataset,
    predictions: &Predictions,
) {
    append(table, covered(target, wanted, rows, predictions));
}

fn append(table: &mut Table, columns: Vec<Column>) {
    for Column { title, is_text, cells } in columns {
        table.titles.push(title);
        table.texts.push(is_text);
        table.lines.iter_mut().zip(cells).for_each(|(line, cell)| line.push(cell));
    }
}

/// The intervals or sets that are wanted.
fn covered(target: &FittedTarget, wanted: &Wanted, rows: &Dataset, predictions: &Predictions) -> Vec<Column> {
    let mut all = vec![];
    if let Some((coverage, calibration)) = &wanted.coverage {
        let asked = Asked { calibration, target, sets: wanted.sets };
        if target.classes().is_empty() {
            let found = asked.intervals(rows, predictions, *coverage);
            let each = |of: &[f64]| -> Vec<Vec<String>> { by_value(of, target.outputs()) };
            let (low, high) = (each(&found.low), each(&found.high));
            for (at, (low, high)) in low.into_iter().zip(high).enumerate() {
                all.extend([("_low", low), ("_high", high)].map(|(s, cells)| Column {
                    title: title(target, at, s),
                    is_text: false,
                    cells,
                }));
            }
        } else {
            let sets = calibration.sets(predictions, wanted.sets, *coverage);
            let cells = sets.iter().map(|set| joined(set, target.classes())).collect();
            all.push(Column { title: "set".into(), is_text: true, cells });
        }
    }
    all
}

/// The columns for predictions of `rows`.
///
/// # Errors
/// If the device fails.
fn columns(
    trained: &Trained,
    rows: &Dataset,
    predictions: &Predictions,
    spread: Option<&Spread>,
) -> Result<Vec<Column>, TrainError> {
    let target = &trained.fitted.target;
    let mut all = covered(target, trained.wanted, rows, predictions);
    if let Some(spread) = spread {
        if target.classes().is_empty() {
            for (at, cells) in by_value(&spread.deviation, target.outputs()).into_iter().enumerate() {
                all.push(Column { title: title(target, at, "_deviation"), is_text: false, cells });
            }
        } else {
            let cells = spread.information.iter().map(f64::to_string).collect();
            all.push(Column { title: "mutual_information".into(), is_text: false, cells });
        }
    }
    if let Some(novelty) = &trained.wanted.novelty {
        let features = trained.features(rows)?;
        let scores = novelty.of(&features.raw);
        all.push(Column {
            title: "novelty".into(),
            is_text: false,
            cells: scores.iter().map(f64::to_string).collect(),
        });
    }
    Ok(all)
}

/// The cells of each of several values of rows.
fn by_value(all: &[f64], values: usize) -> Vec<Vec<String>> {
    (0..values).map(|at| all.iter().skip(at).step_by(values).map(f64::to_string).collect()).collect()
}

/// The title of value `at` with this ending: `cars_low (+1)`.
fn title(target: &FittedTarget, at: usize, ending: &str) -> String {
    let title = target.titles().get(at).cloned().unwrap_or_default();
    match title.rsplit_once(" (+") {
        Some((name, step)) => format!("{name}{ending} (+{step}"),
        None => format!("{title}{ending}"),
    }
}

/// The names of a set of classes, such as `cat|dog`; a name that holds the sign between them is in quotes.
fn joined(set: &[usize], names: &[String]) -> String {
    let name = |class: &usize| match &names[*class] {
        name if name.contains(['|', '"']) => format!("\"{}\"", name.replace('"', "\"\"")),
        name => name.clone(),
    };
    set.iter().map(name).collect::<Vec<_>>().join("|")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::FittedScaling;

    #[test]
    fn names_of_sets_and_of_ends() {
        let names = ["a", "b|c", "d\"e"].map(String::from);
        assert_eq!(joined(&[0, 1, 2], &names), "a|\"b|c\"|\"d\"\"e\"");
        assert_eq!(joined(&[], &names), "");
        let columns = vec!["cars".to_string()];
        let target = FittedTarget::Numbers { columns, scalings: vec![FittedScaling::None], steps: 2 };
        assert_eq!(title(&target, 1, "_low"), "cars_low (+2)");
        assert_eq!(title(&FittedTarget::Rate { name: "y".into() }, 0, "_deviation"), "y_deviation");
    }
}
