//! Gridlight trains neural networks on any GPU, from one binary.
//!
//! # From a table to a trained model
//!
//! An [`Experiment`](experiment::Experiment) says what to train on what; everything it leaves out has a default.
//!
//! ```
//! use std::path::Path;
//! use gridlight::device::{DeviceChoice, open::open};
//! use gridlight::experiment::Experiment;
//! use gridlight::run::{evaluate, job::Options, trainer};
//!
//! let folder = std::env::temp_dir().join("gridlight-first");
//! std::fs::create_dir_all(&folder)?;
//! let rows: String = (0..200).map(|i| format!("{},{}\n", i % 17, 3 * (i % 17) + 2)).collect();
//! std::fs::write(folder.join("line.csv"), format!("x,y\n{rows}"))?;
//!
//! let text = "name = \"line\"\ndata = { source = \"line.csv\", target = \"y\" }\ntrain = { epochs = 3 }";
//! let experiment = Experiment::parse(text, "line.toml", &[])?;
//! let data = trainer::load_data(&experiment, &folder)?;
//! let device = open(DeviceChoice::Cpu, false)?;
//! let options = Options { out: folder.join("run"), ..Options::default() };
//! let outcome = trainer::train(&experiment, &data, &*device, &options, &mut ())?;
//! println!("validation loss: {}", outcome.best.0[0].1);
//!
//! // The run directory is all that predicting needs.
//! let source = folder.join("line.csv");
//! let rows = evaluate::predict(&folder.join("run"), &source, &folder.join("out.csv"), &*device)?;
//! assert_eq!(rows, 200);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Where a file does not say enough, [`train::custom`] trains formulas of one's own: layers
//! ([`nn::layers::Layer`]), losses ([`graph::expression`]), several models with an optimizer each, and any order of
//! their updates. `examples/` has a program of each kind.
//!
//! # The modules
//!
//! Data flows one way through the modules, in the order below: an experiment file becomes a graph, the graph
//! becomes a plan, a device runs the plan, and a run directory keeps the results.
//!
//! | module | what it is |
//! |---|---|
//! | [`experiment`] | the TOML file: keys, defaults, errors with line and column |
//! | [`data`] | from tables to numbers: reading, cleaning, encoding, transforms, splits |
//! | [`nn`] | layers, losses, initialisation: from experiment to graph |
//! | [`graph`] | mathematics: operators, gradients, the `f64` reference |
//! | [`oracle`] | the formulas of operators and kernels in plain loops, with error bounds |
//! | [`plan`] | fusion, memory and order, fixed before anything runs |
//! | [`kernels`] | what devices run: cost, CPU implementation, choice of WGSL |
//! | [`device`] | the CPU and GPU backends |
//! | [`mpi`] | several processes that train one model |
//! | [`train`] | the engine that runs a model, metrics, checkpoints |
//! | [`explain`] | why a model predicts what it does, and how far that holds |
//! | [`uncertainty`] | how sure predictions are: intervals, sets, spread, calibration |
//! | [`report`] | pictures and pages for people |
//! | [`tasks`] | what models are trained for: tables, images, series, text, autoencoders |
//! | [`onnx`] | trained models as ONNX, with their preprocessing |
//! | [`run`] | a run directory: train into it, resume, evaluate, predict, sample, replay |
//! | [`verify`], [`bench`](mod@bench) | agreement with the reference; speed |
//!
//! [`base`] and [`scalar`] provide the vocabulary they share; [`search`] proposes settings to try.
//!
//! Invariants: only `device::gpu` names `wgpu`; gradient rules only append nodes; the plan is complete (a
//! device allocates and dispatches nothing that is not in it); devices know kernels, not operators; the
//! reference knows operators, not kernels, so it cannot share a bug with fusion or planning; reductions have
//! a fixed order and there are no float atomics.

pub mod base;
pub mod bench;
pub mod data;
pub mod device;
pub mod experiment;
pub mod explain;
pub mod graph;
pub mod kernels;
pub mod mpi;
pub mod native;
pub mod nn;
pub mod onnx;
pub mod optim;
pub mod oracle;
pub mod plan;
pub mod python;
pub mod report;
pub mod run;
pub mod scalar;
pub mod search;
pub mod shader;
pub mod tasks;
pub mod train;
pub mod uncertainty;
pub mod verify;
