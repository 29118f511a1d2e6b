//! Nothing is lost and nothing is silently wrong: interruptions, damage and bad numbers on the CPU backend.

use crate::interruptions::{self, Bench, Interrupter, bits};
use gridlight::device::cpu::CpuDevice;
use gridlight::run::job::Options;
use gridlight::run::replay;
use gridlight::run::trainer;
use gridlight::train::{ErrorKind, TrainError, checkpoint};

#[test]
fn interrupted_runs_have_the_bits_of_an_uninterrupted_one() {
    for threads in [1, 2] {
        interruptions::interrupted_runs_have_the_same_bits(&CpuDevice::new(Some(threads)));
    }
}

#[test]
fn five_runs_have_one_digest() {
    let bench = Bench::new();
    bench.train(&CpuDevice::new(Some(2)), "first").unwrap();
    for (run, threads) in [(2, 1), (3, 2), (4, 1), (5, 2)] {
        let name = format!("run-{run}");
        bench.train(&CpuDevice::new(Some(threads)), &name).unwrap();
        assert_eq!(bench.bits(&name), bench.bits("first"), "run {run} with {threads} threads");
    }
}

#[test]
fn a_damaged_checkpoint_is_passed_over_for_the_one_before_it() {
    let device = CpuDevice::new(Some(2));
    let bench = Bench::with("epochs = 8\nbatch_size = 16\ncheckpoint_every_steps = 10\n");
    bench.train(&device, "whole").unwrap();
    bench.interrupt(&device, "run", 57, false);
    let checkpoints = bench.path("run/checkpoints");
    let newest = checkpoint::list(&checkpoints).pop().unwrap();
    assert_eq!(newest.0, 57);
    let mut bytes = std::fs::read(&newest.1).unwrap();
    let middle = bytes.len() - 100;
    bytes[middle] ^= 1;
    std::fs::write(&newest.1, bytes).unwrap();
    let notes = bench.resume(&device, "run").unwrap();
    assert!(notes.iter().any(|n| n.contains("step-57") && n.contains("damaged")), "{notes:?}");
    assert!(checkpoints.join("step-57.damaged").exists(), "the damaged file is kept for a look");
    assert_eq!(bench.bits("run"), bench.bits("whole"));
    // If none is intact, the error names the newest.
    for (_, path) in checkpoint::list(&checkpoints) {
        std::fs::write(path, "nonsense").unwrap();
    }
    let error = bench.resume(&device, "run").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Input);
    assert!(error.to_string().contains("step-128.safetensors"), "{error}");
}

#[test]
fn checkpoints_come_by_steps_by_minutes_or_both() {
    let device = CpuDevice::new(Some(2));
    let written = |train: &str| {
        let bench = Bench::with(train);
        bench.interrupt(&device, "run", 29, false);
        let all = checkpoint::list(&bench.path("run/checkpoints"));
        // The checkpoint of the best epoch, step 16, is also kept.
        all.into_iter().map(|(step, _)| step).filter(|&step| step != 16).collect::<Vec<_>>()
    };
    let base = "epochs = 8\nbatch_size = 16\n";
    assert_eq!(written(base), [0, 29], "only the first and the last");
    assert_eq!(written(&format!("{base}checkpoint_every_steps = 10\n")), [10, 20, 29]);
    assert_eq!(written(&format!("{base}checkpoint_every_minutes = 1e-9\n")), [27, 28, 29]);
    assert_eq!(written(&format!("{base}checkpoint_every_minutes = 1e300\n")), [0, 29]);
    let both = format!("{base}checkpoint_every_steps = 10\ncheckpoint_every_minutes = 1e-9\n");
    assert_eq!(written(&both), [27, 28, 29], "whichever comes first");
}

#[test]
fn what_a_killed_process_left_is_removed_or_repaired() {
    let device = CpuDevice::new(Some(2));
    let bench = Bench::new();
    bench.train(&device, "whole").unwrap();
    bench.interrupt(&device, "run", 37, false);
    let run = bench.path("run");
    for leftover in [".partial-a1b2", "checkpoints/.partial-c3d4"] {
        std::fs::write(run.join(leftover), "half").unwrap();
    }
    std::fs::write(run.join("mine.txt"), "keep").unwrap();
    // Best weights and history are of later steps than the checkpoint, as after a kill between the two
    // writes.
    for name in ["best.safetensors", "metrics.csv"] {
        std::fs::copy(bench.path("whole").join(name), run.join(name)).unwrap();
    }
    bench.resume(&device, "run").unwrap();
    assert_eq!(bench.bits("run"), bench.bits("whole"));
    assert!(!run.join(".partial-a1b2").exists() && !run.join("checkpoints/.partial-c3d4").exists());
    assert!(run.join("mine.txt").exists());
}

#[test]
fn a_start_that_was_killed_before_the_first_checkpoint_can_be_repeated() {
    let device = CpuDevice::new(Some(2));
    let bench = Bench::new();
    bench.train(&device, "whole").unwrap();
    let run = bench.path("run");
    std::fs::create_dir_all(run.join("checkpoints")).unwrap();
    std::fs::write(run.join(".lock"), "").unwrap();
    std::fs::write(run.join("checkpoints/.partial-c3d4"), "half").unwrap();
    let notes = bench.resume(&device, "run").unwrap();
    assert!(notes.iter().any(|n| n.contains("starts anew")), "{notes:?}");
    assert_eq!(bits(&run), bench.bits("whole"));
    // The initial weights of an experiment that was not written yet may be those of another one.
    let first = bench.path("first");
    bench.interrupt(&device, "first", 1, false);
    std::fs::remove_file(first.join("experiment.toml")).unwrap();
    std::fs::remove_file(first.join("checkpoints/step-1.safetensors")).unwrap();
    let notes = bench.resume(&device, "first").unwrap();
    assert!(notes.iter().any(|n| n.contains("starts anew")), "{notes:?}");
    assert_eq!(bits(&first), bench.bits("whole"));
    // No directory at all, and one whose checkpoints were removed, which is kept.
    bench.resume(&device, "none").unwrap();
    std::fs::remove_dir_all(bench.path("none/checkpoints")).unwrap();
    bench.resume(&device, "none").unwrap();
    assert_eq!(bench.bits("none"), bench.bits("whole"));
    assert!(bench.path("none-1/best.safetensors").exists());
}

#[test]
fn a_run_goes_on_without_its_experiment_or_its_best_weights() {
    let device = CpuDevice::new(Some(2));
    let bench = Bench::with("epochs = 8\nbatch_size = 16\ncheckpoint_every_steps = 16\n");
    bench.train(&device, "whole").unwrap();
    bench.interrupt(&device, "run", 100, false);
    let run = bench.path("run");
    std::fs::remove_file(run.join("experiment.toml")).unwrap();
    // The checkpoint of the best epoch still has the weights.
    std::fs::remove_file(run.join("best.safetensors")).unwrap();
    let notes = bench.resume(&device, "run").unwrap();
    assert!(notes.iter().any(|n| n.contains("experiment.toml is missing")), "{notes:?}");
    assert_eq!(bench.bits("run"), bench.bits("whole"));
    assert!(run.join("experiment.toml").exists());
    // Nothing has them: what there is takes their place, even where nothing is left to train.
    for entry in std::fs::read_dir(run.join("checkpoints")).unwrap().flatten() {
        if entry.file_name() != "step-128.safetensors" {
            std::fs::remove_file(entry.path()).unwrap();
        }
    }
    let history = std::fs::read_to_string(run.join("metrics.csv")).unwrap();
    let (mut tensors, meta) = checkpoint::load(&run.join("checkpoints/step-128.safetensors")).unwrap();
    let mut meta = meta.unwrap();
    meta.progress.as_mut().unwrap().best_epoch = 3;
    checkpoint::save(&run.join("checkpoints/step-128.safetensors"), &tensors, &meta).unwrap();
    std::fs::remove_file(run.join("best.safetensors")).unwrap();
    let notes = bench.resume(&device, "run").unwrap();
    assert!(notes.iter().any(|n| n.contains("those of step 128")), "{notes:?}");
    let (best, _) = checkpoint::load(&run.join("best.safetensors")).unwrap();
    tensors.retain(|(name, ..)| best.iter().any(|b| b.0 == *name));
    assert_eq!(best, tensors);
    assert_eq!(std::fs::read_to_string(run.join("metrics.csv")).unwrap(), history);
}

#[test]
fn a_damaged_history_is_told_with_its_line_and_may_be_removed() {
    let device = CpuDevice::new(Some(2));
    let bench = Bench::new();
    bench.train(&device, "whole").unwrap();
    bench.interrupt(&device, "run", 100, false);
    let history = bench.path("run/metrics.csv");
    let text = std::fs::read_to_string(&history).unwrap();
    std::fs::write(&history, text.replacen("\n3,", "\nthree,", 1)).unwrap();
    let error = bench.resume(&device, "run").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Input);
    assert!(error.to_string().contains("metrics.csv:4"), "{error}");
    std::fs::remove_file(&history).unwrap();
    bench.resume(&device, "run").unwrap();
    assert_eq!(bench.bits("run")[..2], bench.bits("whole")[..2], "the weights do not depend on the history");
}

#[test]
fn what_overflows_ends_the_run_at_once() {
    interruptions::what_overflows_ends_the_run_at_once(&CpuDevice::new(Some(2)));
}

#[test]
fn the_first_bad_step_and_tensor_are_named_long_after() {
    // Batch norm hides the overflow from the loss; only its running variance reveals it, when it is saved.
    let mut bench = Bench::with("batch_size = 16\nepochs = 3\nshuffle = false\n");
    let features = bench.data.train.features.len();
    bench.data.train.x[6 * 16 * features] = 3e38;
    let error = bench.train(&CpuDevice::new(Some(2)), "run").unwrap_err();
    assert!(matches!(error, TrainError::Diverged { step: 7, .. }), "{error}");
    assert!(error.to_string().contains("`1.running_var` is inf"), "{error}");
}

#[test]
fn a_cell_that_is_not_finite_is_told_with_its_line_and_column() {
    let bench = Bench::new();
    let table = bench.path("table.csv");
    let text = std::fs::read_to_string(&table).unwrap();
    for (column, name) in [(0, "x1"), (3, "y")] {
        for value in ["inf", "-inf", "1e39"] {
            let mut lines: Vec<String> = text.lines().map(String::from).collect();
            let mut cells: Vec<&str> = lines[41].split(',').collect();
            cells[column] = value;
            lines[41] = cells.join(",");
            std::fs::write(&table, lines.join("\n")).unwrap();
            let error = trainer::load_data(&bench.experiment, std::path::Path::new("")).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Input);
            let message = error.to_string();
            for part in ["table.csv", "42", &format!("`{name}`"), &format!("\"{value}\"")] {
                assert!(message.contains(part), "{part}: {message}");
            }
        }
    }
}

#[test]
fn weights_to_begin_with_must_be_finite() {
    let device = CpuDevice::new(Some(2));
    let bench = Bench::new();
    bench.train(&device, "first").unwrap();
    let (mut tensors, meta) = checkpoint::load(&bench.path("first/best.safetensors")).unwrap();
    let begin = |out: &str| {
        let options = Options { init: Some(bench.path("init.safetensors")), ..bench.options(out) };
        trainer::train(&bench.experiment, &bench.data, &device, &options, &mut Interrupter::default())
    };
    for value in [f32::NAN, f32::INFINITY] {
        tensors[0].2[3] = value;
        checkpoint::save(&bench.path("init.safetensors"), &tensors, &meta.clone().unwrap()).unwrap();
        let error = begin("run").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Input);
        let message = error.to_string();
        let name = format!("`{}`", tensors[0].0);
        for part in ["init.safetensors", &name, "element 3"] {
            assert!(message.contains(part), "{part}: {message}");
        }
        assert!(!bench.path("run").exists(), "nothing is written");
    }
    // Finite, but not for long.
    tensors[0].2.fill(3e38);
    checkpoint::save(&bench.path("init.safetensors"), &tensors, &meta.unwrap()).unwrap();
    let error = begin("run").unwrap_err();
    assert!(matches!(error, TrainError::Diverged { step: 1..=10, .. }), "{error}");
}

#[test]
fn a_run_can_be_repeated_from_its_record() {
    let device = CpuDevice::new(Some(2));
    let bench = Bench::new();
    bench.train(&device, "first").unwrap();
    let json = |run: &str| -> serde_json::Value {
        serde_json::from_slice(&std::fs::read(bench.path(run).join("run.json")).unwrap()).unwrap()
    };
    let record = json("first");
    assert_eq!(record["data_digest"], bench.data.digest);
    assert_eq!(record["seed"], 3);
    let [session] = &record["sessions"].as_array().unwrap()[..] else { panic!("{record}") };
    for key in ["version", "plan_digest"] {
        assert!(session[key].is_string(), "{key}: {record}");
    }
    assert!(session["device"]["driver"].is_string() && record["weights_digest"].is_string(), "{record}");
    // Interrupted and resumed, from given weights, and with a step limit.
    let init = Some(bench.path("first/best.safetensors"));
    let options = Options { init, max_steps: Some(70), ..bench.options("run") };
    trainer::train(&bench.experiment, &bench.data, &device, &options, &mut Interrupter::default()).unwrap();
    bench.interrupt(&device, "run", 90, true);
    assert!(json("run")["weights_digest"].is_null(), "not ended");
    assert!(replay::open(&bench.path("run")).err().unwrap().to_string().contains("has not ended"));
    bench.resume(&device, "run").unwrap();
    for run in ["first", "run"] {
        let recorded = replay::open(&bench.path(run)).unwrap();
        for threads in [1, 2] {
            let replay =
                recorded.replay(&CpuDevice::new(Some(threads)), &mut Interrupter::default()).unwrap();
            assert!(replay.same && replay.found == json(run)["weights_digest"], "{run}: {replay:?}");
        }
    }
    // Weights and data that do not belong to the run.
    std::fs::copy(bench.path("first/best.safetensors"), bench.path("run/best.safetensors")).unwrap();
    let error = replay::open(&bench.path("run")).err().unwrap();
    assert!(error.kind() == ErrorKind::Input && error.to_string().contains("best.safetensors"), "{error}");
    let table = std::fs::read_to_string(bench.path("table.csv")).unwrap();
    std::fs::write(bench.path("table.csv"), table + "1,1,1,1\n").unwrap();
    let recorded = replay::open(&bench.path("first")).unwrap();
    let error = recorded.replay(&device, &mut Interrupter::default()).unwrap_err();
    assert!(error.kind() == ErrorKind::Input && error.to_string().contains("data have changed"), "{error}");
}

#[test]
fn the_best_epoch_has_the_lowest_loss_and_min_delta_counts_only_for_patience() {
    let device = CpuDevice::new(Some(2));
    let min_delta = 0.1;
    let bench = Bench::with(&format!(
        "epochs = 20\nbatch_size = 16\nlearning_rate = 0.01\nearly_stopping = {{ patience = 3, min_delta = {min_delta} }}\n"
    ));
    let options = bench.options("whole");
    let outcome =
        trainer::train(&bench.experiment, &bench.data, &device, &options, &mut Interrupter::default())
            .unwrap();
    let losses: Vec<f64> = outcome.history.iter().map(|row| row.validation.get("loss").unwrap()).collect();
    let least = losses.iter().copied().fold(f64::INFINITY, f64::min);
    assert_eq!(losses[outcome.best_epoch as usize - 1], least, "{losses:?}");
    assert_eq!(outcome.best.get("loss"), Some(least));
    let (mut to_beat, mut stale, mut small) = (f64::INFINITY, 0, 0);
    for (at, &loss) in losses.iter().enumerate() {
        assert!(stale < 3, "it went on after epoch {at}: {losses:?}");
        small += usize::from(loss < to_beat && loss >= to_beat - min_delta);
        (to_beat, stale) = if loss < to_beat - min_delta { (loss, 0) } else { (to_beat, stale + 1) };
    }
    assert!(stale == 3 && small > 0, "{losses:?}");
    let steps = losses.len() as u64 * 16;
    for at in [steps / 2, steps - 17] {
        let name = format!("cut-{at}");
        bench.interrupt(&device, &name, at, false);
        bench.resume(&device, &name).unwrap();
        assert_eq!(bench.bits(&name), bench.bits("whole"), "{at}");
    }
}
