//! Custom training loops: several models, losses and optimizers, in any order.
//!
//! A [`Recipe`] declares the parts: [`Set`]s of parameters that an optimizer trains together, data sets, and
//! [`Phase`]s, each a graph over a batch and the use of its values. A [`Loop`] is the recipe on a device: the
//! program runs phases by name, and can read and write any value between them.
//!
//! Two players on the saddle `f(x, y) = x^2 / 2 + x y - y^2 / 2`; one descends, the other ascends:
//!
//! ```
//! use gridlight::device::cpu::CpuDevice;
//! use gridlight::graph::Source;
//! use gridlight::graph::expression::Workspace;
//! use gridlight::nn::init::Init;
//! use gridlight::optim::Optimizer;
//! use gridlight::train::custom::{Loop, Phase, Recipe, Set};
//!
//! let workspace = Workspace::new();
//! let x = workspace.source(Source::Parameter("x".into()), &[1]);
//! let y = workspace.source(Source::Parameter("y".into()), &[1]);
//! let value = (0.5 * &x * &x + &x * &y - 0.5 * &y * &y).sum(&[0]);
//! let (graph, values) = workspace.finish(&[&value, &-&value])?;
//!
//! let sgd = || Optimizer::named("sgd").unwrap_or_default();
//! let recipe = Recipe::new()
//!     .set(Set::new("down", sgd(), 0.1).parameter("x", &[1], Init::Constant(1.0)))
//!     .set(Set::new("up", sgd(), 0.1).parameter("y", &[1], Init::Constant(1.0)))
//!     .phase(Phase::of("descend", graph.clone()).keep("value", values[0]).minimise(values[0], "down"))
//!     .phase(Phase::of("ascend", graph).minimise(values[1], "up"));
//!
//! let mut training = Loop::new(&CpuDevice::new(Some(1)), &recipe)?;
//! training.initialise(1)?;
//! for _ in 0..100 {
//!     training.run("descend")?;
//!     training.run("ascend")?;
//! }
//! assert!(training.result("descend", "value")?[0].abs() < 1e-6);
//! assert!(training.parameter("x")?[0].abs() < 1e-3);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod parameters;
mod prepare;
mod recipe;

pub use parameters::Parameters;
use prepare::{Prepared, Runs};
pub use recipe::{Data, Phase, Recipe, Set};

use super::TrainError;
use crate::base::rng::{self, streams};
use crate::base::step::StepRecord;
use crate::device::{Device, Run, Session};
use crate::nn::arrangement::Arrangement;
use crate::nn::tensors::State;
use crate::plan::{Layout, SetLayout, Slice};

/// A recipe on a device: the state of a training whose loop the program writes itself.
pub struct Loop {
    session: Box<dyn Session>,
    layout: Layout,
    sets: Vec<TrainedSet>,
    states: Vec<State>,
    data: Vec<Resident>,
    phases: Vec<Runs>,
    seed: [u32; 2],
    /// Number of phase runs so far; the counter of the random numbers.
    runs: u32,
}

/// A set, and how often it has been updated.
struct TrainedSet {
    set: Set,
    updates: u64,
}

/// A data set on the device.
struct Resident {
    data: Data,
    /// The next row of the order.
    position: usize,
    /// Passes over the data started so far.
    passes: u32,
}

impl Loop {
    /// Compiles the recipe and allocates everything. Parameters, states and data are 0 until they are set.
    ///
    /// # Errors
    /// If the recipe refers to something it does not have, shapes do not match, or the program does not fit
    /// the device.
    pub fn new(device: &dyn Device, recipe: &Recipe) -> Result<Self, TrainError> {
        let Prepared { compiled, phases } = prepare::prepare(recipe, device.target())?;
        let mut session = device.load(&compiled.program)?;
        for (slice, words) in &compiled.layout.constants {
            session.write(slice.buffer, slice.start, words)?;
        }
        let sets = recipe.sets.iter().map(|set| TrainedSet { set: set.clone(), updates: 0 });
        let data = recipe.data.iter().map(|data| Resident { data: data.clone(), position: 0, passes: 0 });
        Ok(Self {
            session,
            layout: compiled.layout,
            sets: sets.collect(),
            states: recipe.states.clone(),
            data: data.collect(),
            phases,
            seed: [0; 2],
            runs: 0,
        })
    }

    /// Sets all parameters and states to their initial values, and the seed of all random numbers.
    ///
    /// # Errors
    /// If the device fails.
    pub fn initialise(&mut self, seed: u64) -> Result<(), TrainError> {
        self.seed = [seed as u32, (seed >> 32) as u32];
        let parameters: Vec<_> = self.sets.iter().flat_map(|s| s.set.parameters.clone()).collect();
        for (number, parameter) in parameters.iter().enumerate() {
            let count = parameter.shape.iter().product();
            self.set_parameter(&parameter.name, &parameter.init.elements(self.seed, number, count))?;
        }
        for state in self.states.clone() {
            self.set_parameter(&state.name, &vec![state.initial; state.shape.iter().product()])?;
        }
        Ok(())
    }

    /// Writes a column of a data set, row by row.
    ///
    /// # Errors
    /// If there is no such column, it has another length, or the device fails.
    pub fn write_data(&mut self, data: &str, column: &str, values: &[f32]) -> Result<(), TrainError> {
        let at = position("data set", data, self.data.iter().map(|d| d.data.name.as_str()))?;
        let columns = &self.layout.data[at].columns;
        let place = position("column", column, columns.iter().map(|(name, _)| name.as_str()))?;
        let parts = columns[place].1.clone();
        let expected = parts.last().map_or(0, |part| part.first + part.slice.words);
        check_length(column, expected, values)?;
        for part in parts {
            let words = part.of(bytemuck::cast_slice(values));
            self.session.write(part.slice.buffer, part.slice.start, words)?;
        }
        Ok(())
    }

    /// Writes a column of the batch of a phase that reads no data set.
    ///
    /// # Errors
    /// If there is no such column, it has another length, or the device fails.
    pub fn write_batch(&mut self, phase: &str, column: &str, values: &[f32]) -> Result<(), TrainError> {
        let inputs = &self.layout.phases[self.runs_of(phase)?.pass].inputs;
        let place = position("column", column, inputs.iter().map(|(name, _)| name.as_str()))?;
        let slice = inputs[place].1;
        self.write(column, slice, values)
    }

    /// Runs a phase, over the next batch if it reads a data set. May return before the device has finished.
    ///
    /// # Errors
    /// If there is no such phase, or the device fails.
    pub fn run(&mut self, phase: &str) -> Result<(), TrainError> {
        let runs = self.runs_of(phase)?.clone();
        let mut record = StepRecord {
            step: self.runs.wrapping_add(1),
            seed_low: self.seed[0],
            seed_high: self.seed[1],
            loss_weight: 1.0,
            ..StepRecord::default()
        };
        if let Some((at, batch)) = runs.batches {
            record.batch_start = self.next_batch(at, batch)?;
        }
        let mut all = vec![];
        for (phase, set) in runs.phases {
            let mut step = record;
            if let Some(set) = set {
                let TrainedSet { set, updates } = &mut self.sets[set];
                *updates += 1;
                step.learning_rate = set.learning_rate as f32;
                step.optimizer = set.optimizer.scalars(*updates);
            }
            all.push(Run { phase, step });
        }
        self.session.run_all(&all)?;
        self.runs = record.step;
        Ok(())
    }

    /// The start of the next batch of data set `at`. A pass over the data ends with the last whole batch.
    fn next_batch(&mut self, at: usize, batch: usize) -> Result<u32, TrainError> {
        let resident = &mut self.data[at];
        if resident.passes == 0 || resident.position + batch > resident.data.rows {
            let mut order: Vec<u32> = (0..resident.data.rows as u32).collect();
            if resident.data.shuffled {
                rng::shuffle(&mut order, self.seed, streams::SHUFFLE, resident.passes);
            }
            resident.passes += 1;
            resident.position = 0;
            if let Some(slice) = self.layout.data[at].order {
                self.session.write(slice.buffer, slice.start, &order)?;
            }
        }
        let resident = &mut self.data[at];
        let start = resident.position;
        resident.position += batch;
        Ok(start as u32)
    }

    /// The value that the last run of a phase kept under this name.
    ///
    /// # Errors
    /// If there is no such phase or result, or the device fails.
    pub fn result(&mut self, phase: &str, name: &str) -> Result<Vec<f32>, TrainError> {
        let results = &self.layout.phases[self.runs_of(phase)?.pass].results;
        let at = position("result", name, results.iter().map(|r| r.name.as_str()))?;
        let slice = Slice { words: results[at].words, ..results[at].slice };
        self.read(slice)
    }

    /// Reads a parameter or state.
    ///
    /// # Errors
    /// If there is no such tensor, or the device fails.
    pub fn parameter(&mut self, name: &str) -> Result<Vec<f32>, TrainError> {
        let slice = self.tensor(name)?;
        let data = self.read(slice)?;
        Ok(self.arrangement(name).from_memory(data))
    }

    /// Sets a parameter or state.
    ///
    /// # Errors
    /// If there is no such tensor, it has another length, or the device fails.
    pub fn set_parameter(&mut self, name: &str, values: &[f32]) -> Result<(), TrainError> {
        let slice = self.tensor(name)?;
        check_length(name, slice.words, values)?;
        let values = self.arrangement(name).to_memory(values.to_vec());
        self.write(name, slice, &values)
    }

    /// How a parameter or state lies in memory.
    fn arrangement(&self, name: &str) -> Arrangement {
        let parameters = self.sets.iter().flat_map(|s| &s.set.parameters);
        let parameters = parameters.map(|p| (&p.name, &p.arrangement));
        let mut all = parameters.chain(self.states.iter().map(|s| (&s.name, &s.arrangement)));
        all.find(|(known, _)| *known == name).map(|(_, arrangement)| arrangement.clone()).unwrap_or_default()
    }

    /// The gradients of all parameters of a set as one range, in which each parameter starts at a multiple of
    /// 64 numbers: what several processes sum (all-reduce) between a phase that computes gradients and one
    /// that updates.
    ///
    /// # Errors
    /// If there is no such set, or the device fails.
    pub fn gradients(&mut self, set: &str) -> Result<Vec<f32>, TrainError> {
        let slice = self.gradient_range(set)?;
        self.read(slice)
    }

    /// Replaces the gradients of a set, in the order of [`Loop::gradients`].
    ///
    /// # Errors
    /// If there is no such set, `gradients` has another length, or the device fails.
    pub fn set_gradients(&mut self, set: &str, gradients: &[f32]) -> Result<(), TrainError> {
        let slice = self.gradient_range(set)?;
        self.write(set, slice, gradients)
    }

    /// Changes the learning rate of a set.
    ///
    /// # Errors
    /// If there is no such set.
    pub fn set_learning_rate(&mut self, set: &str, rate: f64) -> Result<(), TrainError> {
        let at = self.set_at(set)?;
        self.sets[at].set.learning_rate = rate;
        Ok(())
    }

    fn set_at(&self, name: &str) -> Result<usize, TrainError> {
        position("set of parameters", name, self.sets.iter().map(|s| s.set.name.as_str()))
    }

    fn gradient_range(&self, set: &str) -> Result<Slice, TrainError> {
        let range = SetLayout::gradient_range(&self.layout.sets[self.set_at(set)?]);
        range.ok_or_else(|| TrainError::Input(format!("the set `{set}` has no parameters")))
    }

    fn runs_of(&self, phase: &str) -> Result<&Runs, TrainError> {
        Ok(&self.phases[position("phase", phase, self.phases.iter().map(|p| p.name.as_str()))?])
    }

    fn tensor(&self, name: &str) -> Result<Slice, TrainError> {
        let tensors: Vec<&(String, Slice)> = self.layout.parameters().chain(&self.layout.states).collect();
        let at = position("parameter or state", name, tensors.iter().map(|(name, _)| name.as_str()))?;
        Ok(tensors[at].1)
    }

    fn read(&mut self, slice: Slice) -> Result<Vec<f32>, TrainError> {
        let words = self.session.read(slice.buffer, slice.start, slice.words)?;
        Ok(words.into_iter().map(f32::from_bits).collect())
    }

    fn write(&mut self, name: &str, slice: Slice, values: &[f32]) -> Result<(), TrainError> {
        check_length(name, slice.words, values)?;
        self.session.write(slice.buffer, slice.start, bytemuck::cast_slice(values))?;
        Ok(())
    }
}

/// Refuses `values` if there are not `wanted`.
fn check_length(name: &str, wanted: usize, values: &[f32]) -> Result<(), TrainError> {
    match values.len() {
        given if given == wanted => Ok(()),
        given => Err(TrainError::Input(format!("`{name}` has {wanted} numbers, {given} are given"))),
    }
}

/// The position of `name` among `known`.
fn position<'n>(
    kind: &str,
    name: &str,
    known: impl Iterator<Item = &'n str> + Clone,
) -> Result<usize, TrainError> {
    known.clone().position(|other| other == name).ok_or_else(|| {
        let known: Vec<&str> = known.collect();
        let hint = crate::base::names::nearest(name, known.iter().copied());
        TrainError::Input(format!("there is no {kind} `{name}`{hint}"))
    })
}
