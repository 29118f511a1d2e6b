//! The values of a column.

use std::collections::HashMap;

use crate::base::number::figure;
use crate::data::cells;
use crate::data::config::ColumnKind;
use crate::data::table::Table;

/// Names that are shown.
const SHOWN: usize = 3;

/// What the cells of a column hold.
pub struct Facts<'t> {
    /// Range, or the commonest names.
    pub shown: String,
    /// Different values.
    pub different: usize,
    /// Missing values.
    pub missing: usize,
    /// How often each name occurs; empty for numbers.
    pub counts: HashMap<&'t str, usize>,
    /// The numbers of a column of numbers, row by row.
    pub numbers: Vec<Option<f64>>,
}

/// Looks at all cells of a column.
pub fn facts(table: &Table, at: usize, kind: ColumnKind) -> Facts<'_> {
    let cells = &table.columns[at];
    let mut counts = HashMap::<&str, usize>::new();
    if kind != ColumnKind::Number {
        for cell in cells.iter().filter(|cell| !cell.is_empty()) {
            *counts.entry(cell.as_str()).or_default() += 1;
        }
    }
    let missing = cells.iter().filter(|cell| cell.is_empty()).count();
    let numbers: Vec<Option<f64>> = match kind {
        ColumnKind::Number => cells.iter().map(|cell| cells::number(cell)).collect(),
        _ => vec![],
    };
    let shown = match kind {
        _ if missing == cells.len() => "nothing".into(),
        ColumnKind::Number => {
            let present = || numbers.iter().flatten().copied();
            let (low, high) =
                present().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), x| (l.min(x), h.max(x)));
            if low == high { figure(low) } else { format!("{} to {}", figure(low), figure(high)) }
        }
        ColumnKind::Timestamp => {
            let times = || counts.keys().filter_map(|cell| cells::timestamp(cell));
            let text = |t: Option<jiff::civil::DateTime>| {
                t.map_or_else(String::new, |t| t.to_string().replace("T00:00:00", "").replace('T', " "))
            };
            format!("{} to {}", text(times().min()), text(times().max()))
        }
        ColumnKind::Category | ColumnKind::Boolean => commonest(&counts, cells.len() - missing),
    };
    let different = if kind == ColumnKind::Number {
        let mut present: Vec<f64> = numbers.iter().flatten().copied().collect();
        present.sort_unstable_by(f64::total_cmp);
        present.dedup();
        present.len()
    } else {
        counts.len()
    };
    Facts { shown, different, missing, counts, numbers }
}

/// The commonest names with their parts.
fn commonest(counts: &HashMap<&str, usize>, rows: usize) -> String {
    let mut sorted: Vec<(&str, usize)> = counts.iter().map(|(name, count)| (*name, *count)).collect();
    sorted.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    let shown: Vec<String> = sorted
        .iter()
        .take(SHOWN)
        .map(|(name, count)| {
            let short: String = name.chars().take(24).collect();
            let cut = if short.len() < name.len() { "…" } else { "" };
            format!("{short}{cut} ({:.0} %)", 100.0 * *count as f64 / rows as f64)
        })
        .collect();
    let more = sorted.len().saturating_sub(SHOWN);
    if more > 0 { format!("{}, {more} more", shown.join(", ")) } else { shown.join(", ") }
}
