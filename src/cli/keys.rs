//! `gridlight keys`

use clap::Args;
use gridlight::experiment::keys::{self, Key};
use gridlight::experiment::schema::schema;

use super::{Failure, print, print_json};

/// List the keys of a table of experiment files: type, default, and a sentence about each.
#[derive(Args)]
#[command(
    after_help = "Example:\n  gridlight keys data.split\n  gridlight keys --schema > experiment.schema.json"
)]
pub struct Keys {
    /// The table, such as `data`, `data.split` or `model.layer`; without it, the outermost, and the names of all.
    table: Option<String>,
    /// Print one JSON object on standard output.
    #[arg(long, conflicts_with = "schema")]
    json: bool,
    /// Print a JSON Schema of experiment files, for editors.
    #[arg(long, conflicts_with = "table")]
    schema: bool,
}

/// What `--json` prints.
#[derive(serde::Serialize)]
struct Report {
    keys: Vec<Key>,
    tables: Vec<String>,
}

impl Keys {
    pub fn run(self) -> Result<(), Failure> {
        if self.schema {
            return print(&serde_json::to_string_pretty(&schema()).unwrap_or_default());
        }
        let table = self.table.unwrap_or_default();
        let how = "`gridlight keys` lists all tables";
        let keys = keys::keys(&table).map_err(|reason| Failure::input(format!("{reason}\n{how}")))?;
        let within = |name: &String| table.is_empty() || name.starts_with(&format!("{table}."));
        let tables: Vec<String> = keys::tables().into_iter().filter(within).collect();
        if self.json {
            return print_json(&Report { keys, tables });
        }
        let mut text = aligned(&keys);
        if !tables.is_empty() {
            text += &format!("\ntables: {}\n", tables.join(", "));
        }
        print(&text)
    }
}

/// One line for each key, and one before those of each form of the table.
fn aligned(keys: &[Key]) -> String {
    let default = |key: &Key| match (&key.default, key.required) {
        (_, true) => "required".to_string(),
        (Some(default), _) => default.clone(),
        (None, _) => "-".into(),
    };
    let mut cells = vec![["key", "type", "default", ""].map(str::to_string)];
    let mut form = &None;
    for key in keys {
        if key.form != *form {
            form = &key.form;
            cells.push([form.clone().unwrap_or_default(), String::new(), String::new(), String::new()]);
        }
        cells.push([key.key.clone(), key.kind.clone(), default(key), key.about.clone()]);
    }
    // A long list of names does not push the other columns to the right.
    let width =
        |at: usize| cells.iter().map(|row| row[at].chars().count()).filter(|n| *n <= 28).max().unwrap_or(0);
    let (first, second, third) = (width(0), width(1), width(2));
    let line = |[a, b, c, d]: &[String; 4]| {
        let line = format!("{a:first$}  {b:second$}  {c:third$}  {d}");
        format!("{}\n", line.trim_end())
    };
    cells.iter().map(line).collect()
}
