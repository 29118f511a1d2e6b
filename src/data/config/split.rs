//! The `[data.split]` table: which rows train, validate and test.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which rows are used for training, validation and test. Row numbers count the rows left after dropping.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(
    tag = "by",
    rename_all = "snake_case",
    deny_unknown_fields,
    expecting = "a table such as { by = \"random\", validation = 0.15, test = 0.15 }"
)]
pub enum SplitConfig {
    /// At random.
    Random {
        /// Fraction of validation rows.
        #[serde(default = "default_part")]
        validation: f64,
        /// Fraction of test rows.
        #[serde(default = "default_part")]
        test: f64,
        /// Column whose rows with the same value stay in one part: patients, schools, devices.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        group: Option<String>,
        /// Whether each part has its share of every class; by default if the target holds classes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stratify: Option<bool>,
        /// Seed of the draw.
        #[serde(default)]
        seed: u64,
    },
    /// In file order: the last rows are the test set, those before them the validation set. With windows over
    /// several series, each series is split separately.
    Order {
        /// Fraction of validation rows.
        #[serde(default = "default_part")]
        validation: f64,
        /// Fraction of test rows.
        #[serde(default = "default_part")]
        test: f64,
    },
    /// By a timestamp column: rows before `validation` train, rows from `test` on are the test set.
    Time {
        /// The column.
        column: String,
        /// First instant of validation.
        validation: String,
        /// First instant of test.
        test: String,
    },
    /// By a column with the values `train`, `validation` or `test`.
    Column {
        /// The column.
        column: String,
    },
    /// Every `every`-th row is a test row (for 5, rows 4, 9, 14, ... counted from 0); a random part of the
    /// others is for validation.
    Rows {
        /// Distance between test rows.
        every: usize,
        /// Validation fraction of the other rows.
        #[serde(default = "default_part")]
        validation: f64,
        /// Seed of the validation rows.
        #[serde(default)]
        seed: u64,
    },
    /// Row `i` is a test row if `i mod folds = fold`; a random part of the others is for validation.
    Folds {
        /// Number of folds.
        folds: usize,
        /// The test fold.
        #[serde(default)]
        fold: usize,
        /// Validation fraction of the other rows.
        #[serde(default = "default_part")]
        validation: f64,
        /// Column whose rows with the same value stay in one fold.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        group: Option<String>,
        /// Whether each fold has its share of every class.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stratify: Option<bool>,
        /// Seed of the order in which rows are dealt to the folds, and of the validation rows; 0 deals them in the
        /// order of the file.
        #[serde(default)]
        seed: u64,
    },
    /// Rolling origin: the last rows are cut into `folds` test parts of equal length, each followed by the next.
    /// Fold `fold` tests on one of them and knows all rows before it, the last of which validate; later rows are
    /// not used. With windows over several series, each series is cut separately, unless a `column` is named.
    Rolling {
        /// Number of test parts.
        #[serde(default = "default_folds")]
        folds: usize,
        /// The test part, counted from 0.
        #[serde(default)]
        fold: usize,
        /// Fraction of the rows before the test part that validate.
        #[serde(default = "default_part")]
        validation: f64,
        /// Rows of a test part; by default all rows divided by `folds` + 1, so that the first fold has as many to
        /// learn from.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        test_rows: Option<usize>,
        /// Timestamp column: times are cut, not rows, for several series over the same time.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        column: Option<String>,
    },
    /// From separate files with the same columns.
    Files {
        /// Validation rows: a file, or a fraction of the source's rows.
        #[serde(default)]
        validation: Validation,
        /// Test rows.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        test: Option<String>,
        /// Seed of the random fraction.
        #[serde(default)]
        seed: u64,
        /// Labels of the validation images; see `labels` of the source.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        validation_labels: Option<String>,
        /// Labels of the test images.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        test_labels: Option<String>,
    },
}

/// Validation rows when the split uses separate files.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected a fraction such as 0.15, or a file such as \"validation.csv\"")]
pub enum Validation {
    /// A random fraction of the source's rows.
    Part(f64),
    /// The rows of a file.
    File(String),
}

impl Default for Validation {
    fn default() -> Self {
        Self::Part(default_part())
    }
}

impl Default for SplitConfig {
    fn default() -> Self {
        Self::Random {
            validation: default_part(),
            test: default_part(),
            group: None,
            stratify: None,
            seed: 0,
        }
    }
}

impl SplitConfig {
    /// Refuses numbers that no split can have.
    ///
    /// # Errors
    /// The key, from the experiment's root, and what is wrong with its value.
    pub fn check(&self) -> Result<(), (&'static str, String)> {
        const VALIDATION: &str = "data.split.validation";
        let part = |key, part: f64| match (0.0..1.0).contains(&part) {
            true => Ok(()),
            false => Err((key, format!("= {part:?} is not a part of the rows between 0 and 1"))),
        };
        let fold = |fold: usize, folds: usize, least: usize| {
            if folds < least {
                return Err(("data.split.folds", format!("= {folds} must be at least {least}")));
            }
            if fold >= folds {
                let reason = format!("= {fold} must be below `folds` = {folds}; the first is 0");
                return Err(("data.split.fold", reason));
            }
            Ok(())
        };
        match self {
            Self::Random { validation, test, .. } | Self::Order { validation, test } => {
                part(VALIDATION, *validation)?;
                part("data.split.test", *test)?;
                if validation + test >= 1.0 {
                    let reason = format!(
                        "= {test:?} and `validation` = {validation:?} leave no rows to train on; together they must be \
                         below 1"
                    );
                    return Err(("data.split.test", reason));
                }
                Ok(())
            }
            Self::Rows { every, .. } if *every < 2 => {
                Err(("data.split.every", format!("= {every} must be at least 2")))
            }
            Self::Rows { validation, .. } | Self::Files { validation: Validation::Part(validation), .. } => {
                part(VALIDATION, *validation)
            }
            Self::Folds { folds, fold: at, validation, .. } => {
                fold(*at, *folds, 2)?;
                part(VALIDATION, *validation)
            }
            Self::Rolling { folds, fold: at, validation, .. } => {
                fold(*at, *folds, 1)?;
                part(VALIDATION, *validation)
            }
            Self::Time { .. } | Self::Column { .. } | Self::Files { .. } => Ok(()),
        }
    }

    /// The seed of random draws as two words.
    pub fn seed_words(&self) -> [u32; 2] {
        let seed = self.seed();
        [seed as u32, (seed >> 32) as u32]
    }

    /// The seed of random draws.
    pub fn seed(&self) -> u64 {
        match self {
            Self::Random { seed, .. }
            | Self::Rows { seed, .. }
            | Self::Folds { seed, .. }
            | Self::Files { seed, .. } => *seed,
            Self::Order { .. } | Self::Time { .. } | Self::Column { .. } | Self::Rolling { .. } => 0,
        }
    }

    /// The column whose rows with the same value stay together.
    pub fn group(&self) -> Option<&String> {
        match self {
            Self::Random { group, .. } | Self::Folds { group, .. } => group.as_ref(),
            _ => None,
        }
    }

    /// Whether parts come from files of their own.
    pub fn files(&self) -> bool {
        matches!(self, Self::Files { validation, test, .. } if test.is_some() || matches!(validation, Validation::File(_)))
    }

    /// Whether each part should have its share of every class, if that is set.
    pub fn stratify(&self) -> Option<bool> {
        match self {
            Self::Random { stratify, .. } | Self::Folds { stratify, .. } => *stratify,
            _ => None,
        }
    }

    /// The column that says, or helps to say, which rows are for what; it is no feature unless named as one.
    pub fn column(&self) -> Option<&String> {
        match self {
            Self::Time { column, .. } | Self::Column { column } => Some(column),
            Self::Rolling { column, .. } => column.as_ref(),
            _ => self.group(),
        }
    }
}

fn default_folds() -> usize {
    3
}

fn default_part() -> f64 {
    0.15
}
