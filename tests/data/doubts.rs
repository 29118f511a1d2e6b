//! What can be read in two ways is read in neither: times of another zone, years of two centuries, a quote that swallows the
//! rest of a file, rows that are both for training and for test.

use gridlight::data::{self, Goal};
use parquet::basic::Compression;

use crate::parquet_table::parquet_table;
use crate::small_table::Bench;

/// Forty rows with a time each.
fn rows(time: impl Fn(usize) -> String) -> String {
    (0..40).fold("t,a,y\n".into(), |text, row| text + &format!("{},{row},{}\n", time(row), row % 7))
}

/// What is said of the table itself.
fn refused(table: &str, config: &str) -> String {
    Bench::new(table).load(Goal::Regression, config).unwrap_err().to_string()
}

#[test]
fn times_of_other_files_have_offsets_or_none_as_those_of_the_training_rows() {
    let local = |row: usize| format!("2024-01-{:02}T{:02}:00", 1 + row % 28, row % 24);
    let european = |row: usize| format!("{:02}/02/2024 {:02}:00", 1 + row % 28, row % 24);
    let zoned = |row: usize| format!("{}:00+02:00", local(row));
    let unix = |unit: usize| move |row: usize| ((1_700_000_040 + 3600 * row) * unit).to_string();
    for (trained, other, expected) in [
        (rows(unix(1)), rows(unix(1000)), "Unix times in seconds"),
        (rows(unix(1000)), rows(unix(1)), "Unix times in milliseconds"),
        (rows(unix(1)), rows(local), "a Unix time, as the training rows have, or a time with an offset"),
        (rows(local), rows(zoned), "a time without an offset"),
        (rows(european), rows(|row| european(row) + " +0200"), "a time without an offset"),
        (rows(zoned), rows(local), "a time with an offset"),
    ] {
        let bench = Bench::new(&trained);
        let fitted = bench.load(Goal::Regression, "").unwrap().fitted;
        let same = bench.write("same.csv", &trained);
        assert!(data::load_with(&fitted, &same, false).is_ok());
        let other = bench.write("other.csv", &other);
        let error = data::load_with(&fitted, &other, false).unwrap_err().to_string();
        assert!(error.contains("other.csv:2: column `t`") && error.contains(expected), "{error}");
    }
    let error =
        refused(&rows(|row| unix(if row == 30 { 1000 } else { 1 })(row)).replace("t,a", "time,a"), "");
    assert!(
        error.contains("`time`") && error.contains("in seconds, such as 1700000040, and in milliseconds"),
        "{error}"
    );
    let error = refused(&rows(|row| if row == 30 { local(row) } else { zoned(row) }), "");
    assert!(
        error.contains("`t`") && error.contains("\"2024-01-03T06:00\", which may be another zone's"),
        "{error}"
    );
    // Instants of Parquet, which are written with an offset.
    let bench = Bench::new("");
    let parquet = bench.directory.path().join("table.csv");
    parquet_table(&parquet, Compression::SNAPPY, 1, None);
    let fitted = bench.load(Goal::Regression, "").unwrap().fitted;
    assert!(data::load_with(&fitted, &parquet, false).is_ok());
    let instant = |time: &str| format!("n,name,time,flag,y\n1,red,{time},true,2\n");
    let same = bench.write("same.csv", &instant("2023-11-14T23:13:20+01:00"));
    assert!(data::load_with(&fitted, &same, false).is_ok());
    let other = bench.write("other.csv", &instant("2023-11-14T22:13:20"));
    let error = data::load_with(&fitted, &other, false).unwrap_err().to_string();
    assert!(error.contains("other.csv:2: column `time`") && error.contains("with an offset"), "{error}");
    // They are none of times without a zone.
    let zoneless: String =
        instant("2023-11-14T22:13:20") + &"2,blue,2023-11-15T10:00:00,false,3\n".repeat(20);
    let fitted = Bench::new(zoneless).load(Goal::Regression, "").unwrap().fitted;
    let error = data::load_with(&fitted, &parquet, false).unwrap_err().to_string();
    assert!(error.contains("column `time`") && error.contains("a time without an offset"), "{error}");
    // Of two ways to write no offset from UTC, both are an offset.
    let utc = rows(|row| local(row) + if row % 2 == 0 { ":00Z" } else { ":00+00:00" });
    assert!(Bench::new(utc).load(Goal::Regression, "").is_ok());
}

#[test]
fn years_of_two_digits_need_a_century_where_programs_differ() {
    let born = rows(|row| format!("{:02}/07/{:02}", 13 + row % 15, (40 + 2 * row) % 100));
    let error = refused(&born, "");
    assert!(error.contains("`t`") && error.contains("`data.csv.first_year`"), "{error}");
    let loaded = Bench::new(&born).load(Goal::Regression, "csv = { first_year = 1925 }").unwrap();
    assert!(loaded.understood.columns.iter().any(|column| column.name == "t"));
    let recent = rows(|row| format!("{:02}/07/{:02}", 13 + row % 15, row % 25));
    let bench = Bench::new(recent);
    let fitted = bench.load(Goal::Regression, "").unwrap().fitted;
    let other = bench.write("other.csv", "t,a,y\n13/07/45,1,2\n");
    let error = data::load_with(&fitted, &other, false).unwrap_err().to_string();
    assert!(error.contains("other.csv:2: column `t`") && error.contains("a year of four digits"), "{error}");
}

#[test]
fn a_quote_that_is_never_closed_swallows_no_rows() {
    let plain = rows(|row| format!("\"x{row}\ny\""));
    assert!(Bench::new(&plain).load(Goal::Regression, "").is_ok());
    // With it, the last cell of the third row would be all rows after it.
    let error = refused("a,y,t\n1,2,u\n3,4,\"v\n5,6,w\n7,8,x\n", "");
    assert!(error.contains("table.csv:3: a cell begins with a quote that is never closed"), "{error}");
    // The second of two closes the first, and the rows between would be lost.
    let error = refused("a,y,t\n1,2,u\n3,4,\"v\n5,6,w\n7,8,\"x\n9,1,z\n", "");
    assert!(error.contains("table.csv:3: a cell begins with a quote, and the next quote"), "{error}");
    let error = refused("a,y,\"t\n1,2,u\n3,4,v\n", "");
    assert!(error.contains("table.csv:1: a cell begins with a quote that is never closed"), "{error}");
}

#[test]
fn rows_for_training_are_no_rows_for_test() {
    let bench = Bench::new(rows(|row| format!("2024-01-{:02}", 1 + row % 28)));
    bench.write("copy.csv", &rows(|row| format!("2024-01-{:02}", 1 + row % 28)));
    bench.write("other.csv", &rows(|row| format!("2023-01-{:02}", 1 + row % 28)));
    let load = |split: &str| bench.load(Goal::Regression, &format!("split = {{ by = \"files\", {split} }}"));
    assert!(load("test = \"other.csv\"").is_ok());
    for (split, name) in [
        ("test = \"table.csv\"", "`table.csv`"),
        ("test = \"copy.csv\"", "`copy.csv`"),
        ("validation = \"copy.csv\", test = \"other.csv\"", "`copy.csv`"),
        ("validation = \"other.csv\", test = \"other.csv\"", "`other.csv`"),
    ] {
        let error = load(split).unwrap_err().to_string();
        assert!(error.contains("[data.split]") && error.contains(name), "{split}: {error}");
    }
}

#[test]
fn times_that_no_model_reads_may_be_doubtful() {
    let parts = rows(|row| format!("{:02}-{:02}-{:02}", 10 + row % 3, 1 + row % 9, 40 + row % 9));
    assert!(refused(&parts, "").contains("`t`"));
    for config in ["exclude = [\"t\"]", "features = [\"a\"]", "types = { t = \"category\" }"] {
        assert!(Bench::new(&parts).load(Goal::Regression, config).is_ok(), "{config}");
    }
}

#[test]
fn a_separator_of_thousands_that_is_set_is_one() {
    let row = |row: usize| format!("1.{};{row};{}\n", 101 + row, row % 7);
    let table = (0..40).fold("n;a;y\n".to_string(), |text, at| text + &row(at));
    let loaded = Bench::new(table).load(Goal::Regression, "csv = { thousands = \".\" }").unwrap();
    let column = loaded.understood.columns.iter().find(|column| column.name == "n").unwrap();
    assert!(column.values.contains("1101"), "{}", column.values);
}
