//! Functions of two elements, and choices between them.

use super::super::build::{Builder, Held, Outcome, Value};
use super::super::known::{Kind, Known};
use super::super::model::Node;
use crate::graph::build::common_shape;
use crate::graph::expression::Expression;
use crate::graph::{Graph, GraphError, ValueId};
use crate::scalar::{BinaryFn, UnaryFn};

/// Whether an operator is a function of two elements.
pub fn is(op: &str) -> bool {
    function(op).is_some()
}

/// A function of two elements.
struct Function {
    /// Of numbers that are known.
    exact: fn(f64, f64) -> f64,
    /// Of values of the graph.
    graph: fn(&mut Graph, ValueId, ValueId) -> Result<ValueId, GraphError>,
    /// What it takes.
    takes: Takes,
    /// What it gives, unless what it takes.
    gives: Option<Kind>,
}

#[derive(Clone, Copy, PartialEq)]
enum Takes {
    Numbers,
    Truths,
    Any,
}

fn truth(x: bool) -> f64 {
    f64::from(u8::from(x))
}

fn function(op: &str) -> Option<Function> {
    let number = |exact, graph| Function { exact, graph, takes: Takes::Numbers, gives: None };
    let compare = |exact, graph| Function { exact, graph, takes: Takes::Any, gives: Some(Kind::Bool) };
    let logic = |exact, graph| Function { exact, graph, takes: Takes::Truths, gives: None };
    Some(match op {
        "Add" => number(|a, b| a + b, |g, a, b| g.add(a, b)),
        "Sub" => number(|a, b| a - b, |g, a, b| g.sub(a, b)),
        "Mul" => number(|a, b| a * b, |g, a, b| g.mul(a, b)),
        "Div" => number(|a, b| a / b, |g, a, b| g.div(a, b)),
        "Equal" => compare(|a, b| truth(a == b), |g, a, b| g.equal(a, b)),
        "Less" => compare(|a, b| truth(a < b), |g, a, b| g.less(a, b)),
        "LessOrEqual" => compare(|a, b| truth(a <= b), |g, a, b| g.less_equal(a, b)),
        "Greater" => compare(|a, b| truth(a > b), |g, a, b| g.less(b, a)),
        "GreaterOrEqual" => compare(|a, b| truth(a >= b), |g, a, b| g.less_equal(b, a)),
        "And" => logic(|a, b| a * b, |g, a, b| g.mul(a, b)),
        "Or" => logic(f64::max, |g, a, b| g.maximum(a, b)),
        "Xor" => logic(
            |a, b| truth(a != b),
            |g, a, b| {
                let same = g.equal(a, b)?;
                g.rsub_scalar(1.0, same)
            },
        ),
        _ => return None,
    })
}

/// A function of two elements, broadcast.
///
/// # Errors
/// If an operand is of a kind that it does not take.
pub fn binary(b: &mut Builder, node: &Node) -> Outcome<Value> {
    let Function { exact, graph, takes, gives } =
        function(&node.op).ok_or("this operator is not supported")?;
    if node.opset < 7 && (node.int("broadcast", 0) != 0 || node.has("axis")) {
        return Err("it broadcasts in the way of operator sets before 7".into());
    }
    let (left, right) = (b.value(node, 0)?, b.value(node, 1)?);
    if let Some((left, right)) = both_known(b, &left, &right)? {
        let whole = left.kind == Kind::Int && node.op == "Div";
        if whole && right.data.contains(&0.0) {
            return Err("it divides by 0".into());
        }
        let kind = gives.unwrap_or(left.kind);
        let f = |a: f64, b: f64| if whole { exact(a, b).trunc() } else { exact(a, b) };
        return Ok(zipped(kind, &left, &right, f)?.into());
    }
    let ([left, right], last) = together(b, &left, &right)?;
    let kind = gives.unwrap_or(left.kind);
    for held in [&left, &right] {
        match takes {
            Takes::Numbers => Builder::want_floats(held)?,
            Takes::Truths if held.kind != Kind::Bool => {
                return Err("it computes with bits of integers".into());
            }
            _ => check_numbers(b, held)?,
        }
    }
    let id = graph(b.net.graph, left.id, right.id)?;
    Ok(Held { id, last, kind, ids: None }.into())
}

/// Refuses integers that lie as indices alone.
fn check_numbers(b: &Builder, held: &Held) -> Outcome<()> {
    match b.is_float(held.id) {
        true => Ok(()),
        false => Err("it compares indices that are not known before it runs".into()),
    }
}

/// Two operands, if both are known; a single number of the file counts as known.
fn both_known(b: &Builder, left: &Value, right: &Value) -> Outcome<Option<(Known, Known)>> {
    let known = |value: &Value| -> Outcome<Option<Known>> {
        match value {
            Value::Known(known) => Ok(Some((**known).clone())),
            Value::Stored(name) if b.weights(name).is_ok_and(|(_, data)| data.len() == 1) => {
                Ok(b.known_of(value)?.map(|known| (*known).clone()))
            }
            _ => Ok(None),
        }
    };
    // Of two tensors of the file, both may be parameters.
    if matches!((left, right), (Value::Stored(_), Value::Stored(_))) {
        return Ok(None);
    }
    Ok(known(left)?.zip(known(right)?))
}

/// A function of the elements of two known tensors, broadcast.
///
/// # Errors
/// If the shapes do not match, or the result is too large.
pub fn zipped(kind: Kind, a: &Known, b: &Known, f: impl Fn(f64, f64) -> f64) -> Result<Known, String> {
    let shape = common_shape(&[&a.shape, &b.shape])
        .ok_or_else(|| format!("the shapes {:?} and {:?} do not broadcast", a.shape, b.shape))?;
    // An extent of 0 broadcasts to itself.
    let shape: Vec<usize> = match a.data.is_empty() || b.data.is_empty() {
        true => shape.iter().map(|&extent| if extent == 1 { 0 } else { extent }).collect(),
        false => shape,
    };
    if shape.contains(&0) {
        return Ok(Known { kind, shape, data: vec![] });
    }
    let (a, b) = (a.broadcast(&shape)?, b.broadcast(&shape)?);
    let data = a.data.iter().zip(&b.data).map(|(&a, &b)| f(a, b)).collect();
    Ok(Known { kind, shape, data })
}

/// Two operands whose axes lie alike; and whether channels lie last.
///
/// # Errors
/// If one cannot be computed.
pub fn together(b: &mut Builder, left: &Value, right: &Value) -> Outcome<([Held; 2], bool)> {
    let held = [b.hold(left)?, b.hold(right)?];
    let rank = held.iter().map(|h| b.net.graph.shape(h.id).len()).max().unwrap_or(0);
    let (ids, last) = alike(b, &held, rank)?;
    let [left, right] = [0, 1].map(|at| Held { id: ids[at], last, ..held[at] });
    Ok(([left, right], last))
}

/// Values whose axes lie alike: channels last if those of one of `rank` axes do.
fn alike(b: &mut Builder, held: &[Held], rank: usize) -> Outcome<(Vec<ValueId>, bool)> {
    let is_last = |b: &Builder, h: &Held| h.last && b.net.graph.shape(h.id).len() == rank;
    let last = held.iter().any(|h| is_last(b, h));
    let mut ids = vec![];
    for h in held {
        if !last {
            ids.push(b.first(h)?);
        } else if is_last(b, h) {
            ids.push(h.id);
        } else {
            let shape = b.shape_of(h);
            if shape.is_empty() {
                ids.push(h.id);
                continue;
            }
            let id = b.first(h)?;
            let whole: Vec<usize> = std::iter::repeat_n(1, rank - shape.len()).chain(shape).collect();
            let id = b.net.graph.reshape(id, &whole)?;
            ids.push(b.channels_last(&Held { id, last: false, ..*h })?);
        }
    }
    Ok((ids, last))
}

/// A function of any number of operands.
///
/// # Errors
/// If an operand is no number.
pub fn several(b: &mut Builder, node: &Node) -> Outcome<Value> {
    let mut so_far = b.value(node, 0)?;
    for at in 1..node.inputs.len() {
        let next = b.value(node, at)?;
        if let Some((left, right)) = both_known(b, &so_far, &next)? {
            let f: fn(f64, f64) -> f64 = match node.op.as_str() {
                "Min" => f64::min,
                "Max" => f64::max,
                _ => |a, b| a + b,
            };
            so_far = zipped(left.kind, &left, &right, f)?.into();
            continue;
        }
        let ([left, right], last) = together(b, &so_far, &next)?;
        Builder::want_floats(&left)?;
        Builder::want_floats(&right)?;
        let f = match node.op.as_str() {
            "Min" => BinaryFn::Min,
            "Max" => BinaryFn::Max,
            _ => BinaryFn::Add,
        };
        let id = b.net.graph.binary(f, left.id, right.id)?;
        so_far = Held { id, last, kind: Kind::Float, ids: None }.into();
    }
    if node.op == "Mean" {
        let held = b.hold(&so_far)?;
        let id = b.net.graph.mul_scalar(held.id, 1.0 / node.inputs.len() as f64)?;
        return Ok(Held { id, ..held }.into());
    }
    Ok(so_far)
}

/// `x` where it is not below 0, else `slope x`, with a slope that is trained.
///
/// # Errors
/// If an operand is no number.
pub fn prelu(b: &mut Builder, node: &Node) -> Outcome<Value> {
    let x = b.value(node, 0)?;
    let slope = match b.value(node, 1)? {
        Value::Stored(name) => Held::new(b.weight(&name, true)?).into(),
        other => other,
    };
    let ([x, slope], last) = together(b, &x, &slope)?;
    Builder::want_floats(&x)?;
    let id = b.net.graph.formula([x.id, slope.id], |[x, slope]| x.less(0.0).select(&x * slope, &x))?;
    Ok(Held { id, last, kind: Kind::Float, ids: None }.into())
}

/// One of two elements, by a truth value.
///
/// # Errors
/// If an operand cannot be computed.
pub fn choose(b: &mut Builder, node: &Node) -> Outcome<Value> {
    let values = [b.value(node, 0)?, b.value(node, 1)?, b.value(node, 2)?];
    let known: Vec<_> =
        values.iter().filter_map(|v| if let Value::Known(k) = v { Some(k.clone()) } else { None }).collect();
    if let [condition, yes, no] = &known[..] {
        let yes = zipped(yes.kind, condition, yes, |c, y| if c != 0.0 { y } else { f64::NAN })?;
        let shape = common_shape(&[&yes.shape, &no.shape]).ok_or("its shapes do not broadcast")?;
        let (condition, yes, no) =
            (condition.broadcast(&shape)?, yes.broadcast(&shape)?, no.broadcast(&shape)?);
        let parts = condition.data.iter().zip(yes.data.iter().zip(&no.data));
        let data = parts.map(|(&c, (&y, &n))| if c != 0.0 { y } else { n }).collect();
        return Ok(Known { kind: no.kind, shape, data }.into());
    }
    let mut held = vec![];
    for value in &values {
        held.push(b.hold(value)?);
    }
    if held[1..].iter().any(|h| h.kind == Kind::Int) && !held[1..].iter().all(|h| b.is_float(h.id)) {
        return Err("it chooses between indices that are not known before it runs".into());
    }
    let rank = held.iter().map(|h| b.net.graph.shape(h.id).len()).max().unwrap_or(0);
    let (ids, last) = alike(b, &held, rank)?;
    let id = b.net.graph.select(ids[0], ids[1], ids[2])?;
    Ok(Held { id, last, kind: held[1].kind, ids: None }.into())
}

/// `x^y`.
///
/// # Errors
/// If an operand is no number.
pub fn power(b: &mut Builder, node: &Node) -> Outcome<Value> {
    let (x, y) = (b.value(node, 0)?, b.value(node, 1)?);
    if let Some((x, y)) = both_known(b, &x, &y)? {
        let whole = x.kind == Kind::Int;
        return Ok(zipped(x.kind, &x, &y, |x, y| if whole { x.powf(y).trunc() } else { x.powf(y) })?.into());
    }
    if let Some(exponent) = b.known_of(&y)?.and_then(|known| known.one())
        && let Value::Graph(held) = &x
        && b.extents(&y)?.len() <= b.shape_of(held).len()
    {
        Builder::want_floats(held)?;
        let id = b.net.graph.formula([held.id], |[x]| power_of(&x, exponent))?;
        return Ok(Held { id, ..*held }.into());
    }
    let ([x, y], last) = together(b, &x, &y)?;
    Builder::want_floats(&x)?;
    let id = b.net.graph.formula([x.id, y.id], |[x, y]| {
        let size = (x.abs().ln() * &y).exp();
        let even = |y: &Expression| y.equal((y * 0.5).unary(UnaryFn::Floor) * 2.0);
        let whole = y.equal(y.unary(UnaryFn::Floor));
        let below = whole.select(even(&y).select(&size, -&size), f64::NAN);
        let power = x.less(0.0).select(below, &size);
        y.equal(0.0).select(1.0, power)
    })?;
    Ok(Held { id, last, kind: Kind::Float, ids: None }.into())
}

/// `x` to a known power.
fn power_of(x: &Expression, exponent: f64) -> Expression {
    const MOST: f64 = 64.0;
    match exponent {
        2.0 => x.square(),
        0.5 => x.sqrt(),
        -0.5 => x.sqrt().recip(),
        e if e.fract() == 0.0 && e.abs() <= MOST && e != 0.0 => {
            let (mut left, mut square, mut product) = (e.abs() as u32, x.clone(), None);
            while left > 0 {
                if left & 1 == 1 {
                    product = Some(match product {
                        None => square.clone(),
                        Some(product) => &square * product,
                    });
                }
                left >>= 1;
                if left > 0 {
                    square = square.square();
                }
            }
            let product = product.unwrap_or_else(|| x.clone());
            if e < 0.0 { product.recip() } else { product }
        }
        0.0 => x.equal(x).select(1.0, 1.0),
        // Of a number below 0, NaN as that of the logarithm.
        e if e.fract() != 0.0 => (x.ln() * e).exp(),
        e => {
            let size = (x.abs().ln() * e).exp();
            let odd = (e * 0.5).fract() != 0.0;
            if odd { x.less(0.0).select(-&size, &size) } else { size }
        }
    }
}

/// The remainder of a division.
///
/// # Errors
/// If it is of integers that are not known.
pub fn remainder(b: &mut Builder, node: &Node) -> Outcome<Value> {
    let of_dividend = node.int("fmod", 0) != 0;
    let (x, y) = (b.value(node, 0)?, b.value(node, 1)?);
    if let Some((x, y)) = both_known(b, &x, &y)? {
        if y.data.contains(&0.0) {
            return Err("it divides by 0".into());
        }
        let f = |x: f64, y: f64| if of_dividend { x % y } else { x - y * (x / y).floor() };
        return Ok(zipped(x.kind, &x, &y, f)?.into());
    }
    let ([x, y], last) = together(b, &x, &y)?;
    Builder::want_floats(&x)?;
    if !of_dividend {
        return Err("it is the remainder of numbers with fmod = 0, which is for integers".into());
    }
    let id = b.net.graph.formula([x.id, y.id], |[x, y]| {
        let quotient = &x / &y;
        let (floor, ceiling) = (quotient.unary(UnaryFn::Floor), -(-&quotient).unary(UnaryFn::Floor));
        x - y * quotient.less(0.0).select(ceiling, floor)
    })?;
    Ok(Held { id, last, kind: Kind::Float, ids: None }.into())
}
