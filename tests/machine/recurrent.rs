//! Recurrent layers match PyTorch's figures (tests/pytorch/recurrent.py and recurrent_grid.py), with its
//! parameter names and shapes, on every backend. Long sequences are correct, a model of any depth has a fixed
//! number of kernels, and what does not fit is rejected.

mod plans;

use std::collections::BTreeMap;
use std::sync::Arc;

use gridlight::base::rng;
use gridlight::base::step::StepRecord;
use gridlight::base::tensor::{DType, Tensor, elements};
use gridlight::device::Device;
use gridlight::graph::lengths::{Lengths, tables};
use gridlight::graph::ops::{EvalContext, Op, SourceOp};
use gridlight::graph::recurrence::RecurrentWeights;
use gridlight::graph::{Graph, Source, ValueId, autodiff, reference};
use gridlight::kernels::recurrence;
use gridlight::nn::config::ModelConfig;
use gridlight::nn::inputs::{Inputs, SequenceShape};
use gridlight::nn::layers::Flatten;
use gridlight::nn::layers::recurrent::{Cell, Output, Recurrent};
use gridlight::nn::losses::Loss;
use gridlight::nn::{Model, Supervised};
use gridlight::verify::{Case, relative_error, run};
use libtest_mimic::Trial;
use serde::Deserialize;

use crate::everywhere;

/// The first elements of a tensor, the sum of all, and the sum of their magnitudes.
#[derive(Clone, Debug, Deserialize)]
struct Part {
    first: Vec<f64>,
    sum: f64,
    size: f64,
}

#[derive(Clone, Deserialize)]
struct Figures {
    cell: Cell,
    steps: usize,
    batch: usize,
    inputs: usize,
    hidden: usize,
    layers: usize,
    bidirectional: bool,
    output: Output,
    #[serde(default)]
    x: Vec<f64>,
    #[serde(default)]
    dy: Vec<f64>,
    #[serde(default)]
    parameters: BTreeMap<String, Vec<f64>>,
    /// Names of the parameters in order, if their values are derived from their position rather than stored.
    #[serde(default)]
    order: Vec<String>,
    y: Part,
    dx: Part,
    gradients: BTreeMap<String, Part>,
}

impl Figures {
    fn name(&self) -> String {
        let directions = if self.bidirectional { " both directions" } else { "" };
        let Self { cell, steps, batch, hidden, layers, .. } = self;
        format!("{cell:?} {steps}x{batch}x{hidden}, {layers} layers{directions}")
    }

    /// Fills in the values derived from their position.
    fn filled_in(mut self) -> Self {
        if self.order.is_empty() {
            return self;
        }
        let directions = if self.bidirectional { 2 } else { 1 };
        let steps = if self.output == Output::All { self.steps } else { 1 };
        self.x = wave(self.batch * self.steps * self.inputs, 0, 8);
        self.dy = wave(self.batch * steps * self.hidden * directions, 1, 8);
        for (salt, name) in (2..).zip(&self.order) {
            let rows = self.cell.kernel().gates() * self.hidden;
            let columns = match name {
                name if name.starts_with("bias") => 1,
                name if name.starts_with("weight_hh") => self.hidden,
                name if name.contains("_l0") => self.inputs,
                _ => self.hidden * directions,
            };
            self.parameters.insert(name.clone(), wave(rows * columns, salt, 14));
        }
        self
    }

    fn width(&self) -> usize {
        self.hidden * if self.bidirectional { 2 } else { 1 }
    }

    fn model(&self) -> Supervised {
        let width = self.steps * self.inputs;
        let sequence = Some(SequenceShape { length: self.steps, width: self.inputs });
        let inputs = Inputs { features: width, sequence, ..Inputs::default() };
        let all = self.output == Output::All;
        let outputs = self.width() * if all { self.steps } else { 1 };
        let mut model = Supervised::new(&ModelConfig::default(), inputs, outputs, Loss::Mse {});
        let stack = Recurrent {
            cell: self.cell,
            hidden: self.hidden,
            layers: self.layers,
            bidirectional: self.bidirectional,
            dropout: 0.0,
            output: self.output,
        };
        model.layers = vec![stack.into()];
        if all {
            model.layers.push(Flatten {}.into());
        }
        model
    }

    fn check(&self, device: &dyn Device) -> Result<(), String> {
        let Self { steps, batch, inputs, .. } = *self;
        let model = self.model().graph(batch, false).map_err(|e| e.to_string())?;
        let (mut graph, mut y) = (model.graph, model.predictions);
        if self.output == Output::All {
            // Flat rows are ordered by unit, PyTorch's by step.
            let units = graph.reshape(y, &[batch, self.width(), steps]).unwrap();
            y = graph.permute(units, &[0, 2, 1]).unwrap();
        }
        let mut bindings = BTreeMap::new();
        let x = source(&graph, &Source::Batch("x".into()));
        // A value of the case, not a column of a data set.
        let ty = graph.ty(x).clone();
        graph.nodes[x.index()].op = Op::Source(SourceOp { source: Source::Parameter("x".into()), ty });
        bindings.insert(x, scaled(&self.x, 8.0, &[batch, steps * inputs]));
        let (mut wrt, mut expected) = (vec![x], vec![&self.dx]);
        if model.parameters.len() != self.parameters.len() {
            return Err(format!(
                "{} parameters, PyTorch has {}",
                model.parameters.len(),
                self.parameters.len()
            ));
        }
        for parameter in &model.parameters {
            let name = parameter.name.strip_prefix("rnn.").unwrap_or(&parameter.name);
            let values = self.parameters.get(name).ok_or_else(|| format!("PyTorch has no {name}"))?;
            let value = source(&graph, &Source::Parameter(parameter.name.clone()));
            bindings.insert(value, scaled(values, 64.0, &parameter.shape));
            wrt.push(value);
            expected.push(&self.gradients[name]);
        }
        let dy = graph.source(Source::Parameter("dy".into()), &graph.shape(y).clone(), DType::F32).unwrap();
        bindings.insert(dy, scaled(&self.dy, 8.0, graph.shape(dy)));
        let mut outputs = vec![y];
        outputs.extend(autodiff::vjp(&mut graph, y, dy, &wrt).map_err(|e| e.to_string())?);
        let step = StepRecord::default();
        let case = Case { name: self.name(), graph, bindings, outputs, step, magnitude: 0.0 };
        let found = run(device, &case).map_err(|e| e.to_string())?;
        for (at, (found, expected)) in found.iter().zip(std::iter::once(&self.y).chain(expected)).enumerate()
        {
            let first = &found.data[..expected.first.len()];
            let sum: f64 = found.data.iter().sum();
            let of_sum = (sum - expected.sum).abs() / expected.size.max(1e-30);
            let error = relative_error(&expected.first, first, 0.0).max(of_sum);
            // Sums over all steps and rows largely cancel, so they lose accuracy as their number grows.
            let tolerance = if steps * batch > 10_000 { 3e-4 } else { 2e-5 };
            if error.is_nan() || error > tolerance {
                return Err(format!(
                    "output {at} is off by {error:e}: {expected:?}, found {first:?}, sum {sum}"
                ));
            }
        }
        Ok(())
    }
}

/// Pseudo-random integers from -most to most, as in recurrent_grid.py.
fn wave(count: usize, salt: i64, most: i64) -> Vec<f64> {
    let number = |i: i64| (i * 7919 + salt * 104_729 + i * i % 31) % (2 * most + 1) - most;
    (0..count as i64).map(|i| number(i) as f64).collect()
}

fn scaled(values: &[f64], scale: f64, shape: &[usize]) -> Tensor {
    Tensor::new(shape, values.iter().map(|x| x / scale).collect())
}

fn source(graph: &Graph, wanted: &Source) -> ValueId {
    let found = (0..graph.nodes.len()).find(|&at| match &graph.nodes[at].op {
        Op::Source(op) => op.source == *wanted,
        _ => false,
    });
    ValueId(found.expect("the graph has this source") as u32)
}

/// A layer, forward and backward, agrees with the reference.
fn agrees_with_the_reference(
    device: &dyn Device,
    cell: recurrence::Cell,
    [steps, batch, hidden]: [usize; 3],
) -> Result<(), String> {
    let width = cell.gates() * hidden;
    let mut g = Graph::new();
    let mut bindings = BTreeMap::new();
    let mut draw = |g: &mut Graph, shape: &[usize], scale: f64| {
        let stream = bindings.len() as u32;
        let value = g.source(Source::Parameter(format!("input {stream}")), shape, DType::F32).unwrap();
        let normal = |i: usize| scale * f64::from(rng::normal(rng::word([3, 1], stream, 0, i as u32)));
        bindings.insert(value, Tensor::new(shape, (0..elements(shape)).map(normal).collect()));
        value
    };
    let x = draw(&mut g, &[steps, batch, 1], 1.0);
    let weights = RecurrentWeights {
        w_ih: draw(&mut g, &[width, 1], 0.5),
        w_hh: draw(&mut g, &[width, hidden], 0.05),
        b_ih: Some(draw(&mut g, &[width], 0.1)),
        b_hh: Some(draw(&mut g, &[width], 0.1)),
    };
    let dy = draw(&mut g, &[batch, hidden], 1.0);
    let y = g.recurrent(cell, x, &weights, [None, None], false).unwrap().last;
    let mut outputs = vec![y];
    outputs.extend(autodiff::vjp(&mut g, y, dy, &[x, weights.w_ih, weights.w_hh]).unwrap());
    let exact = reference::evaluate(&g, &bindings, &EvalContext::default(), &outputs).unwrap();
    let step = StepRecord::default();
    let case = Case { name: "long".into(), graph: g, bindings, outputs, step, magnitude: 0.0 };
    let found = run(device, &case).map_err(|e| e.to_string())?;
    for (at, (exact, found)) in exact.iter().zip(&found).enumerate() {
        let error = relative_error(&exact.data, &found.data, 0.0);
        if error.is_nan() || error > 1e-4 {
            return Err(format!("output {at} is off by {error:e}"));
        }
    }
    Ok(())
}

/// Rows of different lengths, forward and backward, give the same results as each row separately in the
/// reference.
fn lengths(device: &dyn Device) -> Result<(), String> {
    use recurrence::Cell;
    for (cell, reverse) in [(Cell::Tanh, true), (Cell::Lstm, false), (Cell::Lstm, true), (Cell::Gru, true)] {
        rows_of_lengths(device, cell, reverse).map_err(|e| format!("{cell:?}, reverse {reverse}: {e}"))?;
    }
    Ok(())
}

fn rows_of_lengths(device: &dyn Device, cell: recurrence::Cell, reverse: bool) -> Result<(), String> {
    let (steps, lengths, inputs, hidden) = (6, [4usize, 6, 1], 2, 5);
    let (batch, width) = (lengths.len(), cell.gates() * hidden);
    let mut g = Graph::new();
    let mut bindings = BTreeMap::new();
    let mut draw = |g: &mut Graph, shape: &[usize]| {
        let stream = bindings.len() as u32;
        let value = g.source(Source::Parameter(format!("input {stream}")), shape, DType::F32).unwrap();
        let normal = |i: usize| 0.5 * f64::from(rng::normal(rng::word([3, 1], stream, 0, i as u32)));
        bindings.insert(value, Tensor::new(shape, (0..elements(shape)).map(normal).collect()));
        value
    };
    let x = draw(&mut g, &[steps, batch, inputs]);
    let weights = RecurrentWeights {
        w_ih: draw(&mut g, &[width, inputs]),
        w_hh: draw(&mut g, &[width, hidden]),
        b_ih: Some(draw(&mut g, &[width])),
        b_hh: Some(draw(&mut g, &[width])),
    };
    let (h, c) = (draw(&mut g, &[batch, hidden]), draw(&mut g, &[batch, hidden]));
    let dy = draw(&mut g, &[steps + 2, batch, hidden]);
    let lstm = cell == recurrence::Cell::Lstm;
    let (mask, turned) = tables(&lengths, steps);
    let source = |g: &mut Graph, name: &str, dtype| {
        g.source(Source::Parameter(name.into()), &[steps, batch], dtype).map_err(|e| e.to_string())
    };
    let rows =
        Lengths { mask: source(&mut g, "mask", DType::F32)?, turned: source(&mut g, "turned", DType::U32)? };
    let numbers = |values: Vec<f64>| Tensor::new(vec![steps, batch], values);
    bindings.insert(rows.mask, numbers(mask.into_iter().map(f64::from).collect()));
    bindings.insert(rows.turned, numbers(turned.into_iter().map(f64::from).collect()));
    // All states, the last one, and the last cell state (or the last state again), concatenated.
    let joined = |g: &mut Graph, hidden_states, last, last_cell: Option<ValueId>| {
        let step = |g: &mut Graph, v| g.reshape(v, &[1, g.shape(v)[0], hidden]);
        let parts = [hidden_states, step(g, last)?, step(g, last_cell.unwrap_or(last))?];
        g.concat(&parts, 0)
    };
    let mut build = || {
        let first = [Some(h), lstm.then_some(c)];
        let found = g.recurrent_of_lengths(cell, x, &weights, first, reverse, &rows)?;
        let together = joined(&mut g, found.hidden, found.last, found.last_cell)?;
        let mut apart = vec![];
        for (b, &length) in lengths.iter().enumerate() {
            let of_row = g.slice(x, &[0, b, 0], &[length, 1, inputs])?;
            let first = [g.slice(h, &[b, 0], &[1, hidden])?, g.slice(c, &[b, 0], &[1, hidden])?].map(Some);
            let first = if lstm { first } else { [first[0], None] };
            let found = g.recurrent(cell, of_row, &weights, first, reverse)?;
            let mut padded = vec![found.hidden];
            if length < steps {
                padded.push(g.constant(&[steps - length, 1, hidden], &vec![0.0; (steps - length) * hidden])?);
            }
            let whole = g.concat(&padded, 0)?;
            apart.push(joined(&mut g, whole, found.last, found.last_cell)?);
        }
        let apart = g.concat(&apart, 1)?;
        let wrt = [x, weights.w_ih, weights.w_hh, weights.b_ih.unwrap(), h];
        let mut both = vec![];
        for y in [together, apart] {
            both.push(y);
            both.extend(autodiff::vjp(&mut g, y, dy, &wrt)?);
        }
        Ok::<_, gridlight::graph::GraphError>(both)
    };
    let both = build().map_err(|e| e.to_string())?;
    let (together, apart) = both.split_at(both.len() / 2);
    let exact =
        reference::evaluate(&g, &bindings, &EvalContext::default(), apart).map_err(|e| e.to_string())?;
    let step = StepRecord::default();
    let outputs = together.to_vec();
    let case = Case { name: "lengths".into(), graph: g, bindings, outputs, step, magnitude: 0.0 };
    let found = run(device, &case).map_err(|e| e.to_string())?;
    for (at, (exact, found)) in exact.iter().zip(&found).enumerate() {
        let error = relative_error(&exact.data, &found.data, 0.0);
        if error.is_nan() || error > 2e-5 {
            return Err(format!("output {at} is off by {error:e}"));
        }
    }
    Ok(())
}

pub fn trials() -> Vec<Trial> {
    let [mut figures, grid] =
        [include_str!("../pytorch/recurrent.json"), include_str!("../pytorch/recurrent_grid.json")]
            .map(|text| serde_json::from_str::<Vec<Figures>>(text).expect("the file of figures is JSON"));
    let first_of_grid = figures.len();
    figures.extend(grid.into_iter().map(Figures::filled_in));
    let mut trials = vec![
        Trial::test("a_step_is_few_kernels_whatever_the_length", || {
            plans::few_kernels();
            Ok(())
        }),
        Trial::test("wide_layers_are_evaluated_by_fewer_rows", || {
            plans::wide_layers_fit();
            Ok(())
        }),
        Trial::test("what_does_not_fit_is_refused", || {
            plans::refused();
            Ok(())
        }),
    ];
    for (at, case) in figures.into_iter().enumerate() {
        let name = format!("{at:02}_{}", case.name());
        let mut all = everywhere::on_every_backend(&name, Arc::new(move |device| case.check(device)));
        if at >= first_of_grid {
            // These sizes concern the recurrent kernels, which are the same in both families.
            all.truncate(2);
        }
        trials.extend(all);
    }
    trials.extend(everywhere::on_every_backend("rows_of_different_lengths", Arc::new(lengths)));
    // More steps than one kernel takes; more units than a workgroup has invocations, than are taken through
    // all steps at once, and than the memory of a workgroup holds.
    for (name, cell, sizes) in [
        ("2000_steps", recurrence::Cell::Lstm, [2000, 2, 64]),
        ("516_units", recurrence::Cell::Lstm, [2, 5, 516]),
        ("1030_units", recurrence::Cell::Gru, [3, 3, 1030]),
        ("4100_units", recurrence::Cell::Tanh, [2, 2, 4100]),
    ] {
        let check = move |device: &dyn Device| agrees_with_the_reference(device, cell, sizes);
        trials.extend(everywhere::on_every_backend(name, Arc::new(check)));
    }
    trials
}
