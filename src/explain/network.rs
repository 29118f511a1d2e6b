//! A trained model over points: outputs, gradients with respect to the inputs, and activations, in batches.

use super::attention;
use super::space::Space;
use crate::base::step::StepRecord;
use crate::base::tensor::DType;
use crate::device::{Device, Session};
use crate::graph::copy::Places;
use crate::graph::{Graph, GraphError, Node, Op, Source, ValueId, autodiff};
use crate::nn::inputs;
use crate::nn::model::Model;
use crate::plan::{self, Compiled, Entry, PlanError, ProgramSpec, Slice};
use crate::train::TrainError;
use crate::train::checkpoint::NamedTensor;

/// Points of a batch at most; halved repeatedly until the plan fits the device.
const BATCH: usize = 512;
/// What weights the outputs of each row.
const SELECTOR: &str = "selector";

/// A trained model and the device it runs on.
#[derive(Clone, Copy)]
pub struct Network<'a> {
    /// The model.
    pub model: &'a dyn Model,
    /// Its weights.
    pub weights: &'a [NamedTensor],
    /// The device.
    pub device: &'a dyn Device,
    /// What its inputs are.
    pub space: &'a Space,
}

/// What is to be computed for points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// The outputs, `[outputs]`, and the loss.
    Outputs,
    /// The outputs, and the gradient of their weighted sum with respect to the point.
    Gradient,
    /// The outputs, the loss, and its gradient with respect to the point.
    Loss,
    /// The last convolution's result, `[height, width, channels]`, and the gradient of the weighted sum of
    /// the outputs with respect to it.
    Activations,
    /// The rollout of all attention, `[tokens, tokens]`, and the gradient of the weighted sum of the outputs with respect
    /// to the result of the last one, `[tokens, heads, width]`.
    Attention,
}

/// A graph over a batch and its results.
struct Passed {
    graph: Graph,
    results: Vec<ValueId>,
    parameters: Vec<Entry>,
    states: Vec<Entry>,
}

impl Network<'_> {
    /// A program that computes `wanted` for points, of which about `points` will be given at a time.
    ///
    /// # Errors
    /// If there is no convolution whose activations are wanted, the program does not fit the device, or the
    /// device fails.
    pub fn probe(&self, wanted: Wanted, points: usize) -> Result<Probe, TrainError> {
        let mut batch = points.clamp(1, BATCH).next_power_of_two();
        loop {
            match self.compile(wanted, batch) {
                Ok(compiled) => return self.load(compiled, batch),
                Err(TrainError::Plan(PlanError::TooLarge { .. })) if batch > 1 => batch /= 2,
                Err(error) => return Err(error),
            }
        }
    }

    /// Whether the model has a convolution of images.
    ///
    /// # Errors
    /// If the model cannot be built.
    pub fn convolves(&self) -> Result<bool, TrainError> {
        let built = self.model.graph(1, false)?;
        Ok(last_convolution(&built.graph).is_some())
    }

    /// Whether the model attends to tokens of its inputs.
    ///
    /// # Errors
    /// If the model cannot be built.
    pub fn attends(&self) -> Result<bool, TrainError> {
        Ok(attention::attends(&self.model.graph(1, false)?.graph))
    }

    /// Floating-point operations of one prediction.
    ///
    /// # Errors
    /// If the program does not fit the device.
    pub fn work(&self) -> Result<u64, TrainError> {
        const ROWS: usize = 8;
        let compiled = self.compile(Wanted::Outputs, ROWS)?;
        let flops: u64 = compiled.program.phases.iter().map(|phase| phase.cost().flops).sum();
        Ok((flops / ROWS as u64).max(1))
    }

    /// Height, width and channels of the last convolution's result.
    ///
    /// # Errors
    /// If the model has no convolution of images.
    pub fn map_shape(&self) -> Result<[usize; 3], TrainError> {
        let built = self.model.graph(1, false)?;
        let missing = || TrainError::Input("the model has no convolution of images".into());
        let map = last_convolution(&built.graph).ok_or_else(missing)?;
        built.graph.shape(map)[1..].try_into().map_err(|_| missing())
    }

    fn compile(&self, wanted: Wanted, batch: usize) -> Result<Compiled, TrainError> {
        let Passed { graph, results, parameters, states } = self.graph(wanted, batch)?;
        let named = results.iter().enumerate().map(|(at, value)| (format!("result {at}"), *value)).collect();
        let spec = ProgramSpec::once("explain", (&graph, batch), parameters, states, named);
        Ok(plan::compile(&spec, self.device.target())?)
    }

    /// The graph of `wanted`, with the embedded categories in place of their numbers.
    fn graph(&self, wanted: Wanted, batch: usize) -> Result<Passed, TrainError> {
        let built = self.model.graph(batch, false)?;
        let entry = |name: &String, shape: &[usize]| Entry {
            name: name.clone(),
            words: shape.iter().product(),
            decay: false,
        };
        let (mut graph, places) = embedded(&built.graph, &[built.predictions, built.loss_rows])?;
        let at = |value: ValueId| places.of(value);
        let (outputs, losses) = (at(built.predictions), at(built.loss_rows));
        let weighted = |graph: &mut Graph, of: &[ValueId]| {
            let shape = graph.shape(outputs).clone();
            let selector = graph.source(Source::Batch(SELECTOR.into()), &shape, DType::F32)?;
            autodiff::vjp(graph, outputs, selector, of)
        };
        let inputs = self.inputs(&mut graph, batch)?;
        let results = match wanted {
            Wanted::Outputs => vec![outputs, losses],
            Wanted::Gradient => [vec![outputs], weighted(&mut graph, &inputs)?].concat(),
            Wanted::Loss => {
                let one = graph.scalar(1.0)?;
                let shape = graph.shape(losses).clone();
                let ones = graph.broadcast(one, &shape)?;
                [vec![outputs, losses], autodiff::vjp(&mut graph, losses, ones, &inputs)?].concat()
            }
            Wanted::Activations => {
                let missing = || {
                    let problem = "grad-cam: the model has no convolution; leave it out".into();
                    TrainError::Setting { run: None, name: "method", problem }
                };
                let activations = at(last_convolution(&built.graph).ok_or_else(missing)?);
                [vec![activations], weighted(&mut graph, &[activations])?].concat()
            }
            Wanted::Attention => {
                let (rolled, last) =
                    attention::rolled(&mut graph, &places, &built.graph)?.ok_or_else(|| {
                        let problem =
                            "rollout: the model has no attention to its inputs; leave it out".into();
                        TrainError::Setting { run: None, name: "method", problem }
                    })?;
                [vec![rolled], weighted(&mut graph, &[last])?].concat()
            }
        };
        Ok(Passed {
            graph,
            results,
            parameters: built.parameters.iter().map(|p| entry(&p.name, &p.shape)).collect(),
            states: built.states.iter().map(|s| entry(&s.name, &s.shape)).collect(),
        })
    }

    /// The values that a point is written to: numeric features and embedded categories, those of them that
    /// there are.
    fn inputs(&self, graph: &mut Graph, batch: usize) -> Result<Vec<ValueId>, GraphError> {
        let features = (self.space.features > 0).then(|| (inputs::X.to_string(), self.space.features));
        let embedded = self.space.embedded.iter().map(|e| (embedded_source(&e.name), e.width));
        let all = features.into_iter().chain(embedded);
        all.map(|(name, width)| graph.source(Source::Batch(name), &[batch, width], DType::F32)).collect()
    }

    fn load(&self, compiled: Compiled, batch: usize) -> Result<Probe, TrainError> {
        let mut session = self.device.load(&compiled.program)?;
        let built = self.model.graph(batch, false)?;
        for (slice, words) in &compiled.layout.constants {
            session.write(slice.buffer, slice.start, words)?;
        }
        for (name, slice) in compiled.layout.parameters().chain(&compiled.layout.states) {
            let found = self.weights.iter().find(|(known, _, _)| known == name);
            let data: &[f32] = found.map_or(&[], |(_, _, data)| data);
            if data.len() != slice.words {
                return Err(TrainError::Tensor {
                    name: name.clone(),
                    found: found.map(|(_, shape, _)| shape.clone()),
                    expected: vec![slice.words],
                });
            }
            let data = built.arrangement(name).to_memory(data.to_vec());
            session.write(slice.buffer, slice.start, bytemuck::cast_slice(&data))?;
        }
        let phase = &compiled.layout.phases[0];
        let place =
            |name: &str| phase.inputs.iter().find(|(known, _)| known == name).map(|(_, slice)| *slice);
        let mut columns = vec![];
        if self.space.features > 0 {
            columns.push((0, self.space.features, place(inputs::X)));
        }
        for (at, embedded) in self.space.embedded.iter().enumerate() {
            let start = self.space.embedding(at).start;
            columns.push((start, embedded.width, place(&embedded_source(&embedded.name))));
        }
        Ok(Probe {
            batch,
            width: self.space.width(),
            columns,
            selector: place(SELECTOR),
            target: place(inputs::Y),
            results: phase.results.iter().map(|result| (result.slice, result.words / batch)).collect(),
            session,
        })
    }
}

fn embedded_source(column: &str) -> String {
    format!("embedded.{column}")
}

/// What `roots` of a graph depend on, with embedded categories as inputs.
fn embedded(graph: &Graph, roots: &[ValueId]) -> Result<(Graph, Places), GraphError> {
    let mut copy = Graph::new();
    let places = copy.append(graph, roots, &mut |copy, node| {
        let column = match (&node.op, node.inputs.get(1).map(|&ids| &graph.node(ids).op)) {
            (Op::Gather(_), Some(Op::Source(ids))) => match &ids.source {
                Source::Batch(name) => name.strip_prefix(&inputs::category_source("")),
                _ => None,
            },
            _ => None,
        };
        let input = |column| copy.source(Source::Batch(embedded_source(column)), &node.ty.shape, DType::F32);
        column.map(input).transpose()
    })?;
    Ok((copy, places))
}

/// The result of the last convolution over images, `[N, H, W, C]`, bias included, as PyTorch's layer gives
/// it; of a residual block, the sum of its two ways.
fn last_convolution(graph: &Graph) -> Option<ValueId> {
    let mut convolved = vec![false; graph.nodes.len()];
    let (mut last, mut sum) = (0, None);
    for (at, node) in graph.nodes.iter().enumerate() {
        let mut inputs = node.inputs.iter().map(|value| convolved[value.index()]);
        let both = node.inputs.len() == 2 && inputs.clone().all(|convolved| convolved);
        let is_conv = matches!(node.op, Op::Conv(_));
        convolved[at] = is_conv || inputs.any(|convolved| convolved);
        if is_conv {
            last = at;
        } else if both && node.op.def().name() == "add" && map_of(graph, ValueId(at as u32)).is_some() {
            sum = Some(at);
        }
    }
    if let Some(sum) = sum.filter(|sum| *sum > last) {
        return Some(ValueId(sum as u32));
    }
    let convolutions = (0..graph.nodes.len()).rev().filter(|&at| matches!(graph.nodes[at].op, Op::Conv(_)));
    let result = convolutions.filter_map(|at| map_of(graph, ValueId(at as u32))).next()?;
    let adds_bias = |node: &Node| {
        let has = |of: &dyn Fn(ValueId) -> bool| node.inputs.iter().any(|value| of(*value));
        node.op.def().name() == "add" && has(&|value| value == result) && has(&|value| is_bias(graph, value))
    };
    let with_bias = graph.nodes.iter().position(adds_bias);
    Some(with_bias.map_or(result, |at| ValueId(at as u32)))
}

/// The view of a convolution's result whose channels come last, if it is more than one pixel.
fn map_of(graph: &Graph, mut value: ValueId) -> Option<ValueId> {
    loop {
        match graph.shape(value)[..] {
            [_, height, width, _] => return (height * width > 1).then_some(value),
            _ => {
                let is_view = |node: &Node| {
                    matches!(node.op, Op::Reshape(_) | Op::Permute(_)) && node.inputs == [value]
                };
                value = ValueId(graph.nodes.iter().position(is_view)? as u32);
            }
        }
    }
}

/// Whether a value is another view of a parameter.
fn is_bias(graph: &Graph, mut value: ValueId) -> bool {
    loop {
        let node = graph.node(value);
        match (&node.op, &node.inputs[..]) {
            (Op::Source(op), _) => return matches!(op.source, Source::Parameter(_)),
            (_, [only]) => value = *only,
            _ => return false,
        }
    }
}

/// What is given of points besides their numbers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Given<'a> {
    /// Weights of the outputs, `[points, outputs]`.
    pub selector: &'a [f32],
    /// Encoded targets, `[points, targets]`.
    pub y: &'a [u32],
}

/// A program on a device that computes something for points.
pub struct Probe {
    session: Box<dyn Session>,
    batch: usize,
    width: usize,
    /// Start and width in a point, and the place.
    columns: Vec<(usize, usize, Option<Slice>)>,
    selector: Option<Slice>,
    target: Option<Slice>,
    /// Places of the results, and numbers per point.
    results: Vec<(Slice, usize)>,
}

impl Probe {
    /// Points of a batch.
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// Numbers per point of result `at`.
    pub fn width_of(&self, at: usize) -> usize {
        self.results[at].1
    }

    /// The results for points `[count, width]`, each `[count, ..]`.
    ///
    /// # Errors
    /// If the device fails.
    pub fn run(&mut self, x: &[f32], given: Given) -> Result<Vec<Vec<f32>>, TrainError> {
        let count = x.len() / self.width.max(1);
        let mut all: Vec<Vec<f32>> =
            self.results.iter().map(|(_, w)| Vec::with_capacity(count * w)).collect();
        for first in (0..count).step_by(self.batch) {
            let rows = self.batch.min(count - first);
            let points = &x[first * self.width..(first + rows) * self.width];
            for &(start, width, place) in &self.columns {
                let Some(slice) = place else { continue };
                if width == self.width {
                    self.session.write(slice.buffer, slice.start, bytemuck::cast_slice(points))?;
                    continue;
                }
                let part = points.chunks(self.width).flat_map(|point| &point[start..start + width]);
                let words: Vec<u32> = part.map(|x| x.to_bits()).collect();
                self.session.write(slice.buffer, slice.start, &words)?;
            }
            let others = [(self.selector, bytemuck::cast_slice(given.selector)), (self.target, given.y)];
            for (place, words) in others {
                let Some(slice) = place else { continue };
                let width = slice.words / self.batch;
                // Targets that nobody gave are 0 from the start.
                if let Some(words) = words.get(first * width..(first + rows) * width) {
                    self.session.write(slice.buffer, slice.start, words)?;
                }
            }
            self.session.run(0, &[StepRecord::default()])?;
            for (result, &(slice, width)) in all.iter_mut().zip(&self.results) {
                let words = self.session.read(slice.buffer, slice.start, rows * width)?;
                result.extend(words.into_iter().map(f32::from_bits));
            }
        }
        Ok(all)
    }

    /// The results from `first` on as points: the parts for numeric features and embedded categories side by
    /// side.
    pub fn gradient(&self, results: &mut Vec<Vec<f32>>, first: usize) -> Vec<f32> {
        let parts: Vec<Vec<f32>> = results.drain(first..).collect();
        if let [only] = &parts[..] {
            return only.clone();
        }
        let count = parts.first().map_or(0, |part| part.len() / self.columns[0].1.max(1));
        let mut joined = Vec::with_capacity(count * self.width);
        for row in 0..count {
            for (part, (_, width, _)) in parts.iter().zip(&self.columns) {
                joined.extend_from_slice(&part[row * width..(row + 1) * width]);
            }
        }
        joined
    }
}
