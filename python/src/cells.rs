//! A column of a frame as it becomes one of the library's: cells, and a digest of them.

use gridlight::data::cells::marks_missing;
use gridlight::data::table::Column;
use sha2::{Digest, Sha256};

/// The largest whole number up to which all are exact as floating-point numbers.
const MOST_EXACT: u64 = 1 << 53;
/// Nanoseconds of a day.
const DAY: i128 = 86_400_000_000_000;

/// Why a column is not read, and what to do.
pub type Unread = String;

/// A column that is being filled.
#[derive(Default)]
pub struct Cells {
    pub column: Column,
    hash: Sha256,
    /// Texts that are empty, which the library reads as missing.
    pub empty_texts: usize,
    /// Whether a text is one that marks missing values in text files, and is none here.
    pub has_markers: bool,
}

impl Cells {
    /// SHA-256 of what was pushed.
    pub fn digest(&self) -> [u8; 32] {
        self.hash.clone().finalize().into()
    }

    pub fn missing(&mut self) {
        self.hash.update([0]);
        self.column.push_missing(1);
    }

    /// A number; a NaN is missing.
    ///
    /// # Errors
    /// If it is beyond the numbers in single precision, which models compute with.
    pub fn number(&mut self, value: f64) -> Result<(), Unread> {
        if value.is_nan() {
            self.missing();
            return Ok(());
        }
        if value.abs() > f64::from(f32::MAX) {
            return Err(beyond(&value.to_string()));
        }
        self.hash.update([1]);
        self.hash.update(value.to_bits().to_le_bytes());
        self.column.push_number(value);
        Ok(())
    }

    /// A number in single precision, as it is written: `0.1`, not the digits that it has in double precision.
    ///
    /// # Errors
    /// As [`Cells::number`].
    pub fn single(&mut self, value: f32) -> Result<(), Unread> {
        if value.is_nan() {
            self.missing();
            return Ok(());
        }
        if value.is_infinite() {
            return Err(beyond(&value.to_string()));
        }
        self.hash.update([2]);
        self.hash.update(value.to_bits().to_le_bytes());
        match value.fract() == 0.0 && value.abs() < 1e9 {
            true => self.column.push_number(f64::from(value)),
            false => self.column.push(&value.to_string()),
        }
        Ok(())
    }

    /// # Errors
    /// If it is not exact as a floating-point number, which is what models read.
    pub fn whole(&mut self, value: impl Into<i128>) -> Result<(), Unread> {
        let value: i128 = value.into();
        if value.unsigned_abs() > u128::from(MOST_EXACT) {
            return Err(format!(
                "it holds {value}, and whole numbers beyond 2^53 are not exact as numbers; make them texts, if they are \
                 names, or divide them"
            ));
        }
        self.hash.update([3]);
        self.hash.update(value.to_le_bytes());
        self.column.push_number(value as f64);
        Ok(())
    }

    pub fn boolean(&mut self, value: bool) {
        self.hash.update([4, u8::from(value)]);
        self.column.push(if value { "true" } else { "false" });
    }

    pub fn text(&mut self, text: &str) {
        self.hash.update([5]);
        self.hash.update((text.len() as u64).to_le_bytes());
        self.hash.update(text);
        self.empty_texts += usize::from(text.is_empty());
        self.has_markers |= marks_missing(text);
        self.column.push(text);
    }

    /// A number that is written with all its digits.
    ///
    /// # Errors
    /// As [`Cells::number`].
    pub fn decimal(&mut self, text: &str) -> Result<(), Unread> {
        match text.parse::<f64>() {
            Ok(value) if value.is_nan() => {
                self.missing();
                return Ok(());
            }
            Ok(value) if value.abs() <= f64::from(f32::MAX) => {}
            _ => return Err(beyond(text)),
        }
        self.hash.update([6]);
        self.hash.update(text);
        self.column.push(text);
        Ok(())
    }

    /// Nanoseconds since 1970 as date and time.
    ///
    /// # Errors
    /// If they are beyond the years that are supported.
    pub fn time(&mut self, nanoseconds: i128) -> Result<(), Unread> {
        self.hash.update([7]);
        self.hash.update(nanoseconds.to_le_bytes());
        let text = timestamp(nanoseconds).ok_or("it holds times outside of the years -9999 to 9999")?;
        self.column.push(&text);
        Ok(())
    }

    /// # Errors
    /// As [`Cells::time`].
    pub fn date(&mut self, days: i64) -> Result<(), Unread> {
        self.hash.update([8]);
        self.hash.update(days.to_le_bytes());
        let date = date(days).ok_or("it holds dates outside of the years -9999 to 9999")?;
        self.column.push(&date.to_string());
        Ok(())
    }

    /// Nanoseconds since midnight as a time of day.
    ///
    /// # Errors
    /// If they are more than a day.
    pub fn time_of_day(&mut self, nanoseconds: i64) -> Result<(), Unread> {
        self.hash.update([9]);
        self.hash.update(nanoseconds.to_le_bytes());
        let time = time(nanoseconds).ok_or("it holds times of more than a day")?;
        self.column.push(&time.to_string());
        Ok(())
    }
}

fn beyond(value: &str) -> Unread {
    format!(
        "it holds {value:.40}, and numbers must not be beyond 3.4e38, which are infinite in single precision; replace \
         it, or make it missing"
    )
}

fn date(days: i64) -> Option<jiff::civil::Date> {
    jiff::civil::date(1970, 1, 1).checked_add(jiff::Span::new().try_days(days).ok()?).ok()
}

fn time(nanoseconds: i64) -> Option<jiff::civil::Time> {
    let span = jiff::Span::new().try_nanoseconds(nanoseconds).ok()?;
    jiff::civil::Time::midnight().checked_add(span).ok()
}

fn timestamp(nanoseconds: i128) -> Option<String> {
    let date = date(i64::try_from(nanoseconds.div_euclid(DAY)).ok()?)?;
    let time = time(i64::try_from(nanoseconds.rem_euclid(DAY)).ok()?)?;
    Some(date.to_datetime(time).to_string())
}
