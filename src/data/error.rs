//! Data errors: which file, line and column, what was found, and how to go on.

use std::path::{Path, PathBuf};

/// A problem with the data, or with what the experiment requires of it.
#[derive(Clone, Debug, thiserror::Error, PartialEq)]
pub enum DataError {
    /// The file cannot be read.
    #[error("{}: {reason}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's message.
        reason: String,
    },
    /// The file has no rows.
    #[error("{}: the file is empty; expected {expected}", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
        /// What belongs there.
        expected: &'static str,
    },
    /// The file is not text in the encoding it should be in.
    #[error("{}:{line}: this is not text in {encoding}; save the table as UTF-8, or set `data.csv.encoding`", path.display())]
    NotText {
        /// The file.
        path: PathBuf,
        /// First bad line.
        line: u64,
        /// The encoding.
        encoding: &'static str,
    },
    /// The file is not a table.
    #[error("{}:{line}: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Line.
        line: u64,
        /// What is wrong.
        reason: String,
    },
    /// The header has too many columns.
    #[error("{}:1: the header has {found} columns, at most {limit} are supported; check the file and its \
             delimiter", path.display())]
    TooManyColumns {
        /// The file.
        path: PathBuf,
        /// Columns found.
        found: usize,
        /// Columns allowed.
        limit: usize,
    },
    /// Duplicate column names.
    #[error("{}:1: two columns are called `{column}`; rename one of them", path.display())]
    DuplicateColumn {
        /// The file.
        path: PathBuf,
        /// The name.
        column: String,
    },
    /// A column does not exist.
    #[error("{}:1: there is no column `{column}`{hint}", path.display())]
    MissingColumn {
        /// The file.
        path: PathBuf,
        /// The name.
        column: String,
        /// `; did you mean ...?`
        hint: String,
    },
    /// A cell that does not parse.
    #[error("{}:{line}: column `{column}` holds \"{text}\", expected {expected} or an empty cell; correct \
             it, or set the column's type in [data.types]", path.display())]
    Cell {
        /// The file.
        path: PathBuf,
        /// Line.
        line: u64,
        /// Column.
        column: String,
        /// What the cell holds.
        text: String,
        /// What it should hold.
        expected: &'static str,
    },
    /// A class that does not occur in the training rows.
    #[error("{}:{line}: target `{column}` holds \"{text}\", which does not occur in the training rows; the \
             classes are {known}. Let some of its rows train, for example by a random split with `stratify` = true, or \
             remove them", path.display())]
    UnknownClass {
        /// The file.
        path: PathBuf,
        /// Line.
        line: u64,
        /// Column.
        column: String,
        /// What the cell holds.
        text: String,
        /// Known classes.
        known: String,
    },
    /// A setting that does not suit its column.
    #[error("column `{column}`: {reason}")]
    Treatment {
        /// Column.
        column: String,
        /// Why.
        reason: String,
    },
    /// A target that cannot be learned.
    #[error("{}: target `{column}`: {reason}", path.display())]
    BadTarget {
        /// The file.
        path: PathBuf,
        /// Column.
        column: String,
        /// Why.
        reason: String,
    },
    /// Images that cannot be read or are not what the experiment expects.
    #[error("{}: {reason}", path.display())]
    Image {
        /// The file.
        path: PathBuf,
        /// What is wrong and how to go on.
        reason: String,
    },
    /// A text that cannot be read or learned.
    #[error("{}: {reason}", path.display())]
    Text {
        /// The file.
        path: PathBuf,
        /// What is wrong and how to go on.
        reason: String,
    },
    /// Rows that do not form a series to cut windows from.
    #[error(
        "{}:{line}: {}{reason}",
        path.display(),
        if column.is_empty() { String::new() } else { format!("column `{column}`: ") }
    )]
    Series {
        /// The file.
        path: PathBuf,
        /// The first line concerned.
        line: u64,
        /// The column concerned, if any.
        column: String,
        /// What is wrong and how to go on.
        reason: String,
    },
    /// A split that is not possible.
    #[error("[data.split]: {reason}")]
    Split {
        /// Why.
        reason: String,
    },
}

impl DataError {
    /// Adds the table's path to errors about a column or a split, which lack it.
    pub(super) fn in_file(self, path: &Path) -> Self {
        let named = |reason: String| format!("{reason} (table {})", path.display());
        match self {
            Self::Treatment { column, reason } => Self::Treatment { column, reason: named(reason) },
            Self::Split { reason } => Self::Split { reason: named(reason) },
            other => other,
        }
    }
}
