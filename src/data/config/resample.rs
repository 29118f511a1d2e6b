//! The `[data.window.resample]` table: series whose rows are put together to longer steps.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use crate::base::tree::Node;

/// Puts rows together to longer steps: one row for each hour, day or month that has any.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(
    deny_unknown_fields,
    expecting = "a step such as \"1h\", or a table such as { to = \"1h\", by = \"mean\" }"
)]
pub struct ResampleConfig {
    /// The step: a number of seconds (`"30s"`), minutes (`"15min"`), hours (`"1h"`), days (`"1d"`), weeks from
    /// Monday on (`"1w"`), months (`"1mo"`), quarters (`"1q"`) or years (`"1y"`).
    pub to: String,
    /// What becomes of the numbers of a step.
    #[serde(default)]
    pub by: Aggregate,
    /// What becomes of the cells of single columns. Without it, numbers are treated as `by` says, and of other
    /// columns the last cell counts.
    #[serde(default)]
    pub columns: BTreeMap<String, Aggregate>,
}

/// What the cells of a step become; missing values do not count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Aggregate {
    /// Their mean.
    #[default]
    Mean,
    /// Their sum.
    Sum,
    /// The last of them.
    Last,
    /// The smallest.
    Min,
    /// The largest.
    Max,
}

/// A step of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Period {
    /// Seconds; steps begin at midnight, or as long after it as whole steps from 1970-01-05, a Monday, reach.
    Seconds(i64),
    /// Months; steps begin on the first of a month, counted from January.
    Months(i32),
}

impl ResampleConfig {
    /// The step; `None` if it is none.
    pub fn period(&self) -> Option<Period> {
        let text = self.to.trim();
        let unit_at = text.find(|c: char| !c.is_ascii_digit())?;
        let (count, unit) = (text[..unit_at].parse::<u32>().ok()?, text[unit_at..].trim());
        if !(1..=1_000_000).contains(&count) {
            return None;
        }
        let seconds = |unit: i64| Some(Period::Seconds(i64::from(count) * unit));
        let months = |unit: i32| Some(Period::Months(i32::try_from(count).ok()? * unit));
        match unit {
            "s" => seconds(1),
            "min" => seconds(60),
            "h" => seconds(3600),
            "d" => seconds(86_400),
            "w" => seconds(7 * 86_400),
            "mo" => months(1),
            "q" => months(3),
            "y" => months(12),
            _ => None,
        }
    }

    /// What is wrong with it.
    pub(super) fn problem(&self) -> Option<(&'static str, String)> {
        if self.period().is_some() {
            return None;
        }
        let reason = format!(
            "= \"{}\" is no step; write a number and s, min, h, d, w, mo, q or y, such as \"1h\"",
            self.to
        );
        Some(("data.window.resample", reason))
    }
}

/// `"1h"` or `{ to = "1h", ... }`.
pub(super) fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<ResampleConfig>, D::Error> {
    use serde::de::Error;
    let node = Node::deserialize(deserializer)?;
    match node.text() {
        Some(to) => {
            let to = to.to_string();
            Ok(Some(ResampleConfig { to, by: Aggregate::default(), columns: BTreeMap::new() }))
        }
        None => node.read().map(Some).map_err(|e| D::Error::custom(e.message())),
    }
}
