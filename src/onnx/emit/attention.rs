//! Attention, as the products and the softmax that it is: the standard has no operator for it in this operator set.

use super::super::builder::{int, ints};
use super::super::trace::refusal;
use super::{Emitted, Emitter, Held};
use crate::graph::ValueId;
use crate::graph::ops::Attention;

/// From `[N, T, H, D]` to `[N, H, T, D]`, and back.
const HEADS_FIRST: [usize; 4] = [0, 2, 1, 3];

impl Emitter<'_> {
    /// `softmax(q k^T scale) v` of each head; a step that must not see later ones has minus infinity added there.
    pub(super) fn attention(
        &mut self,
        value: ValueId,
        inputs: &[ValueId],
        attention: &Attention,
    ) -> Emitted<Held> {
        let attend = attention.attend;
        let refuse = |what: &str| Err(refusal(self.trace.graph(), value, what));
        if attend.dropout.is_some() {
            return refuse("drops attention at random");
        }
        let heads_first = vec![ints("perm", HEADS_FIRST)];
        let operands: [String; 3] = match (attend.packed, inputs) {
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
                    Ok(parts) => parts,
                    Err(_) => return refuse("cannot be split"),
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
                [turned(*q)?, turned(*k)?, turned(*v)?]
            }
            _ => return refuse("has sequences of different lengths"),
        };
        let [q, k, v] = &operands;
        let k = self.builder.node("Transpose", &[k], vec![ints("perm", [0, 1, 3, 2])]);
        let products = self.builder.node("MatMul", &[q, &k], vec![]);
        let scale = self.builder.numbers(&[], &[f32::from_bits(attend.scale)]);
        let mut scores = self.builder.node("Mul", &[&products, &scale], vec![]);
        if attend.causal {
            let steps = self.dims(value)?[1].known();
            let Some(steps) = steps else { return refuse("masks a number of steps that is not fixed") };
            let hidden = |at: usize| if at % steps > at / steps { f32::NEG_INFINITY } else { 0.0 };
            let mask: Vec<f32> = (0..steps * steps).map(hidden).collect();
            let mask = self.builder.numbers(&[steps, steps], &mask);
            scores = self.builder.node("Add", &[&scores, &mask], vec![]);
        }
        let weights = self.builder.node("Softmax", &[&scores], vec![int("axis", -1)]);
        let mixed = self.builder.node("MatMul", &[&weights, v], vec![]);
        let y = self.builder.node("Transpose", &[&mixed], vec![ints("perm", HEADS_FIRST)]);
        Ok(Held::new(y, self.dims(value)?))
    }
}
