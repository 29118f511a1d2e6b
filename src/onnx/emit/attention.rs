//! Attention, as the products and the softmax that it is: the standard has no operator for it in this operator set.

use super::super::builder::{int, ints};
use super::super::proto::element;
use super::super::trace::{Dim, refusal};
use super::{Emitted, Emitter, Held};
use crate::graph::ValueId;
use crate::graph::attention::Attend;
use crate::graph::ops::{Attended, Attending, Attention, AttentionGrad};
use crate::oracle::attention::slope;

/// From `[N, T, H, D]` to `[N, H, T, D]`, and back.
const HEADS_FIRST: [usize; 4] = [0, 2, 1, 3];
/// What is added to the scores of keys that are not seen: their weights are 0.
const UNSEEN: f32 = -1e30;

impl Emitter<'_> {
    /// `softmax(q k^T scale) v` of each head, or the logarithms of the softmax's sums.
    pub(super) fn attention(
        &mut self,
        value: ValueId,
        inputs: &[ValueId],
        attention: &Attention,
    ) -> Emitted<Held> {
        let count = if attention.attend.packed.is_some() { 1 } else { 3 };
        let (tensors, lengths) = inputs.split_at(count.min(inputs.len()));
        let [q, k, v] = self.heads(value, tensors, &attention.attend)?;
        let mut scores = self.scores(value, [&q, &k], &attention.attend)?;
        let seen = match lengths {
            [lengths] if attention.result == Attended::Values => {
                let keys = self.trace.graph().shape(tensors[count / 2])[1];
                let seen = self.within(*lengths, keys)?;
                scores = self.builder.two("Add", &scores, &seen.0);
                Some(seen.1)
            }
            [] => None,
            _ => return Err(refusal(self.trace.graph(), value, "has sequences of different lengths")),
        };
        let b = &mut *self.builder;
        let y = match attention.result {
            Attended::Values => {
                let weights = b.node("Softmax", &[&scores], vec![int("axis", -1)]);
                let mut mixed = b.two("MatMul", &weights, &v);
                if let Some(any) = seen {
                    mixed = b.two("Mul", &mixed, &any);
                }
                b.node("Transpose", &[&mixed], vec![ints("perm", HEADS_FIRST)])
            }
            Attended::LogSums => {
                let attributes = vec![super::super::builder::integers("axes", [-1]), int("keepdims", 0)];
                let sums = b.node("ReduceLogSumExp", &[&scores], attributes);
                b.node("Transpose", &[&sums], vec![ints("perm", [0, 2, 1])])
            }
        };
        Ok(Held::new(y, self.dims(value)?))
    }

    /// What is added to scores so that keys after the end of a row are not seen, `[N, 1, 1, keys]`, and 1 for rows that
    /// have any, else 0, `[N, 1, 1, 1]`.
    fn within(&mut self, lengths: ValueId, keys: usize) -> Emitted<(String, String)> {
        let lengths = self.whole(lengths)?.name;
        let b = &mut *self.builder;
        let (axes, zero) = (b.integers(&[1, 2, 3]), b.integers(&[0]));
        let lengths = b.node("Unsqueeze", &[&lengths, &axes], vec![]);
        let places: Vec<i64> = (0..keys as i64).collect();
        let places = b.integers(&places);
        let after = b.two("GreaterOrEqual", &places, &lengths);
        let after = b.cast(&after, element::FLOAT);
        // A finite number: of rows without keys, minus infinity would leave no weights at all.
        let least = b.number(UNSEEN);
        let added = b.two("Mul", &after, &least);
        let any = b.two("Greater", &lengths, &zero);
        let any = b.cast(&any, element::FLOAT);
        Ok((added, any))
    }

    /// The gradient of queries, of keys and values, or of all that is packed.
    pub(super) fn attention_gradient(
        &mut self,
        value: ValueId,
        inputs: &[ValueId],
        gradient: &AttentionGrad,
    ) -> Emitted<Held> {
        let attend = &gradient.attend;
        let count = if attend.packed.is_some() { 1 } else { 3 };
        let (Some(&dy), Some(tensors), Some(&[log_sums, products])) =
            (inputs.first(), inputs.get(1..=count), inputs.get(count + 1..))
        else {
            return Err(refusal(self.trace.graph(), value, "has sequences of different lengths"));
        };
        let [q, k, v] = self.heads(value, tensors, attend)?;
        let scores = self.scores(value, [&q, &k], attend)?;
        let turned = [(dy, vec![0, 2, 1, 3]), (log_sums, vec![0, 2, 1]), (products, vec![0, 2, 1])];
        let mut names = vec![];
        for (operand, permutation) in turned {
            let held = self.whole(operand)?;
            names.push(self.builder.node("Transpose", &[&held.name], vec![ints("perm", permutation)]));
        }
        let b = &mut *self.builder;
        let [log_sums, products] = [&names[1], &names[2]].map(|x| b.unsqueeze(x, -1));
        let swap =
            |b: &mut super::Builder, x: &str| b.node("Transpose", &[x], vec![ints("perm", [0, 1, 3, 2])]);
        let centred = b.two("Sub", &scores, &log_sums);
        let weights = b.one("Exp", &centred);
        let values = swap(b, &v);
        let of_weights = b.two("MatMul", &names[0], &values);
        let of_weights = b.two("Sub", &of_weights, &products);
        let of_scores = b.two("Mul", &weights, &of_weights);
        let scale = b.numbers(&[], &[f32::from_bits(attend.scale)]);
        let of_scores = b.two("Mul", &of_scores, &scale);
        let dq = b.two("MatMul", &of_scores, &k);
        let [of_scores, weights] = [&of_scores, &weights].map(|x| swap(b, x));
        let (dk, dv) = (b.two("MatMul", &of_scores, &q), b.two("MatMul", &weights, &names[0]));
        let back =
            |b: &mut super::Builder, x: &str| b.node("Transpose", &[x], vec![ints("perm", HEADS_FIRST)]);
        let name = match (attend.packed, gradient.of) {
            (Some(_), _) => {
                let all = b.concat(&[dq, dk, dv], 1);
                back(b, &all)
            }
            (None, Attending::Queries) => back(b, &dq),
            (None, Attending::KeysAndValues) => {
                let both = [dk, dv].map(|x| {
                    let x = back(b, &x);
                    b.unsqueeze(&x, 0)
                });
                b.concat(&both, 0)
            }
        };
        Ok(Held::new(name, self.dims(value)?))
    }

    /// Queries, keys and values, heads first.
    fn heads(&mut self, value: ValueId, inputs: &[ValueId], attend: &Attend) -> Emitted<[String; 3]> {
        let refuse = |what: &str| Err(refusal(self.trace.graph(), value, what));
        if attend.dropout.is_some() {
            return refuse("drops attention at random");
        }
        let heads_first = vec![ints("perm", HEADS_FIRST)];
        match (attend.packed, inputs) {
            (Some(heads), [all]) => {
                let (held, rows) = (self.whole(*all)?, self.trace.graph().shape(*all)[2]);
                if rows != 3 * heads {
                    return refuse("has heads that share keys");
                }
                let turned = self.builder.node("Transpose", &[&held.name], heads_first);
                let sizes = self.builder.integers(&[heads as i64; 3]);
                let results = ["queries", "keys", "values"];
                let parts = self.builder.several("Split", &[&turned, &sizes], vec![int("axis", 1)], &results);
                match <[String; 3]>::try_from(parts) {
                    Ok(parts) => Ok(parts),
                    Err(_) => refuse("cannot be split"),
                }
            }
            (None, [q, k, v]) => {
                if self.trace.graph().shape(*q)[2] != self.trace.graph().shape(*k)[2] {
                    return refuse("has heads that share keys");
                }
                let mut turned = |operand: ValueId| -> Emitted<String> {
                    let held = self.whole(operand)?;
                    Ok(self.builder.node("Transpose", &[&held.name], heads_first.clone()))
                };
                Ok([turned(*q)?, turned(*k)?, turned(*v)?])
            }
            _ => refuse("has sequences of different lengths"),
        }
    }

    /// `q k^T scale` of each head, less what falls with distance; a step that must not see later ones has minus infinity added there.
    fn scores(&mut self, value: ValueId, [q, k]: [&str; 2], attend: &Attend) -> Emitted<String> {
        let k = self.builder.node("Transpose", &[k], vec![ints("perm", [0, 1, 3, 2])]);
        let products = self.builder.two("MatMul", q, &k);
        let scale = self.builder.numbers(&[], &[f32::from_bits(attend.scale)]);
        let scores = self.builder.two("Mul", &products, &scale);
        if !attend.causal && !attend.alibi {
            return Ok(scores);
        }
        // The result has the steps second, or third where it is of keys and values.
        let dims: Vec<Dim> = self.dims(value)?;
        let steps = dims[if dims.len() == 5 { 2 } else { 1 }].known();
        let Some(steps) = steps else {
            let what = "has a number of steps that is not fixed";
            return Err(refusal(self.trace.graph(), value, what));
        };
        let mut scores = scores;
        if attend.alibi {
            let Some(heads) = attend.packed else {
                let what = "has scores that fall with distance, of heads that are not packed";
                return Err(refusal(self.trace.graph(), value, what));
            };
            let apart: Vec<f32> =
                (0..steps * steps).map(|at| (at / steps).abs_diff(at % steps) as f32).collect();
            let apart = self.builder.numbers(&[steps, steps], &apart);
            let slopes: Vec<f32> = (0..heads).map(|head| slope(head, heads)).collect();
            let slopes = self.builder.numbers(&[heads, 1, 1], &slopes);
            let falls = self.builder.two("Mul", &apart, &slopes);
            scores = self.builder.two("Sub", &scores, &falls);
        }
        if !attend.causal {
            return Ok(scores);
        }
        let hidden = |at: usize| if at % steps > at / steps { f32::NEG_INFINITY } else { 0.0 };
        let mask: Vec<f32> = (0..steps * steps).map(hidden).collect();
        let mask = self.builder.numbers(&[steps, steps], &mask);
        Ok(self.builder.two("Add", &scores, &mask))
    }
}
