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
}

fn hour() -> u32 {
    60
}

impl ReshapeConfig {
    /// Key and reason, if a value is out of range.
    pub fn problem(&self) -> Option<(&'static str, String)> {
        let Self::Day { columns, minutes, .. } = self;
        if *minutes == 0 || !DAY.is_multiple_of(*minutes) {
            let reason = format!("= {minutes} does not divide the {DAY} minutes of a day");
            return Some(("data.reshape.minutes", reason));
        }
        columns.is_empty().then(|| ("data.reshape.columns", "names no column".into()))
    }

    /// The column that identifies rows.
    pub fn row_name(&self) -> &str {
        let Self::Day { time, .. } = self;
        time
    }
}
