//! `gridlight inspect`, and how other commands show what was understood of the data.

use std::path::{Path, PathBuf};

use clap::Args;
use gridlight::data::{self, Understanding};
use gridlight::experiment::Experiment;
use gridlight::experiment::starter::data_of;
use gridlight::run::trainer;

use super::{Failure, print, print_json};

/// Show what is understood of a table or an experiment's data: how each column is read, what it becomes, and what
/// looks wrong.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  gridlight inspect houses.csv --target price\n  gridlight inspect houses.toml"
)]
pub struct Inspect {
    /// A table (CSV, TSV, JSON lines or Parquet) or an experiment file (TOML).
    file: PathBuf,
    /// The column to predict, for a table.
    #[arg(long)]
    target: Option<String>,
    /// Override a key of the experiment: table.key=value. May be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Print one JSON object on standard output.
    #[arg(long)]
    json: bool,
}

/// What `--json` prints.
#[derive(serde::Serialize)]
struct Report<'a> {
    file: String,
    #[serde(flatten)]
    understood: &'a Understanding,
}

impl Inspect {
    pub fn run(self) -> Result<(), Failure> {
        let is_experiment = self.file.extension().is_some_and(|e| e.eq_ignore_ascii_case("toml"));
        if is_experiment {
            let experiment = Experiment::read(&self.file, &self.set)?;
            let directory = Experiment::directory(&self.file);
            let loaded = trainer::load_data(&experiment, &directory);
            return match loaded {
                Ok(data) => self.show(&data.understood),
                Err(error) => {
                    // What stands in the way of training is easier to see beside the columns.
                    if let Ok(Some(understood)) = data::look(&experiment.data, &directory) {
                        self.show(&understood)?;
                    }
                    Err(error.into())
                }
            };
        }
        let config = data_of(&self.file.to_string_lossy(), self.target.as_deref(), &self.set)?;
        match data::look(&config, Path::new("")).map_err(gridlight::train::TrainError::from)? {
            Some(understood) => self.show(&understood),
            None => Err(Failure::input(format!(
                "{}: `inspect` shows tables; write an experiment file for images and text, and inspect that",
                self.file.display()
            ))),
        }
    }

    fn show(&self, understood: &Understanding) -> Result<(), Failure> {
        if self.json {
            print_json(&Report { file: self.file.display().to_string(), understood })?;
        } else {
            print(&text(understood))?;
        }
        Ok(())
    }
}

/// Columns that are shown one by one; of wide tables, only the first, and those that look wrong.
const SHOWN: usize = 40;

/// What was understood, as an aligned table.
pub fn text(understood: &Understanding) -> String {
    let mut text = String::new();
    if understood.rows > 0 {
        text += &format!("{} rows, {} columns", understood.rows, understood.columns.len());
        if !understood.notes.is_empty() {
            text += &format!("; {}", understood.notes.join("; "));
        }
        text.push('\n');
    } else {
        text.extend(understood.notes.iter().map(|note| format!("note: {note}\n")));
    }
    let shown = understood.columns.iter().enumerate().filter(|(at, c)| *at < SHOWN || !c.doubts.is_empty());
    let mut rows = vec![["column", "is", "holds", "missing", "becomes"].map(String::from)];
    let mut doubts = vec![];
    for (_, column) in shown {
        let kind = match &column.format {
            Some(format) => format.clone(),
            None => format!("{:?}", column.kind).to_lowercase(),
        };
        let missing = if column.missing == 0 { String::new() } else { column.missing.to_string() };
        let becomes = match column.role.as_str() {
            "feature" => column.becomes.clone(),
            _ if column.becomes.is_empty() => column.role.clone(),
            _ => column.becomes.clone(),
        };
        rows.push([column.name.clone(), kind, column.values.clone(), missing, becomes]);
        doubts.extend(column.doubts.iter().map(|doubt| (&column.name, doubt)));
    }
    if rows.len() > 1 {
        text += &aligned(&rows);
    }
    let hidden = understood.columns.len() + 1 - rows.len();
    if hidden > 0 {
        text += &format!("… and {hidden} more columns\n");
    }
    for dropped in &understood.dropped {
        text += &format!("{} left out: {}\n", counted(dropped.rows, "row"), dropped.reason);
    }
    let [train, validation, test] = understood.parts;
    if train > 0 {
        text += &format!("{train} train, {validation} validate, {test} test: {}\n", understood.split);
    }
    if !understood.classes.is_empty() {
        let mut rows = vec![["class", "train", "validate", "test"].map(String::from)];
        for class in understood.classes.iter().take(SHOWN) {
            let [train, validation, test] = class.rows.map(|n| n.to_string());
            let name = if class.positive { format!("{} (positive)", class.name) } else { class.name.clone() };
            rows.push([name, train, validation, test]);
        }
        text += &aligned(&rows);
    }
    for (name, doubt) in doubts {
        text += &format!("! {name}: {}\n    {}\n", doubt.text, doubt.mend);
    }
    if let Some(nodes) = &understood.nodes {
        text += "nodes: ";
        text += &self::text(nodes);
    }
    text
}

fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

/// Longest cell that is shown in full.
const WIDEST: usize = 44;

/// Rows with cells padded to the widest of their column.
fn aligned<const N: usize>(rows: &[[String; N]]) -> String {
    let cut = |cell: &str, last: bool| {
        if last || cell.chars().count() <= WIDEST {
            return cell.to_string();
        }
        cell.chars().take(WIDEST - 1).chain(['…']).collect()
    };
    let cells: Vec<[String; N]> =
        rows.iter().map(|row| std::array::from_fn(|at| cut(&row[at], at + 1 == N))).collect();
    let width = |at: usize| cells.iter().map(|row| row[at].chars().count()).max().unwrap_or(0);
    let widths: [usize; N] = std::array::from_fn(width);
    let mut text = String::new();
    for row in &cells {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            line += cell;
            line.extend(std::iter::repeat_n(' ', width + 2 - cell.chars().count()));
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}
