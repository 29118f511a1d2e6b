//! The report's tables.

use super::svg::escape;
use super::{Report, Scores};
use crate::base::number::figure;
use crate::plan::{PlanReport, quantity};

/// A table; columns from `numbers` on are right-aligned.
pub fn table(head: &[&str], rows: &[Vec<String>], numbers: usize) -> String {
    let class = |at: usize| if at >= numbers { " class=\"n\"" } else { "" };
    let head: String =
        head.iter().enumerate().map(|(at, t)| format!("<th{}>{}</th>", class(at), escape(t))).collect();
    let row = |row: &Vec<String>| {
        let cells = row.iter().enumerate().map(|(at, t)| format!("<td{}>{}</td>", class(at), escape(t)));
        format!("<tr>{}</tr>\n", cells.collect::<String>())
    };
    let rows: String = rows.iter().map(row).collect();
    format!("<div class=\"wide\"><table><tr>{head}</tr>\n{rows}</table></div>\n")
}

/// Loss, metrics and baselines on validation and test rows with the kept weights.
pub fn metrics(report: &Report) -> String {
    let columns: Vec<Vec<(&str, f64)>> = report.scores.iter().map(Scores::all).collect();
    let names = columns.first().map_or(&[][..], Vec::as_slice).iter().map(|(name, _)| *name);
    let row = |(at, name): (usize, &str)| {
        let values = columns.iter().filter_map(|column| Some(figure(column.get(at)?.1)));
        std::iter::once(name.to_string()).chain(values).collect::<Vec<_>>()
    };
    let rows: Vec<Vec<String>> = names.enumerate().map(row).collect();
    let head: Vec<&str> = std::iter::once("").chain(report.scores.iter().map(|s| s.part)).collect();
    let weighted = report.data.fitted.weight.as_ref().map_or_else(String::new, |name| {
        format!("<p>Rows are weighted by <code>{}</code>; confusion matrices count them.</p>\n", escape(name))
    });
    weighted + &table(&head, &rows, 1)
}

/// Layers with their output shapes and sizes.
pub fn model(report: &Report) -> String {
    let row = |(at, (name, shape, trained)): (usize, &(String, Vec<usize>, usize))| {
        let shape: Vec<String> = shape.iter().map(usize::to_string).collect();
        vec![at.to_string(), name.clone(), shape.join(" x "), trained.to_string()]
    };
    let mut rows: Vec<Vec<String>> = report.layers.iter().enumerate().map(row).collect();
    let total: usize = report.layers.iter().map(|l| l.2).sum();
    rows.push(vec![String::new(), "total".into(), String::new(), total.to_string()]);
    table(&["#", "layer", "output", "parameters"], &rows, 2)
}

/// Kernels of a step, and memory by kind.
pub fn plan(plan: &PlanReport) -> String {
    let row = |(at, k): (usize, &crate::plan::KernelReport)| {
        let (flops, bytes) = (quantity(k.flops), quantity(k.bytes));
        vec![(at + 1).to_string(), k.name.clone(), k.layer.clone(), k.shape.clone(), flops, bytes]
    };
    let rows: Vec<Vec<String>> = plan.kernels.iter().enumerate().map(row).collect();
    let kinds: Vec<String> =
        plan.bytes_by_kind.iter().map(|k| format!("{} {}B", k.kind, quantity(k.bytes))).collect();
    let text = format!(
        "<p>{} kernels and {} floating-point operations per step; {}B of memory: {}.</p>\n",
        plan.kernels_per_step,
        quantity(plan.flops_per_step),
        quantity(plan.peak_bytes),
        escape(&kinds.join(", "))
    );
    text + &table(&["#", "kernel", "layers", "shape", "FLOP", "bytes"], &rows, 4)
}
