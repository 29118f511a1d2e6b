//! Attention to the neighbours in a graph.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::keys::{check_units, once, yes};
use super::{Layer, Place};
use crate::graph::{GraphError, ValueId};
use crate::nn::init::Init;
use crate::nn::network::Network;

/// `sum over the neighbours j of node i and itself of a_ij W x_j + b`, where `a_ij` is the softmax over them of
/// `leaky_relu(att_src . W x_j + att_dst . W x_i)`, for each of several heads (Velickovic et al. 2018,
/// arXiv:1710.10903). It finds its own weights of edges, and does not read those of [data.graph]. Parameters are those
/// of `torch_geometric`'s `GATConv`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GraphAttention {
    /// Output features of a node, of each head.
    pub units: usize,
    /// Heads.
    #[serde(default = "once")]
    pub heads: usize,
    /// Whether a node gets the features of all heads, one after the other, instead of their mean.
    #[serde(default = "yes")]
    pub concat: bool,
    /// Slope of the leaky rectifier.
    #[serde(default = "slope")]
    pub slope: f64,
    /// Whether to add `b`.
    #[serde(default = "yes")]
    pub bias: bool,
}

fn slope() -> f64 {
    0.2
}

impl Layer for GraphAttention {
    fn name(&self) -> &'static str {
        "graph_attention"
    }

    fn check(&self) -> Result<(), String> {
        check_units(self.units)?;
        check_units(self.heads).map_err(|_| format!("has {} heads; at least 1 is needed", self.heads))?;
        check_units(self.units.saturating_mul(self.heads))?;
        match self.slope.is_finite() {
            true => Ok(()),
            false => Err(format!("has slope = {}, which is not a finite number", self.slope)),
        }
    }

    fn mixes_nodes(&self) -> Option<usize> {
        Some(if self.concat { self.units * self.heads } else { self.units })
    }

    fn build(&self, net: &mut Network, place: &Place, x: ValueId) -> Result<ValueId, GraphError> {
        let values = net.nodes("graph_attention", x)?;
        let edges = net.looped("graph_attention")?;
        let Self { units, heads, .. } = *self;
        let (inputs, width, name) = (net.graph.shape(values)[2], units * heads, &place.name);
        let init = Init::glorot(inputs, width);
        let weight = net.parameter(format!("{name}.lin.weight"), &[width, inputs], init, true)?;
        let init = Init::glorot(heads, units);
        let to_source = net.parameter(format!("{name}.att_src"), &[1, heads, units], init, true)?;
        let to_target = net.parameter(format!("{name}.att_dst"), &[1, heads, units], init, true)?;
        let h = net.of_each_node(values, weight)?;
        let [batch, nodes, _] = net.graph.shape(h)[..] else { return Ok(h) };
        let g = &mut *net.graph;
        let parts = g.reshape(h, &[batch, nodes, heads, units])?;
        let score = |g: &mut crate::graph::Graph, attention| {
            let products = g.mul(parts, attention)?;
            g.sum(products, &[3], false)
        };
        let (of_source, of_target) = (score(g, to_source)?, score(g, to_target)?);
        let scores = edges.both_ends(g, of_source, of_target)?;
        let scores = g.leaky_relu(scores, self.slope)?;
        let attention = edges.softmax(g, scores)?;
        let mut y = edges.sum(g, h, attention)?;
        let mut width = width;
        if !self.concat {
            let parts = g.reshape(y, &[batch, nodes, heads, units])?;
            y = g.mean(parts, &[2], false)?;
            width = units;
        }
        let y = net.like_nodes(y, x)?;
        if !self.bias {
            return Ok(y);
        }
        let bias = net.parameter(format!("{name}.bias"), &[width], Init::Constant(0.0), false)?;
        net.graph.add(y, bias)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{assert_near, few_nodes, numbers, run_on};
    use super::*;
    use crate::base::tensor::Tensor;

    #[test]
    fn each_head_weighs_neighbours_and_the_node_itself() {
        let (inputs, units, heads) = (3, 2, 2);
        let width = units * heads;
        let (x, w) = (numbers(5 * inputs, 0.1), numbers(width * inputs, 0.7));
        let [source, target] = [0.2, 1.4].map(|phase| numbers(width, phase));
        let nodes = few_nodes();
        let h = |j: usize, k: usize| (0..inputs).map(|c| x[j * inputs + c] * w[k * inputs + c]).sum::<f64>();
        let mut expected = vec![0.0; 5 * width];
        for i in 0..5usize {
            let mut of: Vec<usize> =
                nodes.edges().filter(|edge| edge.1 as usize == i).map(|edge| edge.0 as usize).collect();
            of.retain(|j| *j != i);
            of.push(i);
            for head in 0..heads {
                let dot = |a: &[f64], j: usize| {
                    (head * units..(head + 1) * units).map(|k| a[k] * h(j, k)).sum::<f64>()
                };
                let scores: Vec<f64> = of.iter().map(|&j| dot(&source, j) + dot(&target, i)).collect();
                let powers: Vec<f64> =
                    scores.iter().map(|s| if *s > 0.0 { *s } else { 0.3 * s }.exp()).collect();
                let total: f64 = powers.iter().sum();
                for k in head * units..(head + 1) * units {
                    expected[i * width + k] = of.iter().zip(&powers).map(|(&j, p)| p / total * h(j, k)).sum();
                }
            }
        }
        let layer = GraphAttention { units, heads, concat: true, slope: 0.3, bias: false };
        let parameters = [w.clone(), source.clone(), target.clone()];
        let found = run_on(Some(few_nodes()), &layer, Tensor::new([5, inputs], x.clone()), &parameters);
        assert_near(&found.data, &expected);
        let bias = numbers(units, 0.5);
        let mean: Vec<f64> = (0..5 * units)
            .map(|at| {
                let (i, k) = (at / units, at % units);
                (expected[i * width + k] + expected[i * width + units + k]) / 2.0 + bias[k]
            })
            .collect();
        let layer = GraphAttention { concat: false, bias: true, ..layer };
        let parameters = [w, source, target, bias];
        let found = run_on(Some(few_nodes()), &layer, Tensor::new([5, inputs], x), &parameters);
        assert_near(&found.data, &mean);
    }
}
