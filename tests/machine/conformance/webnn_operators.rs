//! WebNN's non-recurrent operators, with its defaults, built from this crate's graph methods.

use gridlight::graph::ValueId;
use gridlight::graph::build::common_shape;
use gridlight::scalar::{BinaryFn, UnaryFn};

use super::webnn::{Builder, Built, say};
use super::{webnn_convolutions, webnn_pools};

/// The result of the call.
pub fn build(b: &mut Builder) -> Built {
    let op = b.call.op.as_str();
    if let Some(f) = function(op) {
        let x = b.input(0)?;
        return b.unary(f, x);
    }
    if let Some(f) = pair(op) {
        let (x, y) = (b.input(0)?, b.input(1)?);
        // `greater` is `less` with swapped operands.
        let (x, y) = if op.starts_with("greater") { (y, x) } else { (x, y) };
        return b.g.binary(f, x, y).map_err(say);
    }
    match op {
        "identity" => b.input(0),
        "softsign" | "linear" | "hardSigmoid" | "hardSwish" | "elu" | "leakyRelu" | "prelu" | "clamp" => {
            activation(b, op)
        }
        "equal" | "notEqual" | "logicalNot" | "logicalAnd" | "logicalOr" | "logicalXor" => logical(b, op),
        "where" => {
            let (condition, x, y) = (b.input(0)?, b.input(1)?, b.input(2)?);
            b.g.select(condition, x, y).map_err(say)
        }
        "matmul" | "gemm" => product(b, op),
        "softmax" => {
            let x = b.input(0)?;
            let axis = b.call.args[1].as_u64().unwrap_or(0) as usize;
            b.g.softmax_over(x, axis).map_err(say)
        }
        "conv2d" | "convTranspose2d" => webnn_convolutions::convolution(b, op),
        "batchNormalization" | "instanceNormalization" | "layerNormalization" => normalisation(b, op),
        "gather" => gather(b),
        "maxPool2d" | "averagePool2d" | "l2Pool2d" => webnn_pools::pool(b, op),
        "resample2d" => webnn_pools::resample(b),
        "triangular" => triangular(b),
        _ if op.starts_with("reduce") => reduction(b, op),
        _ => view(b, op),
    }
}

fn function(op: &str) -> Option<UnaryFn> {
    Some(match op {
        "abs" => UnaryFn::Abs,
        "erf" => UnaryFn::Erf,
        "exp" => UnaryFn::Exp,
        "gelu" => UnaryFn::Gelu,
        "log" => UnaryFn::Log,
        "neg" => UnaryFn::Neg,
        "reciprocal" => UnaryFn::Reciprocal,
        "relu" => UnaryFn::Relu,
        "sigmoid" => UnaryFn::Sigmoid,
        "sign" => UnaryFn::Sign,
        "softplus" => UnaryFn::Softplus,
        "sqrt" => UnaryFn::Sqrt,
        "sin" => UnaryFn::Sin,
        "cos" => UnaryFn::Cos,
        "floor" => UnaryFn::Floor,
        "tanh" => UnaryFn::Tanh,
        _ => return None,
    })
}

fn pair(op: &str) -> Option<BinaryFn> {
    Some(match op {
        "add" => BinaryFn::Add,
        "sub" => BinaryFn::Sub,
        "mul" => BinaryFn::Mul,
        "div" => BinaryFn::Div,
        "max" => BinaryFn::Max,
        "min" => BinaryFn::Min,
        "lesser" | "greater" => BinaryFn::Less,
        "lesserOrEqual" | "greaterOrEqual" => BinaryFn::LessEqual,
        _ => return None,
    })
}

fn clamp(b: &mut Builder, x: ValueId, least: f64, most: f64) -> Built {
    let (least, most) = (b.g.scalar(least).map_err(say)?, b.g.scalar(most).map_err(say)?);
    let above = b.g.maximum(x, least).map_err(say)?;
    b.g.minimum(above, most).map_err(say)
}

fn linear(b: &mut Builder, x: ValueId, alpha: f64, beta: f64) -> Built {
    let scaled = b.g.mul_scalar(x, alpha).map_err(say)?;
    b.g.add_scalar(scaled, beta).map_err(say)
}

fn activation(b: &mut Builder, op: &str) -> Built {
    let x = b.input(0)?;
    let (alpha, beta) = (b.call.number("alpha", f64::NAN), b.call.number("beta", f64::NAN));
    let or = |x: f64, default: f64| if x.is_nan() { default } else { x };
    match op {
        "softsign" => {
            let size = b.unary(UnaryFn::Abs, x)?;
            let below = b.g.add_scalar(size, 1.0).map_err(say)?;
            b.g.div(x, below).map_err(say)
        }
        "linear" => linear(b, x, or(alpha, 1.0), or(beta, 0.0)),
        "hardSigmoid" => {
            let y = linear(b, x, or(alpha, 0.2), or(beta, 0.5))?;
            clamp(b, y, 0.0, 1.0)
        }
        "hardSwish" => b.g.hard_swish(x).map_err(say),
        "elu" => b.g.elu(x, or(alpha, 1.0)).map_err(say),
        "leakyRelu" => b.g.leaky_relu(x, or(alpha, 0.01)).map_err(say),
        "prelu" => {
            let slope = b.input(1)?;
            let zero = b.g.scalar(0.0).map_err(say)?;
            let negative = b.g.less(x, zero).map_err(say)?;
            let scaled = b.g.mul(x, slope).map_err(say)?;
            b.g.select(negative, scaled, x).map_err(say)
        }
        _ => {
            let most = b.call.number("maxValue", f64::INFINITY);
            let least = b.call.number("minValue", f64::NEG_INFINITY);
            clamp(b, x, least, most)
        }
    }
}

/// 1 where `x` is 0, else 0.
fn not(b: &mut Builder, x: ValueId) -> Built {
    let zero = b.g.scalar(0.0).map_err(say)?;
    b.g.equal(x, zero).map_err(say)
}

fn logical(b: &mut Builder, op: &str) -> Built {
    let x = b.input(0)?;
    if op == "logicalNot" {
        return not(b, x);
    }
    let y = b.input(1)?;
    if op == "equal" || op == "notEqual" {
        let equal = b.g.equal(x, y).map_err(say)?;
        return if op == "equal" { Ok(equal) } else { not(b, equal) };
    }
    let (x, y) = (not(b, x)?, not(b, y)?);
    match op {
        // De Morgan: both hold where the maximum of the negations is 0.
        "logicalAnd" => {
            let either = b.g.maximum(x, y).map_err(say)?;
            not(b, either)
        }
        "logicalOr" => {
            let neither = b.g.mul(x, y).map_err(say)?;
            not(b, neither)
        }
        _ => {
            let same = b.g.equal(x, y).map_err(say)?;
            not(b, same)
        }
    }
}

fn product(b: &mut Builder, op: &str) -> Built {
    let (mut x, mut y) = (b.input(0)?, b.input(1)?);
    if op == "gemm" {
        let (ta, tb) = (b.call.flag("aTranspose", false), b.call.flag("bTranspose", false));
        let product = b.g.matmul_with(x, y, ta, tb).map_err(say)?;
        let scaled = b.g.mul_scalar(product, b.call.number("alpha", 1.0)).map_err(say)?;
        let Some(c) = b.option("c")? else { return Ok(scaled) };
        let c = b.g.mul_scalar(c, b.call.number("beta", 1.0)).map_err(say)?;
        return b.g.add(scaled, c).map_err(say);
    }
    let vectors = (b.g.shape(x).len() == 1, b.g.shape(y).len() == 1);
    if vectors.0 {
        let n = b.g.shape(x)[0];
        x = b.g.reshape(x, &[1, n]).map_err(say)?;
    }
    if vectors.1 {
        let n = b.g.shape(y)[0];
        y = b.g.reshape(y, &[n, 1]).map_err(say)?;
    }
    let product = b.g.matmul(x, y).map_err(say)?;
    if vectors == (true, true) { b.g.reshape(product, &[]).map_err(say) } else { Ok(product) }
}

/// `x` reshaped so that its only axis is axis `axis` of `rank`.
fn along(b: &mut Builder, x: ValueId, axis: usize, rank: usize) -> Built {
    let mut shape = vec![1; rank];
    shape[axis] = b.g.ty(x).elements();
    b.g.reshape(x, &shape).map_err(say)
}

fn normalisation(b: &mut Builder, op: &str) -> Built {
    let x = b.input(0)?;
    let rank = b.g.shape(x).len();
    let layer = op == "layerNormalization";
    let nhwc = b.call.options().get("layout").is_some_and(|l| l == "nhwc");
    let channel = if nhwc { rank - 1 } else { b.call.number("axis", 1.0) as usize };
    let axes = match op {
        "layerNormalization" => b.call.axes().unwrap_or_else(|| (1..rank).collect()),
        _ => (2..4).map(|d| if nhwc { d - 1 } else { d }).collect(),
    };
    let mut ascending = axes.clone();
    ascending.sort_unstable();
    let (mean, variance) = if op == "batchNormalization" {
        let (mean, variance) = (b.input(1)?, b.input(2)?);
        (along(b, mean, channel, rank)?, along(b, variance, channel, rank)?)
    } else {
        let mean = b.g.mean(x, &ascending, true).map_err(say)?;
        let centred = b.g.sub(x, mean).map_err(say)?;
        let square = b.unary(UnaryFn::Square, centred)?;
        (mean, b.g.mean(square, &ascending, true).map_err(say)?)
    };
    let centred = b.g.sub(x, mean).map_err(say)?;
    let spread = b.g.add_scalar(variance, b.call.number("epsilon", 1e-5)).map_err(say)?;
    let deviation = b.unary(UnaryFn::Sqrt, spread)?;
    let mut y = b.g.div(centred, deviation).map_err(say)?;
    for key in ["scale", "bias"] {
        let Some(value) = b.option(key)? else { continue };
        let value = if layer {
            // Its axes are in the order of the option `axes`.
            let place = |d: &usize| axes.iter().position(|a| a == d).unwrap_or(0);
            let order: Vec<usize> = ascending.iter().map(place).collect();
            let turned = b.g.permute(value, &order).map_err(say)?;
            let extent = |d: usize| if axes.contains(&d) { b.g.shape(x)[d] } else { 1 };
            let shape: Vec<usize> = (0..rank).map(extent).collect();
            b.g.reshape(turned, &shape).map_err(say)?
        } else {
            along(b, value, channel, rank)?
        };
        y = if key == "scale" { b.g.mul(y, value) } else { b.g.add(y, value) }.map_err(say)?;
    }
    Ok(y)
}

/// Moves the axis to the front, where rows are gathered, and the axes of the indices to its place.
fn gather(b: &mut Builder) -> Built {
    let (x, indices) = (b.input(0)?, b.indices(1)?);
    let axis = b.call.number("axis", 0.0) as usize;
    let (shape, index_shape) = (b.g.shape(x).clone(), b.g.shape(indices).clone());
    let rest: Vec<usize> = (0..shape.len()).filter(|&d| d != axis).collect();
    let front: Vec<usize> = std::iter::once(axis).chain(rest.iter().copied()).collect();
    let turned = b.g.permute(x, &front).map_err(say)?;
    let extents: Vec<usize> = rest.iter().map(|&d| shape[d]).collect();
    let table = b.g.reshape(turned, &[shape[axis], extents.iter().product()]).map_err(say)?;
    let count: usize = index_shape.iter().product();
    let flat = b.g.reshape(indices, &[count]).map_err(say)?;
    let rows = b.g.gather(table, flat).map_err(say)?;
    let y = b.g.reshape(rows, &[index_shape.clone(), extents].concat()).map_err(say)?;
    let k = index_shape.len();
    let order: Vec<usize> = (k..k + axis).chain(0..k).chain(k + axis..k + rest.len()).collect();
    b.g.permute(y, &order).map_err(say)
}

/// Selects with a mask of ones and zeros.
fn triangular(b: &mut Builder) -> Built {
    let x = b.input(0)?;
    let shape = b.g.shape(x).clone();
    let (rows, columns) = (shape[shape.len() - 2], shape[shape.len() - 1]);
    let (upper, diagonal) = (b.call.flag("upper", true), b.call.number("diagonal", 0.0) as i64);
    let keep = |i: usize| {
        let offset = (i % columns) as i64 - (i / columns) as i64;
        if upper { offset >= diagonal } else { offset <= diagonal }
    };
    let mask: Vec<f32> = (0..rows * columns).map(|i| f32::from(keep(i))).collect();
    let mask = b.g.constant(&[rows, columns], &mask).map_err(say)?;
    let zero = b.g.scalar(0.0).map_err(say)?;
    b.g.select(mask, x, zero).map_err(say)
}

fn reduction(b: &mut Builder, op: &str) -> Built {
    let x = b.input(0)?;
    let axes = b.call.axes().unwrap_or_else(|| (0..b.g.shape(x).len()).collect());
    let mut axes = axes;
    axes.sort_unstable();
    let keep = b.call.flag("keepDimensions", false);
    let before = match op {
        "reduceSumSquare" | "reduceL2" => b.unary(UnaryFn::Square, x)?,
        "reduceL1" => b.unary(UnaryFn::Abs, x)?,
        "reduceLogSumExp" => b.unary(UnaryFn::Exp, x)?,
        "reduceMin" => b.unary(UnaryFn::Neg, x)?,
        _ => x,
    };
    let reduced = match op {
        "reduceMax" | "reduceMin" => b.g.max(before, &axes, keep),
        "reduceMean" => b.g.mean(before, &axes, keep),
        _ => b.g.sum(before, &axes, keep),
    }
    .map_err(say)?;
    match op {
        "reduceL2" => b.unary(UnaryFn::Sqrt, reduced),
        "reduceLogSum" | "reduceLogSumExp" => b.unary(UnaryFn::Log, reduced),
        "reduceMin" => b.unary(UnaryFn::Neg, reduced),
        _ => Ok(reduced),
    }
}

/// Views of the same elements.
fn view(b: &mut Builder, op: &str) -> Built {
    if op == "concat" {
        let parts = b.call.args[0].as_array().cloned().unwrap_or_default();
        let mut values = vec![];
        for part in parts {
            let given = serde_json::from_value(part).map_err(|e| e.to_string())?;
            values.push(b.bind(&given, gridlight::base::tensor::DType::F32)?);
        }
        return b.g.concat(&values, b.call.args[1].as_u64().unwrap_or(0) as usize).map_err(say);
    }
    let x = b.input(0)?;
    let shape = b.g.shape(x).clone();
    match op {
        "reshape" => {
            // `null` stands for the remaining length.
            let list = b.call.args[1].as_array().cloned().unwrap_or_default();
            let known: u64 = list.iter().filter_map(|n| n.as_u64()).product();
            let rest = shape.iter().product::<usize>() as u64 / known.max(1);
            let wanted: Vec<usize> = list.iter().map(|n| n.as_u64().unwrap_or(rest) as usize).collect();
            b.g.reshape(x, &wanted).map_err(say)
        }
        "expand" => {
            let wanted = common_shape(&[&shape, &b.call.extents(1)]).ok_or("shapes do not broadcast")?;
            b.g.broadcast(x, &wanted).map_err(say)
        }
        "tile" => {
            let times = b.call.extents(1);
            let pairs = |first: &dyn Fn(usize) -> usize| -> Vec<usize> {
                (0..shape.len()).flat_map(|d| [first(d), shape[d]]).collect()
            };
            let split = b.g.reshape(x, &pairs(&|_| 1)).map_err(say)?;
            let repeated = b.g.broadcast(split, &pairs(&|d| times[d])).map_err(say)?;
            let wanted: Vec<usize> = (0..shape.len()).map(|d| shape[d] * times[d]).collect();
            b.g.reshape(repeated, &wanted).map_err(say)
        }
        "transpose" => {
            let options = b.call.options();
            let given = options.get("permutation").and_then(|p| p.as_array());
            let order = match given {
                Some(list) => list.iter().filter_map(|n| n.as_u64()).map(|n| n as usize).collect(),
                None => (0..shape.len()).rev().collect::<Vec<_>>(),
            };
            b.g.permute(x, &order).map_err(say)
        }
        "slice" => b.g.slice(x, &b.call.extents(1), &b.call.extents(2)).map_err(say),
        "pad" => {
            // Padding gives zeros, so another value is subtracted before and added after.
            let value = b.call.number("value", 0.0);
            let lower = b.g.add_scalar(x, -value).map_err(say)?;
            let padded = b.g.pad(lower, &b.call.extents(1), &b.call.extents(2)).map_err(say)?;
            b.g.add_scalar(padded, value).map_err(say)
        }
        other => Err(format!("`{other}` is neither run nor listed as missing")),
    }
}

/// The parts of `split`: a number of equal ones, or ones with the given extents.
pub fn split(b: &mut Builder) -> Built<Vec<ValueId>> {
    let x = b.input(0)?;
    let shape = b.g.shape(x).clone();
    let axis = b.call.number("axis", 0.0) as usize;
    let extents = match b.call.args[1].as_u64() {
        Some(parts) => vec![shape[axis] / parts as usize; parts as usize],
        None => b.call.extents(1),
    };
    let (mut starts, mut wanted, mut parts) = (vec![0; shape.len()], shape, vec![]);
    for extent in extents {
        wanted[axis] = extent;
        parts.push(b.g.slice(x, &starts, &wanted).map_err(say)?);
        starts[axis] += extent;
    }
    Ok(parts)
}
