//! The `[data.window]` table: samples that are windows of a series.

use serde::{Deserialize, Serialize};

/// Windows of a series: each sample is `length` rows and the target after them. The target's own past is among
/// the features.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WindowConfig {
    /// Rows of a window.
    pub length: usize,
    /// Rows from the last of the window to the one that is predicted.
    #[serde(default = "one")]
    pub horizon: usize,
    /// Whether all rows up to `horizon` are predicted, and not only the one at that distance.
    #[serde(default)]
    pub all_steps: bool,
    /// Rows between the starts of windows.
    #[serde(default = "one")]
    pub stride: usize,
    /// Timestamp column. Without it rows are taken to follow each other evenly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// Column that names the series (a sensor, a shop); windows never span two of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Columns known in advance, such as the timestamp (its calendar) or a holiday: taken at the predicted row.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub known_future: Vec<String>,
    /// Columns predicted beside `target`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<String>,
    /// What becomes of missing rows and missing values of the target.
    #[serde(default)]
    pub gaps: Gaps,
    /// Rows of a season, for the baseline that repeats the value of a season ago. By default the better of a day
    /// and a week.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub season: Option<usize>,
}

/// What becomes of missing rows and missing values of the target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gaps {
    /// They are errors.
    #[default]
    Refuse,
    /// Windows that touch one are left out.
    Drop,
    /// The last values before stand in for them within windows; they are never what is predicted.
    Fill,
    /// Rows without a target are left out, and the others follow each other, however long the time between them:
    /// for working days.
    Ignore,
}

fn one() -> usize {
    1
}

impl WindowConfig {
    /// Rows from the last of the window to the first predicted one.
    pub fn first_step(&self) -> usize {
        if self.all_steps { 1 } else { self.horizon }
    }

    /// Rows predicted.
    pub fn steps(&self) -> usize {
        if self.all_steps { self.horizon } else { 1 }
    }

    /// Rows from the first of the window to the last predicted one, both counted.
    pub fn span(&self) -> usize {
        self.length.saturating_add(self.horizon)
    }

    /// Key and reason, if a value is out of range.
    pub fn problem(&self) -> Option<(&'static str, String)> {
        const MOST: usize = 1_000_000;
        let counts = [
            ("data.window.length", self.length),
            ("data.window.horizon", self.horizon),
            ("data.window.stride", self.stride),
            ("data.window.season", self.season.unwrap_or(1)),
        ];
        let wrong = counts.into_iter().find(|(_, n)| !(1..=MOST).contains(n));
        wrong.map(|(key, n)| (key, format!("= {n} is not in 1..={MOST}")))
    }
}
