//! `gridlight init`: an experiment for data of which nothing is said yet. `gridlight train TABLE --target COLUMN` trains
//! the same one.

use std::path::{Path, PathBuf};

use clap::Args;
use gridlight::experiment::Experiment;
use gridlight::experiment::starter::{name_of, text};

use super::Failure;
use super::output::{print, save};

/// Write an experiment file for a table, a folder of pictures or a text, with what can be seen of it.
#[derive(Args)]
#[command(after_help = "Example:\n  gridlight init houses.csv --target price\n  gridlight train houses.toml")]
pub struct Init {
    /// A table, a folder with one subfolder of pictures per class, or a text.
    source: PathBuf,
    /// The column to predict; by default the last one.
    #[arg(long)]
    target: Option<String>,
    /// The file to write; by default the source's name with the ending .toml. `-` is standard output.
    #[arg(long)]
    output: Option<PathBuf>,
}

impl Init {
    pub fn run(self) -> Result<(), Failure> {
        let default = PathBuf::from(format!("{}.toml", name_of(&self.source)));
        let output = self.output.unwrap_or(default);
        if output == Path::new("-") {
            return print(&text(&self.source, self.target.as_deref(), &[])?);
        }
        if output.exists() {
            let reason = "exists; give another name with --output, or remove it";
            return Err(Failure::input(format!("{}: {reason}", output.display())));
        }
        let text = text(&relative(&self.source, &output), self.target.as_deref(), &[])?;
        // What is written must work.
        Experiment::parse(&text, &output.display().to_string(), &[])?;
        save("an experiment was", &output, text.as_bytes())
    }
}

/// The path of a source as seen from the directory of an experiment file.
fn relative(source: &Path, file: &Path) -> PathBuf {
    match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => {
            std::path::absolute(source).unwrap_or_else(|_| source.into())
        }
        _ => source.into(),
    }
}

/// An experiment by its file; or, if the path is one of data, the one that [`Init`] would write.
///
/// # Errors
/// If it cannot be read, or is of data without a target.
pub fn read(path: &Path, target: Option<&str>, overrides: &[String]) -> Result<Experiment, Failure> {
    let is_table = |ending: &str| {
        ["csv", "tsv", "tab", "parquet", "json", "jsonl", "ndjson", "gz", "zst"].contains(&ending)
    };
    let ending = path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_lowercase();
    let is_experiment = ending == "toml" || (target.is_none() && !is_table(&ending));
    if is_experiment && !path.is_dir() {
        if target.is_some() {
            let reason = "--target is for tables; an experiment names its target in `data.target`";
            return Err(Failure::input(format!("{}: {reason}", path.display())));
        }
        return Ok(Experiment::read(path, overrides)?);
    }
    if target.is_none() && !path.is_dir() {
        let shown = path.display();
        return Err(Failure::input(format!(
            "{shown}: this is a table, not an experiment; say what to predict, or write one with `gridlight init {shown}`:\n  \
             gridlight train {shown} --target COLUMN"
        )));
    }
    let text = text(path, target, overrides)?;
    Ok(Experiment::parse(&text, &format!("the experiment for {}", path.display()), overrides)?)
}
