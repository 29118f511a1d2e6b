//! The parts of a custom training loop.

use super::parameters::Parameters;
use crate::graph::{Graph, ValueId};
use crate::nn::arrangement::Arrangement;
use crate::nn::init::Init;
use crate::nn::tensors::{Parameter, State};
use crate::optim::Optimizer;

/// What to train, on which data, and how.
#[derive(Clone, Debug, Default)]
pub struct Recipe {
    pub(super) sets: Vec<Set>,
    pub(super) states: Vec<State>,
    pub(super) data: Vec<Data>,
    pub(super) phases: Vec<Phase>,
}

impl Recipe {
    /// An empty recipe.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a set of parameters.
    pub fn set(mut self, set: Set) -> Self {
        self.sets.push(set);
        self
    }

    /// Adds a tensor that phases update without a gradient ([`Phase::renew`]); graphs read it as
    /// [`Source::State`](crate::graph::Source::State).
    pub fn state(mut self, name: impl Into<String>, shape: &[usize], initial: f32) -> Self {
        self.states.push(State {
            name: name.into(),
            shape: shape.to_vec(),
            initial,
            arrangement: Arrangement::default(),
        });
        self
    }

    /// Adds the running statistics of a model's layers.
    pub fn statistics(mut self, model: &Parameters) -> Self {
        self.states.extend(model.declared().states);
        self
    }

    /// Adds a data set that is kept on the device.
    pub fn data(mut self, data: Data) -> Self {
        self.data.push(data);
        self
    }

    /// Adds a phase.
    pub fn phase(mut self, phase: Phase) -> Self {
        self.phases.push(phase);
        self
    }
}

/// Parameters that are trained together: the whole of a model, or a part of it.
#[derive(Clone, Debug)]
pub struct Set {
    pub(super) name: String,
    pub(super) optimizer: Optimizer,
    pub(super) learning_rate: f64,
    pub(super) clip_norm: Option<f64>,
    pub(super) parameters: Vec<Parameter>,
}

impl Set {
    /// An empty set with its own optimizer.
    pub fn new(name: impl Into<String>, optimizer: Optimizer, learning_rate: f64) -> Self {
        Self { name: name.into(), optimizer, learning_rate, clip_norm: None, parameters: vec![] }
    }

    /// Clips the gradients of the set to this norm.
    pub fn clip_norm(mut self, norm: f64) -> Self {
        self.clip_norm = Some(norm);
        self
    }

    /// Adds a tensor that graphs read as [`Source::Parameter`](crate::graph::Source::Parameter). Weight decay
    /// applies to matrices and tensors of more dimensions.
    pub fn parameter(mut self, name: impl Into<String>, shape: &[usize], init: Init) -> Self {
        let (shape, decay) = (shape.to_vec(), shape.len() > 1);
        let arrangement = Arrangement::default();
        self.parameters.push(Parameter { name: name.into(), shape, init, decay, arrangement });
        self
    }

    /// Adds all parameters of a model.
    pub fn all(mut self, model: &Parameters) -> Self {
        self.parameters.extend(model.declared().parameters);
        self
    }
}

/// Rows of numbers that are kept on the device.
#[derive(Clone, Debug)]
pub struct Data {
    pub(super) name: String,
    pub(super) rows: usize,
    pub(super) shuffled: bool,
    pub(super) columns: Vec<(String, usize)>,
}

impl Data {
    /// A data set with `rows` rows and no columns.
    pub fn new(name: impl Into<String>, rows: usize) -> Self {
        Self { name: name.into(), rows, shuffled: false, columns: vec![] }
    }

    /// Adds a column block of `width` numbers per row; graphs read a batch of it as
    /// [`Source::Batch`](crate::graph::Source::Batch), with shape `[B, width]` or any other with as many
    /// elements.
    pub fn column(mut self, name: impl Into<String>, width: usize) -> Self {
        self.columns.push((name.into(), width));
        self
    }

    /// Shuffles the rows for each pass over them.
    pub fn shuffled(mut self) -> Self {
        self.shuffled = true;
        self
    }
}

/// What runs between two decisions of the program: a graph over a batch, followed by updates.
#[derive(Clone, Debug)]
pub struct Phase {
    pub(super) name: String,
    pub(super) graph: Option<Graph>,
    /// Data set and batch size; if absent, the program writes each batch.
    pub(super) batches: Option<(String, usize)>,
    pub(super) results: Vec<(String, ValueId)>,
    /// Losses, and the sets to differentiate them for.
    pub(super) losses: Vec<(ValueId, String)>,
    /// Factor of gradients that are added to the previous ones.
    pub(super) adds: Option<f32>,
    pub(super) states: Vec<(String, ValueId)>,
    pub(super) clears: Vec<String>,
    pub(super) updates: Vec<String>,
}

impl Phase {
    fn empty(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            graph: None,
            batches: None,
            results: vec![],
            losses: vec![],
            adds: None,
            states: vec![],
            clears: vec![],
            updates: vec![],
        }
    }

    /// A phase that evaluates `graph`.
    pub fn of(name: impl Into<String>, graph: Graph) -> Self {
        Self { graph: Some(graph), ..Self::empty(name) }
    }

    /// A phase that updates a set from its current gradients.
    pub fn update(name: impl Into<String>, set: impl Into<String>) -> Self {
        Self { updates: vec![set.into()], ..Self::empty(name) }
    }

    /// A phase that sets the gradients of a set to 0, before others are added ([`Phase::adding`]).
    pub fn clear(name: impl Into<String>, set: impl Into<String>) -> Self {
        Self { clears: vec![set.into()], ..Self::empty(name) }
    }

    /// Reads consecutive batches of `batch` rows of a data set. All phases that read a data set share its
    /// position.
    pub fn reads(mut self, data: impl Into<String>, batch: usize) -> Self {
        self.batches = Some((data.into(), batch));
        self
    }

    /// Keeps a value of each run under this name ([`Loop::result`](super::Loop::result)).
    pub fn keep(mut self, name: impl Into<String>, value: ValueId) -> Self {
        self.results.push((name.into(), value));
        self
    }

    /// Computes the gradients of the scalar `loss` with respect to the parameters of a set.
    pub fn differentiate(mut self, loss: ValueId, set: impl Into<String>) -> Self {
        self.losses.push((loss, set.into()));
        self
    }

    /// Computes the gradients of the scalar `loss` with respect to the parameters of a set, and updates the
    /// set.
    pub fn minimise(self, loss: ValueId, set: impl Into<String>) -> Self {
        let set = set.into();
        let mut phase = self.differentiate(loss, set.clone());
        phase.updates.push(set);
        phase
    }

    /// Adds the gradients, multiplied by `factor`, to the previous ones instead of replacing them.
    pub fn adding(mut self, factor: f32) -> Self {
        self.adds = Some(factor);
        self
    }

    /// Updates the running statistics of a model's layers.
    pub fn renew_statistics(mut self, model: &Parameters) -> Self {
        self.states.extend(model.declared().updates);
        self
    }

    /// Sets a state to a new value.
    pub fn renew(mut self, state: impl Into<String>, value: ValueId) -> Self {
        self.states.push((state.into(), value));
        self
    }
}
