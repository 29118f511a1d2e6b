//! The `[data.csv]` table: how the text of a table is written, where looking at it does not tell.

use crate::base::text::Encoding;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the text of a table is written. What is not set is found by looking at the file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table such as { delimiter = \";\", decimal = \",\" }")]
pub struct CsvConfig {
    /// Separates cells: `","`, `";"`, `"|"`, a tab or any other ASCII character.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delimiter: Option<char>,
    /// Separates decimals: `"."` or `","`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decimal: Option<char>,
    /// Groups digits by three: `","`, `"."`, `" "` or `"'"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thousands: Option<char>,
    /// Character encoding by its name on the web: `utf-8`, `windows-1252`, `utf-16le`, ...
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoding: Option<String>,
    /// Lines that begin with this are comments: `"#"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Whether the first line holds the names of the columns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<bool>,
    /// Texts that mark missing values besides the usual ones, or numbers that do, such as `"-999"`.
    #[serde(default)]
    pub missing: Vec<String>,
    /// Whether `NA`, `n/a`, `-`, `?`, `#N/A` and the like mark missing values.
    #[serde(default = "yes")]
    pub default_missing: bool,
    /// The order of dates that leave it open: `"dmy"`, `"mdy"` or `"ymd"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dates: Option<DateOrder>,
    /// The first of the hundred years that years of two digits mean: after `1925`, 24 is 2024 and 25 is 1925. Unless it is set, 69
    /// to 99 are 1969 to 1999, 00 to 29 are 2000 to 2029, and others are refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_year: Option<i16>,
}

fn yes() -> bool {
    true
}

impl Default for CsvConfig {
    fn default() -> Self {
        Self {
            delimiter: None,
            decimal: None,
            thousands: None,
            encoding: None,
            comment: None,
            header: None,
            missing: vec![],
            default_missing: true,
            dates: None,
            first_year: None,
        }
    }
}

impl CsvConfig {
    /// Key and reason, if a value is out of range.
    pub fn problem(&self) -> Option<(&'static str, String)> {
        if let Some(delimiter) = self.delimiter
            && (!delimiter.is_ascii() || "\"\r\n".contains(delimiter) || delimiter.is_ascii_alphanumeric())
        {
            return Some(("data.csv.delimiter", format!("= {delimiter:?} is not one of , ; | or a tab")));
        }
        if let Some(decimal) = self.decimal.filter(|d| !matches!(d, '.' | ',')) {
            return Some(("data.csv.decimal", format!("= {decimal:?} is neither \".\" nor \",\"")));
        }
        if let Some(thousands) = self.thousands.filter(|t| !matches!(t, '.' | ',' | ' ' | '\'')) {
            return Some((
                "data.csv.thousands",
                format!("= {thousands:?} is not one of \".\", \",\", \" \" and \"'\""),
            ));
        }
        if self.thousands.is_some() && self.thousands == self.decimal {
            return Some(("data.csv.thousands", "is the same as `data.csv.decimal`".into()));
        }
        if let Some(name) = self.encoding.as_ref().filter(|n| Encoding::for_label(n.as_bytes()).is_none()) {
            let reason = format!("= \"{name}\" is unknown; use for example utf-8, windows-1252 or utf-16le");
            return Some(("data.csv.encoding", reason));
        }
        if self.comment.as_ref().is_some_and(String::is_empty) {
            return Some(("data.csv.comment", "is empty; give the character that begins comments".into()));
        }
        if let Some(year) = self.first_year.filter(|year| !(1800..=2100).contains(year)) {
            return Some(("data.csv.first_year", format!("= {year} is not within 1800 to 2100")));
        }
        None
    }

    /// Whether nothing is set.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// The order of day, month and year.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DateOrder {
    /// `2021/01/31`
    Ymd,
    /// `31/01/2021`
    Dmy,
    /// `01/31/2021`
    Mdy,
}

impl DateOrder {
    /// For people.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Ymd => "year first",
            Self::Dmy => "day first",
            Self::Mdy => "month first",
        }
    }
}
