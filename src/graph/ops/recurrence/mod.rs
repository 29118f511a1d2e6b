//! Recurrences over time and their gradients: operators that share two kernels.

mod reference;

use super::{EvalContext, Lowering, Op, OpDef, check_f32};
use crate::base::tensor::{Tensor, TensorType};
use crate::graph::recurrence::RecurrentWeights;
use crate::graph::samples::{Collection, Draw};
use crate::graph::{Graph, GraphError, ValueId};
use crate::kernels::Kernel;
use crate::kernels::recurrence::{self, Cell, Part, Scan, Seed};

/// A result of a recurrent layer over all steps, for `G` `[T, B, g H]`, `W_hh` `[g H, H]`, `h_0` `[B, H]`,
/// then for an LSTM `c_0` `[B, H]`, for a GRU `b_hh` `[3 H]`; the formulas are at
/// [`crate::kernels::recurrence`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Recurrence {
    /// What a step computes.
    pub cell: Cell,
    /// Whether it goes from the last step to the first.
    pub reverse: bool,
    /// Which result.
    pub result: States,
}

/// A result of a recurrence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum States {
    /// `h` `[T, B, H]`
    Hidden,
    /// An LSTM's `c` `[T, B, H]`.
    Cell,
    /// What the gradient needs besides, `[T, B, 4 H]`; has no gradient itself.
    Saved,
}

/// A gradient of a recurrence. Operands: the gradient of the states `[T, B, H]`, `W_hh`, then for tanh and
/// relu `h`; for an LSTM the saved values, `c`, `c_0`; for a GRU the saved values, `h`, `h_0`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RecurrenceGrad {
    /// What a step computes.
    pub cell: Cell,
    /// Whether it goes from the last step to the first.
    pub reverse: bool,
    /// What the given gradient is of.
    pub seed: Seed,
    /// What the gradient is taken of.
    pub of: Of,
}

/// What a gradient is taken of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Of {
    /// `G` `[T, B, g H]`
    Gates,
    /// `W_hh h + b_hh` of a GRU, `[T, B, 3 H]`; for other cells it is that of `G`.
    Products,
    /// `h_0` `[B, H]`
    FirstHidden,
    /// `c_0` `[B, H]` of an LSTM.
    FirstCell,
}

/// Steps, rows and units of states `[T, B, H]` or gates `[T, B, factor H]`.
fn sizes(ty: &TensorType, factor: usize, what: &str) -> Result<[usize; 3], String> {
    match ty.shape[..] {
        [steps, batch, width] if width.is_multiple_of(factor) => Ok([steps, batch, width / factor]),
        _ => Err(format!("expected {what} of 3 axes (steps, rows, {factor} x hidden units)")),
    }
}

/// Checks that there are as many operands as shapes, and that they have them.
fn expect(inputs: &[&TensorType], shapes: &[(&str, Vec<usize>)]) -> Result<(), String> {
    if inputs.len() != shapes.len() {
        return Err(format!("expected {} operands, found {}", shapes.len(), inputs.len()));
    }
    check_f32(inputs)?;
    for (input, (name, shape)) in inputs.iter().zip(shapes) {
        if input.shape != *shape {
            return Err(format!("expected {name} of shape {shape:?}, found {:?}", input.shape));
        }
    }
    Ok(())
}

impl Recurrence {
    fn scan(&self, inputs: &[&TensorType]) -> Result<Scan, String> {
        let first = inputs.first().ok_or("expected gates")?;
        let (cell, reverse) = (self.cell, self.reverse);
        let [steps, batch, hidden] = sizes(first, cell.gates(), "gates")?;
        let scan = Scan { cell, steps, batch, hidden, reverse };
        let mut shapes = vec![
            ("gates", first.shape.clone()),
            ("weights", vec![scan.width(), hidden]),
            ("first states", vec![batch, hidden]),
        ];
        match cell {
            Cell::Tanh | Cell::Relu => {}
            Cell::Lstm => shapes.push(("first cells", vec![batch, hidden])),
            Cell::Gru => shapes.push(("biases", vec![scan.width()])),
        }
        expect(inputs, &shapes)?;
        Ok(scan)
    }

    /// The kernel that gives every result, and the number of this one.
    fn kernel(&self, scan: Scan) -> (recurrence::Recurrence, usize) {
        let saved = (scan.cell.saved() > 0).then_some(2);
        let outputs = [Some(0), (scan.cell == Cell::Lstm).then_some(1), saved];
        (recurrence::Recurrence { scan, part: Part::whole(scan.steps), outputs }, self.result as usize)
    }
}

impl RecurrenceGrad {
    fn scan(&self, inputs: &[&TensorType]) -> Result<Scan, String> {
        let first = inputs.first().ok_or("expected gradients of states")?;
        let (cell, reverse) = (self.cell, self.reverse);
        let [steps, batch, hidden] = sizes(first, 1, "gradients of states")?;
        let scan = Scan { cell, steps, batch, hidden, reverse };
        let states = first.shape.clone();
        let mut shapes = vec![("gradients", states.clone()), ("weights", vec![scan.width(), hidden])];
        if cell.saved() > 0 {
            shapes.push(("saved values", vec![steps, batch, cell.saved() * hidden]));
        }
        shapes.push(("states", states));
        if cell.saved() > 0 {
            shapes.push(("first states", vec![batch, hidden]));
        }
        expect(inputs, &shapes)?;
        Ok(scan)
    }

    /// The kernel that gives every gradient, and the number of this one.
    fn kernel(&self, scan: Scan) -> (recurrence::RecurrenceGrad, usize) {
        let (gru, lstm) = (scan.cell == Cell::Gru, scan.cell == Cell::Lstm);
        let outputs = [Some(0), gru.then_some(1), Some(2), lstm.then_some(3)];
        let part = Part::whole(scan.steps);
        let kernel = recurrence::RecurrenceGrad { scan, part, closes: true, seed: self.seed, outputs };
        (kernel, self.of as usize)
    }
}

impl OpDef for Recurrence {
    fn name(&self) -> &'static str {
        match self.result {
            States::Hidden => "recurrence",
            States::Cell => "recurrence_cell",
            States::Saved => "recurrence_saved",
        }
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        let scan = self.scan(inputs)?;
        let width = match self.result {
            States::Hidden => scan.hidden,
            States::Cell if scan.cell == Cell::Lstm => scan.hidden,
            States::Saved if scan.cell.saved() > 0 => scan.cell.saved() * scan.hidden,
            other => return Err(format!("a {} cell has no {other:?}", scan.cell.name())),
        };
        Ok(TensorType::f32([scan.steps, scan.batch, width]))
    }

    fn vjp(
        &self,
        g: &mut Graph,
        x: &[ValueId],
        y: ValueId,
        dy: ValueId,
    ) -> Result<Vec<Option<ValueId>>, GraphError> {
        let (cell, reverse) = (self.cell, self.reverse);
        let seed = match self.result {
            States::Hidden => Seed::Hidden,
            States::Cell => Seed::Cell,
            States::Saved => return Ok(vec![None; x.len()]),
        };
        let mut state = |result: States| match result == self.result {
            true => Ok(y),
            false => g.push(Op::Recurrence(Recurrence { cell, reverse, result }), x),
        };
        let hidden = state(States::Hidden)?;
        let operands = match cell {
            Cell::Tanh | Cell::Relu => vec![dy, x[1], hidden],
            Cell::Lstm => vec![dy, x[1], state(States::Saved)?, state(States::Cell)?, x[3]],
            Cell::Gru => vec![dy, x[1], state(States::Saved)?, hidden, x[2]],
        };
        let mut gradient =
            |of: Of| g.push(Op::RecurrenceGrad(RecurrenceGrad { cell, reverse, seed, of }), &operands);
        let gates = gradient(Of::Gates)?;
        let products = if cell == Cell::Gru { gradient(Of::Products)? } else { gates };
        let first_hidden = gradient(Of::FirstHidden)?;
        let last = match cell {
            Cell::Tanh | Cell::Relu => None,
            Cell::Lstm => Some(gradient(Of::FirstCell)?),
            Cell::Gru => Some(g.sum(products, &[0, 1], false)?),
        };
        let weights = weight_gradient(g, products, hidden, x[2], reverse)?;
        let mut gradients = vec![Some(gates), Some(weights), Some(first_hidden)];
        gradients.extend(last.map(Some));
        Ok(gradients)
    }

    fn eval(&self, inputs: &[&Tensor], ty: &TensorType, _context: &EvalContext) -> Tensor {
        reference::states(self, inputs, ty)
    }

    fn lower(&self, inputs: &[&TensorType], _ty: &TensorType) -> Lowering {
        match self.scan(inputs) {
            Ok(scan) => {
                let (kernel, output) = self.kernel(scan);
                Lowering::Kernel { kernel: Kernel::new(kernel), output }
            }
            // `infer` has refused it.
            Err(_) => Lowering::Leaf,
        }
    }

    fn samples(all: &mut Collection) -> Result<(), GraphError> {
        let sizes = [([1, 1, 1], 1), ([2, 3, 2], 3), ([5, 2, 3], 4), ([3, 5, 1], 17)];
        for cell in [Cell::Tanh, Cell::Relu, Cell::Lstm, Cell::Gru] {
            for (number, (x, hidden)) in sizes.into_iter().enumerate() {
                for reverse in [false, true] {
                    let states = number % 2 == 1;
                    all.add(format!("{cell:?} of {x:?}, {hidden} units, reverse {reverse}"), |g| {
                        let [_, batch, inputs] = x;
                        let width = cell.gates() * hidden;
                        let small = Draw::Between(-0.6, 0.6);
                        // Few units of relu near its kink.
                        let biases = if cell == Cell::Relu { Draw::Between(-4.0, 4.0) } else { small };
                        let x = g.normal(&x)?;
                        let weights = RecurrentWeights {
                            w_ih: g.draw(&[width, inputs], small)?,
                            w_hh: g.draw(&[width, hidden], small)?,
                            b_ih: Some(g.draw(&[width], biases)?),
                            b_hh: if number == 0 { None } else { Some(g.draw(&[width], small)?) },
                        };
                        let first = if states {
                            let h = g.draw(&[batch, hidden], small)?;
                            let c = if cell == Cell::Lstm {
                                Some(g.draw(&[batch, hidden], small)?)
                            } else {
                                None
                            };
                            [Some(h), c]
                        } else {
                            [None, None]
                        };
                        let found = g.graph.recurrent(cell, x, &weights, first, reverse)?;
                        // What becomes of the last cell flows back too.
                        match found.last_cell {
                            Some(c) if number > 1 => g.graph.add(found.hidden, c),
                            _ => Ok(found.hidden),
                        }
                    })?;
                }
            }
        }
        Ok(())
    }
}

/// `sum_t dR_t^T h_(t-1)`, `[g H, H]`: one product over the steps that follow another, and one for the first.
fn weight_gradient(
    g: &mut Graph,
    products: ValueId,
    hidden: ValueId,
    first: ValueId,
    reverse: bool,
) -> Result<ValueId, GraphError> {
    let (steps, batch) = (g.shape(products)[0], g.shape(products)[1]);
    let (width, units) = (g.shape(products)[2], g.shape(hidden)[2]);
    let mut total = None;
    if steps > 1 {
        let starts = if reverse { [0, 1] } else { [1, 0] };
        let deltas = g.slice(products, &[starts[0], 0, 0], &[steps - 1, batch, width])?;
        let deltas = g.reshape(deltas, &[(steps - 1) * batch, width])?;
        let states = g.slice(hidden, &[starts[1], 0, 0], &[steps - 1, batch, units])?;
        let states = g.reshape(states, &[(steps - 1) * batch, units])?;
        total = Some(g.matmul_with(deltas, states, true, false)?);
    }
    if let (Some(total), true) = (total, is_zero(g, first)) {
        return Ok(total);
    }
    let at = if reverse { steps - 1 } else { 0 };
    let delta = g.slice(products, &[at, 0, 0], &[1, batch, width])?;
    let delta = g.reshape(delta, &[batch, width])?;
    let of_first = g.matmul_with(delta, first, true, false)?;
    match total {
        Some(total) => g.add(total, of_first),
        None => Ok(of_first),
    }
}

/// Whether `x` is a constant of zeros.
fn is_zero(g: &Graph, x: ValueId) -> bool {
    matches!(g.nodes.get(x.index()).map(|node| &node.op), Some(Op::Constant(c)) if c.data.iter().all(|&bits| bits == 0))
}

impl OpDef for RecurrenceGrad {
    fn name(&self) -> &'static str {
        match self.of {
            Of::Gates => "recurrence_grad",
            Of::Products => "recurrence_grad_products",
            Of::FirstHidden => "recurrence_grad_hidden",
            Of::FirstCell => "recurrence_grad_cell",
        }
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        let scan = self.scan(inputs)?;
        let state = [scan.batch, scan.hidden];
        match self.of {
            Of::Gates => Ok(TensorType::f32([scan.steps, scan.batch, scan.width()])),
            Of::Products if scan.cell == Cell::Gru => {
                Ok(TensorType::f32([scan.steps, scan.batch, scan.width()]))
            }
            Of::FirstHidden => Ok(TensorType::f32(state)),
            Of::FirstCell if scan.cell == Cell::Lstm => Ok(TensorType::f32(state)),
            other => Err(format!("a {} cell has no gradient of {other:?}", scan.cell.name())),
        }
    }

    fn vjp(
        &self,
        g: &mut Graph,
        x: &[ValueId],
        _y: ValueId,
        _dy: ValueId,
    ) -> Result<Vec<Option<ValueId>>, GraphError> {
        let reason = "second derivatives of recurrent layers are not supported; use first derivatives, or \
                      write the steps out";
        Err(g.error(self.name(), x, reason.into()))
    }

    fn eval(&self, inputs: &[&Tensor], ty: &TensorType, _context: &EvalContext) -> Tensor {
        reference::gradient(self, inputs, ty)
    }

    fn lower(&self, inputs: &[&TensorType], _ty: &TensorType) -> Lowering {
        match self.scan(inputs) {
            Ok(scan) => {
                let (kernel, output) = self.kernel(scan);
                Lowering::Kernel { kernel: Kernel::new(kernel), output }
            }
            // `infer` has refused it.
            Err(_) => Lowering::Leaf,
        }
    }

    fn samples(all: &mut Collection) -> Result<(), GraphError> {
        use {Cell as C, Of as O};
        for (cell, seed, of) in [
            (C::Tanh, Seed::Hidden, O::Gates),
            (C::Relu, Seed::Hidden, O::FirstHidden),
            (C::Lstm, Seed::Hidden, O::Gates),
            (C::Lstm, Seed::Cell, O::FirstCell),
            (C::Gru, Seed::Hidden, O::Products),
            (C::Gru, Seed::Hidden, O::FirstHidden),
        ] {
            for reverse in [false, true] {
                all.add(format!("recurrence_grad {cell:?} {seed:?} of {of:?}, reverse {reverse}"), |g| {
                    let ([steps, batch, hidden], small) = ([3, 2, 5], Draw::Between(-0.6, 0.6));
                    let states = [steps, batch, hidden];
                    let mut operands =
                        vec![g.normal(&states)?, g.draw(&[cell.gates() * hidden, hidden], small)?];
                    if cell.saved() > 0 {
                        operands
                            .push(g.draw(&[steps, batch, cell.saved() * hidden], Draw::Between(0.1, 0.9))?);
                    }
                    operands.push(g.draw(&states, small)?);
                    if cell.saved() > 0 {
                        operands.push(g.draw(&[batch, hidden], small)?);
                    }
                    g.graph.push(Op::RecurrenceGrad(RecurrenceGrad { cell, reverse, seed, of }), &operands)
                })?;
            }
        }
        Ok(())
    }
}
