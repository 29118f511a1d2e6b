//! Recurrent layers that no kernel has, step by step: with other activations, peepholes, clipping, or the reset
//! gate of a GRU before its product.

use super::super::build::{Builder, Outcome};
use super::super::model::Node;
use super::gates::{Given, part};
use crate::graph::ValueId;
use crate::graph::expression::Expression;
use crate::graph::recurrence::Recurrent;

/// Most steps.
const MOST: usize = 256;

/// The activations, in small letters.
const ACTIVATIONS: [&str; 11] = [
    "tanh",
    "sigmoid",
    "relu",
    "softsign",
    "softplus",
    "affine",
    "leakyrelu",
    "thresholdedrelu",
    "elu",
    "scaledtanh",
    "hardsigmoid",
];

/// Whether there is an activation of this name.
pub fn is_activation(name: &str) -> bool {
    ACTIVATIONS.contains(&name.to_lowercase().as_str())
}

/// An activation with its coefficients.
#[derive(Clone)]
struct Activation {
    name: String,
    alpha: f64,
    beta: f64,
}

impl Activation {
    fn apply(&self, x: &Expression) -> Expression {
        let Self { alpha, beta, .. } = *self;
        match self.name.as_str() {
            "sigmoid" => x.sigmoid(),
            "relu" => x.relu(),
            "affine" => x * alpha + beta,
            "leakyrelu" => x.less(0.0).select(x * alpha, x),
            "thresholdedrelu" => x.less(alpha).select(0.0, x),
            "scaledtanh" => (x * beta).tanh() * alpha,
            "hardsigmoid" => (x * alpha + beta).maximum(0.0).minimum(1.0),
            "elu" => x.less(0.0).select(x.minimum(0.0).exp_m1() * alpha, x),
            "softsign" => x / (x.abs() + 1.0),
            "softplus" => x.softplus(),
            _ => x.tanh(),
        }
    }
}

/// The activations of a direction.
fn activations(node: &Node, direction: usize, directions: usize) -> Outcome<Vec<Activation>> {
    let usual: &[&str] = match node.op.as_str() {
        "LSTM" => &["Sigmoid", "Tanh", "Tanh"],
        "GRU" => &["Sigmoid", "Tanh"],
        _ => &["Tanh"],
    };
    let given = node.texts("activations");
    let all: Vec<String> = match given.is_empty() {
        true => usual.iter().cycle().take(usual.len() * directions).map(|name| (*name).to_string()).collect(),
        false => given,
    };
    let numbers = |name: &str| node.floats(name).unwrap_or_default();
    let (mut alphas, mut betas) =
        (numbers("activation_alpha").into_iter(), numbers("activation_beta").into_iter());
    let mut found = vec![];
    for name in all {
        let name = name.to_lowercase();
        // Those without a coefficient take none of the lists.
        let (alpha, beta) = match name.as_str() {
            "tanh" | "sigmoid" | "relu" | "softsign" | "softplus" => (None, None),
            "affine" => (Some(1.0), Some(0.0)),
            "leakyrelu" => (Some(0.01), None),
            "thresholdedrelu" | "elu" => (Some(1.0), None),
            "scaledtanh" => (Some(1.0), Some(1.0)),
            "hardsigmoid" => (Some(0.2), Some(0.5)),
            other => return Err(format!("the activation `{other:.40}` is not supported").into()),
        };
        let next = |default: Option<f64>, list: &mut std::vec::IntoIter<f32>| {
            default.map_or(0.0, |default| list.next().map_or(default, f64::from))
        };
        let (alpha, beta) = (next(alpha, &mut alphas), next(beta, &mut betas));
        found.push(Activation { name, alpha, beta });
    }
    Ok(found.into_iter().skip(direction * usual.len()).take(usual.len()).collect())
}

/// What a step reads besides its states.
struct Step {
    /// The input's part of each gate, `[B, H]`, and what is added to the state's.
    gates: Vec<ValueId>,
    /// The state's weights of each gate, `[H, H]`.
    r: Vec<ValueId>,
    /// The state's bias of each gate.
    rb: Vec<Option<ValueId>>,
    peephole: Vec<ValueId>,
}

/// All steps of one direction.
///
/// # Errors
/// If there are more than [`MOST`], or rows have lengths of their own.
pub fn run(
    b: &mut Builder,
    node: &Node,
    given: &Given,
    direction: usize,
    reverse: bool,
    directions: usize,
) -> Outcome<Recurrent> {
    let [steps, rows, hidden] = given.sizes;
    if steps > MOST || given.lengths.is_some() {
        return Err(format!(
            "with these activations, peepholes, clip, input_forget or linear_before_reset = 0 there can be at most \
             {MOST} steps, of all rows; there are {steps}"
        )
        .into());
    }
    let activations = activations(node, direction, directions)?;
    let clip = node.has("clip").then(|| node.float("clip", 0.0));
    let count = match node.op.as_str() {
        "LSTM" => 4,
        "GRU" => 3,
        _ => 1,
    };
    let (w, r) = (part(b, given.w, direction)?, part(b, given.r, direction)?);
    let x = b.net.graph.shape(given.x).clone();
    let flat = b.net.graph.reshape(given.x, &[steps * rows, x[2]])?;
    let mut projected = b.net.graph.matmul_with(flat, w, false, true)?;
    let mut rb = vec![None; count];
    if let Some(bias) = given.bias {
        let both = part(b, bias, direction)?;
        let of_input = b.net.graph.slice(both, &[0], &[count * hidden])?;
        projected = b.net.graph.add(projected, of_input)?;
        for (gate, bias) in rb.iter_mut().enumerate() {
            *bias = Some(b.net.graph.slice(both, &[(count + gate) * hidden], &[hidden])?);
        }
    }
    let mut weights = vec![];
    for gate in 0..count {
        weights.push(b.net.graph.slice(r, &[gate * hidden, 0], &[hidden, hidden])?);
    }
    let mut peephole = vec![];
    if let Some(all) = given.peephole {
        let all = part(b, all, direction)?;
        for at in 0..3 {
            peephole.push(b.net.graph.slice(all, &[at * hidden], &[hidden])?);
        }
    }
    let mut states = vec![];
    for first in given.first {
        states.push(match first {
            Some(state) => part(b, state, direction)?,
            None => b.net.graph.constant(&[rows, hidden], &vec![0.0; rows * hidden])?,
        });
    }
    let mut all = vec![ValueId(0); steps];
    let order: Vec<usize> = if reverse { (0..steps).rev().collect() } else { (0..steps).collect() };
    for t in order {
        let mut gates = vec![];
        for gate in 0..count {
            gates.push(b.net.graph.slice(projected, &[t * rows, gate * hidden], &[rows, hidden])?);
        }
        let step = Step { gates, r: weights.clone(), rb: rb.clone(), peephole: peephole.clone() };
        step.advance(b, node, &activations, clip, &mut states)?;
        all[t] = b.net.graph.reshape(states[0], &[1, rows, hidden])?;
    }
    let hidden = b.net.graph.concat(&all, 0)?;
    Ok(Recurrent { hidden, cells: None, last: states[0], last_cell: Some(states[1]) })
}

impl Step {
    /// A gate before its activation: the input's part, the state's, and its bias.
    fn gate(&self, b: &mut Builder, at: usize, h: ValueId) -> Outcome<ValueId> {
        let product = b.net.graph.matmul_with(h, self.r[at], false, true)?;
        let sum = b.net.graph.add(self.gates[at], product)?;
        Ok(match self.rb[at] {
            Some(bias) => b.net.graph.add(sum, bias)?,
            None => sum,
        })
    }

    fn peep(&self, b: &mut Builder, gate: ValueId, at: usize, c: ValueId) -> Outcome<ValueId> {
        match self.peephole.get(at) {
            Some(&weight) => {
                Ok(b.net.graph.formula([gate, weight, c], |[gate, weight, c]| gate + weight * c)?)
            }
            None => Ok(gate),
        }
    }

    fn advance(
        &self,
        b: &mut Builder,
        node: &Node,
        activations: &[Activation],
        clip: Option<f64>,
        states: &mut [ValueId],
    ) -> Outcome<()> {
        let h = states[0];
        let activate = |b: &mut Builder, at: usize, x: ValueId| -> Outcome<ValueId> {
            Ok(b.net.graph.formula([x], |[x]| {
                let x = clip.map_or(x.clone(), |clip| x.maximum(-clip).minimum(clip));
                activations[at].apply(&x)
            })?)
        };
        match node.op.as_str() {
            "LSTM" => {
                let c = states[1];
                let coupled = node.int("input_forget", 0) != 0;
                let i = self.gate(b, 0, h)?;
                let i = self.peep(b, i, 0, c)?;
                let i = activate(b, 0, i)?;
                let f = self.gate(b, 2, h)?;
                let f = self.peep(b, f, 2, c)?;
                let f = if coupled { b.net.graph.rsub_scalar(1.0, i)? } else { activate(b, 0, f)? };
                let new = self.gate(b, 3, h)?;
                let new = activate(b, 1, new)?;
                let next = b.net.graph.formula([f, c, i, new], |[f, c, i, new]| f * c + i * new)?;
                let o = self.gate(b, 1, h)?;
                let o = self.peep(b, o, 1, next)?;
                let o = activate(b, 0, o)?;
                let shown = b.net.graph.formula([next], |[c]| activations[2].apply(&c))?;
                states[0] = b.net.graph.mul(o, shown)?;
                states[1] = next;
            }
            "GRU" => {
                let z = self.gate(b, 0, h)?;
                let z = activate(b, 0, z)?;
                let r = self.gate(b, 1, h)?;
                let r = activate(b, 0, r)?;
                let new = if node.int("linear_before_reset", 0) != 0 {
                    let product = b.net.graph.matmul_with(h, self.r[2], false, true)?;
                    let product = match self.rb[2] {
                        Some(bias) => b.net.graph.add(product, bias)?,
                        None => product,
                    };
                    b.net.graph.formula([self.gates[2], r, product], |[x, r, product]| x + r * product)?
                } else {
                    let reset = b.net.graph.mul(r, h)?;
                    self.gate(b, 2, reset)?
                };
                let new = activate(b, 1, new)?;
                states[0] = b.net.graph.formula([z, new, h], |[z, new, h]| (1.0 - &z) * new + &z * h)?;
            }
            _ => {
                let sum = self.gate(b, 0, h)?;
                states[0] = activate(b, 0, sum)?;
            }
        }
        Ok(())
    }
}
