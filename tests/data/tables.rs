//! Tables become numbers as documented: the shipped ones row by row, nothing fitted on held-out rows, every
//! scaling inverted.

use std::collections::BTreeMap;
use std::path::Path;

use gridlight::data::{self, DataConfig, Encoding, FittedTarget, Goal, Loaded, Target};
use gridlight::experiment::Experiment;
use gridlight::run::trainer;

use crate::small_table::{BY_PART, Bench, Y, assert_near, feature, numbers, table};

/// Loads a shipped experiment's data, with `--set` arguments.
fn shipped(name: &str, overrides: &[String]) -> Loaded {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/experiments");
    let experiment = Experiment::read(&directory.join(name), overrides).unwrap();
    trainer::load_data(&experiment, &directory).unwrap()
}

#[test]
fn traffic_has_its_rows_and_its_weekday_by_hour_baseline() {
    let data = shipped("traffic.toml", &[]);
    assert_eq!(data.dropped, 28_512 - 26_528);
    assert_eq!([data.train.rows, data.validation.rows, data.test.rows], [17_795, 4_347, 4_386]);
    assert!(data.train.source_rows.last() < data.validation.source_rows.first(), "time runs forward");
    assert!(data.validation.source_rows.last() < data.test.source_rows.first(), "time runs forward");

    let FittedTarget::Number { scaling, .. } = &data.fitted.target else { panic!("a number is predicted") };
    let groups = |part: &data::Dataset| -> Vec<(Vec<bool>, f64)> {
        let named = |f: &String| f.starts_with("hour=") || f.starts_with("weekday=");
        let used: Vec<usize> = (0..part.features.len()).filter(|&i| named(&part.features[i])).collect();
        assert_eq!(used.len(), 24 + 7);
        let rows = part.x.chunks(part.features.len()).zip(numbers(part));
        rows.map(|(row, y)| (used.iter().map(|&i| row[i] > 0.5).collect(), scaling.invert(f64::from(*y))))
            .collect()
    };
    let mut sums = BTreeMap::<Vec<bool>, (f64, f64)>::new();
    for (key, y) in groups(&data.train) {
        let sum = sums.entry(key).or_default();
        *sum = (sum.0 + y, sum.1 + 1.0);
    }
    let errors: Vec<f64> =
        groups(&data.test).iter().map(|(key, y)| (sums[key].0 / sums[key].1 - y).abs()).collect();
    let mae = errors.iter().sum::<f64>() / errors.len() as f64;
    assert!((mae - 248.07).abs() < 0.05, "the mean by weekday and hour has a test MAE of 248.07, here {mae}");
}

#[test]
fn breast_cancer_has_five_folds_by_row_index() {
    let mut tested = vec![];
    for fold in 0..5 {
        let data = shipped("breast-cancer.toml", &[format!("data.split.fold={fold}")]);
        assert_eq!(data.train.features.len(), 30);
        assert_eq!(data.train.rows + data.validation.rows + data.test.rows, 569);
        assert!(data.test.source_rows.iter().all(|row| row % 5 == fold));
        assert!(data.validation.source_rows.iter().all(|row| !data.train.source_rows.contains(row)));
        tested.extend(data.test.source_rows);
    }
    tested.sort_unstable();
    assert_eq!(tested, (0..569).collect::<Vec<_>>());
}

#[test]
fn student_grades_keeps_complete_rows_and_tests_every_fifth() {
    let data = shipped("student-grades.toml", &[]);
    assert_eq!(data.dropped, 5_967 - 4_498);
    assert_eq!(data.test.rows, 4_498 / 5);
    assert_eq!(data.train.rows + data.validation.rows + data.test.rows, 4_498);
    let mut all =
        [data.train.source_rows, data.validation.source_rows, data.test.source_rows.clone()].concat();
    all.sort_unstable();
    let fifth: Vec<usize> = all.into_iter().skip(4).step_by(5).collect();
    assert_eq!(data.test.source_rows, fifth);
    assert!(!data.train.features.iter().any(|f| f.starts_with("read3")), "known only with the target");
}

#[test]
fn nothing_is_fitted_on_held_back_rows() {
    let config = format!(
        "{BY_PART}clean = {{ clip = 2.0, indicators = true, columns = {{ b = \"median\" }} }}\n\
         transform = {{ columns = {{ a = \"quantile\", b = \"log1p\" }}, target = \"min_max\" }}"
    );
    let one = table(&["a 1 2 3 4 5 6 7 8", "b 1 1 _ 2 9 4 4 4", "c u v u v u u v u", Y]);
    let two = table(&[
        "a 1 2 3 4 5 6 -900 _",
        "b 1 1 _ 2 9 4 1e9 _",
        "c u v u v u u w _",
        &Y.replace("70 80", "-7 1e6"),
    ]);
    let one = Bench::new(one).load(Goal::Regression, &config).unwrap();
    let two = Bench::new(two).load(Goal::Regression, &config).unwrap();
    assert_eq!(one.fitted, two.fitted);
    assert_eq!(one.train, two.train);
    assert_ne!(one.test, two.test);
    assert_ne!(one.digest, two.digest);
}

#[test]
fn missing_numbers_are_filled_as_asked() {
    let bench = Bench::new(table(&["a 1 _ 1 4 6 NA 7 _", Y]));
    for (fill, in_train, in_test) in [
        ("\"mean\"", [3.0, 3.0], 3.0),
        ("\"median\"", [2.5, 2.5], 2.5),
        ("\"most_frequent\"", [1.0, 1.0], 1.0),
        ("\"forward_fill\"", [1.0, 6.0], 7.0),
        ("{ constant = \"-3\" }", [-3.0, -3.0], -3.0),
    ] {
        let config = format!(
            "{BY_PART}clean = {{ numbers = {fill}, indicators = true }}\ntransform = {{ numbers = \"none\" }}"
        );
        let data = bench.load(Goal::Regression, &config).unwrap();
        assert_near(&feature(&data.train, "a"), &[1.0, in_train[0], 1.0, 4.0, 6.0, in_train[1]]);
        assert_near(&feature(&data.test, "a"), &[in_test]);
        assert_near(&feature(&data.train, "a is missing"), &[0.0, 1.0, 0.0, 0.0, 0.0, 1.0]);
    }
    let dropped =
        bench.load(Goal::Regression, &format!("{BY_PART}clean = {{ columns = {{ a = \"drop\" }} }}"));
    let dropped = dropped.unwrap();
    assert_eq!((dropped.dropped, dropped.train.rows, dropped.test.rows), (3, 4, 0));
}

#[test]
fn missing_and_unknown_categories_are_treated_as_documented() {
    let bench = Bench::new(table(&["c u v u _ u u v w", Y]));
    let one_hot = bench.load(Goal::Regression, BY_PART).unwrap();
    assert_eq!(one_hot.train.features, ["c=(missing)", "c=u", "c=v"]);
    assert_near(&feature(&one_hot.train, "c=(missing)"), &[0.0, 0.0, 0.0, 1.0, 0.0, 0.0]);
    assert_near(&one_hot.test.x, &[0.0, 0.0, 0.0]);
    let ids = bench.load(Goal::Regression, &format!("{BY_PART}transform = {{ categories = \"embedding\" }}"));
    let ids = ids.unwrap();
    assert_eq!(ids.train.categories[0].ids, [2, 3, 2, 1, 2, 2]);
    let forward = format!("{BY_PART}clean = {{ categories = \"forward_fill\" }}");
    let forward = bench.load(Goal::Regression, &forward).unwrap();
    assert_eq!(forward.train.features, ["c=u", "c=v"]);
    assert_near(&feature(&forward.train, "c=u"), &[1.0, 0.0, 1.0, 1.0, 1.0, 1.0]);
    assert_eq!((ids.train.categories[0].vocabulary, ids.test.categories[0].ids[0]), (4, 0));
    let drop =
        bench.load(Goal::Regression, &format!("{BY_PART}clean = {{ categories = \"drop\" }}")).unwrap();
    assert_eq!((drop.dropped, drop.train.rows), (1, 5));
}

#[test]
fn timestamps_become_parts_of_the_calendar() {
    let times = "t 2024-01-01T00:00 2024-01-01T06:00 2024-01-01T12:00 2024-01-02T18:00 2024-07-01T00:00 \
                 2024-01-07 2024-12-31T23:30:00 2024-02-01";
    let bench = Bench::new(table(&[times, Y]));
    let cyclic = bench.load(Goal::Regression, BY_PART).unwrap().train;
    assert_near(&feature(&cyclic, "t hour sin"), &[0.0, 1.0, 0.0, -1.0, 0.0, 0.0]);
    assert_near(&feature(&cyclic, "t month cos"), &[1.0, 1.0, 1.0, 1.0, -1.0, 1.0]);
    let config = format!("{BY_PART}transform = {{ cyclic = false, timestamps = [\"weekday\", \"hour\"] }}");
    let plain = bench.load(Goal::Regression, &config).unwrap();
    assert_near(&feature(&plain.train, "t weekday"), &[0.0, 0.0, 0.0, 1.0 / 7.0, 0.0, 6.0 / 7.0]);
    assert_near(&feature(&plain.validation, "t hour"), &[23.5 / 24.0]);
}

#[test]
fn targets_come_back_in_their_own_units() {
    let bench = Bench::new(table(&["a 1 2 3 4 5 6 7 8", Y]));
    for scaling in ["none", "standardise", "min_max", "log1p", "quantile"] {
        let config = format!("{BY_PART}transform = {{ target = \"{scaling}\" }}");
        let data = bench.load(Goal::Regression, &config).unwrap();
        let FittedTarget::Number { scaling: fitted, .. } = &data.fitted.target else { panic!("a number") };
        for (scaled, expected) in numbers(&data.train).iter().zip([10.0, 20.0, 30.0, 40.0, 50.0, 60.0]) {
            let back = fitted.invert(f64::from(*scaled));
            assert!((back - expected).abs() < 0.02, "{scaling}: {expected} came back as {back}");
        }
    }
}

#[test]
fn classes_are_ordered_by_number_or_name() {
    let bench = Bench::new(table(&["a 1 2 3 4 5 6 7 8", "y 10 9 10 2 9 2 2 10"]));
    let data = bench.load(Goal::Classes, BY_PART).unwrap();
    let FittedTarget::Classes { names, .. } = &data.fitted.target else { panic!("classes") };
    assert_eq!(names, &["2", "9", "10"]);
    assert_eq!(data.train.target, Some(Target::Labels(vec![2, 1, 2, 0, 1, 0])));
    let bench = Bench::new(table(&["a 1 2 3 4 5 6 7 8", "y no yes no no yes no no yes"]));
    let data = bench.load(Goal::Binary, BY_PART).unwrap();
    assert_near(numbers(&data.train), &[0.0, 1.0, 0.0, 0.0, 1.0, 0.0]);
}

#[test]
fn what_was_fitted_encodes_other_files() {
    let bench = Bench::new(table(&["a 1 2 3 4 5 6 7 8", "c u v u v u v u v", Y]));
    let data = bench.load(Goal::Regression, BY_PART).unwrap();
    let json = serde_json::to_string(&data.fitted).unwrap();
    let fitted: data::Fitted = serde_json::from_str(&json).unwrap();
    assert_eq!(fitted, data.fitted);

    let same = bench.write("same.csv", "other;c;a\r\nx;u;1\r\n\"y;z\";v;6\r\n");
    let encoded = data::load_with(&fitted, &same, false).unwrap();
    let width = encoded.features.len();
    assert_eq!(encoded.features, data.train.features);
    assert_eq!(encoded.x[..width], data.train.x[..width]);
    assert_eq!(encoded.x[width..], data.train.x[5 * width..]);

    let without = bench.write("without.csv", "c,A\nu,1\n");
    let error = data::load_with(&fitted, &without, false).unwrap_err().to_string();
    assert!(error.contains("without.csv:1: there is no column `a`"), "{error}");
    let targets = bench.write("targets.csv", "a,c,y\n1,u,\n2,v,20\n");
    assert_eq!(data::load_with(&fitted, &targets, true).unwrap().source_rows, [1]);
}

#[test]
fn files_of_their_own_validate_and_test() {
    let bench = Bench::new("a,y\n1,10\n2,20\n3,30\n");
    bench.write("v.csv", "y,a\n5,2\n,9\n");
    let data = bench.load(Goal::Regression, "split = { by = \"files\", validation = \"v.csv\" }").unwrap();
    assert_eq!([data.train.rows, data.validation.rows, data.test.rows], [3, 1, 0]);
    assert_near(&feature(&data.validation, "a"), &feature(&data.train, "a")[1..2]);
}

#[test]
fn parquet_and_csv_hold_the_same_table() {
    use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, Int32Type};
    let schema = "message table { required int32 a; optional binary c (UTF8); required double y; }";
    let schema = parquet::schema::parser::parse_message_type(schema).unwrap();
    let bench = Bench::new("a,c,y\n1,u,0.5\n2,,1.5\n3,v,2.5\n4,u,-1\n");
    let path = bench.directory.path().join("table.parquet");
    let file = std::fs::File::create(&path).unwrap();
    let mut writer =
        parquet::file::writer::SerializedFileWriter::new(file, schema.into(), Default::default()).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<Int32Type>().write_batch(&[1, 2, 3, 4], None, None).unwrap();
    column.close().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    let names = ["u", "v", "u"].map(ByteArray::from);
    column.typed::<ByteArrayType>().write_batch(&names, Some(&[1, 0, 1, 1]), None).unwrap();
    column.close().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<DoubleType>().write_batch(&[0.5, 1.5, 2.5, -1.0], None, None).unwrap();
    column.close().unwrap();
    group.close().unwrap();
    writer.close().unwrap();

    let split = "split = { by = \"random\", validation = 0.25, test = 0.25 }";
    let csv = bench.load(Goal::Regression, split).unwrap();
    let config = format!("source = \"table.parquet\"\ntarget = \"y\"\n{split}");
    let config: DataConfig = toml::from_str(&config).unwrap();
    let parquet = data::load(&config, bench.directory.path(), Goal::Regression).unwrap();
    assert_eq!((parquet.fitted, parquet.train, parquet.test), (csv.fitted, csv.train, csv.test));

    // Damage to any single byte gives data or a message.
    let bytes = std::fs::read(&path).unwrap();
    for at in (0..bytes.len()).step_by(7) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x15;
        std::fs::write(&path, damaged).unwrap();
        let _ = data::load(&config, bench.directory.path(), Goal::Regression);
    }
}

#[test]
fn the_kind_of_a_column_is_inferred_or_given() {
    let bench =
        Bench::new(table(&["a 1 2 1 2 1 2 1 2", "b yes no yes no _ no no yes", "c x 1 y 2 z w 3 1", Y]));
    let data = bench.load(Goal::Regression, BY_PART).unwrap();
    let kind = |i: usize| &data.fitted.columns[i].encoding;
    assert!(matches!(kind(0), Encoding::Number { boolean: false, .. }));
    assert!(matches!(kind(1), Encoding::Number { boolean: true, .. }));
    assert!(matches!(kind(2), Encoding::OneHot { .. }));
    let given = bench.load(Goal::Regression, &format!("{BY_PART}types = {{ a = \"category\" }}")).unwrap();
    assert!(matches!(given.fitted.columns[0].encoding, Encoding::OneHot { .. }));
}
