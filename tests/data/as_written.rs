//! Tables are read as people write them: the same rows in another notation give the same data, and what can be read
//! in two ways is refused.

use std::io::Write;

use gridlight::data::Goal;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use crate::small_table::{Bench, feature, numbers};

/// Sixty rows: a size, a day, a town, and a target that follows from them.
fn rows(size: impl Fn(f64) -> String, day: impl Fn(i32) -> String, separator: &str) -> String {
    let mut text = ["size", "day", "town", "y"].join(separator) + "\n";
    for i in 0..60 {
        let area = 20.5 + f64::from(i * 37 % 60) * 31.25;
        let town = ["Ulm", "Köln", "Bonn"][i as usize % 3];
        text += &[size(area), day(i), town.into(), format!("{}", i * 7 % 60)].join(separator);
        text.push('\n');
    }
    text
}

fn iso(i: i32) -> String {
    let day = jiff::civil::date(2023, 1, 1).checked_add(jiff::Span::new().days(i * 5)).unwrap();
    day.to_string()
}

fn plain() -> String {
    rows(|x| x.to_string(), iso, ",")
}

fn load(bytes: impl AsRef<[u8]>, config: &str) -> Result<gridlight::data::Loaded, String> {
    Bench::new(bytes).load(Goal::Regression, config).map_err(|e| e.to_string())
}

/// The training data, but for what names the file.
fn same(name: &str, bytes: impl AsRef<[u8]>, config: &str) {
    let expected = load(plain(), "").unwrap();
    let found = load(bytes, config).unwrap_or_else(|e| panic!("{name}: {e}"));
    assert_eq!(found.train, expected.train, "{name}");
    assert_eq!(found.test, expected.test, "{name}");
}

fn parts(i: i32) -> [String; 3] {
    let text = iso(i);
    [text[..4].into(), text[5..7].into(), text[8..].into()]
}

fn grouped(x: f64, thousands: &str, decimal: &str) -> String {
    let (whole, part) = (x.trunc() as i64, x.fract());
    let decimals = format!("{part:.2}")[2..].to_string();
    if whole >= 1000 {
        format!("{}{thousands}{:03}{decimal}{decimals}", whole / 1000, whole % 1000)
    } else {
        format!("{whole}{decimal}{decimals}")
    }
}

#[test]
fn numbers_in_every_notation_are_the_same_numbers() {
    let comma = |x: f64| x.to_string().replace('.', ",");
    same("decimal commas", rows(comma, iso, ";"), "");
    same("German", rows(|x| grouped(x, ".", ","), iso, ";"), "");
    same("French", rows(|x| grouped(x, "\u{202f}", ","), iso, ";"), "");
    same("Swiss", rows(|x| grouped(x, "'", "."), iso, ";"), "");
    same("English", rows(|x| format!("\"{}\"", grouped(x, ",", ".")), iso, ","), "");
    same("unit", rows(|x| format!("{x} m2"), iso, ","), "");
    same("per cent", rows(|x| format!("{x}%"), iso, ","), "");
    same("currency before", rows(|x| format!("€{x}"), iso, ","), "");
    same("currency after", rows(|x| format!("{} EUR", comma(x)), iso, ";"), "");
    same("type given", rows(|x| format!("{x} kWh"), iso, ","), "types = { size = \"number\" }");
}

#[test]
fn dates_in_every_notation_are_the_same_dates() {
    let number = |x: f64| x.to_string();
    let join =
        |order: [usize; 3], by: &'static str| move |i: i32| order.map(|k| parts(i)[k].clone()).join(by);
    same("slashes", rows(number, join([0, 1, 2], "/"), ","), "");
    same("day first", rows(number, join([2, 1, 0], "/"), ","), "");
    same("points", rows(number, join([2, 1, 0], "."), ","), "");
    same("month first", rows(number, join([1, 2, 0], "/"), ","), "");
    same("midnight", rows(number, |i| join([1, 2, 0], "/")(i) + " 12:00 AM", ","), "");
    same("UTC", rows(number, |i| iso(i) + "T00:00:00Z", ","), "");
    same("offset", rows(number, |i| iso(i) + "T02:00:00+02:00", ","), "");
    let seconds = |i: i32| (1_672_531_200 + i64::from(i) * 5 * 86_400).to_string();
    same("Unix seconds", rows(number, seconds, ","), "");
    same("Unix milliseconds", rows(number, |i| seconds(i) + "000", ","), "");
}

#[test]
fn files_in_every_form_hold_the_same_rows() {
    for separator in [";", "\t", "|"] {
        same(separator, rows(|x| x.to_string(), iso, separator), "");
    }
    same("comments", format!("# exported, by a tool\n# unit: m2\n{}", plain()), "");
    same("byte order mark", format!("\u{feff}{}", plain()), "");
    same("carriage returns", plain().replace('\n', "\r\n"), "");
    let latin: Vec<u8> = plain().chars().map(|c| c as u32 as u8).collect();
    same("Windows-1252", latin, "");
    for (name, mark, order) in
        [("little", Some(0xFEFF), true), ("big", Some(0xFEFF), false), ("no mark", None, true)]
    {
        let words = mark.into_iter().chain(plain().encode_utf16().collect::<Vec<_>>());
        let bytes: Vec<u8> =
            words.flat_map(|w: u16| if order { w.to_le_bytes() } else { w.to_be_bytes() }).collect();
        same(name, bytes, "");
    }
    let numbered: String = plain()
        .lines()
        .enumerate()
        .map(|(at, line)| if at == 0 { format!(",{line}\n") } else { format!("{},{line}\n", at - 1) })
        .collect();
    same("row numbers", numbered, "");
    let mut gzip = flate2::write::GzEncoder::new(vec![], flate2::Compression::fast());
    gzip.write_all(plain().as_bytes()).unwrap();
    same("gzip", gzip.finish().unwrap(), "");
    same("zstd", zstd::encode_all(plain().as_bytes(), 1).unwrap(), "");
}

#[test]
fn missing_values_are_marked_in_many_ways() {
    let mark =
        |marker: &str| plain().replacen("Ulm", marker, 4).replacen("\n51.75,", &format!("\n{marker},"), 1);
    let expected = load(mark(""), "").unwrap();
    for marker in ["NA", "n/a", "-", "?", "#N/A", "null", "NaN"] {
        let found = load(mark(marker), "").unwrap();
        assert_eq!(found.train, expected.train, "{marker}");
        let note = found.understood.notes.iter().find(|note| note.contains(&format!("`{marker}` 5 times")));
        assert!(note.is_some(), "{marker}: {:?}", found.understood.notes);
    }
    let own = load(mark("-999"), "csv = { missing = [\"-999\"] }").unwrap();
    assert_eq!(own.train, expected.train);
    let kept = load(plain().replace("Ulm", "NA"), "csv = { default_missing = false }").unwrap();
    assert!(kept.train.features.contains(&"town=NA".to_string()), "{:?}", kept.train.features);
}

#[test]
fn what_can_be_read_in_two_ways_is_refused_or_follows_its_neighbours() {
    let ambiguous =
        rows(|x| format!("{},{:03}", x.trunc() as i64 % 900 + 1, x.trunc() as i64 % 7 + 100), iso, ";");
    let error = load(&ambiguous, "").unwrap_err();
    assert!(error.contains("`size`") && error.contains("`data.csv.decimal`"), "{error}");
    let decimals = load(&ambiguous, "csv = { decimal = \",\" }").unwrap();
    let groups = load(&ambiguous, "csv = { decimal = \".\" }").unwrap();
    let shown = |data: &gridlight::data::Loaded| data.understood.columns[0].values.clone();
    assert!(shown(&decimals).starts_with("2.1") && shown(&groups).starts_with("21"), "{}", shown(&groups));
    // Beside decimal commas, a point groups thousands.
    let neighbours: String = std::iter::once("a;b;y\n".to_string())
        .chain((0..40).map(|i| format!("{}.{:03};{},5;{i}\n", i % 9 + 1, i * 13 % 1000, i)))
        .collect();
    let data = load(neighbours, "transform = { numbers = \"none\" }").unwrap();
    assert!(feature(&data.train, "a").iter().all(|x| *x >= 1000.0));
    let days: String = std::iter::once("d,y\n".to_string())
        .chain((0..40).map(|i| format!("{:02}/{:02}/2023,{i}\n", i * 7 % 12 + 1, i * 5 % 12 + 1)))
        .collect();
    let error = load(&days, "").unwrap_err();
    assert!(error.contains("`d`") && error.contains("\"dmy\", \"mdy\" or \"ymd\""), "{error}");
    assert!(load(&days, "csv = { dates = \"mdy\" }").is_ok());
}

#[test]
fn another_file_is_read_like_the_first() {
    let bench = Bench::new(rows(
        |x| x.to_string().replace('.', ","),
        |i| parts(i)[2].clone() + "/" + &parts(i)[1] + "/" + &parts(i)[0],
        ";",
    ));
    let data = bench.load(Goal::Regression, "").unwrap();
    // Alone, these could be thousands, and the first days of months.
    let path = bench.write("new.csv", "size;day;town\n1,250;01/02/2023;Ulm\n2,5;02/03/2023;Bonn\n");
    let found = gridlight::data::load_with(&data.fitted, &path, false).unwrap();
    let iso_path = bench.write("iso.csv", "size;day;town\n1,25;01/02/2023;Ulm\n2,50;02/03/2023;Bonn\n");
    assert_eq!(found, gridlight::data::load_with(&data.fitted, &iso_path, false).unwrap());
    let wrong = bench.write("wrong.csv", "size;day;town\n1.3;01/02/2023;Ulm\n1.250;01/02/2023;Ulm\n");
    let error = gridlight::data::load_with(&data.fitted, &wrong, false).unwrap_err().to_string();
    assert!(error.contains("wrong.csv:3") && error.contains("\"1.250\""), "{error}");
    assert!(error.contains("may group thousands or begin decimals"), "{error}");
}

#[test]
fn beside_decimal_commas_points_group_thousands_in_other_files_too() {
    let rows: String = (0..60).map(|i| format!("{i},5;{}\n", 3 * i)).collect();
    let bench = Bench::new(format!("a;y\n{rows}"));
    let data = bench.load(Goal::Regression, "transform = { numbers = \"none\" }").unwrap();
    let path = bench.write("new.csv", "a;b\n850,5;u\n1.100;u\n-2.345.678,0;u\n20.5;u\n");
    let found = gridlight::data::load_with(&data.fitted, &path, false).unwrap();
    assert_eq!(feature(&found, "a"), [850.5, 1100.0, -2_345_678.0, 20.5]);
}

#[test]
fn several_files_make_one_table() {
    let bench = Bench::new("");
    let text = plain();
    let lines: Vec<&str> = text.lines().collect();
    bench.write("part-1.csv", &format!("{}\n{}\n", lines[0], lines[1..31].join("\n")));
    bench.write("part-2.csv", &format!("{}\n{}\n", lines[0], lines[31..].join("\n")));
    let load = |source: &str| {
        let config = toml::from_str(&format!("source = \"{source}\"\ntarget = \"y\"")).unwrap();
        gridlight::data::load(&config, bench.directory.path(), Goal::Regression)
    };
    bench.write("whole.csv", &text);
    assert_eq!(load("part-*.csv").unwrap().train, load("whole.csv").unwrap().train);
    let error = load("parts-*.csv").unwrap_err().to_string();
    assert!(error.contains("no file matches"), "{error}");
    bench.write("part-3.csv", "size,day,city,y\n1,2023-01-01,Ulm,3\n");
    let error = load("part-*.csv").unwrap_err().to_string();
    assert!(error.contains("part-3.csv") && error.contains("`city`"), "{error}");
}

#[test]
fn objects_of_json_are_rows() {
    let bench = Bench::new("");
    let rows: Vec<String> = (0..40)
        .map(|i| format!("{{\"a\": {}, \"y\": {}, \"on\": {}}}", i % 7, 2 * (i % 7), i % 2 == 0))
        .collect();
    bench.write("rows.jsonl", &rows.join("\n"));
    bench.write("rows.json", &format!("[{}]", rows.join(",\n")));
    let load = |source: &str| {
        let config = toml::from_str(&format!("source = \"{source}\"\ntarget = \"y\"")).unwrap();
        gridlight::data::load(&config, bench.directory.path(), Goal::Regression)
    };
    let (lines, array) = (load("rows.jsonl").unwrap(), load("rows.json").unwrap());
    assert_eq!(lines.train, array.train);
    assert_eq!(lines.train.features, ["a", "on"]);
    bench.write("nested.jsonl", "{\"a\": [1, 2], \"y\": 3}\n");
    let error = load("nested.jsonl").unwrap_err().to_string();
    assert!(error.contains("nested.jsonl:1") && error.contains("`a` is nested"), "{error}");
}

#[test]
fn a_file_without_names_is_noticed() {
    let text = plain();
    let body = text.split_once('\n').unwrap().1;
    let bench = Bench::new(body);
    let error = bench.load(Goal::Regression, "").unwrap_err().to_string();
    assert!(error.contains("no column `y`") && error.contains("data.csv.header"), "{error}");
    let config = "source = \"table.csv\"\ntarget = \"c4\"";
    let data =
        gridlight::data::load(&toml::from_str(config).unwrap(), bench.directory.path(), Goal::Regression);
    assert_eq!(numbers(&data.unwrap().train), numbers(&load(plain(), "").unwrap().train));
}

/// Loads whatever is in a file; only panics and hangs fail.
fn survives(bytes: &[u8]) {
    for config in
        ["", "types = { a = \"number\", b = \"timestamp\" }", "csv = { decimal = \",\", dates = \"dmy\" }"]
    {
        let _ = load(bytes, config);
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 400,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(7),
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_cells_give_data_or_an_error(
        cells in proptest::collection::vec("[0-9.,'/:€%TZ+apmJn()\u{a0}\u{2212}eE \\-]{0,12}", 10..60),
        separator in "[,;\t|]",
    ) {
        let mut text = ["a", "b", "y"].join(&separator) + "\n";
        for (at, pair) in cells.chunks(2).enumerate() {
            let quoted: Vec<String> = pair.iter().map(|cell| format!("\"{cell}\"")).collect();
            text += &format!("{}{separator}{at}\n", quoted.join(&separator));
        }
        survives(text.as_bytes());
    }

    #[test]
    fn damaged_compressed_files_give_data_or_an_error(at in 0usize..400, value in any::<u8>(), cut in 0usize..400) {
        let mut gzip = flate2::write::GzEncoder::new(vec![], flate2::Compression::fast());
        gzip.write_all(plain().as_bytes()).unwrap();
        for mut bytes in [gzip.finish().unwrap(), zstd::encode_all(plain().as_bytes(), 1).unwrap()] {
            let at = at % bytes.len();
            bytes[at] = value;
            bytes.truncate(cut.max(8));
            survives(&bytes);
        }
    }
}

#[test]
fn a_name_is_the_same_in_every_unicode_form() {
    let decomposed = |text: &str| text.replace('ö', "o\u{308}").replace('é', "e\u{301}");
    let rows = |name: &str, town: &str| {
        let body: String = (0..40).map(|i| format!("{i},{},{}\n", [town, "Ulm"][i % 2], i % 5)).collect();
        format!("{name},town,y\n{body}")
    };
    let composed = load(rows("Größe", "Café"), "").unwrap();
    let apart = load(decomposed(&rows("Größe", "Café")), "").unwrap();
    assert_eq!(apart.train, composed.train);
    // Both forms in one file are one town, and two columns of one name are refused.
    let both = rows("Größe", "Café") + "7,Cafe\u{301},3\n";
    assert_eq!(load(both, "").unwrap().train.features, composed.train.features);
    let error = load("Größe,Gro\u{308}ße,y\n1,2,3\n", "").unwrap_err();
    assert!(error.contains("two columns are called `Größe`"), "{error}");
    let text = decomposed("name = \"n\"\n[data]\nsource = \"Größe.csv\"\ntarget = \"Größe\"\n");
    let experiment = gridlight::experiment::Experiment::parse(&text, "n.toml", &[]).unwrap();
    assert_eq!(experiment.data.target, Some("Größe".into()));
    assert_eq!(experiment.data.source, decomposed("Größe.csv"), "files keep their names");
}
