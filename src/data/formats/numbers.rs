//! Numbers as people write them: `1.234,5`, `€ 1,234.50`, `12.3 m2`, `(1 234)`, `45 %`.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::data::cells;
use crate::data::config::{ColumnKind, CsvConfig};
use crate::data::table::Column;

/// How the numbers of a column are written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NumberFormat {
    /// Separates the decimals.
    pub decimal: char,
    /// Groups digits by three.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thousands: Option<char>,
    /// Stands before the number: a currency.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub before: String,
    /// Stands after the number: a unit, a currency or `%`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub after: String,
}

/// What the cells of a column allow.
pub enum Found {
    /// They are not numbers.
    No,
    /// They are numbers in one format.
    One(NumberFormat),
    /// Each has one separator with three digits after it: decimals, or a group of a thousand.
    Either {
        /// The separator begins decimals.
        decimals: NumberFormat,
        /// The separator groups thousands.
        groups: NumberFormat,
    },
}

/// A cell taken apart.
struct Parts {
    negative: bool,
    before: String,
    core: String,
    after: String,
}

/// Currencies that may stand before a number.
const CURRENCIES: [&str; 22] = [
    "€", "$", "£", "¥", "₹", "₽", "₩", "₺", "₴", "zł", "kr", "Kč", "EUR", "USD", "GBP", "CHF", "JPY", "CNY",
    "INR", "US$", "Fr.", "R$",
];

/// Longest unit.
const LONGEST_UNIT: usize = 12;

impl NumberFormat {
    fn separators(decimal: char, thousands: Option<char>) -> Self {
        Self { decimal, thousands, before: String::new(), after: String::new() }
    }

    /// With decimal commas and no sign that groups digits: the same with points that do.
    pub fn with_points(&self) -> Option<Self> {
        (self.decimal == ',' && self.thousands.is_none())
            .then(|| Self { thousands: Some('.'), ..self.clone() })
    }

    /// Whether the standard parser reads it.
    pub fn is_plain(&self) -> bool {
        *self == Self::separators('.', None)
    }

    /// Whether a cell has a separator.
    pub fn separates(&self, cell: &str) -> bool {
        cell.contains([',', '.'])
    }

    /// The number in the standard notation.
    pub fn plain(&self, cell: &str) -> Option<String> {
        let parts = take_apart(cell)?;
        let affix = |found: &str, expected: &str| found.is_empty() || found == expected;
        if !affix(&parts.before, &self.before) || !affix(&parts.after, &self.after) {
            return None;
        }
        let digits = self.digits(&parts.core)?;
        Some(if parts.negative { format!("-{digits}") } else { digits })
    }

    /// Digits with a decimal point.
    fn digits(&self, core: &str) -> Option<String> {
        let (mantissa, exponent) = match core.find(['e', 'E']) {
            Some(at) => core.split_at(at),
            None => (core, ""),
        };
        let (whole, decimals) = match mantissa.split_once(self.decimal) {
            Some((whole, decimals)) => (whole, Some(decimals)),
            None => (mantissa, None),
        };
        let all_digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
        let joined = match self.thousands {
            // Nobody groups the digits of a mantissa, or begins with a group of 0.
            Some(separator)
                if whole.contains(separator) && (!exponent.is_empty() || whole.starts_with('0')) =>
            {
                return None;
            }
            Some(separator) if whole.contains(separator) => {
                let groups: Vec<&str> = whole.split(separator).collect();
                let first = (1..=3).contains(&groups[0].len());
                if !first || groups[1..].iter().any(|group| group.len() != 3) {
                    return None;
                }
                groups.concat()
            }
            _ => whole.to_string(),
        };
        if !all_digits(&joined) || !decimals.is_none_or(all_digits) {
            return None;
        }
        let decimals = decimals.unwrap_or_default();
        if joined.is_empty() && decimals.is_empty() {
            return None;
        }
        let point = if decimals.is_empty() { String::new() } else { format!(".{decimals}") };
        let whole = if joined.is_empty() { "0" } else { &joined };
        let text = format!("{whole}{point}{exponent}");
        cells::number(&text).map(|_| text)
    }

    /// What was found, for people.
    pub fn describe(&self) -> String {
        let mut parts = vec![];
        if self.decimal == ',' {
            parts.push("a decimal comma".to_string());
        }
        match self.thousands {
            Some(' ') => parts.push("thousands grouped by spaces".into()),
            Some(separator) => parts.push(format!("thousands grouped by `{separator}`")),
            None => {}
        }
        for affix in [&self.before, &self.after] {
            if !affix.is_empty() {
                parts.push(format!("`{affix}`"));
            }
        }
        if parts.is_empty() {
            return "numbers with brackets or signs of their own".into();
        }
        format!("numbers with {}", parts.join(" and "))
    }
}

/// The format of a column of numbers in the standard notation: some might be thousands, such as `1.234` beside other
/// columns with decimal commas.
pub fn find_plain(column: &Column) -> Found {
    let point = NumberFormat::separators('.', None);
    let groups = NumberFormat::separators(',', Some('.'));
    let grouped = |cell: &str| groups.plain(cell).is_some() && cell.matches('.').count() == 1;
    let group = |x: f64, decimals: u8| decimals == 3 && (1.0..1000.0).contains(&x.abs());
    let has_point = |cell: &str| cell.contains('.');
    let other = column
        .any(|x, decimals| decimals > 0 && !group(x, decimals), |cell| has_point(cell) && !grouped(cell));
    if !other && column.any(|_, decimals| decimals > 0, has_point) {
        return Found::Either { decimals: point, groups };
    }
    Found::One(point)
}

/// The format of a column, if its cells are numbers; those `present` come with how often they occur.
pub fn find(present: &[(Cow<'_, str>, usize)], given: Option<ColumnKind>, csv: &CsvConfig) -> Found {
    let all: usize = present.iter().map(|(_, count)| count).sum();
    let parts: Vec<(Option<Parts>, usize)> =
        present.iter().map(|(cell, count)| (take_apart(cell), *count)).collect();
    let known = || parts.iter().filter_map(|(part, count)| Some((part.as_ref()?, *count)));
    let fitting = |count: usize| match given {
        Some(ColumnKind::Number) => 2 * count > all,
        // Where the type is not given, a few numbers among names do not make a column of numbers.
        _ => 10 * count >= 9 * all,
    };
    if !fitting(known().map(|(_, count)| count).sum()) {
        return Found::No;
    }
    let Some((before, after)) = affixes(known(), given) else { return Found::No };
    let zeros =
        |p: &Parts| p.core.len() > 1 && p.core.starts_with('0') && p.core.bytes().all(|b| b.is_ascii_digit());
    let has_affix = !(before.is_empty() && after.is_empty());
    if given != Some(ColumnKind::Number) && has_affix && known().any(|(part, _)| zeros(part)) {
        return Found::No;
    }
    let mut candidates = vec![];
    for decimal in ['.', ','] {
        for thousands in [None, Some(','), Some('.'), Some(' '), Some('\'')] {
            let allowed = csv.decimal.is_none_or(|d| d == decimal)
                && (csv.thousands.is_none() || thousands.is_none() || csv.thousands == thousands);
            if thousands == Some(decimal) || !allowed {
                continue;
            }
            let format = NumberFormat { decimal, thousands, before: before.clone(), after: after.clone() };
            let fits = present.iter().filter(|(cell, _)| format.plain(cell).is_some());
            let count = fits.map(|(_, count)| count).sum();
            candidates.push((count, format));
        }
    }
    // The first of the best: without grouping before with it, points before commas.
    let Some(most) = candidates.iter().map(|(count, _)| *count).max().filter(|&most| fitting(most)) else {
        return Found::No;
    };
    let best: Vec<NumberFormat> =
        candidates.into_iter().filter(|(count, _)| *count == most).map(|(_, format)| format).collect();
    let comma = best.iter().find(|f| f.decimal == ',');
    let point = best.iter().find(|f| f.decimal == '.');
    let separated = present.iter().any(|(cell, _)| cell.contains([',', '.']));
    match (comma, point) {
        (Some(comma), Some(point)) if separated => {
            let commas = present.iter().any(|(cell, _)| cell.contains(','));
            // The separator that occurs is read as decimals by one, and as groups by the other.
            let (decimal, groups) = if commas { (comma, point) } else { (point, comma) };
            Found::Either { decimals: decimal.clone(), groups: groups.clone() }
        }
        _ => Found::One(best[0].clone()),
    }
}

/// The text before and after the numbers, if it is the same wherever there is any.
fn affixes<'p>(
    parts: impl Iterator<Item = (&'p Parts, usize)>,
    given: Option<ColumnKind>,
) -> Option<(String, String)> {
    let (mut before, mut after) = (String::new(), String::new());
    let (mut found, mut all) = (0, 0);
    for (part, count) in parts {
        all += count;
        found += count * usize::from(!part.before.is_empty() || !part.after.is_empty());
        for (known, new) in [(&mut before, &part.before), (&mut after, &part.after)] {
            if new.is_empty() {
                continue;
            }
            if known.is_empty() {
                known.clone_from(new);
            } else if known != new && given != Some(ColumnKind::Number) {
                return None;
            }
        }
    }
    // A unit that only some of the numbers have leaves open what the others are.
    let consistent = found == 0 || 2 * found > all || given == Some(ColumnKind::Number);
    consistent.then_some((before, after))
}

/// Takes a cell apart: sign, currency, number, unit. `None` if there is no number, or other text.
fn take_apart(cell: &str) -> Option<Parts> {
    let text: String = cell
        .trim()
        .chars()
        .map(|c| match c {
            '\u{2212}' => '-',
            '\u{a0}' | '\u{202f}' | '\u{2009}' => ' ',
            '\u{2019}' => '\'',
            other => other,
        })
        .collect();
    let (text, bracketed) = match text.strip_prefix('(').and_then(|t| t.strip_suffix(')')) {
        Some(inner) => (inner.trim().to_string(), true),
        None => (text, false),
    };
    let bytes = text.as_bytes();
    let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let first =
        (0..bytes.len()).find(|&at| digit(at) || (matches!(bytes[at], b'.' | b',') && digit(at + 1)))?;
    let mut end = first;
    while end < bytes.len() {
        let group = |at: usize| (1..=3).all(|k| digit(at + k)) && !digit(at + 4);
        let exponent = |at: usize| {
            let sign = usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
            digit(at + 1 + sign)
        };
        match bytes[end] {
            b'0'..=b'9' => end += 1,
            b'.' | b',' if digit(end + 1) => end += 1,
            b' ' | b'\'' if group(end) => end += 1,
            // `1e5`, but not the unit of `5 eV`.
            b'e' | b'E' if exponent(end) => {
                end += 2;
                while digit(end) {
                    end += 1;
                }
                break;
            }
            _ => break,
        }
    }
    let mut before = text[..first].trim().to_string();
    let mut negative = bracketed;
    if let Some(rest) =
        before.strip_prefix(['-', '+']).map(|r| (r.trim().to_string(), before.starts_with('-')))
    {
        (before, negative) = (rest.0, negative ^ rest.1);
    } else if let Some(rest) =
        before.strip_suffix(['-', '+']).map(|r| (r.trim().to_string(), before.ends_with('-')))
    {
        (before, negative) = (rest.0, negative ^ rest.1);
    }
    let after = text[end..].trim().to_string();
    let is_currency = |text: &str| CURRENCIES.contains(&text);
    if !(before.is_empty() || is_currency(&before)) || !(after.is_empty() || is_unit(&after)) {
        return None;
    }
    Some(Parts { negative, before, core: text[first..end].to_string(), after })
}

/// Whether this may be a unit: `%`, `m2`, `km/h`, `°C`, a currency.
fn is_unit(text: &str) -> bool {
    let first = |c: char| c.is_alphabetic() || "%‰°€$£¥₹₽₩₺₴µ".contains(c);
    let inner = |c: char| first(c) || c.is_ascii_digit() || "²³/·^. ".contains(c);
    text.chars().count() <= LONGEST_UNIT && text.chars().next().is_some_and(first) && text.chars().all(inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(cells: &[&str], csv: &CsvConfig) -> Found {
        let column: Column = cells.iter().collect();
        if column.is_numeric() { find_plain(&column) } else { find(&column.present(), None, csv) }
    }

    fn one(cells: &[&str]) -> Vec<String> {
        let Found::One(format) = found(cells, &CsvConfig::default()) else { panic!("{cells:?}") };
        cells.iter().map(|cell| format.plain(cell).unwrap()).collect()
    }

    #[test]
    fn numbers_are_read_as_they_are_written() {
        assert_eq!(one(&["1,5", "12,75", "-3,0"]), ["1.5", "12.75", "-3.0"]);
        assert_eq!(one(&["1.234,5", "12,0", "1.234.567,25"]), ["1234.5", "12.0", "1234567.25"]);
        assert_eq!(one(&["1,234.5", "1,234,567"]), ["1234.5", "1234567"]);
        assert_eq!(one(&["12.3 m2", "7 m2", "0.5 m2"]), ["12.3", "7", "0.5"]);
        assert_eq!(one(&["12.3%", "-7 %"]), ["12.3", "-7"]);
        assert_eq!(one(&["€380,077.10", "-€5.00", "€ -2"]), ["380077.10", "-5.00", "-2"]);
        assert_eq!(one(&["1 234,5 kg", "12\u{a0}000,1 kg"]), ["1234.5", "12000.1"]);
        assert_eq!(one(&["(1,234.0)", "5.5"]), ["-1234.0", "5.5"]);
        assert_eq!(one(&["1'234.50", "7"]), ["1234.50", "7"]);
        assert_eq!(one(&["\u{2212}1,5e3", "2,5"]), ["-1.5e3", "2.5"]);
        assert_eq!(one(&["5 eV", "7.5 eV"]), ["5", "7.5"]);
        assert_eq!(one(&["(1328.18)", "12.5"]), ["-1328.18", "12.5"]);
        assert_eq!(one(&["-1,328e+03", "2,237e+03"]), ["-1.328e+03", "2.237e+03"]);
        assert_eq!(one(&["0,702", "0,026"]), ["0.702", "0.026"]);
    }

    #[test]
    fn names_stay_names() {
        for cells in [
            &["Z02141", "Z01198"][..],
            &["12 m", "3 km"],
            &["12a", "12b"],
            &["02141 x", "01198 x"],
            &["10-20", "20-30"],
            &["192.168.0.1", "10.0.0.2"],
            &["00000000-2cb414bf", "00000001-1a4e1d7b"],
            &["north", "5 m", "south"],
        ] {
            assert!(matches!(found(cells, &CsvConfig::default()), Found::No), "{cells:?}");
        }
    }

    #[test]
    fn what_may_be_thousands_or_decimals_is_told() {
        for cells in [&["1,234", "5,678"][..], &["1.234", "5.678", "9"], &["1,234 kg", "5 kg"]] {
            assert!(matches!(found(cells, &CsvConfig::default()), Found::Either { .. }), "{cells:?}");
        }
        let csv = CsvConfig { decimal: Some(','), ..CsvConfig::default() };
        assert!(matches!(found(&["1,234", "5,678"], &csv), Found::One(f) if f.decimal == ','));
    }
}
