//! Training keeps its promises on the CPU backend: reproducible, resumable, accurate, and it stops when it
//! should.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use gridlight::base::rng;
use gridlight::base::target::{Family, Target};
use gridlight::data::Loaded;
use gridlight::device::cpu::CpuDevice;
use gridlight::experiment::Experiment;
use gridlight::run::evaluate::{evaluate, predict};
use gridlight::run::trainer::{self, Options, Outcome};
use gridlight::run::tune;
use gridlight::train::engine::{self, Training};
use gridlight::train::events::{Event, Observer, Tick};
use gridlight::train::history::HistoryRow;
use gridlight::train::{ErrorKind, TrainError};

use crate::{custom_loop, synthetic};

/// Keeps events and interrupts after some steps.
#[derive(Default)]
struct Recorder {
    events: Vec<serde_json::Value>,
    notes: Vec<String>,
    steps: u64,
    interrupt_at: Option<u64>,
}

impl Observer for Recorder {
    fn event(&mut self, event: &Event) {
        self.events.push(serde_json::to_value(event).unwrap());
    }

    fn tick(&mut self, tick: &Tick) {
        self.steps = tick.step;
    }

    fn note(&mut self, text: &str) {
        self.notes.push(text.into());
    }

    fn interrupted(&mut self) -> bool {
        self.interrupt_at.is_some_and(|at| self.steps >= at)
    }
}

/// A table and an experiment on it, in a directory.
struct Bench {
    directory: tempfile::TempDir,
    experiment: Experiment,
    data: Loaded,
}

impl Bench {
    fn new(rows: u32, train: &str) -> Self {
        Self::with_table(&synthetic::table(rows), train)
    }

    fn with_table(table: &str, train: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let source = directory.path().join("table.csv");
        std::fs::write(&source, table).unwrap();
        let text = format!(
            "name = \"bench\"\nseed = 3\n[data]\nsource = {:?}\ntarget = \"y\"\n\
             [data.split]\nby = \"random\"\nvalidation = 0.2\ntest = 0.2\n{train}",
            source.to_str().unwrap()
        );
        let experiment = Experiment::parse(&text, "bench.toml", &[]).unwrap();
        let data = trainer::load_data(&experiment, Path::new("")).unwrap();
        Self { directory, experiment, data }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn options(&self, out: &str) -> Options {
        Options { out: self.path(out), ..Options::default() }
    }

    fn train(&self, options: &Options, recorder: &mut Recorder) -> Result<Outcome, TrainError> {
        let device = CpuDevice::new(Some(2));
        trainer::train(&self.experiment, &self.data, &device, options, recorder)
    }

    /// All files of a run that must have the same bits: the best weights, the newest checkpoint, the history.
    fn bits(&self, out: &str) -> Vec<Vec<u8>> {
        let run = self.path(out);
        let checkpoints = gridlight::train::checkpoint::list(&run.join("checkpoints"));
        let newest = &checkpoints.last().unwrap().1;
        [&run.join("best.safetensors"), newest, &run.join("metrics.csv")]
            .map(|p| std::fs::read(p).unwrap())
            .to_vec()
    }
}

const SHORT: &str = "[data.augment]\nnoise = 0.1\n[model]\nhidden = [16]\ndropout = 0.1\nnorm = \"batch\"\n\
    [train]\nepochs = 4\nbatch_size = 16\n";

#[test]
fn the_same_seed_gives_the_same_bits_for_any_number_of_threads() {
    let bench = Bench::new(300, SHORT);
    bench.train(&bench.options("a"), &mut Recorder::default()).unwrap();
    bench.train(&bench.options("b"), &mut Recorder::default()).unwrap();
    assert_eq!(bench.bits("a"), bench.bits("b"));
    let device = CpuDevice::new(Some(1));
    let mut recorder = Recorder::default();
    trainer::train(&bench.experiment, &bench.data, &device, &bench.options("c"), &mut recorder).unwrap();
    assert_eq!(bench.bits("a"), bench.bits("c"));
    let mut other = Bench::new(300, SHORT);
    other.experiment.seed = 4;
    other.train(&other.options("a"), &mut Recorder::default()).unwrap();
    assert_ne!(bench.bits("a")[0], other.bits("a")[0]);
}

#[test]
fn a_resumed_run_has_the_bits_of_an_uninterrupted_one() {
    let bench = Bench::new(300, SHORT);
    bench.train(&bench.options("whole"), &mut Recorder::default()).unwrap();
    // 180 training rows make 11 steps an epoch: in the first epoch, at the end of one, within one, at the
    // end.
    for stop in [1, 5, 11, 27, 33, 44] {
        let name = format!("stopped-{stop}");
        let options = Options { max_steps: Some(stop), ..bench.options(&name) };
        bench.train(&options, &mut Recorder::default()).unwrap();
        let mut recorder = Recorder::default();
        bench.train(&Options { resume: true, ..bench.options(&name) }, &mut recorder).unwrap();
        assert_eq!(recorder.events[0]["resumed_from_step"], stop);
        assert_eq!(bench.bits("whole"), bench.bits(&name), "stopped at {stop}");
    }
}

#[test]
fn an_interrupt_saves_a_checkpoint_from_which_the_run_goes_on() {
    let bench = Bench::new(300, SHORT);
    bench.train(&bench.options("whole"), &mut Recorder::default()).unwrap();
    for at in [1, 11, 20] {
        let name = format!("interrupted-{at}");
        let mut recorder = Recorder { interrupt_at: Some(at), ..Recorder::default() };
        let error = bench.train(&bench.options(&name), &mut recorder).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Interrupted, "{error}");
        bench.train(&Options { resume: true, ..bench.options(&name) }, &mut Recorder::default()).unwrap();
        assert_eq!(bench.bits("whole"), bench.bits(&name), "interrupted at {at}");
    }
}

#[test]
fn a_run_is_resumed_only_by_its_own_experiment_and_data() {
    let mut bench = Bench::new(300, SHORT);
    bench.train(&bench.options("run"), &mut Recorder::default()).unwrap();
    let resume = Options { resume: true, ..bench.options("run") };
    bench.experiment.train.epochs = 5;
    let outcome = bench.train(&resume, &mut Recorder::default()).unwrap();
    assert_eq!(outcome.history.len(), 5, "more epochs are a way to go on");
    bench.experiment.train.learning_rate = 0.5;
    let error = bench.train(&resume, &mut Recorder::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Input);
    assert!(error.to_string().contains("learning_rate = 0.5"), "{error}");
    bench.experiment.train.learning_rate = 1e-3;
    bench.data.digest.replace_range(..1, "x");
    let error = bench.train(&resume, &mut Recorder::default()).unwrap_err();
    assert!(error.to_string().contains("data file has changed"), "{error}");
}

#[test]
fn a_dense_network_learns_the_synthetic_function() {
    let train = "[model]\nhidden = [128, 64]\n[train]\nepochs = 60\nbatch_size = 32\n";
    let bench = Bench::new(3000, train);
    let outcome = bench.train(&bench.options("run"), &mut Recorder::default()).unwrap();
    let evaluation = evaluate(&bench.path("run"), None, None, None, &CpuDevice::new(Some(2))).unwrap();
    let rmse = evaluation.metrics.get("rmse").unwrap();
    assert_eq!((evaluation.split.as_str(), evaluation.samples), ("test", 600));
    assert!(rmse * rmse <= 0.03, "test MSE {}", rmse * rmse);
    let validation =
        evaluate(&bench.path("run"), None, Some("validation"), None, &CpuDevice::new(None)).unwrap();
    assert_eq!(Some(validation.loss.0), outcome.best.get("loss"), "the best weights were kept");
    let output = bench.path("predictions.csv");
    let rows = predict(&bench.path("run"), &bench.path("table.csv"), &output, &CpuDevice::new(None)).unwrap();
    let text = std::fs::read_to_string(output).unwrap();
    assert_eq!((rows, text.lines().count()), (3000, 3001));
    assert_eq!(text.lines().next(), Some("y"));
}

#[test]
fn training_stops_when_validation_no_longer_improves() {
    let train = "[train]\nepochs = 1000\nbatch_size = 16\nlearning_rate = 0.01\n\
                 early_stopping = { patience = 4 }\n";
    let bench = Bench::new(100, train);
    let outcome = bench.train(&bench.options("run"), &mut Recorder::default()).unwrap();
    let last = outcome.history.last().unwrap().epoch;
    assert_eq!(last, outcome.best_epoch + 4);
    let best = outcome.history.iter().map(|r| r.validation.get("loss").unwrap()).fold(f64::MAX, f64::min);
    assert_eq!(outcome.best.get("loss"), Some(best));
    // A finished run has nothing left to do.
    let resume = Options { resume: true, ..bench.options("run") };
    let again = bench.train(&resume, &mut Recorder::default()).unwrap();
    assert_eq!(again.history.len() as u64, last);
    assert_eq!(again.best, outcome.best);
}

#[test]
fn a_diverging_run_ends_with_code_3_and_keeps_no_bad_weights() {
    let bench = Bench::new(300, "[train]\nepochs = 3\noptimizer = \"sgd\"\nlearning_rate = 1e30\n");
    let error = bench.train(&bench.options("run"), &mut Recorder::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Diverged, "{error}");
    assert!(error.to_string().contains("step "), "{error}");
    for (_, path) in gridlight::train::checkpoint::list(&bench.path("run").join("checkpoints")) {
        gridlight::train::checkpoint::load(&path).unwrap();
    }
}

#[test]
fn an_earlier_run_is_moved_aside_and_other_files_are_left_alone() {
    let bench = Bench::new(100, "[train]\nepochs = 1\n");
    bench.train(&bench.options("run"), &mut Recorder::default()).unwrap();
    let first = bench.bits("run");
    let mut recorder = Recorder::default();
    let out = PathBuf::from(format!("{}/", bench.path("run").display()));
    bench.train(&Options { out, ..Options::default() }, &mut recorder).unwrap();
    assert_eq!(bench.bits("run-1"), first);
    assert!(recorder.notes.iter().any(|n| n.contains("run-1")), "{:?}", recorder.notes);
    std::fs::create_dir(bench.path("photos")).unwrap();
    std::fs::write(bench.path("photos/cat.png"), "cat").unwrap();
    let error = bench.train(&bench.options("photos"), &mut Recorder::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Input);
    assert_eq!(std::fs::read_dir(bench.path("photos")).unwrap().count(), 1);
}

#[test]
fn the_events_are_those_of_the_contract() {
    let bench = Bench::new(300, SHORT);
    let mut recorder = Recorder::default();
    let options = Options { log_every: Some(5), ..bench.options("run") };
    bench.train(&options, &mut recorder).unwrap();
    let kinds: Vec<&str> = recorder.events.iter().map(|e| e["event"].as_str().unwrap()).collect();
    assert_eq!((kinds[0], *kinds.last().unwrap()), ("start", "end"));
    assert_eq!(kinds.iter().filter(|k| **k == "epoch").count(), 4);
    let steps = recorder.events.iter().filter(|e| e["event"] == "step");
    let steps: Vec<u64> = steps.map(|e| e["step"].as_u64().unwrap()).collect();
    assert_eq!(steps, [5, 10, 15, 20, 25, 30, 35, 40]);
    let start = &recorder.events[0];
    assert_eq!((&start["steps_per_epoch"], &start["train_samples"]), (&11.into(), &180.into()));
    let epoch = recorder.events.iter().find(|e| e["event"] == "epoch").unwrap();
    for metric in ["loss", "mae", "rmse", "r2"] {
        assert!(epoch["validation"][metric].is_f64(), "{epoch}");
    }
    let end = recorder.events.last().unwrap();
    for key in ["run", "epochs", "steps", "best_epoch", "best", "seconds", "steps_per_second"] {
        assert!(!end[key].is_null(), "{key} in {end}");
    }
    assert!(end["first_step_seconds"].as_f64().unwrap() > 0.0);
    let files: Vec<String> = std::fs::read_dir(bench.path("run"))
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    for name in ["experiment.toml", "metrics.csv", "best.safetensors", "checkpoints"] {
        assert!(files.iter().any(|f| f == name), "{name} in {files:?}");
    }
    assert!(files.iter().any(|f| f.starts_with("events.out.tfevents.")), "{files:?}");
}

#[test]
fn classes_are_predicted_by_name_with_probabilities() {
    let mut table = String::from("x1,x2,y\n");
    for row in 0..400u32 {
        let [a, b] = [0, 1].map(|c| rng::uniform(rng::word([1, 1], c, 0, row)));
        let class = ["red", "green", "blue"][usize::from(a > 0.5) + usize::from(a > 0.5 && b > 0.5)];
        writeln!(table, "{a},{b},{class}").unwrap();
    }
    let train = "[train]\nepochs = 40\nbatch_size = 16\nloss = \"cross_entropy\"\nlearning_rate = 0.01\n";
    let bench = Bench::with_table(&table, train);
    bench.train(&bench.options("run"), &mut Recorder::default()).unwrap();
    let evaluation = evaluate(&bench.path("run"), None, None, None, &CpuDevice::new(None)).unwrap();
    assert!(evaluation.metrics.get("accuracy").unwrap() > 0.9, "{evaluation:?}");
    let output = bench.path("out.csv");
    predict(&bench.path("run"), &bench.path("table.csv"), &output, &CpuDevice::new(None)).unwrap();
    let mut reader = csv::Reader::from_path(output).unwrap();
    let header: Vec<String> = reader.headers().unwrap().iter().map(String::from).collect();
    assert_eq!(header, ["y", "probability blue", "probability green", "probability red"]);
    for record in reader.records().map(Result::unwrap) {
        let p: Vec<f64> = (1..4).map(|i| record[i].parse().unwrap()).collect();
        assert!((p.iter().sum::<f64>() - 1.0).abs() < 1e-9);
        assert!(["blue", "green", "red"].contains(&&record[0]));
    }
}

#[test]
fn tuning_takes_the_pair_with_the_lowest_validation_loss() {
    let train = "[train]\nepochs = 2\noptimizer = \"sgd\"\n[tune]\nlearning_rate = [1e-6, 0.05, 1e30]\n\
                 batch_size = [16, 32]\nepochs = 2\n";
    let bench = Bench::new(300, train);
    let device = CpuDevice::new(Some(2));
    let mut recorder = Recorder::default();
    let (chosen, trials) = tune::tune(&bench.experiment, &bench.data, &device, &mut recorder).unwrap();
    assert_eq!(trials.len(), 6);
    assert_eq!(chosen.train.learning_rate, 0.05);
    let diverged = trials.iter().filter(|t| !t.loss.is_finite());
    assert!(diverged.count() == 2 && trials.iter().filter(|t| t.learning_rate == 1e30).count() == 2);
    let least = trials.iter().map(|t| t.loss).fold(f64::INFINITY, f64::min);
    let winner = trials.iter().find(|t| t.loss == least).unwrap();
    assert_eq!(winner.batch_size, chosen.train.batch_size);
    assert!(recorder.events.is_empty() && recorder.notes.len() == 7, "{:?}", recorder.notes);
    let options = Options { trials, ..bench.options("run") };
    trainer::train(&chosen, &bench.data, &device, &options, &mut recorder).unwrap();
    let resumed = tune::settings_of_run(&bench.experiment, &bench.path("run")).unwrap();
    assert_eq!(resumed, chosen);
    let page = std::fs::read_to_string(bench.path("run/report.html")).unwrap();
    assert!(page.contains("Settings tried first") && page.contains("diverged"));
}

#[test]
fn the_report_is_one_page_that_needs_nothing_else() {
    let table = synthetic::table(300).replace("x1,", "&lt;b&gt; <i>,");
    let bench = Bench::with_table(&table, SHORT);
    bench.train(&bench.options("run"), &mut Recorder::default()).unwrap();
    let page = std::fs::read_to_string(bench.path("run/report.html")).unwrap();
    for outside in ["http:", "https:", "src=", "url(", "@import", "<script", "<i>"] {
        assert!(!page.contains(outside), "{outside}");
    }
    for part in ["<h2>Metrics", "<h2>Training", "<h2>Data", "<h2>Model", "<h2>Plan", "best epoch", "rmse"] {
        assert!(page.contains(part), "{part}");
    }
    assert!(!page.contains("NaN"), "a figure is missing");
}

#[test]
fn alternating_updates_follow_a_plain_loop() {
    custom_loop::alternating_updates_follow_a_plain_loop(&CpuDevice::new(Some(2)));
}

#[test]
fn the_host_replaces_gradients() {
    custom_loop::the_host_replaces_gradients(&CpuDevice::new(Some(2)));
}

#[test]
fn gradients_add_up() {
    custom_loop::gradients_add_up(&CpuDevice::new(Some(2)));
}

#[test]
fn runs_draw_anew() {
    custom_loop::runs_draw_anew(&CpuDevice::new(Some(2)));
}

#[test]
fn wrong_recipes_are_refused() {
    custom_loop::wrong_recipes_are_refused(&CpuDevice::new(Some(2)));
}

/// As [`SHORT`], but for what depends on the micro-batch (the statistics of a batch norm) or makes a
/// difference in the last digit a large one (Adam divides by gradients that are almost 0).
const CUT: &str = "[data.augment]\nnoise = 0.1\n[model]\nhidden = [16]\ndropout = 0.1\n[train]\nepochs = 3\n\
    batch_size = 16\nclip_norm = 1.0\nlearning_rate = 0.02\noptimizer = { type = \"sgd\", momentum = 0.9 }\n";

#[test]
fn micro_batches_give_what_the_whole_batch_gives() {
    let losses = |parts: usize| {
        let bench = Bench::new(300, &format!("{CUT}accumulate = {parts}\n"));
        let mut recorder = Recorder::default();
        let outcome = bench.train(&bench.options("run"), &mut recorder).unwrap();
        assert_eq!(recorder.steps, 33, "steps are those of the optimizer");
        let both = |row: &HistoryRow| [row.train_loss, row.validation.get("loss").unwrap()];
        outcome.history.iter().flat_map(both).collect::<Vec<f64>>()
    };
    let whole = losses(1);
    for parts in [2, 4, 16] {
        let cut = losses(parts);
        for (cut, whole) in cut.iter().zip(&whole) {
            assert!((cut - whole).abs() <= 1e-6 * whole, "{parts} micro-batches: {cut}, whole: {whole}");
        }
    }
}

#[test]
fn micro_batches_of_one_row_have_the_bits_of_the_whole_batch_in_exact_mode() {
    let bits = |parts: usize| {
        let bench = Bench::new(300, &format!("{CUT}accumulate = {parts}\n"));
        let device = CpuDevice::new(Some(2)).exact(true);
        let mut recorder = Recorder::default();
        trainer::train(&bench.experiment, &bench.data, &device, &bench.options("run"), &mut recorder)
            .unwrap();
        bench.bits("run")[0].clone()
    };
    assert_eq!(bits(16), bits(1));
}

#[test]
fn a_resumed_run_of_micro_batches_has_the_bits_of_an_uninterrupted_one() {
    let bench = Bench::new(300, &format!("{SHORT}accumulate = 4\n"));
    bench.train(&bench.options("whole"), &mut Recorder::default()).unwrap();
    for stop in [5, 11, 27] {
        let out = format!("cut at {stop}");
        let cut = Options { max_steps: Some(stop), ..bench.options(&out) };
        bench.train(&cut, &mut Recorder::default()).unwrap();
        let resumed = Options { resume: true, ..bench.options(&out) };
        bench.train(&resumed, &mut Recorder::default()).unwrap();
        assert_eq!(bench.bits("whole"), bench.bits(&out), "cut at step {stop}");
    }
    let mut other = bench;
    other.experiment.train.accumulate = 2;
    let resumed = Options { resume: true, ..other.options("cut at 5") };
    let error = other.train(&resumed, &mut Recorder::default()).unwrap_err().to_string();
    assert!(error.contains("`accumulate = 4`") && error.contains("`accumulate = 2`"), "{error}");
}

#[test]
fn what_cannot_be_cut_into_micro_batches_is_refused() {
    let refused = |train: &str, says: &str| {
        let text = format!("name = \"b\"\n[data]\nsource = \"b.csv\"\ntarget = \"y\"\n{train}");
        let error = Experiment::parse(&text, "b.toml", &[]).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    };
    refused("[train]\naccumulate = 0\n", "= 0 is not in 1..=65536");
    refused("[train]\nbatch_size = 10\naccumulate = 3\n", "= 10 is not a multiple of train.accumulate = 3");
    refused(
        "[train]\naccumulate = 2\n[tune]\nbatch_size = [7]\n",
        "= 7 is not a multiple of train.accumulate = 2",
    );
    let weights = "loss = { type = \"cross_entropy\", class_weights = [1.0, 2.0] }";
    refused(&format!("[train]\naccumulate = 2\n{weights}\n"), "cannot be used with `class_weights`");
    let normalised = "[model]\nhidden = [4]\nnorm = \"batch\"\n[train]\nbatch_size = 8\naccumulate = 8\n";
    refused(normalised, "leaves batch_norm nothing to normalise over");
    let text = "name = \"b\"\n[data]\nsource = \"b.txt\"\n[data.text]\n\
                [model]\nfamily = \"rnn\"\n[train]\naccumulate = 2\n";
    let error = Experiment::parse(text, "b.toml", &[]).unwrap_err().to_string();
    assert!(error.contains("cannot be used with a text"), "{error}");
}

#[test]
fn the_plan_of_micro_batches_needs_less_memory() {
    let plan = |parts: usize| {
        let bench = Bench::new(300, &format!("{CUT}accumulate = {parts}\n"));
        let model = trainer::model_of(&bench.experiment, &bench.data.fitted, &bench.data.train);
        let training = Training {
            data: &bench.data.train,
            batch: 16,
            accumulate: parts,
            noise: 0.1,
            images: None,
            optimizer: bench.experiment.train.optimizer.clone(),
            clip_norm: Some(1.0),
        };
        let target = Target::webgpu_minimum(Family::Workgroup);
        let (compiled, _) =
            engine::compile(&model, Some(&training), &bench.data.validation, &target).unwrap();
        compiled.report(&engine::step(parts), |_| [1, 1, 1])
    };
    let (whole, cut) = (plan(1), plan(4));
    let names = |times: usize| -> Vec<&str> {
        cut.kernels.iter().filter(|k| k.times == times).map(|k| k.name.as_str()).collect()
    };
    assert_eq!(names(1), ["pointwise", "gradient_norm", "gradient_norm", "optimizer"]);
    assert_eq!(cut.kernels_per_step, 4 + 4 * names(4).len());
    // The activations of evaluation are as many as before.
    assert!(cut.naive_bytes < whole.naive_bytes, "{} {}", cut.table(), whole.table());
    assert!(cut.table().lines().next().unwrap().ends_with("times"), "{}", cut.table());
    assert!(!whole.table().contains("times"));
}
