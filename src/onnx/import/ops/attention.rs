//! Scaled dot-product attention (operator set 23 and up), of values heads first `[B, H, T, D]`, or of rows `[B, T, H D]`
//! whose heads an attribute counts.

use super::super::build::{Builder, Held, Outcome, Value};
use super::super::known::Kind;
use super::super::model::Node;
use crate::graph::ValueId;

/// Attention of queries over keys and values: what it gives, the keys and values with those before them, and the scores.
///
/// # Errors
/// If sequences have lengths of their own, scores are limited after a mask, or what it masks is not known.
pub fn attention(b: &mut Builder, node: &Node) -> Outcome<Vec<Value>> {
    let _ = node.int("softmax_precision", 1);
    let (cap, shown) = (node.float("softcap", 0.0), node.int("qk_matmul_output_mode", 0));
    let is_given = |at: usize| node.inputs.get(at).is_some_and(|name| !name.is_empty());
    let is_causal = node.int("is_causal", 0) != 0;
    if is_given(6) {
        return Err("its sequences have lengths (nonpad_kv_seqlen)".into());
    }
    // Programs disagree on which of the two comes first.
    if cap != 0.0 && (is_given(3) || is_causal) {
        return Err("it limits its scores (softcap) and masks some".into());
    }
    let of_rows = [node.int("q_num_heads", 0), node.int("kv_num_heads", 0)];
    let (q, flat) = heads(b, node, 0, of_rows[0])?;
    let (k, before) = after_past(b, node, [1, 4], of_rows[1])?;
    let (v, _) = after_past(b, node, [2, 5], of_rows[1])?;
    let (queries, keys) = (b.net.graph.shape(q).clone(), b.net.graph.shape(k).clone());
    let (&[_, count, steps, width], &[_, groups, others, _]) = (&queries[..], &keys[..]) else {
        return Err("its operands are no sequences of heads".into());
    };
    if groups == 0 || !count.is_multiple_of(groups) {
        return Err(format!("{count} heads of queries cannot share {groups} heads of keys").into());
    }
    let present = [k, v];
    let [k, v] = [repeated(b, k, count / groups)?, repeated(b, v, count / groups)?];
    let scale = node.float("scale", 1.0 / (width as f64).sqrt());
    let scores = b.net.graph.matmul_with(q, k, false, true)?;
    let mut scores = b.net.graph.mul_scalar(scores, scale)?;
    let mut stages = vec![scores];
    if is_given(3) {
        scores = masked(b, node, scores)?;
    }
    if is_causal {
        let hidden = |at: usize| if at % others > at / others + before { f32::NEG_INFINITY } else { 0.0 };
        let mask: Vec<f32> = (0..steps * others).map(hidden).collect();
        let mask = b.net.graph.constant(&[steps, others], &mask)?;
        scores = b.net.graph.add(scores, mask)?;
    }
    stages.push(scores);
    if cap != 0.0 {
        scores = b.net.graph.formula([scores], |[x]| (x * (1.0 / cap)).tanh() * cap)?;
    }
    stages.push(scores);
    let weights = b.net.graph.softmax(scores)?;
    stages.push(weights);
    let shown = usize::try_from(shown).ok().and_then(|shown| stages.get(shown).copied());
    let shown = shown.ok_or("its attribute `qk_matmul_output_mode` is not from 0 to 3")?;
    let mut y = b.net.graph.matmul(weights, v)?;
    if flat {
        let shape = b.net.graph.shape(y).clone();
        y = b.net.graph.permute(y, &[0, 2, 1, 3])?;
        y = b.net.graph.reshape(y, &[shape[0], shape[2], shape[1] * shape[3]])?;
    }
    Ok([y, present[0], present[1], shown].map(|id| Held::new(id).into()).into())
}

/// Keys or values, heads first, after those of the past, if there are any; and how many those are.
fn after_past(
    b: &mut Builder,
    node: &Node,
    [now, past]: [usize; 2],
    count: i64,
) -> Outcome<(ValueId, usize)> {
    let (new, _) = heads(b, node, now, count)?;
    if node.inputs.get(past).is_none_or(String::is_empty) {
        return Ok((new, 0));
    }
    let (old, flat) = heads(b, node, past, 0)?;
    let steps = b.net.graph.shape(old)[2];
    if flat {
        return Err("its past keys and values are no heads".into());
    }
    Ok((b.net.graph.concat(&[old, new], 2)?, steps))
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
