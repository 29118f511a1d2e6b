//! The page that explains predictions.

use super::bars::{Bar, Cloud, bars, clouds};
use super::heat::Panel;
use super::picture::embedded;
use super::svg::{Series, curves, escape};
use super::tables::table;
use super::{head, section};
use crate::base::number::{Number, figure};
use crate::data::FittedImage;
use crate::explain::found::{
    Attributed, Effect, Effects, Explanation, Nearest, NearestOf, Neighbour, Permutation, Picture, Pictures,
};

/// Columns shown at most.
const COLUMNS: usize = 25;
/// Curves of one figure at most: as many as have colours of their own.
const CURVES: usize = 8;
/// Rows of the table of single rows.
const ROWS: usize = 12;

/// The page; `image` says how pictures were scaled.
pub fn page(name: &str, found: &Explanation, image: Option<&FittedImage>) -> String {
    let subtitle =
        format!("{} · {} rows of {} · seed {}", found.subject, found.rows, found.split, found.seed);
    let mut page = head(&format!("{name}, explained"), &subtitle);
    if let Some(permutation) = &found.permutation {
        page += &section("Which columns matter to the error", &importance(permutation));
    }
    if let Some(shap) = &found.shap {
        page += &section("What moves single predictions: Shapley values", &attributed(shap));
    }
    if let Some(gradients) = &found.integrated_gradients {
        page += &section("What moves single predictions: integrated gradients", &attributed(gradients));
    }
    if let Some(rollout) = &found.rollout {
        page += &section("What attention looks at", &attributed(rollout));
    }
    if let Some(effects) = &found.effects {
        page += &section("How the prediction goes with a column", &curves_of(effects));
    }
    if let (Some(pictures), Some(image)) = (&found.pictures, image) {
        page += &section("Where in the pictures predictions come from", &maps(pictures, image));
    }
    if let Some(nearest) = &found.nearest {
        page += &section("Which training rows the model takes for alike", &neighbours(nearest));
    }
    if !found.notes.is_empty() {
        let notes: String = found.notes.iter().map(|note| format!("<li>{}</li>\n", escape(note))).collect();
        page += &section("Notes", &format!("<ul>\n{notes}</ul>\n"));
    }
    page + "</body>\n</html>\n"
}

/// The nearest training rows of each row.
fn neighbours(found: &Nearest) -> String {
    let row = |of: &NearestOf| {
        let near = |n: &Neighbour| format!("{} (row {}, {})", n.target, n.row, figure(n.distance.0));
        let all: Vec<String> = of.neighbours.iter().map(near).collect();
        vec![of.row.to_string(), of.truth.clone().unwrap_or_default(), all.join(" · ")]
    };
    let rows: Vec<Vec<String>> = found.each.iter().map(row).collect();
    let head = ["row", "true", "nearest training rows: target (row, distance)"];
    format!(
        "<p>By distance in the {} last hidden features, among {} training rows.</p>\n{}",
        found.features,
        found.training_rows,
        table(&head, &rows, 3)
    )
}

/// Each picture with its maps side by side, by file name.
pub fn pngs(pictures: &Pictures, image: &FittedImage) -> Vec<(String, Vec<u8>)> {
    let file = |picture: &Picture| (format!("row-{}.png", picture.row), Panel::row(&panels(picture, image)));
    pictures.each.iter().map(file).collect()
}

fn panels(picture: &Picture, image: &FittedImage) -> Vec<Panel> {
    let values = |map: &crate::explain::found::Map| map.values.iter().map(|x| x.0).collect::<Vec<f64>>();
    let maps = picture.maps.iter().map(|map| Panel::map(image, &picture.x, &values(map)));
    std::iter::once(Panel::picture(image, &picture.x)).chain(maps).collect()
}

fn maps(pictures: &Pictures, image: &FittedImage) -> String {
    let mut html = String::new();
    for picture in &pictures.each {
        let titles = std::iter::once("picture").chain(picture.maps.iter().map(|map| map.method));
        let cell = |(title, panel): (&str, Panel)| {
            format!("<div>{}<span>{}</span></div>\n", embedded(&panel.png()), escape(title))
        };
        let cells: String = titles.zip(panels(picture, image)).map(cell).collect();
        let truth =
            picture.truth.as_ref().map_or_else(String::new, |truth| format!(", is {}", escape(truth)));
        html += &format!(
            "<figure class=\"broad\"><figcaption>row {}: {} ({}){truth}</figcaption>\n<div class=\"images \
             maps\">\n\
             {cells}</div></figure>\n",
            picture.row,
            escape(&picture.predicted),
            figure(picture.value.0)
        );
    }
    format!(
        "<p>Red speaks for the explained prediction, blue against it (integrated gradients, occlusion); \
         saliency, SmoothGrad, Grad-CAM and attention rollout only say how much a place matters. Explained: {}.</p>\n\
         <div class=\"pictures\">\n{html}</div>\n",
        escape(&pictures.what)
    )
}

fn importance(found: &Permutation) -> String {
    let figures: String = found
        .by_metric
        .iter()
        .map(|of| {
            let bar =
                |c: &crate::explain::found::ColumnImportance| (c.column.clone(), c.mean.0, c.deviation.0);
            let all: Vec<(String, f64, f64)> = of.columns.iter().take(COLUMNS).map(bar).collect();
            let all: Vec<Bar> = all
                .iter()
                .map(|(name, value, deviation)| Bar { name, value: *value, deviation: Some(*deviation) })
                .collect();
            bars(&format!("{}, {} as it is", of.metric, figure(of.baseline.0)), &all)
        })
        .collect();
    format!(
        "<p>How much worse each metric is when the values of a column are shuffled among {} rows: mean and \
         deviation of {} permutations. Columns that say the same replace one another, and each seems \
         unimportant.</p>\n\
         <div class=\"pictures\">\n{figures}</div>\n",
        found.rows, found.repeats
    )
}

fn attributed(found: &Attributed) -> String {
    let ranked = found.ranked();
    let all: Vec<Bar> = ranked
        .iter()
        .take(COLUMNS)
        .map(|(name, size, _)| Bar { name, value: *size, deviation: None })
        .collect();
    let mut figures = bars(&format!("Mean size, in units of {}", found.what), &all);
    if !found.by_step.is_empty() {
        figures += &over_steps(found);
    } else if found.readings.iter().flatten().any(|reading| !reading.is_nan()) {
        let cloud = |(name, _, _): &(&str, f64, f64)| {
            let at = found.columns.iter().position(|column| column == name).unwrap_or(0);
            cloud_of(found, at)
        };
        let points: Vec<(String, Vec<(f64, f64)>)> = ranked.iter().take(COLUMNS).map(cloud).collect();
        let all: Vec<Cloud> =
            points.iter().map(|(name, points)| Cloud { name, points: points.clone() }).collect();
        figures += &clouds("Each row: from low (blue) to high (red) values of the column", &all);
    }
    let error = match found.largest_standard_error {
        Some(error) => format!("; largest standard error {}", figure(error.0)),
        None => format!("; they sum to the difference within {} %", figure(100.0 * found.largest_error.0)),
    };
    format!(
        "<p>Explained: {} of {} rows, divided among the columns. {}{error}.</p>\n<div \
         class=\"pictures\">\n{figures}</div>\n{}",
        escape(&found.what),
        found.rows.len(),
        escape(&found.how),
        single_rows(found)
    )
}

/// The attributions of a column, with where each row's value lies between the 5 % and the 95 % quantile.
fn cloud_of(found: &Attributed, column: usize) -> (String, Vec<(f64, f64)>) {
    let readings: Vec<f64> =
        found.readings.iter().map(|row| row.get(column).copied().unwrap_or(f64::NAN)).collect();
    let mut sorted = readings.clone();
    sorted.sort_by(f64::total_cmp);
    let rank =
        |p: f64| sorted.get((p * sorted.len().saturating_sub(1) as f64) as usize).copied().unwrap_or(0.0);
    let (low, high) = (rank(0.05), rank(0.95));
    let colour = |x: f64| if high > low { (x - low) / (high - low) } else { 0.5 + 0.0 * x };
    let points = found.values.iter().zip(&readings).map(|(row, x)| (row[column].0, colour(*x))).collect();
    (found.columns[column].clone(), points)
}

/// The mean size by step of the columns that matter most.
fn over_steps(found: &Attributed) -> String {
    let names: Vec<&str> = found.ranked().iter().take(CURVES).map(|column| column.0).collect();
    let classes: Vec<String> = (0..names.len()).map(|at| format!("r{at}")).collect();
    let steps = found.by_step.len() as f64;
    let series: Vec<Series> = names
        .iter()
        .zip(&classes)
        .map(|(name, class)| {
            let at = found.columns.iter().position(|column| column == name).unwrap_or(0);
            let point = |(step, row): (usize, &Vec<Number>)| (step as f64 + 1.0 - steps, row[at].0);
            Series {
                name: if names.len() <= 4 { name } else { "" },
                class,
                points: found.by_step.iter().enumerate().map(point).collect(),
            }
        })
        .collect();
    curves("Mean size by step; 0 is the last known row", ["step", "mean size"], &series, None, false)
}

/// The rows that are furthest from the base, with their largest attributions.
fn single_rows(found: &Attributed) -> String {
    const NAMED: usize = 4;
    let mut rows: Vec<usize> = (0..found.rows.len()).collect();
    let distance = |row: usize| (found.explained[row].0 - found.base[row].0).abs();
    rows.sort_by(|&a, &b| distance(b).total_cmp(&distance(a)));
    let line = |&row: &usize| {
        let mut parts: Vec<(f64, &String)> =
            found.values[row].iter().map(|x| x.0).zip(&found.columns).collect();
        parts.sort_by(|a, b| b.0.abs().total_cmp(&a.0.abs()));
        let part =
            |(x, name): &(f64, &String)| format!("{name} {}{}", if *x > 0.0 { "+" } else { "" }, figure(*x));
        let parts: Vec<String> = parts.iter().take(NAMED).map(part).collect();
        vec![
            found.rows[row].to_string(),
            parts.join(", "),
            figure(found.base[row].0),
            figure(found.explained[row].0),
        ]
    };
    let lines: Vec<Vec<String>> = rows.iter().take(ROWS).map(line).collect();
    let title = format!("Rows furthest from the base ({} of {})", lines.len(), found.rows.len());
    let table = table(&["row", "largest parts", "base", &found.what], &lines, 2);
    format!("<details><summary>{title}</summary>{table}</details>\n")
}

fn curves_of(effects: &Effects) -> String {
    let shown = effects.predicted.len().min(CURVES);
    let classes: Vec<String> = (0..shown).map(|at| format!("r{at}")).collect();
    let legend = match effects.predicted.len() {
        0 | 1 => String::new(),
        count => {
            let entry =
                |(at, name): (usize, &String)| format!("<li><i class=\"r{at}\"></i>{}</li>\n", escape(name));
            let entries: String = effects.predicted.iter().take(shown).enumerate().map(entry).collect();
            let more = if count > shown {
                format!("<li>and {} more in the files</li>", count - shown)
            } else {
                String::new()
            };
            format!("<ul class=\"legend\">\n{entries}{more}</ul>\n")
        }
    };
    let figures: String = effects.columns.iter().map(|effect| figure_of(effect, effects, &classes)).collect();
    format!(
        "<p>Solid: partial dependence, the mean prediction over {} rows when the column of all of them is \
         set to one value. Dashed: accumulated local effects, which only ever move a row a little and so \
         stay where there are rows, shifted to the same mean. Where the two differ, the column goes together \
         with others.</p>\n{legend}\
         <div class=\"pictures\">\n{figures}</div>\n",
        effects.rows
    )
}

fn figure_of(effect: &Effect, effects: &Effects, classes: &[String]) -> String {
    if !effect.names.is_empty() {
        // One bar for each name; with several classes, of the last of them that is shown.
        let of = classes.len().saturating_sub(1);
        let named = effect.names.iter().zip(&effect.partial_dependence[of]);
        let all: Vec<Bar> = named.map(|(name, y)| Bar { name, value: y.0, deviation: None }).collect();
        return bars(&format!("{}: mean {}", effect.column, effects.predicted[of]), &all);
    }
    let dashed: Vec<String> = classes.iter().map(|class| format!("{class} dashed")).collect();
    let mut series = vec![];
    for (at, class) in classes.iter().enumerate() {
        let points = |curve: &[Number], shift: f64| -> Vec<(f64, f64)> {
            effect.at.iter().zip(curve).map(|(x, y)| (x.0, y.0 + shift)).collect()
        };
        let partial = &effect.partial_dependence[at];
        let mean = partial.iter().map(|y| y.0).sum::<f64>() / partial.len().max(1) as f64;
        series.push(Series { name: "", class, points: points(partial, 0.0) });
        if let Some(local) = effect.accumulated_local_effects.get(at) {
            let own = local.iter().map(|y| y.0).sum::<f64>() / local.len().max(1) as f64;
            series.push(Series { name: "", class: &dashed[at], points: points(local, mean - own) });
        }
    }
    let label = match &effects.predicted[..] {
        [one] => one.as_str(),
        _ => "prediction",
    };
    curves(&effect.column, [&effect.column, label], &series, None, false)
}
