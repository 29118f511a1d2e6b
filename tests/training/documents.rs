//! Texts of rows: what a table's texts predict, and what a model of hidden symbols learns of them.

use std::fmt::Write;
use std::path::Path;
use std::process::{Command, Output};

use gridlight::base::rng;

/// Word `i` of line `row`, at random.
fn draw(row: usize, i: usize, of: &[&'static str]) -> &'static str {
    of[rng::word([9, 0], 0, row as u32, i as u32) as usize % of.len()]
}

/// Lines of up to five words, one of which says what they are about; of some, the label is missing.
fn table(rows: usize, labelled: usize) -> String {
    let mut text = String::from("line,about,part\n");
    for row in 0..rows {
        let animal = row % 2 == 0;
        let about = if animal { ["cat", "dog", "hen"] } else { ["oak", "elm", "fir"] };
        let count = 1 + rng::word([9, 2], 0, row as u32, 0) as usize % 5;
        let place = rng::word([9, 1], 0, row as u32, 0) as usize % count;
        let word = |i: usize| {
            if i == place { draw(row, 9, &about) } else { draw(row, i, &["the", "a", "old", "by"]) }
        };
        let line: Vec<&str> = (0..count).map(word).collect();
        let part = ["train", "train", "train", "validation", "test"][row / 2 % 5];
        let label = if part == "train" && row % 100 >= labelled {
            ""
        } else {
            ["plant", "animal"][usize::from(animal)]
        };
        writeln!(text, "\"{}\",{label},{part}", line.join(" ")).unwrap();
    }
    text
}

const CLASSES: &str = "name = \"lines\"\nseed = 1\n[data]\nsource = \"lines.csv\"\ntarget = \"about\"\n\
    text = { column = \"line\", length = 16 }\nsplit = { by = \"column\", column = \"part\" }\n[model]\n\
    family = \"transformer\"\nwidth = 16\nheads = 2\nblocks = 1\n[train]\nepochs = 12\nbatch_size = 16\n\
    learning_rate = 5e-3\nloss = \"cross_entropy\"\n";

const MASKED: &str = "name = \"hidden\"\nseed = 1\n[data]\nsource = \"lines.csv\"\n\
    text = { column = \"line\", length = 16 }\nsplit = { by = \"column\", column = \"part\" }\n[model]\n\
    family = \"transformer\"\nobjective = \"masked\"\nwidth = 16\nheads = 2\nblocks = 1\n[train]\nepochs = 12\n\
    batch_size = 16\nlearning_rate = 1e-2\n";

fn place(rows: usize, labelled: usize) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(directory.path().join(name), text).unwrap();
    write("lines.csv", &table(rows, labelled));
    write("lines.toml", CLASSES);
    write("hidden.toml", MASKED);
    directory
}

fn run(directory: &Path, arguments: &[&str]) -> Output {
    let program = env!("CARGO_BIN_EXE_gridlight");
    // What computes takes a device.
    let device = if arguments[0] == "export" { &[][..] } else { &["--device", "cpu"] };
    Command::new(program).args(arguments).args(device).current_dir(directory).output().unwrap()
}

/// What a command prints.
fn output(directory: &Path, arguments: &[&str]) -> String {
    let ended = run(directory, arguments);
    assert_eq!(ended.status.code(), Some(0), "{arguments:?}: {}", String::from_utf8_lossy(&ended.stderr));
    String::from_utf8(ended.stdout).unwrap()
}

fn refused(directory: &Path, arguments: &[&str], wanted: &[&str]) {
    let ended = run(directory, arguments);
    let told = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(2), "{arguments:?}: {told}");
    for part in wanted.iter().chain(&["error: "]) {
        assert!(told.contains(part), "{arguments:?}: `{part}` is missing in: {told}");
    }
}

fn metric(directory: &Path, run: &str, name: &str) -> f64 {
    let text = output(directory, &["evaluate", run, "--json"]);
    let evaluation: serde_json::Value = serde_json::from_str(&text).unwrap();
    evaluation["metrics"][name].as_f64().unwrap_or_else(|| panic!("{name} in {text}"))
}

#[test]
fn every_family_learns_what_texts_are_about() {
    let directory = place(600, 100);
    let path = directory.path();
    for family in [
        "family=\"mlp\",hidden=[16]",
        "family=\"rnn\",hidden=[16],cell=\"gru\"",
        "family=\"tcn\",channels=[16,16]",
        "family=\"transformer\",width=16,heads=2,blocks=1",
    ] {
        let model = format!("model={{{family}}}");
        output(path, &["train", "lines.toml", "--set", &model, "--set", "data.text.tokens={bpe=300}"]);
        let accuracy = metric(path, "runs/lines", "accuracy");
        assert!(accuracy > 0.97, "{family}: {accuracy}");
    }
    // A row's prediction depends on its own text alone, and not on what follows its end.
    let predict = |name: &str, rows: &str| {
        std::fs::write(path.join(name), format!("line\n{rows}")).unwrap();
        output(path, &["predict", "runs/lines", "--input", name, "--output", "out.csv"]);
        std::fs::read_to_string(path.join("out.csv")).unwrap()
    };
    let alone = predict("one.csv", "the old cat\n");
    let several = predict("more.csv", "the old cat\na fir by the elm and the oak\n\"\"\nold\n");
    assert_eq!(several.lines().nth(1), alone.lines().nth(1), "{several}");
    assert!(several.lines().nth(1).unwrap().starts_with("animal"), "{several}");
    assert!(several.lines().nth(2).unwrap().starts_with("plant"), "{several}");
    assert_eq!(several.lines().count(), 5);
    assert!(path.join("runs/lines/tokenizer.json").exists());
    output(path, &["export", "runs/lines", "--output", "weights.safetensors"]);
    output(path, &["export", "runs/lines", "--output", "model.onnx"]);
    output(path, &["verify", "lines.toml"]);
    for (arguments, wanted) in [
        (&["export", "runs/lines", "--python", "model.py"][..], "texts of rows"),
        (&["export", "runs/lines", "--training-step", "step.onnx"], "texts of rows"),
        (&["explain", "runs/lines"], "texts of rows"),
        (&["robustness", "runs/lines"], "texts of rows"),
        (&["sample", "runs/lines"], "generates nothing"),
    ] {
        refused(path, arguments, &[wanted]);
    }
}

#[test]
fn hidden_symbols_are_learned_and_a_resumed_run_is_the_same() {
    let directory = place(600, 100);
    let path = directory.path();
    output(path, &["train", "hidden.toml", "--out", "runs/whole"]);
    output(path, &["train", "hidden.toml", "--out", "runs/parts", "--epochs", "5"]);
    output(path, &["train", "hidden.toml", "--out", "runs/parts", "--resume"]);
    let best = |run: &str| std::fs::read(path.join(run).join("best.safetensors")).unwrap();
    assert!(best("runs/whole") == best("runs/parts"), "the same weights");
    // Letters of few words are known from their neighbours; at random, 3 nats.
    assert!(metric(path, "runs/whole", "nats") < 2.0);
    assert!(metric(path, "runs/whole", "accuracy") > 0.35);
    let report = std::fs::read_to_string(path.join("runs/whole/report.html")).unwrap();
    assert!(report.contains("predicts hidden characters") && report.contains("Hidden symbols"));
    output(path, &["predict", "runs/whole", "--input", "lines.csv", "--output", "nats.csv"]);
    let table = std::fs::read_to_string(path.join("nats.csv")).unwrap();
    assert!(table.starts_with("text,hidden,right,nats\n") && table.lines().count() == 601);
    refused(path, &["sample", "runs/whole"], &["generates nothing"]);
}

#[test]
fn a_classifier_goes_on_from_hidden_symbols_of_the_same_alphabet() {
    let directory = place(600, 20);
    let path = directory.path();
    output(path, &["train", "hidden.toml"]);
    let init = &["--init", "runs/hidden/best.safetensors", "--init-partial"];
    let begin = [&["train", "lines.toml", "--max-steps", "1"][..], &init[..]].concat();
    let ended = run(path, &begin);
    let told = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(0), "{told}");
    // All but the output layer.
    assert!(told.contains("missing in the file") && told.contains("`4.weight`"), "{told}");
    // Lines without a label have texts too: both have the letters of all of them.
    let others = [&begin[..], &["--set", "data.text.tokens=\"bytes\""]].concat();
    refused(path, &others, &["runs/hidden/best.safetensors", "other symbols", "tokenizer.json"]);
}

#[test]
fn a_text_of_pieces_of_words_is_written() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let text = "the cat sat on the mat and then the hen sat on the log\n".repeat(60);
    std::fs::write(path.join("text.txt"), text).unwrap();
    let experiment = "name = \"pieces\"\n[data]\nsource = \"text.txt\"\n\
        text = { length = 8, tokens = { bpe = 280 } }\nsplit = { by = \"order\", validation = 0.1, test = 0.1 }\n\
        [model]\nfamily = \"transformer\"\nwidth = 16\nheads = 2\nblocks = 1\n[train]\nepochs = 20\nbatch_size = 4\n\
        learning_rate = 1e-2\n";
    std::fs::write(path.join("text.toml"), experiment).unwrap();
    output(path, &["train", "text.toml"]);
    let evaluation: serde_json::Value =
        serde_json::from_str(&output(path, &["evaluate", "runs/pieces", "--json"])).unwrap();
    let [nats, each] = ["nats", "nats_per_character"].map(|name| {
        let value = evaluation["metrics"].get(name).or(evaluation["scores"].get(name));
        value.and_then(serde_json::Value::as_f64).unwrap_or_else(|| panic!("{name} in {evaluation}"))
    });
    assert!(each < nats && nats < 0.6, "{nats} {each}");
    let likeliest = ["sample", "runs/pieces", "--temperature", "0", "--length", "30", "--prompt", "the cat"];
    let written = output(path, &likeliest);
    assert!(written.starts_with("the cat sat on the mat and then the hen sat"), "{written}");
    // Another run takes the same tokens from the file.
    let file = "data.text.tokens={file=\"runs/pieces/tokenizer.json\"}";
    output(path, &["train", "text.toml", "--out", "runs/again", "--max-steps", "2", "--set", file]);
    let tokens = |run: &str| std::fs::read_to_string(path.join(run).join("tokenizer.json")).unwrap();
    assert_eq!(tokens("runs/pieces"), tokens("runs/again"));
    std::fs::write(path.join("other.json"), "{\"model\":{\"type\":\"WordPiece\"}}").unwrap();
    let other = ["train", "text.toml", "--set", "data.text.tokens={file=\"other.json\"}"];
    refused(path, &other, &["other.json", "WordPiece"]);
    refused(
        path,
        &["train", "text.toml", "--set", "data.text.tokens={bpe=10}"],
        &["data.text.tokens", "257"],
    );
}

#[test]
fn keys_that_do_not_go_with_texts_of_rows_are_refused() {
    let directory = place(60, 100);
    let path = directory.path();
    for (set, wanted) in [
        ("data.features=[\"part\"]", ["data.features", "`line` alone"]),
        ("data.target=\"line\"", ["data.text.column", "target"]),
        ("data.text.column=\"lin\"", ["lin", "line"]),
        ("data.window={length=3}", ["data.window", "remove"]),
        ("model={family=\"cnn\"}", ["model.family", "transformer"]),
        ("model.tied=true", ["model.tied", "target"]),
        ("model={family=\"rnn\",bidirectional=true}", ["model.bidirectional", "backwards"]),
        ("model={layer=[{type=\"flatten\"}]}", ["model.layer", "flatten"]),
        ("model.objective=\"masked\"", ["data.target", "masked"]),
        ("data.text.length=0", ["data.text.length", "= 0"]),
    ] {
        refused(path, &["train", "lines.toml", "--set", set], &wanted);
    }
    for (set, wanted) in [
        ("model={family=\"rnn\",objective=\"masked\"}", ["model.objective", "both sides"]),
        (
            "model={objective=\"masked\",layer=[{type=\"transformer\",heads=1,causal=true}]}",
            ["model.layer", "causal"],
        ),
        ("train.loss=\"mse\"", ["train.loss", "hidden character"]),
    ] {
        refused(path, &["train", "hidden.toml", "--set", set], &wanted);
    }
    // Without a table of texts there is nothing to hide.
    std::fs::write(
        path.join("plain.toml"),
        "name = \"x\"\n[data]\nsource = \"lines.csv\"\ntarget = \"about\"\n",
    )
    .unwrap();
    refused(
        path,
        &["train", "plain.toml", "--set", "model.objective=\"masked\""],
        &["model.objective", "[data.text]"],
    );
}
