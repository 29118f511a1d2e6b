//! Models of others: what `import` says of them, and what it refuses.

use std::fs;
use std::path::Path;

use gridlight::onnx::proto;
use prost::Message;
use serde_json::Value;

use super::gridlight;
use super::refusals::assert_refused;

/// A model `y = f(x)` of nodes in a row, of which each reads the result of the one before.
fn chain(operators: &[&str]) -> Vec<u8> {
    let name = |at: usize| if at == 0 { "x".to_string() } else { format!("v{at}") };
    let node = |(at, op): (usize, &&str)| proto::Node {
        input: vec![name(at)],
        output: vec![name(at + 1)],
        name: format!("n{at}"),
        op_type: (*op).into(),
        ..proto::Node::default()
    };
    let side = |value| proto::Dimension { value: Some(value) };
    let dim = vec![side(proto::Extent::Name("N".into())), side(proto::Extent::Value(2))];
    let tensor_type = proto::TensorType { elem_type: 1, shape: Some(proto::Shape { dim }) };
    let info = |name: String| proto::ValueInfo {
        name,
        r#type: Some(proto::Type { tensor_type: Some(tensor_type.clone()) }),
        ..proto::ValueInfo::default()
    };
    let graph = proto::Graph {
        node: operators.iter().enumerate().map(node).collect(),
        input: vec![info("x".into())],
        output: vec![info(name(operators.len()))],
        ..proto::Graph::default()
    };
    let opset = proto::OperatorSet { domain: String::new(), version: 17 };
    let model =
        proto::Model { ir_version: 8, graph: Some(graph), opset_import: vec![opset], ..Default::default() };
    model.encode_to_vec()
}

#[test]
fn all_that_is_not_supported_is_named_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path();
    fs::write(place.join("m.onnx"), chain(&["Relu", "Tanh"])).unwrap();
    let ended = gridlight(place, &["import", "m.onnx", "--json"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let report: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(report["outputs"][0]["shape"], serde_json::json!(["N", 2]));
    assert_eq!(report["operators"], serde_json::json!({"Relu": 1, "Tanh": 1}));

    // What follows from one that is not supported is not told again.
    fs::write(place.join("m.onnx"), chain(&["Relu", "Atan", "Tanh"])).unwrap();
    let ended = gridlight(place, &["import", "m.onnx", "--json"]);
    assert_eq!(ended.code, Some(2));
    let report: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(report["unsupported"].as_array().unwrap().len(), 1, "{report}");
    assert_eq!(report["unsupported"][0]["operator"], "Atan");
    assert_eq!(report["unsupported"][0]["node"], "n1");
}

#[test]
fn a_model_is_run_on_any_number_of_rows() {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path();
    fs::write(place.join("m.onnx"), chain(&["Relu", "Neg"])).unwrap();
    fs::write(place.join("x.json"), r#"{"x": {"shape": [3, 2], "data": [1, -2, 3, 0.5, -1, "inf"]}}"#)
        .unwrap();
    let run = ["import", "m.onnx", "--device", "cpu", "--inputs"];
    let ended = gridlight(place, &[&run[..], &["x.json"]].concat());
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let found: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(found["v2"]["shape"], serde_json::json!([3, 2]));
    assert_eq!(
        found["v2"]["data"].as_array().unwrap()[2..],
        serde_json::json!([-3.0, -0.5, 0.0, "-inf"]).as_array().unwrap()[..]
    );
    for (text, wanted) in [
        (r#"{"x": {"shape": [3], "data": [1, 2, 3]}}"#, "is float [N, 2], [3] is given"),
        (r#"{"x": {"shape": [2, 2], "data": [1]}}"#, "1 numbers for the shape"),
        (r#"{"y": {"shape": [1, 2], "data": [1, 2]}}"#, "the input `x`"),
        ("[]", "no JSON object"),
    ] {
        fs::write(place.join("x.json"), text).unwrap();
        let ended = gridlight(place, &[&run[..], &["x.json"]].concat());
        assert_refused(&ended, &[wanted], text);
    }
    let same = gridlight(place, &[&run[..], &["x.json", "--output", "m.onnx"]].concat());
    assert_refused(&same, &["m.onnx"], "over the model");
}

#[test]
fn weights_that_fit_in_part_are_told_apart() {
    let directory = super::workplace();
    let place = directory.path();
    let weights = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pytorch/imported.pt");
    let weights = weights.to_str().unwrap();
    let train = ["train", "small.toml", "--epochs", "1", "--device", "cpu", "--out", "r", "--init", weights];
    let ended = gridlight(place, &train);
    assert_refused(&ended, &["imported.pt", "not in the model", "--init-map"], "tensors of another model");
    let ended = gridlight(place, &[&train[..9], &["--init-map", "a*=b"]].concat());
    assert_eq!(ended.code, Some(2), "a map without weights: {}", ended.stderr);
    let ended = gridlight(place, &[&train[..], &["--init-map", "a*=b"]].concat());
    assert_refused(&ended, &["--init-map a*=b", "OLD=NEW"], "a map with one star");
}
