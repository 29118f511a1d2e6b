//! Functions of single elements.

use super::super::super::proto::element;
use super::super::build::{Builder, Held, Outcome, Value};
use super::super::known::{Kind, Known};
use super::super::model::Node;
use crate::graph::{Built, Graph, ValueId};
use crate::scalar::UnaryFn;

/// `lambda` and `alpha` of Selu (Klambauer et al. 2017, arXiv:1706.02515), as the specification has them.
const SELU: [f64; 2] = [1.050_700_98, 1.673_263_2];

/// Whether an operator is a function of one element.
pub fn is(op: &str) -> bool {
    const NAMES: &[&str] = &[
        "Abs",
        "Neg",
        "Exp",
        "Log",
        "Sqrt",
        "Reciprocal",
        "Sin",
        "Cos",
        "Tan",
        "Sinh",
        "Cosh",
        "Tanh",
        "Sigmoid",
        "Relu",
        "Erf",
        "Floor",
        "Ceil",
        "Round",
        "Sign",
        "Softplus",
        "Softsign",
        "Elu",
        "Selu",
        "Celu",
        "LeakyRelu",
        "ThresholdedRelu",
        "HardSigmoid",
        "HardSwish",
        "Gelu",
        "Mish",
        "Swish",
        "Shrink",
        "Not",
        "IsNaN",
        "IsInf",
    ];
    NAMES.contains(&op)
}

/// A function of one element.
///
/// # Errors
/// If its operand is of a kind that it does not have.
pub fn unary(b: &mut Builder, node: &Node) -> Outcome<Value> {
    let value = b.value(node, 0)?;
    if let (Value::Known(known), Some(f)) = (&value, exact(&node.op)) {
        let kind = match node.op.as_str() {
            "Not" | "IsNaN" => Kind::Bool,
            _ => known.kind,
        };
        return Ok(known.map(kind, f).into());
    }
    let held = b.hold(&value)?;
    if node.op == "Not" {
        let id = b.net.graph.rsub_scalar(1.0, held.id)?;
        return Ok(Held { id, ..held }.into());
    }
    Builder::want_floats(&held)?;
    let kind = if node.op.starts_with("Is") { Kind::Bool } else { Kind::Float };
    let id = of_graph(b.net.graph, node, held.id)?;
    Ok(Held { id, kind, ..held }.into())
}

/// The functions that shapes are computed with.
fn exact(op: &str) -> Option<fn(f64) -> f64> {
    Some(match op {
        "Abs" => f64::abs,
        "Neg" => |x| -x,
        "Exp" => f64::exp,
        "Log" => f64::ln,
        "Sqrt" => f64::sqrt,
        "Reciprocal" => |x| 1.0 / x,
        "Sin" => f64::sin,
        "Cos" => f64::cos,
        "Tan" => f64::tan,
        "Floor" => f64::floor,
        "Ceil" => f64::ceil,
        "Round" => f64::round_ties_even,
        "Sign" => |x| if x == 0.0 { 0.0 } else { x.signum() },
        "Not" => |x| f64::from(u8::from(x == 0.0)),
        "IsNaN" => |x| f64::from(u8::from(x.is_nan())),
        _ => return None,
    })
}

fn of_graph(g: &mut Graph, node: &Node, x: ValueId) -> Outcome<ValueId> {
    let plain = |f: UnaryFn| move |g: &mut Graph| g.unary(f, x);
    let alpha = |default: f64| node.float("alpha", default);
    let built: Built = match node.op.as_str() {
        "Abs" => plain(UnaryFn::Abs)(g),
        "Neg" => plain(UnaryFn::Neg)(g),
        "Exp" => plain(UnaryFn::Exp)(g),
        "Log" => plain(UnaryFn::Log)(g),
        "Sqrt" => plain(UnaryFn::Sqrt)(g),
        "Reciprocal" => plain(UnaryFn::Reciprocal)(g),
        "Sin" => plain(UnaryFn::Sin)(g),
        "Cos" => plain(UnaryFn::Cos)(g),
        "Tan" => g.formula([x], |[x]| x.sin() / x.cos()),
        // By what is accurate near 0.
        "Sinh" => g.formula([x], |[x]| (x.exp_m1() - (-&x).exp_m1()) * 0.5),
        "Cosh" => g.formula([x], |[x]| (x.exp() + (-&x).exp()) * 0.5),
        "Tanh" => plain(UnaryFn::Tanh)(g),
        "Sigmoid" => plain(UnaryFn::Sigmoid)(g),
        "Relu" => plain(UnaryFn::Relu)(g),
        "Erf" => plain(UnaryFn::Erf)(g),
        "Floor" => plain(UnaryFn::Floor)(g),
        "Sign" => plain(UnaryFn::Sign)(g),
        "Softplus" => plain(UnaryFn::Softplus)(g),
        "Ceil" => g.formula([x], |[x]| -(-x).unary(UnaryFn::Floor)),
        "Round" => g.formula([x], |[x]| round(&x)),
        "Softsign" => g.formula([x], |[x]| &x / (x.unary(UnaryFn::Abs) + 1.0)),
        "Elu" => g.elu(x, alpha(1.0)),
        "Selu" => {
            let (alpha, gamma) = (alpha(SELU[1]), node.float("gamma", SELU[0]));
            let y = g.elu(x, alpha)?;
            g.mul_scalar(y, gamma)
        }
        "Celu" => {
            let alpha = alpha(1.0);
            g.formula([x], |[x]| {
                let below = (x.minimum(0.0) * (1.0 / alpha)).exp_m1() * alpha;
                x.is_positive().select(&x, below)
            })
        }
        "LeakyRelu" => g.leaky_relu(x, alpha(0.01)),
        "ThresholdedRelu" => {
            let alpha = alpha(1.0);
            g.formula([x], |[x]| x.less_equal(alpha).select(0.0, &x))
        }
        "HardSigmoid" => {
            let (alpha, beta) = (alpha(0.2), node.float("beta", 0.5));
            g.formula([x], |[x]| (x * alpha + beta).maximum(0.0).minimum(1.0))
        }
        "HardSwish" => g.hard_swish(x),
        "Gelu" => match node.text("approximate", "none").as_str() {
            "tanh" => g.formula([x], |[x]| {
                let cube = x.square() * &x;
                let inner = (&x + cube * 0.044_715) * (2.0 / std::f64::consts::PI).sqrt();
                (inner.tanh() + 1.0) * &x * 0.5
            }),
            "none" => g.unary(UnaryFn::Gelu, x),
            other => return Err(format!("approximate = \"{other:.40}\" is not supported").into()),
        },
        "Mish" => g.formula([x], |[x]| x.unary(UnaryFn::Softplus).tanh() * &x),
        "Swish" => {
            let alpha = alpha(1.0);
            g.formula([x], |[x]| (&x * alpha).sigmoid() * &x)
        }
        "Shrink" => {
            let (bias, lambda) = (node.float("bias", 0.0), node.float("lambd", 0.5));
            g.formula([x], |[x]| {
                let below = x.less(-lambda).select(&x + bias, 0.0);
                (-&x).less(-lambda).select(&x - bias, below)
            })
        }
        "IsNaN" => g.formula([x], |[x]| 1.0 - x.equal(&x)),
        "IsInf" => {
            let (up, down) = (node.int("detect_positive", 1) != 0, node.int("detect_negative", 1) != 0);
            g.formula([x], |[x]| {
                let is = |infinity: f64, wanted: bool| x.equal(infinity) * f64::from(u8::from(wanted));
                is(f64::INFINITY, up) + is(f64::NEG_INFINITY, down)
            })
        }
        _ => return Err("this operator is not supported".into()),
    };
    Ok(built?)
}

/// The nearest integer; of two equally near, the even one.
fn round(x: &crate::graph::expression::Expression) -> crate::graph::expression::Expression {
    let floor = x.unary(UnaryFn::Floor);
    let part = x - &floor;
    let odd = &floor - (&floor * 0.5).unary(UnaryFn::Floor) * 2.0;
    let up = part.equal(0.5) * odd + (-&part).less(-0.5);
    // Where there is no fraction, be it an infinity, the number itself.
    part.equal(0.0).select(x, &floor + up)
}

/// `min(max(x, low), high)`, with bounds in attributes or operands.
///
/// # Errors
/// If a bound is a tensor, not a number.
pub fn clip(b: &mut Builder, node: &Node) -> Outcome<Value> {
    let value = b.value(node, 0)?;
    let mut bounds = [None, None];
    for (at, name) in ["min", "max"].into_iter().enumerate() {
        if node.has(name) {
            bounds[at] = Some(node.float(name, 0.0));
        } else if let Some(known) = b.known(node, at + 1)? {
            bounds[at] = Some(known.one().ok_or("its bounds must be single numbers")?);
        }
    }
    let [low, high] = bounds;
    if let Value::Known(known) = &value {
        let f = |x: f64| high.map_or(low.map_or(x, |l| x.max(l)), |h| low.map_or(x, |l| x.max(l)).min(h));
        return Ok(known.map(known.kind, f).into());
    }
    let held = b.hold(&value)?;
    Builder::want_floats(&held)?;
    let mut id = held.id;
    if let Some(low) = low {
        let low = b.net.graph.scalar(low)?;
        id = b.net.graph.maximum(id, low)?;
    }
    if let Some(high) = high {
        let high = b.net.graph.scalar(high)?;
        id = b.net.graph.minimum(id, high)?;
    }
    Ok(Held { id, ..held }.into())
}

/// Another type of elements. Numbers are computed in single precision, whatever type the file says.
///
/// # Errors
/// If elements would have to be rounded to a type that there is not.
pub fn cast(b: &mut Builder, node: &Node) -> Outcome<Value> {
    let value = b.value(node, 0)?;
    // What happens to numbers out of range, of 8-bit ones alone.
    let _ = (node.int("saturate", 1), node.text("round_mode", "up"));
    if matches!(value, Value::Text(..)) && node.op == "Cast" && node.int("to", 0) as i32 == element::STRING {
        return Ok(value);
    }
    let to = match node.op.as_str() {
        "Cast" => {
            let to = node.int("to", 0) as i32;
            if to == element::BFLOAT16 && matches!(value, Value::Graph(_)) {
                return Err("it rounds to bfloat16, which is not supported".into());
            }
            Kind::of(to)
                .ok_or_else(|| format!("the type {} is not supported", super::super::known::type_name(to)))?
        }
        _ => match b.value(node, 1)? {
            // The type of an input is known; that of what is computed is one that was not refused.
            _ if b
                .input_type(node, 1)
                .is_some_and(|ty| Kind::of(ty).is_none() || ty == element::BFLOAT16) =>
            {
                return Err("it converts to a type of few bits, which is not supported".into());
            }
            Value::Known(like) => like.kind,
            Value::Graph(like) => like.kind,
            _ => Kind::Float,
        },
    };
    if let Value::Stored(name) = &value {
        if to == Kind::Float {
            return Ok(Value::Stored(name.clone()));
        }
        if let Some(known) = b.known_of(&value)? {
            return Ok(converted(&known, to).into());
        }
    }
    if let Value::Known(known) = &value {
        return Ok(converted(known, to).into());
    }
    let held = b.hold(&value)?;
    if held.kind == Kind::Int && to != Kind::Int && !b.is_float(held.id) {
        return Err("it makes numbers of indices that are not known before it runs".into());
    }
    let id = match (held.kind, to) {
        (Kind::Float, Kind::Int) => b.net.graph.formula([held.id], |[x]| {
            // Towards 0.
            let floor = x.unary(UnaryFn::Floor);
            let up = -(-&x).unary(UnaryFn::Floor);
            x.less(0.0).select(up, floor)
        })?,
        (Kind::Float | Kind::Int, Kind::Bool) => b.net.graph.formula([held.id], |[x]| 1.0 - x.equal(0.0))?,
        _ => held.id,
    };
    let ids = held.ids.filter(|_| to == Kind::Int);
    Ok(Held { id, kind: to, ids, ..held }.into())
}

fn converted(known: &Known, to: Kind) -> Known {
    match to {
        Kind::Float => known.map(to, |x| x),
        Kind::Int => known.map(to, f64::trunc),
        Kind::Bool => known.map(to, |x| f64::from(u8::from(x != 0.0))),
    }
}

/// Dropout: elements are dropped in training alone.
///
/// # Errors
/// If its rate is computed, or its mask is wanted.
pub fn dropout(b: &mut Builder, node: &Node) -> Outcome<Vec<Value>> {
    // A seed of its own is that of the program that made the file.
    let _ = (node.int("seed", 0), node.int("is_test", 1), node.ints("consumed_inputs"));
    let rate = match node.has("ratio") {
        true => node.float("ratio", 0.5),
        false => b.known(node, 1)?.map_or(Some(0.5), |known| known.one()).ok_or("its rate is no number")?,
    };
    let wants_mask = node.outputs.get(1).is_some_and(|name| !name.is_empty());
    if wants_mask && b.net.training && rate > 0.0 {
        return Err("its mask is wanted, which is not supported in training".into());
    }
    if !(0.0..1.0).contains(&rate) {
        return Err(format!("its rate {rate} is not at least 0 and below 1").into());
    }
    let training = b.known(node, 2)?.and_then(|known| known.one()).is_some_and(|x| x != 0.0);
    if training && rate > 0.0 && !b.net.training {
        return Err("it drops elements also where nothing is trained (training_mode = true)".into());
    }
    let value = match b.value(node, 0)? {
        Value::Graph(held) => b.drop(rate, &held)?.into(),
        other => other,
    };
    if !wants_mask {
        return Ok(vec![value]);
    }
    // Where nothing is dropped, all is kept.
    let shape = b.extents(&value)?;
    let one = b.net.graph.scalar(1.0)?;
    let kept = b.net.graph.broadcast(one, &shape)?;
    Ok(vec![value, Held::new(kept).of(Kind::Bool).into()])
}
