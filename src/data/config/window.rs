//! The `[data.window]` table: samples that are windows of a series.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::resample::{self, ResampleConfig};

/// Windows of a series: each sample is `length` rows and the target after them. The target's own past is one
/// of the features.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table such as { length = 24, horizon = 1 }")]
pub struct WindowConfig {
    /// Rows per window.
    pub length: usize,
    /// Rows from the end of the window to the target.
    #[serde(default = "one")]
    pub horizon: usize,
    /// Whether to predict all rows up to `horizon`, not just the one at that distance.
    #[serde(default)]
    pub all_steps: bool,
    /// Rows between the starts of windows.
    #[serde(default = "one")]
    pub stride: usize,
    /// Timestamp column. Without it, rows are assumed to be evenly spaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// Column that identifies the series (a sensor, a shop); windows never span two series.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Puts rows together to longer steps, such as `"1h"`; needs `time`.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "resample::given")]
    pub resample: Option<ResampleConfig>,
    /// Columns that hold one value for each series, such as the kind of a shop, or the `group` itself: the model
    /// reads them with every row of the window.
    #[serde(default, rename = "static")]
    pub constant: Vec<String>,
    /// Covariates known in advance, such as the timestamp (its calendar) or a holiday; read at every predicted
    /// row.
    #[serde(default)]
    pub known_future: Vec<String>,
    /// Columns to predict in addition to `target`.
    #[serde(default)]
    pub targets: Vec<String>,
    /// How to handle missing rows and missing values of the target.
    #[serde(default)]
    pub gaps: Gaps,
    /// How to handle missing values of the target in rows that exist.
    #[serde(default)]
    pub missing: Missing,
    /// What the scaling of the target is fitted on.
    #[serde(default)]
    pub scale_by: ScaleBy,
    /// Whether the model reads and predicts how far the target is from its last value in the window: for trends,
    /// and series that differ in level. With `transform.target = "log1p"`, differences are ratios.
    #[serde(default)]
    pub relative: bool,
    /// Rows per season, for the seasonal baseline. By default the better of a day and a week.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub season: Option<usize>,
}

/// How to handle missing rows and missing values of the target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Gaps {
    /// Report them as errors.
    #[default]
    Refuse,
    /// Leave out windows that contain one.
    Drop,
    /// Repeat the last values within windows; filled values are never predicted.
    Fill,
    /// Leave out rows without a target, and treat the others as consecutive however far apart in time: for
    /// working days.
    Ignore,
}

/// How to handle missing values of the target in rows that exist.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Missing {
    /// Like missing rows, as `gaps` says.
    #[default]
    AsGaps,
    /// Within windows the last value before stands in, or else the mean of the training rows, and one more
    /// feature is 1 where it does. Missing values are never predicted.
    Mask,
}

/// What the scaling of the target is fitted on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ScaleBy {
    /// The training rows of all series together.
    #[default]
    All,
    /// Those of each series by itself: for series of different magnitude.
    Group,
}

fn one() -> usize {
    1
}

impl WindowConfig {
    /// Rows from the end of the window to the first predicted row.
    pub fn first_step(&self) -> usize {
        if self.all_steps { 1 } else { self.horizon }
    }

    /// Number of predicted rows.
    pub fn steps(&self) -> usize {
        if self.all_steps { self.horizon } else { 1 }
    }

    /// Distances at which each row of a window reads the columns known in advance, farthest first. One lets
    /// the window's rows reach as many predicted rows as it has; further ones reach the others.
    pub fn offsets(&self) -> impl Iterator<Item = usize> + use<> {
        let (length, horizon) = (self.length.max(1), self.horizon);
        (0..self.steps().div_ceil(length)).map(move |n| horizon - n * length)
    }

    /// Rows from the first of the window to the last predicted one, inclusive.
    pub fn span(&self) -> usize {
        self.length.saturating_add(self.horizon)
    }

    /// Key and reason, if a value is out of range.
    pub fn problem(&self) -> Option<(&'static str, String)> {
        const MOST: usize = 1_000_000;
        if self.scale_by == ScaleBy::Group && self.group.is_none() {
            let reason = "= \"group\" needs `group`, the column that identifies the series";
            return Some(("data.window.scale_by", reason.into()));
        }
        if self.group.is_none() && !self.constant.is_empty() {
            let reason = "tells series apart; it needs `group`, the column that identifies them";
            return Some(("data.window.static", reason.into()));
        }
        let lists = [
            ("data.window.static", &self.constant),
            ("data.window.known_future", &self.known_future),
            ("data.window.targets", &self.targets),
        ];
        for (key, names) in lists {
            let twice = names.iter().enumerate().find(|(at, name)| names[..*at].contains(name));
            if let Some((_, name)) = twice {
                return Some((key, format!("names `{name}` twice; leave one out")));
            }
        }
        if let Some(resample) = &self.resample {
            if self.time.is_none() {
                let reason = "needs `time`, the column with the times of the rows";
                return Some(("data.window.resample", reason.into()));
            }
            if let Some(problem) = resample.problem() {
                return Some(problem);
            }
        }
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
