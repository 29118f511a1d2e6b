//! Windows of series: their inputs and targets, what they never see, the handling of gaps, and what is
//! rejected.

use std::fmt::Write;
use std::process::Command;

use gridlight::data::{Dataset, Loaded};
use gridlight::experiment::Experiment;
use gridlight::run::trainer;
use gridlight::train::{ErrorKind, TrainError};

/// Loads the data of an experiment on `table`, with these keys after `[data]`.
fn load(table: &str, keys: &str) -> Result<Loaded, TrainError> {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("series.csv"), table).unwrap();
    let text = format!(
        "name = \"w\"\n[data]\nsource = \"series.csv\"\ntarget = \"y\"\n{keys}\n[data.transform]\n\
         numbers = \"none\"\ntarget = \"none\"\ntimestamps = [\"hour\"]\ncyclic = false\n[train]\n\
         batch_size = 1\n"
    );
    let experiment = Experiment::parse(&text, "w.toml", &[]).unwrap();
    trainer::load_data(&experiment, directory.path())
}

fn refused(table: &str, keys: &str) -> String {
    let error = load(table, keys).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Input, "{error}");
    error.to_string()
}

/// Hours in `range`, with `y` the number of the hour and `z` a hundred times that.
fn hours(range: std::ops::Range<usize>) -> String {
    let mut text = String::from("time,y,z\n");
    for hour in range {
        writeln!(text, "2024-01-{:02} {:02}:00,{hour},{}", 1 + hour / 24, hour % 24, 100 * hour).unwrap();
    }
    text
}

/// The words that window `at` reads, one row of features per line.
fn window(data: &Dataset, at: usize) -> Vec<Vec<f32>> {
    let windows = data.windows.as_ref().unwrap();
    let width = data.features.len();
    let start = windows.starts[at] as usize;
    data.x[start * width..(start + windows.length) * width].chunks(width).map(<[f32]>::to_vec).collect()
}

const ORDER: &str = "[data.split]\nby = \"order\"\nvalidation = 0.2\ntest = 0.2\n";

#[test]
fn a_window_reads_its_rows_and_predicts_the_row_after_them() {
    let keys = "[data.window]\nlength = 3\nhorizon = 2\ntime = \"time\"\nknown_future = [\"time\"]\n";
    let data = load(&hours(0..50), &format!("{keys}{ORDER}")).unwrap();
    assert_eq!(data.train.features, ["y", "z", "time hour (+2)"]);
    // Training windows are those with their target in rows 0..30: the first predicts row 4.
    assert_eq!((data.train.rows, data.validation.rows, data.test.rows), (26, 10, 10));
    let hour = |h: usize| (h % 24) as f32 / 24.0;
    for at in [0, 7, 25] {
        let expected: Vec<Vec<f32>> =
            (at..at + 3).map(|h| vec![h as f32, 100.0 * h as f32, hour(h + 2)]).collect();
        assert_eq!(window(&data.train, at), expected, "window {at}");
        assert_eq!(data.train.truth()[at], (at + 4) as f64, "window {at}");
    }
    // The first test window reaches back across the cut: the past is known.
    assert_eq!(window(&data.test, 0)[0][0], 36.0);
    assert_eq!(data.test.truth()[0], 40.0);
    // Overlapping windows share their rows.
    assert_eq!(data.train.x.len(), 30 * 3);
    let places = &data.test.windows.as_ref().unwrap().places[0];
    assert_eq!(
        (places.last.as_str(), places.predicted.as_str()),
        ("2024-01-02 14:00:00", "2024-01-02 16:00:00")
    );
}

#[test]
fn all_steps_and_strides() {
    let keys = "[data.window]\nlength = 2\nhorizon = 3\nall_steps = true\nstride = 4\nseason = 2\n";
    let data = load(&hours(0..50), &format!("exclude = [\"time\", \"z\"]\n{keys}{ORDER}")).unwrap();
    let windows = data.train.windows.as_ref().unwrap();
    assert_eq!(windows.outputs(), 3);
    assert_eq!(window(&data.train, 2), [[8.0], [9.0]]);
    assert_eq!(data.train.truth()[6..9], [10.0, 11.0, 12.0]);
    let errors = windows.baselines.errors(|_| true);
    let named = |name| errors.iter().find(|(n, _)| *n == name).unwrap().1;
    assert_eq!(named("baseline_naive_mae"), 2.0, "1, 2 and 3 hours behind");
    assert_eq!(named("baseline_seasonal_mae"), 8.0 / 3.0, "2, 2 and 4 hours behind");
    // A target that straddles the cut belongs to neither part.
    assert!(data.train.truth().iter().all(|&y| y < 30.0));
    assert!(data.validation.truth().iter().all(|&y| (30.0..40.0).contains(&y)));
}

#[test]
fn what_is_known_in_advance_is_seen_at_every_predicted_step() {
    let keys = |length: usize| {
        format!(
            "[data.window]\nlength = {length}\nhorizon = 7\nall_steps = true\ntime = \"time\"\n\
             known_future = [\"z\"]\n{ORDER}"
        )
    };
    for length in [1, 2, 3, 7, 9] {
        let data = load(&hours(0..90), &format!("exclude = [\"time\"]\n{}", keys(length))).unwrap().test;
        let seen: Vec<f32> = window(&data, 2).iter().flat_map(|row| row[1..].to_vec()).collect();
        for (step, &y) in data.truth()[2 * 7..3 * 7].iter().enumerate() {
            assert!(seen.contains(&(100.0 * y as f32)), "length {length}, step {step}: {seen:?}");
        }
        // Never more than the rows that are predicted.
        assert!(seen.iter().all(|&z| f64::from(z) <= 100.0 * data.truth()[2 * 7 + 6]), "{seen:?}");
    }
    let data = load(&hours(0..90), &format!("exclude = [\"time\"]\n{}", keys(3))).unwrap().test;
    assert_eq!(data.features, ["y", "z (+7)", "z (+4)", "z (+1)"]);
}

#[test]
fn what_is_fitted_does_not_depend_on_later_rows() {
    let table = hours(0..50);
    let changed: String = table
        .lines()
        .enumerate()
        .map(|(line, text)| {
            // Line 0 holds the column names; rows from 30 on are not for training.
            let spoilt = line > 30;
            if spoilt {
                format!("{},{},{}\n", text.split(',').next().unwrap(), 9_000 + line, -line.cast_signed())
            } else {
                format!("{text}\n")
            }
        })
        .collect();
    let keys = format!("[data.window]\nlength = 5\ntime = \"time\"\n{ORDER}");
    let scaled = |table: &str| {
        let text = keys.clone() + "\n[data.clean]\nclip = 3.0";
        load(table, &text).unwrap()
    };
    let (before, after) = (scaled(&table), scaled(&changed));
    assert_eq!(before.fitted, after.fitted);
    assert_eq!(before.train, after.train);
    assert_ne!(before.test.x, after.test.x);
}

#[test]
fn windows_do_not_span_series() {
    // Two sensors, in alternating rows.
    let mut text = String::from("time,sensor,y\n");
    for hour in 0..20 {
        for (sensor, sign) in [("a", 1), ("b", -1)] {
            writeln!(text, "2024-01-01 {hour:02}:00,{sensor},{}", sign * (hour + 1)).unwrap();
        }
    }
    let keys = "[data.window]\nlength = 4\ntime = \"time\"\ngroup = \"sensor\"\n";
    let data = load(&text, &format!("{keys}{ORDER}")).unwrap();
    for part in [&data.train, &data.validation, &data.test] {
        let windows = part.windows.as_ref().unwrap();
        for at in 0..part.rows {
            let truth = part.truth()[at];
            let signs: Vec<bool> = window(part, at).iter().map(|row| row[0] > 0.0).collect();
            assert!(signs.iter().all(|&positive| positive == (truth > 0.0)), "{:?}", window(part, at));
            assert_eq!(windows.places[at].group, if truth > 0.0 { "a" } else { "b" });
        }
    }
    // Each is split separately: 12 training rows contain the targets of 8 windows.
    assert_eq!((data.train.rows, data.validation.rows, data.test.rows), (2 * 8, 2 * 4, 2 * 4));
}

#[test]
fn what_is_missing_is_not_filled_from_another_series() {
    // Two sensors, one after the other; z is missing in the first two rows of each, and once in between.
    let mut text = String::from("time,sensor,y,z\n");
    for (sensor, sign) in [("a", 1), ("b", -1)] {
        for hour in 0..20 {
            let z = if [0, 1, 5].contains(&hour) { String::new() } else { (sign * (100 + hour)).to_string() };
            writeln!(text, "2024-01-01 {hour:02}:00,{sensor},{hour},{z}").unwrap();
        }
    }
    let keys = "[data.clean]\nnumbers = \"forward_fill\"\n[data.window]\nlength = 2\ntime = \"time\"\n\
                group = \"sensor\"\n";
    let data = load(&text, &format!("exclude = [\"sensor\"]\n{keys}{ORDER}")).unwrap();
    // Nothing precedes the first rows, so the mean of the training rows fills them: that of a and -a.
    let z = |window: Vec<Vec<f32>>| window.iter().map(|row| row[1]).collect::<Vec<f32>>();
    let places = &data.train.windows.as_ref().unwrap().places;
    for (group, sign) in [("a", 1.0), ("b", -1.0)] {
        let first = places.iter().position(|p| p.group == group).unwrap();
        assert_eq!(z(window(&data.train, first)), [0.0, 0.0], "{group}");
        assert_eq!(z(window(&data.train, first + 1)), [0.0, sign * 102.0], "{group}");
        assert_eq!(z(window(&data.train, first + 4)), [sign * 104.0, sign * 104.0], "{group}");
    }
}

/// Hours 0..50, without hours 10 and 11, and without the count of hour 20.
fn with_gaps() -> String {
    let whole = hours(0..50);
    let mut lines: Vec<String> = whole.lines().map(String::from).collect();
    lines[21] = lines[21].replace(",20,", ",,");
    lines.drain(11..13);
    lines.join("\n") + "\n"
}

#[test]
fn gaps_are_treated_as_the_experiment_says() {
    let keys = |gaps: &str| {
        format!(
            "exclude = [\"z\"]\n[data.window]\nlength = 3\ntime = \"time\"\ngaps = \"{gaps}\"\n[data.split]\n\
             by = \"time\"\ncolumn = \"time\"\nvalidation = \"2024-01-02 06:00\"\n\
             test = \"2024-01-02 16:00\"\n"
        )
    };
    let dropped = load(&with_gaps(), &keys("drop")).unwrap().train;
    let all: Vec<f32> = (0..dropped.rows).flat_map(|at| window(&dropped, at).concat()).collect();
    assert!(all.iter().all(|x| x.is_finite()));
    let targets = dropped.truth();
    let expected: Vec<f64> =
        (3..30).filter(|t| !(10..15).contains(t) && !(20..24).contains(t)).map(f64::from).collect();
    assert_eq!(targets, expected, "no window and no target touches a gap");

    let filled = load(&with_gaps(), &keys("fill")).unwrap().train;
    let expected: Vec<f64> = (3..30).filter(|t| ![10, 11, 20].contains(t)).map(f64::from).collect();
    assert_eq!(filled.truth(), expected, "what was not measured is never predicted");
    let at = expected.iter().position(|&t| t == 12.0).unwrap();
    assert_eq!(window(&filled, at).concat(), [9.0, 9.0, 9.0], "the last value stands in for hours 10 and 11");

    let ignored = load(&with_gaps(), &keys("ignore")).unwrap().train;
    let at = ignored.truth().iter().position(|&t| t == 12.0).unwrap();
    assert_eq!(window(&ignored, at).concat(), [7.0, 8.0, 9.0]);

    let message = refused(&with_gaps(), &keys("refuse"));
    for part in ["series.csv:", "gaps = \"drop\"", "\"fill\"", "\"ignore\""] {
        assert!(message.contains(part), "{part}: {message}");
    }
}

#[test]
fn missing_values_are_masked() {
    // The targets of hours 0, 4 and 5 are missing; those of hours 38 and 49 in other parts.
    let table: String = hours(0..50)
        .lines()
        .enumerate()
        .map(|(line, text)| match line {
            1 | 5 | 6 | 39 | 50 => text.replace(&format!(",{},", line - 1), ",,") + "\n",
            _ => format!("{text}\n"),
        })
        .collect();
    let keys = |more: &str| {
        format!("exclude = [\"time\", \"z\"]\n[data.window]\nlength = 3\ntime = \"time\"\n{more}\n{ORDER}")
    };
    assert!(refused(&table, &keys("")).contains("missing = \"mask\""));
    for gaps in ["refuse", "drop", "fill", "ignore"] {
        let masked = load(&table, &keys(&format!("missing = \"mask\"\ngaps = \"{gaps}\""))).unwrap();
        let train = masked.train;
        assert_eq!(train.features, ["y", "y is missing"]);
        let expected: Vec<f64> = (3..30).filter(|t| ![4, 5].contains(t)).map(f64::from).collect();
        assert_eq!(train.truth(), expected, "{gaps}: what is missing is never predicted");
        // Nothing precedes hour 0: the mean of the training hours stands in.
        let mean = (1..30).filter(|t| ![4, 5].contains(t)).sum::<i32>() as f32 / 27.0;
        assert_eq!(window(&train, 0), [[mean, 1.0], [1.0, 0.0], [2.0, 0.0]], "{gaps}");
        assert_eq!(window(&train, 1), [[3.0, 0.0], [3.0, 1.0], [3.0, 1.0]], "{gaps}");
        assert_eq!(masked.validation.rows, 9, "{gaps}");
    }
}

#[test]
fn what_is_no_series_is_told_with_its_rows() {
    let window = |more: &str| format!("[data.window]\nlength = 3\ntime = \"time\"\n{more}{ORDER}");
    let mut lines: Vec<String> = hours(0..50).lines().map(String::from).collect();
    let message = refused(&hours(0..50), &format!("[data.window]\nlength = 60\n{ORDER}"));
    for part in ["series.csv:2:", "50 rows", "lines 2 to 51", "window of 60 rows", "shorter `length`"] {
        assert!(message.contains(part), "{part}: {message}");
    }
    let message = refused(&hours(0..50), &format!("[data.window]\nlength = 3\nhorizon = 48\n{ORDER}"));
    assert!(message.contains("its target 48 rows later need 51"), "{message}");

    lines.swap(7, 8);
    let message = refused(&lines.join("\n"), &window(""));
    assert!(message.contains("series.csv:9:") && message.contains("line 8"), "{message}");
    lines.swap(7, 8);
    lines[9] = lines[8].clone();
    let message = refused(&lines.join("\n"), &window(""));
    assert!(message.contains("series.csv:10:") && message.contains("2024-01-01T07:00"), "{message}");

    let mut lines: Vec<String> = hours(0..50).lines().map(String::from).collect();
    lines[9] = lines[9].replace("08:00", "08:17");
    let message = refused(&lines.join("\n"), &window(""));
    assert!(message.contains("series.csv:10:") && message.contains("even spacing"), "{message}");

    let empty: String = hours(0..50)
        .replace("time,y,z", "time,y,z,w")
        .lines()
        .enumerate()
        .map(|(at, l)| if at == 0 { format!("{l}\n") } else { format!("{l},\n") })
        .collect();
    let message = refused(&empty, &window(""));
    assert!(message.contains("`w`"), "{message}");

    let random = "[data.window]\nlength = 3\n[data.split]\nby = \"random\"\n";
    assert!(refused(&hours(0..50), random).contains("overlap"));
}

#[test]
fn the_command_line_forecasts_past_the_end() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    std::fs::write(at("series.csv"), hours(0..60)).unwrap();
    let keys = "[data.window]\nlength = 3\nhorizon = 2\ntime = \"time\"\nknown_future = [\"time\"]\n";
    let text = format!(
        "name = \"w\"\n[data]\nsource = \"series.csv\"\ntarget = \"y\"\n{keys}{ORDER}[model]\nhidden = [4]\n\
         [train]\nepochs = 2\nbatch_size = 4\n"
    );
    std::fs::write(at("w.toml"), text).unwrap();
    let gridlight = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_gridlight"))
            .args(arguments)
            .current_dir(directory.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    gridlight(&["train", "w.toml", "--out", "run"]);
    let evaluation: serde_json::Value =
        serde_json::from_str(&gridlight(&["evaluate", "run", "--json"])).unwrap();
    assert_eq!(evaluation["metrics"]["baseline_naive_mae"], 2.0);
    assert!(evaluation["metrics"]["mae"].is_number());
    gridlight(&["predict", "run", "--input", "series.csv", "--output", "forecast.csv"]);
    let forecast = std::fs::read_to_string(at("forecast.csv")).unwrap();
    let lines: Vec<&str> = forecast.lines().collect();
    assert_eq!(lines[0], "last time,time,y");
    // 58 windows of three rows in 60 rows; the last two predict hours beyond the end of the file.
    assert_eq!(lines.len(), 1 + 58);
    assert!(lines[58].starts_with("2024-01-03 11:00:00,2024-01-03 13:00:00,"), "{}", lines[58]);
    let report = std::fs::read_to_string(at("run/report.html")).unwrap();
    assert!(report.contains("baseline_naive_mae") && report.contains("one season earlier"));

    // With a one-day horizon, the last hours of each part precede no target.
    std::fs::write(at("series.csv"), hours(0..500)).unwrap();
    gridlight(&["train", "w.toml", "--out", "day", "--set", "data.window.horizon=24"]);
    let evaluation: serde_json::Value =
        serde_json::from_str(&gridlight(&["evaluate", "day", "--json"])).unwrap();
    assert_eq!(evaluation["metrics"]["baseline_naive_mae"], 24.0);
}

#[test]
fn series_that_are_too_short_say_how_many_rows_are_needed() {
    let window = "[data.window]\nlength = 1\nhorizon = 3\n";
    let error = refused("time,y,z\n2024-01-01,1,2\n", &format!("{window}{ORDER}"));
    for part in
        ["1 row (line 2)", "a window of 1 row and its target 3 rows later need 4", "give at least 4 rows"]
    {
        assert!(error.contains(part), "{part}: {error}");
    }
    assert!(!error.contains("shorter"), "{error}");
    let error = refused(&hours(0..6), &format!("[data.window]\nlength = 9\n{ORDER}"));
    assert!(error.contains("together they may be 6") && error.contains("give at least 10 rows"), "{error}");
    // Six days hold no whole month.
    let resampled = "[data.window]\nlength = 2\ntime = \"time\"\nresample = \"1mo\"\n";
    let error = refused(&hours(24..168), &format!("{resampled}{ORDER}"));
    assert!(error.contains("resample = \"1mo\" leaves nothing") && error.contains("shorter step"), "{error}");
}

#[test]
fn columns_named_twice_are_refused() {
    for (key, list) in [("static", "[\"z\", \"z\"]"), ("known_future", "[\"time\", \"time\"]")] {
        let set = format!("data.window.{key}={list}");
        let text = "name = \"w\"\n[data]\nsource = \"s.csv\"\ntarget = \"y\"\n[data.window]\nlength = 2\ngroup = \"g\"\n";
        let error = Experiment::parse(text, "w.toml", &[set]).unwrap_err().to_string();
        assert!(error.contains(&format!("`data.window.{key}` names")) && error.contains("twice"), "{error}");
    }
}
