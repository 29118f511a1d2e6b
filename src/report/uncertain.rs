//! The report's figures of how intervals and sets hold.

use std::fmt::Write;

use super::section;
use super::svg::{Axis, Plot, Series, curves};
use super::tables::table;
use crate::base::number::figure;
use crate::uncertainty::calibration::Method;
use crate::uncertainty::coverage::{Group, Level, Measured};

/// Rows drawn at most.
const DRAWN: usize = 600;
/// Groups listed at most.
const LISTED: usize = 50;

/// Predicted numbers with their intervals and true values: `[predicted, low, high, true]`.
pub type Drawn = Vec<[f64; 4]>;

/// What a temperature changed: it, and the expected calibration errors before and after.
pub type Temperature = [f64; 3];

/// The section; empty if there is nothing to show.
pub fn uncertain(
    part: &str,
    measured: Option<&Measured>,
    label: &str,
    drawn: &Drawn,
    temperature: Option<Temperature>,
) -> String {
    let mut html = String::new();
    if let Some([temperature, before, after]) = temperature {
        html += &format!(
            "<p>Logits are divided by a temperature of {}, which the validation rows gave: the expected calibration \
             error on the {part} rows is {} with it and {} without.</p>\n",
            figure(temperature),
            figure(after),
            figure(before)
        );
    }
    if let Some(found) = measured {
        html += &format!("<p>{}</p>\n", told(part, found));
        let mut pictures = by_level(found);
        if !drawn.is_empty() {
            pictures += &band(part, label, drawn, found.asked.level);
        }
        pictures += &groups("target", &found.by_target, found);
        pictures += &groups("group", &found.by_group, found);
        html += &format!("<div class=\"pictures\">\n{pictures}</div>\n");
    }
    if html.is_empty() { html } else { section("How sure predictions are", &html) }
}

/// What was measured, in words.
fn told(part: &str, found: &Measured) -> String {
    let Level { level, coverage, .. } = &found.asked;
    let how = match (found.method, found.adaptive) {
        (_, true) => {
            "They follow the errors made so far (adaptive conformal inference): over a long series they cover what \
             they should, whatever the series does, but at a time of sudden change they may not."
        }
        (Method::Aps, _) => {
            "They are larger where the model is less sure, and at random in their last class."
        }
        (Method::Lac, _) => {
            "They hold the classes of which the model is sure enough; a set without any is of a row unlike the \
             validation rows."
        }
        _ => "This holds on the whole, if rows come as those of the validation do; groups may differ.",
    };
    let what = if found.asked.mean_size.is_some() { "Sets" } else { "Intervals" };
    format!(
        "{what} that should hold the true value for {} % of the rows hold {} % of the {part} rows. They are calibrated \
         with {} validation rows (split conformal prediction). {how}",
        figure(100.0 * level),
        figure(100.0 * coverage.0),
        found.calibration_rows
    )
}

/// Coverage by nominal level.
fn by_level(found: &Measured) -> String {
    let of = |level: &Level| (100.0 * level.level, 100.0 * level.coverage.0);
    let points: Vec<(f64, f64)> = found.by_level.iter().map(of).collect();
    let ends = [points.first(), points.last()].into_iter().flatten();
    let ideal = Series { name: "asked for", class: "reference", points: ends.map(|p| (p.0, p.0)).collect() };
    let measured = Series { name: "measured", class: "validation", points };
    let labels = ["coverage asked for, %", "measured, %"];
    curves("Coverage by level", labels, &[ideal, measured], None, false)
}

/// Intervals over predictions, and the true values.
fn band(part: &str, label: &str, drawn: &Drawn, level: f64) -> String {
    let every = drawn.len().div_ceil(DRAWN).max(1);
    let finite = |row: &&[f64; 4]| row.iter().all(|x| x.is_finite());
    let mut rows: Vec<[f64; 4]> = drawn.iter().step_by(every).filter(finite).copied().collect();
    rows.sort_by(|a, b| a[0].total_cmp(&b[0]));
    let x = Axis::around(rows.iter().map(|row| row[0]), false);
    let y = Axis::around(rows.iter().flat_map(|row| row[1..].to_vec()), false);
    let mut plot = Plot::new(x, y, &format!("predicted {label}"), &format!("true {label}"));
    let mut path = String::new();
    let upper = rows.iter().map(|row| (row[0], row[2]));
    for (at, (x, y)) in upper.chain(rows.iter().rev().map(|row| (row[0], row[1]))).enumerate() {
        let (x, y) = plot.at(x, y);
        // Writing to a string cannot fail.
        let _ = write!(path, "{}{x:.1} {y:.1}", if at == 0 { "M" } else { "L" });
    }
    plot.add(&format!("<path class=\"band\" d=\"{path}Z\"/>"));
    for row in &rows {
        let (x, y) = plot.at(row[0], row[3]);
        plot.add(&format!("<circle class=\"point\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2\"/>"));
    }
    plot.line(&Series {
        name: "",
        class: "reference",
        points: rows.iter().map(|row| (row[0], row[0])).collect(),
    });
    plot.finish(&format!("Intervals of {} % on the {part} rows", figure(100.0 * level)))
}

/// Coverage and size by group.
fn groups(what: &str, groups: &[Group], found: &Measured) -> String {
    if groups.is_empty() {
        return String::new();
    }
    let row = |group: &Group| {
        let coverage = format!("{} %", figure(100.0 * group.coverage.0));
        vec![group.group.clone(), group.values.to_string(), coverage, figure(group.mean_size.0)]
    };
    let rows: Vec<Vec<String>> = groups.iter().take(LISTED).map(row).collect();
    let size = if found.asked.mean_size.is_some() { "mean classes" } else { "mean width" };
    let more = match groups.len().saturating_sub(LISTED) {
        0 => String::new(),
        more => format!("<p>{more} more are in the JSON of an evaluation.</p>\n"),
    };
    format!(
        "<figure class=\"broad\"><figcaption>Coverage by {what}</figcaption>\n{}{more}</figure>\n",
        table(&[what, "values", "coverage", size], &rows, 1)
    )
}
