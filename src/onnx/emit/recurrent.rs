//! Recurrent layers: `RNN`, `LSTM` and `GRU`, one node for each layer and direction. ONNX orders the gates
//! otherwise than PyTorch (i, o, f, c and z, r, h instead of i, f, g, o and r, z, n) and has an axis for the
//! directions, so these weights are not those of the state dict element by element; they have its names and
//! one more axis. `layout` remains 0: other runtimes refuse 1, or read it wrongly.

use super::super::builder::{int, text, texts};
use super::super::recognise::{Recurrent, States};
use super::super::trace::{Dim, refusal};
use super::{Constant, Emitted, Emitter, Held};
use crate::graph::ValueId;
use crate::kernels::recurrence::Cell;

impl Emitter<'_> {
    pub(super) fn recurrent(&mut self, value: ValueId, layer: &Recurrent) -> Emitted<Held> {
        let key = (layer.gates, layer.w_hh, layer.reverse);
        if !self.layers.contains_key(&key) {
            let results = self.layer(value, layer)?;
            self.layers.insert(key, results);
        }
        let at = match layer.result {
            States::All => 0,
            States::Last => 1,
            States::LastCell => 2,
        };
        let found = self.layers.get(&key).map(|results| results[at].clone());
        found.ok_or_else(|| refusal(self.trace.graph(), value, "has no such state"))
    }

    /// A layer; its states of all steps `[T, B, H]`, the last `[1, B, H]`, and the last cell.
    fn layer(&mut self, value: ValueId, layer: &Recurrent) -> Emitted<[Held; 3]> {
        let (op, gates, activations): (&str, &[usize], &[&str]) = match layer.cell {
            Cell::Tanh => ("RNN", &[0], &["Tanh"]),
            Cell::Relu => ("RNN", &[0], &["Relu"]),
            Cell::Lstm => ("LSTM", &[0, 3, 1, 2], &[]),
            Cell::Gru => ("GRU", &[1, 0, 2], &[]),
        };
        let hidden = self.weight(layer.w_hh)?.shape[1];
        let inputs = self.weight(layer.w_ih)?.shape[1];
        let count = gates.len();
        let mut names = vec![self.whole(layer.x)?.name];
        for (weights, width) in [(layer.w_ih, inputs), (layer.w_hh, hidden)] {
            let Constant { name, data, .. } = self.weight(weights)?;
            let (name, data) = (name.clone(), in_order(data, gates, hidden * width));
            names.push(self.builder.weights(&name, &[1, count * hidden, width], &data));
        }
        let mut biases = vec![];
        let mut bias_name = None;
        for bias in layer.biases {
            match bias {
                Some(bias) => {
                    let Constant { name, data, .. } = self.weight(bias)?;
                    bias_name
                        .get_or_insert_with(|| name.replace("bias_ih", "bias").replace("bias_hh", "bias"));
                    biases.extend(in_order(data, gates, hidden));
                }
                None => biases.extend(vec![0.0; count * hidden]),
            }
        }
        names.push(match bias_name {
            Some(name) => self.builder.weights(&name, &[1, 2 * count * hidden], &biases),
            None => String::new(),
        });
        // Sequences of all lengths are as long as the longest.
        names.push(String::new());
        for state in layer.first {
            names.push(match state {
                Some(state) => {
                    let state = self.whole(state)?;
                    self.builder.unsqueeze(&state.name, 0)
                }
                None => String::new(),
            });
        }
        while names.last().is_some_and(String::is_empty) {
            names.pop();
        }
        let mut attributes = vec![int("hidden_size", hidden as i64)];
        if layer.reverse {
            attributes.push(text("direction", "reverse"));
        }
        if !activations.is_empty() {
            attributes.push(texts("activations", activations.iter().copied()));
        }
        if layer.cell == Cell::Gru {
            // PyTorch's: the reset gate scales the product, with its bias, not the state.
            attributes.push(int("linear_before_reset", 1));
        }
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let results: &[&str] =
            if layer.cell == Cell::Lstm { &["states", "last", "last cell"] } else { &["states", "last"] };
        let found = self.builder.several(op, &names, attributes, results);
        let x = self.dims(layer.x)?;
        let (steps, rows, width) = (x[0], x[1], Dim::fixed(hidden));
        let all = Held::new(self.builder.squeeze(&found[0], 1), vec![steps, rows, width]);
        let last = |name: &String| Held::new(name.clone(), vec![Dim::fixed(1), rows, width]);
        // Only an LSTM is asked for its cell.
        let cell = last(found.get(2).unwrap_or(&found[1]));
        if layer.result == States::LastCell && layer.cell != Cell::Lstm {
            return Err(refusal(self.trace.graph(), value, "has no cell"));
        }
        Ok([all, last(&found[1]), cell])
    }
}

/// The gates of weights in another order, each of `size` elements.
fn in_order(data: &[f32], gates: &[usize], size: usize) -> Vec<f32> {
    gates.iter().flat_map(|gate| data[gate * size..(gate + 1) * size].iter().copied()).collect()
}
