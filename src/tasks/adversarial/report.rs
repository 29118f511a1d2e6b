//! The report's figures for an adversarial pair: samples beside real rows, and samples of the same codes by epoch.

use std::path::Path;

use crate::base::number::figure;
use crate::data::{Dataset, FittedImage};
use crate::report::picture::embedded;
use crate::report::tables::table;
use crate::report::{self, grid};
use crate::tasks::prior::{decode, decoder, feature_names, prior};
use crate::tasks::{Shown, Trained};
use crate::train::TrainError;
use crate::train::checkpoint;
use crate::train::metrics::Predictions;
use crate::train::watched;

/// Number of samples in the report.
const SAMPLES: usize = 64;
/// Images that each epoch keeps.
const KEPT: usize = 12;
/// Epochs of which the report shows them.
const SHOWN: usize = 12;
/// Sampled rows of a table that the report shows.
const ROWS: usize = 12;
/// Columns of a table that the report shows.
const COLUMNS: usize = 8;

/// Writes the first generated images of a validation, whose codes are the same in every epoch, as
/// `samples/epoch-<n>.png`.
///
/// # Errors
/// If the disk is full.
pub(super) fn keep(
    run: &Path,
    image: &FittedImage,
    epoch: u64,
    validation: &Predictions,
) -> Result<(), TrainError> {
    let path = watched::samples(run, epoch);
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory).map_err(|e| TrainError::io(directory, &e))?;
    }
    let count = KEPT.min(validation.raw.len() / validation.outputs.max(1));
    let values = image.own_units(&validation.raw[..count * validation.outputs]);
    checkpoint::write_atomically(&path, &grid::png_of_rows(image, &values, count.max(1)))
}

/// The section with the figures.
///
/// # Errors
/// If the device fails.
pub(super) fn section(trained: &Trained, shown: &Shown) -> Result<String, TrainError> {
    let rows = shown.rows;
    let decoder = decoder(trained, rows.width())?;
    let classes = trained.fitted.target.classes().len().max(1);
    let labels = (0..SAMPLES).map(|i| (i % classes) as u32).collect();
    let drawn = decode(trained, &decoder, prior(SAMPLES, decoder.latent, [0, 0]), labels)?;
    let html = match &trained.fitted.image {
        Some(image) => pictures(trained.run, image, &drawn, shown),
        None => numbers(trained, rows, &drawn)?,
    };
    Ok(report::section("What it draws", &html))
}

fn pictures(run: &Path, image: &FittedImage, drawn: &[f32], shown: &Shown) -> String {
    let count = SAMPLES.min(shown.rows.rows);
    let real: Vec<f32> =
        (0..count).flat_map(|row| shown.rows.features_of(row..row + 1).into_owned()).collect();
    let grid = |title: &str, scaled: &[f32]| {
        let png = grid::png_of_rows(image, &image.own_units(scaled), 8);
        format!("<figure><figcaption>{title}</figcaption>\n{}</figure>\n", embedded(&png))
    };
    let real = grid(&format!("Real images, of the {} rows", shown.part), &real);
    format!("<div class=\"pictures\">\n{}{real}</div>\n{}", grid("Samples", drawn), epochs(run))
}

/// Images of the same codes by epoch, as [`keep`] wrote them; nothing if they are gone.
fn epochs(run: &Path) -> String {
    let last = (1..).take_while(|&epoch| watched::samples(run, epoch).exists()).last().unwrap_or(0);
    let count = (SHOWN as u64).min(last);
    // Early epochs change the most.
    let at = |i: u64| {
        let part = i as f64 / (count - 1).max(1) as f64;
        ((last as f64).powf(part).round() as u64).max(i + 1)
    };
    let mut lines = String::new();
    for epoch in (0..count).map(at) {
        if let Ok(png) = std::fs::read(watched::samples(run, epoch)) {
            lines += &format!("<div>{}<span>epoch {epoch}</span></div>\n", embedded(&png));
        }
    }
    if lines.is_empty() {
        return lines;
    }
    format!(
        "<figure><figcaption>The same codes by epoch (all epochs are in samples/)</figcaption>\n<div \
         class=\"images\">\n{lines}</div></figure>\n"
    )
}

/// Some sampled rows, in the features' own units.
fn numbers(trained: &Trained, rows: &Dataset, drawn: &[f32]) -> Result<String, TrainError> {
    let names = feature_names(trained.fitted)?;
    let values = trained.fitted.own_units(&names, drawn);
    let head: Vec<&str> = names.iter().take(COLUMNS).map(String::as_str).collect();
    let line = |row: &[f32]| row.iter().take(COLUMNS).map(|&x| figure(f64::from(x))).collect::<Vec<_>>();
    let lines: Vec<Vec<String>> = values.chunks(rows.width().max(1)).take(ROWS).map(line).collect();
    Ok(format!("<p>Sampled rows:</p>\n{}", table(&head, &lines, 0)))
}
