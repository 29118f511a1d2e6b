//! Scaled dot-product attention (operator set 23 and up), of values heads first `[B, H, T, D]`, or of rows `[B, T, H D]`
//! whose heads an attribute counts.

use super::super::build::{Builder, Held, Outcome, Value};
use super::super::known::Kind;
use super::super::model::Node;
use crate::graph::ValueId;

/// Attention of queries over keys and values.
///
/// # Errors
/// If it has a cache, limits its scores, or what it masks is not known.
pub fn attention(b: &mut Builder, node: &Node) -> Outcome<Value> {
    let _ = (node.int("softmax_precision", 1), node.int("qk_matmul_output_mode", 0));
    if node.float("softcap", 0.0) != 0.0 {
        return Err("it limits its scores (softcap)".into());
    }
    if node.inputs.iter().skip(4).any(|name| !name.is_empty()) {
        return Err("it goes on from past keys and values, or has lengths of sequences".into());
    }
    if node.outputs.iter().skip(1).any(|name| !name.is_empty()) {
        return Err("it gives its keys, values or scores as well".into());
    }
    let of_rows = [node.int("q_num_heads", 0), node.int("kv_num_heads", 0)];
    let (q, flat) = heads(b, node, 0, of_rows[0])?;
    let [k, v] = [heads(b, node, 1, of_rows[1])?.0, heads(b, node, 2, of_rows[1])?.0];
    let (queries, keys) = (b.net.graph.shape(q).clone(), b.net.graph.shape(k).clone());
    let (&[_, count, steps, width], &[_, groups, others, _]) = (&queries[..], &keys[..]) else {
        return Err("its operands are no sequences of heads".into());
    };
    if groups == 0 || !count.is_multiple_of(groups) {
        return Err(format!("{count} heads of queries cannot share {groups} heads of keys").into());
    }
    let [k, v] = [repeated(b, k, count / groups)?, repeated(b, v, count / groups)?];
    let scale = node.float("scale", 1.0 / (width as f64).sqrt());
    let scores = b.net.graph.matmul_with(q, k, false, true)?;
    let mut scores = b.net.graph.mul_scalar(scores, scale)?;
    if node.inputs.get(3).is_some_and(|name| !name.is_empty()) {
        scores = masked(b, node, scores)?;
    }
    if node.int("is_causal", 0) != 0 {
        let hidden = |at: usize| if at % others > at / others { f32::NEG_INFINITY } else { 0.0 };
        let mask: Vec<f32> = (0..steps * others).map(hidden).collect();
        let mask = b.net.graph.constant(&[steps, others], &mask)?;
        scores = b.net.graph.add(scores, mask)?;
    }
    let weights = b.net.graph.softmax(scores)?;
    let y = b.net.graph.matmul(weights, v)?;
    if !flat {
        return Ok(Held::new(y).into());
    }
    let shape = b.net.graph.shape(y).clone();
    let y = b.net.graph.permute(y, &[0, 2, 1, 3])?;
    Ok(Held::new(b.net.graph.reshape(y, &[shape[0], shape[2], shape[1] * shape[3]])?).into())
}

/// Operand `at`, heads first; and whether it was rows.
fn heads(b: &mut Builder, node: &Node, at: usize, count: i64) -> Outcome<(ValueId, bool)> {
    let x = b.numbers(node, at)?;
    match b.net.graph.shape(x)[..] {
        [_, _, _, _] => Ok((x, false)),
        [batch, steps, width] => {
            let count = usize::try_from(count).ok().filter(|&count| count > 0 && width.is_multiple_of(count));
            let count = count.ok_or("it does not say how many heads its rows have")?;
            let split = b.net.graph.reshape(x, &[batch, steps, count, width / count])?;
            Ok((b.net.graph.permute(split, &[0, 2, 1, 3])?, true))
        }
        _ => Err("its operands are neither rows nor heads".into()),
    }
}

/// Each head as often as heads of queries share it, one after the other.
fn repeated(b: &mut Builder, x: ValueId, times: usize) -> Outcome<ValueId> {
    if times == 1 {
        return Ok(x);
    }
    let [batch, heads, steps, width] = b.net.graph.shape(x)[..] else { return Ok(x) };
    let apart = b.net.graph.reshape(x, &[batch, heads, 1, steps, width])?;
    let all = b.net.graph.broadcast(apart, &[batch, heads, times, steps, width])?;
    Ok(b.net.graph.reshape(all, &[batch, heads * times, steps, width])?)
}

/// Scores with minus infinity where a mask of truth values is false, or with what a mask of numbers adds.
fn masked(b: &mut Builder, node: &Node, scores: ValueId) -> Outcome<ValueId> {
    let held = b.held(node, 3)?;
    let id = b.first(&held)?;
    if b.net.graph.shape(id).last() != b.net.graph.shape(scores).last() {
        return Err("its mask is for fewer keys than there are".into());
    }
    if held.kind != Kind::Bool {
        Builder::want_floats(&held)?;
        return Ok(b.net.graph.add(scores, id)?);
    }
    let added = b.net.graph.formula([id], |[x]| x.equal(0.0).select(f64::NEG_INFINITY, 0.0))?;
    Ok(b.net.graph.add(scores, added)?)
}
