//! The weights of attention in the graph of a model, layer by layer and multiplied: what [`rollout`](super::rollout) reads.

use crate::graph::attention::Attend;
use crate::graph::copy::Places;
use crate::graph::ops::{Attended, Attention, Op};
use crate::graph::{Graph, GraphError, ValueId};
use crate::oracle::attention::slope;

/// Whether a model attends to tokens of its inputs, all layers to as many.
pub(super) fn attends(model: &Graph) -> bool {
    !layers(model).is_empty()
}

/// The rollout `[B, T, T]` in `graph`, into which `model` was copied, and the last attention's result `[B, T, H, D]`.
pub(super) fn rolled(
    graph: &mut Graph,
    places: &Places,
    model: &Graph,
) -> Result<Option<(ValueId, ValueId)>, GraphError> {
    let layers = layers(model);
    let Some((last, _)) = layers.last() else { return Ok(None) };
    let mut rolled = None;
    for (at, attend) in &layers {
        let operands = model.node(*at).inputs.iter().map(|&input| places.of(input)).collect::<Vec<_>>();
        let weights = weights(graph, attend, &operands)?;
        let tokens = graph.shape(weights)[1];
        let identity: Vec<f32> =
            (0..tokens * tokens).map(|at| if at / tokens == at % tokens { 1.0 } else { 0.0 }).collect();
        let identity = graph.constant(&[tokens, tokens], &identity)?;
        let both = graph.add(weights, identity)?;
        let layer = graph.mul_scalar(both, 0.5)?;
        rolled = Some(match rolled {
            None => layer,
            Some(before) => graph.matmul(layer, before)?,
        });
    }
    Ok(rolled.map(|rolled| (rolled, places.of(*last))))
}

/// The attention of a model in order, if all of it is over the same number of tokens.
fn layers(model: &Graph) -> Vec<(ValueId, Attend)> {
    let mut found = vec![];
    let mut tokens = None;
    for (at, node) in model.nodes.iter().enumerate() {
        let Op::Attention(Attention { attend, result: Attended::Values }) = &node.op else { continue };
        let [_, queries, ..] = node.ty.shape[..] else { return vec![] };
        let operands = if attend.packed.is_some() { 1 } else { 3 };
        // The packed tensor, or the keys.
        let keys = node.inputs.get(usize::from(operands > 1)).map(|&keys| model.shape(keys)[1]);
        // Lengths are of texts, whose symbols are no columns.
        let is_over_all = node.inputs.len() == operands && keys == Some(queries);
        if !is_over_all || tokens.is_some_and(|tokens| tokens != queries) {
            return vec![];
        }
        tokens = Some(queries);
        found.push((ValueId(at as u32), *attend));
    }
    found
}

/// The mean over heads of the weights of attention, `[B, T, T]`.
fn weights(graph: &mut Graph, attend: &Attend, operands: &[ValueId]) -> Result<ValueId, GraphError> {
    let [q, k] = match attend.packed {
        Some(heads) => {
            let [batch, tokens, rows, width] = extents(graph, operands[0])?;
            let shared = (rows - heads) / 2;
            let q = graph.slice(operands[0], &[0; 4], &[batch, tokens, heads, width])?;
            [q, graph.slice(operands[0], &[0, 0, heads, 0], &[batch, tokens, shared, width])?]
        }
        None => [operands[0], operands[1]],
    };
    let [batch, tokens, heads, width] = extents(graph, q)?;
    let [_, _, shared, _] = extents(graph, k)?;
    let q = graph.permute(q, &[0, 2, 1, 3])?;
    let k = graph.permute(k, &[0, 2, 1, 3])?;
    let k = graph.reshape(k, &[batch, shared, 1, tokens, width])?;
    let k = graph.broadcast(k, &[batch, shared, heads / shared, tokens, width])?;
    let k = graph.reshape(k, &[batch, heads, tokens, width])?;
    let scores = graph.matmul_with(q, k, false, true)?;
    let mut scores = graph.mul_scalar(scores, f64::from(f32::from_bits(attend.scale)))?;
    if attend.alibi {
        let apart: Vec<f32> =
            (0..tokens * tokens).map(|at| (at / tokens).abs_diff(at % tokens) as f32).collect();
        let slopes: Vec<f32> = (0..heads).map(|head| -slope(head, heads)).collect();
        let apart = graph.constant(&[1, tokens, tokens], &apart)?;
        let slopes = graph.constant(&[heads, 1, 1], &slopes)?;
        let falls = graph.mul(apart, slopes)?;
        scores = graph.add(scores, falls)?;
    }
    if attend.causal {
        let hidden = |at: usize| if at % tokens > at / tokens { -1e30 } else { 0.0 };
        let mask: Vec<f32> = (0..tokens * tokens).map(hidden).collect();
        let mask = graph.constant(&[tokens, tokens], &mask)?;
        scores = graph.add(scores, mask)?;
    }
    let weights = graph.softmax(scores)?;
    graph.mean(weights, &[1], false)
}

fn extents(graph: &Graph, value: ValueId) -> Result<[usize; 4], GraphError> {
    let shape = graph.shape(value);
    shape[..].try_into().map_err(|_| graph.error("attention", &[value], "expected [B, T, H, D]".into()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::base::tensor::{DType, Tensor};
    use crate::graph::attention::Heads;
    use crate::graph::ops::EvalContext;
    use crate::graph::{Source, reference};

    const BATCH: usize = 2;
    const TOKENS: usize = 3;
    const WIDTH: usize = 2;

    fn numbers(count: usize, seed: f64) -> Vec<f64> {
        (0..count).map(|at| (at as f64 * 1.7 + seed).sin()).collect()
    }

    /// `(mean over heads of the softmax + I) / 2` of a row of the batch; `q(t, h)` and `k(t, h)` give vectors;
    /// causal scores fall with distance.
    fn layer<'a>(
        heads: usize,
        causal: bool,
        q: impl Fn(usize, usize) -> &'a [f64],
        k: impl Fn(usize, usize) -> &'a [f64],
    ) -> [[f64; TOKENS]; TOKENS] {
        let mut found = [[0.0; TOKENS]; TOKENS];
        for (t, row) in found.iter_mut().enumerate() {
            row[t] += 0.5;
            for h in 0..heads {
                let score = |s: usize| {
                    let product: f64 = q(t, h).iter().zip(k(s, h)).map(|(a, b)| a * b).sum();
                    let falls = if causal { f64::from(slope(h, heads)) * t.abs_diff(s) as f64 } else { 0.0 };
                    if causal && s > t { 0.0 } else { (product / (WIDTH as f64).sqrt() - falls).exp() }
                };
                let sum: f64 = (0..TOKENS).map(score).sum();
                (0..TOKENS).for_each(|s| row[s] += 0.5 * score(s) / sum / heads as f64);
            }
        }
        found
    }

    #[test]
    fn layers_of_both_forms_are_multiplied_the_last_on_the_left() {
        let mut model = Graph::new();
        let mut source = |name: &str, heads: usize| {
            let shape = [BATCH, TOKENS, heads, WIDTH];
            (model.source(Source::Batch(name.into()), &shape, DType::F32).unwrap(), shape)
        };
        // Two heads of queries share one of keys, packed with the values.
        let (all, all_shape) = source("all", 4);
        let (q, heads_shape) = source("q", 3);
        let (k, _) = source("k", 3);
        let attend = Attend::new(WIDTH, true).with_alibi(true);
        let first = model.attention_packed(all, 2, None, attend).unwrap();
        let first = model.sum(first, &[2], true).unwrap();
        let v = model.broadcast(first, &heads_shape).unwrap();
        let last = model.attention(Heads { q, k, v }, None, Attend::new(WIDTH, false)).unwrap();
        assert!(attends(&model));

        let mut graph = Graph::new();
        let places = graph.append(&model, &[last], &mut |_, _| Ok(None)).unwrap();
        let (value, end) = rolled(&mut graph, &places, &model).unwrap().unwrap();
        assert_eq!(end, places.of(last));
        let count = |shape: [usize; 4]| shape.iter().product::<usize>();
        let [all_data, q_data, k_data] =
            [(count(all_shape), 0.3), (count(heads_shape), 1.1), (count(heads_shape), 2.9)]
                .map(|(count, seed)| numbers(count, seed));
        let bind = |value, shape: [usize; 4], data: &Vec<f64>| {
            (places.of(value), Tensor::new(shape.to_vec(), data.clone()))
        };
        let bindings = BTreeMap::from([
            bind(all, all_shape, &all_data),
            bind(q, heads_shape, &q_data),
            bind(k, heads_shape, &k_data),
        ]);
        let found = reference::evaluate(&graph, &bindings, &EvalContext::default(), &[value]).unwrap();
        assert_eq!(found[0].shape, [BATCH, TOKENS, TOKENS]);
        for b in 0..BATCH {
            let at = |data: &'_ [f64], heads: usize, t: usize, h: usize| {
                let start = ((b * TOKENS + t) * heads + h) * WIDTH;
                start..start + WIDTH.min(data.len())
            };
            let packed = |t, h| &all_data[at(&all_data, 4, t, h)];
            let one = layer(2, true, packed, |s, _| &all_data[at(&all_data, 4, s, 2)]);
            let two =
                layer(3, false, |t, h| &q_data[at(&q_data, 3, t, h)], |s, h| &k_data[at(&k_data, 3, s, h)]);
            for at in 0..TOKENS * TOKENS {
                let (i, j) = (at / TOKENS, at % TOKENS);
                let expected: f64 = two[i].iter().zip(&one).map(|(part, row)| part * row[j]).sum();
                let found = found[0].data[b * TOKENS * TOKENS + at];
                // The scale is of single precision.
                assert!((found - expected).abs() < 1e-7, "{b} {i} {j}: {found} for {expected}");
            }
        }
    }

    #[test]
    fn attention_over_texts_or_to_other_tokens_is_left_out() {
        let mut model = Graph::new();
        let shape = [1, 4, 1, 2];
        let x = model.source(Source::Batch("x".into()), &shape, DType::F32).unwrap();
        let y = model.source(Source::Batch("y".into()), &[1, 5, 1, 2], DType::F32).unwrap();
        let heads = Heads { q: x, k: y, v: y };
        model.attention(heads, None, Attend::new(2, false)).unwrap();
        assert!(!attends(&model), "other tokens are attended to");
        let mut model = Graph::new();
        let x = model.source(Source::Batch("x".into()), &shape, DType::F32).unwrap();
        let lengths = model.source(Source::Batch("lengths".into()), &[1], DType::U32).unwrap();
        model.attention(Heads { q: x, k: x, v: x }, Some(lengths), Attend::new(2, false)).unwrap();
        assert!(!attends(&model), "lengths are given");
    }
}
