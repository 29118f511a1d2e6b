//! Graph convolution.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::keys::{check_units, yes};
use super::{Layer, Place};
use crate::graph::{GraphError, ValueId};
use crate::nn::init::Init;
use crate::nn::network::Network;

/// `D^-1/2 (A + I) D^-1/2 X W^T + b` over the nodes of a graph of [data.graph] (Kipf and Welling 2017, arXiv:1609.02907): each node
/// gets the mean of its neighbours and itself, weighed by the edges and the number of neighbours of both ends. A node
/// without neighbours keeps itself. Parameters are those of `torch_geometric`'s `GCNConv`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GraphConv {
    /// Output features of a node.
    pub units: usize,
    /// Whether to add `b`.
    #[serde(default = "yes")]
    pub bias: bool,
}

impl Layer for GraphConv {
    fn name(&self) -> &'static str {
        "graph_conv"
    }

    fn check(&self) -> Result<(), String> {
        check_units(self.units)
    }

    fn mixes_nodes(&self) -> Option<usize> {
        Some(self.units)
    }

    fn build(&self, net: &mut Network, place: &Place, x: ValueId) -> Result<ValueId, GraphError> {
        let values = net.nodes("graph_conv", x)?;
        let edges = net.normalised("graph_conv")?;
        let inputs = net.graph.shape(values)[2];
        let name = format!("{}.lin.weight", place.name);
        let weight = net.parameter(name, &[self.units, inputs], Init::glorot(inputs, self.units), true)?;
        // Both products are linear, so that the sum over neighbours can be of whichever side is narrower.
        let y = if inputs < self.units {
            let sums = net.neighbours(values, &edges)?;
            net.of_each_node(sums, weight)?
        } else {
            let products = net.of_each_node(values, weight)?;
            net.neighbours(products, &edges)?
        };
        let y = net.like_nodes(y, x)?;
        if !self.bias {
            return Ok(y);
        }
        let bias =
            net.parameter(format!("{}.bias", place.name), &[self.units], Init::Constant(0.0), false)?;
        net.graph.add(y, bias)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{assert_near, few_nodes, numbers, run, run_on};
    use super::*;
    use crate::base::tensor::Tensor;

    #[test]
    fn neighbours_are_weighed_by_both_degrees() {
        let (inputs, units) = (3, 2);
        let (x, w, b) = (numbers(5 * inputs, 0.1), numbers(units * inputs, 0.7), numbers(units, 0.3));
        let nodes = few_nodes();
        // Rows of A + I, where node 3 keeps its own loop.
        let mut a = [[0.0f64; 5]; 5];
        for (source, target, weight) in nodes.edges() {
            a[target as usize][source as usize] = f64::from(weight);
        }
        for (node, row) in a.iter_mut().enumerate().filter(|(node, _)| *node != 3) {
            row[node] = 1.0;
        }
        let degree: Vec<f64> = a.iter().map(|row| row.iter().sum()).collect();
        let mut expected = vec![];
        for i in 0..5 {
            for u in 0..units {
                let of = |j: usize| (0..inputs).map(|c| x[j * inputs + c] * w[u * inputs + c]).sum::<f64>();
                let sum: f64 = (0..5).map(|j| a[i][j] / (degree[i] * degree[j]).sqrt() * of(j)).sum();
                expected.push(sum + b[u]);
            }
        }
        let layer = GraphConv { units, bias: true };
        let found = run_on(Some(few_nodes()), &layer, Tensor::new([5, inputs], x.clone()), &[w.clone(), b]);
        assert_near(&found.data, &expected);
        // Several graphs at a time, wider than before.
        let wide = GraphConv { units: 4, bias: false };
        let w = numbers(4 * inputs, 0.9);
        let alone =
            run_on(Some(few_nodes()), &wide, Tensor::new([5, inputs], x.clone()), std::slice::from_ref(&w));
        let twice = Tensor::new([2, 5, 1, inputs], [x.clone(), x].concat());
        let twice = run_on(Some(few_nodes()), &wide, twice, &[w]);
        assert_eq!(twice.shape, [2, 5, 1, 4]);
        assert_near(&twice.data, &[alone.data.clone(), alone.data].concat());
    }

    #[test]
    #[should_panic(expected = "say where its edges are in [data.graph]")]
    fn without_a_graph_it_is_refused() {
        run(
            &GraphConv { units: 2, bias: true },
            Tensor::new([5, 1], vec![0.0; 5]),
            &[vec![0.0; 2], vec![0.0; 2]],
        );
    }
}
