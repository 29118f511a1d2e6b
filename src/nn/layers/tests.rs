//! Layers agree with the formulas of their papers, and invalid keys are rejected.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{BatchNorm, GraphAttention, GraphConv, GraphSage, GroupNorm, Layer, LayerConfig, LayerNorm};
use crate::base::edges::{Edge, averaged, normalised, with_loops};
use crate::base::nodes::Nodes;
use crate::base::packed::Packed;
use crate::base::tensor::{DType, Tensor};
use crate::graph::ops::EvalContext;
use crate::graph::{Graph, Op, Source, ValueId, reference};
use crate::nn::inputs::{AVERAGED, GraphShape, LENGTH, LINKS, NORMALISED};
use crate::nn::network::Network;

/// Some numbers of both signs.
pub(super) fn numbers(count: usize, phase: f64) -> Vec<f64> {
    (0..count).map(|i| (i as f64 * 1.7 + phase).sin() * 2.0 + 0.3).collect()
}

/// The result of a layer for `x` in `f64`, with its parameters bound to `parameters` in order, each as files have it.
pub(super) fn run(layer: &dyn Layer, x: Tensor, parameters: &[Vec<f64>]) -> Tensor {
    run_on(None, layer, x, parameters)
}

/// The same on the nodes of a graph.
pub(super) fn run_on(nodes: Option<Nodes>, layer: &dyn Layer, x: Tensor, parameters: &[Vec<f64>]) -> Tensor {
    let mut graph = Graph::new();
    let input = graph.source(Source::Batch("x".into()), &x.shape, DType::F32).unwrap();
    let mut net = Network::new(&mut graph, false);
    net.nodes = nodes.map(Arc::new);
    let y = net.layer(0, layer, input).unwrap();
    let mut bindings = BTreeMap::from([(input, x)]);
    assert_eq!(net.parameters.len(), parameters.len());
    for ((parameter, value), data) in net.parameters.iter().zip(parameters) {
        let lying = parameter.arrangement.to_memory(data.clone());
        bindings.insert(*value, Tensor::new(parameter.arrangement.shape(&parameter.shape), lying));
    }
    reference::evaluate(&graph, &bindings, &EvalContext::default(), &[y]).unwrap().remove(0)
}

/// The result of a layer in training or not on batches of these graphs, and its new states, for `x` `[B, N, 1, C]`.
fn run_on_each(
    graphs: &[Nodes],
    layer: &dyn Layer,
    x: &Tensor,
    parameters: &[Vec<f64>],
    training: bool,
) -> (Tensor, Vec<Tensor>) {
    let looped = |nodes: &Nodes| with_loops(nodes.count(), nodes.edges(), true);
    let ends = |edges: &[Edge]| edges.iter().map(|edge| [edge.0, edge.1]).collect::<Vec<_>>();
    let packed = graphs
        .iter()
        .fold(Packed::default(), |packed, nodes| packed.with(nodes.count(), &ends(&looped(nodes))));
    let packed = Packed { nodes: x.shape[1], ..packed };
    let (mut words, mut by_both, mut shares) = (vec![], vec![], vec![]);
    for (at, nodes) in graphs.iter().enumerate() {
        let edges = looped(nodes);
        packed.pack(&ends(&edges), &mut words);
        let own: Vec<Edge> = nodes.edges().collect();
        let of = averaged(nodes.count(), &own);
        let share =
            |edge: &Edge| own.iter().position(|e| (e.0, e.1) == (edge.0, edge.1)).map_or(0.0, |e| of[e]);
        by_both.extend(normalised(nodes.count(), &edges));
        shares.extend(edges.iter().map(share));
        by_both.resize((at + 1) * packed.edges, 0.0);
        shares.resize((at + 1) * packed.edges, 0.0);
    }
    let mut graph = Graph::new();
    let input = graph.source(Source::Batch("x".into()), &x.shape, DType::F32).unwrap();
    let mut net = Network::new(&mut graph, training);
    let shape = GraphShape { packed, ..GraphShape::default() };
    net.own_edges(&shape, graphs.len()).unwrap();
    net.lengths(packed.nodes, graphs.len()).unwrap();
    let y = net.layer(0, layer, input).unwrap();
    let mut bindings = BTreeMap::from([(input, x.clone())]);
    assert_eq!(net.parameters.len(), parameters.len());
    for ((parameter, value), data) in net.parameters.iter().zip(parameters) {
        bindings.insert(*value, Tensor::new(parameter.shape.clone(), data.clone()));
    }
    let wanted: Vec<_> = std::iter::once(y).chain(net.updates.iter().map(|(_, value)| *value)).collect();
    for (at, node) in graph.nodes.iter().enumerate() {
        let Op::Source(op) = &node.op else { continue };
        let floats = |all: &[f32]| all.iter().map(|&w| f64::from(w)).collect::<Vec<f64>>();
        let data = match &op.source {
            Source::Batch(name) if name == LINKS => words.iter().map(|&w| f64::from(w)).collect(),
            Source::Batch(name) if name == LENGTH => graphs.iter().map(|g| g.count() as f64).collect(),
            Source::Batch(name) if name == NORMALISED => floats(&by_both),
            Source::Batch(name) if name == AVERAGED => floats(&shares),
            Source::State(_) => vec![0.0; node.ty.elements()],
            _ => continue,
        };
        bindings.insert(ValueId(at as u32), Tensor::new(node.ty.shape.clone(), data));
    }
    let mut found = reference::evaluate(&graph, &bindings, &EvalContext::default(), &wanted).unwrap();
    (found.remove(0), found)
}

/// Five nodes: 0 and 1 neighbours of 2, with weights, a loop at 3, and 4 alone.
pub(super) fn few_nodes() -> Nodes {
    Nodes {
        names: (0..5).map(|node| node.to_string()).collect(),
        sources: vec![2, 0, 1, 3],
        targets: vec![1, 2, 2, 3],
        weights: vec![1.5, 0.5, 2.0, 0.25],
        ..Nodes::default()
    }
}

pub(super) fn assert_near(found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    for (at, (f, e)) in found.iter().zip(expected).enumerate() {
        assert!((f - e).abs() < 1e-6, "element {at}: {f}, expected {e}");
    }
}

#[test]
fn graphs_of_a_batch_are_each_as_they_are_alone() {
    let (inputs, places) = (3, 7);
    let single = Nodes { names: vec!["a".into()], ..Nodes::default() };
    let pair =
        Nodes { names: vec!["a".into(), "b".into()], sources: vec![1], targets: vec![0], ..Nodes::default() };
    let graphs = [few_nodes(), single, pair];
    let layers: [(LayerConfig, &[usize]); 3] = [
        (GraphConv { units: 2, bias: true }.into(), &[6, 2]),
        (GraphSage { units: 4, bias: true }.into(), &[12, 4, 12]),
        (GraphAttention { units: 2, heads: 2, concat: true, slope: 0.2, bias: true }.into(), &[12, 4, 4, 4]),
    ];
    for (config, sizes) in layers {
        let layer = config.layer();
        let parameters: Vec<Vec<f64>> =
            sizes.iter().enumerate().map(|(at, &size)| numbers(size, at as f64)).collect();
        // What lies in the places of nodes that are not there is read by none.
        let x = Tensor::new([3, places, 1, inputs], numbers(3 * places * inputs, 0.1));
        let (found, _) = run_on_each(&graphs, layer, &x, &parameters, false);
        let width = found.shape[3];
        for (at, nodes) in graphs.iter().enumerate() {
            let count = nodes.count();
            let first = at * places * inputs;
            let alone = Tensor::new([count, inputs], x.data[first..first + count * inputs].to_vec());
            let alone = run_on(Some(nodes.clone()), layer, alone, &parameters);
            let first = at * places * width;
            assert_near(&found.data[first..first + count * width], &alone.data);
        }
    }
}

#[test]
fn nodes_that_are_not_there_count_in_no_statistics() {
    let nodes =
        |count: usize| Nodes { names: (0..count).map(|at| at.to_string()).collect(), ..Nodes::default() };
    let x = numbers(2 * 4 * 2, 0.3);
    let (weight, bias) = (vec![1.5, 0.5], vec![0.1, -0.2]);
    let layer = BatchNorm { eps: 0.01, momentum: 0.1 };
    let tensor = Tensor::new([2, 4, 1, 2], x.clone());
    let (found, states) =
        run_on_each(&[nodes(3), nodes(1)], &layer, &tensor, &[weight.clone(), bias.clone()], true);
    for c in 0..2 {
        let there = [0, 1, 2, 4].map(|place| 2 * place + c);
        let mean = there.iter().map(|&at| x[at]).sum::<f64>() / 4.0;
        let variance = there.iter().map(|&at| (x[at] - mean).powi(2)).sum::<f64>() / 4.0;
        for at in there {
            let expected = (x[at] - mean) / (variance + 0.01).sqrt() * weight[c] + bias[c];
            assert_near(&[found.data[at]], &[expected]);
        }
        assert_near(&[states[0].data[c], states[1].data[c]], &[0.1 * mean, 0.1 * variance * 4.0 / 3.0]);
    }
}

#[test]
fn group_norm_has_mean_0_and_variance_1_in_each_group_of_each_image() {
    let (batch, height, width, channels, groups, eps) = (2, 3, 2, 4, 2, 0.01);
    let x = numbers(batch * height * width * channels, 0.4);
    let (weight, bias) = (numbers(channels, 1.0), numbers(channels, 2.0));
    let mut expected = vec![0.0; x.len()];
    let per_group = channels / groups;
    for image in 0..batch {
        for group in 0..groups {
            let places: Vec<usize> = (0..height * width)
                .flat_map(|p| (0..per_group).map(move |c| (p, c)))
                .map(|(p, c)| (image * height * width + p) * channels + group * per_group + c)
                .collect();
            let mean = places.iter().map(|&i| x[i]).sum::<f64>() / places.len() as f64;
            let variance = places.iter().map(|&i| (x[i] - mean).powi(2)).sum::<f64>() / places.len() as f64;
            for i in places {
                let channel = i % channels;
                expected[i] = (x[i] - mean) / (variance + eps).sqrt() * weight[channel] + bias[channel];
            }
        }
    }
    let images = Tensor::new([batch, height, width, channels], x);
    let found = run(&GroupNorm { groups, eps }, images, &[weight, bias]);
    assert_near(&found.data, &expected);
}

#[test]
fn an_epsilon_that_cannot_be_is_refused() {
    for eps in [0.0, -1e-5, f64::NAN, f64::INFINITY, 1e-60, 1e60] {
        let layers: [LayerConfig; 2] = [GroupNorm { groups: 1, eps }.into(), LayerNorm { eps }.into()];
        for layer in layers {
            let error = layer.layer().check().unwrap_err();
            assert!(error.contains(&format!("eps = {eps}")), "{error}");
        }
    }
}

/// The minimal configuration of each layer.
const LEAST: [&str; 28] = [
    r#"type = "dense", units = 3"#,
    r#"type = "activation", function = "relu""#,
    r#"type = "dropout", rate = 0.1"#,
    r#"type = "layer_norm""#,
    r#"type = "batch_norm""#,
    r#"type = "group_norm", groups = 2"#,
    r#"type = "conv2d", channels = 3"#,
    r#"type = "conv1d", channels = 3, kernel = 5"#,
    r#"type = "conv_transpose2d", channels = 3"#,
    r#"type = "max_pool""#,
    r#"type = "avg_pool""#,
    r#"type = "global_pool""#,
    r#"type = "flatten""#,
    r#"type = "unflatten", shape = [1, 2, 2]"#,
    r#"type = "upsample""#,
    r#"type = "recurrent", hidden = 3"#,
    r#"type = "residual", channels = 3"#,
    r#"type = "attention", heads = 2"#,
    r#"type = "transformer", heads = 2"#,
    r#"type = "position""#,
    r#"type = "tokens", width = 8"#,
    r#"type = "graph_conv", units = 3"#,
    r#"type = "graph_sage", units = 3"#,
    r#"type = "graph_attention", units = 3"#,
    r#"type = "adaptive_pool", size = 3"#,
    r#"type = "local_response_norm", size = 5"#,
    r#"type = "temporal_block", channels = 3"#,
    r#"type = "unet", channels = [3, 4]"#,
];

#[test]
fn every_layer_refuses_keys_it_does_not_have() {
    #[derive(serde::Deserialize, serde::Serialize, Debug, PartialEq)]
    struct File {
        layer: LayerConfig,
    }
    for least in LEAST {
        let file: File = toml::from_str(&format!("layer = {{ {least} }}")).unwrap();
        file.layer.layer().check().unwrap();
        assert_eq!(toml::from_str::<File>(&toml::to_string(&file).unwrap()).unwrap(), file);
        let error = toml::from_str::<File>(&format!("layer = {{ {least}, colour = 3 }}")).unwrap_err();
        assert!(error.message().contains("unknown field `colour`"), "{least}: {error}");
    }
}
