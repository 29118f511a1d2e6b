//! Self-attention over the steps of sequences.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::keys::yes;
use super::{Layer, Place};
use crate::base::rng::streams;
use crate::graph::attention::Attend;
use crate::graph::{Graph, GraphError, ValueId};
use crate::nn::arrangement::Arrangement;
use crate::nn::init::Init;
use crate::nn::network::{Cache, Network};

/// Multi-head self-attention (Vaswani et al. 2017, arXiv:1706.03762), with the parameters of PyTorch's
/// `nn.MultiheadAttention`. The steps of a sequence, or the positions of an image, attend to one another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Attention {
    /// Heads; they divide the number of features.
    pub heads: usize,
    /// Whether a step attends to itself and earlier steps only.
    #[serde(default)]
    pub causal: bool,
    /// Dropout rate of the attention weights.
    #[serde(default)]
    pub dropout: f64,
    /// Whether the projections add biases.
    #[serde(default = "yes")]
    pub bias: bool,
    /// Whether queries and keys are rotated by their position (Su et al. 2021, arXiv:2104.09864), so that scores
    /// depend on how far apart steps are.
    #[serde(default)]
    pub rotary: bool,
    /// Whether scores fall with how far apart steps are, faster in the first heads (ALiBi: Press, Smith and Lewis 2022,
    /// arXiv:2108.12409).
    #[serde(default)]
    pub alibi: bool,
}

/// Maximum heads.
const MAX_HEADS: usize = 1024;

/// Checks the number of heads.
pub(super) fn check_heads(heads: usize) -> Result<(), String> {
    if (1..=MAX_HEADS).contains(&heads) {
        return Ok(());
    }
    Err(format!("has {heads} heads; allowed are 1 to {MAX_HEADS}"))
}

/// Checks that there is one way to tell positions.
pub(super) fn check_positions(rotary: bool, alibi: bool) -> Result<(), String> {
    match rotary && alibi {
        true => {
            Err("has `rotary` and `alibi`, which both tell how far apart steps are; leave one out".into())
        }
        false => Ok(()),
    }
}

/// Checks a dropout rate.
pub(super) fn check_rate(rate: f64) -> Result<(), String> {
    if (0.0..1.0).contains(&rate) {
        return Ok(());
    }
    Err(format!("has dropout = {rate}; it must be at least 0 and below 1"))
}

impl Layer for Attention {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn check(&self) -> Result<(), String> {
        check_heads(self.heads)?;
        check_positions(self.rotary, self.alibi)?;
        check_rate(self.dropout)
    }

    fn reads_steps(&self) -> bool {
        true
    }

    fn build(&self, net: &mut Network, place: &Place, x: ValueId) -> Result<ValueId, GraphError> {
        let shape = net.graph.shape(x).clone();
        let [batch, steps, width] = net.steps("attention", x)?;
        let rows = net.graph.reshape(x, &[batch * steps, width])?;
        let y = net.self_attention(&place.name, self, [batch, steps], net.stream_of(place, 0), rows)?;
        net.graph.reshape(y, &shape)
    }
}

impl Network<'_> {
    /// Batch, steps and features of sequences `[B, T, 1, F]`, or of images `[B, H, W, F]` as `H W` steps.
    pub(super) fn steps(&self, layer: &'static str, x: ValueId) -> Result<[usize; 3], GraphError> {
        match self.graph.shape(x)[..] {
            [batch, height, across, width] => Ok([batch, height * across, width]),
            _ => {
                let reason = "expected sequences, found rows of numbers; put a `tokens` layer before it";
                Err(self.graph.error(layer, &[x], reason.into()))
            }
        }
    }

    /// The random stream of draw `number` (below 4) of an attending layer.
    pub(super) fn stream_of(&self, place: &Place, number: u32) -> u32 {
        streams::ATTENTION + 4 * (self.first_stream - streams::LAYERS + place.number as u32) + number
    }

    /// Self-attention of rows `[B T, F]`.
    pub(super) fn self_attention(
        &mut self,
        name: &str,
        keys: &Attention,
        [batch, steps]: [usize; 2],
        stream: u32,
        x: ValueId,
    ) -> Result<ValueId, GraphError> {
        let (heads, width) = (keys.heads, self.graph.shape(x)[1]);
        if !width.is_multiple_of(heads) {
            let reason = format!(
                "{heads} heads do not divide {width} features evenly; change `heads` or the width before it"
            );
            return Err(self.graph.error("attention", &[x], reason));
        }
        // Xavier's, as in PyTorch.
        let init = Init::Uniform { bound: (6.0 / (4 * width) as f32).sqrt() };
        let weight = self.parameter(format!("{name}.in_proj_weight"), &[3 * width, width], init, true)?;
        let bias = match keys.bias {
            true => Some(self.parameter(
                format!("{name}.in_proj_bias"),
                &[3 * width],
                Init::Constant(0.0),
                false,
            )?),
            false => None,
        };
        let mut all = self.graph.matmul_with(x, weight, false, true)?;
        all = self.adapted(name, Arrangement::default(), x, all)?;
        if let Some(bias) = bias {
            all = self.graph.add(all, bias)?;
        }
        let all = self.graph.reshape(all, &[batch, steps, 3 * heads, width / heads])?;
        let y = match self.cache {
            Some(cache) => self.step_of_attention(name, cache, keys, all)?,
            None => {
                let all = if keys.rotary { self.graph.rotary(all, 2 * heads)? } else { all };
                let rate = if self.drops { keys.dropout } else { 0.0 };
                let attend =
                    Attend::new(width / heads, keys.causal).with_alibi(keys.alibi).with_dropout(rate, stream);
                let lengths = self.lengths.map(|lengths| lengths.count);
                self.graph.attention_packed(all, heads, lengths, attend)?
            }
        };
        let y = self.graph.reshape(y, &[batch * steps, width])?;
        let init = Init::Uniform { bound: 1.0 / (width as f32).sqrt() };
        let weight = self.parameter(format!("{name}.out_proj.weight"), &[width, width], init, true)?;
        let out = self.graph.matmul_with(y, weight, false, true)?;
        let y = self.adapted(&format!("{name}.out_proj"), Arrangement::default(), y, out)?;
        if !keys.bias {
            return Ok(y);
        }
        let bias = self.parameter(format!("{name}.out_proj.bias"), &[width], Init::Constant(0.0), false)?;
        self.graph.add(y, bias)
    }

    /// Attention of one step, whose queries, keys and values are packed as `[B, 1, 3 H, D]`, to itself and those before.
    fn step_of_attention(
        &mut self,
        name: &str,
        cache: Cache,
        keys: &Attention,
        mut all: ValueId,
    ) -> Result<ValueId, GraphError> {
        let (heads, [batch, _, rows, width]) = (keys.heads, self.extents("attention", all)?);
        if keys.rotary {
            let [cos, sin] = Graph::rotations(cache.length, width).map(|table| {
                let table = self.graph.constant(&[cache.length, width / 2], &table)?;
                let row = self.row_of(cache, table)?;
                self.graph.reshape(row, &[1, 1, 1, width / 2])
            });
            let rotated = self.graph.slice(all, &[0; 4], &[batch, 1, 2 * heads, width])?;
            let rotated = self.graph.rotated(rotated, [cos?, sin?])?;
            let others =
                self.graph.slice(all, &[0, 0, 2 * heads, 0], &[batch, 1, rows - 2 * heads, width])?;
            all = self.graph.concat(&[rotated, others], 2)?;
        }
        let part = |net: &mut Self, from: usize| {
            net.graph.slice(all, &[0, 0, from * heads, 0], &[batch, 1, heads, width])
        };
        let [query, key, value] = [part(self, 0)?, part(self, 1)?, part(self, 2)?];
        let all_keys = self.cached(format!("{name}.keys"), cache, key)?;
        let values = self.cached(format!("{name}.values"), cache, value)?;
        let falls = if keys.alibi { Some(self.falls_cached(cache, heads)?) } else { None };
        self.attend_cached(cache, [query, all_keys, values], 1.0 / (width as f64).sqrt(), falls)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{assert_near, numbers, run};
    use super::*;
    use crate::base::tensor::Tensor;

    /// `x W^T + b` of rows.
    fn linear(x: &[f64], weight: &[f64], bias: &[f64]) -> Vec<f64> {
        let inputs = weight.len() / bias.len();
        let row = |x: &[f64]| -> Vec<f64> {
            let dot = |w: &[f64]| w.iter().zip(x).map(|(w, x)| w * x).sum::<f64>();
            weight.chunks(inputs).zip(bias).map(|(w, b)| dot(w) + b).collect()
        };
        x.chunks(inputs).flat_map(row).collect()
    }

    #[test]
    fn it_is_the_formula_of_the_paper_head_by_head() {
        let (steps, width, heads) = (4, 6, 2);
        let part = width / heads;
        let x = numbers(steps * width, 0.1);
        let weights = [(3 * width * width, 0.3), (3 * width, 0.7), (width * width, 1.1), (width, 1.9)];
        let weights = weights
            .map(|(count, phase)| numbers(count, phase).into_iter().map(|w| w * 0.4).collect::<Vec<f64>>());
        let [in_weight, in_bias, out_weight, out_bias] = &weights;
        let all = linear(&x, in_weight, in_bias);
        let at = |step: usize, which: usize, d: usize| all[step * 3 * width + which * width + d];
        for (causal, alibi) in [(false, false), (true, false), (false, true), (true, true)] {
            // Of two heads.
            let slopes = if alibi { [1.0 / 16.0, 1.0 / 256.0] } else { [0.0; 2] };
            let mut mixed = vec![0.0; steps * width];
            for (head, slope) in slopes.into_iter().enumerate() {
                for i in 0..steps {
                    let score = |j: usize| {
                        let dot: f64 =
                            (0..part).map(|d| at(i, 0, head * part + d) * at(j, 1, head * part + d)).sum();
                        (dot / (part as f64).sqrt() - slope * i.abs_diff(j) as f64).exp()
                    };
                    let seen: Vec<usize> = (0..steps).filter(|&j| !causal || j <= i).collect();
                    let total: f64 = seen.iter().map(|&j| score(j)).sum();
                    for d in head * part..(head + 1) * part {
                        mixed[i * width + d] = seen.iter().map(|&j| score(j) / total * at(j, 2, d)).sum();
                    }
                }
            }
            let expected = linear(&mixed, out_weight, out_bias);
            let layer = Attention { heads, causal, dropout: 0.3, bias: true, rotary: false, alibi };
            let found = run(&layer, Tensor::new([1, steps, 1, width], x.clone()), &weights);
            assert_eq!(found.shape, [1, steps, 1, width]);
            assert_near(&found.data, &expected);
        }
    }

    #[test]
    fn rotated_scores_depend_on_the_distance_alone() {
        // Equal rows everywhere: without positions, and with distances alone, all steps give the same.
        let (steps, width) = (5, 8);
        let row = numbers(width, 0.4);
        let x = row.repeat(steps);
        let weights = [(3 * width * width, 0.3), (3 * width, 0.7), (width * width, 1.1), (width, 1.9)]
            .map(|(count, phase)| numbers(count, phase));
        let layer =
            Attention { heads: 2, causal: false, dropout: 0.0, bias: true, rotary: true, alibi: false };
        let found = run(&layer, Tensor::new([1, steps, 1, width], x), &weights);
        for step in found.data.chunks(width) {
            assert_near(step, &found.data[..width]);
        }
    }
}
