//! The parameters of a model that is written as formulas.

use std::cell::RefCell;

use crate::base::tensor::DType;
use crate::graph::expression::{Expression, Workspace};
use crate::graph::{Graph, GraphError, Source, ValueId};
use crate::nn::arrangement::Arrangement;
use crate::nn::init::Init;
use crate::nn::layers::Layer;
use crate::nn::network::Network;
use crate::nn::tensors::{Parameter, State};

/// Declares the parameters of a model while its formula is written.
///
/// A parameter is known by its name: declaring it again gives the same tensor, so a model can be applied to
/// several inputs. Names begin with that of the model: `generator.0.weight`.
///
/// ```
/// use gridlight::graph::Source;
/// use gridlight::graph::expression::Workspace;
/// use gridlight::nn::layers::Dense;
/// use gridlight::train::custom::Parameters;
///
/// let workspace = Workspace::new();
/// let x = workspace.source(Source::Batch("x".into()), &[32, 8]);
/// let model = Parameters::new(&workspace, "model");
/// let hidden = model.layer(0, &Dense { units: 16, bias: true }, &x).relu();
/// let y = model.layer(1, &Dense { units: 1, bias: true }, &hidden);
/// let (graph, values) = workspace.finish(&[&y])?;
/// assert_eq!(graph.shape(values[0]), &[32, 1]);
/// # Ok::<(), gridlight::graph::GraphError>(())
/// ```
#[derive(Debug)]
pub struct Parameters {
    workspace: Workspace,
    model: String,
    training: bool,
    declared: RefCell<Declared>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Declared {
    pub parameters: Vec<Parameter>,
    pub states: Vec<State>,
    /// New values of the states.
    pub updates: Vec<(String, ValueId)>,
}

impl Parameters {
    /// A model without parameters so far, in its training form.
    pub fn new(workspace: &Workspace, model: impl Into<String>) -> Self {
        let (workspace, model) = (workspace.clone(), model.into());
        Self { workspace, model, training: true, declared: RefCell::default() }
    }

    /// The form for evaluation: no dropout, and statistics of training in place of those of the batch.
    pub fn evaluating(mut self) -> Self {
        self.training = false;
        self
    }

    /// A trained tensor. Weight decay applies to matrices and tensors of more dimensions.
    pub fn tensor(&self, name: &str, shape: &[usize], init: Init) -> Expression {
        let (name, decay) = (format!("{}.{name}", self.model), shape.len() > 1);
        self.workspace.append(|graph| {
            let value = graph.source(Source::Parameter(name.clone()), shape, DType::F32)?;
            let (shape, arrangement) = (shape.to_vec(), Arrangement::default());
            self.declare(graph, value, Parameter { name, shape, init, decay, arrangement })?;
            Ok(value)
        })
    }

    /// Applies a layer, whose parameters begin with its number (`generator.0.weight`). A layer applied
    /// several times under one number has one set of parameters; of its running statistics, the last
    /// application's are kept.
    pub fn layer(&self, number: usize, layer: &dyn Layer, x: &Expression) -> Expression {
        x.apply(|graph, x| {
            let mut net = Network::new(graph, self.training);
            net.begin(format!("{}.", self.model), net.first_stream + first_stream(&self.model));
            let y = net.layer(number, layer, x)?;
            let Network { parameters, states, updates, .. } = net;
            for (parameter, value) in parameters {
                self.declare(graph, value, parameter)?;
            }
            let declared = &mut *self.declared.borrow_mut();
            for state in states {
                declared.states.retain(|other| other.name != state.name);
                declared.states.push(state);
            }
            for (name, value) in updates {
                declared.updates.retain(|(other, _)| *other != name);
                declared.updates.push((name, value));
            }
            Ok(y)
        })
    }

    /// What has been declared so far.
    pub(super) fn declared(&self) -> Declared {
        self.declared.borrow().clone()
    }

    fn declare(&self, graph: &Graph, value: ValueId, parameter: Parameter) -> Result<(), GraphError> {
        let parameters = &mut self.declared.borrow_mut().parameters;
        match parameters.iter().find(|other| other.name == parameter.name) {
            None => parameters.push(parameter),
            Some(other)
                if (&other.shape, &other.arrangement) == (&parameter.shape, &parameter.arrangement) => {}
            Some(other) => {
                let reason = format!(
                    "the parameter `{}` has the shape {:?} elsewhere in this model; give one of them another name",
                    other.name, other.shape
                );
                return Err(graph.error("parameter", &[value], reason));
            }
        }
        Ok(())
    }
}

/// An offset that keeps the random draws of models in one workspace apart: FNV-1a of the name, a multiple of
/// 256 so that each model's layers have streams of their own.
fn first_stream(model: &str) -> u32 {
    let hash =
        model.bytes().fold(0x811C_9DC5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    (hash % 0x100) << 8
}
