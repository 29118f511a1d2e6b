//! The section on the data: how the file was read, its columns, what looks wrong, which rows are used for what.

use super::Report;
use super::svg::escape;
use super::tables::table;
use crate::data::{Column, FittedScaling, Understanding};

/// Columns shown one by one.
const SHOWN: usize = 200;

/// Number of rows per part, and how each column becomes numbers.
pub fn data(report: &Report) -> String {
    let data = report.data;
    let source = std::path::Path::new(report.source);
    let file = source.file_name().map(|f| f.to_string_lossy().into_owned()).unwrap_or_default();
    let understood = &data.understood;
    let mut text = format!(
        "<p>{}: {} train, {} validate, {} test, {}. SHA-256 {}…</p>\n",
        escape(&file),
        data.train.rows,
        data.validation.rows,
        data.test.rows,
        escape(&understood.split),
        data.digest.chars().take(12).collect::<String>()
    );
    if !understood.notes.is_empty() {
        text += &format!("<p>How it was read: {}.</p>\n", escape(&understood.notes.join("; ")));
    }
    for dropped in &understood.dropped {
        text += &format!("<p>{} rows are left out: {}.</p>\n", dropped.rows, escape(&dropped.reason));
    }
    let classes = classes(understood);
    if !understood.columns.is_empty() {
        return text + &columns(understood, report.target.as_ref()) + &classes;
    }
    let mut rows: Vec<Vec<String>> = vec![];
    if let Some(image) = &data.fitted.image {
        let scalings: Vec<String> = image.scaling.iter().map(FittedScaling::describe).collect();
        let text = format!("{} (channels, height, width): {}", image.shape, scalings.join(", "));
        rows.push(vec!["image".into(), text]);
    }
    rows.extend(report.target.clone().map(Vec::from));
    text + &table(&["column", "encoding, fitted on the training rows"], &rows, 2) + &classes
}

/// The columns of a table, and what looks wrong; `target` is that column and its encoding.
fn columns(understood: &Understanding, target: Option<&[String; 2]>) -> String {
    let row = |column: &Column| {
        let kind = column.format.clone().unwrap_or_else(|| format!("{:?}", column.kind).to_lowercase());
        let missing = if column.missing == 0 { String::new() } else { column.missing.to_string() };
        let encoding = target.filter(|[name, _]| *name == column.name).map(|[_, encoding]| encoding);
        let becomes = encoding.unwrap_or(&column.becomes).clone();
        vec![column.name.clone(), kind, column.values.clone(), missing, becomes]
    };
    let rows: Vec<Vec<String>> = understood.columns.iter().take(SHOWN).map(row).collect();
    let mut html =
        table(&["column", "is", "holds", "missing", "becomes (fitted on the training rows)"], &rows, 5);
    if let Some(more @ 1..) = understood.columns.len().checked_sub(SHOWN) {
        html += &format!("<p>… and {more} more columns.</p>\n");
    }
    let doubts: Vec<String> = understood
        .columns
        .iter()
        .flat_map(|column| column.doubts.iter().map(move |doubt| (column, doubt)))
        .map(|(column, doubt)| {
            format!(
                "<li><b>{}</b> {} <code>{}</code></li>\n",
                escape(&column.name),
                escape(&doubt.text),
                escape(&doubt.mend)
            )
        })
        .collect();
    if !doubts.is_empty() {
        html +=
            &format!("<p>What looks wrong, and the key that mends it:</p>\n<ul>\n{}</ul>\n", doubts.concat());
    }
    html
}

/// Rows of each class in each part.
fn classes(understood: &Understanding) -> String {
    if understood.classes.is_empty() {
        return String::new();
    }
    let row = |class: &crate::data::Class| {
        let name = if class.positive { format!("{} (positive)", class.name) } else { class.name.clone() };
        std::iter::once(name).chain(class.rows.iter().map(usize::to_string)).collect()
    };
    let rows: Vec<Vec<String>> = understood.classes.iter().take(SHOWN).map(row).collect();
    format!("<p>Rows of each class:</p>\n{}", table(&["class", "train", "validate", "test"], &rows, 1))
}
