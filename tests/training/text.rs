//! Text: what is read, how states are carried from sequence to sequence, what is rejected, and that a network
//! learns a text and generates it.

use std::path::Path;
use std::process::{Command, Output};

use crate::silent::Silent;
use gridlight::base::rng;
use gridlight::data::{FittedTarget, Loaded};
use gridlight::device::cpu::CpuDevice;
use gridlight::experiment::Experiment;
use gridlight::run::evaluate::{evaluate, predict};
use gridlight::run::job::{Options, Outcome};
use gridlight::run::sample::{Drawn, Request, sample};
use gridlight::run::trainer;

/// A directory with a text and an experiment on it.
struct Bench {
    directory: tempfile::TempDir,
    experiment: Experiment,
}

impl Bench {
    fn new(text: &str, length: usize, rest: &str) -> Self {
        Self::of(text, &experiment(length, rest))
    }

    fn of(text: &str, experiment: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("text.txt"), text).unwrap();
        std::fs::write(directory.path().join("text.toml"), experiment).unwrap();
        let experiment = Experiment::read(&directory.path().join("text.toml"), &[]).unwrap();
        Self { directory, experiment }
    }

    fn data(&self) -> Loaded {
        trainer::load_data(&self.experiment, self.directory.path()).unwrap()
    }

    fn train(&self) -> Outcome {
        let mut experiment = self.experiment.clone();
        // The run directory should contain paths that do not depend on the current directory.
        experiment.data.source = self.directory.path().join("text.txt").display().to_string();
        let options = Options { out: self.directory.path().join("run"), ..Options::default() };
        trainer::train(&experiment, &self.data(), &device(), &options, &mut Silent).unwrap()
    }

    fn nats(&self, split: &str) -> f64 {
        let evaluation =
            evaluate(&self.directory.path().join("run"), None, Some(split), None, &device()).unwrap();
        assert_eq!(evaluation.metrics.get("nats"), Some(evaluation.loss.0));
        evaluation.loss.0
    }

    fn sample(&self, request: &Request) -> String {
        match sample(&self.directory.path().join("run"), request, &device()).unwrap() {
            Drawn::Text(text) => text,
            other => panic!("{other:?}"),
        }
    }
}

fn device() -> CpuDevice {
    CpuDevice::new(Some(2))
}

fn experiment(length: usize, rest: &str) -> String {
    format!(
        "name = \"text\"\nseed = 1\n[data]\nsource = \"text.txt\"\ntext = {{ length = {length} }}\n\
         split = {{ by = \"order\", validation = 0.1, test = 0.1 }}\n[model]\nfamily = \"rnn\"\n{rest}"
    )
}

/// Three letters in random order.
fn letters(count: usize) -> String {
    (0..count).map(|i| ['a', 'b', 'c'][(rng::word([4, 0], 0, 0, i as u32) % 3) as usize]).collect()
}

#[test]
fn the_last_characters_test_and_the_vocabulary_is_that_of_training() {
    // 80 characters for training, 10 for validation, 10 for test.
    let text = format!("{}é{}", "ab".repeat(40), "abababab?".repeat(3));
    let text: String = text.chars().take(100).collect();
    let data = Bench::new(&text, 3, "[train]\nbatch_size = 2\n").data();
    let FittedTarget::Text(fitted) = &data.fitted.target else { panic!("{:?}", data.fitted.target) };
    assert_eq!((fitted.vocabulary.as_str(), fitted.symbols()), ("ab", 3));
    let symbols = |part: &gridlight::data::Dataset| part.text.as_ref().unwrap().symbols.clone();
    assert_eq!((data.train.rows, symbols(&data.train)[..5].to_vec()), (26, vec![1, 2, 1, 2, 1]));
    // `é` and `?` are unknown.
    assert_eq!((data.validation.rows, symbols(&data.validation)), (3, vec![0, 1, 2, 1, 2, 1, 2, 1, 2, 0]));
    assert_eq!(data.test.rows, 3);
}

#[test]
fn cutting_a_text_into_other_sequences_does_not_change_what_a_network_knows() {
    // Of the 1,032 training characters, 1,024 are read, or 1,031; of the 129 test characters, 128. The
    // learning rate changes nothing.
    let rest = |epochs: usize| {
        format!(
            "hidden = [5, 7]\ncell = \"lstm\"\n[train]\nepochs = {epochs}\nbatch_size = 1\n\
             learning_rate = 1e-30\n"
        )
    };
    let (mut found, mut trained) = (vec![], vec![]);
    for length in [8, 16, 64, 1] {
        let bench = Bench::new(&letters(1290), length, &rest(3));
        let outcome = bench.train();
        found.push(bench.nats("test"));
        // States are carried from step to step in training too, and every epoch starts from zero states.
        let losses: Vec<f64> = outcome.history.iter().map(|row| row.train_loss).collect();
        assert!((losses[0] - losses[2]).abs() < 1e-6, "{losses:?}");
        trained.push(losses[0]);
    }
    for losses in [found, trained] {
        assert!(losses[..3].iter().all(|loss| (loss - losses[0]).abs() < 1e-5), "{losses:?}");
        // A long text read one character at a time has several streams, and one of 1,031 is not one of 1,024.
        assert!((losses[3] - losses[0]).abs() < 5e-3, "{losses:?}");
    }
}

#[test]
fn the_last_characters_are_evaluated_though_they_fill_no_sequence() {
    // After the first, 136 characters are predicted: 17 whole sequences of 8, or 2 of 64 and one of 8.
    let text = letters(2000).chars().skip(1800).take(137).collect::<String>();
    let mut found = vec![];
    for length in [8, 64, 100, 1000] {
        let rest = "hidden = [5]\n[train]\nepochs = 1\nbatch_size = 1\nlearning_rate = 1e-30\n";
        let bench = Bench::new(&letters(1800), length, rest);
        bench.train();
        let (run, other) = (bench.directory.path().join("run"), bench.directory.path().join("other.txt"));
        std::fs::write(&other, &text).unwrap();
        let evaluation = evaluate(&run, Some(&other), None, None, &device()).unwrap();
        assert_eq!(evaluation.samples, 136usize.div_ceil(length));
        found.push(evaluation.loss.0);
        // Every row of the table is the mean over its own characters.
        let table = bench.directory.path().join("nats.csv");
        predict(&run, &other, &table, &device()).unwrap();
        let table = std::fs::read_to_string(table).unwrap();
        let mut sum = 0.0;
        for (row, line) in table.lines().skip(1).enumerate() {
            let (place, nats) = line.split_once(',').unwrap();
            assert_eq!(place, (row * length + 2).to_string());
            sum += nats.parse::<f64>().unwrap() * (136 - row * length).min(length) as f64;
        }
        assert!((sum / 136.0 - evaluation.loss.0).abs() < 1e-9, "{table}");
    }
    assert!(found.iter().all(|loss| (loss - found[0]).abs() < 1e-6), "{found:?}");
    assert!(found[0] > 1.0, "a network that has learned nothing");
}

#[test]
fn what_lies_further_back_than_a_sequence_is_remembered() {
    // The letter after the dots repeats the one before them. At five of eight positions, a sequence starts
    // between the two, and only a carried state knows the first: without one, 0.161 nats is the best
    // possible.
    let group = |i: u32| if rng::word([4, 0], 1, 0, i).is_multiple_of(2) { "x....x|" } else { "y....y|" };
    let text: String = (0..6000).map(group).collect();
    let rest = "cell = \"gru\"\nhidden = [24]\n[train]\nepochs = 16\nbatch_size = 16\nlearning_rate = 1e-2\n";
    let bench = Bench::new(&text, 8, rest);
    bench.train();
    // Only one of two letters, every seven characters, is unpredictable.
    let entropy = 2f64.ln() / 7.0;
    let nats = bench.nats("test");
    assert!(nats < 0.13, "{nats}, at best {entropy}");
}

#[test]
fn a_learned_text_is_written_and_one_seed_writes_one_text() {
    let rest = "hidden = [24]\n[train]\nepochs = 8\nbatch_size = 8\nlearning_rate = 1e-2\n";
    let bench = Bench::new(&"abcdefgh\n".repeat(900), 16, rest);
    bench.train();
    let nats = bench.nats("test");
    assert!(nats < 0.02, "{nats}");
    let likeliest = Request {
        length: Some(18),
        temperature: Some(0.0),
        prompt: Some("abcd".into()),
        ..Request::default()
    };
    assert_eq!(bench.sample(&likeliest), "abcdefgh\nabcdefgh\nabcd");
    // As at the start of a line.
    assert_eq!(bench.sample(&Request { prompt: None, ..likeliest }), "abcdefgh\nabcdefgh\n");
    let wild = |seed| Request {
        seed,
        length: Some(40),
        temperature: Some(8.0),
        count: Some(3),
        ..Request::default()
    };
    let text = bench.sample(&wild(1));
    assert_eq!(text, bench.sample(&wild(1)));
    assert_ne!(text, bench.sample(&wild(2)));
    let texts: Vec<&str> = text.split("\n----------\n").collect();
    assert_eq!(texts.len(), 3);
    assert!(texts.iter().all(|t| t.chars().count() == 40) && texts[0] != texts[1], "{texts:?}");
}

#[test]
fn models_of_whole_sequences_write_more_than_they_look_back_on() {
    let families = [
        "family = \"transformer\"\nwidth = 16\nheads = 2\nblocks = 1\ntied = true\nactivation = \"swiglu\"",
        "family = \"tcn\"\nchannels = [16, 16]",
    ];
    for family in families {
        let rest = "[train]\nepochs = 8\nbatch_size = 8\nlearning_rate = 1e-2\n";
        let text = experiment(12, rest).replace("family = \"rnn\"", family);
        let bench = Bench::of(&"abcdefgh\n".repeat(900), &text);
        bench.train();
        // The first characters of a sequence have too little before them to be known.
        let nats = bench.nats("test");
        assert!(nats < 0.25, "{family}: {nats}");
        let likeliest = Request {
            length: Some(36),
            temperature: Some(0.0),
            prompt: Some("abcd".into()),
            count: Some(2),
            ..Request::default()
        };
        let line = "abcdefgh\nabcdefgh\nabcdefgh\nabcdefgh\nabcd";
        assert_eq!(bench.sample(&likeliest), format!("{line}\n----------\n{line}"), "{family}");
    }
}

fn run(directory: &Path, arguments: &[&str]) -> Output {
    let program = env!("CARGO_BIN_EXE_gridlight");
    Command::new(program).args(arguments).current_dir(directory).output().unwrap()
}

fn refused(directory: &Path, arguments: &[&str], wanted: &[&str]) {
    let ended = run(directory, arguments);
    let told = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(2), "{arguments:?}: {told}");
    for part in wanted.iter().chain(&["error: "]) {
        assert!(told.contains(part), "{arguments:?}: `{part}` is missing in: {told}");
    }
}

#[test]
fn every_command_takes_a_run_on_text() {
    let rest = "hidden = [8]\n[train]\nepochs = 2\nbatch_size = 8\n";
    let bench = Bench::new(&letters(2000), 8, rest);
    let directory = bench.directory.path();
    let output = |arguments: &[&str]| {
        let ended = run(directory, &[arguments, &["--device", "cpu"]].concat());
        assert_eq!(ended.status.code(), Some(0), "{arguments:?}: {}", String::from_utf8_lossy(&ended.stderr));
        String::from_utf8(ended.stdout).unwrap()
    };
    output(&["train", "text.toml"]);
    let report = std::fs::read_to_string(directory.join("runs/text/report.html")).unwrap();
    assert!(report.contains("predicts the next character") && report.contains("4 symbols in sequences of 8"));
    assert!(report.contains("Generated text"));
    let evaluation: serde_json::Value =
        serde_json::from_str(&output(&["evaluate", "runs/text", "--json"])).unwrap();
    assert!(evaluation["metrics"]["nats"].as_f64().unwrap() < 1.5, "{evaluation}");
    std::fs::write(directory.join("other.txt"), "abcabcabc unknown abcabc").unwrap();
    assert!(output(&["evaluate", "runs/text", "--data", "other.txt"]).contains("nats"));
    output(&["predict", "runs/text", "--input", "other.txt", "--output", "scores.csv"]);
    let scores = std::fs::read_to_string(directory.join("scores.csv")).unwrap();
    let lines: Vec<&str> = scores.lines().collect();
    // 23 characters are predicted, the last seven in a separate row.
    assert!(lines.len() == 4 && lines[0] == "character,nats" && lines[3].starts_with("18,"), "{scores}");
    let text = output(&["sample", "runs/text", "--length", "30", "--prompt", "ab"]);
    assert!(text.starts_with("ab") && text.trim_end().len() == 32, "{text}");
    output(&["sample", "runs/text", "--output", "more.txt", "--count", "2"]);
    assert!(std::fs::read_to_string(directory.join("more.txt")).unwrap().contains("----------"));
    output(&["plan", "text.toml"]);
    output(&["verify", "text.toml"]);
    assert!(output(&["replay", "runs/text"]).contains("same"));
    for (arguments, wanted) in [
        (&["sample", "runs/text", "--output", "a.png"][..], &["runs/text", ".txt"][..]),
        (&["sample", "runs/text", "--prompt", "aé"], &["--prompt", "'é'"]),
        (&["sample", "runs/text", "--temperature", "-1"], &["--temperature"]),
        (&["sample", "runs/text", "--count", "0"], &["--count 0"]),
        (&["sample", "runs/text", "--length", "0"], &["--length 0"]),
        (&["predict", "runs/text", "--input", "text.toml.gone", "--output", "p"], &["text.toml.gone"]),
    ] {
        refused(directory, &[arguments, &["--device", "cpu"]].concat(), wanted);
    }
}

#[test]
fn wrong_texts_and_experiments_are_refused() {
    let rest = "hidden = [8]\n[train]\nepochs = 2\nbatch_size = 8\n";
    let bench = Bench::new("", 8, rest);
    let directory = bench.directory.path();
    let good = letters(2000);
    let not_utf8 = [&good.as_bytes()[..70], b"\nab\xff", good.as_bytes()].concat();
    let texts: [(&[u8], &[&str]); 7] = [
        (b"", &["text.txt", "empty"]),
        ("\u{feff}".as_bytes(), &["text.txt", "empty"]),
        (&not_utf8, &["text.txt", "line 2, column 3", "0xff", "UTF-8"]),
        (b"abcabc", &["text.txt", "characters", "data.text.length"]),
        (&good.as_bytes()[..70], &["text.txt", "training part", "need 65"]),
        (b"abcabcabcabc", &["text.txt", "validation part has 1 characters", "2"]),
        (&[b'a'; 3000], &["text.txt", "'a'", "nothing to learn"]),
    ];
    for (text, wanted) in texts {
        std::fs::write(directory.join("text.txt"), text).unwrap();
        let length = if text.len() == 70 { "data.text.length=64" } else { "data.text.length=8" };
        refused(directory, &["train", "text.toml", "--device", "cpu", "--set", length], wanted);
    }
    std::fs::write(directory.join("text.txt"), &good).unwrap();
    let settings: [(&str, &[&str]); 19] = [
        ("data.text.length=0", &["data.text.length"]),
        ("data.text.length=70000", &["data.text.length"]),
        ("data.target=\"x\"", &["data.target", "[data.text]"]),
        ("data.window={length=3}", &["data.window"]),
        ("data.augment.noise=0.1", &["data.augment"]),
        ("data.split={by=\"random\"}", &["by = \"order\""]),
        ("data.split={by=\"order\",test=1.5}", &["1.5"]),
        ("model.family=\"mlp\"", &["model.family", "rnn"]),
        ("model.activation=\"swiglu\"", &["model.activation", "transformers", "silu"]),
        ("model.tied=true", &["model.tied", "transformer"]),
        ("model.depth=20", &["model.depth", "resnet"]),
        ("model.layer=[{type=\"conv1d\",channels=3,kernel=2}]", &["model.layer", "conv1d", "causal"]),
        ("model.bidirectional=true", &["model.bidirectional", "backwards"]),
        ("model.layer=[{type=\"dense\",units=3}]", &["model.layer", "recurrent layer"]),
        ("train.loss=\"mae\"", &["train.loss", "= \"mae\"", "\"cross_entropy\""]),
        ("train.loss=\"mse\"", &["train.loss", "= \"mse\"", "\"cross_entropy\""]),
        ("train.loss={type=\"cross_entropy\",label_smoothing=0.1}", &["train.loss", "plain"]),
        ("train.shuffle=true", &["train.shuffle", "states", "false"]),
        (
            "train.batch_size=4096",
            &["--set", "train.batch_size", "4096", "sequences of 8 characters", "at most 199"],
        ),
    ];
    for (set, wanted) in settings {
        refused(directory, &["train", "text.toml", "--device", "cpu", "--set", set], wanted);
    }
}
