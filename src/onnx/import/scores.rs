//! Which value of a model predicts: the scores that a loss reads, before the softmax or sigmoid that it applies itself.

use super::known::Kind;
use super::model::{Node, Stored};
use super::network::{Body, NORMALIZER, ZIP_MAP};
use crate::nn::losses::Loss;

impl Body {
    /// The value that predicts; without the function that the loss applies by itself.
    ///
    /// # Errors
    /// If the loss reads scores, and the output is probabilities of which the scores cannot be had.
    pub(super) fn prediction(&self, loss: &Loss) -> Result<&str, String> {
        let is_classes = matches!(loss, Loss::CrossEntropy { .. } | Loss::Focal { .. });
        let is_truths = matches!(loss, Loss::BceWithLogits { .. });
        let applied: &[&str] = match (is_classes, is_truths) {
            (true, _) => &["Softmax", "LogSoftmax"],
            (_, true) => &["Sigmoid"],
            _ => &[],
        };
        let mut name = self.output.as_str();
        while let Some(node) = self.node_of(name) {
            let Some(before) = node.inputs.first() else { break };
            if applied.contains(&node.op.as_str()) && is_of_each_row(node) || self.is_same(node) {
                name = before;
                continue;
            }
            if let Some(scores) = self.scores_in_another_shape(node).filter(|_| is_truths) {
                name = scores;
                continue;
            }
            match self.of_pair(node).filter(|_| is_truths) {
                Some(second) => name = second,
                None => break,
            }
        }
        let last = self.node_of(name).filter(|_| is_classes || is_truths);
        let is_computed = |name: &String| self.depends_on_inputs(name);
        let is_probability = |node: &&Node| match node.op.as_str() {
            "HardSigmoid" => true,
            _ if is_truths => false,
            "Sigmoid" | NORMALIZER => true,
            // Of several classifiers, each against the rest, made to add up to 1.
            "Div" => node.inputs.get(1).is_some_and(is_computed),
            _ => self.of_pair(node).is_some(),
        };
        if let Some(node) = self.changed_probabilities(name).filter(|_| is_classes || is_truths) {
            return Err(format!(
                "its output `{:.80}` is made of the probabilities of {}, and the loss reads the scores before them; \
                 choose these as the output with model.from_output, or give it a new last layer with model.head = \
                 \"new\"",
                self.output,
                node.label()
            ));
        }
        match last.filter(is_probability) {
            None => Ok(name),
            Some(node) => Err(format!(
                "its output `{:.80}` is probabilities of {}, and the loss reads the scores before a softmax; train it \
                 with bce_with_logits if it has two classes, or give it a new last layer with model.head = \"new\"",
                self.output,
                node.label()
            )),
        }
    }

    /// The node whose probabilities `name` is in another shape, clipped, or changed by constants: a loss that applies a
    /// softmax or sigmoid itself would apply a second one, in silence.
    fn changed_probabilities(&self, name: &str) -> Option<&Node> {
        const OF_FIRST: &[&str] = &[
            "Reshape",
            "Flatten",
            "Squeeze",
            "Unsqueeze",
            "Transpose",
            "Expand",
            "Slice",
            "Gather",
            "Clip",
            "Cast",
            "Identity",
            "Exp",
            "Log",
        ];
        const WITH_CONSTANTS: &[&str] = &["Add", "Sub", "Mul", "Div", "Min", "Max", "Pow"];
        let is_computed = |name: &&String| self.depends_on_inputs(name);
        let mut node = self.node_of(name)?;
        let mut is_moved = false;
        loop {
            is_moved |= matches!(node.op.as_str(), "Add" | "Sub");
            let before = match node.op.as_str() {
                op if OF_FIRST.contains(&op) => node.inputs.first()?,
                op if WITH_CONSTANTS.contains(&op) => {
                    let mut computed = node.inputs.iter().filter(is_computed);
                    computed.next().filter(|_| computed.next().is_none())?
                }
                _ => return None,
            };
            node = self.node_of(before)?;
            match node.op.as_str() {
                "Softmax" | "LogSoftmax" | "Sigmoid" | "HardSigmoid" | NORMALIZER => return Some(node),
                // `(tanh x + 1) / 2` is `sigmoid 2 x`.
                "Tanh" if is_moved => return Some(node),
                _ => {}
            }
        }
    }

    /// What a sigmoid reads of which `node` changes the shape alone, as the model of a single number often ends.
    fn scores_in_another_shape<'n>(&'n self, mut node: &'n Node) -> Option<&'n str> {
        while let "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" | "Identity" = node.op.as_str() {
            node = self.node_of(node.inputs.first()?)?;
        }
        (node.op == "Sigmoid").then(|| node.inputs.first()).flatten().map(String::as_str)
    }

    /// Whether a value is computed of the inputs of the model, not of constants alone.
    fn depends_on_inputs(&self, name: &str) -> bool {
        let is_input = |name: &String| self.model.source.inputs.iter().any(|port| port.name == *name);
        let reads = |at: &usize| self.model.source.nodes[*at].inputs.iter().any(is_input);
        is_input(&name.to_string()) || self.model.ancestors(&[name.to_string()]).iter().any(reads)
    }

    /// Whether a node gives what it reads.
    fn is_same(&self, node: &Node) -> bool {
        let before = || node.inputs.first().and_then(|name| self.node_of(name));
        match node.op.as_str() {
            "Identity" | ZIP_MAP => true,
            "Cast" => Kind::of(node.int("to", 0) as i32) == Some(Kind::Float),
            // What a softmax gives adds up to 1.
            NORMALIZER => {
                node.text("norm", "MAX") == "L1" && before().is_some_and(|node| node.op == "Softmax")
            }
            _ => false,
        }
    }

    /// The second of two scores, or probabilities, of which the first is its negation, or what is left of 1: how
    /// scikit-learn's converter writes two classes.
    pub(super) fn of_pair<'n>(&self, node: &'n Node) -> Option<&'n str> {
        let [first, second] = &node.inputs[..] else { return None };
        if node.op != "Concat" {
            return None;
        }
        let negation = self.node_of(first)?;
        let of = match negation.op.as_str() {
            "Neg" => negation.inputs.first(),
            "Sub" if self.is_one(negation.inputs.first()?) => negation.inputs.get(1),
            _ => None,
        };
        (of == Some(second)).then_some(second)
    }

    fn is_one(&self, name: &str) -> bool {
        match self.model.source.tensors.get(name) {
            Some(Stored::Weights { data, .. }) => data[..] == [1.0],
            Some(Stored::Known(known)) => known.one() == Some(1.0),
            _ => false,
        }
    }
}

/// Whether a softmax is over the scores of a row, not over rows.
fn is_of_each_row(node: &Node) -> bool {
    let default = if node.opset < 13 { 1 } else { -1 };
    !node.op.contains("Softmax") || node.int("axis", default) != 0
}
