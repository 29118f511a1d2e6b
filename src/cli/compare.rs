//! `gridlight compare`

use std::path::PathBuf;

use clap::Args;
use gridlight::base::number::shown;
use gridlight::plan::align;
use gridlight::run::compare::{self, Comparison};

use super::output::{is_standard_output, save, tell};
use super::{Failure, print, print_json};

/// Compare runs: the settings that differ, and their metrics, the best marked with `*`.
#[derive(Args)]
#[command(after_help = "Example:\n  gridlight compare runs/houses runs/houses-1\n  \
                  gridlight compare runs/houses runs/houses-1 --output compare.html")]
pub struct Compare {
    /// Run directories, 2 to 8.
    #[arg(required = true)]
    runs: Vec<PathBuf>,
    /// HTML page to write, which also shows the losses of all epochs. `-` writes to standard output.
    #[arg(long)]
    output: Option<PathBuf>,
    /// Print one JSON object on standard output.
    #[arg(long)]
    json: bool,
}

impl Compare {
    pub fn run(self) -> Result<(), Failure> {
        if self.json && self.output.as_deref().is_some_and(is_standard_output) {
            let reason = "--output - and --json both print on standard output; leave one of them out";
            return Err(Failure::input(reason));
        }
        let comparison = compare::compare(&self.runs)?;
        for note in &comparison.notes {
            tell(format_args!("note: {note}"));
        }
        if let Some(output) = &self.output {
            save("the comparison", output, comparison.html().as_bytes())?;
            if is_standard_output(output) {
                return Ok(());
            }
        }
        if self.json { print_json(&comparison) } else { print(&text(&comparison)) }
    }
}

/// The comparison as tables, one column for each run.
fn text(comparison: &Comparison) -> String {
    const WIDEST: usize = 40;
    let short = |value: &str| match value.chars().count() {
        0..=WIDEST => value.to_string(),
        _ => value.chars().take(WIDEST - 1).chain(['…']).collect(),
    };
    let line = |first: &str, cells: &mut dyn Iterator<Item = String>| {
        std::iter::once(first.to_string()).chain(cells).collect::<Vec<String>>()
    };
    let mut table = vec![
        line("", &mut comparison.runs.iter().cloned()),
        line("state", &mut comparison.states.iter().map(|state| state.name().into())),
    ];
    for setting in &comparison.settings {
        let value = |value: &Option<String>| value.as_deref().map_or_else(|| "-".into(), short);
        table.push(line(&setting.key, &mut setting.values.iter().map(value)));
    }
    if comparison.settings.is_empty() {
        table.push(line("the settings do not differ", &mut std::iter::empty()));
    }
    for row in &comparison.metrics {
        let value = |(at, value): (usize, &Option<_>)| {
            let mark = if row.best.contains(&at) { " *" } else { "" };
            value.as_ref().map_or_else(|| "-".into(), |x: &gridlight::base::number::Number| shown(x.0) + mark)
        };
        let name = format!("{} {}", row.part, row.metric);
        table.push(line(&name, &mut row.values.iter().enumerate().map(value)));
    }
    align(&table, &[])
}
