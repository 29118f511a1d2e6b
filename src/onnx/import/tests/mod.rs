//! Small files, written here, and what the reference computes of them.

mod whole;

use std::collections::BTreeMap;
use std::path::Path;

use prost::Message;

use super::Imported;
use super::known::{Kind, Known};
use super::literal::Literal;
use crate::base::tensor::Tensor;
use crate::graph::ops::EvalContext;
use crate::graph::reference::evaluate;
use crate::graph::{Op, Source, ValueId};
use crate::onnx::proto::{self, element};

fn node(op: &str, inputs: &[&str], outputs: &[&str], attribute: Vec<proto::Attribute>) -> proto::Node {
    let (domain, op_type) = op.rsplit_once('.').unwrap_or(("", op));
    let names = |list: &[&str]| list.iter().map(ToString::to_string).collect();
    proto::Node {
        domain: domain.into(),
        op_type: op_type.into(),
        name: format!("{op} of {}", outputs[0]),
        input: names(inputs),
        output: names(outputs),
        attribute,
    }
}

fn int(name: &str, i: i64) -> proto::Attribute {
    proto::Attribute { name: name.into(), i: Some(i), ..Default::default() }
}

fn ints(name: &str, ints: &[i64]) -> proto::Attribute {
    proto::Attribute { name: name.into(), ints: ints.to_vec(), ..Default::default() }
}

fn floats(name: &str, floats: &[f32]) -> proto::Attribute {
    proto::Attribute { name: name.into(), floats: floats.to_vec(), ..Default::default() }
}

fn text(name: &str, text: &str) -> proto::Attribute {
    proto::Attribute { name: name.into(), s: Some(text.into()), ..Default::default() }
}

fn number(name: &str, x: f32) -> proto::Tensor {
    proto::Tensor { data_type: element::FLOAT, float_data: vec![x], name: name.into(), ..Default::default() }
}

fn list(name: &str, data: &[i64]) -> proto::Tensor {
    let (dims, int64_data) = (vec![data.len() as i64], data.to_vec());
    proto::Tensor { dims, data_type: element::INT64, int64_data, name: name.into(), ..Default::default() }
}

fn port(name: &str, elements: i32, shape: &[i64]) -> proto::ValueInfo {
    let side = |&n: &i64| proto::Dimension {
        value: Some(if n == 0 { proto::Extent::Name("n".into()) } else { proto::Extent::Value(n) }),
    };
    let shape = Some(proto::Shape { dim: shape.iter().map(side).collect() });
    let tensor_type = Some(proto::TensorType { elem_type: elements, shape });
    proto::ValueInfo { name: name.into(), r#type: Some(proto::Type { tensor_type }), ..Default::default() }
}

/// A model with the input `x` of this shape, 0 for any number of rows.
fn model(
    shape: &[i64],
    node: Vec<proto::Node>,
    initializer: Vec<proto::Tensor>,
    outputs: &[(&str, i32)],
) -> Result<Imported, String> {
    let output = outputs.iter().map(|(name, elements)| port(name, *elements, &[])).map(|mut port| {
        if let Some(ty) = port.r#type.as_mut().and_then(|ty| ty.tensor_type.as_mut()) {
            ty.shape = None;
        }
        port
    });
    let graph = proto::Graph {
        node,
        initializer,
        input: vec![port("x", element::FLOAT, shape)],
        output: output.collect(),
        ..Default::default()
    };
    let set = |domain: &str, version| proto::OperatorSet { domain: domain.into(), version };
    let opset_import = vec![set("", 17), set("ai.onnx.ml", 1)];
    let model = proto::Model { ir_version: 8, graph: Some(graph), opset_import, ..Default::default() };
    Imported::of(model.encode_to_vec(), Path::new(""))
}

fn numbers(shape: &[usize], data: &[f64]) -> BTreeMap<String, Known> {
    let known = Known { kind: Kind::Float, shape: shape.to_vec(), data: data.to_vec() };
    [("x".to_string(), known)].into()
}

/// What the reference computes; texts by their place.
fn run(model: &Imported, inputs: &BTreeMap<String, Known>) -> Result<Vec<Tensor>, String> {
    let Literal { graph, outputs, given, .. } = model.literal(inputs)?;
    let mut bindings = BTreeMap::new();
    for (at, node) in graph.nodes.iter().enumerate() {
        let Op::Source(op) = &node.op else { continue };
        let (Source::Parameter(name) | Source::State(name)) = &op.source else { continue };
        let data = match given.iter().find(|(known, _)| known == name) {
            Some((_, data)) => data.iter().map(|&x| f64::from(x)).collect(),
            None => inputs["x"].data.clone(),
        };
        bindings.insert(ValueId(at as u32), Tensor { shape: node.ty.shape.clone(), data });
    }
    let values: Vec<ValueId> =
        outputs.iter().filter_map(|output| output.value.as_ref().err().copied()).collect();
    Ok(evaluate(&graph, &bindings, &EvalContext::default(), &values).unwrap())
}

#[test]
fn a_linear_classifier_gives_probabilities_and_names() {
    let names: Vec<Vec<u8>> = ["no", "yes", "perhaps"].iter().map(|name| name.as_bytes().to_vec()).collect();
    let classes =
        proto::Attribute { name: "classlabels_strings".into(), strings: names, ..Default::default() };
    let attributes = vec![
        classes,
        floats("coefficients", &[1.0, 0.0, 0.0, 1.0, -1.0, -1.0]),
        floats("intercepts", &[0.0, 0.0, 0.5]),
        text("post_transform", "SOFTMAX"),
    ];
    let scaled = vec![floats("offset", &[1.0, 2.0]), floats("scale", &[2.0])];
    let nodes = vec![
        node("ai.onnx.ml.Scaler", &["x"], &["scaled"], scaled),
        node("ai.onnx.ml.LinearClassifier", &["scaled"], &["label", "p"], attributes),
        node("Identity", &["label"], &["name"], vec![]),
        node("ai.onnx.ml.ZipMap", &["p"], &["named"], vec![ints("classlabels_int64s", &[0, 1, 2])]),
    ];
    let found = model(&[0, 2], nodes, vec![], &[("name", element::STRING), ("named", 0)]).unwrap();
    let inspection = found.inspect(&BTreeMap::new());
    assert!(inspection.problems.is_empty(), "{:?}", inspection.problems);
    assert_eq!(inspection.outputs[0].1, Some(vec![0]));
    let inputs = numbers(&[3, 2], &[1.5, 2.0, 1.0, 3.0, -1.0, 0.0]);
    let texts = found.literal(&inputs).unwrap().outputs[0].texts.clone().unwrap();
    let [places, probabilities] = &run(&found, &inputs).unwrap()[..] else { panic!("two outputs") };
    let labels: Vec<&str> = places.data.iter().map(|&at| texts[at as usize].as_str()).collect();
    assert_eq!(labels, ["no", "yes", "perhaps"]);
    // Scores 1, 0 and -0.5.
    let total = 1f64.exp() + 1.0 + (-0.5f64).exp();
    assert!((probabilities.data[0] - 1f64.exp() / total).abs() < 1e-12);
}

#[test]
fn what_linear_models_lack_is_said() {
    let of = |attributes| {
        let nodes = vec![node("ai.onnx.ml.LinearRegressor", &["x"], &["y"], attributes)];
        let found = model(&[0, 2], nodes, vec![], &[("y", element::FLOAT)]).unwrap();
        found.literal(&numbers(&[1, 2], &[1.0, 2.0])).map(|_| ()).unwrap_err()
    };
    let coefficients = || floats("coefficients", &[1.0, 2.0]);
    assert!(of(vec![coefficients(), text("post_transform", "PROBIT")]).contains("PROBIT"));
    assert!(of(vec![coefficients(), int("targets", 3)]).contains("of 3 scores"));
    let trees = vec![node("ai.onnx.ml.TreeEnsembleRegressor", &["x"], &["y"], vec![])];
    let found = model(&[0, 2], trees, vec![], &[("y", element::FLOAT)]).unwrap();
    assert!(found.literal(&numbers(&[1, 2], &[1.0, 2.0])).unwrap_err().contains("decision trees"));
}

/// Attention of two heads over rows `[1, 3, 4]`, with steps before rows and heads beside them, as PyTorch exports it.
fn attention() -> Result<Imported, String> {
    let turned =
        |from: &str, to: &str, order: &[i64]| node("Transpose", &[from], &[to], vec![ints("perm", order)]);
    let nodes = vec![
        turned("x", "steps", &[1, 0, 2]),
        node("Reshape", &["steps", "heads of a row"], &["split"], vec![]),
        turned("split", "heads", &[1, 0, 2]),
        turned("heads", "keys", &[0, 2, 1]),
        node("MatMul", &["heads", "keys"], &["scores"], vec![]),
        node("Softmax", &["scores"], &["weights"], vec![]),
        node("MatMul", &["weights", "heads"], &["mixed"], vec![]),
        turned("mixed", "beside", &[1, 0, 2]),
        node("Reshape", &["beside", "steps and rows"], &["flat"], vec![]),
        node("Reshape", &["flat", "whole"], &["again"], vec![]),
        turned("again", "y", &[1, 0, 2]),
    ];
    let shapes =
        vec![list("heads of a row", &[3, 2, 2]), list("steps and rows", &[3, 4]), list("whole", &[3, 1, 4])];
    model(&[1, 3, 4], nodes, shapes, &[("y", element::FLOAT)])
}

#[test]
fn rows_of_attention_are_freed() {
    let found = attention().unwrap();
    let data: Vec<f64> = (0..24).map(|at| f64::from(at * 7 % 11) / 5.0 - 1.0).collect();
    let together = run(&found, &numbers(&[2, 3, 4], &data)).unwrap();
    assert_eq!(together[0].shape, [2, 3, 4]);
    for row in 0..2 {
        let alone = run(&found, &numbers(&[1, 3, 4], &data[12 * row..12 * row + 12])).unwrap();
        for (a, b) in alone[0].data.iter().zip(&together[0].data[12 * row..]) {
            assert!((a - b).abs() < 1e-12, "{a} {b}");
        }
    }
    assert!(found.inspect(&BTreeMap::new()).problems.is_empty());
}

#[test]
fn rows_that_depend_on_each_other_are_not_freed() {
    // Of a single row the softmax of its first axis is 1; of several it is not.
    let nodes = vec![node("Softmax", &["x"], &["y"], vec![int("axis", 0)])];
    let found = model(&[1, 3], nodes, vec![], &[("y", element::FLOAT)]).unwrap();
    assert!(run(&found, &numbers(&[1, 3], &[0.1, 0.2, 0.3])).is_ok());
    let reason = run(&found, &numbers(&[2, 3], &[0.0; 6])).unwrap_err();
    assert!(reason.contains("differ from the same ones"), "{reason}");
}

#[test]
fn the_largest_are_found_in_order() {
    let nodes = vec![node("TopK", &["x", "k"], &["y", "places"], vec![])];
    let found =
        model(&[0, 4], nodes, vec![list("k", &[3])], &[("y", element::FLOAT), ("places", element::INT64)]);
    let infinity = f64::NEG_INFINITY;
    let inputs = numbers(&[2, 4], &[1.0, 3.0, 3.0, 2.0, infinity, 0.0, infinity, infinity]);
    let values = run(&found.unwrap(), &inputs).unwrap();
    assert_eq!(values[0].data, [3.0, 3.0, 2.0, 0.0, infinity, infinity]);
    assert_eq!(values[1].data, [1.0, 2.0, 3.0, 1.0, 0.0, 2.0]);
}

#[test]
fn parts_are_put_at_places() {
    let places = proto::Tensor { dims: vec![2, 2], ..list("places", &[0, 2, 1, -1]) };
    let new = proto::Tensor {
        dims: vec![2],
        data_type: element::FLOAT,
        float_data: vec![8.0, 9.0],
        name: "new".into(),
        ..Default::default()
    };
    let nodes = vec![
        node("ScatterND", &["x", "places", "new"], &["y"], vec![]),
        node("GatherND", &["y", "places"], &["z"], vec![]),
    ];
    let outputs = [("y", element::FLOAT), ("z", element::FLOAT)];
    let found = model(&[0, 3], nodes, vec![places, new], &outputs).unwrap();
    let values = run(&found, &numbers(&[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0])).unwrap();
    assert_eq!(values[0].data, [1.0, 2.0, 8.0, 4.0, 5.0, 9.0]);
    assert_eq!(values[1].data, [8.0, 9.0]);
}

/// The only problem of a model of one node.
fn problem(node: proto::Node, tensors: Vec<proto::Tensor>) -> String {
    let found = model(&[0, 4], vec![node], tensors, &[("y", element::FLOAT)]).unwrap();
    let problems = found.inspect(&BTreeMap::new()).problems;
    assert_eq!(problems.len(), 1, "{problems:?}");
    format!("{} ({}): {}", problems[0].node, problems[0].op, problems[0].reason)
}

#[test]
fn what_is_wrong_names_the_node_its_operator_and_the_attribute() {
    let float = |name: &str, f: f32| proto::Attribute { name: name.into(), f: Some(f), ..Default::default() };
    let weights = |name: &str, n: usize| proto::Tensor {
        dims: vec![n as i64],
        data_type: element::FLOAT,
        float_data: vec![1.0; n],
        name: name.into(),
        ..Default::default()
    };
    for (node, tensors, wanted) in [
        // A number where an integer belongs is not the default.
        (
            node("Softmax", &["x"], &["y"], vec![float("axis", 0.0)]),
            vec![],
            "Softmax of y (Softmax): its attribute `axis` is not an integer",
        ),
        (
            node("Softmax", &["x"], &["y"], vec![int("axis", 5)]),
            vec![],
            "Softmax of y (Softmax): there is no axis 5",
        ),
        (
            node("Relu", &["x"], &["y"], vec![float("slope", 0.0)]),
            vec![],
            "Relu of y (Relu): the attribute `slope` is not supported",
        ),
        (
            node("LayerNormalization", &["x", "w"], &["y"], vec![]),
            vec![weights("w", 5)],
            "LayerNormalization of y (LayerNormalization): its weight or bias [5] does not fit its operand [N, 4]",
        ),
        (
            node("Add", &["x", "w"], &["y"], vec![]),
            vec![weights("w", 3)],
            "Add of y (Add): add(f32[N, 4], f32[3]): the shapes differ",
        ),
    ] {
        let found = problem(node, tensors);
        assert!(found.starts_with(wanted), "{found}");
    }
}

#[test]
fn probabilities_in_another_form_are_no_scores() {
    let softmax = || node("Softmax", &["x"], &["p"], vec![int("axis", -1)]);
    let changed = [
        vec![node("Reshape", &["p", "shape"], &["y"], vec![])],
        vec![node("Clip", &["p", "least", "most"], &["y"], vec![])],
        vec![node("Add", &["least", "p"], &["y"], vec![])],
        vec![node("Log", &["p"], &["l"], vec![]), node("Exp", &["l"], &["y"], vec![])],
    ];
    let loss = |name: &str| serde_json::from_str(&format!("{{\"type\": \"{name}\"}}")).unwrap();
    let of = |nodes: Vec<proto::Node>, name: &str| {
        let constants = vec![list("shape", &[-1, 3]), number("least", 1e-6), number("most", 1.0)];
        let found = model(&[0, 3], nodes, constants, &[("y", element::FLOAT)]).unwrap();
        let body = super::network::Body::new(found, "m.onnx".into(), None, false).unwrap();
        body.prediction(&loss(name)).map(str::to_string)
    };
    for after in changed {
        for name in ["cross_entropy", "bce_with_logits"] {
            let reason = of([vec![softmax()], after.clone()].concat(), name).unwrap_err();
            assert!(reason.contains("is made of the probabilities of"), "{name}: {reason}");
        }
        assert!(of([vec![softmax()], after].concat(), "mse").is_ok());
    }
    // A softmax at the end is the loss's own; scores may have another shape.
    let end = node("Softmax", &["x"], &["y"], vec![int("axis", -1)]);
    assert_eq!(of(vec![end], "cross_entropy").unwrap(), "x");
    let shaped = node("Reshape", &["x", "shape"], &["y"], vec![]);
    assert_eq!(of(vec![shaped], "cross_entropy").unwrap(), "y");
    // One over the rows is not.
    let rows = node("Softmax", &["x"], &["y"], vec![int("axis", 0)]);
    assert_eq!(of(vec![rows], "cross_entropy").unwrap(), "y");
    // Of a sigmoid that constants of nodes change, and of what is one in other words.
    let one = || {
        let value = proto::Attribute { name: "value".into(), t: Some(number("", 1.0)), ..Default::default() };
        node("Constant", &[], &["one"], vec![value])
    };
    let sigmoid = |op: &str| node(op, &["x"], &["p"], vec![]);
    for after in [
        vec![sigmoid("Sigmoid"), one(), node("Sub", &["one", "p"], &["y"], vec![])],
        vec![
            sigmoid("Tanh"),
            one(),
            node("Add", &["p", "one"], &["q"], vec![]),
            node("Mul", &["q", "most"], &["y"], vec![]),
        ],
    ] {
        let reason = of(after, "bce_with_logits").unwrap_err();
        assert!(reason.contains("is made of the probabilities of"), "{reason}");
    }
    assert!(of(vec![node("HardSigmoid", &["x"], &["y"], vec![])], "bce_with_logits").is_err());
    assert_eq!(of(vec![node("Tanh", &["x"], &["y"], vec![])], "bce_with_logits").unwrap(), "y");
    // The shape alone may change after it.
    let squeezed = vec![sigmoid("Sigmoid"), node("Squeeze", &["p"], &["y"], vec![])];
    assert_eq!(of(squeezed, "bce_with_logits").unwrap(), "x");
}

#[test]
fn a_value_is_computed_once_and_by_known_operators() {
    let twice = vec![node("Relu", &["x"], &["y"], vec![]), node("Tanh", &["x"], &["y"], vec![])];
    let Err(reason) = model(&[0, 3], twice, vec![], &[("y", element::FLOAT)]) else { panic!("it is read") };
    assert!(reason.contains("two nodes compute `y`"), "{reason}");
    let opset_import = vec![proto::OperatorSet { domain: String::new(), version: 99 }];
    let graph = Some(proto::Graph::default());
    let newer = proto::Model { ir_version: 8, graph, opset_import, ..Default::default() };
    let Err(reason) = Imported::of(newer.encode_to_vec(), Path::new(".")) else { panic!("it is read") };
    assert!(reason.contains("operator set 99"), "{reason}");
}
