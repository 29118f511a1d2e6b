//! Gridlight trains neural networks on any GPU, from one binary.
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
//! | [`train`] | the engine that runs a model, metrics, checkpoints |
//! | [`report`] | pictures and pages for people |
//! | [`tasks`] | what models are trained for: tables, images, series, text, autoencoders |
//! | [`run`] | a run directory: train into it, resume, evaluate, predict, sample, replay |
//! | [`verify`], [`bench`](mod@bench) | agreement with the reference; speed |
//!
//! [`base`] and [`scalar`] provide the vocabulary they share.
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
pub mod graph;
pub mod kernels;
pub mod native;
pub mod nn;
pub mod optim;
pub mod oracle;
pub mod plan;
pub mod report;
pub mod run;
pub mod scalar;
pub mod shader;
pub mod tasks;
pub mod train;
pub mod verify;
