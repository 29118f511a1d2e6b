//! The report's figures for an autoencoder: samples, reconstructions, a map of latent codes, and the most
//! anomalous rows.

use super::portrait::{Portrait, STEPS};
use crate::base::number::figure;
use crate::base::order::Order;
use crate::data::config::ReshapeConfig;
use crate::data::{Dataset, Fitted, FittedImage, FittedTarget, Target};
use crate::report::picture::{embedded, picture};
use crate::report::svg::{Series, curves, escape, scatter};
use crate::report::tables::table;
use crate::report::{self, grid};
use crate::tasks::Shown;

/// Features listed for an anomalous row: those furthest from the expected values.
const NAMED: usize = 3;
/// With more classes than this, colours are not distinguishable.
const MOST_COLOURS: usize = 12;

/// The sections with the figures.
pub(super) fn section(fitted: &Fitted, portrait: &Portrait, shown: &Shown) -> String {
    let Shown { part, rows, .. } = *shown;
    let map = map(&fitted.target, portrait, rows, part);
    let html = match &fitted.image {
        Some(image) => pictures(image, portrait, rows, part, &map),
        None => map,
    };
    let strange = strange(fitted, portrait, rows);
    report::section("What it has learned", &format!("<div class=\"pictures\">\n{html}</div>\n"))
        + &report::section(&format!("The most anomalous {part} rows"), &strange)
}

/// Samples, with `map` beside them; reconstructions and interpolations.
fn pictures(image: &FittedImage, portrait: &Portrait, rows: &Dataset, part: &str, map: &str) -> String {
    let shown = portrait.shown.iter().flat_map(|&row| rows.features_of(row..row + 1).into_owned());
    let pairs: Vec<f32> = shown.chain(portrait.reconstructions.iter().copied()).collect();
    let grid = |title: &str, class: &str, scaled: &[f32], across: usize| {
        let png = grid::png_of_rows(image, &image.own_units(scaled), across);
        format!("<figure{class}><figcaption>{title}</figcaption>\n{}</figure>\n", embedded(&png))
    };
    let samples = grid("Samples from the prior", "", &portrait.samples, 8);
    let broad = " class=\"broad\"";
    let title = format!("Images of the {part} rows, each above its reconstruction");
    samples
        + map
        + &grid(&title, broad, &pairs, portrait.shown.len().max(1))
        + &grid("Interpolations between the latent codes of two images", broad, &portrait.ways, STEPS)
}

/// A map of the latent codes in the two coordinates of largest variance, coloured by class.
fn map(target: &FittedTarget, portrait: &Portrait, rows: &Dataset, part: &str) -> String {
    let Some(points) = plane(&portrait.codes, portrait.latent) else { return String::new() };
    let names = if target.classes().len() <= MOST_COLOURS { target.classes() } else { &[] };
    let mut classes: Vec<(&str, Vec<(f64, f64)>)> = names.iter().map(|n| (n.as_str(), vec![])).collect();
    let labels = rows.target.as_ref().map_or(&[][..], Target::labels);
    if names.is_empty() || labels.is_empty() {
        classes = vec![("", points)];
    } else {
        for (&label, point) in labels.iter().zip(points) {
            classes[label as usize].1.push(point);
        }
    }
    let labels = match portrait.latent {
        2 => ["code 1", "code 2"],
        _ => ["first principal component", "second principal component"],
    };
    scatter(&format!("Latent codes of the {part} rows"), labels, &classes)
}

/// An anomalous row: its position, its negative evidence lower bound in nats, its scaled features, and the
/// expected ones.
type Strange<'a> = (usize, f64, &'a [f32], &'a [f32]);

/// The most anomalous rows: images above what was expected, daily curves, or the features that stand out.
fn strange(fitted: &Fitted, portrait: &Portrait, rows: &Dataset) -> String {
    let width = rows.width().max(1);
    let each = portrait.strange.iter().zip(portrait.expected.chunks(width));
    let found: Vec<_> = portrait.strange.iter().map(|&(row, _)| rows.features_of(row..row + 1)).collect();
    let each: Vec<Strange> =
        each.zip(&found).map(|((&(row, nats), expected), x)| (row, nats, &x[..], expected)).collect();
    match (&fitted.image, &fitted.reshape) {
        (Some(image), _) => strange_images(image, rows, &each),
        (None, Some(ReshapeConfig::Day { columns, minutes, .. })) if columns.len() == 1 => {
            strange_days(fitted, &columns[0], *minutes, rows, &each)
        }
        _ => strange_table(fitted, rows, &each),
    }
}

fn name(rows: &Dataset, row: usize) -> String {
    let number = || format!("row {}", rows.source_rows.get(row).map_or(row, |r| r + 1));
    rows.row_names.get(row).cloned().unwrap_or_else(number)
}

fn strange_images(image: &FittedImage, rows: &Dataset, each: &[Strange]) -> String {
    let pair = |&(row, nats, x, expected): &Strange| {
        let (found, expected) = (picture(image, x), picture(image, expected));
        format!("<div>{found}{expected}<span>{}, {nats:.1} nats</span></div>\n", escape(&name(rows, row)))
    };
    format!(
        "<figure><figcaption>Images with the highest anomaly scores (negative evidence lower bound), each \
         above its decoded to</figcaption>\n<div class=\"images\">\n{}</div></figure>\n",
        each.iter().map(pair).collect::<String>()
    )
}

fn strange_days(fitted: &Fitted, column: &str, minutes: u32, rows: &Dataset, each: &[Strange]) -> String {
    let hours = f64::from(minutes) / 60.0;
    let points = |scaled: &[f32]| {
        let own = fitted.own_units(&rows.features, scaled).into_iter().enumerate();
        own.map(|(at, y)| (at as f64 * hours, f64::from(y))).collect()
    };
    let day = |&(row, nats, x, expected): &Strange| {
        let series = [
            Series { name: "the day", class: "train", points: points(x) },
            Series { name: "expected", class: "reference", points: points(expected) },
        ];
        let title = format!("{}: {nats:.1} nats", name(rows, row));
        curves(&title, ["hour", column], &series, None, false)
    };
    format!("<div class=\"pictures\">\n{}</div>\n", each.iter().map(day).collect::<String>())
}

fn strange_table(fitted: &Fitted, rows: &Dataset, each: &[Strange]) -> String {
    let line = |&(row, nats, x, expected): &Strange| {
        let mut order: Vec<usize> = (0..x.len()).collect();
        let distance = |at: &usize| (x[*at] - expected[*at]).abs();
        order.order_by(|a, b| distance(b).total_cmp(&distance(a)));
        let [found, expected] = [x, expected].map(|scaled| fitted.own_units(&rows.features, scaled));
        let text = |&at: &usize| {
            let [found, expected] = [found[at], expected[at]].map(|v| figure(f64::from(v)));
            format!("{} {found} (expected {expected})", rows.features[at])
        };
        let named: Vec<String> = order.iter().take(NAMED).map(text).collect();
        vec![name(rows, row), named.join("; "), format!("{nats:.2}")]
    };
    table(&["row", "what stands out", "nats"], &each.iter().map(line).collect::<Vec<_>>(), 2)
}

/// Projects codes `[rows, latent]` onto the plane of largest variance; `None` for fewer than two dimensions
/// or rows.
fn plane(codes: &[f32], latent: usize) -> Option<Vec<(f64, f64)>> {
    let rows = codes.len() / latent.max(1);
    if latent < 2 || rows < 2 {
        return None;
    }
    let code = |row: usize| codes[row * latent..(row + 1) * latent].iter().map(|&x| f64::from(x));
    if latent == 2 {
        return Some(codes.chunks_exact(2).map(|c| (f64::from(c[0]), f64::from(c[1]))).collect());
    }
    let mut mean = vec![0.0; latent];
    for row in 0..rows {
        mean.iter_mut().zip(code(row)).for_each(|(m, x)| *m += x / rows as f64);
    }
    let along = |direction: &[f64], row: usize| -> f64 {
        code(row).zip(&mean).zip(direction).map(|((x, m), d)| (x - m) * d).sum()
    };
    // Power iteration without forming the covariance matrix, which may be large: each step multiplies by it.
    let mut directions: Vec<Vec<f64>> = vec![];
    for number in 0..2 {
        let mut direction: Vec<f64> = (0..latent).map(|i| 1.0 + (i * (number + 3) % 7) as f64).collect();
        for _ in 0..60 {
            for known in &directions {
                let overlap: f64 = direction.iter().zip(known).map(|(a, b)| a * b).sum();
                direction.iter_mut().zip(known).for_each(|(d, k)| *d -= overlap * k);
            }
            let length = direction.iter().map(|d| d * d).sum::<f64>().sqrt().max(1e-300);
            direction.iter_mut().for_each(|d| *d /= length);
            let mut next = vec![0.0; latent];
            for row in 0..rows {
                let part = along(&direction, row);
                next.iter_mut().zip(code(row)).zip(&mean).for_each(|((n, x), m)| *n += part * (x - m));
            }
            if next.iter().all(|x| x.abs() < 1e-12) {
                break;
            }
            direction = next;
        }
        let length = direction.iter().map(|d| d * d).sum::<f64>().sqrt().max(1e-300);
        direction.iter_mut().for_each(|d| *d /= length);
        directions.push(direction);
    }
    Some((0..rows).map(|row| (along(&directions[0], row), along(&directions[1], row))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plane_holds_the_largest_variances() {
        // Variances 9, 4 and 0.01 along axes; the plane spans the first two, up to signs.
        let codes: Vec<f32> = (0..400)
            .flat_map(|i| {
                let t = i as f32;
                [3.0 * (t * 0.7).sin(), 0.1 * (t * 1.3).sin(), 2.0 * (t * 2.9).sin()]
            })
            .collect();
        let points = plane(&codes, 3).unwrap();
        for (point, code) in points.iter().zip(codes.chunks(3)) {
            assert!((point.0.abs() - f64::from(code[0].abs())).abs() < 0.1, "{point:?} {code:?}");
            assert!((point.1.abs() - f64::from(code[2].abs())).abs() < 0.1, "{point:?} {code:?}");
        }
        assert!(plane(&codes, 1).is_none() && plane(&[1.0, 2.0, 3.0], 3).is_none());
        let same = plane(&[1.0; 9], 3).unwrap();
        assert!(same.iter().all(|p| p.0.abs() < 1e-9 && p.1.abs() < 1e-9), "{same:?}");
    }
}
