//! Attention one step at a time: keys and values of the steps before are kept as states, so that the next symbol of a
//! text costs one step instead of all of them.

use super::arrangement::Arrangement;
use super::network::{Cache, Network};
use super::tensors::State;
use crate::base::tensor::DType;
use crate::graph::{GraphError, Source, ValueId};
use crate::oracle::attention::slope;

impl Network<'_> {
    /// Begins to read one step at a time, of at most `length`. States of zeros begin a text.
    ///
    /// # Errors
    /// None but those of the graph.
    pub(super) fn begin_cache(&mut self, length: usize) -> Result<(), GraphError> {
        let before = self.kept("seen".into(), &[1, length])?;
        let first = self.graph.constant(&[1, 1], &[1.0])?;
        let mut parts = vec![first];
        if length > 1 {
            parts.push(self.graph.slice(before, &[0, 0], &[1, length - 1])?);
        }
        let seen = self.graph.concat(&parts, 1)?;
        let place = self.graph.sub(seen, before)?;
        self.keep("seen".into(), seen);
        self.cache = Some(Cache { length, place, seen });
        Ok(())
    }

    /// What was kept under this name, and the new row `[B, 1, N, D]` at its place: `[B, length, N, D]`.
    pub(super) fn cached(&mut self, name: String, cache: Cache, row: ValueId) -> Result<ValueId, GraphError> {
        let shape = self.graph.shape(row).to_vec();
        let before = self.kept(name.clone(), &[shape[0], cache.length, shape[2], shape[3]])?;
        let place = self.graph.reshape(cache.place, &[1, cache.length, 1, 1])?;
        let all = self.graph.formula([before, place, row], |[before, place, row]| before + place * row)?;
        self.keep(name, all);
        Ok(all)
    }

    /// The row of this step of a table `[length, D]`: `[1, D]`.
    pub(super) fn row_of(&mut self, cache: Cache, table: ValueId) -> Result<ValueId, GraphError> {
        self.graph.matmul(cache.place, table)
    }

    /// What the scores `[1, length, H]` of this step's query with the keys that were kept fall by with distance.
    pub(super) fn falls_cached(&mut self, cache: Cache, heads: usize) -> Result<ValueId, GraphError> {
        let places: Vec<f32> = (0..cache.length).map(|at| at as f32).collect();
        let slopes: Vec<f32> = (0..heads).map(|head| slope(head, heads)).collect();
        let places = self.graph.constant(&[1, cache.length], &places)?;
        let slopes = self.graph.constant(&[1, 1, heads], &slopes)?;
        let own = self.graph.mul(cache.place, places)?;
        let own = self.graph.sum(own, &[1], true)?;
        // Later keys are not seen.
        let apart = self.graph.formula([own, places], |[own, place]| (own - place).maximum(0.0))?;
        let apart = self.graph.reshape(apart, &[1, cache.length, 1])?;
        self.graph.mul(apart, slopes)
    }

    /// Attention `[B, 1, H, D]` of the query of this step to the keys and values that were kept, with scores times
    /// `scale`, less what they fall by.
    pub(super) fn attend_cached(
        &mut self,
        cache: Cache,
        [query, keys, values]: [ValueId; 3],
        scale: f64,
        falls: Option<ValueId>,
    ) -> Result<ValueId, GraphError> {
        let [batch, length, heads, width] = self.graph.shape(keys)[..] else { return Ok(query) };
        let products = self.graph.mul(query, keys)?;
        let mut scores = self.graph.sum(products, &[3], false)?;
        if let Some(falls) = falls {
            scores = self.graph.formula([scores, falls], |[scores, falls]| scores - falls * (1.0 / scale))?;
        }
        let seen = self.graph.reshape(cache.seen, &[1, length, 1])?;
        // Far below any score, so that the weight is 0.
        let scores =
            self.graph.formula([scores, seen], |[scores, seen]| scores * scale + (seen - 1.0) * 1e9)?;
        let weights = self.graph.softmax_over(scores, 1)?;
        let weights = self.graph.reshape(weights, &[batch, length, heads, 1])?;
        let parts = self.graph.mul(weights, values)?;
        let sum = self.graph.sum(parts, &[1], false)?;
        self.graph.reshape(sum, &[batch, 1, heads, width])
    }

    /// A state that is carried from step to step.
    fn kept(&mut self, name: String, shape: &[usize]) -> Result<ValueId, GraphError> {
        let name = of_generation(&name);
        let value = self.graph.source(Source::State(name.clone()), shape, DType::F32)?;
        let arrangement = Arrangement::default();
        self.carried.push(State { name, shape: shape.to_vec(), initial: 0.0, arrangement });
        Ok(value)
    }

    fn keep(&mut self, name: String, value: ValueId) {
        self.updates.push((of_generation(&name), value));
    }
}

fn of_generation(name: &str) -> String {
    format!("evaluation.{name}")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use crate::base::tensor::Tensor;
    use crate::graph::ops::EvalContext;
    use crate::graph::{Op, Source, ValueId, reference};
    use crate::nn::config::ModelConfig;
    use crate::nn::inputs::{TextShape, X};
    use crate::nn::losses::Loss;
    use crate::nn::{Language, Model, ModelGraph};

    const LENGTH: usize = 6;
    const SYMBOLS: usize = 5;

    /// The logits of a model that reads these symbols, in `f64`, and what it carries on.
    fn run(
        graph: &ModelGraph,
        symbols: &[u32],
        carried: &BTreeMap<String, Tensor>,
    ) -> (Vec<f64>, BTreeMap<String, Tensor>) {
        let mut bindings = BTreeMap::new();
        for (at, node) in graph.graph.nodes.iter().enumerate() {
            let Op::Source(op) = &node.op else { continue };
            let shape = op.ty.shape.clone();
            let count = shape.iter().product::<usize>();
            let data = match &op.source {
                Source::Parameter(name) => {
                    let phase = name.bytes().map(f64::from).sum::<f64>();
                    (0..count).map(|i| (i as f64 * 1.7 + phase).sin()).collect()
                }
                Source::State(name) => carried.get(name).map_or(vec![0.0; count], |kept| kept.data.clone()),
                Source::Batch(name) if name == X => symbols.iter().map(|&s| f64::from(s)).collect(),
                _ => vec![0.0; count],
            };
            bindings.insert(ValueId(at as u32), Tensor::new(shape, data));
        }
        let wanted: Vec<ValueId> =
            std::iter::once(graph.predictions).chain(graph.updates.iter().map(|(_, v)| *v)).collect();
        let mut found =
            reference::evaluate(&graph.graph, &bindings, &EvalContext::default(), &wanted).unwrap();
        let states = graph.updates.iter().map(|(name, _)| name.clone()).zip(found.split_off(1)).collect();
        (found.remove(0).data, states)
    }

    #[test]
    fn steps_one_at_a_time_are_those_of_the_whole_sequence() {
        let configs = [
            "positions = \"learned\"\nactivation = \"gelu\"",
            "positions = \"sinusoidal\"\ntied = true",
            "positions = \"rotary\"\nactivation = \"swiglu\"",
            "positions = \"alibi\"",
        ];
        let rows: [[u32; LENGTH]; 2] = [[1, 4, 2, 0, 3, 3], [2, 2, 1, 4, 0, 1]];
        for config in configs {
            let config: ModelConfig =
                toml::from_str(&format!("family = \"transformer\"\nwidth = 8\nheads = 2\n{config}")).unwrap();
            let shape = TextShape { length: LENGTH, vocabulary: SYMBOLS };
            let loss = Loss::CrossEntropy { label_smoothing: 0.0, class_weights: Default::default() };
            let model = Language::new(&config, shape, loss);
            assert!(model.can_cache());
            let whole = model.clone().with_logits().graph(2, false).unwrap();
            let (expected, _) = run(&whole, &rows.concat(), &BTreeMap::new());
            let stepping = model.generator().graph(2, false).unwrap();
            let mut carried = BTreeMap::new();
            for step in 0..LENGTH {
                let found = run(&stepping, &rows.map(|row| row[step]), &carried);
                carried = found.1;
                for (row, logits) in found.0.chunks(SYMBOLS).enumerate() {
                    let at = (row * LENGTH + step) * SYMBOLS;
                    for (found, expected) in logits.iter().zip(&expected[at..at + SYMBOLS]) {
                        assert!((found - expected).abs() < 1e-6, "step {step}: {found}, {expected}");
                    }
                }
            }
        }
    }
}
