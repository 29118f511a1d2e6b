//! The `[data.derive]` table: columns computed from others in the same row, such as `log(high / low)`.

use std::collections::{BTreeMap, BTreeSet};

use super::DataError;
use super::cells;
use super::config::ColumnKind;
use super::table::{Column, Table};

/// Maximum nesting.
const MAX_DEPTH: usize = 64;

/// Adds the derived columns to `table` in alphabetical order of their names; each may use those before it. A
/// result is missing if it is not finite or is computed from a missing value.
///
/// # Errors
/// If an expression is invalid, refers to an unknown column, or its name is taken.
pub fn add_columns(table: &mut Table, derive: &BTreeMap<String, String>) -> Result<(), DataError> {
    for (name, text) in derive {
        let fail = |reason: String| DataError::Treatment {
            column: name.clone(),
            reason: format!("[data.derive] \"{text}\": {reason}"),
        };
        if table.names.contains(name) {
            return Err(fail("the table has a column of this name; choose another".into()));
        }
        let mut parser = Parser { text: text.as_bytes(), at: 0, depth: 0, table };
        let expression = parser.sum().map_err(fail)?;
        parser.skip_blanks();
        if parser.at < text.len() {
            return Err(fail(format!("unexpected `{}`", text.get(parser.at..).unwrap_or_default())));
        }
        let rows: Vec<usize> = (0..table.lines.len()).collect();
        let mut used = vec![];
        expression.columns(&mut used);
        let mut values = BTreeMap::new();
        for column in used {
            values.insert(column, cells::values(table, column, &rows, ColumnKind::Number)?);
        }
        let mut cells = Column::default();
        for row in rows {
            let value =
                expression.value(&|column| values.get(&column).and_then(|v| v[row]).unwrap_or(f64::NAN));
            if value.is_finite() { cells.push_number(value) } else { cells.push_missing(1) }
        }
        table.names.push(name.clone());
        table.columns.push(cells);
    }
    Ok(())
}

/// The columns that a formula uses, in the order of their first use.
pub fn columns(formula: &str) -> Vec<String> {
    let mut names: Vec<String> = vec![];
    let table = Table::default();
    let mut parser = Parser { text: formula.as_bytes(), at: 0, depth: 0, table: &table };
    while parser.at < formula.len() {
        if parser.take(b"`").is_some() {
            let rest = &formula.as_bytes()[parser.at..];
            let length = rest.iter().position(|&c| c == b'`').unwrap_or(rest.len());
            names.push(String::from_utf8_lossy(&rest[..length]).into_owned());
            parser.at += length + 1;
            continue;
        }
        let word = parser.word();
        if word.is_empty() {
            parser.at += 1;
        } else if !word.starts_with(|c: char| c.is_ascii_digit() || c == '.') && parser.take(b"(").is_none() {
            names.push(word);
        }
    }
    let mut seen = BTreeSet::new();
    names.retain(|name| seen.insert(name.clone()));
    names
}

enum Expression {
    Number(f64),
    Column(usize),
    Call(fn(f64) -> f64, Box<Expression>),
    Binary(fn(f64, f64) -> f64, Box<Expression>, Box<Expression>),
}

impl Expression {
    fn value(&self, column: &dyn Fn(usize) -> f64) -> f64 {
        match self {
            Self::Number(x) => *x,
            Self::Column(at) => column(*at),
            Self::Call(f, x) => f(x.value(column)),
            Self::Binary(f, a, b) => f(a.value(column), b.value(column)),
        }
    }

    fn columns(&self, into: &mut Vec<usize>) {
        match self {
            Self::Number(_) => {}
            Self::Column(at) => into.push(*at),
            Self::Call(_, x) => x.columns(into),
            Self::Binary(_, a, b) => {
                a.columns(into);
                b.columns(into);
            }
        }
    }
}

struct Parser<'a> {
    text: &'a [u8],
    at: usize,
    depth: usize,
    table: &'a Table,
}

impl Parser<'_> {
    fn skip_blanks(&mut self) {
        while self.text.get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.at += 1;
        }
    }

    /// Consumes the next character if it is one of `any`.
    fn take(&mut self, any: &[u8]) -> Option<u8> {
        self.skip_blanks();
        let found = self.text.get(self.at).copied().filter(|c| any.contains(c))?;
        self.at += 1;
        Some(found)
    }

    fn sum(&mut self) -> Result<Expression, String> {
        let mut left = self.product()?;
        while let Some(operator) = self.take(b"+-") {
            let f: fn(f64, f64) -> f64 = if operator == b'+' { |a, b| a + b } else { |a, b| a - b };
            left = Expression::Binary(f, Box::new(left), Box::new(self.product()?));
        }
        Ok(left)
    }

    fn product(&mut self) -> Result<Expression, String> {
        let mut left = self.factor()?;
        while let Some(operator) = self.take(b"*/") {
            let f: fn(f64, f64) -> f64 = if operator == b'*' { |a, b| a * b } else { |a, b| a / b };
            left = Expression::Binary(f, Box::new(left), Box::new(self.factor()?));
        }
        Ok(left)
    }

    fn factor(&mut self) -> Result<Expression, String> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(format!("nested more than {MAX_DEPTH} deep"));
        }
        let found = self.factor_here();
        self.depth -= 1;
        found
    }

    fn factor_here(&mut self) -> Result<Expression, String> {
        if self.take(b"-").is_some() {
            return Ok(Expression::Call(|x| -x, Box::new(self.factor()?)));
        }
        if self.take(b"(").is_some() {
            return self.closed();
        }
        if self.take(b"`").is_some() {
            let rest = &self.text[self.at..];
            let length = rest.iter().position(|&c| c == b'`').ok_or("a ` is not closed")?;
            self.at += length + 1;
            return self.column(&String::from_utf8_lossy(&rest[..length]));
        }
        let word = self.word();
        if word.is_empty() {
            return Err("expected a column, a number, or a function such as log(...)".into());
        }
        if word.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
            let number = cells::number(&word).ok_or_else(|| format!("`{word}` is not a number"))?;
            return Ok(Expression::Number(number));
        }
        if self.take(b"(").is_none() {
            return self.column(&word);
        }
        let f: fn(f64) -> f64 = match word.as_str() {
            "log" => f64::ln,
            "exp" => f64::exp,
            "sqrt" => f64::sqrt,
            "abs" => f64::abs,
            other => return Err(format!("there is no function `{other}`; there are log, exp, sqrt and abs")),
        };
        Ok(Expression::Call(f, Box::new(self.closed()?)))
    }

    /// Parses a sum and its closing bracket.
    fn closed(&mut self) -> Result<Expression, String> {
        let inner = self.sum()?;
        self.take(b")").ok_or("a ( is not closed")?;
        Ok(inner)
    }

    /// Letters, digits, `_` and `.`.
    fn word(&mut self) -> String {
        self.skip_blanks();
        let rest = &self.text[self.at..];
        let part = |c: &u8| c.is_ascii_alphanumeric() || *c == b'_' || *c == b'.' || *c >= 0x80;
        let length = rest.iter().take_while(|c| part(c)).count();
        self.at += length;
        String::from_utf8_lossy(&rest[..length]).into_owned()
    }

    fn column(&self, name: &str) -> Result<Expression, String> {
        let known = self.table.names.iter().map(String::as_str);
        let at = self.table.names.iter().position(|n| n == name);
        at.map(Expression::Column).ok_or_else(|| {
            format!(
                "there is no column `{name}`{}; put names with spaces in `backticks`",
                crate::base::names::nearest(name, known)
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn derive(text: &str) -> Result<Vec<String>, String> {
        let columns = [["2", "4", ""], ["1", "4", "3"]].map(|cells| cells.into_iter().collect()).to_vec();
        let names = vec!["High".into(), "low price".into()];
        let mut table = Table { names, columns, lines: vec![2, 3, 4], ..Table::default() };
        let derive = BTreeMap::from([("new".to_string(), text.to_string())]);
        add_columns(&mut table, &derive).map_err(|e| e.to_string())?;
        Ok((0..3).map(|row| table.cell(2, row).into_owned()).collect())
    }

    #[test]
    fn expressions_have_the_usual_order_and_what_is_not_finite_is_missing() {
        let value = |text: &str| derive(text).unwrap();
        assert_eq!(value("High - 1 - 2 * -3"), ["7", "9", ""]);
        assert_eq!(value("(High + `low price`) / 2"), ["1.5", "4", ""]);
        let expected = [(2f64.ln().ln()).to_string(), String::new(), String::new()];
        assert_eq!(value("log(log(High / `low price`))"), expected, "log(log(1)) is not finite");
        assert_eq!(
            value("sqrt(abs(1 - High)) + exp(0)"),
            ["2", (3f64.sqrt() + 1.0).to_string().as_str(), ""]
        );
    }

    #[test]
    fn the_columns_of_a_formula() {
        assert_eq!(columns("log(high / low) - 2e3 * `a b` + high"), ["high", "low", "a b"]);
        assert_eq!(columns("1 + `open"), ["open"]);
        assert!(columns("").is_empty());
    }

    #[test]
    fn mistakes_are_told() {
        for (text, part) in [
            ("High +", "expected a column"),
            ("Hihg", "did you mean `High`"),
            ("ln(High)", "there is no function `ln`"),
            ("(High", "not closed"),
            ("High High", "unexpected `High`"),
            ("1.2.3", "not a number"),
            ("`High", "not closed"),
            (&"(".repeat(100_000), "nested"),
        ] {
            let error = derive(text).unwrap_err();
            assert!(error.contains(part), "{text:.20}: {error:.300}");
        }
    }
}
