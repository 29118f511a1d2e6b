//! Training in memory is the training of a run directory, to the bit.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use gridlight::device::cpu::CpuDevice;
use gridlight::experiment::Experiment;
use gridlight::run::export;
use gridlight::run::job::Options;
use gridlight::run::live::Live;
use gridlight::run::trainer;

use crate::interruptions::{Bench, Family};

const TRAIN: &str = "epochs = 3\nbatch_size = 16\nclip_norm = 1.0\nschedule = { type = \"cosine\" }\n";

/// The CPU waits itself, so that nothing is ever pending.
fn now<T>(work: impl Future<Output = T>) -> T {
    match pin!(work).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("the CPU made a caller wait"),
    }
}

/// Trains to the end, `count` steps at a time; returns the losses.
fn finish(live: &mut Live, count: usize) -> Vec<f32> {
    let mut losses = vec![];
    while !live.has_ended() {
        losses.extend(now(live.step(count)).unwrap());
    }
    losses
}

#[test]
fn it_ends_with_the_files_of_a_run() {
    for family in [Family::Mlp, Family::Cnn, Family::Rnn, Family::Text, Family::Vae, Family::Gan] {
        let bench = Bench::of(family, TRAIN);
        let device = CpuDevice::new(Some(1));
        let run = bench.path("run");
        let options = Options { out: run.clone(), without_report: true, ..Options::default() };
        let outcome = trainer::train(&bench.experiment, &bench.data, &device, &options, &mut ()).unwrap();
        let mut all = vec![];
        for count in [1, 7] {
            let mut live =
                Live::new(&bench.experiment, bench.data.clone(), &device, None, &mut |_| ()).unwrap();
            all.push(finish(&mut live, count));
            assert_eq!(live.history(), outcome.history, "{family:?}");
            assert_eq!(live.best().unwrap(), (outcome.best_epoch, &outcome.best), "{family:?}");
            let file = std::fs::read(run.join("best.safetensors")).unwrap();
            assert!(live.safetensors().unwrap() == file, "{family:?}: another best.safetensors");
            assert!(
                live.onnx().unwrap() == export::onnx(&run, false).unwrap(),
                "{family:?}: another ONNX file"
            );
            assert!(now(live.step(1)).unwrap().is_empty(), "no step is left");
        }
        assert!(all[0] == all[1], "{family:?}: the size of groups changes losses");
        assert_eq!(all[0].len() as u64, outcome.history.last().unwrap().step);
    }
}

#[test]
fn fewer_steps_than_an_epoch_are_validated() {
    let bench = Bench::of(Family::Mlp, TRAIN);
    let device = CpuDevice::new(Some(1));
    let options =
        Options { out: bench.path("run"), max_steps: Some(5), without_report: true, ..Options::default() };
    let outcome = trainer::train(&bench.experiment, &bench.data, &device, &options, &mut ()).unwrap();
    let mut live = Live::new(&bench.experiment, bench.data.clone(), &device, Some(5), &mut |_| ()).unwrap();
    assert!(live.safetensors().unwrap_err().to_string().contains("end of an epoch"));
    assert_eq!(finish(&mut live, 100).len(), 5);
    assert_eq!(live.best().unwrap().1, &outcome.best);
    let record = std::fs::read_to_string(bench.path("run/run.json")).unwrap();
    assert!(record.contains(&live.weights_digest().unwrap()), "{record}");
}

#[test]
fn it_goes_on_from_the_weights_of_a_run() {
    let bench = Bench::of(Family::Mlp, TRAIN);
    let device = CpuDevice::new(Some(1));
    let run = bench.path("run");
    let options = Options { out: run.clone(), without_report: true, ..Options::default() };
    let outcome = trainer::train(&bench.experiment, &bench.data, &device, &options, &mut ()).unwrap();
    let mut live = Live::new(&bench.experiment, bench.data.clone(), &device, None, &mut |_| ()).unwrap();
    now(live.start_from(&run.join("best.safetensors"))).unwrap();
    assert_eq!(live.best().unwrap(), (0, &outcome.best));
    assert!(live.history().is_empty());
    finish(&mut live, 16);
    assert_eq!(live.history().len(), 3);
}

#[test]
fn what_needs_a_run_directory_is_refused_by_name() {
    let bench = Bench::of(Family::Mlp, TRAIN);
    let device = CpuDevice::new(Some(1));
    for (key, table, line) in [
        ("train.checkpoint_every_steps", "[train]", "checkpoint_every_steps = 5"),
        ("train.skip_non_finite_steps", "[train]", "skip_non_finite_steps = 2"),
        ("uncertainty.coverage", "[uncertainty]", "coverage = 0.9"),
        ("data.memory.scratch", "[data.memory]", "scratch = \"there\""),
    ] {
        let text = bench.experiment.resolved();
        let old = text.lines().filter(|l| !l.starts_with(line.split(' ').next().unwrap()));
        let mut text: String = old.map(|line| format!("{line}\n")).collect();
        text = match text.contains(&format!("{table}\n")) {
            true => text.replace(&format!("{table}\n"), &format!("{table}\n{line}\n")),
            false => format!("{text}\n{table}\n{line}\n"),
        };
        let experiment = Experiment::parse(&text, "bench.toml", &[]).unwrap();
        let refused = Live::new(&experiment, bench.data.clone(), &device, None, &mut |_| ());
        let message = refused.err().unwrap().to_string();
        assert!(message.contains(key) && message.contains("browser"), "{message}");
    }
}
