//! An experiment for data of which nothing is said yet: what can be seen of them, and the usual settings.

use std::path::Path;

use super::Experiment;
use crate::base::config::ConfigError;
use crate::base::files;
use crate::base::names::{nearest, normal};
use crate::data::config::{ColumnKind, Targets};
use crate::data::{self, Column, DataConfig, Understanding};
use crate::train::TrainError;

/// The name of a file without its endings.
pub fn name_of(path: &Path) -> String {
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let stem = name.split('.').next().unwrap_or_default();
    let plain: String =
        stem.chars().map(|c| if c.is_alphanumeric() || "-_".contains(c) { c } else { '-' }).collect();
    if plain.is_empty() { "experiment".into() } else { plain }
}

/// The `[data]` of which a source and a target are known, with the keys that are `set`.
///
/// # Errors
/// If one of these keys is wrong.
pub fn data_of(source: &str, target: Option<&str>, set: &[String]) -> Result<DataConfig, ConfigError> {
    let target = target.map(normal);
    if set.is_empty() {
        let mut config = DataConfig::of(source);
        config.target = target.map(|name| Targets::from(&*name));
        return Ok(config);
    }
    let target = target.map_or_else(String::new, |name| format!("target = {}\n", toml_string(&name)));
    let text = format!("name = \"table\"\n[data]\nsource = {}\n{target}", toml_string(source));
    Ok(Experiment::parse(&text, &format!("the experiment for {source}"), set)?.data)
}

/// The experiment for a table, a folder with one subfolder of pictures per class, or a text; the target is by default the
/// last column. A table is read as the keys of `[data]` that are `set` say, which the text leaves out.
///
/// # Errors
/// If the source cannot be read or is none of these, or has no such column.
pub fn text(source: &Path, target: Option<&str>, set: &[String]) -> Result<String, TrainError> {
    let (name, place) = (name_of(source), toml_string(&source.to_string_lossy()));
    if files::is_dir(source) {
        let names = files::names_in(source).unwrap_or_default();
        if !names.iter().any(|name| files::is_dir(&source.join(name))) {
            let reason = "is a folder without subfolders; pictures lie in one subfolder per class";
            return Err(wrong(&source.to_string_lossy(), reason).into());
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
    let of_data = |argument: &&String| argument.trim_start().starts_with("data");
    let set: Vec<String> = set.iter().filter(of_data).cloned().collect();
    let mut config = data_of(&source.to_string_lossy(), target, &set)?;
    let looked = |config: &DataConfig| data::look(config, Path::new("")).map_err(TrainError::from);
    let mut understood = looked(&config)?
        .ok_or_else(|| wrong(&source.to_string_lossy(), "this is no table; write its experiment by hand"))?;
    if config.target.is_none() {
        config.target = understood.columns.last().map(|column| column.name.as_str().into());
        understood = looked(&config)?.unwrap_or(understood);
    }
    Ok(table(&name, &place, &config, &understood, target.is_some())?)
}

fn table(
    name: &str,
    place: &str,
    config: &DataConfig,
    understood: &Understanding,
    chosen: bool,
) -> Result<String, ConfigError> {
    let wanted = config.target.as_ref().map_or("", Targets::first);
    let Some(target) = understood.columns.iter().find(|column| column.name == wanted) else {
        let names: Vec<&str> = understood.columns.iter().map(|column| column.name.as_str()).collect();
        let hint = nearest(wanted, names.iter().copied());
        return Err(wrong(&config.source, &format!("there is no column `{wanted}`{hint}")));
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

fn wrong(place: &str, reason: &str) -> ConfigError {
    ConfigError { place: place.into(), reason: reason.into() }
}

fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn toml_string(text: &str) -> String {
    toml::Value::String(text.into()).to_string()
}
