//! The `[data.reshape]` table: what a row represents, if not a row of the file.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Minutes in a day.
pub const DAY: u32 = 24 * 60;

/// What a row represents after reshaping.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(
    tag = "by",
    rename_all = "snake_case",
    deny_unknown_fields,
    expecting = "a table such as { by = \"day\", time = \"date\", columns = [\"load\"] }"
)]
pub enum ReshapeConfig {
    /// One row per day, with a column for each time of day: with `load` every 60 minutes, `load 00:00` to
    /// `load 23:00`. The column `time` keeps its name and holds the date; `weekday` holds the name of the
    /// day. Other columns are left out. A time without a row is a missing value; days without any rows are
    /// omitted.
    Day {
        /// Timestamp column.
        time: String,
        /// Columns that are expanded to one per time of day.
        columns: Vec<String>,
        /// Minutes between them.
        #[serde(default = "hour")]
        minutes: u32,
    },
    /// One row for each value of the column `row`, such as a time, with a column for each name in the column `names`:
    /// with values = ["load"] and a meter in each row, `load A` and `load B`. Rows keep the order in which they begin.
    /// Other columns are left out. A name without a row is a missing value.
    Pivot {
        /// Column whose equal values become one row.
        row: String,
        /// Column with the names.
        names: String,
        /// Columns that are expanded to one per name.
        values: Vec<String>,
    },
}

fn hour() -> u32 {
    60
}

impl ReshapeConfig {
    /// Key and reason, if a value is out of range.
    pub fn problem(&self) -> Option<(&'static str, String)> {
        match self {
            Self::Day { minutes, .. } if *minutes == 0 || !DAY.is_multiple_of(*minutes) => {
                let reason = format!("= {minutes} does not divide the {DAY} minutes of a day");
                Some(("data.reshape.minutes", reason))
            }
            Self::Day { columns, .. } => {
                columns.is_empty().then(|| ("data.reshape.columns", "names no column".into()))
            }
            Self::Pivot { row, names, .. } if row == names => {
                Some(("data.reshape.names", "is the column that `row` names too; name two".into()))
            }
            Self::Pivot { values, .. } => {
                values.is_empty().then(|| ("data.reshape.values", "names no column".into()))
            }
        }
    }

    /// The column that identifies rows.
    pub fn row_name(&self) -> &str {
        match self {
            Self::Day { time, .. } => time,
            Self::Pivot { row, .. } => row,
        }
    }
}
