//! A model of others as the body of an experiment's: its inputs are the features of a row, its output predicts.

use std::collections::BTreeSet;
use std::sync::Mutex;

use super::feed::feed;
use super::free;
use super::mend::{Freed, Mends};
use super::model::{Node, Port};
use super::{Imported, problem_text};
use crate::base::tensor::{DType, elements};
use crate::graph::{Graph, GraphError, Source, ValueId};
use crate::nn::config::lora::HEAD;
use crate::nn::imported::{self, Feeds};
use crate::nn::losses::Loss;
use crate::nn::network::Network;

/// Operators of scikit-learn's converter: probabilities by class, and rows of length 1.
pub(super) const ZIP_MAP: &str = "ai.onnx.ml.ZipMap";
pub(super) const NORMALIZER: &str = "ai.onnx.ml.Normalizer";

/// The output that predicts where none is named: the first of numbers, as classifiers often give the class before.
pub(super) fn predicting(model: &Imported) -> Option<&str> {
    let outputs = &model.source.outputs;
    let by_class = |port: &&Port| {
        let maker = model.made_by.get(&port.name).map(|&at| &model.source.nodes[at]);
        maker.is_some_and(|node| node.op == ZIP_MAP)
    };
    let found = outputs.iter().find(|port| port.is_float());
    found.or_else(|| outputs.iter().find(by_class)).or(outputs.first()).map(|port| port.name.as_str())
}

/// A model of others as the body of an experiment's.
#[derive(Debug)]
pub struct Body {
    pub(super) model: Imported,
    /// The name of its file, for messages.
    file: String,
    /// The output that predicts.
    pub(super) output: String,
    new_head: bool,
    /// Where shapes hold the number of rows, once that is found out.
    mends: Mutex<Option<Mends>>,
}

impl Body {
    /// The body that `model` is, which predicts by the output of this name, or the first.
    ///
    /// # Errors
    /// If there is no such output, or no last dense layer that could be replaced.
    pub fn new(model: Imported, file: String, output: Option<&str>, new_head: bool) -> Result<Self, String> {
        let names: Vec<&str> = model.source.outputs.iter().map(|port| port.name.as_str()).collect();
        let output = match output {
            None => predicting(&model).ok_or("it has no outputs")?.to_string(),
            Some(name) if names.contains(&name) => name.to_string(),
            Some(name) => {
                return Err(format!("has no output `{name:.80}`; it has `{:.300}`", names.join("`, `")));
            }
        };
        let body = Self { model, file, output, new_head, mends: Mutex::new(None) };
        if new_head {
            body.last_dense()?;
        }
        Ok(body)
    }

    fn refuse(&self, reason: String) -> GraphError {
        GraphError { layer: String::new(), op: "from", operands: self.file.clone(), reason }
    }

    pub(super) fn node_of(&self, name: &str) -> Option<&Node> {
        self.model.made_by.get(name).map(|&at| &self.model.source.nodes[at])
    }

    /// What the last dense layer on the way to the output reads.
    fn last_dense(&self) -> Result<&str, String> {
        const PASSED: &[&str] = &[
            "Softmax",
            "LogSoftmax",
            "Sigmoid",
            "Add",
            "Identity",
            "Cast",
            "Flatten",
            "Reshape",
            "Squeeze",
            "Dropout",
            "Tanh",
            "HardSigmoid",
            ZIP_MAP,
            NORMALIZER,
        ];
        let mut name = self.output.as_str();
        let is_tensor = |name: &String| {
            self.model.source.tensors.contains_key(name) || !self.model.made_by.contains_key(name)
        };
        while let Some(node) = self.node_of(name) {
            if let Some(second) = self.of_pair(node) {
                name = second;
                continue;
            }
            match node.op.as_str() {
                "Gemm" | "MatMul" => {
                    return node
                        .inputs
                        .first()
                        .map(String::as_str)
                        .ok_or_else(|| "has an empty layer".into());
                }
                op if PASSED.contains(&op) => {
                    let computed = node.inputs.iter().filter(|name| !name.is_empty());
                    let mut computed = computed.filter(|name| op != "Add" || !is_tensor(name));
                    let (Some(first), None) = (computed.next(), computed.next().filter(|_| op == "Add"))
                    else {
                        break;
                    };
                    name = first;
                }
                _ => break,
            }
        }
        let last = self.node_of(name).map_or_else(|| "no node".into(), Node::label);
        Err(format!(
            "its output `{}` comes from {last}, not from a dense layer that a new head could take the place of; use \
             another output with model.from_output",
            self.output
        ))
    }

    /// Builds what is taken.
    fn taken(&self, net: &mut Network, feeds: &Feeds, name: &str) -> Result<ValueId, GraphError> {
        let mends = self.mended(feeds, name).map_err(|reason| self.refuse(reason))?;
        let exported = self.model.exported_rows();
        let freed = exported.map(|exported| Freed { exported, rows: feeds.batch });
        let mut mends = mends;
        self.value(net, feeds, name, freed, &mut mends).map_err(|reason| self.refuse(reason))
    }

    /// Where shapes hold the number of rows: found once.
    fn mended(&self, feeds: &Feeds, name: &str) -> Result<Mends, String> {
        let mut known = self.mends.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(known) = &*known {
            return Ok(known.clone());
        }
        let exported = self.model.exported_rows().unwrap_or(0);
        let mut with_rows = |rows| self.tried(feeds, name, Freed { exported, rows }, &mut Mends::default());
        let mends = match exported {
            0 if self.model.exported_rows().is_some() && free::mixes_rows(&mut with_rows) => {
                return Err("what it gives for a row depends on the other rows of a batch, as a mean over the first axis \
                            does, so it predicts no single row; `gridlight import --inputs` runs it as it is"
                    .into());
            }
            0 => Mends::default(),
            _ => free::search(exported, |rows, mends| {
                self.tried(feeds, name, Freed { exported, rows }, mends)
            })?,
        };
        *known = Some(mends.clone());
        Ok(mends)
    }

    /// What is taken, built for a number of rows.
    fn tried(
        &self,
        feeds: &Feeds,
        name: &str,
        freed: Freed,
        mends: &mut Mends,
    ) -> Result<free::Built, String> {
        let mut graph = Graph::new();
        let mut net = Network::new(&mut graph, false);
        let numbers = match feeds.width {
            0 => None,
            width => {
                let of = Source::Batch("x".into());
                Some(net.graph.source(of, &[freed.rows, width], DType::F32).map_err(|e| e.reason)?)
            }
        };
        let mut categories = vec![];
        for (name, _) in &feeds.categories {
            let of = Source::Batch(name.clone());
            categories
                .push((name.clone(), net.graph.source(of, &[freed.rows], DType::U32).map_err(|e| e.reason)?));
        }
        let feeds = Feeds { batch: freed.rows, numbers, categories, ..feeds.clone() };
        let value = self.value(&mut net, &feeds, name, Some(freed), mends)?;
        Ok(free::Built::of(net, vec![value]))
    }

    fn value(
        &self,
        net: &mut Network,
        feeds: &Feeds,
        name: &str,
        freed: Option<Freed>,
        mends: &mut Mends,
    ) -> Result<ValueId, String> {
        let wanted: BTreeSet<usize> = self.model.ancestors(&[name.to_string()]);
        let source = &self.model.source;
        let mut builder = self.model.builder(net, freed, mends);
        builder.literal = false;
        feed(&self.model, &mut builder, feeds, &wanted, name)?;
        builder.run(&source.nodes, &|node| {
            wanted.iter().any(|&at| std::ptr::eq(&raw const source.nodes[at], node))
        });
        if !builder.problems.is_empty() {
            return Err(problem_text(&builder.problems));
        }
        let value = builder.named(name);
        let missing = || format!("`{:.80}` is not computed from the inputs", name);
        let held = builder.hold(&value).map_err(|_| missing())?;
        builder.first(&held).map_err(|_| missing())
    }
}

impl imported::Body for Body {
    fn build(
        &self,
        net: &mut Network,
        feeds: &Feeds,
        outputs: usize,
        loss: &Loss,
    ) -> Result<ValueId, GraphError> {
        if self.new_head {
            let features = self.features(net, feeds)?;
            net.graph.set_layer(HEAD);
            let before = net.parameters.len();
            // It is trained as a whole, without an adapter.
            let lora = net.lora.take();
            let y = net.dense(HEAD, outputs, true, features)?;
            net.lora = lora;
            let trained =
                net.parameters[before..].iter().map(|(p, _)| p.shape.iter().product::<usize>()).sum();
            net.summary.push((HEAD.into(), vec![outputs], trained));
            return Ok(y);
        }
        let prediction = self.prediction(loss).map_err(|reason| self.refuse(reason))?;
        let y = self.taken(net, feeds, prediction)?;
        let shape = net.graph.shape(y).clone();
        if elements(&shape) != feeds.batch * outputs || (shape.len() > 1 && shape[0] != feeds.batch) {
            let width = elements(&shape) / feeds.batch.max(1);
            let reason = format!(
                "its output `{}` has {width} numbers for each row, and the target needs {outputs}; give the model a new \
                 last layer with model.head = \"new\", or choose another output with model.from_output",
                self.output
            );
            return Err(self.refuse(reason));
        }
        net.graph.reshape(y, &[feeds.batch, outputs])
    }

    fn features(&self, net: &mut Network, feeds: &Feeds) -> Result<ValueId, GraphError> {
        let name = self.last_dense().map_err(|reason| self.refuse(reason))?;
        let y = self.taken(net, feeds, name)?;
        match net.graph.shape(y)[..] {
            [rows, _] if rows == feeds.batch => Ok(y),
            ref shape => {
                let reason = format!("its last dense layer reads {shape:?}, which are no rows of numbers");
                Err(self.refuse(reason))
            }
        }
    }

    fn normalises_batch(&self) -> bool {
        self.model.source.nodes.iter().any(|node| node.op == "BatchNormalization")
    }

    fn digest(&self) -> &str {
        &self.model.digest
    }

    fn bytes(&self) -> &[u8] {
        self.model.bytes()
    }
}
