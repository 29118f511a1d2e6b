//! Layers agree with the formulas of their papers, and invalid keys are rejected.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{GroupNorm, Layer, LayerConfig, LayerNorm};
use crate::base::nodes::Nodes;
use crate::base::tensor::{DType, Tensor};
use crate::graph::ops::EvalContext;
use crate::graph::{Graph, Source, reference};
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
