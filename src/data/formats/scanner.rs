//! Dates as people write them: `31/01/2021`, `01/31/2021 5:30 PM`, `31.01.21`, `31 Jan 2021`, `2021/01/31`,
//! `2021-01`, with or without a time and an offset from UTC.

use jiff::civil::{Date, DateTime, Time};

use crate::data::config::DateOrder;

/// A date, or a date and a time, as a cell holds it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Written {
    /// In UTC, if there is an offset.
    pub time: DateTime,
    /// Whether an offset from UTC follows the time.
    pub has_offset: bool,
    /// The year, if it has two digits.
    pub short_year: Option<i16>,
}

/// The first of the hundred years that two digits mean in POSIX.
pub const FIRST_YEAR: i16 = 1969;

/// Reads a date, or a date and a time; years of two digits are those of the hundred years from `first_year`.
pub fn parse(cell: &str, order: DateOrder, first_year: i16) -> Option<Written> {
    let mut scanner = Scanner { text: cell.trim().as_bytes(), at: 0, first_year, short_year: None };
    let date = scanner.date(order)?;
    let short_year = scanner.short_year;
    if scanner.ended() {
        return Some(Written { time: date.to_datetime(Time::midnight()), has_offset: false, short_year });
    }
    if !scanner.take(b'T') && !scanner.blanks() {
        return None;
    }
    scanner.blanks();
    let time = scanner.time()?;
    scanner.blanks();
    let has_offset = !scanner.ended();
    let offset = scanner.offset()?;
    if !scanner.ended() {
        return None;
    }
    let time = date.to_datetime(time).checked_sub(jiff::Span::new().minutes(offset)).ok()?;
    Some(Written { time, has_offset, short_year })
}

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

struct Scanner<'t> {
    text: &'t [u8],
    at: usize,
    /// What years of two digits mean; see [`parse`].
    first_year: i16,
    /// See [`Written`].
    short_year: Option<i16>,
}

impl Scanner<'_> {
    fn ended(&self) -> bool {
        self.at >= self.text.len()
    }

    fn peek(&self) -> u8 {
        self.text.get(self.at).copied().unwrap_or(0)
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == byte;
        self.at += usize::from(found);
        found
    }

    fn blanks(&mut self) -> bool {
        let before = self.at;
        while self.take(b' ') {}
        self.at > before
    }

    /// A number of at most four digits, and how many it has.
    fn number(&mut self) -> Option<(i16, usize)> {
        let start = self.at;
        while self.peek().is_ascii_digit() && self.at - start < 5 {
            self.at += 1;
        }
        let digits = self.at - start;
        let text = std::str::from_utf8(&self.text[start..self.at]).ok()?;
        if digits == 0 || digits > 4 { None } else { Some((text.parse().ok()?, digits)) }
    }

    /// Letters, in lower case.
    fn word(&mut self) -> String {
        let start = self.at;
        while self.peek().is_ascii_alphabetic() {
            self.at += 1;
        }
        String::from_utf8_lossy(&self.text[start..self.at]).to_ascii_lowercase()
    }

    /// The number of a month by its English name.
    fn month(&mut self) -> Option<i16> {
        let word = self.word();
        let at = MONTHS.iter().position(|month| word.len() >= 3 && month[..] == word[..3])?;
        self.take(b'.');
        Some(at as i16 + 1)
    }

    /// A separator between the parts of a date.
    fn separator(&mut self) -> bool {
        let found = matches!(self.peek(), b'-' | b'/' | b'.' | b',' | b' ');
        self.at += usize::from(found);
        found && {
            self.blanks();
            true
        }
    }

    fn date(&mut self, order: DateOrder) -> Option<Date> {
        if self.peek().is_ascii_alphabetic() {
            // `Jan 31, 2021`, perhaps after the day of the week.
            let start = self.at;
            let month = self.month().or_else(|| {
                self.at = start;
                self.word();
                if !self.separator() {
                    return None;
                }
                if self.peek().is_ascii_digit() { Some(0) } else { self.month() }
            })?;
            if month == 0 {
                return self.date(order);
            }
            self.separator();
            let (day, _) = self.number()?;
            self.separator();
            let year = self.number()?;
            return self.of_parts(year, month, day);
        }
        let first = self.number()?;
        let separator = self.peek();
        if !self.separator() {
            return None;
        }
        if self.peek().is_ascii_alphabetic() {
            let month = self.month()?;
            self.separator();
            let last = self.number()?;
            return if first.1 == 4 {
                self.of_parts(first, month, last.0)
            } else {
                self.of_parts(last, month, first.0)
            };
        }
        let second = self.number()?;
        if !matches!(self.peek(), b'-' | b'/' | b'.') {
            // A month: `2021-01`, `01/2021`; but not numbers such as `1006.8`, or codes such as `7/2084`.
            let year = |year: (i16, usize)| year.1 == 4 && (1800..2200).contains(&year.0);
            return match (first, second) {
                _ if !matches!(separator, b'-' | b'/') => None,
                (first, (month, 2)) if year(first) => self.of_parts(first, month, 1),
                ((month, 2), second) if year(second) => self.of_parts(second, month, 1),
                _ => None,
            };
        }
        self.at += 1;
        let third = self.number()?;
        // `10.7.23` may be a version.
        let short = first.1 < 2 || second.1 < 2;
        if separator == b'.' && short && third.1 < 4 && first.1 < 4 {
            return None;
        }
        match order {
            // `21-01-31`, but not `1-1-31`.
            DateOrder::Ymd if first.1 == 4 || (first.1 == 2 && third.1 == 2) => {
                self.of_parts(first, second.0, third.0)
            }
            DateOrder::Dmy if third.1 != 1 && first.1 <= 2 => self.of_parts(third, second.0, first.0),
            DateOrder::Mdy if third.1 != 1 && first.1 <= 2 => self.of_parts(third, first.0, second.0),
            _ => None,
        }
    }

    /// A date whose year has four digits, or two.
    fn of_parts(&mut self, year: (i16, usize), month: i16, day: i16) -> Option<Date> {
        let year = match year {
            (year, 4) => year,
            (year, 2) => {
                self.short_year = Some(year);
                self.first_year + (year - self.first_year).rem_euclid(100)
            }
            _ => return None,
        };
        Date::new(year, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()
    }

    fn time(&mut self) -> Option<Time> {
        let (mut hour, _) = self.number()?;
        let (mut minute, mut second, mut nanosecond) = (0, 0, 0);
        if self.take(b':') {
            minute = self.number()?.0;
            if self.take(b':') {
                second = self.number()?.0;
                if matches!(self.peek(), b'.' | b',') {
                    self.at += 1;
                    let mut scale = 100_000_000;
                    while self.peek().is_ascii_digit() {
                        nanosecond += scale * i32::from(self.peek() - b'0');
                        scale /= 10;
                        self.at += 1;
                    }
                }
            }
        }
        let before = self.at;
        self.blanks();
        let half = self.word();
        match half.as_str() {
            "am" | "a" | "pm" | "p" if (1..=12).contains(&hour) => {
                hour = hour % 12 + if half.starts_with('p') { 12 } else { 0 };
            }
            _ => self.at = before,
        }
        let [hour, minute, second] = [hour, minute, second].map(|x| i8::try_from(x).ok());
        Time::new(hour?, minute?, second?, nanosecond).ok()
    }

    /// Minutes east of UTC; 0 if there is no offset.
    fn offset(&mut self) -> Option<i64> {
        let sign = match self.peek() {
            b'+' => 1,
            b'-' => -1,
            _ => {
                let word = self.word();
                return ["", "z", "utc", "gmt"].contains(&word.as_str()).then_some(0);
            }
        };
        self.at += 1;
        let (mut hours, digits) = self.number()?;
        let mut minutes = 0;
        if digits == 4 {
            (hours, minutes) = (hours / 100, hours % 100);
        } else if self.take(b':') {
            minutes = self.number()?.0;
        }
        // The zones of the world lie between -12:00 and +14:00.
        if hours > 14 || minutes > 59 {
            return None;
        }
        Some(sign * (60 * i64::from(hours) + i64::from(minutes)))
    }
}
