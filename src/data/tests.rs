//! A table is understood and encoded alike whether its cells are kept as numbers or as texts.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::table::{Column, Table};
use super::{DataConfig, Fitted, Understanding, cells, fit, formats};

/// Cells that are written in one way or another.
const ODD: [&str; 40] = [
    "",
    "-0",
    "-0.00",
    "1e5",
    "007",
    " 1",
    "NaN",
    "inf",
    "-inf",
    "1e300",
    "99999999999999999999",
    "NA",
    "?",
    "-",
    "1,234",
    "1.234",
    "0.5",
    ".5",
    "5.",
    "+1",
    "2024-01-31",
    "31/01/2024",
    "true",
    "yes",
    "0",
    "1",
    "Bonn",
    "e\u{301}",
    "\u{e9}",
    "9007199254740993",
    "2147483647",
    "-2147483648",
    "1609459200",
    "5 kg",
    "12 %",
    "1.5",
    "0.1000000000000000055",
    "20240131",
    "-999",
    "12.345",
];

fn cell() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => "-?[1-9][0-9]{0,4}(\\.[0-9]{1,3})?",
        1 => "0\\.[0-9]{1,18}",
        1 => "[1-9][0-9]{2}\\.[0-9]{3}",
        2 => proptest::sample::select(&ODD[..]).prop_map(String::from),
    ]
}

/// Columns of a few kinds of cells each.
fn columns() -> impl Strategy<Value = Vec<Vec<String>>> {
    let column = proptest::collection::vec(cell(), 1..5)
        .prop_flat_map(|kinds| proptest::collection::vec(proptest::sample::select(kinds), 30));
    let numbers = proptest::collection::vec("-?[1-9][0-9]{0,3}\\.[0-9]{2}", 30);
    proptest::collection::vec(prop_oneof![3 => column, 1 => numbers], 1..4)
}

fn table(columns: &[Vec<String>], empty: &Column) -> Table {
    let fill = |cells: &Vec<String>| {
        let mut column = empty.clone();
        cells.iter().for_each(|cell| column.push(cell));
        column
    };
    Table {
        names: (0..columns.len()).map(|at| format!("c{at}")).collect(),
        columns: columns.iter().map(fill).collect(),
        lines: (2..32).collect(),
        ..Table::default()
    }
}

/// All that is made of a table.
fn told(mut table: Table, config: &DataConfig) -> String {
    formats::clear_missing(&mut table, &config.csv);
    let formats = match formats::find(&table, &config.types, &config.csv, &|_| false) {
        Ok(formats) => formats,
        Err(error) => return error.to_string(),
    };
    if let Err(error) = formats::apply(&mut table, &formats) {
        return error.to_string();
    }
    table.settle();
    let understood = Understanding::of_table(config, &table, &formats);
    let rows: Vec<usize> = (0..table.lines.len()).collect();
    let mut told = format!("{understood:?} {formats:?}");
    for at in 0..table.names.len() {
        let encoded = fit::fit_column(config, &table, at, &rows).and_then(|column| {
            Fitted { columns: vec![column], ..Fitted::default() }.encode(&table, &rows, false)
        });
        told += &format!("\n{encoded:?}");
    }
    told
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, rng_seed: RngSeed::Fixed(7), ..ProptestConfig::default() })]

    #[test]
    fn numbers_and_texts_are_encoded_alike(columns in columns(), own in any::<bool>()) {
        let missing = if own { "csv = { missing = [\"-999\", \"1.50\"] }" } else { "" };
        let config: DataConfig = toml::from_str(&format!("source = \"t.csv\"\ntarget = \"c0\"\n{missing}")).unwrap();
        let typed = told(table(&columns, &Column::default()), &config);
        let texts = told(table(&columns, &Column::of_texts()), &config);
        prop_assert_eq!(typed, texts);
    }

    #[test]
    fn cells_come_back_as_they_were_written(cells in proptest::collection::vec(cell(), 1..60), cut in 0usize..60) {
        let (first, second) = cells.split_at(cut.min(cells.len()));
        let mut column: Column = first.iter().collect();
        column.append(second.iter().collect());
        prop_assert_eq!(column.len(), cells.len());
        let mut counts = BTreeMap::<String, usize>::new();
        for (row, cell) in cells.iter().enumerate() {
            let cell = crate::base::names::normal(cell);
            prop_assert_eq!(column.text(row), &cell[..]);
            prop_assert_eq!(column.is_missing(row), cell.is_empty());
            prop_assert_eq!(column.numbers()(row).map(f64::to_bits), cells::number(&cell).map(f64::to_bits));
            prop_assert_eq!(column.read(cells::boolean)(row), cells::boolean(&cell));
            if !cell.is_empty() {
                *counts.entry(cell.into_owned()).or_default() += 1;
            }
        }
        let mut found = BTreeMap::<String, usize>::new();
        for (cell, count) in column.present() {
            *found.entry(cell.into_owned()).or_default() += count;
        }
        prop_assert_eq!(found, counts);
    }
}

#[test]
fn more_names_than_codes_are_texts() {
    let names: Vec<String> = (0..70_000).map(|at| format!("name {at}")).collect();
    let mut column: Column = (0..10).map(|at| at.to_string()).collect();
    assert!(!column.is_texts());
    column.append(names.iter().collect());
    assert!(column.is_texts());
    assert_eq!((column.len(), &*column.text(7), &*column.text(69_999)), (70_010, "7", "name 69989"));
}
