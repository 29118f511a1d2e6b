//! Normalisations.

use super::super::build::{Builder, Held, Outcome, Value};
use super::super::known::{Kind, Known};
use super::super::model::Node;
use super::known;
use crate::base::tensor::elements;
use crate::graph::ValueId;
use crate::graph::normalisation::Normalised;
use crate::graph::pooling::PoolSpec;

/// Normalisation of channels over the rows of a batch: in training by the batch, with running statistics as
/// PyTorch's, else by these. One whose statistics are frozen always uses them.
///
/// # Errors
/// If its statistics are computed.
pub fn batch(b: &mut Builder, node: &Node) -> Outcome<Vec<Value>> {
    if node.int("spatial", 1) == 0 {
        return Err("spatial = 0 is not supported".into());
    }
    let _ = (node.int("is_test", 1), node.ints("consumed_inputs"));
    let (eps, momentum) = (node.float("epsilon", 1e-5), node.float("momentum", 0.9));
    let by_batch = node.int("training_mode", 0) != 0 && b.literal;
    let held = b.held(node, 0)?;
    Builder::want_floats(&held)?;
    let x = b.channels_last(&held)?;
    let shape = b.net.graph.shape(x).clone();
    let Some((&channels, before)) = shape.split_last().filter(|(_, before)| !before.is_empty()) else {
        return Err("its operand has no channels".into());
    };
    let axes: Vec<usize> = (0..before.len()).collect();
    let rows: usize = before.iter().product();
    let mut along = vec![1; before.len()];
    along.push(channels);
    for (at, what) in ["weight", "bias", "mean", "variance"].into_iter().enumerate() {
        let of = b.extents(&b.value(node, at + 1)?)?;
        if elements(&of) != channels {
            return Err(format!("its {what} {of:?} is not one number for each of {channels} channels").into());
        }
    }
    let [weight, bias] = [b.trained(node, 1)?, b.trained(node, 2)?];
    let [weight, bias] = [b.net.graph.reshape(weight, &along)?, b.net.graph.reshape(bias, &along)?];
    let statistics = [statistic(b, node, 3, by_batch)?, statistic(b, node, 4, by_batch)?];
    let last = shape.len() > 2;
    let result = |id| Held { id, last, kind: Kind::Float, ids: None };
    let frozen = statistics.iter().any(|(name, _)| b.net.is_frozen(name));
    if (b.net.training && !frozen) || by_batch {
        let Normalised { y, mean, variance } = b.net.graph.normalise(x, &axes, eps, weight, bias)?;
        // PyTorch keeps the unbiased variance; the specification has the biased one.
        let unbiased = if by_batch { 1.0 } else { rows as f64 / (rows as f64 - 1.0).max(1.0) };
        let variance = b.net.graph.mul_scalar(variance, unbiased)?;
        let mut values = vec![result(y).into()];
        for ((name, old), new) in statistics.iter().zip([mean, variance]) {
            let new = b.net.graph.reshape(new, &[channels])?;
            let kept = b.net.graph.mul_scalar(*old, momentum)?;
            let part = b.net.graph.mul_scalar(new, 1.0 - momentum)?;
            let renewed = b.net.graph.add(kept, part)?;
            values.push(Held::new(renewed).into());
            if !by_batch {
                b.net.updates.push((name.clone(), renewed));
            }
        }
        return Ok(values);
    }
    let centred = b.net.graph.sub(x, statistics[0].1)?;
    let spread = b.net.graph.add_scalar(statistics[1].1, eps)?;
    let deviation = b.net.graph.unary(crate::scalar::UnaryFn::Sqrt, spread)?;
    let normal = b.net.graph.div(centred, deviation)?;
    let scaled = b.net.graph.mul(normal, weight)?;
    Ok(vec![result(b.net.graph.add(scaled, bias)?).into()])
}

/// A running statistic: its name and value.
fn statistic(b: &mut Builder, node: &Node, at: usize, computed: bool) -> Outcome<(String, ValueId)> {
    match b.value(node, at)? {
        Value::Stored(_) => b.statistic(node, at),
        _ if computed || b.literal => Ok((String::new(), b.numbers(node, at)?)),
        _ => b.statistic(node, at),
    }
}

/// Normalisation of each channel of each row.
///
/// # Errors
/// If shapes do not match.
pub fn instance(b: &mut Builder, node: &Node) -> Outcome<Value> {
    let eps = node.float("epsilon", 1e-5);
    let _ = node.ints("consumed_inputs");
    let held = b.held(node, 0)?;
    Builder::want_floats(&held)?;
    let x = b.channels_last(&held)?;
    let rank = b.net.graph.shape(x).len();
    if rank < 3 {
        return Err(format!("its operand has {rank} axes; at least 3 are expected").into());
    }
    let channels = b.net.graph.shape(x)[rank - 1];
    let [weight, bias] = vectors(b, node, rank)?;
    for vector in [weight, bias] {
        fits(&[elements(b.net.graph.shape(vector))], &[channels])?;
    }
    let axes: Vec<usize> = (1..rank - 1).collect();
    let y = b.net.graph.normalise(x, &axes, eps, weight, bias)?.y;
    Ok(Held::last(y).into())
}

/// Weight and bias, operands 1 and 2, along the last of `rank` axes.
fn vectors(b: &mut Builder, node: &Node, rank: usize) -> Outcome<[ValueId; 2]> {
    let mut found = [ValueId(0); 2];
    for (at, found) in found.iter_mut().enumerate() {
        let vector = b.trained(node, at + 1)?;
        let mut shape = vec![1; rank - 1];
        shape.push(elements(b.net.graph.shape(vector)));
        *found = b.net.graph.reshape(vector, &shape)?;
    }
    Ok(found)
}

/// Normalisation over the last axes.
///
/// # Errors
/// If shapes do not match.
pub fn layer(b: &mut Builder, node: &Node) -> Outcome<Vec<Value>> {
    let eps = node.float("epsilon", 1e-5);
    let _ = node.int("stash_type", 1);
    let x = b.numbers(node, 0)?;
    let shape = b.net.graph.shape(x).clone();
    let rank = shape.len();
    let axis = known::axis(node, "axis", -1, rank)?;
    let axes: Vec<usize> = (axis..rank).collect();
    let weight = b.trained(node, 1)?;
    fits(b.net.graph.shape(weight), &shape)?;
    let weight = spread(b, weight, rank)?;
    let bias = match b.trained_if(node, 2)? {
        Some(bias) => {
            fits(b.net.graph.shape(bias), &shape)?;
            spread(b, bias, rank)?
        }
        None => b.constant(&Known { kind: Kind::Float, shape: vec![1; rank], data: vec![0.0] })?,
    };
    let Normalised { y, mean, variance } = b.net.graph.normalise(x, &axes, eps, weight, bias)?;
    let inverse = b.net.graph.formula([variance], |[v]| (v + eps).sqrt().recip())?;
    Ok(vec![Held::new(y).into(), Held::new(mean).into(), Held::new(inverse).into()])
}

/// Refuses a weight or a bias that cannot be repeated over a value.
fn fits(of: &[usize], shape: &[usize]) -> Result<(), String> {
    let repeats = of.iter().rev().zip(shape.iter().rev()).all(|(a, b)| *a == 1 || a == b);
    match repeats && of.len() <= shape.len() {
        true => Ok(()),
        false => Err(format!("its weight or bias {of:?} does not fit its operand {shape:?}")),
    }
}

/// A value with leading axes of extent 1, up to `rank`.
fn spread(b: &mut Builder, x: ValueId, rank: usize) -> Outcome<ValueId> {
    let shape = b.net.graph.shape(x).clone();
    let added = rank.checked_sub(shape.len()).ok_or("its weight or bias has more axes than its operand")?;
    Ok(b.net.graph.reshape(x, &[vec![1; added], shape].concat())?)
}

/// Normalisation of groups of channels.
///
/// # Errors
/// If groups do not divide the channels.
pub fn group(b: &mut Builder, node: &Node) -> Outcome<Value> {
    let eps = node.float("epsilon", 1e-5);
    let _ = node.int("stash_type", 1);
    let groups = usize::try_from(node.int("num_groups", 0)).unwrap_or(0);
    let x = b.numbers(node, 0)?;
    let shape = b.net.graph.shape(x).clone();
    let (rows, channels) = match shape[..] {
        [rows, channels, ..] => (rows, channels),
        _ => return Err("its operand has no channels".into()),
    };
    if groups == 0 || !channels.is_multiple_of(groups) {
        return Err(format!("its {groups} groups do not divide {channels} channels").into());
    }
    let rest = elements(&shape[2..]);
    let x = b.net.graph.reshape(x, &[rows, groups, channels / groups, rest])?;
    let mut found = vec![];
    for at in [1, 2] {
        let vector = b.trained(node, at)?;
        let along: &[usize] = match elements(b.net.graph.shape(vector)) {
            // Of each channel since version 21, of each group before.
            n if n == channels && (node.opset >= 21 || groups != channels) => {
                &[1, groups, channels / groups, 1]
            }
            n if n == groups => &[1, groups, 1, 1],
            n => return Err(format!("its {n} weights are neither of groups nor of channels").into()),
        };
        found.push(b.net.graph.reshape(vector, along)?);
    }
    let y = b.net.graph.normalise(x, &[2, 3], eps, found[0], found[1])?.y;
    Ok(Held::new(b.net.graph.reshape(y, &shape)?).into())
}

/// Division by the root of the mean square over the last axes.
///
/// # Errors
/// If shapes do not match.
pub fn root_mean_square(b: &mut Builder, node: &Node) -> Outcome<Value> {
    let eps = node.float("epsilon", 1e-5);
    let _ = node.int("stash_type", 1);
    let x = b.numbers(node, 0)?;
    let rank = b.net.graph.shape(x).len();
    let axis = known::axis(node, "axis", -1, rank)?;
    let axes: Vec<usize> = (axis..rank).collect();
    let count = elements(&b.net.graph.shape(x)[axis..]) as f64;
    let weight = b.trained(node, 1)?;
    fits(b.net.graph.shape(weight), b.net.graph.shape(x))?;
    let y = b.net.graph.formula([x, weight], |[x, weight]| {
        let mean = x.square().sum_keep(&axes) * (1.0 / count);
        &x * (mean + eps).sqrt().recip() * weight
    })?;
    Ok(Held::new(y).into())
}

/// Division by the length along an axis.
///
/// # Errors
/// If it is another length than of order 1 or 2.
pub fn unit_length(b: &mut Builder, node: &Node) -> Outcome<Value> {
    let x = b.numbers(node, 0)?;
    let axis = known::axis(node, "axis", -1, b.net.graph.shape(x).len())?;
    let order = node.int("p", 2);
    let y = match order {
        // A row of zeros stays one.
        1 | 2 => b.net.graph.formula([x], |[x]| {
            let length =
                if order == 1 { x.abs().sum_keep(&[axis]) } else { x.square().sum_keep(&[axis]).sqrt() };
            &x / length.equal(0.0).select(1.0, &length)
        })?,
        other => return Err(format!("p = {other} is not supported").into()),
    };
    Ok(Held::new(y).into())
}

/// Division by the sizes of neighbouring channels.
///
/// # Errors
/// If its operand has no channels.
pub fn across_channels(b: &mut Builder, node: &Node) -> Outcome<Value> {
    let (alpha, beta, bias) = (node.float("alpha", 1e-4), node.float("beta", 0.75), node.float("bias", 1.0));
    let size = usize::try_from(node.int("size", 0)).ok().filter(|&n| (1..=4096).contains(&n));
    let size = size.ok_or("its size is out of range")?;
    let x = b.numbers(node, 0)?;
    let shape = b.net.graph.shape(x).clone();
    let (rows, channels) = match shape[..] {
        [rows, channels, ..] => (rows, channels),
        _ => return Err("its operand has no channels".into()),
    };
    // Channels as lines of an image.
    let image = b.net.graph.reshape(x, &[rows, channels, elements(&shape[2..]), 1])?;
    let square = b.net.graph.unary(crate::scalar::UnaryFn::Square, image)?;
    let before = (size - 1) / 2;
    let spec = PoolSpec {
        padding: [[before, size - 1 - before], [0, 0]],
        stride: [1, 1],
        divisor_override: Some(1),
        ..PoolSpec::new([size, 1])
    };
    let sums = b.net.graph.avg_pool(square, &spec)?;
    let y = b
        .net
        .graph
        .formula([image, sums], |[x, sums]| x * ((sums * (alpha / size as f64) + bias).ln() * -beta).exp())?;
    Ok(Held::new(b.net.graph.reshape(y, &shape)?).into())
}
