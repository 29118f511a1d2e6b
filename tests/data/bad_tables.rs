//! Tables and settings that give no data: the message says what to correct. Arbitrary bytes give either data
//! or such a message.

use gridlight::data::{FittedTarget, Goal, Target};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use crate::small_table::{Bench, table};

/// Loads `table` and expects an error that contains all of `parts`.
fn expect_error(table: impl AsRef<[u8]>, goal: Goal, config: &str, parts: &[&str]) {
    let error = Bench::new(table).load(goal, config).unwrap_err().to_string();
    for part in parts {
        assert!(error.contains(part), "\"{error}\" does not say \"{part}\"");
    }
}

#[test]
fn bad_files_are_named_with_line_and_column() {
    let r = Goal::Regression;
    expect_error("", r, "", &["table.csv: the file is empty"]);
    expect_error(" \n\n", r, "", &["table.csv: the file is empty"]);
    expect_error("a,y\n", r, "", &["table.csv: the file is empty"]);
    let utf8 = "csv = { encoding = \"utf-8\" }";
    expect_error(b"a,y\n1,2\n3,\xff\n", r, utf8, &["table.csv:3:", "not text in UTF-8", "data.csv.encoding"]);
    expect_error("a,y\n1,2\n3\n", r, "", &["table.csv:3:", "has 1 cells, the first line 2"]);
    expect_error("a,a,y\n1,2,3\n", r, "", &["table.csv:1:", "two columns are called `a`"]);
    expect_error("a,yy\n1,2\n", r, "", &["table.csv:1: there is no column `y`; did you mean `yy`?"]);
    let cells = "a,y\n1,2\n2,3\n4x,4\n5,6\n6,7\n7,9\n";
    expect_error(cells, r, "", &["table.csv:4:", "`a`", "\"4x\"", "expected a number", "[data.types]"]);
    expect_error(cells.replace("4x", "inf"), r, "", &["table.csv:4:", "\"inf\"", "expected a number"]);
    expect_error(cells.replace("4x", "1e300"), r, "", &["table.csv:4:", "\"1e300\"", "at most 3.4e38"]);
    let times = "t,y\n2024-01-01,1\n2024-01-02,2\n2024-13-01,3\n2024-01-03,4\n2024-01-04,5\n2024-01-05,6\n";
    expect_error(times, r, "", &["table.csv:4:", "\"2024-13-01\"", "expected a date such as"]);
}

#[test]
fn an_absurd_header_is_refused_at_once() {
    let mut header = "a,".repeat(10_000_000);
    header.push_str("y\n1\n");
    let started = std::time::Instant::now();
    expect_error(header, Goal::Regression, "", &["the header has 10000001 columns, at most 100000"]);
    assert!(started.elapsed().as_secs() < 20);
}

#[test]
fn what_cannot_be_learned_is_refused() {
    let (r, b, c) = (Goal::Regression, Goal::Binary, Goal::Classes);
    let rows = "a,y\n1,2\n2,3\n4,5\n5,6\n7,8\n";
    expect_error("a,y\n1,2\n2,2\n3,2\n4,2\n", r, "", &["target `y`", "\"2\"", "nothing to learn"]);
    expect_error(
        "a,y\n1,2\n2,2.0\n3,2\n4,2.0\n5,2\n6,2.0\n7,2\n8,2.0\n",
        r,
        "split = { by = \"rows\", every = 4 }",
        &["nothing to learn"],
    );
    expect_error("a,y\n1,\n2,NA\n", r, "", &["target `y`", "no row is left"]);
    let words = "a,y\n1,cat\n2,dog\n3,cat\n4,dog\n5,cat\n";
    expect_error(words, r, "", &["target `y`", "regression needs numbers", "cross_entropy"]);
    expect_error(rows, b, "", &["target `y`", "different values", "needs 2"]);
    expect_error("y\n1\n2\n3\n4\n5\n", r, "", &["no other column is left"]);
    expect_error(rows, r, "features = [\"a\", \"b\"]", &["there is no column `b`; there are a, y"]);
    expect_error(rows, r, "features = [\"a\", \"y\"]", &["`y`", "is the target"]);
    expect_error(rows, r, "exclude = [\"bb\"]", &["there is no column `bb`"]);
    let held_back = "split = { by = \"column\", column = \"part\" }";
    let unseen = table(&["a 1 2 3 4 5 6 7 8", "y u v u v u v u w"]);
    expect_error(unseen, c, held_back, &["table.csv:9:", "target `y`", "\"w\"", "classes are u, v"]);
    let twice = table(&["a 1 2 3 4 5 6 7 8", "y 0 1 0.0 1 2 0 1 0"]);
    expect_error(twice, c, held_back, &["\"0\" and \"0.0\"", "one number and would be two classes"]);
    let many: String = (0..3000).map(|i| format!("name{i},{i}\n")).collect();
    expect_error(format!("id,y\n{many}"), r, "", &["column `id`", "different names", "exclude", "embedding"]);
}

#[test]
fn treatments_and_splits_that_do_not_fit_are_refused() {
    let r = Goal::Regression;
    let rows = "a,c,t,y\n1,u,2024-01-01,2\n2,v,2024-01-02,3\n4,u,2024-01-03,5\n5,v,2024-01-04,6\n";
    expect_error(rows, r, "clean = { clip = -1.0 }", &["`a`", "`clip`", "above 0"]);
    expect_error(rows, r, "clean = { clip = nan }", &["`a`", "`clip`", "above 0"]);
    expect_error(rows, r, "clean = { columns = { a = \"own_category\" } }", &["`a`", "for category columns"]);
    expect_error(rows, r, "clean = { columns = { c = \"mean\" } }", &["`c`", "for number columns"]);
    expect_error(rows, r, "clean = { columns = { a = { constant = \"x\" } } }", &["`a`", "must be a number"]);
    expect_error(rows, r, "types = { c = \"number\" }", &["table.csv:", "`c`", "expected a number"]);
    for (split, parts) in [
        ("by = \"random\", validation = 1.5", ["`validation` = 1.5", "between 0 and 1"]),
        ("by = \"random\", test = nan", ["`test` = NaN", "between 0 and 1"]),
        ("by = \"random\", validation = 0.0", ["no rows for validation", "out of 4"]),
        (
            "by = \"random\", validation = 0.5, test = 0.5",
            ["`validation` = 0.5", "together they must be below 1"],
        ),
        ("by = \"rows\", every = 0", ["`every` = 0", "at least 2"]),
        ("by = \"folds\", folds = 3, fold = 3", ["`fold` = 3", "below `folds` = 3"]),
        ("by = \"column\", column = \"c\"", ["holds \"u\" in line 2", "train, validation or test"]),
        ("by = \"time\", column = \"t\", validation = \"x\", test = \"2024-01-03\"", ["\"x\"", "not a date"]),
        (
            "by = \"time\", column = \"t\", validation = \"2024-01-03\", test = \"2024-01-02\"",
            ["`validation`", "before `test`"],
        ),
        ("by = \"files\", validation = \"no.csv\"", ["no.csv", "No such file"]),
    ] {
        expect_error(rows, r, &format!("split = {{ {split} }}"), &parts);
    }
}

/// The same cases in every run.
fn cases(count: u32) -> ProptestConfig {
    let rng_seed = RngSeed::Fixed(20_240_131);
    ProptestConfig { cases: count, rng_seed, failure_persistence: None, ..ProptestConfig::default() }
}

/// Loads in every way; the data must be finite, and every kept row must be in exactly one part.
fn survives(bytes: &[u8]) {
    let bench = Bench::new(bytes);
    for goal in [Goal::Regression, Goal::Binary, Goal::Classes] {
        for config in [
            "",
            "clean = { clip = 1.0, indicators = true, numbers = \"forward_fill\" }\n\
             transform = { numbers = \"quantile\", target = \"log1p\", categories = \"embedding\" }",
            "split = { by = \"folds\", folds = 2, fold = 1 }\n\
             transform = { numbers = \"min_max\", target = \"quantile\" }",
        ] {
            let Ok(data) = bench.load(goal, config) else { continue };
            for part in [&data.train, &data.validation, &data.test] {
                assert!(part.x.iter().all(|x| x.is_finite()), "{config}: {:?}", part.x);
                assert_eq!(part.x.len(), part.rows * part.features.len());
                if let Some(Target::Numbers(y)) = &part.target {
                    assert!(y.iter().all(|y| y.is_finite()), "{config}: {y:?}");
                }
            }
            let FittedTarget::Number { scaling, .. } = &data.fitted.target else { continue };
            assert!(scaling.invert(0.3).is_finite(), "{config}");
        }
    }
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn any_bytes_give_data_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        survives(&bytes);
    }

    #[test]
    fn any_text_of_table_characters_gives_data_or_an_error(
        text in "[ay,;\t\"\n\r0-9.eE+:TNan\u{feff}-]{0,300}"
    ) {
        survives(format!("a,y\n{text}").as_bytes());
    }

    #[test]
    fn any_numbers_give_finite_data(
        rows in proptest::collection::vec((any::<f32>(), any::<i16>(), any::<f64>()), 4..40)
    ) {
        let rows: String = rows.iter().map(|(a, b, y)| format!("{a:e},{b},{y:e}\n")).collect();
        survives(format!("a,b,y\n{rows}").as_bytes());
    }

    #[test]
    fn any_damage_to_a_good_table_gives_data_or_an_error(
        damage in proptest::collection::vec((0_usize..10_000, any::<u8>()), 1..6)
    ) {
        let row = |i: usize| {
            format!("{},{},2024-01-{:02},{}\n", i * 7 % 5, ["u", "v"][i % 2], i % 28 + 1, i % 3)
        };
        let mut bytes = format!("a,c,t,y\n{}", (0..40).map(row).collect::<String>()).into_bytes();
        for (at, byte) in damage {
            let at = at % bytes.len();
            bytes[at] = byte;
        }
        survives(&bytes);
    }
}
