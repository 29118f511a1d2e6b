//! From a [`Body`] to a [`NativeBody`]: which values are scalars, which lie in operands, which share a slot.

use super::{Loader, NativeBody, NativeOp, Value};
use crate::scalar::{Body, Inst, Reg, View};

impl NativeBody {
    /// Prepares `body` over the iteration shape `shape`.
    pub fn new(body: &Body, shape: &[usize]) -> Self {
        Self::prepare(body, shape, None)
    }

    /// Prepares `body` to give register `result` through [`NativeBody::evaluate`].
    pub fn with_result(body: &Body, shape: &[usize], result: Reg) -> Self {
        Self::prepare(body, shape, Some(result as usize))
    }

    fn prepare(body: &Body, shape: &[usize], result: Option<usize>) -> Self {
        let mut builder = Builder::new(body, result);
        for (at, inst) in body.insts.iter().enumerate() {
            let value = builder.value(inst, shape);
            builder.values.push(value);
            builder.release(at);
        }
        // Stores run one after the other once all values are known: an old value of an output would be
        // overwritten before it is stored elsewhere.
        let stores = body.stores.iter().map(|&(register, output)| {
            let value = builder.values[register as usize];
            let value =
                if let Value::Previous(_) = value { builder.vector(NativeOp::Copy(value)) } else { value };
            (value, output)
        });
        let stores = stores.collect();
        let result = result.map(|register| builder.as_slice(builder.values[register]));
        Self {
            scalars: builder.scalars,
            ops: builder.ops,
            slots: builder.slots,
            stores,
            result,
            exact: false,
        }
    }
}

struct Builder {
    scalars: Vec<NativeOp>,
    ops: Vec<(usize, NativeOp)>,
    slots: usize,
    free: Vec<usize>,
    /// Value of each instruction so far.
    values: Vec<Value>,
    /// The last instruction that uses each one; `usize::MAX` if it is wanted at the end.
    last_use: Vec<usize>,
}

impl Builder {
    fn new(body: &Body, result: Option<usize>) -> Self {
        let mut last_use: Vec<usize> = (0..body.insts.len()).collect();
        for (at, inst) in body.insts.iter().enumerate() {
            for register in operands(inst) {
                last_use[register as usize] = at;
            }
        }
        for register in body.stores.iter().map(|s| s.0 as usize).chain(result) {
            last_use[register] = usize::MAX;
        }
        Self { scalars: vec![], ops: vec![], slots: 0, free: vec![], values: vec![], last_use }
    }

    fn value(&mut self, inst: &Inst, shape: &[usize]) -> Value {
        let of = |register: &Reg| self.values[*register as usize];
        let op = match inst {
            Inst::Load { operand, view } => match Loader::new(view, shape) {
                Loader::Contiguous { offset } => return Value::Operand { operand: *operand, offset },
                loader => NativeOp::Load { operand: *operand, loader },
            },
            Inst::Accumulator => return Value::Accumulator,
            Inst::Previous { output } => return Value::Previous(*output),
            Inst::Const(bits) => NativeOp::Const(f32::from_bits(*bits)),
            Inst::Step(scalar) => NativeOp::Step(*scalar),
            Inst::Random { kind, stream } => NativeOp::Random { kind: *kind, stream: *stream },
            Inst::Unary(f, a) => NativeOp::Unary(*f, of(a)),
            Inst::Binary(f, a, b) => NativeOp::Binary(*f, of(a), of(b)),
            Inst::Select(c, a, b) => NativeOp::Select(of(c), of(a), of(b)),
        };
        let scalar = |v: &Value| matches!(v, Value::Scalar(_));
        let is_scalar = match &op {
            NativeOp::Const(_) | NativeOp::Step(_) => true,
            NativeOp::Load { loader, .. } => matches!(loader, Loader::Uniform { .. }),
            NativeOp::Random { .. } => false,
            NativeOp::Copy(a) | NativeOp::Unary(_, a) => scalar(a),
            NativeOp::Binary(_, a, b) => scalar(a) && scalar(b),
            NativeOp::Select(c, a, b) => scalar(c) && scalar(a) && scalar(b),
        };
        if is_scalar {
            self.scalars.push(op);
            return Value::Scalar(self.scalars.len() - 1);
        }
        self.vector(op)
    }

    /// Computes `op` for each chunk, in a slot that none of its operands uses.
    fn vector(&mut self, op: NativeOp) -> Value {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots += 1;
            self.slots - 1
        });
        self.ops.push((slot, op));
        Value::Slot(slot)
    }

    /// The value with one element per index.
    fn as_slice(&mut self, value: Value) -> Value {
        if let Value::Scalar(_) = value { self.vector(NativeOp::Copy(value)) } else { value }
    }

    /// Frees the slots that nothing after instruction `at` uses.
    fn release(&mut self, at: usize) {
        for register in 0..=at {
            if self.last_use[register] == at
                && let Value::Slot(slot) = self.values[register]
            {
                self.free.push(slot);
            }
        }
    }
}

/// Registers an instruction uses.
fn operands(inst: &Inst) -> Vec<Reg> {
    match inst {
        Inst::Unary(_, a) => vec![*a],
        Inst::Binary(_, a, b) => vec![*a, *b],
        Inst::Select(c, a, b) => vec![*c, *a, *b],
        Inst::Load { .. }
        | Inst::Accumulator
        | Inst::Previous { .. }
        | Inst::Const(_)
        | Inst::Step(_)
        | Inst::Random { .. } => vec![],
    }
}

/// `view` over `shape` with dimensions joined where one stride covers both; guarded views stay as they are.
pub(super) fn merged(view: &View, shape: &[usize]) -> (View, Vec<usize>) {
    if !view.guards.is_empty() {
        return (view.clone(), shape.to_vec());
    }
    let mut extents: Vec<usize> = vec![];
    let mut strides: Vec<isize> = vec![];
    for (&extent, &stride) in shape.iter().zip(&view.strides) {
        if extent == 1 {
            continue;
        }
        match (extents.last_mut(), strides.last_mut()) {
            (Some(outer), Some(outer_stride)) if *outer_stride == stride * extent as isize => {
                *outer *= extent;
                *outer_stride = stride;
            }
            _ => {
                extents.push(extent);
                strides.push(stride);
            }
        }
    }
    (View { offset: view.offset, strides, guards: vec![] }, extents)
}
