//! What was understood of a table, for people to check before anything is trained: how the file was read, what each
//! column is and becomes, what looks wrong and which key mends it, which rows are used for what.

mod column;
mod constant;
mod doubts;

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Serialize;

use super::config::{Calendar, ColumnKind, DataConfig, SplitConfig, Targets};
use super::fit;
use super::fitted::{Encoding, Fitted, FittedColumn, FittedTarget};
use super::formats::Formats;
use super::split::Parts;
use super::table::Table;
use crate::base::number::figure;
pub use doubts::Doubt;

/// What was understood of the data of an experiment.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Understanding {
    /// How the file was read.
    pub notes: Vec<String>,
    /// Rows of the table.
    pub rows: usize,
    /// Rows that are left out, and why.
    pub dropped: Vec<Dropped>,
    /// How rows are split.
    pub split: String,
    /// Rows (or windows) that train, validate and test.
    pub parts: [usize; 3],
    /// The columns.
    pub columns: Vec<Column>,
    /// The classes of the target, if it has any.
    pub classes: Vec<Class>,
    /// The table of the nodes, if rows are graphs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nodes: Option<Box<Understanding>>,
}

/// Rows that are left out.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Dropped {
    /// Number of rows.
    pub rows: usize,
    /// Why.
    pub reason: String,
}

/// A column of a table.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// `number`, `category`, `boolean` or `timestamp`.
    pub kind: ColumnKind,
    /// How its cells are written, if not plainly.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// Range of numbers and times, or the commonest names.
    pub values: String,
    /// Number of different values.
    pub different: usize,
    /// Missing values.
    pub missing: usize,
    /// `feature`, `target`, `weight`, `split` or `left out`, with the reason where it is not obvious.
    pub role: String,
    /// What the model reads in its place; empty before anything is fitted.
    pub becomes: String,
    /// What looks wrong.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub doubts: Vec<Doubt>,
}

/// A class of the target.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Class {
    /// Its name.
    pub name: String,
    /// Rows that train, validate and test.
    pub rows: [usize; 3],
    /// Whether it is the positive one of two classes.
    pub positive: bool,
}

impl Understanding {
    /// What a table is before anything is fitted.
    pub fn of_table(config: &DataConfig, table: &Table, formats: &Formats) -> Self {
        use crate::base::parallel::prelude::*;
        let names = config.target.iter().flat_map(Targets::names);
        let targets = names.filter_map(|name| table.find(name).ok());
        let targets: Vec<doubts::Target> = targets.map(|at| doubts::Target::of(table, at)).collect();
        let columns = (0..table.names.len()).into_par_iter().map(|at| {
            let kind = fit::column_kind(config, table, at);
            let facts = column::facts(table, at, kind);
            let mut doubts = doubts::of_column(config, table, at, kind, &facts, &targets);
            doubts.extend(constant::advice(config, table, at, facts.different));
            let (role, becomes) = role(config, &table.names[at]);
            if config.text.is_some() && role != "target" {
                // What is odd of numbers and names is not so of texts, and nothing else is read.
                doubts.clear();
            }
            Column {
                name: table.names[at].clone(),
                kind,
                format: formats.get(&table.names[at]).map(super::formats::Format::describe),
                values: facts.shown,
                different: facts.different,
                missing: facts.missing,
                role,
                becomes,
                doubts,
            }
        });
        Self {
            notes: table.notes.clone(),
            rows: table.lines.len(),
            split: split(&config.split),
            columns: columns.collect(),
            ..Self::default()
        }
    }

    /// What is known of pictures and texts.
    pub fn without_columns(config: &DataConfig, notes: Vec<String>) -> Self {
        Self { notes, split: split(&config.split), ..Self::default() }
    }

    /// Adds what was fitted.
    pub fn fitted(&mut self, fitted: &Fitted) {
        let numbers = fitted.target.numbers();
        for column in &mut self.columns {
            if let Some((_, scaling)) =
                numbers.iter().find(|(name, _)| numbers.len() > 1 && *name == column.name)
            {
                column.becomes = format!("what is predicted: {}", scaling.describe());
            }
            column.fitted(&fitted.columns);
        }
    }

    /// Doubts targets of few whole numbers that are predicted as numbers: they may be classes.
    pub fn predicts_numbers(&mut self, table: &Table) {
        for (at, column) in self.columns.iter_mut().enumerate().filter(|(_, column)| column.role == "target")
        {
            column.doubts.extend(doubts::numbered_classes(table, at, column.different));
        }
    }

    /// Adds how rows are used.
    pub fn split_rows(&mut self, table: &Table, parts: &Parts, target: &FittedTarget) {
        let all = [&parts.train, &parts.validation, &parts.test];
        self.parts = all.map(Vec::len);
        let names = target.classes();
        let Some(at) = target.name().and_then(|name| table.find(name).ok()) else { return };
        let mut counts = BTreeMap::<Cow<'_, str>, [usize; 3]>::new();
        for (part, rows) in all.into_iter().enumerate().filter(|_| !names.is_empty()) {
            for &row in rows {
                counts.entry(table.cell(at, row)).or_default()[part] += 1;
            }
        }
        let count = |class: &String| counts.get(class.as_str()).copied().unwrap_or_default();
        let class = |(at, name): (usize, &String)| Class {
            name: name.clone(),
            rows: count(name),
            positive: names.len() == 2 && at == 1,
        };
        self.classes = names.iter().enumerate().map(class).collect();
    }

    /// Adds the rows of a table that are left out, `dropped` in all, by what they lack first: a target, the weight,
    /// other values.
    pub fn drop_rows_of(&mut self, table: &Table, targets: &[usize], weight: Option<usize>, dropped: usize) {
        let has_target = |row: &usize| !targets.iter().any(|&target| table.is_missing(target, *row));
        let has_weight = |row: &usize| !weight.is_some_and(|weight| table.is_missing(weight, *row));
        let without = |lacks: &dyn Fn(&usize) -> bool| (0..table.lines.len()).filter(lacks).count();
        let without_target = without(&|row| !has_target(row));
        let without_weight = without(&|row| has_target(row) && !has_weight(row));
        let reason = if targets.len() > 1 { "a target is missing" } else { "the target is missing" };
        self.drop_rows(without_target, reason);
        self.drop_rows(without_weight, "the weight is missing (`data.weight`)");
        let others = dropped - without_target - without_weight;
        self.drop_rows(others, "values are missing that must not be ([data.clean])");
    }

    /// Adds rows that are left out.
    pub fn drop_rows(&mut self, rows: usize, reason: impl Into<String>) {
        if rows > 0 {
            self.dropped.push(Dropped { rows, reason: reason.into() });
        }
    }
}

impl Column {
    /// Adds what was fitted to it, if anything was.
    pub(super) fn fitted(&mut self, columns: &[FittedColumn]) {
        let Some(found) = columns.iter().find(|column| column.name == self.name) else { return };
        self.becomes = found.encoding.describe();
        if self.missing == 0
            && let Some((text, _)) = self.becomes.split_once("; missing values become")
        {
            self.becomes = text.to_string();
        }
    }

    /// It is the name of a `what`, and nothing else.
    pub(super) fn names(&mut self, what: &str) {
        (self.role, self.becomes) = (what.into(), format!("nothing: it is the name of the {what}"));
        self.doubts.clear();
    }
}

/// What a column is used for, and what it becomes where nothing is fitted to it.
fn role(config: &DataConfig, name: &String) -> (String, String) {
    let splits = config.split.column() == Some(name);
    if super::is_target(config, name) {
        return ("target".into(), "what is predicted".into());
    }
    if config.weight.as_ref() == Some(name) {
        return ("weight".into(), "the weight of the row: how much it counts".into());
    }
    if let Some(column) = config.text.as_ref().and_then(|text| text.column.as_ref()) {
        return match column == name {
            true => ("text".into(), "the symbols of a text".into()),
            false if splits => ("split".into(), "nothing: it splits the rows".into()),
            false => ("left out".into(), format!("nothing: rows are read by `{column}` alone")),
        };
    }
    let id = config.graph.as_ref().and_then(|graph| graph.id.as_ref());
    if id == Some(name) && !config.features.as_ref().is_some_and(|features| features.contains(name)) {
        let what = match config.graph.as_ref().is_some_and(|graph| graph.nodes.is_some()) {
            true => "graph",
            false => "node",
        };
        return (what.into(), format!("nothing: it is the name of the {what}"));
    }
    match &config.features {
        Some(features) if features.contains(name) => return ("feature".into(), String::new()),
        Some(_) if splits => return ("split".into(), "nothing: it splits the rows".into()),
        Some(_) => return ("left out".into(), "nothing: `features` does not name it".into()),
        None => {}
    }
    if splits {
        return (
            "split".into(),
            "nothing: it splits the rows; to learn from it, name it in `features`".into(),
        );
    }
    if config.exclude.contains(name) {
        return ("left out".into(), "nothing: it is in `exclude`".into());
    }
    ("feature".into(), String::new())
}

fn split(split: &SplitConfig) -> String {
    let percent = |part: &f64| format!("{:.3} %", 100.0 * part);
    let percent = |part: &f64| percent(part).replace(".000", "");
    match split {
        SplitConfig::Random { validation, test, group, .. } => {
            let whole =
                group.as_ref().map_or_else(String::new, |name| format!(", each `{name}` in one part"));
            format!("at random, {} for validation and {} for test{whole}", percent(validation), percent(test))
        }
        SplitConfig::Order { validation, test } => {
            format!(
                "in the file's order, the last {} for test, {} before for validation",
                percent(test),
                percent(validation)
            )
        }
        SplitConfig::Time { column, validation, test } => {
            format!("by `{column}`: validation from {validation}, test from {test}")
        }
        SplitConfig::Column { column } => format!("by `{column}`"),
        SplitConfig::Rows { every, validation, .. } => {
            format!("every {every}th row for test, {} of the others for validation", percent(validation))
        }
        SplitConfig::Folds { folds, fold, validation, .. } => {
            format!("fold {fold} of {folds} for test, {} of the others for validation", percent(validation))
        }
        SplitConfig::Rolling { folds, fold, validation, column, .. } => {
            let order =
                column.as_ref().map_or("the file's order".into(), |name| format!("the order of `{name}`"));
            format!(
                "rolling origin in {order}, fold {fold} of {folds} for test, the last {} before it for validation, \
                 later rows unused",
                percent(validation)
            )
        }
        SplitConfig::Files { .. } => "by files".into(),
    }
}

impl Encoding {
    /// What a column becomes, for people.
    pub fn describe(&self) -> String {
        match self {
            Self::Number { boolean, fill, forward, clip, scaling, indicator } => {
                let mut text = if *boolean { "0 or 1".to_string() } else { scaling.describe() };
                if let Some([low, high]) = clip {
                    text += &format!("; clipped to {} to {}", figure(*low), figure(*high));
                }
                let replaced = if *forward { "the preceding value".into() } else { figure(*fill) };
                text += &format!("; missing values become {replaced}");
                text + if *indicator { " and are flagged" } else { "" }
            }
            Self::OneHot { names, .. } => format!("one feature for each of {} names", names.len()),
            Self::Embedding { names, .. } => format!("trained vectors for {} names", names.len()),
            Self::Calendar { parts, cyclic } => {
                let (years, parts): (Vec<Calendar>, Vec<Calendar>) =
                    parts.iter().partition(|part| **part == Calendar::Year);
                let mut words: Vec<String> = parts
                    .iter()
                    .map(|p| format!("{p:?}").to_lowercase().replace("dayofyear", "day of year"))
                    .collect();
                if let (Some(last), true) = (words.last_mut(), *cyclic) {
                    *last += " (as sine and cosine)";
                }
                words.extend(years.iter().map(|_| "year".to_string()));
                words.join(", ")
            }
        }
    }
}
