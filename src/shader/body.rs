//! Prints scalar bodies as WGSL: the only place that emits generated arithmetic.
//!
//! A body is printed for one element per invocation, or for four neighbouring elements of the last axis at
//! once ([`Width::Four`]). Every register is then a `vec4<f32>`, which takes a quarter of the loads and
//! stores.

use crate::base::rng::RandomKind;
use crate::base::step::StepScalar;
use crate::scalar::functions::Wgsl;
use crate::scalar::{BinaryFn, Body, Inst, UnaryFn, View};

/// Number of elements per invocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// One element; registers are `f32`.
    One,
    /// Four neighbours on the last axis, starting at a multiple of four; registers are `vec4<f32>`.
    Four,
}

impl Width {
    /// The number.
    pub fn elements(self) -> usize {
        match self {
            Width::One => 1,
            Width::Four => 4,
        }
    }

    /// WGSL type of a register.
    pub fn kind(self) -> &'static str {
        match self {
            Width::One => "f32",
            Width::Four => "vec4<f32>",
        }
    }

    fn splat(self, scalar: &str) -> String {
        match self {
            Width::One => scalar.into(),
            Width::Four => format!("vec4<f32>({scalar})"),
        }
    }

    /// `make` applied to the name suffix and offset of each element.
    fn each(self, make: impl Fn(&str, usize) -> String) -> String {
        match self {
            Width::One => make("", 0),
            Width::Four => {
                let parts: Vec<String> =
                    [".x", ".y", ".z", ".w"].iter().enumerate().map(|(at, part)| make(part, at)).collect();
                format!("vec4<f32>({})", parts.join(", "))
            }
        }
    }

    /// Calls a function that exists only for `f32` on registers.
    fn call(self, name: &str, arguments: &[&str]) -> String {
        self.each(|part, _| {
            let arguments: Vec<String> = arguments.iter().map(|a| format!("{a}{part}")).collect();
            format!("{name}({})", arguments.join(", "))
        })
    }
}

/// How a body accesses its operands.
pub struct Operands<'a> {
    /// Expression of each index of the iteration shape (`u32`), for the first element.
    pub index: &'a [String],
    /// Iteration shape.
    pub shape: &'a [usize],
    /// Expression of the linear index (`u32`) of the first element.
    pub linear: &'a str,
    /// Expression of the accumulator.
    pub accumulator: &'a str,
    /// Elements per invocation.
    pub width: Width,
    /// Whether every operation has the same bits on every device.
    pub exact: bool,
    /// Expression of element `at` of read operand `operand`, or of the four elements from `at` (a multiple of
    /// four).
    pub read: &'a dyn Fn(usize, &str, Width) -> String,
}

/// Whether four neighbours on the last axis of `shape` can be computed at once.
pub fn allows_four(body: &Body, shape: &[usize]) -> bool {
    let Some(last) = shape.len().checked_sub(1) else { return false };
    let whole = |&(d, first, end): &(usize, usize, usize)| d != last || (first % 4 == 0 && end % 4 == 0);
    shape[last].is_multiple_of(4)
        && body.insts.iter().all(|inst| match inst {
            Inst::Load { view, .. } => view.guards.iter().all(whole),
            _ => true,
        })
}

/// Whether every load of `operand` reads four neighbours starting at a multiple of four.
pub fn reads_fours(body: &Body, shape: &[usize], operand: usize) -> bool {
    body.insts.iter().all(|inst| match inst {
        Inst::Load { operand: o, view } if *o == operand => is_four(view, shape),
        _ => true,
    })
}

/// Whether `view` walks the last axis of `shape` in memory order, starting at multiples of four.
fn is_four(view: &View, shape: &[usize]) -> bool {
    let Some(last) = shape.len().checked_sub(1) else { return false };
    let aligned = |d: usize| shape[d] == 1 || view.strides[d] % 4 == 0;
    view.strides[last] == 1 && view.offset % 4 == 0 && (0..last).all(aligned)
}

/// The body as WGSL statements: registers `<prefix>0`, `<prefix>1`, ..., then its stores at the linear index.
pub fn print(body: &Body, operands: &Operands, prefix: &str) -> String {
    let mut text = statements(body, operands, prefix);
    for (register, output) in &body.stores {
        text += &format!("{} = {prefix}{register};\n", written(operands, *output));
    }
    text
}

/// The element of output `output` that the invocation computes.
fn written(operands: &Operands, output: usize) -> String {
    let linear = operands.linear;
    match operands.width {
        Width::One => format!("write_{output}[{linear}]"),
        Width::Four => format!("write_{output}[({linear}) / 4u]"),
    }
}

/// The body's registers without its stores.
pub fn statements(body: &Body, operands: &Operands, prefix: &str) -> String {
    let width = operands.width;
    let mut text = String::new();
    for (at, inst) in body.insts.iter().enumerate() {
        let r = |register: &u32| format!("{prefix}{register}");
        let value = match inst {
            Inst::Load { operand, view } => {
                text += &load(operands, *operand, view, &format!("{prefix}{at}"));
                continue;
            }
            Inst::Accumulator => operands.accumulator.to_string(),
            Inst::Previous { output } => written(operands, *output),
            Inst::Const(bits) => width.splat(&literal(*bits)),
            Inst::Step(StepScalar::LearningRate) => width.splat("step.learning_rate"),
            Inst::Step(StepScalar::Optimizer(i)) => width.splat(&format!("step.optimizer_{i}")),
            Inst::Step(StepScalar::LossWeight) => width.splat("step.loss_weight"),
            Inst::Random { kind, stream } => {
                let function = if width == Width::Four { "random_four" } else { "random_word" };
                let word = format!("{prefix}{at}_word");
                let count: usize = operands.shape.iter().product();
                let element = format!("step.micro_batch * {count}u + {}", operands.linear);
                text += &format!("let {word} = {function}({stream}u, {element});\n");
                random(*kind, &word, width)
            }
            Inst::Unary(f, a) => unary(*f, &r(a), width, operands.exact),
            Inst::Binary(f, a, b) => binary(*f, &r(a), &r(b), width, operands.exact),
            Inst::Select(c, a, b) => {
                format!("select({}, {}, {} != {})", r(b), r(a), r(c), width.splat("0.0"))
            }
        };
        text += &format!("let {prefix}{at} = {value};\n");
    }
    text
}

fn load(operands: &Operands, operand: usize, view: &View, name: &str) -> String {
    let width = operands.width;
    if view.is_contiguous(operands.shape) {
        return format!("let {name} = {};\n", (operands.read)(operand, operands.linear, width));
    }
    let mut terms = vec![];
    for (d, &stride) in view.strides.iter().enumerate() {
        let index = &operands.index[d];
        match stride {
            _ if operands.shape[d] == 1 && view.guards.is_empty() => {}
            0 => {}
            1 => terms.push(format!("i32({index})")),
            _ => terms.push(format!("i32({index}) * {stride}")),
        }
    }
    if view.offset != 0 || terms.is_empty() {
        terms.push(view.offset.to_string());
    }
    let first = terms.join(" + ");
    let step = view.strides.last().copied().unwrap_or(0);
    let element = match width {
        Width::Four if is_four(view, operands.shape) => {
            (operands.read)(operand, &format!("u32({first})"), Width::Four)
        }
        Width::Four if step != 0 => width.each(|_, offset| {
            let at = format!("u32({first} + {})", offset as isize * step);
            (operands.read)(operand, &at, Width::One)
        }),
        _ => width.splat(&(operands.read)(operand, &format!("u32({first})"), Width::One)),
    };
    if view.guards.is_empty() {
        return format!("let {name} = {element};\n");
    }
    let inside = view.guards.iter().map(|&(d, first, end)| {
        let index = &operands.index[d];
        format!("({index} >= {first}u) & ({index} < {end}u)")
    });
    let inside: Vec<String> = inside.collect();
    let zero = width.splat("0.0");
    format!("var {name} = {zero};\nif ({}) {{ {name} = {element}; }}\n", inside.join(" & "))
}

fn random(kind: RandomKind, word: &str, width: Width) -> String {
    match kind {
        RandomKind::Uniform => {
            let unit = literal((1.0f32 / 16_777_216.0).to_bits());
            width.each(|part, _| format!("mul_(f32({word}{part} >> 8u), {unit})"))
        }
        RandomKind::Normal => width.call("random_normal", &[word]),
        RandomKind::Mask { threshold } => {
            width.each(|part, _| format!("select(0.0, 1.0, {word}{part} < {threshold}u)"))
        }
    }
}

/// A float literal with exactly these bits. WGSL has no literals for NaN and infinity, so those come from
/// bits that the compiler cannot fold.
pub fn literal(bits: u32) -> String {
    let value = f32::from_bits(bits);
    if value.is_finite() {
        let text = format!("{value:?}");
        let float = text.contains(['.', 'e']);
        return if float { format!("{text}f") } else { format!("{text}.0f") };
    }
    format!("not_finite({bits}u)")
}

/// A function of one register.
fn unary(f: UnaryFn, x: &str, width: Width, exact: bool) -> String {
    match f.wgsl(exact) {
        Wgsl::Vector(formula) => formula.replace('$', x),
        Wgsl::Scalar(formula) => width.each(|part, _| formula.replace('$', &format!("{x}{part}"))),
    }
}

/// A function of two registers.
fn binary(f: BinaryFn, a: &str, b: &str, width: Width, exact: bool) -> String {
    let (no, yes) = (width.splat("0.0"), width.splat("1.0"));
    match f {
        BinaryFn::Add if exact => width.call("add_", &[a, b]),
        BinaryFn::Sub if exact => width.call("sub_", &[a, b]),
        BinaryFn::Mul if exact => width.call("mul_", &[a, b]),
        BinaryFn::Div if exact => width.call("div_", &[a, b]),
        BinaryFn::Add => format!("{a} + {b}"),
        BinaryFn::Sub => format!("{a} - {b}"),
        BinaryFn::Mul => format!("{a} * {b}"),
        BinaryFn::Div => format!("{a} / {b}"),
        BinaryFn::Min => width.call("min_", &[a, b]),
        BinaryFn::Max => width.call("max_", &[a, b]),
        BinaryFn::Less => format!("select({no}, {yes}, {a} < {b})"),
        BinaryFn::LessEqual => format!("select({no}, {yes}, {a} <= {b})"),
        BinaryFn::Equal => format!("select({no}, {yes}, {a} == {b})"),
    }
}
