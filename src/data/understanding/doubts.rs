//! What looks wrong with a column, and the key that mends it.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use serde::Serialize;

use super::column::Facts;
use crate::base::number::figure;
use crate::base::order::Order;
use crate::data::cells;
use crate::data::config::{ColumnKind, DataConfig};
use crate::data::table::Table;

/// Something that looks wrong.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Doubt {
    /// What was noticed.
    pub text: String,
    /// The keys that mend it, as in an experiment.
    pub mend: String,
}

/// Fewer rows say nothing about a column.
const FEWEST: usize = 20;

/// Words in the names of columns whose numbers are names.
const CODES: [&str; 9] = ["zip", "postal", "postcode", "plz", "code", "phone", "fips", "isbn", "ssn"];

/// Numbers that programs write for missing values.
const SENTINELS: [f64; 9] = [-1.0, -9.0, -99.0, -999.0, -9999.0, -99999.0, 999.0, 9999.0, 99999.0];

/// The target of a table.
pub struct Target {
    /// Its position.
    pub at: usize,
    /// Its numbers, if it holds nothing else.
    pub numbers: Option<Vec<Option<f64>>>,
}

impl Target {
    /// The target at a position.
    pub fn of(table: &Table, at: usize) -> Self {
        let column = &table.columns[at];
        let numbers = || (0..column.len()).map(column.numbers()).collect();
        Self { at, numbers: column.is_numeric().then(numbers) }
    }
}

/// What looks wrong with a column.
pub fn of_column(
    config: &DataConfig,
    table: &Table,
    at: usize,
    kind: ColumnKind,
    facts: &Facts,
    targets: &[Target],
) -> Vec<Doubt> {
    let is_target = targets.iter().any(|target| target.at == at);
    let name = &table.names[at];
    let is_node = config.graph.as_ref().is_some_and(|graph| graph.id.as_ref() == Some(name));
    let is_feature = !is_target
        && !is_node
        && config.weight.as_ref() != Some(name)
        && !config.exclude.contains(name)
        && config.features.as_ref().is_none_or(|features| features.contains(name));
    let given = config.types.contains_key(name);
    let mut doubts = vec![];
    if !is_feature && !is_target {
        return doubts;
    }
    let times = (kind == ColumnKind::Timestamp).then(|| table.columns[at].read(cells::timestamp));
    let is_unread = |row: &usize| match kind {
        ColumnKind::Number => facts.numbers[*row].is_none(),
        _ => times.as_ref().is_some_and(|time| time(*row).is_none()),
    };
    let unread = || (0..table.lines.len()).filter(is_unread).filter(|row| !table.is_missing(at, *row));
    if let Some(row) = unread().next() {
        let what = if kind == ColumnKind::Number { "numbers" } else { "dates or times" };
        let text = format!(
            "{} of its cells are no {what}, such as \"{}\" in line {}; training refuses them",
            unread().count(),
            table.cell(at, row).chars().take(40).collect::<String>(),
            table.lines[row]
        );
        doubts.push(doubt(&text, "correct them, or name them in csv = { missing = [...] }"));
    }
    let present = table.lines.len() - facts.missing;
    let exclude = format!("exclude = [\"{name}\"]");
    // An empty cell beside a name is a name of its own.
    let marked = kind == ColumnKind::Category && facts.different == 1 && facts.missing > 0;
    if is_feature && facts.different <= 1 && !marked {
        let what = if present == 0 { "is empty" } else { "holds the same value in every row" };
        doubts.push(doubt(what, &exclude));
        return doubts;
    }
    if 2 * facts.missing > table.lines.len() {
        let part = 100 * facts.missing / table.lines.len();
        doubts.push(doubt(&format!("{part} % of its cells are empty"), &exclude));
    }
    match kind {
        ColumnKind::Number if is_feature || !given => {
            number(&mut doubts, table, at, facts, given, is_feature)
        }
        ColumnKind::Category if is_feature && !given => category(&mut doubts, name, facts, present),
        _ => {}
    }
    for target in targets.iter().filter(|_| is_feature) {
        if let Some(text) = gives_away(table, at, target, facts, kind) {
            doubts.push(doubt(&text, &exclude));
        }
    }
    doubts
}

/// That a target predicted as a number holds few whole numbers, such as those of classes, each of them often.
pub fn numbered_classes(table: &Table, at: usize, different: usize) -> Option<Doubt> {
    const MOST: usize = 20;
    const OFTEN: usize = 10;
    let column = &table.columns[at];
    if !(2..=MOST).contains(&different) || table.lines.len() < OFTEN * different {
        return None;
    }
    let number = column.numbers();
    if (0..column.len()).filter_map(number).any(|x| x.fract() != 0.0) {
        return None;
    }
    let loss = if different == 2 { "bce_with_logits" } else { "cross_entropy" };
    let text = format!(
        "holds {different} different whole numbers, and is predicted as a number; if they are classes:"
    );
    Some(doubt(&text, &format!("train.loss = \"{loss}\"")))
}

fn doubt(text: &str, mend: &str) -> Doubt {
    Doubt { text: text.into(), mend: mend.into() }
}

fn number(doubts: &mut Vec<Doubt>, table: &Table, at: usize, facts: &Facts, given: bool, is_feature: bool) {
    let name = &table.names[at];
    let present = table.lines.len() - facts.missing;
    let numbers: Vec<f64> = facts.numbers.iter().flatten().copied().collect();
    let whole = numbers.iter().all(|x| x.fract() == 0.0);
    if !given && is_feature && present >= FEWEST {
        let words = name.to_lowercase();
        // No plain number begins so.
        let zeros = table.columns[at]
            .any(|_, _| false, |c| c.len() > 1 && c.starts_with('0') && !c.contains(['.', 'e', 'E']));
        let is_code = words
            .split(|c: char| !c.is_alphanumeric())
            .any(|word| CODES.iter().any(|code| word.contains(code)) || word == "id");
        let rising = whole && numbers.windows(2).all(|pair| pair[1] == pair[0] + 1.0);
        let times =
            whole && numbers.iter().all(|x| (6.3e8..4.1e9).contains(x) || (6.3e11..4.1e12).contains(x));
        let dates = whole && numbers.iter().all(|&x| is_compact_date(x));
        if rising || (is_code && whole && facts.different == present) {
            doubts.push(doubt(
                "numbers every row: an identifier says nothing about new rows",
                &format!("exclude = [\"{name}\"]"),
            ));
        } else if dates {
            doubts.push(doubt(
                "looks like dates written as 20240131",
                &format!("types = {{ \"{name}\" = \"timestamp\" }}"),
            ));
        } else if times {
            doubts.push(doubt("looks like Unix times", &format!("types = {{ \"{name}\" = \"timestamp\" }}")));
        } else if whole && (zeros || is_code) && facts.different > 2 {
            let text = format!(
                "looks like {} codes written as numbers; as numbers, near codes are taken for alike",
                facts.different
            );
            let mend = format!("types = {{ \"{name}\" = \"category\" }}");
            let many = "; with many codes also transform.categories = \"embedding\"";
            doubts.push(doubt(&text, &(mend + if facts.different > 100 { many } else { "" })));
        }
    }
    if let Some((sentinel, count)) = sentinel(&numbers) {
        let text = format!(
            "holds {} {count} times, far from all other values; it may stand for missing ones",
            figure(sentinel)
        );
        doubts.push(doubt(&text, &format!("csv = {{ missing = [\"{}\"] }}", figure(sentinel))));
    }
}

/// Whether a number is a date such as 20240131.
fn is_compact_date(x: f64) -> bool {
    let x = x as i64;
    let (year, month, day) = (x / 10_000, x / 100 % 100, x % 100);
    (1900..2100).contains(&year) && jiff::civil::Date::new(year as i16, month as i8, day as i8).is_ok()
}

/// The least or greatest of numbers, if it is repeated and far from the others.
fn sentinel(numbers: &[f64]) -> Option<(f64, usize)> {
    if numbers.len() < FEWEST {
        return None;
    }
    let end = |value: f64| {
        let others = || numbers.iter().copied().filter(|x| *x != value);
        let rest = others().count();
        let count = numbers.len() - rest;
        if rest == 0 || count < 3.max(numbers.len() / 500) {
            return None;
        }
        let (low, high) =
            (others().fold(f64::INFINITY, f64::min), others().fold(f64::NEG_INFINITY, f64::max));
        let gap = if value < low { low - value } else { value - high };
        // A usual number needs to stand apart less than any other.
        let far = if SENTINELS.contains(&value) { 0.5 } else { 3.0 };
        let apart = gap > far * (high - low) && gap > 1.0;
        (apart && rest >= FEWEST / 2 && low < high).then_some((value, count))
    };
    let least = numbers.iter().copied().min_by(f64::total_cmp)?;
    let greatest = numbers.iter().copied().max_by(f64::total_cmp)?;
    end(least).or_else(|| end(greatest))
}

fn category(doubts: &mut Vec<Doubt>, name: &str, facts: &Facts, present: usize) {
    let mut folded: HashMap<String, &str> = HashMap::new();
    let mut names: Vec<&Cow<'_, str>> = facts.counts.keys().collect();
    names.order();
    for cell in names {
        let key = cell.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ");
        if let Some(other) = folded.insert(key, cell) {
            let text = format!("has \"{other}\" and \"{cell}\", which differ in case or blanks alone");
            doubts.push(doubt(&text, "write them alike in the file"));
            break;
        }
    }
    if present < FEWEST || 10 * facts.different < 9 * present {
        let with_digits = facts
            .counts
            .iter()
            .filter(|(c, _)| c.starts_with(|c: char| c.is_ascii_digit()))
            .map(|(_, n)| n)
            .sum::<usize>();
        let few = facts.different * 4 < present;
        if !few && present >= FEWEST && 10 * with_digits > 9 * present {
            doubts.push(unread(name, facts));
        }
        return;
    }
    // In numbers and dates, no letters stand between digits, but for the names of months.
    let digits = |c: &str| c.chars().filter(char::is_ascii_digit).count() * 3 >= c.chars().count();
    let hexadecimal =
        |c: &str| c.len() > 12 && c.chars().any(|c| ('a'..='f').contains(&c.to_ascii_lowercase()));
    let numeric = facts.counts.keys().filter(|c| digits(c) && !hexadecimal(c)).count();
    let starts = facts
        .counts
        .keys()
        .filter(|c| c.starts_with(|c: char| c.is_ascii_digit() || "-+€$£(".contains(c)))
        .count();
    if 10 * numeric > 9 * facts.different && 10 * starts > 9 * facts.different {
        doubts.push(unread(name, facts));
    } else {
        let text =
            format!("has {} different names in {present} rows: an identifier, or free text", facts.different);
        doubts.push(doubt(&text, &format!("exclude = [\"{name}\"]")));
    }
}

/// Cells with digits that were read as names.
fn unread(name: &str, facts: &Facts) -> Doubt {
    let sample = facts.counts.keys().min().cloned().unwrap_or_default();
    let text = format!(
        "cells such as \"{sample}\" are read as {} names; are they numbers or dates?",
        facts.different
    );
    doubt(
        &text,
        &format!("types = {{ \"{name}\" = \"number\" }} or \"timestamp\", with the keys of [data.csv]"),
    )
}

/// How a feature gives the target away, if it does: it is a multiple of it, or each of its values goes with a single
/// class.
fn gives_away(table: &Table, at: usize, target: &Target, facts: &Facts, kind: ColumnKind) -> Option<String> {
    let Target { at: target, numbers: targets } = target;
    let target = *target;
    let name = &table.names[target];
    let rows =
        || (0..table.lines.len()).filter(|&r| !table.is_missing(at, r) && !table.is_missing(target, r));
    if rows().take(FEWEST).count() < FEWEST {
        return None;
    }
    if let (ColumnKind::Number, Some(targets)) = (kind, targets) {
        let pairs: Vec<(f64, f64)> =
            facts.numbers.iter().zip(targets).filter_map(|(x, y)| x.zip(*y)).collect();
        let r = correlation(&pairs);
        if r.abs() > 0.9999 && pairs.iter().any(|(_, y)| *y != pairs[0].1) {
            return Some(format!("gives the target `{name}` away: their correlation is {r:.6}"));
        }
    }
    if facts.different > 100 || rows().count() < 5 * facts.different {
        return None;
    }
    let mut of_value: HashMap<Cow<'_, str>, Cow<'_, str>> = HashMap::new();
    let alone = rows().all(|r| {
        let class = table.cell(target, r);
        *of_value.entry(table.cell(at, r)).or_insert_with(|| class.clone()) == class
    });
    let classes: HashSet<&Cow<'_, str>> = of_value.values().collect();
    let few = (2..=50).contains(&classes.len()) && facts.different <= 2 * classes.len();
    (alone && few).then(|| format!("gives the target `{name}` away: each of its values goes with one class"))
}

fn correlation(pairs: &[(f64, f64)]) -> f64 {
    let n = pairs.len() as f64;
    let mean = |of: &dyn Fn(&(f64, f64)) -> f64| pairs.iter().map(of).sum::<f64>() / n;
    let (mx, my) = (mean(&|p| p.0), mean(&|p| p.1));
    let (mut xy, mut xx, mut yy) = (0.0, 0.0, 0.0);
    for (x, y) in pairs {
        xy += (x - mx) * (y - my);
        xx += (x - mx).powi(2);
        yy += (y - my).powi(2);
    }
    if xx > 0.0 && yy > 0.0 { xy / (xx * yy).sqrt() } else { 0.0 }
}
