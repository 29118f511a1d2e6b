//! Graph layers with the mean of the neighbours.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::keys::{check_units, yes};
use super::{Layer, Place};
use crate::graph::{GraphError, ValueId};
use crate::nn::init::Init;
use crate::nn::network::Network;

/// `mean of the neighbours W_l^T + b + x W_r^T` for each node of a graph of [data.graph] (GraphSAGE with the mean aggregator,
/// Hamilton, Ying and Leskovec 2017, arXiv:1706.02216); with weights of edges the weighted mean, and 0 for a node
/// without neighbours. Parameters are those of `torch_geometric`'s `SAGEConv`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GraphSage {
    /// Output features of a node.
    pub units: usize,
    /// Whether to add `b`.
    #[serde(default = "yes")]
    pub bias: bool,
}

impl Layer for GraphSage {
    fn name(&self) -> &'static str {
        "graph_sage"
    }

    fn check(&self) -> Result<(), String> {
        check_units(self.units)
    }

    fn mixes_nodes(&self) -> Option<usize> {
        Some(self.units)
    }

    fn build(&self, net: &mut Network, place: &Place, x: ValueId) -> Result<ValueId, GraphError> {
        let values = net.nodes("graph_sage", x)?;
        let edges = net.averaged("graph_sage")?;
        let (inputs, name) = (net.graph.shape(values)[2], &place.name);
        let init = Init::Uniform { bound: 1.0 / (inputs as f32).sqrt() };
        let shape = [self.units, inputs];
        let left = net.parameter(format!("{name}.lin_l.weight"), &shape, init, true)?;
        let bias = match self.bias {
            true => Some(net.parameter(format!("{name}.lin_l.bias"), &[self.units], init, false)?),
            false => None,
        };
        let right = net.parameter(format!("{name}.lin_r.weight"), &shape, init, true)?;
        let means = if inputs < self.units {
            let means = net.neighbours(values, &edges)?;
            net.of_each_node(means, left)?
        } else {
            let products = net.of_each_node(values, left)?;
            net.neighbours(products, &edges)?
        };
        let own = net.of_each_node(values, right)?;
        let y = net.graph.add(means, own)?;
        let y = net.like_nodes(y, x)?;
        bias.map_or(Ok(y), |bias| net.graph.add(y, bias))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{assert_near, few_nodes, numbers, run_on};
    use super::*;
    use crate::base::tensor::Tensor;

    #[test]
    fn a_node_reads_the_mean_of_its_neighbours_and_itself() {
        for (inputs, units) in [(3, 2), (2, 4)] {
            let x = numbers(5 * inputs, 0.1);
            let [left, right] = [0.7, 1.1].map(|phase| numbers(units * inputs, phase));
            let bias = numbers(units, 0.3);
            let nodes = few_nodes();
            let mut expected = vec![];
            for i in 0..5u32 {
                let of: Vec<_> = nodes.edges().filter(|edge| edge.1 == i).collect();
                let total: f64 = of.iter().map(|edge| f64::from(edge.2)).sum();
                for u in 0..units {
                    let row = |w: &[f64], j: u32| {
                        let c = 0..inputs;
                        c.map(|c| x[j as usize * inputs + c] * w[u * inputs + c]).sum::<f64>()
                    };
                    let sum: f64 = of.iter().map(|edge| f64::from(edge.2) * row(&left, edge.0)).sum();
                    let mean = if total > 0.0 { sum / total } else { 0.0 };
                    expected.push(mean + row(&right, i) + bias[u]);
                }
            }
            let layer = GraphSage { units, bias: true };
            let parameters = [left, bias, right];
            let found = run_on(Some(nodes), &layer, Tensor::new([5, inputs], x), &parameters);
            assert_near(&found.data, &expected);
        }
    }

    #[test]
    fn a_graph_without_edges_leaves_each_node_alone() {
        let nodes = crate::base::nodes::Nodes { names: vec!["a".into()], ..Default::default() };
        let layer = GraphSage { units: 1, bias: false };
        let found = run_on(Some(nodes), &layer, Tensor::new([1, 1], vec![3.0]), &[vec![5.0], vec![2.0]]);
        assert_eq!(found.data, [6.0]);
    }
}
