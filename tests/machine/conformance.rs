//! Reference figures of other projects: the tests of webnn-baseline (every operator that this crate has or
//! can compose) and Keras's golden figures (recurrent layers, optimizers), computed by the training kernels
//! on both backends.
//!
//! The data is outside this repository. Tests of features that this version lacks are listed as ignored.

#[path = "conformance/burn.rs"]
mod burn;
#[path = "conformance/keras.rs"]
mod keras;
#[path = "conformance/webnn.rs"]
mod webnn;
#[path = "conformance/webnn_convolutions.rs"]
mod webnn_convolutions;
#[path = "conformance/webnn_operators.rs"]
mod webnn_operators;
#[path = "conformance/webnn_pools.rs"]
mod webnn_pools;
#[path = "conformance/webnn_recurrent.rs"]
mod webnn_recurrent;

use gridlight::device::Device;
use libtest_mimic::Trial;
use serde_json::Value;
use std::sync::Arc;

use crate::everywhere::on_every_backend;
use crate::{everywhere, harness};

/// Allowed relative error of `f32` kernels compared with WebNN's figures (see [`webnn::check`]).
const TOLERANCE: f64 = 2e-6;

pub fn trials() -> Vec<Trial> {
    let mut trials = match everywhere::shared_file("conformance/webnn/cases.jsonl") {
        Ok(text) => text.lines().flat_map(webnn_trials).collect(),
        Err(reason) => vec![harness::ignored("webnn", &reason)],
    };
    trials.extend(match everywhere::shared_file("conformance/keras/rnn_optim_golden.json") {
        Ok(text) => keras_trials(&text),
        Err(reason) => vec![harness::ignored("keras", &reason)],
    });
    trials.extend(match everywhere::shared_file("conformance/burn/conv_backward.jsonl") {
        Ok(text) => text.lines().flat_map(burn_trials).collect(),
        Err(reason) => vec![harness::ignored("burn", &reason)],
    });
    trials
}

fn webnn_trials(line: &str) -> Vec<Trial> {
    let test: webnn::Test = serde_json::from_str(line).expect("a line of cases.jsonl is a test");
    let name = format!("webnn::{}::{}", test.file.trim_end_matches("_test.js"), test.name);
    match test.missing() {
        Some(reason) => vec![harness::ignored(&name, reason)],
        None => on_every_backend(
            &name,
            Arc::new(move |device: &dyn Device| webnn::check(&test, device, TOLERANCE)),
        ),
    }
}

fn burn_trials(line: &str) -> Vec<Trial> {
    let test: burn::Test = serde_json::from_str(line).expect("a line of conv_backward.jsonl is a test");
    let name = format!("burn::{}", test.name);
    if test.op == "conv3d" {
        return vec![harness::ignored(&name, "convolutions have one or two axes in this version")];
    }
    on_every_backend(&name, Arc::new(move |device: &dyn Device| burn::check(&test, device)))
}

fn keras_trials(text: &str) -> Vec<Trial> {
    let figures: Value = serde_json::from_str(text).expect("the file of Keras's figures is JSON");
    let mut trials = vec![];
    for (kind, check) in
        [("rnn", keras::recurrent as fn(&Value, &dyn Device) -> _), ("optim", keras::optimize)]
    {
        for test in figures[kind].as_array().expect("a list of tests").clone() {
            let name = format!("keras::{}", test["name"].as_str().unwrap_or_default());
            trials.extend(match keras::missing(&test) {
                Some(reason) => vec![harness::ignored(&name, reason)],
                None => on_every_backend(&name, Arc::new(move |device: &dyn Device| check(&test, device))),
            });
        }
    }
    trials
}
