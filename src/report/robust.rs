//! The page that shows how far predictions hold.

use super::bars::{Bar, bars};
use super::svg::{Series, curves, escape};
use super::tables::table;
use super::{head, section};
use crate::base::number::{Number, figure};
use crate::explain::found::{ColumnStress, Robustness, Smoothing, Strengths};

/// Columns shown at most.
const COLUMNS: usize = 25;

/// The page.
pub fn page(name: &str, found: &Robustness) -> String {
    let subtitle =
        format!("{} · {} rows of {} · seed {}", found.subject, found.rows, found.split, found.seed);
    let mut page = head(&format!("{name}, robustness"), &subtitle);
    if !found.attacks.is_empty() {
        page += &section("Under attack", &attacks(found));
    }
    page += &section("Under changes that nobody aims", &changes(found));
    if let Some(of) = &found.smoothing {
        page += &section("Certified", &certified(of, found.rows));
    }
    if !found.columns.is_empty() {
        page += &section("Weakest columns", &columns(found));
    }
    if !found.checks.is_empty() {
        let line = |check: &crate::explain::found::Check| {
            let holds = if check.holds { "yes" } else { "no" };
            vec![check.what.clone(), holds.to_string(), check.detail.clone()]
        };
        let lines: Vec<Vec<String>> = found.checks.iter().map(line).collect();
        let text = "<p>A model whose gradients lead nowhere looks robust and is not: then attacks that \
            follow them are no stronger than chance.</p>\n";
        let table = table(&["check", "holds", "where not"], &lines, 3);
        page += &section("Were the attacks any good?", &(text.to_string() + &table));
    }
    if !found.notes.is_empty() {
        let notes: String = found.notes.iter().map(|note| format!("<li>{}</li>\n", escape(note))).collect();
        page += &section("Notes", &format!("<ul>\n{notes}</ul>\n"));
    }
    page + "</body>\n</html>\n"
}

/// A curve that begins at the rows as they are.
fn points(of: &Strengths, clean: f64, origin: f64) -> Vec<(f64, f64)> {
    let mut points: Vec<(f64, f64)> =
        of.strengths.iter().copied().zip(of.values.iter().map(|x| x.0)).collect();
    points.push((origin, clean));
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    points
}

fn attacks(found: &Robustness) -> String {
    let mut figures = String::new();
    let norms = [("linf", "Largest change (l∞)"), ("l2", "Root of the summed squared changes (l2)")];
    for (norm, title) in norms {
        let classes = ["r2", "r1", "r5"];
        let of: Vec<&Strengths> = found.attacks.iter().filter(|of| of.norm == Some(norm)).collect();
        let series: Vec<Series> = of
            .iter()
            .zip(classes)
            .map(|(of, class)| Series { name: of.change, class, points: points(of, found.clean.0, 0.0) })
            .collect();
        figures += &curves(title, ["radius", found.metric], &series, None, false);
    }
    let lines: Vec<Vec<String>> = found
        .attacks
        .iter()
        .flat_map(|of| {
            let line = |((radius, value), loss): ((&f64, &Number), &Number)| {
                vec![
                    of.change.into(),
                    of.norm.unwrap_or("").into(),
                    figure(*radius),
                    figure(value.0),
                    figure(loss.0),
                ]
            };
            of.strengths.iter().zip(&of.values).zip(&of.losses).map(line).collect::<Vec<Vec<String>>>()
        })
        .collect();
    let table = table(&["attack", "norm", "radius", found.metric, "loss"], &lines, 2);
    format!(
        "<p>The {} of rows that are changed within a radius, {} as they are. A radius of 1 is {}; categories \
         and dates stay, and nothing leaves the range of the training rows. Noise is drawn once; fgsm is one \
         step along the gradient of the loss; pgd takes {} steps from {} and keeps the worst \
         point.</p>\n\
         <div class=\"pictures\">\n{figures}</div>\n<details><summary>All \
         numbers</summary>{table}</details>\n",
        found.metric,
        figure(found.clean.0),
        escape(&found.unit),
        found.steps,
        if found.restarts == 1 { "the row".into() } else { format!("each of {} beginnings", found.restarts) },
    )
}

fn changes(found: &Robustness) -> String {
    let figures: String = found
        .changes
        .iter()
        .map(|of| {
            let (title, label, origin) = match of.change {
                "missing" => ("Missing values", "part of the values that is missing", 0.0),
                "stuck" => ("Stuck sensors", "last steps with the value before them", 0.0),
                "delayed" => ("Late sensors", "steps late", 0.0),
                "gaussian_noise" => ("Gaussian noise", "standard deviation", 0.0),
                "shot_noise" => ("Shot noise", "one by the photons of a white pixel", 0.0),
                "impulse_noise" => ("Impulse noise", "part of the pixels that is black or white", 0.0),
                "blur" => ("Blur", "standard deviation in pixels", 0.0),
                "pixelate" => ("Pixelation", "side of a block in pixels", 1.0),
                "brightness" => ("Brightness", "added, as a part of the distance from black to white", 0.0),
                _ => ("Contrast", "factor of the distance from middle grey", 1.0),
            };
            let series = [Series { name: "", class: "train", points: points(of, found.clean.0, origin) }];
            curves(title, [label, found.metric], &series, None, false)
        })
        .collect();
    format!("<div class=\"pictures\">\n{figures}</div>\n")
}

fn certified(of: &Smoothing, rows: usize) -> String {
    let points = of.radii.iter().copied().zip(of.certified.iter().copied()).collect();
    let series = [Series { name: "", class: "r5", points }];
    format!(
        "<p>The class given most often under Gaussian noise of {}: where it is right, and no change within the radius \
         (l2) can alter it, with probability {} for each row, from {} draws. {} of {rows} rows have no certain \
         class.</p>\n<div class=\"pictures\">\n{}</div>\n",
        of.deviation,
        of.confidence,
        of.draws,
        of.abstained,
        curves("Right and certain", ["radius", "part of the rows"], &series, None, false)
    )
}

fn columns(found: &Robustness) -> String {
    let shown: Vec<&ColumnStress> = found.columns.iter().take(COLUMNS).collect();
    let all: Vec<Bar> =
        shown.iter().map(|c| Bar { name: &c.column, value: c.worst.0, deviation: None }).collect();
    let cells =
        |list: &[(f64, Number)]| list.iter().map(|(_, value)| figure(value.0)).collect::<Vec<String>>();
    let longest = |of: fn(&ColumnStress) -> &Vec<(f64, Number)>| {
        shown.iter().map(|c| of(c)).max_by_key(|list| list.len()).cloned().unwrap_or_default()
    };
    let (shifts, factors) = (longest(|c| &c.shifted), longest(|c| &c.scaled));
    let (stuck, late) = (longest(|c| &c.stuck), longest(|c| &c.delayed));
    let titles: Vec<String> = ["column", "one dev.", "missing"]
        .map(String::from)
        .into_iter()
        .chain(shifts.iter().map(|(shift, _)| format!("{shift:+} dev.")))
        .chain(factors.iter().map(|(factor, _)| format!("× {factor}")))
        .chain(stuck.iter().map(|(steps, _)| format!("stuck for {steps}")))
        .chain(late.iter().map(|(steps, _)| format!("{steps} late")))
        .collect();
    let line = |c: &&ColumnStress| {
        let shown = |x: Option<Number>| x.map_or_else(String::new, |x| figure(x.0));
        let mut line = vec![c.column.clone(), shown(c.deviation), shown(c.missing)];
        for (list, all) in
            [(&c.shifted, &shifts), (&c.scaled, &factors), (&c.stuck, &stuck), (&c.delayed, &late)]
        {
            let mut values = cells(list);
            values.resize(all.len(), String::new());
            line.extend(values);
        }
        line
    };
    let lines: Vec<Vec<String>> = shown.iter().map(line).collect();
    let head: Vec<&str> = titles.iter().map(String::as_str).collect();
    format!(
        "<p>Each column changed alone: {}. The bars say how much worse {} is at the worst of these.</p>\n<div \
         class=\"pictures\">\n{}\
         </div>\n<details><summary>{} with each change</summary>{}</details>\n",
        match stuck.is_empty() {
            true =>
                "all its values missing (filled as in training), standard deviations added to them, or multiplied",
            false =>
                "standard deviations added to it, its last values stuck at the one before, or all of them late",
        },
        found.metric,
        bars(&format!("{}, {} as it is", found.metric, figure(found.clean.0)), &all),
        found.metric,
        table(&head, &lines, 1)
    )
}
