//! Tables that are given in memory are read like files, once, and have types that their texts do not show.

use std::path::Path;

use gridlight::data::config::CsvConfig;
use gridlight::data::table::{Table, given};
use gridlight::data::{self, DataConfig, Goal, Loaded};
use gridlight::experiment::Experiment;

const ROWS: &str = "a,b,y\n1,x,2\n2.5,y,3\n3,x,4\n4,y,5\n5,x,6\n6,x,7\n7,y,8\n8,x,9\n9,x,10\n10,y,11\n";

fn table(text: &str) -> Table {
    Table::of_bytes(Path::new("table.csv"), text.as_bytes(), &CsvConfig::default(), &[]).unwrap()
}

fn config(keys: &str) -> DataConfig {
    toml::from_str(&format!("source = \"{}\"\ntarget = \"y\"\n{keys}", given::ROWS)).unwrap()
}

fn load(table: Table, keys: &str) -> Result<Loaded, data::DataError> {
    let _loan = given::give(given::ROWS, table, "0123".into());
    data::load(&config(keys), Path::new(""), Goal::Regression)
}

#[test]
fn a_given_table_is_encoded_as_a_file_is() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("table.csv"), ROWS).unwrap();
    let config: DataConfig = toml::from_str("source = \"table.csv\"\ntarget = \"y\"").unwrap();
    let file = data::load(&config, directory.path(), Goal::Regression).unwrap();
    let given = load(table(ROWS), "").unwrap();
    assert_eq!(given.digest, "0123");
    assert_eq!((given.train, given.validation, given.test), (file.train, file.validation, file.test));
    assert_eq!(given.fitted, file.fitted);
}

#[test]
fn it_is_read_once_and_while_it_is_lent() {
    let error = data::load(&config(""), Path::new(""), Goal::Regression).unwrap_err().to_string();
    assert!(error.contains("<frame>") && error.contains("given in memory"), "{error}");
    let loan = given::give(given::ROWS, table(ROWS), String::new());
    data::load(&config(""), Path::new(""), Goal::Regression).unwrap();
    let again = data::load(&config(""), Path::new(""), Goal::Regression).unwrap_err().to_string();
    assert!(again.contains("give them again"), "{again}");
    drop(loan);
}

#[test]
fn numbers_that_look_like_times_stay_numbers_if_they_were() {
    let times: String = (0..20).map(|i| format!("{},{i}\n", 1_700_000_000 + 3600 * i)).collect();
    let text = format!("time,y\n{times}");
    let features = |table: Table| load(table, "").unwrap().train.features;
    assert!(features(table(&text)).len() > 1, "parts of a calendar");
    let typed = Table { typed: [0, 1].into(), ..table(&text) };
    assert_eq!(features(typed), ["time"]);
}

#[test]
fn columns_that_are_not_read_are_refused_where_they_are_used() {
    let why = || vec![("c".to_string(), "it holds lists".to_string())];
    let given = |keys: &str| load(Table { unread: why(), ..table(ROWS) }, keys);
    assert!(given("features = [\"a\", \"b\"]").is_ok());
    let error = given("features = [\"a\", \"c\"]").unwrap_err().to_string();
    assert!(error.contains("`c`; it holds lists"), "{error}");
}

#[test]
fn a_given_table_is_not_for_the_disk_and_its_name_is_no_path() {
    let error = load(table(ROWS), "memory = { rows = \"disk\" }").unwrap_err().to_string();
    assert!(error.contains("stay there"), "{error}");
    let text = "name = \"x\"\ndata = { target = \"y\" }";
    let source = format!("data.source = \"{}\"", given::ROWS);
    let mut experiment = Experiment::parse(text, "x.toml", std::slice::from_ref(&source)).unwrap();
    experiment.make_paths_absolute(Path::new("/somewhere"));
    assert_eq!(experiment.data.source, given::ROWS);
    let error = Experiment::parse(text, "x.toml", &["train.epochs=3".into()]).unwrap_err().to_string();
    assert!(error.starts_with("x.toml:") && error.contains("source"), "{error}");
    let wrong = format!("{text}\ntrain = {{ epochs = \"x\" }}");
    let error = Experiment::parse(&wrong, "x.toml", &[source]).unwrap_err().to_string();
    assert!(error.starts_with("x.toml:3:20"), "{error}");
}
