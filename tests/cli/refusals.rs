//! Bad input exits with code 2 and one paragraph that says where and how to go on, and leaves earlier runs
//! untouched.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::{EXPERIMENT, Ended, gridlight, table, workplace};

/// Every file under `runs`, with its contents.
pub fn runs(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut open = vec![directory.join("runs")];
    while let Some(path) = open.pop() {
        for entry in fs::read_dir(path).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                files.insert(path.clone(), fs::read(&path).unwrap());
            }
        }
    }
    files
}

/// Asserts exit code 2 and one short paragraph that starts with `error:` and contains all of `wanted`, and
/// nothing else but what was understood of the data.
pub fn assert_refused(ended: &Ended, wanted: &[&str], what: &str) {
    // The line with the device's name is not part of the message, nor are the columns of the table before it.
    let lines = ended.stderr.lines().filter(|l| !l.starts_with("device: "));
    let columns = ended.stderr.contains(" columns; cells are separated by");
    let stderr = lines.skip_while(|l| columns && !l.starts_with("error: ")).collect::<Vec<_>>().join("\n");
    assert_eq!(ended.code, Some(2), "{what}: {stderr}");
    assert!(stderr.starts_with("error: "), "{what}: {stderr}");
    assert!(stderr.lines().count() <= 3 && !stderr.trim_end().contains("\n\n"), "{what}: {stderr}");
    assert!(stderr.len() < 1000, "{what}: {} bytes: {stderr}", stderr.len());
    for part in wanted {
        assert!(stderr.contains(part), "{what}: `{part}` is missing in: {stderr}");
    }
    assert!(!stderr.contains("internal error") && !stderr.contains("panicked"), "{what}: {stderr}");
    assert_eq!(ended.stdout, "", "{what}");
}

#[test]
fn wrong_experiments_are_refused_with_their_place() {
    let directory = workplace();
    let before = runs(directory.path());
    let swap = |from: &str, to: &str| EXPERIMENT.replace(from, to);
    let layer = |text: &str| swap("hidden = [8]", &format!("[[model.layer]]\n{text}"));
    let train = |text: &str| format!("{EXPERIMENT}{text}\n");
    let cases: Vec<(&str, String, &[&str])> = vec![
        ("unknown key", swap("epochs", "epoch"), &["wrong.toml:11:1", "`epoch`", "did you mean `epochs`"]),
        ("unknown table", swap("[train]", "[training]"), &["wrong.toml:10:", "`training`", "`train`"]),
        ("wrong type", swap("epochs = 2", "epochs = \"two\""), &["wrong.toml:11:10", "two"]),
        ("syntax", swap("epochs = 2", "epochs = "), &["wrong.toml:11:"]),
        ("no name", swap("name = \"small\"", ""), &["wrong.toml", "`name`"]),
        ("zero epochs", swap("epochs = 2", "epochs = 0"), &["wrong.toml:11:1", "train.epochs", "= 0"]),
        ("zero batch", swap("= 16", "= 0"), &["wrong.toml:12:1", "train.batch_size"]),
        (
            "log1p of a negative target",
            train("[data.transform]\ntarget = \"log1p\""),
            &["`y`", "holds -12", "above -1"],
        ),
        (
            "log1p of a negative column",
            swap("target = \"y\"", "target = \"a\"") + "[data.transform]\nnumbers = \"log1p\"\n",
            &["`y`", "holds -12", "above -1"],
        ),
        ("no layers", swap("hidden = [8]", "layer = []"), &["wrong.toml:8:1", "model.layer", "hidden = []"]),
        (
            "batch above data",
            swap("= 16", "= 4096"),
            &["wrong.toml:12:1", "train.batch_size", "= 4096", "rows", "at most 42"],
        ),
        (
            "settings to try",
            swap("= 16", "= 16\n[tune]\nbatch_size = [8, 4096]"),
            &["wrong.toml:13:2", "[tune]", "write a study", "gridlight tune"],
        ),
        (
            "turned numbers",
            swap("[model]", "[data.augment]\nrotation = 10.0\n\n[model]"),
            &["wrong.toml:7:7", "data.augment", "data.image.shape"],
        ),
        ("no units", swap("[8]", "[0]"), &["wrong.toml:8:1", "model.hidden", "0 units"]),
        ("2^40 units", swap("[8]", "[1099511627776]"), &["wrong.toml:8:1", "1099511627776", "1000000"]),
        ("negative units", swap("[8]", "[-1]"), &["wrong.toml:8:"]),
        (
            "explicit layer of no units",
            layer("type = \"dense\"\nunits = 0"),
            &["wrong.toml:8:9", "model.layer", "0 units"],
        ),
        (
            "explicit layer of 2^40 units",
            layer("type = \"dense\"\nunits = 1099511627776"),
            &["wrong.toml:8:9", "model.layer", "1099511627776", "1000000"],
        ),
        (
            "unknown key of a layer",
            layer("type = \"dense\"\nunit = 3"),
            &["wrong.toml:8:", "`unit`", "did you mean `units`"],
        ),
        (
            "normalisation by momentum 7",
            layer("type = \"batch_norm\"\nmomentum = 7.0"),
            &["wrong.toml:8:9", "momentum = 7", "0..=1"],
        ),
        ("eps of infinity", layer("type = \"layer_norm\"\neps = inf"), &["wrong.toml:8:9", "eps = inf"]),
        (
            "batch norm of one row",
            swap("[8]", "[8]\nnorm = \"batch\"").replace("= 16", "= 1"),
            &["wrong.toml:13:1", "train.batch_size", "batch_norm"],
        ),
        (
            "a hundred thousand layers",
            swap("[8]", &format!("[{}]", "8,".repeat(100_000))),
            &["wrong.toml:8:1", "100000 layers", "1000"],
        ),
        ("embedding", swap("[8]", "[8]\nembedding_width = 0"), &["wrong.toml:9:1", "embedding_width"]),
        ("dropout of 1", swap("[8]", "[8]\ndropout = 1.0"), &["wrong.toml:9:1", "model.dropout"]),
        ("unknown activation", swap("[8]", "[8]\nactivation = \"rleu\""), &["wrong.toml:9:", "`relu`"]),
        ("unknown optimizer", train("optimizer = \"adan\""), &["wrong.toml:13:", "adam"]),
        ("unknown loss", train("loss = \"msee\""), &["wrong.toml:13:", "mse"]),
        ("learning rate", train("learning_rate = nan"), &["wrong.toml:13:1", "learning_rate"]),
        (
            "less memory than any plan needs",
            train("recompute = \"1 kB\""),
            &["wrong.toml:13:1", "allows 1000"],
        ),
        ("learning rate above f32", train("learning_rate = 1e300"), &["wrong.toml:13:1", "finite"]),
        (
            "schedule without end",
            train("schedule = { type = \"cosine\", final_fraction = inf }"),
            &["wrong.toml:13:1", "train.schedule", "final_fraction = inf"],
        ),
        (
            "schedule of no epochs",
            train("schedule = { type = \"step\", every_epochs = 0 }"),
            &["wrong.toml:13:1", "train.schedule", "every_epochs = 0"],
        ),
        (
            "schedule that grows",
            train("schedule = { type = \"step\", gamma = nan }"),
            &["wrong.toml:13:1", "train.schedule", "gamma = NaN"],
        ),
        (
            "class weights of 0",
            train("loss = { type = \"cross_entropy\", class_weights = [0.0, 0.0] }"),
            &["wrong.toml:13:1", "train.loss", "class weights of 0"],
        ),
        (
            "a class weight too few",
            swap("\"y\"", "\"kind\"") + "loss = { type = \"cross_entropy\", class_weights = [1.0] }\n",
            &["class_weights", "1 entries", "give 2"],
        ),
        ("a feature twice", swap("\"y\"", "\"y\"\nfeatures = [\"a\", \"a\"]"), &["`a`", "twice"]),
        (
            "a feature and not a feature",
            swap("\"y\"", "\"y\"\nfeatures = [\"a\"]\nexclude = [\"a\"]"),
            &["`a`", "`exclude`"],
        ),
        (
            "scaling of names",
            swap("[model]", "[data.transform.columns]\nkind = \"log1p\"\n\n[model]"),
            &["`kind`", "scales numbers"],
        ),
        ("missing column", swap("\"y\"", "\"z\""), &["table.csv:1", "`z`"]),
        (
            "more features than columns",
            swap("\"y\"", "\"y\"\nfeatures = [\"a\", \"b\", \"kind\", \"c\", \"d\"]"),
            &["table.csv:1", "`c`"],
        ),
        ("missing file", swap("table.csv", "tabel.csv"), &["tabel.csv", "No such file"]),
        ("target of names", swap("\"y\"", "\"kind\""), &["table.csv", "kind"]),
    ];
    for (what, text, wanted) in cases {
        fs::write(directory.path().join("wrong.toml"), text).unwrap();
        let arguments = ["train", "wrong.toml", "--device", "cpu", "--out", "runs/small"];
        assert_refused(&gridlight(directory.path(), &arguments), wanted, what);
        assert_eq!(runs(directory.path()), before, "{what}: the earlier run was touched");
    }
}

#[test]
fn wrong_tables_are_refused_with_their_place() {
    let directory = workplace();
    let before = runs(directory.path());
    let rows = table();
    let header: String = (0..10_000_000).map(|i| format!("c{i},")).collect();
    let cases: Vec<(&str, Vec<u8>, &[&str])> = vec![
        ("empty file", vec![], &["table.csv", "empty"]),
        ("header alone", b"a,b,kind,y\n".to_vec(), &["table.csv"]),
        (
            "unparsable cell",
            rows.replace("\n3,8,", "\n3,eight,").into(),
            &["table.csv:5", "`b`", "\"eight\""],
        ),
        ("constant target", target(|_| "5".into()), &["table.csv", "`y`"]),
        ("not text", [rows.as_bytes(), &[0xff, 0xfe, b',', 1, b'\n']].concat(), &["table.csv", "UTF-8"]),
        ("ten million columns", header.into_bytes(), &["table.csv:1", "columns"]),
        ("row too short", format!("{rows}1,2\n").into(), &["table.csv:62"]),
        ("no numbers in the target", target(|i| format!("w{i}")), &["table.csv", "`y`", "line 2", "w0"]),
        ("two columns of one name", rows.replacen("a,b", "a,a", 1).into(), &["table.csv:1", "`a`"]),
    ];
    for (what, bytes, wanted) in cases {
        fs::write(directory.path().join("table.csv"), bytes).unwrap();
        fs::write(directory.path().join("typed.toml"), typed()).unwrap();
        let arguments = ["train", "typed.toml", "--device", "cpu", "--out", "runs/small"];
        assert_refused(&gridlight(directory.path(), &arguments), wanted, what);
        assert_eq!(runs(directory.path()), before, "{what}: the earlier run was touched");
    }
}

/// The experiment with `b` declared a number, so that a word in it is an error rather than a category.
fn typed() -> String {
    EXPERIMENT.replace("[model]", "[data.types]\nb = \"number\"\n\n[model]")
}

/// The table with another target.
fn target(cell: impl Fn(usize) -> String) -> Vec<u8> {
    let lines = table();
    let row = |(i, row): (usize, &str)| format!("{},{}\n", row.rsplit_once(',').unwrap().0, cell(i));
    format!("a,b,kind,y\n{}", lines.lines().skip(1).enumerate().map(row).collect::<String>()).into()
}

#[test]
fn wrong_arguments_are_refused() {
    let directory = workplace();
    let before = runs(directory.path());
    fs::write(directory.path().join("latin.toml"), b"name = \"caf\xe9\"\n").unwrap();
    fs::write(directory.path().join("huge.toml"), vec![b'#'; 2 << 20]).unwrap();
    let cases: &[(&[&str], &[&str])] = &[
        (&["train", "missing.toml"], &["missing.toml", "No such file"]),
        (&["train", "latin.toml"], &["latin.toml", "UTF-8"]),
        (&["train", "huge.toml"], &["huge.toml", "bytes"]),
        (&["train", "small.toml", "--set", "train.epoch=3"], &["--set train.epoch=3", "`epochs`"]),
        (&["train", "small.toml", "--set", "train.epochs=0"], &["--set train.epochs=0", "train.epochs"]),
        (&["train", "small.toml", "--set", "epochs"], &["--set epochs", "table.key=value"]),
        (&["train", "small.toml", "--max-steps", "0"], &["--max-steps"]),
        (&["train", "small.toml", "--device", "tpu"], &["--device", "tpu"]),
        (&["train", "small.toml", "--device", "gpu:999"], &["999"]),
        (&["train", "small.toml", "--device", "cpu", "--out", "."], &["--out"]),
        (&["evaluate", "nowhere"], &["nowhere", "run directory"]),
        (&["evaluate", "runs/small", "--split", "tset"], &["tset", "test"]),
        (&["predict", "runs/small", "--input", "none.csv", "--output", "p.csv"], &["none.csv"]),
        (&["bench", "no-such-kernel"], &["no-such-kernel", "matmul"]),
        (&["bench", "--compare", "small.toml"], &["small.toml", "bench --json"]),
        (&["verify", "--cases", "small.toml", "--out", "o.jsonl"], &["small.toml:1:"]),
        (&["plan", "small.toml", "--device", "cpu", "--dump", "wgsl"], &["--dump", "--device gpu"]),
        (&["trian"], &["trian", "train"]),
    ];
    for (arguments, wanted) in cases {
        let ended = gridlight(directory.path(), arguments);
        assert_eq!(ended.code, Some(2), "{arguments:?}: {}", ended.stderr);
        assert!(ended.stderr.contains("error: "), "{arguments:?}: {}", ended.stderr);
        for part in *wanted {
            assert!(ended.stderr.contains(part), "{arguments:?}: `{part}` is missing in: {}", ended.stderr);
        }
        assert!(!ended.stderr.contains("internal error"), "{arguments:?}: {}", ended.stderr);
        assert_eq!(runs(directory.path()), before, "{arguments:?}: the earlier run was touched");
    }
}
