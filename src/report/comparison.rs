//! The page that compares runs.

use super::section;
use super::svg::{Series, curves, escape};
use super::tables::table;
use crate::base::number::{Number, figure};

/// Loss by epoch: `(epoch, loss)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Curves {
    /// On the training rows.
    pub train: Vec<(f64, f64)>,
    /// On the validation rows.
    pub validation: Vec<(f64, f64)>,
}

/// The contents of the page; at most eight runs have colours of their own.
pub struct Page<'a> {
    /// Run directories.
    pub runs: &'a [String],
    /// How they stand.
    pub states: Vec<&'static str>,
    /// A key and its value in each run.
    pub settings: Vec<Vec<String>>,
    /// A metric, its value in each run, and the runs with the best one.
    pub metrics: Vec<(String, Vec<Option<Number>>, Vec<usize>)>,
    /// What makes the numbers hard to compare.
    pub notes: &'a [String],
    /// Losses of each run.
    pub curves: &'a [Curves],
}

impl Page<'_> {
    /// The page.
    pub fn html(&self) -> String {
        let count = self.runs.len();
        let mut page = format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <title>{count} runs compared</title>\n<style>\n{}</style>\n</head>\n<body>\n\
             <h1>{count} runs compared</h1>\n<p class=\"subtitle\">metrics are of the epoch with the least \
             validation loss of each run; the best is in bold</p>\n",
            include_str!("style.css")
        );
        let notes = self.notes.iter().map(|note| format!("<li>{}</li>\n", escape(note)));
        if !self.notes.is_empty() {
            page += &format!("<ul>\n{}</ul>\n", notes.collect::<String>());
        }
        page += &section("Loss", &self.losses());
        page += &section("Metrics", &self.scores());
        let settings = if self.settings.is_empty() {
            "<p>The settings do not differ.</p>\n".to_string()
        } else {
            table(&self.head(), &self.settings, count + 1)
        };
        page += &section("Settings that differ", &settings);
        page + "</body>\n</html>\n"
    }

    /// The losses of all runs in one figure, with the legend before it.
    fn losses(&self) -> String {
        let entry = |(at, (name, state)): (usize, (&String, &&str))| {
            let state = if *state == "finished" { String::new() } else { format!(" ({state})") };
            format!("<li><i class=\"r{at}\"></i>{}{state}</li>\n", escape(name))
        };
        let legend: String = self.runs.iter().zip(&self.states).enumerate().map(entry).collect();
        let classes: Vec<[String; 2]> =
            (0..self.runs.len()).map(|at| [format!("r{at} dashed"), format!("r{at}")]).collect();
        let mut series = vec![];
        for (run, [train, validation]) in self.curves.iter().zip(&classes) {
            series.push(Series { name: "", class: train, points: run.train.clone() });
            series.push(Series { name: "", class: validation, points: run.validation.clone() });
        }
        format!(
            "<ul class=\"legend\">\n{legend}</ul>\n<div class=\"overlaid\">\n{}</div>\n",
            curves("Validation (solid) and training (dashed)", ["epoch", "loss"], &series, None, true)
        )
    }

    /// The metrics, the best of each in bold.
    fn scores(&self) -> String {
        let head: String =
            self.head().iter().map(|t| format!("<th class=\"n\">{}</th>", escape(t))).collect();
        let row = |(name, values, best): &(String, Vec<Option<Number>>, Vec<usize>)| {
            let cell = |(at, value): (usize, &Option<Number>)| {
                let text = value.map_or_else(|| "–".into(), |value| figure(value.0));
                let text = if best.contains(&at) { format!("<b>{text}</b>") } else { text };
                format!("<td class=\"n\">{text}</td>")
            };
            let cells: String = values.iter().enumerate().map(cell).collect();
            format!("<tr><td>{}</td>{cells}</tr>\n", escape(name))
        };
        let rows: String = self.metrics.iter().map(row).collect();
        format!("<div class=\"wide\"><table><tr>{head}</tr>\n{rows}</table></div>\n")
    }

    /// Titles of the tables: the runs, after an empty one.
    fn head(&self) -> Vec<&str> {
        std::iter::once("").chain(self.runs.iter().map(String::as_str)).collect()
    }
}
