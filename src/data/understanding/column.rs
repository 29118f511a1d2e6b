//! The values of a column.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::base::number::figure;
use crate::base::order::Order;
use crate::data::cells;
use crate::data::config::ColumnKind;
use crate::data::table::{Column, Table};

/// Names that are shown.
const SHOWN: usize = 3;

/// Numbers are told apart by a table of bits if they lie within as many steps.
const MOST_BITS: usize = 1 << 27;

/// What the cells of a column hold.
pub struct Facts<'t> {
    /// Range, or the commonest names.
    pub shown: String,
    /// Different values.
    pub different: usize,
    /// Missing values.
    pub missing: usize,
    /// How often each name occurs; empty for numbers.
    pub counts: HashMap<Cow<'t, str>, usize>,
    /// The numbers of a column of numbers, row by row.
    pub numbers: Vec<Option<f64>>,
}

/// Looks at all cells of a column.
pub fn facts(table: &Table, at: usize, kind: ColumnKind) -> Facts<'_> {
    let cells = &table.columns[at];
    let mut counts = HashMap::<Cow<'_, str>, usize>::new();
    if kind != ColumnKind::Number {
        for (cell, count) in cells.present() {
            *counts.entry(cell).or_default() += count;
        }
    }
    let missing = cells.missing();
    let numbers: Vec<Option<f64>> = match kind {
        ColumnKind::Number => (0..cells.len()).map(cells.numbers()).collect(),
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
    let different =
        if kind == ColumnKind::Number { different_numbers(cells, &numbers) } else { counts.len() };
    Facts { shown, different, missing, counts, numbers }
}

/// How many different numbers there are.
fn different_numbers(column: &Column, numbers: &[Option<f64>]) -> usize {
    let ends = || {
        let mut digits = column.digits()?.flatten();
        let first = digits.next()?;
        Some(digits.fold((first, first), |(low, high), x| (low.min(x), high.max(x))))
    };
    if let (Some((low, high)), Some(digits)) = (ends(), column.digits())
        && (high.abs_diff(low) as usize) < MOST_BITS
    {
        let range = high.abs_diff(low) as usize;
        let mut found = vec![0u64; range / 64 + 1];
        for x in digits.flatten() {
            let at = x.abs_diff(low) as usize;
            found[at / 64] |= 1 << (at % 64);
        }
        return found.iter().map(|bits| bits.count_ones() as usize).sum();
    }
    let mut present: Vec<f64> = numbers.iter().flatten().copied().collect();
    present.sort_by(f64::total_cmp);
    present.dedup();
    present.len()
}

/// The commonest names with their parts.
fn commonest(counts: &HashMap<Cow<'_, str>, usize>, rows: usize) -> String {
    let mut sorted: Vec<(&str, usize)> = counts.iter().map(|(name, count)| (&**name, *count)).collect();
    sorted.order_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
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
