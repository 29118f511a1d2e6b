//! The linear models of `ai.onnx.ml`, which scikit-learn's converter writes, as the standard operators that they
//! stand for: a dense layer, the function that makes probabilities of its scores, and the class of the largest score.
//! So they are trained, and given new heads, as any dense layer is.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::proto;
use super::known::{Kind, Known};
use super::model::{Node, Stored};

/// Version of the standard operators that are written.
const OPSET: i64 = 17;

/// The nodes with every linear model that can be written out in place of it; the others remain, and are refused by
/// name with the reason of [`Linear::of`].
pub fn written_out(nodes: Vec<Node>, tensors: &mut BTreeMap<String, Stored>) -> Vec<Node> {
    let mut written = vec![];
    for node in nodes {
        match Linear::of(&node) {
            Some(Ok(linear)) => linear.write(&node, tensors, &mut written),
            _ => written.push(node),
        }
    }
    written
}

/// Why a linear model is not supported.
pub fn refusal(node: &Node) -> String {
    match Linear::of(node) {
        Some(Err(reason)) => reason,
        _ => "this operator is not supported".into(),
    }
}

/// What makes the results of scores.
#[derive(Clone, Copy, PartialEq)]
enum Transform {
    None,
    Softmax,
    Logistic,
}

/// The classes of a classifier.
enum Classes {
    Ints(Vec<i64>),
    Texts(Vec<String>),
}

/// A linear model.
struct Linear {
    /// Row-major `[scores, features]`.
    coefficients: Vec<f32>,
    intercepts: Vec<f32>,
    scores: usize,
    features: usize,
    transform: Transform,
    classes: Option<Classes>,
}

impl Linear {
    /// The linear model that a node is, if it is one.
    fn of(node: &Node) -> Option<Result<Self, String>> {
        match node.op.as_str() {
            "ai.onnx.ml.LinearRegressor" => Some(Self::regressor(node)),
            "ai.onnx.ml.LinearClassifier" => Some(Self::classifier(node)),
            _ => None,
        }
    }

    fn regressor(node: &Node) -> Result<Self, String> {
        let scores = usize::try_from(node.int("targets", 1)).unwrap_or(0);
        Self::sized(node, scores, None)
    }

    fn classifier(node: &Node) -> Result<Self, String> {
        // Says how probabilities were trained, not what is computed.
        let _ = node.int("multi_class", 0);
        let (ints, texts) = (node.ints("classlabels_ints"), node.texts("classlabels_strings"));
        let classes = match ints.filter(|ints| !ints.is_empty()) {
            Some(ints) => Classes::Ints(ints),
            None => Classes::Texts(texts),
        };
        let count = match &classes {
            Classes::Ints(ints) => ints.len(),
            Classes::Texts(texts) => texts.len(),
        };
        let intercepts = node.floats("intercepts").map_or(0, |list| list.len());
        if count != intercepts {
            return Err(format!(
                "it has {intercepts} intercepts for {count} classes; one for each class is supported"
            ));
        }
        Self::sized(node, count, Some(classes))
    }

    fn sized(node: &Node, scores: usize, classes: Option<Classes>) -> Result<Self, String> {
        let floats = |name| node.floats(name).unwrap_or_default();
        let (coefficients, mut intercepts) = (floats("coefficients"), floats("intercepts"));
        if scores == 0 || coefficients.is_empty() || coefficients.len() % scores != 0 {
            let count = coefficients.len();
            return Err(format!("its {count} coefficients are not those of {scores} scores"));
        }
        if intercepts.is_empty() {
            intercepts = vec![0.0; scores];
        }
        if intercepts.len() != scores {
            return Err(format!("it has {} intercepts for {scores} scores", intercepts.len()));
        }
        let transform = match node.text("post_transform", "NONE").as_str() {
            "NONE" => Transform::None,
            "SOFTMAX" => Transform::Softmax,
            "LOGISTIC" => Transform::Logistic,
            other => return Err(format!("post_transform = \"{other:.40}\" is not supported")),
        };
        let features = coefficients.len() / scores;
        Ok(Self { coefficients, intercepts, scores, features, transform, classes })
    }

    /// Whether the scores of two classes are each other's negation, as of every binary classifier of scikit-learn.
    fn is_pair(&self) -> bool {
        let (first, second) = self.coefficients.split_at(self.features);
        let negated = |(a, b): (&f32, &f32)| *a == -*b;
        self.classes.is_some()
            && self.scores == 2
            && self.transform == Transform::Logistic
            && first.iter().zip(second).all(negated)
            && self.intercepts[0] == -self.intercepts[1]
    }

    fn write(&self, node: &Node, tensors: &mut BTreeMap<String, Stored>, nodes: &mut Vec<Node>) {
        let result = |at: usize| node.outputs.get(at).cloned().unwrap_or_default();
        let mut of = |suffix: &str, stored: Stored| {
            let mut name = format!("{}.{suffix}", node.name);
            while tensors.contains_key(&name) {
                name.push('_');
            }
            tensors.insert(name.clone(), stored);
            name
        };
        let weights =
            |shape: Vec<usize>, data: &[f32]| Stored::Weights { shape, data: Arc::new(data.to_vec()) };
        let inner = |suffix: &str| {
            format!("{}/{suffix}", node.outputs.iter().find(|o| !o.is_empty()).unwrap_or(&node.name))
        };
        let mut add = |op: &str, inputs: &[&String], output: &String, attributes: Vec<proto::Attribute>| {
            let inputs = inputs.iter().map(|name| (*name).clone()).collect();
            nodes.push(Node::plain(op, output, inputs, OPSET, attributes));
        };
        let int =
            |name: &str, i: i64| proto::Attribute { name: name.into(), i: Some(i), ..Default::default() };

        let numbers = inner("numbers");
        let given = node.inputs.first().cloned().unwrap_or_default();
        add("Cast", &[&given], &numbers, vec![int("to", i64::from(proto::element::FLOAT))]);
        // Of a pair, the second alone: that of the class that is predicted above 0.
        let pair = self.is_pair();
        let skipped = usize::from(pair);
        let count = self.scores - skipped;
        let weight =
            of("weight", weights(vec![count, self.features], &self.coefficients[skipped * self.features..]));
        let bias = of("bias", weights(vec![count], &self.intercepts[skipped..]));
        let is_classifier = self.classes.is_some();
        let result_of_scores = result(usize::from(is_classifier));
        let dense = if pair || is_classifier || self.transform != Transform::None {
            inner("scores of the layer")
        } else {
            result_of_scores.clone()
        };
        add("Gemm", &[&numbers, &weight, &bias], &dense, vec![int("transB", 1)]);
        let mut scores = dense;
        if pair {
            let (negated, both) = (inner("negated"), inner("scores"));
            add("Neg", &[&scores], &negated, vec![]);
            add("Concat", &[&negated, &scores], &both, vec![int("axis", 1)]);
            scores = both;
        }
        if !result_of_scores.is_empty() && scores != result_of_scores {
            let op = match self.transform {
                Transform::None => "Identity",
                Transform::Softmax => "Softmax",
                Transform::Logistic => "Sigmoid",
            };
            add(op, &[&scores], &result_of_scores, vec![]);
        }
        let label = result(0);
        let Some(classes) = self.classes.as_ref().filter(|_| !label.is_empty()) else { return };
        let place = inner("place");
        add("ArgMax", &[&scores], &place, vec![int("axis", 1), int("keepdims", 0)]);
        let table = match classes {
            Classes::Texts(texts) => {
                let (shape, data) = (vec![texts.len()], Arc::new(texts.clone()));
                Stored::Texts { shape, data }
            }
            Classes::Ints(ints) => {
                Stored::Known(Known { kind: Kind::Int, ..Known::ints(ints.iter().copied()) })
            }
        };
        let table = of("classes", table);
        add("Gather", &[&table, &place], &label, vec![int("axis", 0)]);
    }
}
