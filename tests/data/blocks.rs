//! Tables that are longer than the blocks in which they are read.

use gridlight::data::{Encoding, Goal};

use crate::small_table::Bench;

/// Rows of a table of some 20 MB: a name with a line break in quotes, a number, the target.
const ROWS: usize = 250_000;

fn long(end: &str) -> String {
    let filler = "f".repeat(60);
    let mut text = format!("name,x,y,z{end}");
    for row in 0..ROWS {
        let name = ["first", "\"second\n, \"\"quoted\"\"\"", "third"][row % 3];
        let (x, y) = (row * 7919 % 100_003, row % 1009);
        text += &format!("{name},{}.{:03},{y}.50,{filler}{end}", x / 1000, x % 1000);
    }
    text
}

#[test]
fn quotes_and_line_ends_do_not_depend_on_where_a_block_ends() {
    let config = "exclude = [\"z\"]\nsplit = { by = \"order\", validation = 0.2, test = 0.2 }";
    let unix = Bench::new(long("\n")).load(Goal::Regression, config).unwrap();
    assert_eq!(unix.understood.rows, ROWS);
    let Encoding::OneHot { names, .. } = &unix.fitted.columns[0].encoding else { panic!() };
    assert_eq!(names.len(), 3, "{names:?}");
    let windows = Bench::new(long("\r\n")).load(Goal::Regression, config).unwrap();
    assert_eq!((windows.train, windows.fitted), (unix.train, unix.fitted));
}

#[test]
fn a_bad_row_far_into_a_file_is_told_with_its_line() {
    let rows = long("\n");
    let lines = rows.matches('\n').count();
    let error = Bench::new(rows + "1,2\n").load(Goal::Regression, "").unwrap_err().to_string();
    assert!(error.contains(&format!("table.csv:{}:", lines + 1)), "{error}");
    assert!(error.contains("has 2 cells, the first line 4"), "{error}");
}

#[test]
fn another_encoding_may_show_at_the_end_of_a_file() {
    let mut bytes = long("\n").replace("third", "Koln").into_bytes();
    bytes.extend(b"K\xF6ln,1.000,2.50,f\n");
    let config = "exclude = [\"z\"]\nsplit = { by = \"order\", validation = 0.2, test = 0.2 }";
    let loaded = Bench::new(bytes).load(Goal::Regression, config).unwrap();
    assert!(
        loaded.understood.notes.iter().any(|note| note.contains("windows-1252")),
        "{:?}",
        loaded.understood.notes
    );
    assert_eq!(loaded.understood.rows, ROWS + 1);
    assert_eq!(loaded.understood.columns[0].different, 4);
}
