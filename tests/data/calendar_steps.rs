//! Series whose rows follow the calendar: months, business days; forecasts past the end, and rows to come.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use gridlight::data::{self, Loaded};
use gridlight::experiment::Experiment;
use gridlight::run::trainer;
use gridlight::train::TrainError;

/// Loads the data of an experiment on `table`, with these keys in `[data.window]`.
fn load(directory: &Path, table: &str, window: &str) -> Result<Loaded, TrainError> {
    std::fs::write(directory.join("series.csv"), table).unwrap();
    let text = format!(
        "name = \"w\"\n[data]\nsource = \"series.csv\"\ntarget = \"y\"\nfeatures = []\n[data.transform]\n\
         numbers = \"none\"\ntarget = \"none\"\ntimestamps = [\"month\", \"weekday\"]\ncyclic = false\n\
         [data.window]\ntime = \"time\"\n{window}\n[data.split]\nby = \"order\"\n"
    );
    trainer::load_data(&Experiment::parse(&text, "w.toml", &[]).unwrap(), directory)
}

/// The last time that each file is forecast for, the last row the model reads for it, and the note.
fn last(directory: &Path, loaded: &Loaded, future: Option<&str>) -> (String, Vec<f32>, Option<String>) {
    let input = directory.join("series.csv");
    let rows = match future {
        Some(text) => {
            let file = directory.join("future.csv");
            std::fs::write(&file, text).unwrap();
            data::load_future(&loaded.fitted, &input, &file).unwrap().unwrap()
        }
        None => data::load_with(&loaded.fitted, &input, false).unwrap(),
    };
    let windows = rows.windows.unwrap();
    let (width, start) = (rows.features.len(), *windows.starts.last().unwrap() as usize);
    let row = (start + windows.length - 1) * width;
    (windows.places.last().unwrap().predicted.clone(), rows.x[row..row + width].to_vec(), windows.note)
}

/// The first day of `months` months from January 2000 on.
fn monthly(months: usize) -> String {
    let mut text = String::from("time,y\n");
    for n in 0..months {
        writeln!(text, "{}-{:02}-01,{n}", 2000 + n / 12, 1 + n % 12).unwrap();
    }
    text
}

/// Monday to Friday from Monday, 3 January 2000, on.
fn business_days(weeks: i32) -> String {
    let mut text = String::from("time,y\n");
    for day in (0..7 * weeks).filter(|day| day % 7 < 5) {
        let date = jiff::civil::date(2000, 1, 3) + jiff::Span::new().days(day);
        writeln!(text, "{date},{day}").unwrap();
    }
    text
}

#[test]
fn months_are_even_steps_and_go_on() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    for gaps in ["refuse", "drop", "fill", "ignore"] {
        let window = format!("length = 3\nknown_future = [\"time\"]\ngaps = \"{gaps}\"");
        let loaded = load(directory, &monthly(60), &window).unwrap();
        assert_eq!(loaded.dropped, 0, "{gaps}");
        assert_eq!(loaded.fitted.window.as_ref().unwrap().season, Some(12), "{gaps}");
        let (predicted, row, note) = last(directory, &loaded, None);
        assert_eq!(predicted, "2005-01-01 00:00:00", "{gaps}");
        // The month and weekday of January 2005, a Saturday.
        assert_eq!(row[..2], [59.0, 0.0], "{gaps}: {row:?}");
        assert!((row[2] - 5.0 / 7.0).abs() < 1e-6, "{gaps}: {row:?}");
        assert_eq!(note, None);
    }
    let missing = monthly(60).replace("2001-03-01,14\n", "");
    let message = load(directory, &missing, "length = 3").unwrap_err().to_string();
    assert!(message.contains("1 rows are missing") && message.contains("1 month apart"), "{message}");
    let filled = load(directory, &missing, "length = 3\ngaps = \"fill\"").unwrap().train;
    assert!(filled.x.windows(4).any(|rows| rows == [12.0, 13.0, 13.0, 15.0]), "{:?}", filled.x);
}

#[test]
fn business_days_are_even_steps_and_go_on() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    for gaps in ["refuse", "ignore"] {
        let window = format!("length = 3\nknown_future = [\"time\"]\ngaps = \"{gaps}\"");
        let loaded = load(directory, &business_days(20), &window).unwrap();
        assert_eq!(loaded.fitted.window.as_ref().unwrap().season, Some(5), "{gaps}");
        let (predicted, row, _) = last(directory, &loaded, None);
        assert_eq!(predicted, "2000-05-22 00:00:00", "{gaps}: the Monday after Friday, 19 May");
        assert_eq!(row[2], 0.0, "{gaps}: {row:?}");
    }
}

#[test]
fn without_a_common_step_the_range_of_gaps_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let mut text = String::from("time,y\n");
    let mut time = jiff::civil::date(2024, 1, 1).at(0, 0, 0, 0);
    for n in 0..80 {
        time += jiff::Span::new().seconds(20 + n * 37 % 161);
        writeln!(text, "{time},{n}").unwrap();
    }
    let message = load(directory, &text, "length = 3\ngaps = \"fill\"").unwrap_err().to_string();
    for part in ["no common step", "21 s to 179 s", " apart", "gaps = \"ignore\""] {
        assert!(message.contains(part), "{part}: {message}");
    }
    assert!(!message.contains("most rows"), "{message}");
    // The next time is not known: it is neither invented nor forecast for.
    let loaded = load(directory, &text, "length = 3\ngaps = \"ignore\"\nknown_future = [\"time\"]").unwrap();
    let (predicted, _, note) = last(directory, &loaded, None);
    assert_eq!(predicted, time.to_string().replace('T', " "));
    assert!(note.is_some_and(|note| note.contains("the next time is not known")));
}

#[test]
fn rows_to_come_are_given_or_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let mut text = String::from("time,shop,sale,y\n");
    for shop in ["a", "b"] {
        for day in 1..=28 {
            writeln!(text, "2024-02-{day:02},{shop},{},{day}", day % 3).unwrap();
        }
    }
    let window = "length = 3\nhorizon = 2\ngroup = \"shop\"\nknown_future = [\"sale\"]";
    let loaded = load(directory, &text, window).unwrap();
    let (predicted, _, note) = last(directory, &loaded, None);
    assert_eq!(predicted, "2024-02-28 00:00:00");
    let note = note.unwrap();
    assert!(note.contains("`sale`") && note.contains("--future"), "{note}");

    let future = "sale,time,shop\n5,2024-02-29,b\n7,2024-03-01,b\n";
    let (predicted, row, note) = last(directory, &loaded, Some(future));
    assert_eq!((predicted.as_str(), &row[..], note), ("2024-03-01 00:00:00", &[28.0, 7.0][..], None));

    let refused = |future: &str| {
        let file = directory.join("future.csv");
        std::fs::write(&file, future).unwrap();
        data::load_future(&loaded.fitted, &directory.join("series.csv"), &file).unwrap_err().to_string()
    };
    for (future, parts) in [
        ("sale,time,shop\n5,2024-02-28,b\n", ["future.csv:2", "is not after the last row"]),
        ("sale,time,shop\n5,2024-02-29,c\n", ["future.csv:2", "series `c` is not in"]),
        ("sale,time,shop\nx,2024-02-29,b\n", ["future.csv:2", "sale"]),
        ("time,shop\n2024-02-29,b\n", ["future.csv", "sale"]),
    ] {
        let message = refused(future);
        assert!(parts.iter().all(|part| message.contains(part)), "{parts:?}: {message}");
    }
}

#[test]
fn the_command_line_asks_for_rows_to_come_and_reads_them() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let mut text = String::from("time,sale,y\n");
    for day in 0..70 {
        let date = jiff::civil::date(2024, 1, 1) + jiff::Span::new().days(day);
        writeln!(text, "{date},{},{}", day * 5 % 3, 10 * (day * 5 % 3)).unwrap();
    }
    std::fs::write(at("series.csv"), &text).unwrap();
    std::fs::write(at("future.csv"), "time,sale\n2024-03-11,1\n2024-03-12,2\n").unwrap();
    let rows = "name = \"w\"\n[data]\nsource = \"series.csv\"\ntarget = \"y\"\n[data.split]\nby = \"order\"\n\
                [model]\nhidden = [4]\n[train]\nepochs = 1\nbatch_size = 8\n";
    let series = format!("{rows}[data.window]\nlength = 2\ntime = \"time\"\nknown_future = [\"sale\"]\n");
    std::fs::write(at("series.toml"), series).unwrap();
    std::fs::write(at("rows.toml"), rows).unwrap();
    let gridlight = |line: &str| {
        let arguments = line.split(' ').chain(["--device", "cpu"]);
        let mut command = Command::new(env!("CARGO_BIN_EXE_gridlight"));
        let output = command.args(arguments).current_dir(directory.path()).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    for run in ["series", "rows"] {
        let (code, message) = gridlight(&format!("train {run}.toml --out {run}"));
        assert_eq!(code, Some(0), "{message}");
    }
    let (code, message) = gridlight("predict series --input series.csv --output f.csv");
    assert!(code == Some(0) && message.contains("note: ") && message.contains("`sale`"), "{message}");
    let (code, message) = gridlight("predict series --input series.csv --future future.csv --output f.csv");
    assert!(code == Some(0) && !message.contains("note: "), "{message}");
    let forecast = std::fs::read_to_string(at("f.csv")).unwrap();
    let last = forecast.lines().last().unwrap();
    // Two days are given, but the window of the second has a day whose target is not known.
    assert!(last.starts_with("2024-03-10 00:00:00,2024-03-11 00:00:00,"), "{last}");
    let (code, message) = gridlight("predict rows --input series.csv --future future.csv --output f.csv");
    assert!(code == Some(2) && message.contains("is for series"), "{message}");
}
