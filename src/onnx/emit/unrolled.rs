//! Recurrent layers of training steps, and their gradients, step by step: ONNX's operators do not give what the
//! gradient needs of a step. The formulas are at [`crate::oracle::recurrence`].

use super::super::trace::{Dim, refusal};
use super::{Emitted, Emitter, Held};
use crate::base::order::Order;
use crate::graph::ValueId;
use crate::graph::ops::{Of, Recurrence, RecurrenceGrad, States};
use crate::kernels::recurrence::{Cell, Seed};
use crate::onnx::builder::Builder;

/// Axis of the gates in `[1, B, g H]`.
const UNITS: usize = 2;

/// Extents of a recurrence.
#[derive(Clone, Copy)]
struct Sizes {
    cell: Cell,
    steps: usize,
    rows: usize,
    hidden: usize,
}

impl Sizes {
    /// Values of the steps, in the order of time, as `[T, B, factor H]`.
    fn stacked(self, b: &mut Builder, steps: &[String], factor: usize) -> Held {
        let dims = [self.steps, self.rows, factor * self.hidden];
        Held::new(b.concat(steps, 0), dims.map(Dim::fixed).to_vec())
    }

    /// A value `[1, B, H]` as `[B, H]`.
    fn single(self, b: &mut Builder, x: &str) -> Held {
        Held::new(b.squeeze(x, 0), [self.rows, self.hidden].map(Dim::fixed).to_vec())
    }

    fn times(self, reverse: bool) -> Vec<usize> {
        if reverse { (0..self.steps).rev().collect() } else { (0..self.steps).collect() }
    }

    /// The parts of units of gates or saved values `[1, B, count H]`.
    fn units(self, b: &mut Builder, x: &str, count: usize) -> Vec<String> {
        b.split(x, &vec![self.hidden; count], UNITS)
    }
}

/// The state after a step: `h`, `c` of an LSTM, and what the gradient needs besides.
struct Step {
    h: String,
    c: Option<String>,
    saved: Option<String>,
}

/// What the later steps send back to a step; see [`crate::oracle::recurrence::Later`].
#[derive(Default)]
struct Later {
    products: Option<String>,
    h: Option<String>,
    c: Option<String>,
}

/// What the gradient of a step is taken from.
struct Given {
    /// Gradient of the states from outside.
    seed: String,
    of_cells: bool,
    saved: Option<String>,
    /// `h` of an RNN, `c` of an LSTM.
    after: Option<String>,
    /// `c` of an LSTM or `h` of a GRU before the step.
    before: Option<String>,
}

impl Emitter<'_> {
    /// A result of a recurrent layer over all steps.
    pub(super) fn recurrence(&mut self, inputs: &[ValueId], op: &Recurrence) -> Emitted<Held> {
        let key = (inputs.to_vec(), op.reverse);
        if !self.shared.recurrences.contains_key(&key) {
            let results = self.all_steps(inputs, op)?;
            self.shared.recurrences.insert(key.clone(), results);
        }
        let at = match op.result {
            States::Hidden => 0,
            States::Cell => 1,
            States::Saved => 2,
        };
        let found = self.shared.recurrences.get(&key).map(|results| results[at].clone());
        found.ok_or_else(|| refusal(self.trace.graph(), inputs[0], "has no such state"))
    }

    fn all_steps(&mut self, inputs: &[ValueId], op: &Recurrence) -> Emitted<[Held; 3]> {
        let gates = self.numbers(inputs[0])?;
        let cell = op.cell;
        let sizes = Sizes { cell, steps: gates[0], rows: gates[1], hidden: gates[2] / cell.gates() };
        let [gates, w, first] = [self.whole(inputs[0])?, self.whole(inputs[1])?, self.whole(inputs[2])?];
        let last = inputs.get(3).map(|&input| self.whole(input)).transpose()?;
        let b = &mut *self.builder;
        let gates = b.split(&gates.name, &vec![1; sizes.steps], 0);
        let w = b.one("Transpose", &w.name);
        let mut before = b.unsqueeze(&first.name, 0);
        let (mut cells, bias) = match (cell, last) {
            (Cell::Lstm, Some(cells)) => (Some(b.unsqueeze(&cells.name, 0)), None),
            (_, bias) => (None, bias.map(|bias| bias.name)),
        };
        let mut found: Vec<(usize, Step)> = vec![];
        for t in sizes.times(op.reverse) {
            let mut products = b.two("MatMul", &before, &w);
            if let Some(bias) = &bias {
                products = b.two("Add", &products, bias);
            }
            let step = forward(b, sizes, &gates[t], &products, [Some(before), cells]);
            (before, cells) = (step.h.clone(), step.c.clone());
            found.push((t, step));
        }
        found.order_by_key(|(t, _)| *t);
        let stack = |b: &mut Builder, of: fn(&Step) -> Option<&String>, factor| {
            let steps: Vec<String> = found.iter().filter_map(|(_, step)| of(step).cloned()).collect();
            (!steps.is_empty()).then(|| sizes.stacked(b, &steps, factor))
        };
        let hidden = stack(b, |step| Some(&step.h), 1);
        let cells = stack(b, |step| step.c.as_ref(), 1);
        let saved = stack(b, |step| step.saved.as_ref(), 4);
        let hidden = hidden.ok_or_else(|| refusal(self.trace.graph(), inputs[0], "has no steps"))?;
        // Only what a cell has is asked for.
        Ok([hidden.clone(), cells.unwrap_or_else(|| hidden.clone()), saved.unwrap_or(hidden)])
    }

    /// A gradient of a recurrent layer.
    pub(super) fn recurrence_gradient(&mut self, inputs: &[ValueId], op: &RecurrenceGrad) -> Emitted<Held> {
        let key = (inputs.to_vec(), op.reverse, op.seed == Seed::Cell);
        if !self.shared.gradients.contains_key(&key) {
            let results = self.all_steps_back(inputs, op)?;
            self.shared.gradients.insert(key.clone(), results);
        }
        let at = match op.of {
            Of::Gates => 0,
            Of::Products => 1,
            Of::FirstHidden => 2,
            Of::FirstCell => 3,
        };
        let found = self.shared.gradients.get(&key).map(|results| results[at].clone());
        found.ok_or_else(|| refusal(self.trace.graph(), inputs[0], "has no such gradient"))
    }

    fn all_steps_back(&mut self, inputs: &[ValueId], op: &RecurrenceGrad) -> Emitted<[Held; 4]> {
        let states = self.numbers(inputs[0])?;
        let sizes = Sizes { cell: op.cell, steps: states[0], rows: states[1], hidden: states[2] };
        let mut names = vec![];
        for &input in inputs {
            names.push(self.whole(input)?.name);
        }
        let b = &mut *self.builder;
        let parts = |b: &mut Builder, x: &str| b.split(x, &vec![1; sizes.steps], 0);
        let (seeds, w) = (parts(b, &names[0]), names[1].clone());
        let third = parts(b, &names[2]);
        let gated = matches!(op.cell, Cell::Lstm | Cell::Gru);
        let states = if gated { parts(b, &names[3]) } else { vec![] };
        let first = if gated { Some(b.unsqueeze(&names[4], 0)) } else { None };
        let times = sizes.times(op.reverse);
        let mut later = Later::default();
        let mut found: Vec<(usize, [String; 2])> = vec![];
        for (at, &t) in times.iter().enumerate().rev() {
            let before = match at {
                0 => first.clone(),
                _ => states.get(times[at - 1]).cloned(),
            };
            let saved = gated.then(|| third[t].clone());
            let after = if gated { states.get(t).cloned() } else { Some(third[t].clone()) };
            let of_cells = op.seed == Seed::Cell;
            let given = Given { seed: seeds[t].clone(), of_cells, saved, after, before };
            let gradients;
            (gradients, later) = backward(b, sizes, &given, &w, &later);
            found.push((t, gradients));
        }
        found.order_by_key(|(t, _)| *t);
        let [gates, products] = [0, 1]
            .map(|at| -> Vec<String> { found.iter().map(|(_, gradients)| gradients[at].clone()).collect() });
        let arriving = later.arriving(b, &w, None);
        let factor = op.cell.gates();
        let cells = later.c.unwrap_or_else(|| zero(b));
        Ok([
            sizes.stacked(b, &gates, factor),
            sizes.stacked(b, &products, factor),
            sizes.single(b, &arriving),
            sizes.single(b, &cells),
        ])
    }
}

impl Later {
    /// The gradient of `h` of a step: what the later ones send back, and what comes from outside.
    fn arriving(&self, b: &mut Builder, w: &str, outside: Option<&str>) -> String {
        let through = self.products.as_ref().map(|products| b.two("MatMul", products, w));
        let all = [through.as_deref(), self.h.as_deref(), outside];
        let terms: Vec<&str> = all.into_iter().flatten().collect();
        sum(b, &terms)
    }
}

/// Zeros that broadcast to `[1, B, H]`.
fn zero(b: &mut Builder) -> String {
    b.numbers(&[1, 1, 1], &[0.0])
}

fn sum(b: &mut Builder, terms: &[&str]) -> String {
    let Some((first, rest)) = terms.split_first() else { return zero(b) };
    rest.iter().fold((*first).to_string(), |sum, term| b.two("Add", &sum, term))
}

/// `1 - x`
fn rest(b: &mut Builder, x: &str) -> String {
    let one = b.number(1.0);
    b.two("Sub", &one, x)
}

/// `dy (1 - y^2)`
fn through_tanh(b: &mut Builder, dy: &str, y: &str) -> String {
    let square = b.two("Mul", y, y);
    let slope = rest(b, &square);
    b.two("Mul", dy, &slope)
}

/// `dy y (1 - y)`
fn through_sigmoid(b: &mut Builder, dy: &str, y: &str) -> String {
    let other = rest(b, y);
    let slope = b.two("Mul", y, &other);
    b.two("Mul", dy, &slope)
}

/// One step, from its gates and the products of the state before it, both `[1, B, g H]`.
fn forward(
    b: &mut Builder,
    sizes: Sizes,
    gates: &str,
    products: &str,
    [before, cells]: [Option<String>; 2],
) -> Step {
    let zero = zero(b);
    let (before, cells) = (before.unwrap_or(zero.clone()), cells.unwrap_or(zero));
    match sizes.cell {
        Cell::Tanh | Cell::Relu => {
            let total = b.two("Add", gates, products);
            let h = b.one(if sizes.cell == Cell::Relu { "Relu" } else { "Tanh" }, &total);
            Step { h, c: None, saved: None }
        }
        Cell::Lstm => {
            let total = b.two("Add", gates, products);
            let parts = sizes.units(b, &total, 4);
            let functions = ["Sigmoid", "Sigmoid", "Tanh", "Sigmoid"];
            let saved: Vec<String> = parts.iter().zip(functions).map(|(x, f)| b.one(f, x)).collect();
            let (kept, new) = (b.two("Mul", &saved[1], &cells), b.two("Mul", &saved[0], &saved[2]));
            let c = b.two("Add", &kept, &new);
            let squashed = b.one("Tanh", &c);
            let h = b.two("Mul", &saved[3], &squashed);
            Step { h, c: Some(c), saved: Some(b.concat(&saved, UNITS)) }
        }
        Cell::Gru => {
            let (g, r) = (sizes.units(b, gates, 3), sizes.units(b, products, 3));
            let [reset, update] = [0, 1].map(|at| {
                let total = b.two("Add", &g[at], &r[at]);
                b.one("Sigmoid", &total)
            });
            let part = b.two("Mul", &reset, &r[2]);
            let total = b.two("Add", &g[2], &part);
            let new = b.one("Tanh", &total);
            let change = b.two("Sub", &before, &new);
            let kept = b.two("Mul", &update, &change);
            let h = b.two("Add", &new, &kept);
            let saved = b.concat(&[reset, update, new, r[2].clone()], UNITS);
            Step { h, c: None, saved: Some(saved) }
        }
    }
}

/// The gradients of a step's gates and products, `[1, B, g H]` each, and what it sends back.
fn backward(b: &mut Builder, sizes: Sizes, given: &Given, w: &str, later: &Later) -> ([String; 2], Later) {
    let outside = (!given.of_cells).then_some(given.seed.as_str());
    let dh = later.arriving(b, w, outside);
    let zero = zero(b);
    let [after, before] = [&given.after, &given.before].map(|x| x.clone().unwrap_or_else(|| zero.clone()));
    let saved = given.saved.as_ref().map(|saved| sizes.units(b, saved, 4)).unwrap_or_default();
    let (d, earlier) = match (sizes.cell, &saved[..]) {
        (Cell::Lstm, [i, f, g, o]) => {
            let squashed = b.one("Tanh", &after);
            let through_output = b.two("Mul", &dh, o);
            let through_h = through_tanh(b, &through_output, &squashed);
            let outside = given.of_cells.then_some(given.seed.as_str());
            let terms: Vec<&str> =
                [later.c.as_deref(), Some(&through_h), outside].into_iter().flatten().collect();
            let dc = sum(b, &terms);
            let [di, df, dg] = [g, &before, i].map(|factor| b.two("Mul", &dc, factor));
            let d_o = b.two("Mul", &dh, &squashed);
            let d = vec![
                through_sigmoid(b, &di, i),
                through_sigmoid(b, &df, f),
                through_tanh(b, &dg, g),
                through_sigmoid(b, &d_o, o),
            ];
            let d = b.concat(&d, UNITS);
            ([d.clone(), d], Later { c: Some(b.two("Mul", &dc, f)), ..Later::default() })
        }
        (Cell::Gru, [r, z, n, product]) => {
            let other = rest(b, z);
            let dn = b.two("Mul", &dh, &other);
            let dn = through_tanh(b, &dn, n);
            let change = b.two("Sub", &before, n);
            let dz = b.two("Mul", &dh, &change);
            let dz = through_sigmoid(b, &dz, z);
            let dr = b.two("Mul", &dn, product);
            let dr = through_sigmoid(b, &dr, r);
            let of_product = b.two("Mul", &dn, r);
            let gates = b.concat(&[dr.clone(), dz.clone(), dn], UNITS);
            let products = b.concat(&[dr, dz, of_product], UNITS);
            ([gates, products], Later { h: Some(b.two("Mul", &dh, z)), ..Later::default() })
        }
        (Cell::Relu, _) => {
            let positive = b.two("Greater", &after, &zero);
            let d = b.node("Where", &[&positive, &dh, &zero], vec![]);
            ([d.clone(), d], Later::default())
        }
        _ => {
            let d = through_tanh(b, &dh, &after);
            ([d.clone(), d], Later::default())
        }
    };
    let products = Some(d[1].clone());
    (d, Later { products, ..earlier })
}
