//! From a [`Body`] to a [`NativeBody`]: decides which values are scalars, which are read in place, and which
//! share a slot.

use super::loops::Sum;
use super::{Loader, NativeBody, NativeOp, Value};
use crate::base::tensor::elements;
use crate::scalar::{BinaryFn, Body, Inst, Reg, View};

impl NativeBody {
    /// Prepares `body` over the iteration shape `shape`.
    pub fn new(body: &Body, shape: &[usize]) -> Self {
        Self::prepare(body, shape, None)
    }

    /// Prepares `body` to return register `result` through [`NativeBody::evaluate`].
    pub fn with_result(body: &Body, shape: &[usize], result: Reg) -> Self {
        Self::prepare(body, shape, Some(result as usize))
    }

    fn prepare(body: &Body, shape: &[usize], result: Option<usize>) -> Self {
        let mut builder = Builder::new(body, result);
        for (at, inst) in body.insts.iter().enumerate() {
            let value = builder.postponed(body, at).unwrap_or_else(|| builder.value(inst, shape));
            builder.values.push(value);
            builder.release(at);
        }
        // Stores run one after the other once all values are known, so an output's previous value would be
        // overwritten before it is stored elsewhere.
        let stores = body.stores.iter().map(|&(register, output)| {
            let value = builder.values[register as usize];
            let value =
                if let Value::Previous(_) = value { builder.vector(NativeOp::Copy(value)) } else { value };
            (value, output)
        });
        let mut stores: Vec<_> = stores.collect();
        let last = if result.is_none() { builder.stored_last(&mut stores) } else { None };
        let result = result.map(|register| builder.as_slice(builder.values[register]));
        Self {
            scalars: builder.scalars,
            ops: builder.ops,
            slots: builder.slots,
            last,
            stores,
            result,
            exact: false,
        }
    }
}

struct Builder {
    scalars: Vec<(usize, NativeOp)>,
    ops: Vec<(usize, NativeOp)>,
    slots: usize,
    free: Vec<usize>,
    /// Value of each instruction so far.
    values: Vec<Value>,
    /// The last instruction that uses each value; `usize::MAX` if it is needed at the end.
    last_use: Vec<usize>,
    /// Number of uses of each value.
    uses: Vec<usize>,
    /// Products that become part of a sum.
    products: Vec<(Value, Value)>,
}

impl Builder {
    fn new(body: &Body, result: Option<usize>) -> Self {
        let mut last_use: Vec<usize> = (0..body.insts.len()).collect();
        let mut uses = vec![0; body.insts.len()];
        for (at, inst) in body.insts.iter().enumerate() {
            for register in operands(inst) {
                last_use[register as usize] = at;
                uses[register as usize] += 1;
            }
        }
        for register in body.stores.iter().map(|s| s.0 as usize).chain(result) {
            last_use[register] = usize::MAX;
        }
        let (scalars, ops, free, values, products) = (vec![], vec![], vec![], vec![], vec![]);
        Self { scalars, ops, slots: 0, free, values, last_use, uses, products }
    }

    /// Defers a product that only one sum or difference uses, so that it is computed there. Its operands are
    /// kept until then.
    fn postponed(&mut self, body: &Body, at: usize) -> Option<Value> {
        let Inst::Binary(BinaryFn::Mul, a, b) = body.insts[at] else { return None };
        let (a, b, sum) = (a as usize, b as usize, self.last_use[at]);
        let Inst::Binary(BinaryFn::Add | BinaryFn::Sub, left, right) = *body.insts.get(sum)? else {
            return None;
        };
        let other = if left as usize == at { right } else { left } as usize;
        let is_product = |value: &Value| matches!(value, Value::Product(_));
        let [x, y] = [a, b].map(|register| self.values[register]);
        let plain = [x, y].iter().all(|v| !is_product(v)) && !self.values.get(other).is_some_and(is_product);
        let scalar = [x, y].iter().all(|v| matches!(v, Value::Scalar(_)));
        if self.uses[at] != 1 || !plain || scalar {
            return None;
        }
        for register in [a, b] {
            self.last_use[register] = self.last_use[register].max(sum);
        }
        self.products.push((x, y));
        Some(Value::Product(self.products.len() - 1))
    }

    /// The sum or difference of a deferred product and another value.
    fn with_product(&self, f: BinaryFn, a: Value, b: Value) -> Option<NativeOp> {
        let (product, other, sum) = match (f, a, b) {
            (BinaryFn::Add, Value::Product(product), c) | (BinaryFn::Add, c, Value::Product(product)) => {
                (product, c, Sum::Plus)
            }
            (BinaryFn::Sub, Value::Product(product), c) => (product, c, Sum::Minus),
            (BinaryFn::Sub, c, Value::Product(product)) => (product, c, Sum::From),
            _ => return None,
        };
        let (x, y) = self.products[product];
        Some(NativeOp::MultiplyAdd(sum, x, y, other))
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
            Inst::Random { kind, stream } => {
                NativeOp::Random { kind: *kind, stream: *stream, count: elements(shape) }
            }
            Inst::Unary(f, a) => NativeOp::Unary(*f, of(a)),
            Inst::Binary(f, a, b) => {
                let plain = || NativeOp::Binary(*f, of(a), of(b));
                self.with_product(*f, of(a), of(b)).unwrap_or_else(plain)
            }
            Inst::Select(c, a, b) => NativeOp::Select(of(c), of(a), of(b)),
        };
        let scalar = |v: &Value| matches!(v, Value::Scalar(_));
        let is_scalar = match &op {
            NativeOp::Const(_) | NativeOp::Step(_) => true,
            NativeOp::Load { loader, .. } => matches!(loader, Loader::Uniform { .. }),
            NativeOp::Random { .. } | NativeOp::MultiplyAdd(..) => false,
            NativeOp::Copy(a) | NativeOp::Unary(_, a) => scalar(a),
            NativeOp::Binary(_, a, b) => scalar(a) && scalar(b),
            NativeOp::Select(c, a, b) => scalar(c) && scalar(a) && scalar(b),
        };
        if is_scalar {
            // No chunk has begun: any slot will do.
            if self.slots == 0 {
                self.slots = 1;
                self.free.push(0);
            }
            self.scalars.push((0, op));
            return Value::Scalar(self.scalars.len() - 1);
        }
        self.vector(op)
    }

    /// Computes `op` for each chunk, into a slot that none of its operands uses.
    fn vector(&mut self, op: NativeOp) -> Value {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots += 1;
            self.slots - 1
        });
        self.ops.push((slot, op));
        Value::Slot(slot)
    }

    /// Takes the store of the last operation's value out of `stores`, if that is its only use and the output's previous value
    /// is not among its operands; returns the output.
    fn stored_last(&self, stores: &mut Vec<(Value, usize)>) -> Option<usize> {
        let (slot, op) = self.ops.last()?;
        let is_last = |store: &(Value, usize)| store.0 == Value::Slot(*slot);
        let at = stores.iter().position(is_last)?;
        let output = stores[at].1;
        let reads = match op {
            NativeOp::Copy(a) | NativeOp::Unary(_, a) => vec![*a],
            NativeOp::Binary(_, a, b) => vec![*a, *b],
            NativeOp::MultiplyAdd(_, a, b, c) | NativeOp::Select(a, b, c) => vec![*a, *b, *c],
            NativeOp::Const(_) | NativeOp::Step(_) | NativeOp::Load { .. } | NativeOp::Random { .. } => {
                vec![]
            }
        };
        if reads.contains(&Value::Previous(output))
            || stores.iter().filter(|store| is_last(store)).count() > 1
        {
            return None;
        }
        stores.remove(at);
        Some(output)
    }

    /// The value as a slice with one element per index.
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

/// The registers an instruction uses.
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

/// Merges dimensions of `view` over `shape` that one stride covers; guarded views are returned unchanged.
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
