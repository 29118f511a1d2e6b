//! A training whose device is lost ends with the bits of an undisturbed one, or reports what happened. On the
//! CPU backend, made to fail at chosen operations; `train_gpu.rs` destroys real devices.

use std::rc::Rc;
use std::time::Instant;

use crate::faults::{Listener, Shelf, Victim, losses_leave_no_trace, train};
use crate::interruptions::Bench;
use gridlight::device::DeviceError;
use gridlight::device::cpu::CpuDevice;
use gridlight::run::recovery::Recovery;
use gridlight::train::{ErrorKind, TrainError};

fn open() -> Victim {
    (Rc::new(CpuDevice::new(Some(1))), None)
}

#[test]
fn a_loss_at_any_operation_leaves_no_trace() {
    losses_leave_no_trace(&open, 60, 1);
}

#[test]
fn three_losses_leave_no_trace() {
    losses_leave_no_trace(&open, 7, 3);
}

/// Operations of a device that is lost repeatedly, starting in the middle of the training.
fn again_and_again() -> Vec<usize> {
    (300..).step_by(150).take(4).collect()
}

#[test]
fn the_fourth_loss_ends_the_run_with_its_cause_and_what_was_saved() {
    let bench = Bench::with("epochs = 8\nbatch_size = 16\ncheckpoint_every_steps = 5\n");
    train(&bench, &mut Shelf::new(&open, &[]), "whole", false).0.unwrap();
    let mut shelf = Shelf::new(&open, &again_and_again());
    let (result, heard) = train(&bench, &mut shelf, "lost", false);
    let error = result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Device);
    assert!(matches!(&error, TrainError::Lost { cause, .. } if cause == "pulled out"), "{error}");
    assert!(error.to_string().contains("what was saved before is kept"), "{error}");
    assert_eq!(heard.notes.iter().filter(|n| n.contains("was opened again")).count(), 3, "{:?}", heard.notes);
    // Every step that was told was done: the losses are those of the run that goes on to the end.
    let told = heard.of("step").len() as u64;
    let steps: Vec<_> = heard.of("step").iter().map(|e| e["step"].as_u64().unwrap()).collect();
    assert_eq!(steps, (1..=told).collect::<Vec<_>>());
    train(&bench, &mut Shelf::new(&open, &[]), "lost", true).0.unwrap();
    assert_eq!(bench.bits("lost"), bench.bits("whole"));
}

#[test]
fn a_device_that_does_not_come_back_is_told_within_five_seconds() {
    let bench = Bench::with("epochs = 8\nbatch_size = 16\n");
    let mut shelf = Shelf { refused: Some("gone for good"), ..Shelf::new(&open, &[200]) };
    let started = Instant::now();
    let error = train(&bench, &mut shelf, "gone", false).0.unwrap_err();
    assert!(started.elapsed().as_secs_f64() < 5.0);
    assert_eq!(error.kind(), ErrorKind::Device);
    for part in ["pulled out", "gone for good"] {
        assert!(error.to_string().contains(part), "{error}");
    }
}

#[test]
fn the_cpu_takes_over_only_from_a_device_that_was_chosen_automatically() {
    let bench = Bench::with("epochs = 8\nbatch_size = 16\ncheckpoint_every_steps = 5\n");
    let mut shelf = Shelf { automatic: true, ..Shelf::new(&open, &again_and_again()) };
    let (result, heard) = train(&bench, &mut shelf, "automatic", false);
    result.unwrap();
    assert_eq!(heard.of("start").len(), 5, "the first device, three times again, the CPU backend");
    assert_eq!(heard.of("step").len(), 128);
    assert!(
        heard.notes.last().unwrap().contains("resuming from the newest checkpoint on"),
        "{:?}",
        heard.notes
    );
    let mut shelf = Shelf { automatic: false, ..Shelf::new(&open, &again_and_again()) };
    assert_eq!(train(&bench, &mut shelf, "asked", false).0.unwrap_err().kind(), ErrorKind::Device);
}

#[test]
fn an_earlier_run_of_the_same_name_is_not_gone_on_with() {
    let bench = Bench::with("epochs = 2\nbatch_size = 16\n");
    train(&bench, &mut Shelf::new(&open, &[]), "run", false).0.unwrap();
    let earlier = bench.bits("run");
    // The first operation is the load, before anything is written.
    let (result, heard) = train(&bench, &mut Shelf::new(&open, &[1]), "run", false);
    result.unwrap();
    assert_eq!(heard.of("start")[0]["resumed_from_step"], 0);
    assert_eq!(bench.bits("run-1"), earlier, "moved aside");
    assert!(!bench.path("run-2").exists());
}

#[test]
fn other_work_is_begun_again_and_other_errors_are_given_back() {
    let mut shelf = Shelf::new(&open, &[]);
    let device = shelf.device();
    let mut recovery = Recovery::new(device, &mut shelf);
    let (mut listener, mut calls) = (Listener::default(), 0);
    let result = recovery.run(&mut listener, |_, _| {
        calls += 1;
        if calls < 3 { Err(DeviceError::Lost("once more".into()).into()) } else { Ok(calls) }
    });
    assert_eq!(result, Ok(3));
    assert_eq!(listener.notes.iter().filter(|n| n.contains("once more")).count(), 2);
    let full = DeviceError::OutOfMemory { bytes: 8, purpose: "a buffer".into() };
    let result: Result<(), _> = recovery.run(&mut listener, |_, _| Err(full.clone().into()));
    assert_eq!(result, Err(TrainError::Device(full)));
    assert_eq!(listener.notes.len(), 4);
}
