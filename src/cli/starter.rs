//! `gridlight init`: an experiment for data of which nothing is said yet. `gridlight train TABLE --target COLUMN` trains
//! the same one.

use std::path::{Path, PathBuf};

use clap::Args;
use gridlight::base::names::normal;
use gridlight::data::config::{ColumnKind, Targets};
use gridlight::data::{self, Column, DataConfig, Understanding};
use gridlight::experiment::Experiment;
use gridlight::train::TrainError;

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
            return print(&text(&self.source, self.target.as_deref())?);
        }
        if output.exists() {
            let reason = "exists; give another name with --output, or remove it";
            return Err(Failure::input(format!("{}: {reason}", output.display())));
        }
        let text = text(&relative(&self.source, &output), self.target.as_deref())?;
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
    let text = text(path, target)?;
    Ok(Experiment::parse(&text, &format!("the experiment for {}", path.display()), overrides)?)
}

/// The name of a file without its endings.
fn name_of(path: &Path) -> String {
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let stem = name.split('.').next().unwrap_or_default();
    let plain: String =
        stem.chars().map(|c| if c.is_alphanumeric() || "-_".contains(c) { c } else { '-' }).collect();
    if plain.is_empty() { "experiment".into() } else { plain }
}

/// The experiment for a source.
fn text(source: &Path, target: Option<&str>) -> Result<String, Failure> {
    let (name, place) = (name_of(source), toml_string(&source.to_string_lossy()));
    if source.is_dir() {
        let mut entries = std::fs::read_dir(source).into_iter().flatten().flatten();
        if !entries.any(|entry| entry.path().is_dir()) {
            let reason = "is a folder without subfolders; pictures lie in one subfolder per class";
            return Err(Failure::input(format!("{}: {reason}", source.display())));
        }
        return Ok(format!(
            "# Tells pictures apart; the folder has one subfolder per class.\nname = \"{name}\"\n\n[data]\nsource = \
             {place}\nimage = {{ shape = [3, 64, 64] }}   # colours, height, width that pictures are brought to\n\n\
             [model]\nfamily = \"cnn\"\n\n[train]\nloss = \"cross_entropy\"\n"
        ));
    }
    if target.is_none() && source.extension().is_some_and(|e| e == "txt" || e == "md") {
        return Ok(format!(
            "# Learns to write like a text.\nname = \"{name}\"\n\n[data]\nsource = {place}\ntext = {{}}\n\n[model]\n\
             family = \"rnn\"\n"
        ));
    }
    let mut config = DataConfig::of(&source.to_string_lossy());
    config.target = target.map(|name| Targets::from(&*normal(name)));
    let looked = |config: &DataConfig| data::look(config, Path::new("")).map_err(TrainError::from);
    let mut understood = looked(&config)?.ok_or_else(|| {
        Failure::input(format!("{}: this is no table; write its experiment by hand", source.display()))
    })?;
    if config.target.is_none() {
        config.target = understood.columns.last().map(|column| column.name.as_str().into());
        understood = looked(&config)?.unwrap_or(understood);
    }
    table(&name, &place, &config, &understood, target.is_some())
}

fn table(
    name: &str,
    place: &str,
    config: &DataConfig,
    understood: &Understanding,
    chosen: bool,
) -> Result<String, Failure> {
    let wanted = config.target.as_ref().map_or("", Targets::first);
    let Some(target) = understood.columns.iter().find(|column| column.name == wanted) else {
        let names: Vec<&str> = understood.columns.iter().map(|column| column.name.as_str()).collect();
        let hint = gridlight::base::names::nearest(wanted, names.iter().copied());
        return Err(Failure::input(format!("{}: there is no column `{wanted}`{hint}", config.source)));
    };
    let loss = loss(target);
    let note = if chosen { "" } else { "the last column; change it to the one to predict: " };
    let mut text = format!(
        "# {} rows. Show what is understood of them with: gridlight inspect {name}.toml\nname = \"{name}\"\n\n[data]\n\
         source = {place}\ntarget = {}   # {note}{}\n",
        understood.rows,
        toml_string(wanted),
        target.values
    );
    let doubtful = |column: &&Column| column.doubts.iter().any(|doubt| doubt.mend.starts_with("exclude"));
    let exclude: Vec<String> =
        understood.columns.iter().filter(doubtful).map(|column| toml_string(&column.name)).collect();
    if !exclude.is_empty() {
        text += &format!("# exclude = [{}]   # see the reasons below\n", exclude.join(", "));
    }
    text += "\n# Columns:\n";
    for column in understood.columns.iter().filter(|column| column.name != wanted).take(100) {
        let kind = column.format.clone().unwrap_or_else(|| format!("{:?}", column.kind).to_lowercase());
        let missing =
            if column.missing > 0 { format!("; {} missing", column.missing) } else { String::new() };
        text += &format!("#   {}: {kind}, {}{missing}\n", one_line(&column.name), one_line(&column.values));
        for doubt in &column.doubts {
            text += &format!("#     ! {}: {}\n", one_line(&doubt.text), one_line(&doubt.mend));
        }
    }
    let classes = match target.different {
        few if few <= FEW && loss == "mse" => {
            format!("   # {few} different values; to learn them as classes: \"cross_entropy\"")
        }
        _ => String::new(),
    };
    text += &format!(
        "\n[data.split]\nby = \"random\"            # or \"order\" or \"time\" where later rows are to be predicted from \
         earlier ones\nvalidation = 0.15\ntest = 0.15\n\n[model]\nhidden = [64, 64]\n\n[train]\nepochs = 100\nloss = \
         \"{loss}\"{classes}\nearly_stopping = {{ patience = 10 }}\n"
    );
    Ok(text)
}

/// Different values up to which a column of numbers may well be one of classes.
const FEW: usize = 20;

/// The loss for a target: classes by their number, else a number. Two values are classes whatever they are.
fn loss(target: &Column) -> &'static str {
    match target.kind {
        _ if target.different == 2 => "bce_with_logits",
        ColumnKind::Category | ColumnKind::Boolean => "cross_entropy",
        ColumnKind::Number | ColumnKind::Timestamp => "mse",
    }
}

fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn toml_string(text: &str) -> String {
    toml::Value::String(text.into()).to_string()
}
