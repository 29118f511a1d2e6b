//! A column of a table. Its cells are texts, of which plain numbers are kept as numbers: four bytes for most, and
//! nothing that was written is lost.

mod bytes;
mod coded;
mod texts;

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::written::Written;
use crate::base::names::normal;
use crate::data::cells;
use coded::{Coded, SHORTEST, Slot};
use texts::Texts;

/// The cells of a column; an empty one is a missing value.
#[derive(Clone, Debug)]
pub struct Column(Cells);

#[derive(Clone, Debug)]
enum Cells {
    /// Numbers, and texts that repeat.
    Coded(Coded),
    /// More different texts than codes.
    Texts(Texts),
}

/// A cell that is not missing.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell<'c> {
    /// A number, and how many digits stand after its point.
    Number(f64, u8),
    /// Any other text.
    Text(Cow<'c, str>),
}

impl Default for Column {
    fn default() -> Self {
        Self(Cells::Coded(Coded::default()))
    }
}

impl<S: AsRef<str>> FromIterator<S> for Column {
    fn from_iter<I: IntoIterator<Item = S>>(cells: I) -> Self {
        let mut column = Self::default();
        cells.into_iter().for_each(|cell| column.push(cell.as_ref()));
        column
    }
}

/// Columns are equal if their cells have the same texts.
impl PartialEq for Column {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && (0..self.len()).all(|row| self.text(row) == other.text(row))
    }
}

impl Column {
    /// A column whose cells are all kept as texts.
    pub fn of_texts() -> Self {
        Self(Cells::Texts(Texts::default()))
    }

    /// Number of cells.
    pub fn len(&self) -> usize {
        match &self.0 {
            Cells::Coded(coded) => coded.len(),
            Cells::Texts(texts) => texts.len(),
        }
    }

    /// Whether there are no cells.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether cells are kept as texts, because they differ too much.
    pub fn is_texts(&self) -> bool {
        matches!(self.0, Cells::Texts(_))
    }

    /// Room for `rows` more cells like those that are here.
    pub fn reserve(&mut self, rows: usize) {
        match &mut self.0 {
            Cells::Coded(coded) => coded.reserve(rows),
            Cells::Texts(texts) => texts.reserve(rows),
        }
    }

    /// Whether a value is missing.
    pub fn is_missing(&self, row: usize) -> bool {
        match &self.0 {
            Cells::Coded(coded) => coded.is_missing(row),
            Cells::Texts(texts) => texts.get(row).is_empty(),
        }
    }

    /// Number of missing values.
    pub fn missing(&self) -> usize {
        match &self.0 {
            Cells::Coded(coded) => coded.missing(),
            Cells::Texts(texts) => texts.iter().filter(|text| text.is_empty()).count(),
        }
    }

    /// A cell as it is written; empty if the value is missing.
    pub fn text(&self, row: usize) -> Cow<'_, str> {
        match &self.0 {
            Cells::Coded(coded) => coded.text(row),
            Cells::Texts(texts) => texts.get(row).into(),
        }
    }

    /// Appends a cell.
    pub fn push(&mut self, cell: &str) {
        match Written::of(cell) {
            Some(number) => self.push_written(number),
            None => self.push_text(&normal(cell)),
        }
    }

    /// Appends a number.
    #[inline]
    pub fn push_written(&mut self, number: Written) {
        let stored = match &mut self.0 {
            Cells::Coded(coded) => coded.push_written(number),
            Cells::Texts(_) => false,
        };
        if !stored {
            self.push_text(&number.text());
        }
    }

    /// Appends a number whose text is the shortest that stands for it; what is not finite is a text.
    pub fn push_number(&mut self, value: f64) {
        let whole = value.fract() == 0.0 && value.abs() < 1e15;
        match &mut self.0 {
            Cells::Coded(coded) if !whole && value.abs() <= f64::from(f32::MAX) => coded.push_shortest(value),
            _ => self.push(&value.to_string()),
        }
    }

    /// Appends a cell that is no plain number.
    fn push_text(&mut self, text: &str) {
        if let Cells::Coded(coded) = &mut self.0
            && coded.push_name(text)
        {
            return;
        }
        self.make_texts();
        if let Cells::Texts(texts) = &mut self.0 {
            texts.push(text);
        }
    }

    /// Keeps cells as texts from now on.
    fn make_texts(&mut self) {
        if let Cells::Coded(coded) = &self.0 {
            let mut texts = Texts::default();
            (0..coded.len()).for_each(|row| texts.push(&coded.text(row)));
            self.0 = Cells::Texts(texts);
        }
    }

    /// Appends the cells of another column.
    pub fn append(&mut self, other: Self) {
        if self.is_empty() && !self.is_texts() {
            *self = other;
            return;
        }
        if let (Cells::Coded(coded), Cells::Coded(others)) = (&mut self.0, &other.0)
            && coded.append(others)
        {
            return;
        }
        self.make_texts();
        if let Cells::Texts(texts) = &mut self.0 {
            match &other.0 {
                Cells::Coded(others) => (0..others.len()).for_each(|row| texts.push(&others.text(row))),
                Cells::Texts(others) => texts.append(others),
            }
        }
    }

    /// Appends a cell of another column.
    pub fn push_cell(&mut self, other: &Self, row: usize) {
        match other.cell(row) {
            None => self.push_text(""),
            Some(Cell::Number(value, SHORTEST)) => self.push_number(value),
            Some(_) => self.push(&other.text(row)),
        }
    }

    /// Appends missing values.
    pub fn push_missing(&mut self, count: usize) {
        (0..count).for_each(|_| self.push_text(""));
    }

    /// A cell; `None` if its value is missing.
    pub fn cell(&self, row: usize) -> Option<Cell<'_>> {
        match &self.0 {
            Cells::Coded(coded) => match coded.slot(row) {
                Slot::Code(0) => None,
                Slot::Code(code) => Some(Cell::Text((&*coded.names()[code as usize - 1]).into())),
                Slot::Number(x) => Some(Cell::Number(x, coded.decimals(row))),
            },
            Cells::Texts(texts) => {
                Some(texts.get(row)).filter(|text| !text.is_empty()).map(|text| Cell::Text(text.into()))
            }
        }
    }

    /// Whether any cell is a number or text for which this holds. A number whose decimals are not known is a text.
    pub fn any(&self, number: impl Fn(f64, u8) -> bool, text: impl Fn(&str) -> bool) -> bool {
        let holds = |cell: Cell, row: usize| match cell {
            Cell::Number(_, SHORTEST) => text(&self.text(row)),
            Cell::Number(x, decimals) => number(x, decimals),
            Cell::Text(found) => text(&found),
        };
        match &self.0 {
            Cells::Coded(coded) => {
                let names = coded.names().iter().zip(coded.counts().into_iter().skip(1));
                names.into_iter().any(|(name, count)| count > 0 && text(name))
                    || (0..self.len()).any(|row| match coded.slot(row) {
                        Slot::Number(x) => holds(Cell::Number(x, coded.decimals(row)), row),
                        Slot::Code(_) => false,
                    })
            }
            Cells::Texts(texts) => texts.iter().any(|cell| !cell.is_empty() && text(cell)),
        }
    }

    /// The cells that are not missing, with how often each occurs: in the order in which they are first found, if
    /// none is a number, else one by one.
    pub fn present(&self) -> Vec<(Cow<'_, str>, usize)> {
        if let Cells::Coded(coded) = &self.0 {
            let counts = coded.counts();
            if counts.iter().sum::<usize>() == coded.len() {
                let names = coded.names().iter().zip(counts.into_iter().skip(1));
                return names
                    .filter(|(_, count)| *count > 0)
                    .map(|(name, count)| ((&**name).into(), count))
                    .collect();
            }
        }
        (0..self.len()).map(|row| (self.text(row), 1)).filter(|(text, _)| !text.is_empty()).collect()
    }

    /// Reads cells by their texts; those that repeat are read once.
    pub fn read<'c, T: Copy + 'c>(&'c self, read: impl Fn(&str) -> T + 'c) -> impl Fn(usize) -> T + 'c {
        let of_codes: Vec<T> = match &self.0 {
            Cells::Coded(coded) => {
                std::iter::once("").chain(coded.names().iter().map(|name| &**name)).map(&read).collect()
            }
            Cells::Texts(_) => vec![],
        };
        move |row| match &self.0 {
            Cells::Coded(coded) => match coded.slot(row) {
                Slot::Code(code) => of_codes[code as usize],
                Slot::Number(_) => read(&coded.text(row)),
            },
            Cells::Texts(texts) => read(texts.get(row)),
        }
    }

    /// Reads cells as numbers ([`cells::number`]).
    pub fn numbers(&self) -> impl Fn(usize) -> Option<f64> + '_ {
        let of_codes: Vec<Option<f64>> = match &self.0 {
            Cells::Coded(coded) => {
                std::iter::once(None).chain(coded.names().iter().map(|name| cells::number(name))).collect()
            }
            Cells::Texts(_) => vec![],
        };
        move |row| match &self.0 {
            Cells::Coded(coded) => match coded.slot(row) {
                Slot::Code(code) => of_codes[code as usize],
                Slot::Number(x) => Some(x),
            },
            Cells::Texts(texts) => cells::number(texts.get(row)),
        }
    }

    /// Whether every cell that is not missing is a number.
    pub fn is_numeric(&self) -> bool {
        match &self.0 {
            Cells::Coded(coded) => {
                let names = coded.names().iter();
                let odd: Vec<bool> = names.map(|name| cells::number(name).is_none()).collect();
                !odd.contains(&true) || {
                    let counts = coded.counts();
                    odd.iter().zip(&counts[1..]).all(|(odd, count)| !odd || *count == 0)
                }
            }
            Cells::Texts(texts) => texts.iter().all(|text| text.is_empty() || cells::number(text).is_some()),
        }
    }

    /// Whole numbers in place of the numbers, of which they are the same multiple, if that needs no reading.
    pub fn digits(&self) -> Option<impl Iterator<Item = Option<i32>>> {
        match &self.0 {
            Cells::Coded(coded) if !coded.names().iter().any(|name| cells::number(name).is_some()) => {
                coded.digits()
            }
            _ => None,
        }
    }

    /// Marks the cells as missing whose text is `missing`, or whose number is among `numbers`; counts them by their texts.
    pub fn clear(
        &mut self,
        missing: impl Fn(&str) -> bool,
        numbers: &[f64],
        found: &mut BTreeMap<String, usize>,
    ) {
        match &mut self.0 {
            Cells::Coded(coded) => {
                let marks: Vec<bool> = coded.names().iter().map(|name| missing(name)).collect();
                if !marks.contains(&true) && numbers.is_empty() {
                    return;
                }
                for row in 0..coded.len() {
                    let marks = match coded.slot(row) {
                        Slot::Code(code) => code > 0 && marks[code as usize - 1],
                        Slot::Number(x) => numbers.contains(&x),
                    };
                    if marks {
                        *found.entry(coded.text(row).into_owned()).or_default() += 1;
                        coded.clear(row);
                    }
                }
            }
            Cells::Texts(texts) => {
                if !texts.iter().any(|text| !text.is_empty() && missing(text)) {
                    return;
                }
                let mut column = Self::default();
                for text in texts.iter() {
                    if !text.is_empty() && missing(text) {
                        *found.entry(text.to_string()).or_default() += 1;
                        column.push("");
                    } else {
                        column.push(text);
                    }
                }
                *self = column;
            }
        }
    }

    /// Rewrites the cells that are not missing and for which `plain` gives another text.
    pub fn rewrite(&mut self, plain: impl Fn(&str) -> Option<String>) {
        let mut column = Self::default();
        let Cells::Coded(coded) = &self.0 else {
            for row in 0..self.len() {
                let text = self.text(row);
                let other = if text.is_empty() { None } else { plain(&text) };
                column.push(other.as_deref().unwrap_or(&text));
            }
            *self = column;
            return;
        };
        let others: Vec<Option<String>> = coded.names().iter().map(|name| plain(name)).collect();
        for row in 0..coded.len() {
            let text = coded.text(row);
            match coded.slot(row) {
                Slot::Code(0) => column.push(""),
                Slot::Code(code) => column.push(others[code as usize - 1].as_deref().unwrap_or(&text)),
                Slot::Number(_) => column.push(plain(&text).as_deref().unwrap_or(&text)),
            }
        }
        *self = column;
    }
}
