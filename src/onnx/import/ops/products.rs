//! Products of matrices.

use super::super::build::{Builder, Held, Outcome, Value};
use super::super::known::{Kind, Known};
use super::super::model::{Node, Stored};
use super::known;
use crate::graph::{Op, ValueId};

/// A matrix whose last two axes are exchanged, if a value is one.
fn exchanged(b: &Builder, x: ValueId) -> Option<ValueId> {
    let node = b.net.graph.node(x);
    let Op::Permute(permute) = &node.op else { return None };
    let rank = permute.permutation.len();
    let swapped: Vec<usize> = (0..rank.saturating_sub(2)).chain([rank - 1, rank - 2]).collect();
    (rank >= 2 && permute.permutation == swapped).then(|| node.inputs[0])
}

/// A product of matrices, or of vectors, by NumPy's rules.
///
/// # Errors
/// If shapes do not match.
pub fn matmul(b: &mut Builder, node: &Node) -> Outcome<Value> {
    let left = b.numbers(node, 0)?;
    let held = match b.value(node, 1)? {
        Value::Stored(_) => Held::new(b.trained(node, 1)?),
        other => b.hold(&other)?,
    };
    Builder::want_floats(&held)?;
    let right = b.first(&held)?;
    let y = product(b, left, right)?;
    Ok(Held::new(b.adapted([left, right], [false, false], y)?).into())
}

/// As [`matmul`], of values of the graph.
pub fn product(b: &mut Builder, left: ValueId, right: ValueId) -> Outcome<ValueId> {
    let (of_left, of_right) = (b.net.graph.shape(left).clone(), b.net.graph.shape(right).clone());
    if of_left.is_empty() || of_right.is_empty() {
        return Err("it multiplies single numbers".into());
    }
    let a = match of_left[..] {
        [columns] => b.net.graph.reshape(left, &[1, columns])?,
        _ => left,
    };
    let c = match of_right[..] {
        [rows] => b.net.graph.reshape(right, &[rows, 1])?,
        _ => right,
    };
    let y = match exchanged(b, c) {
        Some(plain) => b.net.graph.matmul_with(a, plain, false, true)?,
        None => b.net.graph.matmul(a, c)?,
    };
    let mut shape = b.net.graph.shape(y).clone();
    if of_right.len() == 1 {
        shape.pop();
    }
    if of_left.len() == 1 {
        let at = shape.len() - 1 - usize::from(of_right.len() > 1);
        shape.remove(at.min(shape.len() - 1));
    }
    Ok(b.net.graph.reshape(y, &shape)?)
}

/// `alpha A B + beta C`.
///
/// # Errors
/// If shapes do not match.
pub fn gemm(b: &mut Builder, node: &Node) -> Outcome<Value> {
    let (alpha, beta) = (node.float("alpha", 1.0), node.float("beta", 1.0));
    let [ta, tb] = ["transA", "transB"].map(|name| node.int(name, 0) != 0);
    let _ = node.int("broadcast", 1);
    let a = b.trained(node, 0)?;
    let c = b.trained(node, 1)?;
    let y = match (tb, exchanged(b, c)) {
        (false, Some(plain)) => b.net.graph.matmul_with(a, plain, ta, true)?,
        _ => b.net.graph.matmul_with(a, c, ta, tb)?,
    };
    let y = b.adapted([a, c], [ta, tb], y)?;
    let y = b.net.graph.mul_scalar(y, alpha)?;
    let Some(bias) = b.trained_if(node, 2)? else { return Ok(Held::new(y).into()) };
    if beta == 0.0 {
        return Ok(Held::new(y).into());
    }
    let bias = b.net.graph.mul_scalar(bias, beta)?;
    let sum = b.net.graph.add(y, bias)?;
    if b.net.graph.shape(sum) != b.net.graph.shape(y) {
        return Err("its third operand has more rows or columns than the product".into());
    }
    Ok(Held::new(sum).into())
}

/// Integers as numbers: `(x - zero_point) * scale`, of tensors of the file.
///
/// # Errors
/// If the integers are computed.
pub fn dequantise(b: &mut Builder, node: &Node) -> Outcome<Value> {
    let x = b.known(node, 0)?.ok_or("its operand is missing")?;
    let scale = b.known(node, 1)?.ok_or("its scale is missing")?;
    let zero = b.known(node, 2)?;
    if node.int("block_size", 0) != 0 {
        return Err("its scales are of blocks (block_size)".into());
    }
    let _ = node.int("output_dtype", 0);
    let rank = x.shape.len();
    let along = |known: &Known| -> Outcome<Known> {
        if known.data.len() == 1 {
            return Ok(Known { shape: vec![], ..known.clone() });
        }
        let axis = known::axis(node, "axis", 1, rank)?;
        let mut shape = vec![1; rank];
        shape[axis] = known.data.len();
        Ok(known.reshaped(shape)?)
    };
    let _ = node.int("axis", 1);
    let float =
        |a: &Known, b: &Known, f: fn(f64, f64) -> f64| super::arithmetic::zipped(Kind::Float, a, b, f);
    let shifted = match zero {
        Some(zero) => float(&x, &along(&zero)?, |a, b| a - b)?,
        None => (*x).clone(),
    };
    let numbers = float(&shifted, &along(&scale)?, |a, b| a * b)?;
    // A parameter by the name of the integers, if they are a tensor of the file.
    let Some(name) = node.inputs.first().filter(|name| b.is_constant(name)) else {
        return Ok(numbers.into());
    };
    let data = std::sync::Arc::new(numbers.floats());
    let name = format!("{name}.dequantized");
    b.store(&name, Stored::Weights { shape: numbers.shape, data });
    Ok(Value::Stored(name))
}

/// A sum of products over named axes, of one or two operands.
///
/// # Errors
/// If the equation has an ellipsis, repeats an axis in one operand, or has more operands.
pub fn einsum(b: &mut Builder, node: &Node) -> Outcome<Value> {
    let equation: String = node.text("equation", "").chars().filter(|c| !c.is_whitespace()).collect();
    let unsupported = || format!("the equation \"{equation:.80}\" is not supported");
    let (left, right) = match equation.split_once("->") {
        Some((left, right)) => (left, Some(right)),
        None => (equation.as_str(), None),
    };
    let operands: Vec<Vec<char>> = left.split(',').map(|names| names.chars().collect()).collect();
    let plain = |names: &[char]| {
        names.iter().enumerate().all(|(at, name)| name.is_ascii_alphabetic() && !names[..at].contains(name))
    };
    if operands.len() > 2 || operands.len() != node.inputs.len() || !operands.iter().all(|names| plain(names))
    {
        return Err(unsupported().into());
    }
    let result: Vec<char> = match right {
        Some(names) => names.chars().collect(),
        None => {
            let all: Vec<char> = operands.concat();
            let mut once: Vec<char> =
                all.iter().copied().filter(|name| all.iter().filter(|n| *n == name).count() == 1).collect();
            once.sort_unstable();
            once
        }
    };
    if !plain(&result) {
        return Err(unsupported().into());
    }
    let mut parts = vec![];
    for (at, names) in operands.iter().enumerate() {
        let x = match b.value(node, at)? {
            Value::Stored(_) => b.trained(node, at)?,
            _ => b.numbers(node, at)?,
        };
        if b.net.graph.shape(x).len() != names.len() {
            return Err(unsupported().into());
        }
        // What stands nowhere else is summed at once.
        let others = |name: &char| {
            operands.iter().enumerate().any(|(other, names)| other != at && names.contains(name))
        };
        let gone: Vec<usize> = (0..names.len())
            .filter(|&axis| !result.contains(&names[axis]) && !others(&names[axis]))
            .collect();
        let x = b.net.graph.sum(x, &gone, false)?;
        let kept: Vec<char> =
            (0..names.len()).filter(|axis| !gone.contains(axis)).map(|axis| names[axis]).collect();
        parts.push((x, kept));
    }
    let (y, names) = match &parts[..] {
        [(x, names)] => (*x, names.clone()),
        [left, right] => contract(b, left, right, &result)?,
        _ => return Err(unsupported().into()),
    };
    let order: Option<Vec<usize>> = result.iter().map(|name| names.iter().position(|n| n == name)).collect();
    let order = order.filter(|order| order.len() == names.len()).ok_or_else(unsupported)?;
    Ok(Held::new(b.turned(y, &order)?).into())
}

/// The product of two operands with named axes, as one batched product of matrices.
fn contract(
    b: &mut Builder,
    (x, of_x): &(ValueId, Vec<char>),
    (y, of_y): &(ValueId, Vec<char>),
    result: &[char],
) -> Outcome<(ValueId, Vec<char>)> {
    let both: Vec<char> = of_x.iter().copied().filter(|n| of_y.contains(n) && result.contains(n)).collect();
    let summed: Vec<char> =
        of_x.iter().copied().filter(|n| of_y.contains(n) && !result.contains(n)).collect();
    let rows: Vec<char> = of_x.iter().copied().filter(|n| !of_y.contains(n)).collect();
    let columns: Vec<char> = of_y.iter().copied().filter(|n| !of_x.contains(n)).collect();
    let mut sizes = std::collections::BTreeMap::new();
    for (value, names) in [(x, of_x), (y, of_y)] {
        for (axis, name) in names.iter().enumerate() {
            let extent = b.net.graph.shape(*value)[axis];
            if *sizes.entry(*name).or_insert(extent) != extent {
                return Err(format!("the axis `{name}` has two extents").into());
            }
        }
    }
    let count = |names: &[char]| names.iter().map(|name| sizes[name]).product::<usize>();
    let shape = [count(&both), count(&rows), count(&summed), count(&columns)];
    let mut matrix =
        |value: ValueId, of: &[char], wanted: &[&[char]], shape: [usize; 3]| -> Outcome<ValueId> {
            let names = wanted.concat();
            let order: Vec<usize> =
                names.iter().filter_map(|name| of.iter().position(|n| n == name)).collect();
            let turned = b.turned(value, &order)?;
            Ok(b.net.graph.reshape(turned, &shape)?)
        };
    let left = matrix(*x, of_x, &[&both, &rows, &summed], [shape[0], shape[1], shape[2]])?;
    let right = matrix(*y, of_y, &[&both, &summed, &columns], [shape[0], shape[2], shape[3]])?;
    let product = b.net.graph.matmul(left, right)?;
    let names = [both, rows, columns].concat();
    let whole: Vec<usize> = names.iter().map(|name| sizes[name]).collect();
    Ok((b.net.graph.reshape(product, &whole)?, names))
}
