//! Reshapes the rows of a table, as `[data.reshape]` asks, before anything else is done with them.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use super::DataError;
use super::cells;
use super::config::ReshapeConfig;
use super::config::reshape::DAY;
use super::table::Table;
use crate::base::order::Order;

/// The column with the day of the week.
pub const WEEKDAY: &str = "weekday";

impl ReshapeConfig {
    /// Reshapes `table`.
    ///
    /// # Errors
    /// If a column is missing or named twice, or if a timestamp is missing, duplicated, or at a time of day
    /// without a column; or if a row's place in the new table is missing or taken.
    pub fn apply(&self, table: &Table) -> Result<Table, DataError> {
        match self {
            Self::Day { time, columns, minutes } => days(table, time, columns, *minutes),
            Self::Pivot { row, names, values } => pivot(table, [row, names], values),
        }
    }
}

/// One row for each value of the column `row`, with a column for each name and each of `values`.
fn pivot(table: &Table, [row, names]: [&str; 2], values: &[String]) -> Result<Table, DataError> {
    let [at_row, at_name] = [table.find(row)?, table.find(names)?];
    let at = values.iter().map(|name| table.find(name)).collect::<Result<Vec<_>, _>>()?;
    let twice =
        |(at, name): &(usize, &String)| values[..*at].contains(name) || *name == row || *name == names;
    if let Some((_, name)) = values.iter().enumerate().find(twice) {
        let reason = "`data.reshape` names it twice; leave one out";
        return Err(DataError::Treatment { column: name.clone(), reason: reason.into() });
    }
    let mut columns: BTreeMap<String, usize> = BTreeMap::new();
    let mut rows: HashMap<String, usize> = HashMap::new();
    let mut found = Table { path: table.path.clone(), utc: vec![], ..Table::default() };
    let mut places = vec![];
    let mut keys = vec![];
    for line in 0..table.lines.len() {
        for (column, at) in [(row, at_row), (names, at_name)] {
            if table.is_missing(at, line) {
                let reason = "is empty; give the row one, or remove it".into();
                let (path, line) = (table.path.clone(), table.lines[line]);
                return Err(DataError::Series { path, line, column: column.into(), reason });
            }
        }
        let key = table.cell(at_row, line).into_owned();
        let next = rows.len();
        let number = *rows.entry(key.clone()).or_insert(next);
        if number == next {
            keys.push(key);
            found.lines.push(table.lines[line]);
        }
        let name = table.cell(at_name, line).into_owned();
        columns.entry(name.clone()).or_default();
        places.push((number, name));
    }
    for (number, place) in columns.values_mut().enumerate() {
        *place = number;
    }
    let width = columns.len();
    let mut from: Vec<Option<usize>> = vec![None; width * keys.len()];
    for (line, (number, name)) in places.iter().enumerate() {
        if let Some(before) = from[number * width + columns[name]].replace(line) {
            let reason = format!(
                "has the {row} and {names} of line {} again (\"{}\", \"{name}\"); remove one of them",
                table.lines[before], keys[*number]
            );
            let (path, line) = (table.path.clone(), table.lines[line]);
            return Err(DataError::Series { path, line, column: String::new(), reason });
        }
    }
    found.names.push(row.to_string());
    found.columns.push(keys.iter().map(String::as_str).collect());
    if table.utc.contains(&at_row) {
        found.utc.push(0);
    }
    if table.foreign.contains(&at_row) {
        found.foreign.push(0);
    }
    for (value, &at) in values.iter().zip(&at) {
        for (number, name) in columns.keys().enumerate() {
            let cell = |key: usize| match from[key * width + number] {
                Some(line) => table.cell(at, line),
                None => Cow::Borrowed(""),
            };
            let cells: Vec<Cow<str>> = (0..keys.len()).map(cell).collect();
            found.names.push(format!("{value} {name}"));
            found.columns.push(cells.iter().map(|cell| &**cell).collect());
        }
    }
    Ok(found)
}

/// One row per day, with a column for each time of day.
fn days(table: &Table, time: &String, columns: &[String], minutes: u32) -> Result<Table, DataError> {
    let minutes = &minutes;
    let at = columns.iter().map(|name| table.find(name)).collect::<Result<Vec<_>, _>>()?;
    let twice = |(at, name): &(usize, &String)| columns[..*at].contains(name) || *name == time;
    if let Some((_, name)) = columns.iter().enumerate().find(twice) {
        let reason = "`data.reshape` names it twice; leave one out";
        return Err(DataError::Treatment { column: name.clone(), reason: reason.into() });
    }
    let rows: Vec<usize> = (0..table.lines.len()).collect();
    let times = cells::timestamps(table, table.find(time)?, &rows)?;
    let fail = |row: usize, reason: String| DataError::Series {
        path: table.path.clone(),
        line: table.lines[row],
        column: time.clone(),
        reason,
    };
    let mut found = vec![];
    for (row, moment) in times.into_iter().enumerate() {
        let moment = moment.ok_or_else(|| fail(row, "is empty; give the row a time, or remove it".into()))?;
        let of_day = 60 * moment.hour() as u32 + moment.minute() as u32;
        if !of_day.is_multiple_of(*minutes) || moment.second() != 0 || moment.subsec_nanosecond() != 0 {
            let reason = format!(
                "holds {moment}, which is not a multiple of {minutes} minutes; correct it, or set \
                     `data.reshape.minutes` to the distance of the rows"
            );
            return Err(fail(row, reason));
        }
        found.push((moment.date(), of_day / minutes, row));
    }
    found.order();
    if let Some(pair) = found.windows(2).find(|pair| (pair[0].0, pair[0].1) == (pair[1].0, pair[1].1)) {
        let (first, row) = (pair[0].2, pair[1].2);
        let reason = format!("repeats the time of line {}; remove one of them", table.lines[first]);
        return Err(fail(row, reason));
    }
    let steps = (DAY / minutes) as usize;
    let mut days = Table { path: table.path.clone(), ..Table::default() };
    days.names = vec![time.clone(), WEEKDAY.into()];
    for name in columns {
        let step = |step: usize| {
            let minute = step as u32 * minutes;
            format!("{name} {:02}:{:02}", minute / 60, minute % 60)
        };
        days.names.extend((0..steps).map(step));
    }
    let mut cells: Vec<Vec<String>> = vec![vec![]; days.names.len()];
    for day in found.chunk_by(|a, b| a.0 == b.0) {
        let (date, _, first) = day[0];
        days.lines.push(table.lines[first]);
        cells[0].push(date.to_string());
        cells[1].push(format!("{:?}", date.weekday()));
        for column in &mut cells[2..] {
            column.push(String::new());
        }
        let row = days.lines.len() - 1;
        for &(_, step, from) in day {
            for (number, &column) in at.iter().enumerate() {
                cells[2 + number * steps + step as usize][row] = table.cell(column, from).into_owned();
            }
        }
    }
    days.columns = cells.iter().map(|cells| cells.iter().collect()).collect();
    Ok(days)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(rows: &[(&str, &str)]) -> Table {
        Table {
            path: "t.csv".into(),
            names: vec!["time".into(), "load".into()],
            columns: vec![rows.iter().map(|r| r.0).collect(), rows.iter().map(|r| r.1).collect()],
            lines: (2..2 + rows.len() as u64).collect(),
            ..Table::default()
        }
    }

    fn days(minutes: u32) -> ReshapeConfig {
        ReshapeConfig::Day { time: "time".into(), columns: vec!["load".into()], minutes }
    }

    #[test]
    fn a_day_is_a_row_and_a_time_a_column() {
        let rows = [("2014-03-02T12:00", "3"), ("2014-03-01 00:00", "1"), ("2014-03-01 12:00", "")];
        let found = days(720).apply(&table(&rows)).unwrap();
        assert_eq!(found.names, ["time", "weekday", "load 00:00", "load 12:00"]);
        let expected = [["2014-03-01", "2014-03-02"], ["Saturday", "Sunday"], ["1", ""], ["", "3"]];
        assert_eq!(found.columns, expected.map(|cells| cells.into_iter().collect()));
        assert_eq!(found.lines, [3, 2]);
    }

    #[test]
    fn a_name_is_a_column() {
        let table = Table {
            path: "t.csv".into(),
            names: ["day", "meter", "load"].map(String::from).to_vec(),
            columns: [["1", "1", "2", "3"], ["b", "a", "a", "b"], ["10", "20", "30", ""]]
                .map(|cells| cells.into_iter().collect())
                .to_vec(),
            lines: vec![2, 3, 4, 5],
            ..Table::default()
        };
        let pivot = |values: &[&str]| ReshapeConfig::Pivot {
            row: "day".into(),
            names: "meter".into(),
            values: values.iter().map(ToString::to_string).collect(),
        };
        let found = pivot(&["load"]).apply(&table).unwrap();
        assert_eq!(found.names, ["day", "load a", "load b"]);
        let expected = [["1", "2", "3"], ["20", "30", ""], ["10", "", ""]];
        assert_eq!(found.columns, expected.map(|cells| cells.into_iter().collect()));
        assert_eq!(found.lines, [2, 4, 5]);
        assert!(pivot(&["day"]).apply(&table).is_err());
        let mut again = table.clone();
        again.columns[1] = ["b", "b", "a", "b"].into_iter().collect();
        let text = pivot(&["load"]).apply(&again).unwrap_err().to_string();
        assert!(text.contains("t.csv:3") && text.contains("line 2"), "{text}");
        again.columns[1] = ["b", "", "a", "b"].into_iter().collect();
        let text = pivot(&["load"]).apply(&again).unwrap_err().to_string();
        assert!(text.contains("t.csv:3") && text.contains("meter"), "{text}");
    }

    #[test]
    fn times_that_fit_no_column_are_told_with_their_line() {
        let fails =
            |rows: &[(&str, &str)], minutes: u32| days(minutes).apply(&table(rows)).unwrap_err().to_string();
        let text = fails(&[("2014-03-01 00:00", "1"), ("2014-03-01 00:30", "1")], 60);
        assert!(text.contains("t.csv:3") && text.contains("60 minutes"), "{text}");
        let text = fails(&[("2014-03-01 01:00", "1"), ("2014-03-01 01:00", "2")], 60);
        assert!(text.contains("t.csv:3") && text.contains("line 2"), "{text}");
        let text = fails(&[("", "1")], 60);
        assert!(text.contains("t.csv:2") && text.contains("empty"), "{text}");
        assert!(days(7).problem().unwrap().0 == "data.reshape.minutes" && days(0).problem().is_some());
        assert!(days(1440).problem().is_none());
    }
}
