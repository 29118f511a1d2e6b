//! Masked language models (Devlin et al. 2019, arXiv:1810.04805): some symbols are hidden, and predicted from those on
//! both sides.

use super::config::transformer::TokensOf;
use super::config::{Listed, ModelConfig};
use super::init::Init;
use super::inputs::DocumentShape;
use super::layers::{Dense, LayerConfig};
use super::lora::Lora;
use super::losses::Losses;
use super::model::Model;
use super::network::Network;
use super::supervised::nothing_learnt;
use super::text::DEVIATION;
use crate::base::rng::{RandomKind, streams};
use crate::graph::{GraphError, ValueId};

/// The part of the positions whose symbols are predicted.
const CHOSEN: f64 = 0.15;
/// Of these, the part that is hidden by a symbol of its own; half of the others become any symbol, the rest stay.
const HIDDEN: f64 = 0.8;

/// A masked language model over texts `u32[B, T]` with `u32[B]` lengths. Of the positions before a text's end, 15 % are
/// chosen by the counter-based generator; 80 % of these read the symbol that hides, 10 % any other symbol, and 10 % their own. The loss is
/// the mean cross-entropy over all chosen positions of a batch, in nats. The predictions are, for each text, the sum of
/// the cross-entropies, the number of chosen positions, and how many were predicted right: `[B, 3]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Masked {
    layers: Vec<LayerConfig>,
    names: Vec<String>,
    documents: DocumentShape,
    embedding_width: usize,
    lora: Option<Lora>,
    tied: bool,
    /// Whether it reads texts as they are, and predicts the logits of every position.
    gives_logits: bool,
}

impl Masked {
    /// The model of a configuration for texts of this shape.
    pub fn new(config: &ModelConfig, documents: DocumentShape) -> Self {
        let Listed { mut layers, names } = config.listed(TokensOf::Masked, None);
        let tied = config.tied == Some(true);
        if !tied {
            layers.push(Dense { units: documents.known(), bias: true }.into());
        }
        let embedding_width = config.symbol_width(documents.vocabulary);
        let lora = config.lora.as_ref().map(Lora::of);
        Self { layers, names, documents, embedding_width, lora, tied, gives_logits: false }
    }

    /// The model that reads texts with the symbol that hides where others are to be found, and outputs the logits of the
    /// known symbols at every position, `[B T, symbols]`.
    pub fn with_logits(self) -> Self {
        Self { gives_logits: true, ..self }
    }
}

impl Model for Masked {
    fn build(&self, net: &mut Network, batch: usize) -> Result<Losses, GraphError> {
        let DocumentShape { length, .. } = self.documents;
        let (known, width) = (self.documents.known(), self.embedding_width);
        net.lora.clone_from(&self.lora);
        net.graph.set_layer("input");
        let symbols = net.documents(self.documents, batch)?;
        // As output weights, those of PyTorch's embedding would give logits of the order of the square root of `width`.
        let init = if self.tied { Init::SmallNormal { deviation: DEVIATION } } else { Init::Normal };
        let table =
            net.parameter("embedding.weight".into(), &[self.documents.vocabulary, width], init, true)?;
        net.summary.push(("embedding".into(), vec![length, width], self.documents.vocabulary * width));
        let chosen = match self.gives_logits {
            true => None,
            false => Some(self.chosen(net, batch)?),
        };
        let h = match chosen {
            None => net.graph.gather(table, symbols)?,
            Some(chosen) => self.read(net, table, symbols, chosen)?,
        };
        let h = net.graph.reshape(h, &[batch, length, 1, width])?;
        let steps =
            self.layers.iter().rposition(|layer| layer.layer().reads_steps()).map_or(0, |last| last + 1);
        net.names = self.names.clone();
        let h = net.layers(&self.layers[..steps], 0, h)?;
        let width = net.graph.shape(h).last().copied().unwrap_or(0);
        let h = net.graph.reshape(h, &[batch * length, width])?;
        let mut logits = net.layers(&self.layers[steps..], steps, h)?;
        if self.tied {
            net.graph.set_layer("output");
            // The symbol that hides is never predicted.
            let rows = net.graph.slice(table, &[0, 0], &[known, self.embedding_width])?;
            logits = net.graph.matmul_with(logits, rows, false, true)?;
            net.summary.push(("output (tied)".into(), vec![length, known], 0));
        }
        match chosen {
            None => nothing_learnt(net, logits),
            Some(chosen) => self.losses(net, batch, logits, symbols, chosen),
        }
    }

    fn weighs_rows(&self) -> Option<usize> {
        Some(1)
    }
}

impl Masked {
    /// A uniform number for each position that decides what becomes of it: chosen below [`CHOSEN`]; 1 after the end of a
    /// text. `[B, T]`
    fn chosen(&self, net: &mut Network, batch: usize) -> Result<ValueId, GraphError> {
        let shape = [batch, self.documents.length];
        let uniform = net.graph.random(RandomKind::Uniform, streams::MASKED, &shape)?;
        let Some(lengths) = net.lengths else { return Ok(uniform) };
        net.graph.formula([uniform, lengths.valid], |[uniform, valid]| valid.less(0.5).select(1.0, uniform))
    }

    /// The vectors that the layers read, `[B, T, W]`.
    fn read(
        &self,
        net: &mut Network,
        table: ValueId,
        symbols: ValueId,
        chosen: ValueId,
    ) -> Result<ValueId, GraphError> {
        let DocumentShape { length, vocabulary } = self.documents;
        let [batch, _] = net.graph.shape(symbols)[..] else { return Ok(symbols) };
        let (known, width) = (self.documents.known(), self.embedding_width);
        let own = net.graph.gather(table, symbols)?;
        let mask = net.graph.slice(table, &[vocabulary - 1, 0], &[1, width])?;
        let mask = net.graph.reshape(mask, &[1, 1, width])?;
        // Any known symbol, as one-hot rows: numbers of rows are drawn on the device, where graphs gather by given ones
        // alone. It is as much work as the output layer's.
        let shape = [batch * length, 1];
        let uniform = net.graph.random(RandomKind::Uniform, streams::REPLACED, &shape)?;
        let numbers: Vec<f32> = (0..known - 1).map(|at| at as f32).collect();
        let numbers = net.graph.constant(&[1, known - 1], &numbers)?;
        let one_hot = net.graph.formula([uniform, numbers], |[uniform, number]| {
            let place = uniform * (known - 1) as f64;
            let from = number.less_equal(&place);
            from * place.less(number + 1.0)
        })?;
        let all = net.graph.slice(table, &[1, 0], &[known - 1, width])?;
        let other = net.graph.matmul(one_hot, all)?;
        let other = net.graph.reshape(other, &[batch, length, width])?;
        let chosen = net.graph.reshape(chosen, &[batch, length, 1])?;
        net.graph.formula([chosen, own, mask, other], |[chosen, own, mask, other]| {
            let replaced = chosen.less(CHOSEN * (1.0 + HIDDEN) / 2.0).select(other, own);
            chosen.less(CHOSEN * HIDDEN).select(mask, replaced)
        })
    }

    /// The losses of logits `[B T, symbols]`.
    fn losses(
        &self,
        net: &mut Network,
        batch: usize,
        logits: ValueId,
        symbols: ValueId,
        chosen: ValueId,
    ) -> Result<Losses, GraphError> {
        let length = self.documents.length;
        let known = self.documents.known();
        net.graph.set_layer("loss");
        let labels = net.graph.reshape(symbols, &[batch * length])?;
        let weights = net.graph.constant(&[known], &vec![1.0; known])?;
        let costs = net.graph.cross_entropy(logits, labels, weights, 0.0)?;
        let costs = net.graph.reshape(costs, &[batch, length])?;
        let counted = net.graph.formula([chosen], |[chosen]| chosen.less(CHOSEN))?;
        let costs =
            net.graph.formula([chosen, costs], |[chosen, cost]| chosen.less(CHOSEN).select(cost, 0.0))?;
        let sums = net.graph.sum(costs, &[1], true)?;
        let counts = net.graph.sum(counted, &[1], true)?;
        let rows = net.graph.formula([sums, counts], |[sum, count]| sum / count.maximum(1.0))?;
        let rows = net.graph.reshape(rows, &[batch])?;
        let total = net.graph.sum(sums, &[0, 1], false)?;
        let count = net.graph.sum(counts, &[0, 1], false)?;
        let mean = net.graph.formula([total, count], |[total, count]| total / count.maximum(1.0))?;
        // Right is what no other symbol is more likely than.
        let best = net.graph.max(logits, &[1], false)?;
        let numbers: Vec<f32> = (0..=known).map(|at| at as f32).collect();
        let table = net.graph.constant(&[known + 1, 1], &numbers)?;
        let label = net.graph.gather(table, labels)?;
        let numbers = net.graph.constant(&[1, known], &numbers[..known])?;
        let own = net.graph.formula([label, numbers, logits], |[label, number, logit]| {
            label.equal(number).select(logit, 0.0)
        })?;
        let own = net.graph.sum(own, &[1], false)?;
        let right = net.graph.less_equal(best, own)?;
        let right = net.graph.reshape(right, &[batch, length])?;
        let right = net.graph.mul(right, counted)?;
        let right = net.graph.sum(right, &[1], true)?;
        let predictions = net.graph.concat(&[sums, counts, right], 1)?;
        Ok(Losses { predictions, rows, mean, parts: vec![] })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::base::tensor::Tensor;
    use crate::graph::ops::EvalContext;
    use crate::graph::{Graph, Op, Source, reference};
    use crate::nn::inputs::{LENGTH, X};

    const SHAPE: DocumentShape = DocumentShape { length: 50, vocabulary: 12 };
    const TEXTS: usize = 40;

    fn model() -> Masked {
        let layers = vec![Dense { units: SHAPE.known(), bias: true }.into()];
        Masked {
            layers,
            names: vec![],
            documents: SHAPE,
            embedding_width: 1,
            lora: None,
            tied: false,
            gives_logits: false,
        }
    }

    /// Known symbols, and lengths from 0 up.
    fn texts() -> (Vec<f64>, Vec<f64>) {
        let symbols = (0..TEXTS * SHAPE.length).map(|i| (1 + i * 7 % 10) as f64).collect();
        (symbols, (0..TEXTS).map(|text| (text * 3 % (SHAPE.length + 1)) as f64).collect())
    }

    /// The values of sources by name; parameters whose element `i` is `i`.
    fn bound(graph: &Graph) -> BTreeMap<ValueId, Tensor> {
        let (symbols, lengths) = texts();
        let mut bindings = BTreeMap::new();
        for (at, node) in graph.nodes.iter().enumerate() {
            let Op::Source(op) = &node.op else { continue };
            let data = match &op.source {
                Source::Batch(name) if name == X => symbols.clone(),
                Source::Batch(name) if name == LENGTH => lengths.clone(),
                _ => (0..node.ty.shape.iter().product::<usize>()).map(|i| i as f64).collect(),
            };
            bindings.insert(ValueId(at as u32), Tensor::new(node.ty.shape.clone(), data));
        }
        bindings
    }

    #[test]
    fn of_fifteen_percent_most_are_hidden_and_some_become_others() {
        let mut graph = Graph::new();
        let mut net = Network::new(&mut graph, true);
        let symbols = net.documents(SHAPE, TEXTS).unwrap();
        let table = net.parameter("table".into(), &[SHAPE.vocabulary, 1], Init::Normal, true).unwrap();
        let chosen = model().chosen(&mut net, TEXTS).unwrap();
        let read = model().read(&mut net, table, symbols, chosen).unwrap();
        let found =
            reference::evaluate(&graph, &bound(&graph), &EvalContext::default(), &[chosen, read]).unwrap();
        let (symbols, lengths) = texts();
        let valid = |at: usize| ((at % SHAPE.length) as f64) < lengths[at / SHAPE.length];
        let [mut all, mut hidden, mut other, mut own] = [0; 4];
        for (at, (&chosen, &read)) in found[0].data.iter().zip(&found[1].data).enumerate() {
            if chosen >= CHOSEN {
                assert_eq!(read, symbols[at], "what is not chosen is read as it is");
                all += usize::from(valid(at));
                continue;
            }
            assert!(valid(at), "position {at} is after the end of its text");
            all += 1;
            // Row i of the table is i; the last one hides.
            match read {
                _ if read == (SHAPE.vocabulary - 1) as f64 => hidden += 1,
                _ if read == symbols[at] => own += 1,
                _ => {
                    assert!((1.0..=10.0).contains(&read) && read.fract() == 0.0, "{read}");
                    other += 1;
                }
            }
        }
        let part = |count: usize, of: usize| count as f64 / of as f64;
        let count = hidden + other + own;
        assert!((0.11..0.19).contains(&part(count, all)), "{count} of {all} are chosen");
        assert!((0.7..0.9).contains(&part(hidden, count)), "{hidden} of {count} are hidden");
        assert!(other > 0 && own > 0 && other + own < count / 3, "{other} and {own} of {count}");
    }

    #[test]
    fn the_loss_is_the_mean_over_chosen_positions_alone() {
        let built = model().graph(TEXTS, false).unwrap();
        let wanted = [built.predictions, built.loss_rows, built.loss];
        let found = reference::evaluate(&built.graph, &bound(&built.graph), &EvalContext::default(), &wanted)
            .unwrap();
        let (mut total, mut count) = (0.0, 0.0);
        for (row, (predicted, mean)) in found[0].data.chunks(3).zip(&found[1].data).enumerate() {
            let [sum, chosen, right] = predicted[..] else { panic!("{predicted:?}") };
            assert!(chosen.fract() == 0.0 && chosen <= texts().1[row] && right <= chosen, "{predicted:?}");
            assert!((mean * chosen.max(1.0) - sum).abs() < 1e-9, "{predicted:?} {mean}");
            (total, count) = (total + sum, count + chosen);
        }
        assert!(count > 50.0);
        assert!((found[2].data[0] - total / count).abs() < 1e-9);
    }
}
