//! The cell on the CPU: 16 units of a row at a time, loaded from and stored to memory.

use super::rules::{Arithmetic, Given, Rule};
use super::{Cell, Seed};

/// Units per iteration: one vector of AVX-512.
const LANES: usize = 16;

type Lanes = [f32; LANES];

/// Loads elements `at..at + 16` of a row; unless `WHOLE`, only those that exist.
#[inline(always)]
fn load<const WHOLE: bool>(row: &[f32], at: usize) -> Lanes {
    let mut lanes = [0.0; LANES];
    if WHOLE {
        lanes.copy_from_slice(&row[at..at + LANES]);
    } else {
        let rest = &row[at..];
        lanes[..rest.len()].copy_from_slice(rest);
    }
    lanes
}

/// Stores lanes the same way; does nothing for an empty row.
#[inline(always)]
fn store<const WHOLE: bool>(row: &mut [f32], at: usize, lanes: &Lanes) {
    if row.is_empty() {
        return;
    }
    if WHOLE {
        row[at..at + LANES].copy_from_slice(lanes);
    } else {
        let rest = &mut row[at..];
        rest.copy_from_slice(&lanes[..rest.len()]);
    }
}

/// Loads lanes of `count` gates of `hidden` units each, which are consecutive in a row.
#[inline(always)]
fn load_gates<const WHOLE: bool>(row: &[f32], count: usize, hidden: usize, at: usize) -> [Lanes; 4] {
    let mut gates = [[0.0; LANES]; 4];
    for (g, lanes) in gates.iter_mut().enumerate().take(count) {
        *lanes = load::<WHOLE>(&row[g * hidden..(g + 1) * hidden], at);
    }
    gates
}

/// The counterpart of [`load_gates`]; does nothing for an empty row.
#[inline(always)]
fn store_gates<const WHOLE: bool>(
    row: &mut [f32],
    count: usize,
    hidden: usize,
    at: usize,
    gates: &[Lanes; 4],
) {
    if row.is_empty() {
        return;
    }
    for (g, lanes) in gates.iter().enumerate().take(count) {
        store::<WHOLE>(&mut row[g * hidden..(g + 1) * hidden], at, lanes);
    }
}

/// One row of a step.
pub(super) struct Forward<'a> {
    /// `G`, `[g H]`.
    pub gates: &'a [f32],
    /// `W_hh h`, `[g H]`.
    pub product: &'a [f32],
    /// `b_hh` of a GRU.
    pub bias: &'a [f32],
    /// The state, replaced by the next one.
    pub h: &'a mut [f32],
    /// The cell state of an LSTM.
    pub c: &'a mut [f32],
    /// `h`, `c` and the saved values; empty where not requested.
    pub outputs: [&'a mut [f32]; 3],
}

impl Forward<'_> {
    /// Computes all units.
    #[inline(always)]
    pub fn step<R: Rule, A: Arithmetic>(&mut self) {
        let hidden = self.h.len();
        let whole = hidden - hidden % LANES;
        for at in (0..whole).step_by(LANES) {
            self.units::<R, A, true>(at);
        }
        if whole < hidden {
            self.units::<R, A, false>(whole);
        }
    }

    #[inline(always)]
    fn units<R: Rule, A: Arithmetic, const WHOLE: bool>(&mut self, at: usize) {
        let (cell, hidden) = (R::CELL, self.h.len());
        let given = load_gates::<WHOLE>(self.gates, cell.gates(), hidden, at);
        let mut sums = load_gates::<WHOLE>(self.product, cell.gates(), hidden, at);
        if cell == Cell::Gru {
            let bias = load_gates::<WHOLE>(self.bias, cell.gates(), hidden, at);
            for (sum, bias) in sums.iter_mut().flatten().zip(bias.as_flattened()) {
                *sum = A::add(*sum, *bias);
            }
        }
        let mut h = load::<WHOLE>(self.h, at);
        let mut c = if cell == Cell::Lstm { load::<WHOLE>(self.c, at) } else { [0.0; LANES] };
        let mut saved = [[0.0; LANES]; 4];
        for l in 0..LANES {
            let g = std::array::from_fn(|gate| given[gate][l]);
            let r = std::array::from_fn(|gate| sums[gate][l]);
            let stepped = R::step::<A>(g, r, h[l], c[l]);
            (h[l], c[l]) = (stepped.h, stepped.c);
            for (lanes, value) in saved.iter_mut().zip(stepped.saved).take(cell.saved()) {
                lanes[l] = value;
            }
        }
        let [h_out, c_out, saved_out] = &mut self.outputs;
        store::<WHOLE>(self.h, at, &h);
        store::<WHOLE>(h_out, at, &h);
        if cell == Cell::Lstm {
            store::<WHOLE>(self.c, at, &c);
            store::<WHOLE>(c_out, at, &c);
        }
        store_gates::<WHOLE>(saved_out, cell.saved(), hidden, at, &saved);
    }
}

/// One row of a backward step.
pub(super) struct Backward<'a> {
    /// The incoming gradient of this step's state, and which state it belongs to.
    pub seed: (&'a [f32], Seed),
    /// `h` of tanh, relu and GRU, `c` of an LSTM.
    pub states: &'a [f32],
    /// The same for the previous step, for an LSTM and a GRU.
    pub before: &'a [f32],
    /// See [`Cell::saved`].
    pub saved: &'a [f32],
    /// The gradients of this step's states; replaced by what reaches those of the previous step other than
    /// through the product.
    pub dh: &'a mut [f32],
    /// See `dh`.
    pub dc: &'a mut [f32],
    /// The gradient of `R`.
    pub products: &'a mut [f32],
    /// The gradient of `G`; empty if not requested.
    pub gates: &'a mut [f32],
}

impl Backward<'_> {
    /// Computes all units.
    #[inline(always)]
    pub fn step<R: Rule, A: Arithmetic>(&mut self) {
        let hidden = self.dh.len();
        let whole = hidden - hidden % LANES;
        for at in (0..whole).step_by(LANES) {
            self.units::<R, A, true>(at);
        }
        if whole < hidden {
            self.units::<R, A, false>(whole);
        }
    }

    #[inline(always)]
    fn units<R: Rule, A: Arithmetic, const WHOLE: bool>(&mut self, at: usize) {
        let (cell, hidden) = (R::CELL, self.dh.len());
        let (seed, of) = self.seed;
        let mut dh = load::<WHOLE>(self.dh, at);
        let mut dc = if cell == Cell::Lstm { load::<WHOLE>(self.dc, at) } else { [0.0; LANES] };
        let seeds = load::<WHOLE>(seed, at);
        let seeded = if cell == Cell::Lstm && of == Seed::Cell { &mut dc } else { &mut dh };
        for (d, seed) in seeded.iter_mut().zip(seeds) {
            *d = A::add(*d, seed);
        }
        let states = load::<WHOLE>(self.states, at);
        let has_before = matches!(cell, Cell::Lstm | Cell::Gru);
        let before = if has_before { load::<WHOLE>(self.before, at) } else { [0.0; LANES] };
        let saved = load_gates::<WHOLE>(self.saved, cell.saved(), hidden, at);
        let (mut gates, mut products) = ([[0.0; LANES]; 4], [[0.0; LANES]; 4]);
        for l in 0..LANES {
            let back = R::back::<A>(Given {
                dh: dh[l],
                dc: dc[l],
                h: states[l],
                c: states[l],
                before: before[l],
                saved: std::array::from_fn(|gate| saved[gate][l]),
            });
            (dh[l], dc[l]) = (back.h, back.c);
            for gate in 0..cell.gates() {
                gates[gate][l] = back.g[gate];
                products[gate][l] = back.r[gate];
            }
        }
        store::<WHOLE>(self.dh, at, &dh);
        if cell == Cell::Lstm {
            store::<WHOLE>(self.dc, at, &dc);
        }
        store_gates::<WHOLE>(self.gates, cell.gates(), hidden, at, &gates);
        store_gates::<WHOLE>(self.products, cell.gates(), hidden, at, &products);
    }
}
