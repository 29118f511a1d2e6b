//! A whole training step as one ONNX graph: a batch, the weights, the running statistics and the optimizer's state go
//! in, the loss and all of these after the step come out. The gradients are operators of the model's graph like any
//! others ([`crate::graph::autodiff`]), so a runtime needs nothing but ONNX's operators to go on with a training.
//!
//! Random tensors, as the masks of dropout, are inputs too: who runs the step draws them.
//!
//! The number of rows is that of the run's batches: means of losses are products by the reciprocal of a number.

mod scalars;
mod update;

use std::collections::BTreeMap;

use super::assembly::{Assembly, Extent};
use super::emit::{Emitter, Held};
use super::inputs::prepare;
use super::proto::element;
use super::trace::{Dim, Trace};
use super::{Exported, Request, describe};
use crate::base::rng::RandomKind;
use crate::base::tensor::DType;
use crate::data::{Dataset, Text};
use crate::graph::ops::Random;
use crate::graph::{Op, Source, ValueId};
use crate::nn::arrangement::Arrangement;
use crate::nn::inputs::{WEIGHT, X, Y};
use crate::nn::model::ModelGraph;
use crate::optim::Decay;
use crate::tasks;
use crate::train::checkpoint::NamedTensor;
use crate::train::{TrainError, groups};

/// Begin of the names of what a step makes of its state.
const NEXT: &str = "next.";

/// A tensor that goes through a step.
struct Through {
    /// Its name in checkpoints, and that of the input.
    name: String,
    /// Its shape, as files have it.
    shape: Vec<usize>,
}

/// The training step of a run; `request` has the tensors of a checkpoint after `step` steps.
///
/// # Errors
/// If something of the step has no form in ONNX, by its key or operator, or tensors do not fit.
pub fn export(request: &Request, step: u64) -> Result<Exported, TrainError> {
    let config = request.settings.train;
    check(request)?;
    let model = tasks::model(request.settings, request.fitted, &sample(request)?);
    if !model.turns(config.batch_size)?.is_empty() {
        return Err(refuse("trains parts of the model against each other", "`model.family = \"gan\"`"));
    }
    let trace = Trace::fixed(model.graph(config.batch_size, true)?);
    let mut assembly = Assembly::default();
    let mut writer = Writer {
        request,
        model: &trace.model,
        assembly: &mut assembly,
        state: vec![],
        drawn: BTreeMap::new(),
    };
    let mut bound = writer.inputs()?;
    bound.extend(writer.random());
    let slots = writer.optimizer_state()?;
    let rate = writer.scalar("learning_rate", element::FLOAT, "learning rate of the step");
    let number = writer.scalar("step", element::INT64, "number of the step, from 1 on");
    let found = {
        let mut emitter = Emitter::of_step(&mut writer.assembly.builder, &trace, request.weights);
        bound.into_iter().for_each(|(value, held)| emitter.bind(value, held));
        let gradients = trace.model.gradients.iter().chain(&trace.model.updates);
        let wanted: Vec<ValueId> =
            std::iter::once(trace.model.loss).chain(gradients.map(|(_, value)| *value)).collect();
        explain(emitter.emit(&wanted))?
    };
    let Some((loss, rest)) = found.split_first() else { return Err(TrainError::Input("no loss".into())) };
    let (gradients, updates) = rest.split_at(trace.model.gradients.len());
    writer.assembly.output("loss", &loss.name, element::FLOAT, &[], "loss of the batch before the update");
    writer.updates(updates);
    writer.parameters(gradients, &slots, &rate, &number)?;
    let metadata = writer.metadata(step);
    let does = format!(
        "One training step of {} rows: run it again and again, each output `{NEXT}X` as the input `X` of the next \
         step. Without being given, these inputs are those after step {step} of the run.",
        config.batch_size
    );
    let doc = describe(&does, &assembly);
    let (inputs, outputs) = (assembly.inputs.clone(), assembly.outputs.clone());
    Ok(Exported { bytes: assembly.finish(request.name, &doc, metadata), inputs, outputs })
}

/// Refuses what happens outside of the model's graph.
fn check(request: &Request) -> Result<(), TrainError> {
    let train = request.settings.train;
    if request.fitted.graph.is_some() {
        return Err(refuse("reads all nodes of a graph", "`data.graph`"));
    }
    if request.fitted.graphs.is_some() {
        return Err(refuse("reads graphs with edges of their own", "`data.graph.nodes`"));
    }
    if train.accumulate > 1 {
        return Err(refuse("adds up micro-batches", "`train.accumulate`; train with 1"));
    }
    if train.adversarial.is_some() {
        return Err(refuse("changes its inputs so that the loss grows", "`train.adversarial`"));
    }
    if request.settings.data.augment.noise > 0.0 {
        return Err(refuse("adds random numbers to the features", "`data.augment.noise`; train without it"));
    }
    Ok(())
}

fn refuse(what: &str, key: &str) -> TrainError {
    TrainError::Input(format!("the training step {what}, which its export does not do (see {key})"))
}

/// Says of random numbers which key turns them off.
fn explain<T>(found: Result<T, TrainError>) -> Result<T, TrainError> {
    found.map_err(|error| match error {
        TrainError::Input(reason) => {
            let (reason, _) = reason.split_once("; export the weights alone").unwrap_or((&reason, ""));
            let how = match reason.contains("random") {
                true => "; a training step in ONNX draws no random numbers in here: train with `dropout = 0`",
                false => "",
            };
            TrainError::Input(format!("{reason}{how}"))
        }
        other => other,
    })
}

/// Rows like those that train, without any.
fn sample(request: &Request) -> Result<Dataset, TrainError> {
    let fitted = request.fitted;
    if fitted.documents.is_some() {
        return Err(refuse("reads the texts of rows", "`data.text`"));
    }
    if let Some(text) = fitted.target.text() {
        let text = Text { length: text.length, vocabulary: text.symbols(), ..Text::default() };
        return Ok(Dataset { text: Some(text), ..Dataset::default() });
    }
    let prepared = prepare(&mut Assembly::default(), &Request { raw: true, ..*request })?;
    let weights = if fitted.weight.is_some() { vec![1.0] } else { vec![] };
    Ok(Dataset { weights, ..prepared.sample })
}

/// Writes what goes in and comes out.
struct Writer<'a> {
    request: &'a Request<'a>,
    model: &'a ModelGraph,
    assembly: &'a mut Assembly,
    /// The names of inputs, and those of the outputs that are these after the step.
    state: Vec<(String, String)>,
    /// Random tensors by input: how they are distributed.
    drawn: BTreeMap<String, Drawn>,
}

/// A random tensor that a step reads, as its metadata (`gridlight.random`) say it.
#[derive(serde::Serialize)]
struct Drawn {
    /// `bernoulli`, `uniform` on `[0, 1)`, or `normal`.
    distribution: &'static str,
    /// Probability of 1 of `bernoulli`; elements are 0 otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    probability: Option<f64>,
    /// Its stream of [`rng`] in a run.
    stream: u32,
    shape: Vec<usize>,
}

impl Writer<'_> {
    /// Declares a scalar.
    fn scalar(&mut self, name: &str, elements: i32, meaning: &str) -> String {
        self.assembly.input(name, elements, &[], meaning)
    }

    /// Declares the batch, the trained tensors and the running statistics; says which values of the graph they are.
    fn inputs(&mut self) -> Result<Vec<(ValueId, Held)>, TrainError> {
        let model = self.model;
        let sources: Vec<(ValueId, &Source, &Vec<usize>, DType)> = (model.graph.nodes.iter().enumerate())
            .filter_map(|(at, node)| match &node.op {
                Op::Source(source) => {
                    Some((ValueId(at as u32), &source.source, &source.ty.shape, source.ty.dtype))
                }
                _ => None,
            })
            .collect();
        let mut bound = vec![];
        for &(value, source, shape, dtype) in &sources {
            if let Source::Batch(name) = source {
                let elements = if dtype == DType::U32 { element::INT64 } else { element::FLOAT };
                let input = self.assembly.input(name, elements, &fixed(shape), meaning(name));
                bound.push((value, Held::new(input, dims(shape))));
            }
        }
        let places: BTreeMap<&str, ValueId> = (sources.iter())
            .filter_map(|(value, source, ..)| match source {
                Source::Parameter(name) | Source::State(name) => Some((name.as_str(), *value)),
                _ => None,
            })
            .collect();
        for through in self.through() {
            let input = self.tensor(&through.name, &through.shape)?;
            let Some(&value) = places.get(through.name.as_str()) else { continue };
            let held = self.as_in_memory(&input, &through.shape, &model.arrangement(&through.name));
            bound.push((value, held));
        }
        Ok(bound)
    }

    /// Declares the random tensors, the same one wherever it is drawn from the same stream; says which values they are.
    fn random(&mut self) -> Vec<(ValueId, Held)> {
        let mut named: Vec<(Random, String)> = vec![];
        let mut bound = vec![];
        for (at, node) in self.model.graph.nodes.iter().enumerate() {
            let Op::Random(random) = &node.op else { continue };
            let known = named.iter().find(|(known, _)| known == random).map(|(_, name)| name.clone());
            let input = known.unwrap_or_else(|| {
                let (distribution, probability) = match random.kind {
                    RandomKind::Uniform => ("uniform", None),
                    RandomKind::Normal => ("normal", None),
                    RandomKind::Mask { threshold } => {
                        ("bernoulli", Some(f64::from(threshold) / 4_294_967_296.0))
                    }
                };
                let name = format!("random.{}", named.len());
                let meaning = "random numbers, to be drawn anew for each step (metadata gridlight.random)";
                let input = self.assembly.input(&name, element::FLOAT, &fixed(&random.shape), meaning);
                let (stream, shape) = (random.stream, random.shape.clone());
                self.drawn.insert(input.clone(), Drawn { distribution, probability, stream, shape });
                named.push((random.clone(), input.clone()));
                input
            });
            bound.push((ValueId(at as u32), Held::new(input, dims(&random.shape))));
        }
        bound
    }

    /// What goes through a step besides the optimizer's state: trained tensors, then running statistics and states that
    /// are carried on.
    fn through(&self) -> Vec<Through> {
        let model = self.model;
        let parameter = |name: &String| model.parameters.iter().find(|p| p.name == *name);
        let trained = model.gradients.iter().filter_map(|(name, _)| parameter(name));
        let trained = trained.map(|p| Through { name: p.name.clone(), shape: p.shape.clone() });
        let states = model.states.iter().chain(&model.carried);
        let changed = states.filter(|s| model.updates.iter().any(|(name, _)| *name == s.name));
        let changed = changed.map(|s| Through { name: s.name.clone(), shape: s.shape.clone() });
        trained.chain(changed).collect()
    }

    /// Declares an input that has a tensor of the checkpoint if none is given, and returns its name.
    fn tensor(&mut self, name: &str, shape: &[usize]) -> Result<String, TrainError> {
        let tensor = find(self.request.weights, name, shape)?;
        let input = self.assembly.input(name, element::FLOAT, &fixed(shape), "of the training's state");
        self.assembly.default_of(&input, shape, &tensor.2);
        Ok(input)
    }

    /// A tensor as the graph reads it.
    fn as_in_memory(&mut self, name: &str, shape: &[usize], arrangement: &Arrangement) -> Held {
        let Some((split, order)) = arrangement.parts() else {
            return Held::new(name.to_string(), dims(shape));
        };
        let split_name = self.assembly.builder.reshape(name, &signed(split));
        Held::new(split_name, dims(split)).read_in(order)
    }

    /// A value as the graph has it, its axes in order, as files have it.
    fn as_in_files(&mut self, held: &Held, name: &str, shape: &[usize]) -> String {
        let arrangement = self.model.arrangement(name);
        let Some((_, order)) = arrangement.parts() else { return held.name.clone() };
        // Axis `order[i]` of the split shape is axis i in memory.
        let mut back = vec![0; order.len()];
        for (at, &axis) in order.iter().enumerate() {
            back[axis] = at;
        }
        let b = &mut self.assembly.builder;
        let turned = b.node("Transpose", &[&held.name], vec![super::builder::ints("perm", back)]);
        b.reshape(&turned, &signed(shape))
    }

    /// Declares the state of the optimizer: the names of the slots of each trained tensor.
    fn optimizer_state(&mut self) -> Result<Vec<Vec<String>>, TrainError> {
        let slots = self.request.settings.train.optimizer.slots();
        let mut all = vec![];
        for at in 0..self.model.gradients.len() {
            let through = &self.through()[at];
            let names: Result<Vec<String>, TrainError> = (0..slots)
                .map(|slot| self.tensor(&format!("optimizer.{slot}.{}", through.name), &through.shape))
                .collect();
            all.push(names?);
        }
        Ok(all)
    }

    /// Declares what an input is after the step.
    fn next(&mut self, name: &str, value: &str, shape: &[usize]) {
        let output = format!("{NEXT}{name}");
        let meaning = format!("`{name}` after the step");
        self.assembly.output(&output, value, element::FLOAT, &fixed(shape), &meaning);
        self.state.push((name.to_string(), output));
    }

    /// Running statistics and carried states after the step.
    fn updates(&mut self, found: &[Held]) {
        let model = self.model;
        for ((name, _), held) in model.updates.iter().zip(found) {
            let mut states = model.states.iter().chain(&model.carried);
            let Some(shape) = states.find(|state| state.name == *name).map(|state| state.shape.clone())
            else {
                continue;
            };
            let value = self.as_in_files(held, name, &shape);
            self.next(name, &value, &shape);
        }
    }

    /// Trained tensors and the optimizer's state after the step.
    fn parameters(
        &mut self,
        gradients: &[Held],
        slots: &[Vec<String>],
        rate: &str,
        number: &str,
    ) -> Result<(), TrainError> {
        let (model, train) = (self.model, self.request.settings.train);
        let of_groups = train.groups();
        let mut tensors = vec![];
        for (((name, _), gradient), slots) in model.gradients.iter().zip(gradients).zip(slots) {
            let Some(parameter) = model.parameters.iter().find(|p| p.name == *name) else { continue };
            let gradient = self.as_in_files(gradient, name, &parameter.shape);
            tensors.push(update::Tensor {
                name: name.clone(),
                gradient,
                slots: slots.clone(),
                decay: match parameter.decay || train.decay == Decay::All {
                    true => groups::weight_decay(&of_groups, &train.optimizer, name),
                    false => 0.0,
                },
                rate: groups::rate(&of_groups, name),
            });
        }
        let scalars = scalars::of(&mut self.assembly.builder, &train.optimizer, number)?;
        let updated = update::write(&mut self.assembly.builder, train, &tensors, rate, &scalars)?;
        for (tensor, (parameter, slots)) in tensors.iter().zip(updated) {
            let shape = model.parameters.iter().find(|p| p.name == tensor.name).map(|p| p.shape.clone());
            let shape = shape.unwrap_or_default();
            self.next(&tensor.name, &parameter, &shape);
            for (name, value) in tensor.slots.iter().zip(slots) {
                self.next(name, &value, &shape);
            }
        }
        Ok(())
    }

    /// What the file says of itself.
    fn metadata(&self, step: u64) -> Vec<(String, String)> {
        let train = self.request.settings.train;
        let state: BTreeMap<&String, &String> = self.state.iter().map(|(from, to)| (from, to)).collect();
        let json = |value: &BTreeMap<&String, &String>| serde_json::to_string(value).unwrap_or_default();
        let text = |key: &str, value: String| (format!("gridlight.{key}"), value);
        vec![
            text("run", self.request.digest.to_string()),
            text("steps_done", step.to_string()),
            text("batch_size", train.batch_size.to_string()),
            text("learning_rate", train.learning_rate.to_string()),
            text("state", json(&state)),
            text("random", serde_json::to_string(&self.drawn).unwrap_or_default()),
        ]
    }
}

fn meaning(batch: &str) -> &'static str {
    match batch {
        X => "the batch: features as the network reads them, encoded and scaled",
        Y => "the batch's targets: scaled numbers, or numbers of classes",
        WEIGHT => "weights of the rows, whose mean over the training rows is 1",
        _ => "the batch: numbers of categories; 0 for names that training did not have",
    }
}

fn find<'a>(tensors: &'a [NamedTensor], name: &str, shape: &[usize]) -> Result<&'a NamedTensor, TrainError> {
    let found = tensors.iter().find(|(known, ..)| known == name);
    found.filter(|(_, found, _)| found == shape).ok_or_else(|| TrainError::Tensor {
        name: name.into(),
        found: found.map(|(_, shape, _)| shape.clone()),
        expected: shape.to_vec(),
    })
}

fn fixed(shape: &[usize]) -> Vec<Extent> {
    shape.iter().map(|&extent| Extent::Fixed(extent)).collect()
}

fn dims(shape: &[usize]) -> Vec<Dim> {
    shape.iter().map(|&extent| Dim::fixed(extent)).collect()
}

fn signed(shape: &[usize]) -> Vec<i64> {
    shape.iter().map(|&extent| extent as i64).collect()
}
