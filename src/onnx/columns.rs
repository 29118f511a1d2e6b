//! From the raw columns of a table to the features of a model: what `data/encode.rs` does to the rows of a
//! file, as a graph. One input for each column, `[N, 1]`, or `[N, T, 1]` for the rows of a window.

use super::assembly::{Assembly, Extent, ROWS};
use super::builder::{int, texts};
use super::cells::Cells;
use super::proto::element;
use super::scale;
use crate::base::order::Order;
use crate::data::config::Calendar;
use crate::data::{Encoding, FittedColumn, FittedScaling};

/// Features under assembly.
#[derive(Debug, Default)]
pub struct Features {
    /// Their number.
    pub width: usize,
    /// Names of tensors whose last axes hold them, in order.
    pub parts: Vec<String>,
    /// Columns of embeddings: name, number of indices, and the indices `[N]`.
    pub categories: Vec<(String, usize, String)>,
}

/// The rows that columns are read of.
#[derive(Clone, Debug)]
pub struct Rows {
    /// Rows of a window, if rows are those of windows.
    pub window: Option<usize>,
    /// How far ahead of the window's rows a column is read.
    pub ahead: Option<usize>,
}

impl Rows {
    fn shape(&self) -> Vec<Extent> {
        let steps = self.window.map(Extent::Fixed);
        [ROWS].into_iter().chain(steps).chain([Extent::Fixed(1)]).collect()
    }

    fn name(&self, column: &str) -> String {
        match self.ahead {
            Some(ahead) => format!("{column} (+{ahead})"),
            None => column.into(),
        }
    }

    /// What is said of which rows an input is of.
    fn of(&self) -> String {
        match (self.window, self.ahead) {
            (None, _) => String::new(),
            (Some(_), None) => ", of the window's rows, oldest first".into(),
            (Some(_), Some(ahead)) => format!(
                ", of the rows {ahead} after each of the window's rows, oldest first (known in advance)"
            ),
        }
    }
}

impl Assembly {
    /// The features of columns. `cells` says how raw values are read.
    ///
    /// # Errors
    /// The name of a column that cannot be encoded in ONNX, and why.
    pub fn columns(
        &mut self,
        columns: &[FittedColumn],
        rows: &Rows,
        cells: &Cells,
    ) -> Result<Features, String> {
        let mut features = Features::default();
        let mut rest = columns;
        while let Some((column, others)) = rest.split_first() {
            // Numbers side by side are one tensor.
            let run = rest.iter().take_while(|column| is_plain(column)).count();
            if run > 1 {
                self.numbers(&rest[..run], rows, cells, &mut features);
                rest = &rest[run..];
                continue;
            }
            rest = others;
            self.column(column, rows, cells, &mut features)?;
        }
        Ok(features)
    }

    fn number_input(&mut self, column: &FittedColumn, rows: &Rows, cells: &Cells) -> String {
        let Encoding::Number { boolean, forward, scaling, .. } = &column.encoding else {
            return String::new();
        };
        let what = if *boolean { "0 or 1" } else { "a number" };
        let missing = if *forward {
            "; where it is missing, the last value before it, or NaN if there is none"
        } else {
            "; NaN where it is missing"
        };
        let meaning =
            format!("column `{}`: {what}{}{missing}{}", column.name, rows.of(), cells.note(&column.name));
        self.wide_input(&rows.name(&column.name), &rows.shape(), &meaning, scaling)
    }

    /// An input for numbers, of which [`scale::offset`] is subtracted.
    pub fn wide_input(
        &mut self,
        name: &str,
        shape: &[Extent],
        meaning: &str,
        scaling: &FittedScaling,
    ) -> String {
        let Some(offset) = scale::offset(scaling) else {
            return self.input(name, element::FLOAT, shape, meaning);
        };
        let x = self.input(name, element::DOUBLE, shape, meaning);
        let b = &mut self.builder;
        let offset = b.double(offset);
        let difference = b.node("Sub", &[&x, &offset], vec![]);
        b.cast(&difference, element::FLOAT)
    }

    /// Numbers that are filled and scaled alike.
    fn numbers(&mut self, columns: &[FittedColumn], rows: &Rows, cells: &Cells, features: &mut Features) {
        let inputs: Vec<String> =
            columns.iter().map(|column| self.number_input(column, rows, cells)).collect();
        let parts = columns.iter().filter_map(|column| match &column.encoding {
            Encoding::Number { fill, scaling, .. } => Some((*fill as f32, scaling)),
            _ => None,
        });
        let (fills, scalings): (Vec<f32>, Vec<&FittedScaling>) = parts.unzip();
        let b = &mut self.builder;
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        let x = b.node("Concat", &inputs, vec![int("axis", -1)]);
        let x = cells.known(b, x, 0.0);
        let missing = b.node("IsNaN", &[&x], vec![]);
        let fills = b.numbers(&[fills.len()], &fills);
        let filled = b.node("Where", &[&missing, &fills, &x], vec![]);
        // None of them takes a logarithm.
        features.parts.extend(scale::apply(b, &filled, &scalings));
        features.width += columns.len();
    }

    fn column(
        &mut self,
        column: &FittedColumn,
        rows: &Rows,
        cells: &Cells,
        features: &mut Features,
    ) -> Result<(), String> {
        match &column.encoding {
            Encoding::Number { fill, clip, scaling, indicator, .. } => {
                let x = self.number_input(column, rows, cells);
                let b = &mut self.builder;
                let offset = scale::offset(scaling).unwrap_or(0.0);
                let x = cells.known(b, x, offset);
                let missing = b.node("IsNaN", &[&x], vec![]);
                let fill = b.number((*fill - offset) as f32);
                let mut filled = b.node("Where", &[&missing, &fill, &x], vec![]);
                if let Some(bounds) = clip {
                    let [low, high] = bounds.map(|bound| b.number((bound - offset) as f32));
                    filled = b.node("Clip", &[&filled, &low, &high], vec![]);
                }
                let scaled = scale::apply(b, &filled, &[&scale::after_offset(scaling)]);
                features.parts.push(scaled.ok_or_else(|| no_scaling(&column.name))?);
                features.width += 1;
                if *indicator {
                    features.parts.push(b.cast(&missing, element::FLOAT));
                    features.width += 1;
                }
            }
            Encoding::OneHot { fill, names, .. } => {
                let ids = self.category(column, rows, cells, fill.as_deref(), names, [0, -1]);
                let b = &mut self.builder;
                let all: Vec<i64> = (0..names.len() as i64).collect();
                let all = b.integers(&all);
                let equal = b.node("Equal", &[&ids, &all], vec![]);
                features.parts.push(b.cast(&equal, element::FLOAT));
                features.width += names.len();
            }
            Encoding::Embedding { fill, names, .. } => {
                let ids = self.category(column, rows, cells, fill.as_deref(), names, [1, 0]);
                let ids = self.builder.squeeze(&ids, 1);
                features.categories.push((column.name.clone(), names.len() + 1, ids));
            }
            Encoding::Calendar { parts, cyclic } => {
                for &part in parts {
                    self.calendar(column, part, *cyclic, rows, features);
                }
            }
        }
        Ok(())
    }

    /// The index of each name, from `first` on; `other` for names that training did not have.
    fn category(
        &mut self,
        column: &FittedColumn,
        rows: &Rows,
        cells: &Cells,
        fill: Option<&str>,
        names: &[String],
        [first, other]: [i64; 2],
    ) -> String {
        let forward = match &column.encoding {
            Encoding::OneHot { forward, .. } | Encoding::Embedding { forward, .. } => *forward,
            _ => false,
        };
        let missing = if forward {
            "where it is missing, the name last before it, or empty if there is none"
        } else {
            "empty where it is missing"
        };
        let meaning = format!(
            "column `{}`: a name as in the file, without blanks around it, or any other{}; {missing}{}",
            column.name,
            rows.of(),
            cells.note(&column.name)
        );
        let x = self.input(&rows.name(&column.name), element::STRING, &rows.shape(), &meaning);
        let place = |name: &str| names.binary_search_by(|n| n.as_str().cmp(name)).ok();
        let filled = fill.and_then(place).map(|at| at as i64 + first);
        // An encoder has at least one key.
        let mut words: Vec<&str> = cells.words.iter().map(String::as_str).collect();
        words.push("");
        words.order();
        words.dedup();
        words.retain(|word| place(word).is_none());
        let keys = names.iter().map(String::as_str).chain(words.iter().copied());
        let missing = words.iter().map(|_| filled.unwrap_or(other));
        let values = (0..names.len() as i64).map(|at| at + first).chain(missing);
        let values = super::builder::integers("values_int64s", values);
        self.builder.node(
            "LabelEncoder",
            &[&x],
            vec![texts("keys_strings", keys), values, int("default_int64", other)],
        )
    }

    /// A part of a date, which ONNX cannot read from a text.
    fn calendar(
        &mut self,
        column: &FittedColumn,
        part: Calendar,
        cyclic: bool,
        rows: &Rows,
        features: &mut Features,
    ) {
        // Name, period, what the input has more than the feature, and what it is.
        let (label, period, offset, what) = match part {
            Calendar::Hour => ("hour", 24.0, 0.0, "hour of the day with minutes as its fraction, 0 to 24"),
            Calendar::Weekday => ("weekday", 7.0, 0.0, "day of the week, 0 for Monday to 6 for Sunday"),
            Calendar::Month => ("month", 12.0, 1.0, "month, 1 to 12"),
            Calendar::DayOfYear => {
                ("day of year", 366.0, 1.0, "day of the year from 1 on, with the hours as its fraction")
            }
            Calendar::Year => ("year", 0.0, 2000.0, "year, plus the days since its beginning divided by 366"),
        };
        let meaning = format!("column `{}`: {what}{}; NaN where it is missing", column.name, rows.of());
        let name = rows.name(&format!("{} {label}", column.name));
        let x = self.input(&name, element::FLOAT, &rows.shape(), &meaning);
        let b = &mut self.builder;
        let (none, offset) = (b.number(0.0), b.number(offset));
        let missing = b.node("IsNaN", &[&x], vec![]);
        let from_zero = b.node("Sub", &[&x, &offset], vec![]);
        let known = b.node("Where", &[&missing, &none, &from_zero], vec![]);
        let factor = match (cyclic && period > 0.0, period > 0.0) {
            (true, _) => 2.0 * std::f64::consts::PI / period,
            (false, true) => 1.0 / period,
            (false, false) => 0.1,
        };
        let factor = b.number(factor as f32);
        let scaled = b.node("Mul", &[&known, &factor], vec![]);
        if cyclic && period > 0.0 {
            features.parts.push(b.node("Sin", &[&scaled], vec![]));
            features.parts.push(b.node("Cos", &[&scaled], vec![]));
            features.width += 2;
        } else {
            features.parts.push(scaled);
            features.width += 1;
        }
    }
}

/// Why a column cannot be encoded whose scaling is damaged.
pub fn no_scaling(column: &str) -> String {
    format!("column `{column}` has a scaling without numbers")
}

/// Number of features that a part of a date becomes.
pub fn calendar_width(part: Calendar, cyclic: bool) -> usize {
    if cyclic && part != Calendar::Year { 2 } else { 1 }
}

/// Whether a column is a number that is only filled and shifted.
fn is_plain(column: &FittedColumn) -> bool {
    match &column.encoding {
        Encoding::Number { clip: None, indicator: false, scaling, .. } => {
            let is_linear = matches!(scaling, FittedScaling::None | FittedScaling::Affine { .. });
            is_linear && scale::offset(scaling).is_none()
        }
        _ => false,
    }
}
