//! Splits that do not leak: groups stay together, parts have their share of every class, seeds are the split's own.

use std::collections::BTreeSet;

use gridlight::data::{Goal, Loaded};

use crate::small_table::Bench;

/// 200 rows of 40 patients and three classes, one of them with a single row.
fn patients() -> String {
    let mut text = "patient,x,y\n".to_string();
    for i in 0..200 {
        let class = if i == 77 {
            "rare"
        } else if i % 4 == 0 {
            "ill"
        } else {
            "well"
        };
        text += &format!("p{},{},{class}\n", i * 13 % 40, i % 17);
    }
    text
}

fn load(config: &str) -> Loaded {
    Bench::new(patients()).load(Goal::Classes, config).unwrap()
}

fn groups(rows: &[usize]) -> BTreeSet<usize> {
    rows.iter().map(|row| row * 13 % 40).collect()
}

#[test]
fn a_group_is_in_one_part() {
    for split in [
        "by = \"random\", group = \"patient\"",
        "by = \"folds\", folds = 4, fold = 2, group = \"patient\"",
        "by = \"folds\", folds = 4, fold = 1, group = \"patient\", seed = 3, stratify = true",
    ] {
        let bench = Bench::new(patients().replace("rare", "well"));
        let data = bench.load(Goal::Classes, &format!("split = {{ {split} }}")).unwrap();
        let parts = [&data.train, &data.validation, &data.test].map(|part| groups(&part.source_rows));
        assert_eq!(parts.iter().map(BTreeSet::len).sum::<usize>(), 40, "{split}");
        assert!(parts.iter().all(|part| !part.is_empty()), "{split}");
        assert!(!data.train.features.iter().any(|f| f.contains("patient")), "{split}");
    }
}

#[test]
fn folds_of_groups_test_every_row_once() {
    let mut tested = vec![];
    for fold in 0..5 {
        let split =
            format!("split = {{ by = \"folds\", folds = 5, fold = {fold}, group = \"patient\", seed = 9 }}");
        let bench = Bench::new(patients().replace("rare", "well"));
        tested.extend(bench.load(Goal::Classes, &split).unwrap().test.source_rows);
    }
    tested.sort_unstable();
    assert_eq!(tested, (0..200).collect::<Vec<_>>());
}

#[test]
fn parts_have_their_share_of_every_class_and_rare_ones_train() {
    for seed in 0..20 {
        let data = load(&format!("split = {{ by = \"random\", seed = {seed} }}"));
        let count = |name: &str| data.understood.classes.iter().find(|c| c.name == name).unwrap().rows;
        assert_eq!(count("rare"), [1, 0, 0], "seed {seed}");
        let [_, validation, test] = count("ill");
        assert!((7..=8).contains(&validation) && (7..=8).contains(&test), "seed {seed}: {:?}", count("ill"));
    }
}

#[test]
fn numbers_are_not_stratified_in_silence() {
    let bench = Bench::new(patients().replace("ill", "1").replace("well", "2").replace("rare", "3"));
    let error =
        bench.load(Goal::Regression, "split = { by = \"random\", stratify = true }").unwrap_err().to_string();
    assert!(error.contains("`stratify` is for targets that are classes"), "{error}");
}

#[test]
fn a_split_has_its_own_seed() {
    let rows = |seed: u32| load(&format!("split = {{ by = \"random\", seed = {seed} }}")).test.source_rows;
    assert_eq!(rows(4), rows(4));
    assert_ne!(rows(4), rows(5));
}

#[test]
fn the_positive_class_can_be_chosen() {
    let text: String = std::iter::once("x,y\n".to_string())
        .chain((0..60).map(|i| format!("{i},{}\n", ["churned", "stayed"][i % 2])))
        .collect();
    let bench = Bench::new(text);
    for goal in [Goal::Binary, Goal::Classes] {
        let data = bench.load(goal, "positive = \"churned\"").unwrap();
        assert_eq!(data.fitted.target.classes(), ["stayed", "churned"]);
        let positive: Vec<bool> = data.understood.classes.iter().map(|class| class.positive).collect();
        assert_eq!(positive, [false, true]);
        let error = bench.load(goal, "positive = \"churn\"").unwrap_err().to_string();
        assert!(error.contains("churned, stayed") && error.contains("did you mean"), "{error}");
    }
}

#[test]
fn what_looks_wrong_is_named_with_the_key_that_mends_it() {
    let mut text = "id,zip,area,seen,leak,same,uid,y\n".to_string();
    for i in 0..120u64 {
        let area = if i % 11 == 0 { "-999".into() } else { format!("{}", 40 + i * 7 % 90) };
        let y = i * 31 % 97;
        text += &format!(
            "{i},{:05},{area},{},{},7,{:016x},{y}\n",
            1000 + i * 37 % 50,
            20_240_101 + i % 28,
            3 * y + 1,
            i.wrapping_mul(0x9E37_79B9_7F4A_7C15)
        );
    }
    let data = Bench::new(text).load(Goal::Regression, "").unwrap();
    let mends = |name: &str| {
        let column = data.understood.columns.iter().find(|column| column.name == name).unwrap();
        column.doubts.iter().map(|doubt| doubt.mend.clone()).collect::<Vec<_>>().join(" ")
    };
    for (name, part) in [
        ("id", "exclude = [\"id\"]"),
        ("zip", "\"zip\" = \"category\""),
        ("area", "missing = [\"-999\"]"),
        ("seen", "\"seen\" = \"timestamp\""),
        ("leak", "exclude = [\"leak\"]"),
        ("same", "exclude = [\"same\"]"),
        ("uid", "exclude = [\"uid\"]"),
    ] {
        assert!(mends(name).contains(part), "{name}: {}", mends(name));
    }
    assert_eq!(mends("y"), "");
}
