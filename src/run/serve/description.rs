//! What a run reads and predicts, for those who ask it.

use serde::Serialize;

use crate::base::number::shown;
use crate::data::config::ReshapeConfig;
use crate::data::derive;
use crate::data::{Encoding, Fitted};
use crate::nn::config::Family;
use crate::run::opened::Opened;

/// What a request brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reads {
    /// Rows of a table, each predicted by itself.
    Rows,
    /// The history of series, row by row, of which the rows that follow are predicted.
    Series,
    /// A picture.
    Pictures,
}

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Numbers.
    Number,
    /// `true` or `false`.
    Boolean,
    /// One of a number of names.
    Category,
    /// A date, or a date and a time.
    Time,
    /// Any text, such as the name of a series.
    Text,
}

/// A column of a request.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct InputColumn {
    /// Its name.
    pub name: String,
    /// What it holds.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// The names that training knows, of a category.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub categories: Vec<String>,
    /// How its cells are written, if not as plain numbers or ISO dates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// A value that is read; absent if training kept none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub example: Option<serde_json::Value>,
}

/// What a run reads and predicts.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Description {
    /// Name of the experiment.
    pub name: String,
    /// Kind of network.
    pub family: Family,
    /// What the model does, in a few words.
    pub does: String,
    /// What a request brings.
    pub reads: Reads,
    /// Columns that a request must have; none of pictures.
    pub columns: Vec<InputColumn>,
    /// Channels, height and width that pictures are brought to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub picture: Option<[usize; 3]>,
    /// Rows that a forecast needs at least, of series.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub history: Option<usize>,
    /// Columns that are predicted, in their own units.
    pub target: Vec<String>,
    /// How the target is written in the data of training, if not as plain numbers: its unit, for example.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_format: Option<String>,
    /// Classes, of a classifier, in the order of their probabilities.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<String>,
    /// Titles of the columns of predictions.
    pub predictions: Vec<String>,
    /// Trained parameters.
    pub parameters: usize,
    /// SHA-256 of the file of weights.
    pub digest: String,
    /// Version of the program.
    pub version: &'static str,
}

/// What a run reads, and that it predicts columns of these titles.
pub(super) fn describe(opened: &Opened, titles: Vec<String>) -> Description {
    let (experiment, fitted) = (&opened.experiment, &opened.fitted);
    let pictures = fitted.image.as_ref().filter(|image| image.columns.is_empty());
    let target: Vec<String> = fitted.target.columns().into_iter().map(String::from).collect();
    let format = |name: &String| fitted.formats.get(name).map(|format| format.describe());
    let reads = match (pictures, &fitted.window) {
        (Some(_), _) => Reads::Pictures,
        (None, Some(_)) => Reads::Series,
        (None, None) => Reads::Rows,
    };
    Description {
        name: experiment.name.clone(),
        family: experiment.model.family,
        does: opened.task().subject(),
        reads,
        columns: columns(fitted, opened.task().reads_target()),
        picture: pictures.map(|image| [image.shape.channels, image.shape.height, image.shape.width]),
        history: fitted.window.as_ref().map(|window| window.config.length),
        target_format: target.iter().find_map(format),
        target,
        classes: fitted.target.classes().to_vec(),
        predictions: titles,
        parameters: opened.weights.iter().map(|(_, _, data)| data.len()).sum(),
        digest: opened.digest.clone(),
        version: env!("CARGO_PKG_VERSION"),
    }
}

/// The columns that a request must have.
fn columns(fitted: &Fitted, with_target: bool) -> Vec<InputColumn> {
    let mut names: Vec<String> = fitted.columns.iter().map(|column| column.name.clone()).collect();
    names.extend(fitted.image.iter().flat_map(|image| image.columns.clone()));
    let id = fitted.graph.iter().filter_map(|graph| graph.id.clone());
    names.extend(id);
    if let Some(window) = &fitted.window {
        let config = &window.config;
        let others =
            config.group.iter().chain(&config.time).chain(&config.constant).chain(&config.known_future);
        names.splice(0..0, others.cloned().collect::<Vec<_>>());
        names.extend(fitted.target.columns().into_iter().map(String::from));
    }
    if with_target {
        names.extend(fitted.target.name().map(String::from));
    }
    match &fitted.reshape {
        Some(ReshapeConfig::Day { time, columns, .. }) => {
            names = std::iter::once(time).chain(columns).cloned().collect();
        }
        Some(ReshapeConfig::Pivot { row, names: of, values }) => {
            names = [row, of].into_iter().chain(values).cloned().collect();
        }
        None => {}
    }
    // A derived column may use those derived before it.
    for (name, formula) in fitted.derive.iter().rev() {
        if let Some(at) = names.iter().position(|known| known == name) {
            names.splice(at..=at, derive::columns(formula));
        }
    }
    let mut columns: Vec<InputColumn> = vec![];
    for name in names {
        if columns.iter().all(|known| known.name != name) {
            columns.push(column(fitted, name));
        }
    }
    columns
}

/// What is known of a column.
fn column(fitted: &Fitted, name: String) -> InputColumn {
    let encoding = fitted.columns.iter().find(|column| column.name == name).map(|column| &column.encoding);
    let config = fitted.window.as_ref().map(|window| &window.config);
    let reshape_time = fitted.reshape.as_ref().map(ReshapeConfig::row_name);
    let is_time = reshape_time == Some(&name) || config.is_some_and(|c| c.time.as_ref() == Some(&name));
    let is_id = fitted.graph.as_ref().is_some_and(|graph| graph.id.as_ref() == Some(&name));
    let is_group = config.is_some_and(|config| config.group.as_ref() == Some(&name));
    let classes = fitted.target.classes();
    let is_class = !classes.is_empty() && fitted.target.name() == Some(&name);
    let (kind, categories, example) = match encoding {
        _ if is_time => (Kind::Time, vec![], Some("2024-05-17 12:00:00".into())),
        Some(Encoding::Calendar { .. }) => (Kind::Time, vec![], Some("2024-05-17 12:00:00".into())),
        Some(Encoding::Number { boolean: true, fill, .. }) => {
            (Kind::Boolean, vec![], Some((*fill >= 0.5).into()))
        }
        // As many digits as a reader wants to see.
        Some(Encoding::Number { fill, .. }) => {
            (Kind::Number, vec![], shown(*fill).parse::<f64>().ok().map(Into::into))
        }
        Some(Encoding::OneHot { fill, names, .. } | Encoding::Embedding { fill, names, .. }) => {
            let example = fill.as_ref().filter(|fill| names.contains(fill)).or(names.first());
            (Kind::Category, names.clone(), example.map(|name| name.as_str().into()))
        }
        None if is_class => {
            (Kind::Category, classes.to_vec(), classes.first().map(|name| name.as_str().into()))
        }
        None if is_id => {
            let first = fitted.graph.iter().flat_map(|graph| graph.nodes.names.first()).next();
            (Kind::Text, vec![], first.map(|name| name.as_str().into()))
        }
        None if is_group => (Kind::Text, vec![], None),
        None => (Kind::Number, vec![], None),
    };
    let format = fitted.formats.get(&name).map(|format| format.describe());
    // How an example would be written is not known.
    let example = example.filter(|_| format.is_none());
    InputColumn { name, kind, categories, format, example }
}
