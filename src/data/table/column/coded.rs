//! Cells in words of four or eight bytes: numbers, or codes of texts that repeat.

use std::borrow::Cow;
use std::collections::HashMap;

use super::super::written::{Written, scaled};

/// Most different texts.
const MOST_NAMES: u32 = 65_535;

/// The least number that is stored in four bytes; those below are codes.
const LEAST: i32 = i32::MIN + 1 + MOST_NAMES as i32;

/// Decimals of a number whose text is the shortest that stands for it.
pub const SHORTEST: u8 = u8::MAX;

/// The bits of the not-a-number that stands for a missing cell in eight bytes; codes of texts are added.
const CODES: u64 = 0x7ff8_0000_0000_0000;

/// What is stored of a cell.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Slot {
    /// A number.
    Number(f64),
    /// 0 if the cell is missing, else one more than the place of its text among the names.
    Code(u32),
}

#[derive(Clone, Debug)]
pub(super) enum Values {
    /// The digits of numbers, and codes.
    Small(Vec<i32>),
    /// Numbers, and codes.
    Wide(Vec<f64>),
}

/// Digits after the point.
#[derive(Clone, Debug)]
pub(super) enum Decimals {
    /// The same in all numbers.
    All(u8),
    /// Those of each cell; of no meaning where it is no number.
    Each(Vec<u8>),
}

/// Cells as numbers and codes.
#[derive(Clone, Debug)]
pub struct Coded {
    pub(super) values: Values,
    /// `None` before the first number.
    pub(super) decimals: Option<Decimals>,
    pub(super) names: Vec<Box<str>>,
    pub(super) codes: HashMap<Box<str>, u32>,
}

impl Default for Coded {
    fn default() -> Self {
        Self { values: Values::Small(vec![]), decimals: None, names: vec![], codes: HashMap::new() }
    }
}

/// The bits of four bytes that hold a code.
fn small(code: u32) -> i32 {
    i32::MIN.wrapping_add_unsigned(code)
}

/// The eight bytes that hold a code.
fn wide(code: u32) -> f64 {
    f64::from_bits(CODES | u64::from(code))
}

impl Coded {
    /// Number of cells.
    pub fn len(&self) -> usize {
        match &self.values {
            Values::Small(values) => values.len(),
            Values::Wide(values) => values.len(),
        }
    }

    /// The texts that are no plain numbers, in the order in which they were found; some may no longer occur.
    pub fn names(&self) -> &[Box<str>] {
        &self.names
    }

    /// Room for `rows` more cells.
    pub fn reserve(&mut self, rows: usize) {
        match &mut self.values {
            Values::Small(values) => values.reserve_exact(rows),
            Values::Wide(values) => values.reserve_exact(rows),
        }
        if let Some(Decimals::Each(each)) = &mut self.decimals {
            each.reserve_exact(rows);
        }
    }

    /// Digits after the point of the number in a cell.
    #[inline]
    pub fn decimals(&self, row: usize) -> u8 {
        match &self.decimals {
            Some(Decimals::All(decimals)) => *decimals,
            Some(Decimals::Each(each)) => each[row],
            None => 0,
        }
    }

    /// A cell.
    #[inline]
    pub fn slot(&self, row: usize) -> Slot {
        match &self.values {
            Values::Small(values) if values[row] >= LEAST => {
                Slot::Number(scaled(f64::from(values[row]), self.decimals(row)))
            }
            Values::Small(values) => Slot::Code(values[row].wrapping_sub(i32::MIN) as u32),
            Values::Wide(values) if values[row].is_nan() => Slot::Code(values[row].to_bits() as u32),
            Values::Wide(values) => Slot::Number(values[row]),
        }
    }

    /// The text of a cell.
    pub fn text(&self, row: usize) -> Cow<'_, str> {
        let x = match self.slot(row) {
            Slot::Code(0) => return "".into(),
            Slot::Code(code) => return (&*self.names[code as usize - 1]).into(),
            Slot::Number(x) => x,
        };
        let decimals = self.decimals(row);
        match &self.values {
            Values::Small(values) => {
                let digits = u64::from(values[row].unsigned_abs());
                Written { negative: values[row] < 0, digits, decimals }.text().into()
            }
            Values::Wide(_) if decimals == SHORTEST => x.to_string().into(),
            Values::Wide(_) => format!("{x:.*}", usize::from(decimals)).into(),
        }
    }

    /// The whole numbers that are `10^decimals` times those in the cells, row by row, with the decimals, if all are
    /// stored in four bytes and have as many; `None` for other cells.
    pub fn digits(&self) -> Option<impl Iterator<Item = Option<i32>>> {
        match (&self.values, &self.decimals) {
            (Values::Small(values), Some(Decimals::All(_)) | None) => {
                Some(values.iter().map(|&v| (v >= LEAST).then_some(v)))
            }
            _ => None,
        }
    }

    /// Appends a cell that is missing, or has a known text.
    fn push_code(&mut self, code: u32) {
        match &mut self.values {
            Values::Small(values) => values.push(small(code)),
            Values::Wide(values) => values.push(wide(code)),
        }
        if let Some(Decimals::Each(each)) = &mut self.decimals {
            each.push(0);
        }
    }

    /// Appends a text that is no plain number; an empty one is a missing cell. False if there are too many.
    pub fn push_name(&mut self, text: &str) -> bool {
        let code = self.code(text);
        code.inspect(|&code| self.push_code(code)).is_some()
    }

    /// The code of a text.
    fn code(&mut self, text: &str) -> Option<u32> {
        if text.is_empty() {
            return Some(0);
        }
        if let Some(&code) = self.codes.get(text) {
            return Some(code);
        }
        let code = self.names.len() as u32 + 1;
        if code > MOST_NAMES {
            return None;
        }
        self.names.push(text.into());
        self.codes.insert(text.into(), code);
        Some(code)
    }

    /// Appends a number. False if its text could not be given back.
    #[inline]
    pub fn push_written(&mut self, number: Written) -> bool {
        if number.negative && number.digits == 0 {
            return false;
        }
        if number.digits <= i64::from(LEAST).unsigned_abs()
            && let Values::Small(values) = &mut self.values
        {
            let digits = number.digits as i32;
            values.push(if number.negative { -digits } else { digits });
            self.push_decimals(number.decimals);
            return true;
        }
        let Some(value) = number.value() else { return false };
        self.push_wide(value, number.decimals);
        true
    }

    /// Appends a finite number whose text is the shortest that stands for it.
    pub fn push_shortest(&mut self, value: f64) {
        self.push_wide(value, SHORTEST);
    }

    fn push_wide(&mut self, value: f64, decimals: u8) {
        self.widen();
        if let Values::Wide(values) = &mut self.values {
            values.push(value);
        }
        self.push_decimals(decimals);
    }

    /// The decimals of the number that was just appended.
    #[inline]
    fn push_decimals(&mut self, decimals: u8) {
        match &mut self.decimals {
            Some(Decimals::All(all)) if *all == decimals => {}
            Some(Decimals::Each(each)) => each.push(decimals),
            None => self.decimals = Some(Decimals::All(decimals)),
            Some(Decimals::All(all)) => {
                let all = *all;
                let mut each = vec![all; self.len() - 1];
                each.push(decimals);
                self.decimals = Some(Decimals::Each(each));
            }
        }
    }

    /// Puts the cells into eight bytes.
    fn widen(&mut self) {
        if let Values::Small(_) = &self.values {
            let value = |row| match self.slot(row) {
                Slot::Number(x) => x,
                Slot::Code(code) => wide(code),
            };
            self.values = Values::Wide((0..self.len()).map(value).collect());
        }
    }

    /// Appends the cells of another column. False, and nothing is appended, if there are too many texts.
    pub fn append(&mut self, other: &Self) -> bool {
        let mut codes = vec![0];
        for name in &other.names {
            let Some(code) = self.code(name) else { return false };
            codes.push(code);
        }
        let (before, more) = (self.len(), other.len());
        match (&mut self.values, &other.values) {
            (Values::Small(values), Values::Small(others)) => {
                let recoded =
                    |&v: &i32| if v < LEAST { small(codes[v.wrapping_sub(i32::MIN) as usize]) } else { v };
                values.extend(others.iter().map(recoded));
            }
            _ => {
                let value = |row| match other.slot(row) {
                    Slot::Number(x) => x,
                    Slot::Code(code) => wide(codes[code as usize]),
                };
                let others = (0..more).map(value);
                self.widen();
                if let Values::Wide(values) = &mut self.values {
                    values.extend(others);
                }
            }
        }
        let of = |decimals: &Decimals, rows: usize| match decimals {
            Decimals::All(all) => vec![*all; rows],
            Decimals::Each(each) => each.clone(),
        };
        match (&mut self.decimals, &other.decimals) {
            (Some(Decimals::All(a)), Some(Decimals::All(b))) if a == b => {}
            (Some(Decimals::Each(each)), Some(decimals)) => match decimals {
                Decimals::All(all) => each.extend(std::iter::repeat_n(*all, more)),
                Decimals::Each(others) => each.extend(others),
            },
            (Some(Decimals::Each(each)), None) => each.extend(std::iter::repeat_n(0, more)),
            (Some(Decimals::All(_)), None) | (None, None) => {}
            (None, Some(Decimals::All(all))) => self.decimals = Some(Decimals::All(*all)),
            (known, Some(decimals)) => {
                let mut each = known.as_ref().map_or_else(|| vec![0; before], |known| of(known, before));
                each.extend(of(decimals, more));
                self.decimals = Some(Decimals::Each(each));
            }
        }
        true
    }

    /// Marks a cell as missing.
    pub fn clear(&mut self, row: usize) {
        match &mut self.values {
            Values::Small(values) => values[row] = small(0),
            Values::Wide(values) => values[row] = wide(0),
        }
    }

    /// Whether a cell is missing.
    #[inline]
    pub fn is_missing(&self, row: usize) -> bool {
        match &self.values {
            Values::Small(values) => values[row] == small(0),
            Values::Wide(values) => values[row].to_bits() == CODES,
        }
    }

    /// Number of missing cells.
    pub fn missing(&self) -> usize {
        match &self.values {
            Values::Small(values) => values.iter().filter(|&&v| v == small(0)).count(),
            Values::Wide(values) => values.iter().filter(|v| v.to_bits() == CODES).count(),
        }
    }

    /// How often each code occurs.
    pub fn counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.names.len() + 1];
        if self.names.is_empty() {
            counts[0] = self.missing();
            return counts;
        }
        for row in 0..self.len() {
            if let Slot::Code(code) = self.slot(row) {
                counts[code as usize] += 1;
            }
        }
        counts
    }
}
