//! Series put together to longer steps, columns that hold one value for each series, and rolling origins.

use std::fmt::Write;
use std::path::Path;

use gridlight::data::{Dataset, Loaded, load_with};
use gridlight::experiment::Experiment;
use gridlight::run::trainer;

/// The data of an experiment on `table` with these keys of `[data.window]` and these tables.
fn load(table: &str, window: &str, rest: &str) -> Result<Loaded, String> {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("series.csv"), table).unwrap();
    let text = format!(
        "name = \"w\"\n[data]\nsource = \"series.csv\"\ntarget = \"y\"\n[data.window]\n{window}\n\
         [data.transform]\nnumbers = \"none\"\ntarget = \"none\"\n[train]\nbatch_size = 1\n{rest}"
    );
    let experiment = Experiment::parse(&text, "w.toml", &[]).map_err(|e| e.to_string())?;
    trainer::load_data(&experiment, directory.path()).map_err(|e| e.to_string())
}

/// Quarters of hours with `y` their number, `rain` 1, and the name of the hour; from `first` on.
fn quarters(first: usize, count: usize, leave_out: impl Fn(usize) -> bool) -> String {
    let mut text = String::from("time,y,rain,name\n");
    for n in (first..first + count).filter(|&n| !leave_out(n)) {
        let (day, hour, minute) = (1 + n / 96, n / 4 % 24, n % 4 * 15);
        writeln!(text, "2024-01-{day:02} {hour:02}:{minute:02},{n},1,h{n}").unwrap();
    }
    text
}

fn times(data: &Dataset) -> Vec<&str> {
    data.windows.as_ref().unwrap().places.iter().map(|place| place.last.as_str()).collect()
}

const ORDER: &str = "[data.split]\nby = \"order\"\nvalidation = 0.2\ntest = 0.2\n";
const HOURLY: &str = "length = 1\ntime = \"time\"\n\
    resample = { to = \"1h\", columns = { rain = \"sum\", name = \"last\" } }";

#[test]
fn hours_are_made_of_quarters_each_column_by_its_rule() {
    let table = quarters(0, 200, |_| false);
    let data = load(&table, HOURLY, ORDER).unwrap();
    assert_eq!(data.train.features[..2], ["y", "rain"]);
    let width = data.train.features.len();
    for hour in 0..5 {
        let row = &data.train.x[hour * width..hour * width + 2];
        // The mean of 4 h to 4 h + 3, and the sum of four.
        assert_eq!(row, [4.0 * hour as f32 + 1.5, 4.0]);
    }
    assert_eq!(times(&data.train)[..2], ["2024-01-01 00:00:00", "2024-01-01 01:00:00"]);
    assert!(data.understood.notes.iter().any(|note| note.contains("200 rows become 50")));
}

#[test]
fn hours_that_rows_cover_in_part_are_left_out_at_both_ends() {
    let data = load(&quarters(1, 198, |_| false), HOURLY, ORDER).unwrap();
    assert_eq!(times(&data.train)[0], "2024-01-01 01:00:00");
    let note = data.understood.notes.last().unwrap();
    assert!(note.contains("198 rows become 48"), "{note}");
    let last = data.test.windows.as_ref().unwrap().places.last().unwrap();
    assert_eq!(last.predicted, "2024-01-03 00:00:00");
}

#[test]
fn hours_without_rows_are_gaps_and_rows_apart_are_refused() {
    let table = quarters(0, 200, |n| (40..44).contains(&n));
    let message = load(&table, HOURLY, ORDER).unwrap_err();
    assert!(message.contains("1 rows are missing") && message.contains("gaps = "), "{message}");
    let filled = load(&table, &format!("{HOURLY}\ngaps = \"fill\""), ORDER).unwrap();
    assert!(times(&filled.train).contains(&"2024-01-01 10:00:00"));
    let finer = HOURLY.replace("1h", "5min");
    let message = load(&quarters(0, 200, |_| false), &finer, ORDER).unwrap_err();
    assert!(message.contains("15 min apart") && message.contains("longer step"), "{message}");
    let wrong = HOURLY.replace("name = \"last\"", "name = \"sum\"");
    let message = load(&quarters(0, 200, |_| false), &wrong, ORDER).unwrap_err();
    assert!(message.contains("name") && message.contains("\"last\""), "{message}");
    for (wrong, part) in [("\"1 fortnight\"", "no step"), ("\"h\"", "no step"), ("\"0d\"", "no step")] {
        let message =
            load("", &format!("length = 1\ntime = \"time\"\nresample = {wrong}"), ORDER).unwrap_err();
        assert!(message.contains(part) && message.contains("w.toml:"), "{message}");
    }
    let message = load("", "length = 1\nresample = \"1h\"", ORDER).unwrap_err();
    assert!(message.contains("needs `time`"), "{message}");
    let message =
        load("", "length = 1\ntime = \"t\"\nresample = { to = \"1h\", bye = \"sum\" }", ORDER).unwrap_err();
    assert!(message.contains("bye"), "{message}");
}

#[test]
fn months_are_put_together_in_the_calendar_and_other_files_alike() {
    let mut table = String::from("time,y\n");
    let first = jiff::civil::date(2022, 1, 1);
    for day in 0..730 {
        let date = first.checked_add(jiff::ToSpan::days(day)).unwrap();
        writeln!(table, "{date},{}", date.day()).unwrap();
    }
    let window = "length = 2\ntime = \"time\"\nresample = { to = \"1mo\", by = \"max\" }";
    let data = load(&table, window, ORDER).unwrap();
    let months = data.train.x.chunks(data.train.features.len()).map(|row| row[0]);
    assert_eq!(months.take(4).collect::<Vec<_>>(), [31.0, 28.0, 31.0, 30.0]);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("new.csv");
    std::fs::write(&file, &table).unwrap();
    let rows = load_with(&data.fitted, Path::new(&file), false).unwrap();
    let last = rows.windows.as_ref().unwrap().places.last().unwrap().clone();
    assert_eq!((last.last.as_str(), last.predicted.as_str()), ("2023-12-01 00:00:00", "2024-01-01 00:00:00"));
}

/// Days of two shops, `kind` as given for each row.
fn shops(kind: impl Fn(&str, usize) -> &'static str) -> String {
    let mut text = String::from("day,shop,kind,y\n");
    for shop in ["a", "b"] {
        for day in 0..30 {
            writeln!(text, "2024-01-{:02},{shop},{},{}", day + 1, kind(shop, day), day % 7).unwrap();
        }
    }
    text
}

const SHOPS: &str = "length = 3\ntime = \"day\"\ngroup = \"shop\"\nstatic = [\"kind\", \"shop\"]";

#[test]
fn static_columns_are_read_with_every_row() {
    let table = shops(|shop, _| if shop == "a" { "large" } else { "small" });
    let data = load(&table, SHOPS, ORDER).unwrap().train;
    assert_eq!(data.features, ["y", "shop=a", "shop=b", "kind=large", "kind=small"]);
    let last = data.x.chunks(5).last().unwrap();
    assert_eq!(last[1..], [0.0, 1.0, 0.0, 1.0]);
}

#[test]
fn a_static_column_that_changes_is_refused_with_the_series_and_the_lines() {
    let table = shops(|shop, day| if shop == "b" && day == 4 { "small" } else { "large" });
    let message = load(&table, SHOPS, ORDER).unwrap_err();
    // Line 1 holds the names, lines 2 to 31 the first shop.
    for part in ["column `kind`", "series `b`", "line 32", "line 36", "\"small\""] {
        assert!(message.contains(part), "{part}: {message}");
    }
    let advice =
        load(&shops(|_, _| "large").replace(",b,large", ",b,small"), &SHOPS.replace("\"kind\", ", ""), ORDER);
    let kind = advice.unwrap().understood.columns.into_iter().find(|column| column.name == "kind").unwrap();
    assert!(kind.doubts.iter().any(|doubt| doubt.mend.contains("static = [\"kind\"]")), "{kind:?}");
    let message = load(&table, "length = 3\nstatic = [\"kind\"]", ORDER).unwrap_err();
    assert!(message.contains("needs `group`"), "{message}");
    let message = load(&table, &SHOPS.replace("\"kind\"", "\"y\""), ORDER).unwrap_err();
    assert!(message.contains("static"), "{message}");
}

#[test]
fn rolling_origins_see_nothing_of_later_rows() {
    let table = |spoilt: u32| {
        let mut text = String::from("y\n");
        for n in 0..120_u32 {
            writeln!(text, "{}", if n >= spoilt { 1e6 } else { f64::from(n % 7) + 0.01 * f64::from(n) })
                .unwrap();
        }
        text
    };
    let window = "length = 4\nhorizon = 2\nall_steps = true";
    let of = |text: &str, fold: usize| {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("series.csv"), text).unwrap();
        let text = format!(
            "name = \"w\"\n[data]\nsource = \"series.csv\"\ntarget = \"y\"\n[data.window]\n{window}\n\
             [data.split]\nby = \"rolling\"\nfolds = 3\nfold = {fold}\nvalidation = 0.2\n"
        );
        let experiment = Experiment::parse(&text, "w.toml", &[]).unwrap();
        trainer::load_data(&experiment, directory.path()).unwrap()
    };
    let mut trained = 0;
    for fold in 0..3 {
        let (end, clean) = (30 * (fold + 2), of(&table(1000), fold));
        let spoilt = of(&table(end as u32), fold);
        assert_eq!(clean.fitted, spoilt.fitted, "fold {fold}: what is fitted");
        assert_eq!((&clean.train, &clean.test), (&spoilt.train, &spoilt.test), "fold {fold}");
        // Test targets are the 30 rows before `end`: 29 windows of two steps.
        assert_eq!(clean.test.rows, 29, "fold {fold}");
        assert!(clean.train.rows > trained, "training parts grow");
        trained = clean.train.rows;
    }
    let folds = "[data.split]\nby = \"rolling\"\nfolds = 100\n";
    let message = load(&table(1000), window, folds).unwrap_err();
    let needed: usize = message.split(" need ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    assert!(
        needed > 120 && message.contains("there are 120") && message.contains("fewer folds"),
        "{message}"
    );
}

#[test]
fn steps_that_rows_do_not_divide_are_refused() {
    let window = "length = 1\ntime = \"time\"\nresample = { to = \"25min\", by = \"sum\" }";
    let said = load(&quarters(0, 200, |_| false), window, ORDER).unwrap_err();
    assert!(
        said.contains("does not divide resample = \"25min\"") && said.contains("choose a multiple"),
        "{said}"
    );
}
