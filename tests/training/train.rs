//! Training keeps its promises on the CPU backend: reproducible, resumable, accurate, and it stops when it
//! should.

use std::fmt::Write;
use std::path::PathBuf;

use gridlight::base::rng;
use gridlight::device::cpu::CpuDevice;
use gridlight::optim::schedule::ScheduleKind;
use gridlight::run::evaluate::{evaluate, predict};
use gridlight::run::job::Options;
use gridlight::run::trainer;
use gridlight::train::ErrorKind;

use crate::bench::{Bench, Recorder, SHORT};
use crate::interruptions::Interrupter;
use crate::{custom_loop, synthetic};

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
    for (kind, words) in
        [(ScheduleKind::Constant, "remains"), (ScheduleKind::Cosine, "is stretched over them")]
    {
        let mut other = Bench::new(300, SHORT);
        other.experiment.train.schedule.kind = kind;
        other.train(&other.options("run"), &mut Recorder::default()).unwrap();
        other.experiment.train.epochs += 1;
        let mut heard = Interrupter::default();
        let options = Options { resume: true, ..other.options("run") };
        trainer::train(&other.experiment, &other.data, &CpuDevice::new(None), &options, &mut heard).unwrap();
        assert!(heard.notes.iter().any(|note| note.contains(words)), "{:?}", heard.notes);
    }
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
fn a_quantile_is_exceeded_by_the_rest_of_the_rows() {
    let mut table = String::from("x,y\n");
    let mut targets = vec![];
    for row in 0..1000u32 {
        let [x, noise] = [0, 1].map(|c| rng::uniform(rng::word([1, 2], c, 0, row)));
        // Noise that grows with x: a constant margin around the mean would not do.
        targets.push(f64::from(5.0 * x + 4.0 * x * noise));
        writeln!(table, "{x},{}", targets[row as usize]).unwrap();
    }
    for q in [0.1, 0.9] {
        let train = format!(
            "[train]\nepochs = 60\nbatch_size = 32\nloss = {{ type = \"quantile\", q = {q} }}\nlearning_rate = 0.01\n"
        );
        let bench = Bench::with_table(&table, &train);
        bench.train(&bench.options("run"), &mut Recorder::default()).unwrap();
        let output = bench.path("out.csv");
        predict(&bench.path("run"), &bench.path("table.csv"), &output, &CpuDevice::new(None)).unwrap();
        let mut reader = csv::Reader::from_path(output).unwrap();
        let found = reader.records().map(|row| row.unwrap()[0].parse::<f64>().unwrap());
        let below = found.zip(&targets).filter(|(quantile, y)| *y <= quantile).count();
        let part = below as f64 / targets.len() as f64;
        assert!((part - q).abs() < 0.05, "{part} of the rows are below the {q} quantile");
    }
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

/// Weights after one step, by name, with this much decay of what `decay` says.
fn after_a_step(decay: &str, amount: f64) -> Vec<(String, Vec<f32>)> {
    let bench = Bench::new(
        100,
        &format!(
            "[model]\nhidden = [4]\nnorm = \"layer\"\n[train]\nepochs = 1\nbatch_size = 60\ndecay = \"{decay}\"\n\
             learning_rate = 0.1\noptimizer = {{ type = \"sgd\", weight_decay = {amount:?} }}\n"
        ),
    );
    bench.train(&bench.options("run"), &mut Recorder::default()).unwrap();
    let tensors = gridlight::train::checkpoint::load(&bench.path("run/best.safetensors")).unwrap().0;
    tensors.into_iter().map(|(name, _, values)| (name, values)).collect()
}

#[test]
fn decay_leaves_biases_and_norms_out_unless_all_decay() {
    let without = after_a_step("weights", 0.0);
    let weights = after_a_step("weights", 0.5);
    let (all, twice) = (after_a_step("all", 0.5), after_a_step("all", 1.0));
    let mut spared = 0;
    for (at, (name, plain)) in without.iter().enumerate() {
        let is_weight = weights[at].1 != *plain;
        // Everything decays in proportion, except what was 0.
        assert_eq!(all[at].0, *name);
        for (i, x) in plain.iter().enumerate() {
            let (once, twice) = (x - all[at].1[i], x - twice[at].1[i]);
            assert!((twice - 2.0 * once).abs() <= 1e-5, "{name}: {once} and {twice}");
        }
        if is_weight {
            assert_eq!(weights[at].1, all[at].1, "{name}");
        } else if all[at].1 != *plain {
            spared += 1;
        }
    }
    // The biases of both dense layers, and the scale of the norm, whose shift begins at 0.
    assert_eq!(spared, 3, "{:?}", without.iter().map(|t| &t.0).collect::<Vec<_>>());
}

#[test]
fn groups_have_decays_of_their_own() {
    // Of the optimizer, and of the group of the first layer; the bits are those of that decay for all.
    let of = |amount: f64, own: Option<f64>| {
        let group = own.map(|own| format!("[[train.group]]\nparameters = \"0.*\"\nweight_decay = {own:?}\n"));
        let bench = Bench::new(
            100,
            &format!(
                "[model]\nhidden = [4]\n[train]\nepochs = 1\nbatch_size = 60\nlearning_rate = 0.1\n\
                 optimizer = {{ type = \"sgd\", weight_decay = {amount:?} }}\n{}",
                group.unwrap_or_default()
            ),
        );
        bench.train(&bench.options("run"), &mut Recorder::default()).unwrap();
        gridlight::train::checkpoint::load(&bench.path("run/best.safetensors")).unwrap().0
    };
    for (amount, own) in [(0.0, 0.5), (0.5, 0.0), (0.25, 0.5)] {
        let (grouped, as_all, as_group) = (of(amount, Some(own)), of(amount, None), of(own, None));
        for (at, (name, _, values)) in grouped.iter().enumerate() {
            let expected = if name.starts_with("0.") { &as_group[at].2 } else { &as_all[at].2 };
            assert_eq!(values, expected, "{name}, {own} instead of {amount}");
            let differs = name == "0.weight" || name == "2.weight";
            assert_eq!(as_group[at].2 != as_all[at].2, differs, "{name}");
        }
    }
}

#[test]
fn wrong_recipes_are_refused() {
    custom_loop::wrong_recipes_are_refused(&CpuDevice::new(Some(2)));
}
