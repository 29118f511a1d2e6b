//! Models as a whole: adapters of their weights, their rows, and all that is not supported of them.

use std::collections::BTreeMap;
use std::path::Path;

use prost::Message;

use super::super::build::Value;
use super::super::mend::Mends;
use super::super::{Imported, bind_input};
use super::{int, ints, model, node, port};
use crate::base::tensor::Tensor;
use crate::graph::ops::EvalContext;
use crate::graph::reference::evaluate;
use crate::graph::{Graph, Op, Source, ValueId};
use crate::nn::lora::{Lora, merge};
use crate::nn::network::Network;
use crate::nn::patterns::Patterns;
use crate::onnx::proto::{self, element};
use crate::train::checkpoint::NamedTensor;

#[test]
fn adapters_of_weights_that_lie_either_way_compute_what_merging_them_gives() {
    let weight = |name: &str, shape: [i64; 2]| {
        let count = (shape[0] * shape[1]) as usize;
        let float_data = (0..count).map(|at| (at * 7 % 11) as f32 / 5.0 - 1.0).collect();
        let (dims, name) = (shape.to_vec(), name.to_string());
        proto::Tensor { dims, data_type: element::FLOAT, float_data, name, ..Default::default() }
    };
    let nodes = vec![
        node("MatMul", &["x", "a.weight"], &["h1"], vec![]),
        node("Gemm", &["h1", "b"], &["h2"], vec![int("transB", 1)]),
        node("Transpose", &["c.weight"], &["turned"], vec![ints("perm", &[1, 0])]),
        node("MatMul", &["h2", "turned"], &["y"], vec![]),
    ];
    let weights = vec![weight("a.weight", [3, 4]), weight("b", [5, 4]), weight("c.weight", [2, 5])];
    let model = model(&[0, 3], nodes, weights, &[("y", element::FLOAT)]).unwrap();
    let computed = |lora: Option<Lora>, tensors: &[NamedTensor]| {
        let mut graph = Graph::new();
        let mut net = Network::new(&mut graph, false);
        net.lora = lora;
        let (freed, mut mends) = (None, Mends::default());
        let mut builder = model.builder(&mut net, freed, &mut mends);
        bind_input(&mut builder, &model.source.inputs[0], &[2, 3]).unwrap();
        builder.run(&model.source.nodes, &|_| true);
        assert!(builder.problems.is_empty(), "{:?}", builder.problems);
        let Value::Graph(held) = builder.named("y") else { panic!("it is not computed") };
        let mut bindings = BTreeMap::new();
        for (at, node) in graph.nodes.iter().enumerate() {
            let Op::Source(op) = &node.op else { continue };
            let Source::Parameter(name) = &op.source else { continue };
            let data = match tensors.iter().find(|(known, ..)| known == name) {
                Some((_, shape, data)) => {
                    assert_eq!(*shape, node.ty.shape, "{name}");
                    data.iter().map(|&x| f64::from(x)).collect()
                }
                None => vec![0.5, -1.0, 2.0, 1.5, 0.25, -0.75],
            };
            bindings.insert(ValueId(at as u32), Tensor { shape: node.ty.shape.clone(), data });
        }
        evaluate(&graph, &bindings, &EvalContext::default(), &[held.id]).unwrap().remove(0).data
    };
    let mut tensors: Vec<NamedTensor> = vec![];
    let mut add = |name: &str, shape: [usize; 2], first: f32| {
        let data = (0..shape[0] * shape[1]).map(|at| first + (at * 3 % 7) as f32 / 4.0).collect();
        tensors.push((name.to_string(), shape.to_vec(), data));
    };
    for (name, [rows, columns]) in [("a.weight", [3, 4]), ("b", [5, 4]), ("c.weight", [2, 5])] {
        add(name, [rows, columns], -1.0);
    }
    for (layer, [a, b]) in [("a", [[3, 2], [2, 4]]), ("b", [[2, 4], [5, 2]]), ("c", [[2, 5], [2, 2]])] {
        add(&format!("{layer}.lora_A.weight"), a, -0.5);
        add(&format!("{layer}.lora_B.weight"), b, 0.25);
    }
    let lora = Lora { rank: 2, scale: 0.5, layers: Patterns::new(&["*".to_string()]).unwrap() };
    let adapted = computed(Some(lora), &tensors);
    let plain = computed(None, &tensors);
    merge(&mut tensors, 0.5);
    let merged = computed(None, &tensors);
    assert_eq!(tensors.len(), 3);
    for ((adapted, merged), plain) in adapted.iter().zip(&merged).zip(&plain) {
        assert!((adapted - merged).abs() < 1e-4 * merged.abs(), "{adapted} instead of {merged}");
        assert!((plain - merged).abs() > 1e-2 * merged.abs(), "the adapters change nothing");
    }
}

#[test]
fn rows_that_depend_on_each_other_are_noticed() {
    let mean = |axis| {
        let reduced = vec![ints("axes", &[axis]), int("keepdims", 1)];
        let nodes =
            vec![node("ReduceMean", &["x"], &["mean"], reduced), node("Sub", &["x", "mean"], &["y"], vec![])];
        model(&[0, 3], nodes, vec![], &[("y", element::FLOAT)]).unwrap()
    };
    let none = BTreeMap::new();
    assert!(mean(0).inspect(&none).mixes_rows);
    assert!(!mean(1).inspect(&none).mixes_rows);
}

#[test]
fn what_is_not_supported_is_named_behind_what_is_not_supported_too() {
    let nodes = || {
        vec![
            node("Det", &["x"], &["first"], vec![]),
            node("Relu", &["first"], &["second"], vec![int("strange", 1)]),
            node("MatMul", &["second", "second"], &["y"], vec![]),
        ]
    };
    let problems = |value_info: Vec<proto::ValueInfo>| {
        let graph = proto::Graph {
            node: nodes(),
            input: vec![port("x", element::FLOAT, &[0, 3])],
            output: vec![port("y", element::FLOAT, &[])],
            value_info,
            ..Default::default()
        };
        let opset_import = vec![proto::OperatorSet { domain: String::new(), version: 17 }];
        let model = proto::Model { ir_version: 8, graph: Some(graph), opset_import, ..Default::default() };
        let model = Imported::of(model.encode_to_vec(), Path::new("")).unwrap();
        let found = model.inspect(&BTreeMap::new()).problems;
        found.into_iter().map(|problem| problem.op).collect::<Vec<_>>()
    };
    assert_eq!(problems(vec![]), ["Det"]);
    // The product does not fit, which the guess may be to blame for.
    assert_eq!(problems(vec![port("first", element::FLOAT, &[0, 3])]), ["Det", "Relu"]);
}
