//! Prints scalar bodies as WGSL: the only place that emits generated arithmetic.

use crate::scalar::{BinaryFn, Body, Inst, RandomKind, StepScalar, UnaryFn, View};

/// How a body finds what it reads.
pub struct Operands<'a> {
    /// Expression of each index of the iteration shape (`u32`).
    pub index: &'a [String],
    /// Iteration shape.
    pub shape: &'a [usize],
    /// Expression of the linear index (`u32`).
    pub linear: &'a str,
    /// Expression of the accumulator.
    pub accumulator: &'a str,
    /// Expression of element `index` of read operand `operand`.
    pub read: &'a dyn Fn(usize, &str) -> String,
}

/// The body as WGSL statements: registers `<prefix>0`, `<prefix>1`, ..., then its stores at the linear index.
pub fn print(body: &Body, operands: &Operands, prefix: &str) -> String {
    let mut text = statements(body, operands, prefix);
    for (register, output) in &body.stores {
        text += &format!("write_{output}[{}] = {prefix}{register};\n", operands.linear);
    }
    text
}

/// The body's registers without its stores.
pub fn statements(body: &Body, operands: &Operands, prefix: &str) -> String {
    let mut text = String::new();
    for (at, inst) in body.insts.iter().enumerate() {
        let r = |register: &u32| format!("{prefix}{register}");
        let value = match inst {
            Inst::Load { operand, view } => {
                text += &load(operands, *operand, view, &format!("{prefix}{at}"));
                continue;
            }
            Inst::Accumulator => operands.accumulator.to_string(),
            Inst::Previous { output } => format!("write_{output}[{}]", operands.linear),
            Inst::Const(bits) => literal(*bits),
            Inst::Step(StepScalar::LearningRate) => "step.learning_rate".into(),
            Inst::Step(StepScalar::Optimizer(i)) => format!("step.optimizer_{i}"),
            Inst::Random { kind, stream } => random(*kind, *stream, operands.linear),
            Inst::Unary(f, a) => unary(*f, &r(a)),
            Inst::Binary(f, a, b) => binary(*f, &r(a), &r(b)),
            Inst::Select(c, a, b) => format!("select({}, {}, {} != 0.0)", r(b), r(a), r(c)),
        };
        text += &format!("let {prefix}{at} = {value};\n");
    }
    text
}

fn load(operands: &Operands, operand: usize, view: &View, name: &str) -> String {
    if view.is_contiguous(operands.shape) {
        return format!("let {name} = {};\n", (operands.read)(operand, operands.linear));
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
    let element = (operands.read)(operand, &format!("u32({})", terms.join(" + ")));
    if view.guards.is_empty() {
        return format!("let {name} = {element};\n");
    }
    let inside = view.guards.iter().map(|&(d, first, end)| {
        let index = &operands.index[d];
        format!("{index} >= {first}u && {index} < {end}u")
    });
    let inside: Vec<String> = inside.collect();
    format!("var {name} = 0.0;\nif ({}) {{ {name} = {element}; }}\n", inside.join(" && "))
}

fn random(kind: RandomKind, stream: u32, element: &str) -> String {
    let word = format!("random_word({stream}u, {element})");
    match kind {
        RandomKind::Uniform => format!("f32({word} >> 8u) * {}", literal((1.0f32 / 16_777_216.0).to_bits())),
        RandomKind::Normal => format!("random_normal({word})"),
        RandomKind::Mask { threshold } => format!("select(0.0, 1.0, {word} < {threshold}u)"),
    }
}

/// A float literal with exactly these bits. WGSL has no literal for NaN or infinity, so those come from bits
/// that the compiler cannot fold.
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
pub fn unary(f: UnaryFn, x: &str) -> String {
    match f {
        UnaryFn::Neg => format!("-{x}"),
        UnaryFn::Abs => format!("abs({x})"),
        UnaryFn::Sign => format!("sign_({x})"),
        UnaryFn::Exp => format!("exp_({x})"),
        UnaryFn::ExpM1 => format!("expm1_({x})"),
        UnaryFn::Log => format!("log({x})"),
        UnaryFn::Log1p => format!("log1p_({x})"),
        UnaryFn::Sqrt => format!("sqrt({x})"),
        UnaryFn::Reciprocal => format!("1.0 / {x}"),
        UnaryFn::Square => format!("{x} * {x}"),
        UnaryFn::Tanh => format!("tanh_({x})"),
        UnaryFn::Sigmoid => format!("sigmoid_({x})"),
        UnaryFn::Relu => format!("relu_({x})"),
        UnaryFn::Gelu => format!("0.5 * {x} * (1.0 + erf_({x} * 0.70710678))"),
        UnaryFn::Silu => format!("{x} * sigmoid_({x})"),
        UnaryFn::Softplus => format!("softplus_({x})"),
        UnaryFn::Erf => format!("erf_({x})"),
    }
}

/// A function of two registers.
pub fn binary(f: BinaryFn, a: &str, b: &str) -> String {
    match f {
        BinaryFn::Add => format!("{a} + {b}"),
        BinaryFn::Sub => format!("{a} - {b}"),
        BinaryFn::Mul => format!("{a} * {b}"),
        BinaryFn::Div => format!("{a} / {b}"),
        BinaryFn::Min => format!("min_({a}, {b})"),
        BinaryFn::Max => format!("max_({a}, {b})"),
        BinaryFn::Less => format!("select(0.0, 1.0, {a} < {b})"),
        BinaryFn::LessEqual => format!("select(0.0, 1.0, {a} <= {b})"),
        BinaryFn::Equal => format!("select(0.0, 1.0, {a} == {b})"),
    }
}
