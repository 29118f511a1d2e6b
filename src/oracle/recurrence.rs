//! One row of a batch through a recurrent layer, step by step: PyTorch's `nn.RNN`, `nn.LSTM` and `nn.GRU`.
//!
//! `G_t = W_ih x_t + b_ih` is given. With `R_t = W_hh h_(t-1)`, for a GRU `+ b_hh`:
//!
//! - RNN: `h_t = tanh(G + R)` or `relu(G + R)`;
//! - LSTM (Hochreiter and Schmidhuber 1997): `i, f, o = sigmoid(G + R)` and `g = tanh(G + R)`, each with its
//!   own rows, `c_t = f c_(t-1) + i g`, `h_t = o tanh(c_t)`;
//! - GRU (Cho et al. 2014, arXiv:1406.1078, the reset gate after the product): `r, z = sigmoid(G + R)`,
//!   `n = tanh(G_n + r R_n)`, `h_t = (1 - z) n + z h_(t-1)`, computed as `n + z (h_(t-1) - n)`.

use super::Real;
use crate::scalar::UnaryFn;

/// A layer with `W_hh` `[g H, H]`; the gates are in the order of the formulas, the LSTM's `i, f, g, o`.
#[derive(Clone, Copy, Debug)]
pub enum Layer<'a> {
    /// RNN with `tanh`.
    Tanh(&'a [f64]),
    /// RNN with `relu`.
    Relu(&'a [f64]),
    /// LSTM.
    Lstm(&'a [f64]),
    /// GRU with `b_hh` `[3 H]`.
    Gru(&'a [f64], &'a [f64]),
}

/// State of one row after a step.
#[derive(Clone, Debug)]
pub struct State<T> {
    /// `h`, `[H]`
    pub h: Vec<T>,
    /// `c` of an LSTM, `[H]`; else empty.
    pub c: Vec<T>,
}

impl<T: Real> State<T> {
    /// A state that is given.
    pub fn exact(h: &[f64], c: &[f64]) -> Self {
        let numbers = |x: &[f64]| x.iter().map(|&x| T::exact(x)).collect();
        Self { h: numbers(h), c: numbers(c) }
    }
}

/// What a step gives.
#[derive(Clone, Debug)]
pub struct Step<T> {
    /// The state after it.
    pub state: State<T>,
    /// What the gradient needs besides, `[4 H]`: an LSTM's `i, f, g, o`, a GRU's `r, z, n, R_n`; else empty.
    pub saved: Vec<T>,
}

impl Layer<'_> {
    /// All steps from the state `first`, for `G` `[g H]` of each.
    pub fn forward<'g, T: Real>(
        &self,
        gates: impl Iterator<Item = &'g [f64]>,
        first: State<T>,
    ) -> Vec<Step<T>> {
        let mut steps: Vec<Step<T>> = vec![];
        for gates in gates {
            let step = self.step(gates, steps.last().map_or(&first, |step| &step.state));
            steps.push(step);
        }
        steps
    }

    fn step<T: Real>(&self, gates: &[f64], before: &State<T>) -> Step<T> {
        let hidden = before.h.len();
        let mut step = Step { state: State { h: vec![], c: vec![] }, saved: vec![] };
        // Saved values, unit by unit.
        let mut saved = vec![];
        for j in 0..hidden {
            let given = |gate: usize| T::exact(gates[gate * hidden + j]);
            // The terms of `W_hh h_(t-1)`.
            let products = |w: &[f64], gate: usize| -> Vec<T> {
                let row = &w[(gate * hidden + j) * hidden..][..hidden];
                row.iter().zip(&before.h).map(|(&w, &h)| T::exact(w) * h).collect()
            };
            let with_products = |w: &[f64], gate: usize, others: &[T]| {
                T::sum(products(w, gate).into_iter().chain(others.iter().copied()))
            };
            let total = |w: &[f64], gate: usize| with_products(w, gate, &[given(gate)]);
            match self {
                Layer::Tanh(w) => step.state.h.push(total(w, 0).tanh()),
                Layer::Relu(w) => step.state.h.push(total(w, 0).unary(UnaryFn::Relu)),
                Layer::Lstm(w) => {
                    let (i, f) = (total(w, 0).sigmoid(), total(w, 1).sigmoid());
                    let (g, o) = (total(w, 2).tanh(), total(w, 3).sigmoid());
                    let c = f * before.c[j] + i * g;
                    step.state.h.push(o * c.tanh());
                    step.state.c.push(c);
                    saved.push([i, f, g, o]);
                }
                Layer::Gru(w, b) => {
                    let bias = |gate: usize| T::exact(b[gate * hidden + j]);
                    let r = with_products(w, 0, &[given(0), bias(0)]).sigmoid();
                    let z = with_products(w, 1, &[given(1), bias(1)]).sigmoid();
                    let product = with_products(w, 2, &[bias(2)]);
                    let n = (given(2) + r * product).tanh();
                    step.state.h.push(n + z * (before.h[j] - n));
                    saved.push([r, z, n, product]);
                }
            }
        }
        if !saved.is_empty() {
            step.saved = (0..4).flat_map(|k| saved.iter().map(move |unit| unit[k])).collect();
        }
        step
    }

    fn weights(&self) -> &[f64] {
        match self {
            Layer::Tanh(w) | Layer::Relu(w) | Layer::Lstm(w) | Layer::Gru(w, _) => w,
        }
    }
}

/// What backpropagation is given of a step.
#[derive(Clone, Copy, Debug)]
pub struct Given<'a> {
    /// Gradient of `h_t` from outside the layer, `[H]`; empty for none.
    pub dh: &'a [f64],
    /// Gradient of an LSTM's `c_t` from outside the layer, `[H]`; empty for none.
    pub dc: &'a [f64],
    /// [`Step::saved`]
    pub saved: &'a [f64],
    /// `h_t` of an RNN, `c_t` of an LSTM.
    pub after: &'a [f64],
    /// `c_(t-1)` of an LSTM, `h_(t-1)` of a GRU.
    pub before: &'a [f64],
}

/// What the later steps send back to a step.
#[derive(Clone, Debug)]
pub struct Later<T> {
    /// Gradient of `R` of the step after, `[g H]`, which reaches `h_t` through the product; none after the
    /// last step.
    pub products: Option<Vec<T>>,
    /// What reaches `h_t` otherwise, `[H]`.
    pub h: Vec<T>,
    /// What reaches `c_t` of an LSTM, `[H]`.
    pub c: Vec<T>,
}

impl<T: Real> Later<T> {
    /// After the last step.
    pub fn nothing(hidden: usize) -> Self {
        Self { products: None, h: vec![T::exact(0.0); hidden], c: vec![T::exact(0.0); hidden] }
    }
}

/// Gradients of a step.
#[derive(Clone, Debug)]
pub struct Gradient<T> {
    /// Of `G`, `[g H]`.
    pub gates: Vec<T>,
    /// Of `R`, `[g H]`: the same but for a GRU.
    pub products: Vec<T>,
}

/// Gradient of `x` from that of `sigmoid(x) = y`.
fn through_sigmoid<T: Real>(dy: T, y: T) -> T {
    dy * (y * (T::exact(1.0) - y))
}

/// Gradient of `x` from that of `tanh(x) = y`.
fn through_tanh<T: Real>(dy: T, y: T) -> T {
    dy * (T::exact(1.0) - y * y)
}

impl Layer<'_> {
    /// Gradients of the steps `given`, the last of them first, and what they send back to the step before.
    pub fn backward<'g, T: Real>(
        &self,
        given: impl Iterator<Item = Given<'g>>,
        mut later: Later<T>,
    ) -> (Vec<Gradient<T>>, Later<T>) {
        let mut gradients = vec![];
        for given in given {
            let (gradient, earlier) = self.step_back(&given, &later);
            gradients.push(gradient);
            later = earlier;
        }
        (gradients, later)
    }

    /// `dh_t`: what the later steps send back to it, and its gradient from outside.
    pub fn arriving<T: Real>(&self, later: &Later<T>, outside: &[f64]) -> Vec<T> {
        let (w, hidden) = (self.weights(), later.h.len());
        let arriving = |j: usize| {
            let products = later.products.iter().flatten().enumerate();
            let through_product = products.map(|(m, &dr)| dr * T::exact(w[m * hidden + j]));
            let outside = outside.get(j).map(|&dh| T::exact(dh));
            T::sum(through_product.chain([later.h[j]]).chain(outside))
        };
        (0..hidden).map(arriving).collect()
    }

    fn step_back<T: Real>(&self, given: &Given, later: &Later<T>) -> (Gradient<T>, Later<T>) {
        let hidden = later.h.len();
        let dh = self.arriving(later, given.dh);
        let mut earlier = Later::nothing(hidden);
        // Gradients of `G` and `R`, unit by unit.
        let mut units: Vec<(Vec<T>, Vec<T>)> = vec![];
        for j in 0..hidden {
            let of = |values: &[f64]| T::exact(values[j]);
            let saved = |k: usize| T::exact(given.saved[k * hidden + j]);
            let one = T::exact(1.0);
            units.push(match self {
                Layer::Tanh(_) => {
                    let d = through_tanh(dh[j], of(given.after));
                    (vec![d], vec![d])
                }
                Layer::Relu(_) => {
                    let d = if given.after[j] > 0.0 { dh[j] } else { T::exact(0.0) };
                    (vec![d], vec![d])
                }
                Layer::Lstm(_) => {
                    let [i, f, g, o] = [0, 1, 2, 3].map(saved);
                    let squashed = of(given.after).tanh();
                    let outside = given.dc.get(j).map(|&dc| T::exact(dc));
                    let through_h = through_tanh(dh[j] * o, squashed);
                    let dc = T::sum([later.c[j], through_h].into_iter().chain(outside));
                    earlier.c[j] = dc * f;
                    let d = vec![
                        through_sigmoid(dc * g, i),
                        through_sigmoid(dc * of(given.before), f),
                        through_tanh(dc * i, g),
                        through_sigmoid(dh[j] * squashed, o),
                    ];
                    (d.clone(), d)
                }
                Layer::Gru(..) => {
                    let [r, z, n, product] = [0, 1, 2, 3].map(saved);
                    let dn = through_tanh(dh[j] * (one - z), n);
                    let dz = through_sigmoid(dh[j] * (of(given.before) - n), z);
                    let dr = through_sigmoid(dn * product, r);
                    earlier.h[j] = dh[j] * z;
                    (vec![dr, dz, dn], vec![dr, dz, dn * r])
                }
            });
        }
        // From unit by unit to gate by gate.
        let by_gate = |units: Vec<Vec<T>>| -> Vec<T> {
            let gates = units.first().map_or(0, Vec::len);
            (0..gates).flat_map(|gate| units.iter().map(move |unit| unit[gate])).collect()
        };
        let (gates, products) = units.into_iter().unzip();
        let gradient = Gradient { gates: by_gate(gates), products: by_gate(products) };
        earlier.products = Some(gradient.products.clone());
        (gradient, earlier)
    }
}
