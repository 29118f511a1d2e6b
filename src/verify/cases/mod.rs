//! Operator cases computed by other frameworks: one JSON object per line in, one per line out
//! (`gridlight verify --cases`).
//!
//! Each case is built from this crate's operators, differentiated, compiled and run on the chosen device, so
//! the results are those of the kernels that train.

mod convolutions;
mod pooling;
mod recurrent;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Case, VerifyError, run};
use crate::base::number::Number;
use crate::base::step::StepRecord;
use crate::base::tensor::{DType, Tensor, elements};
use crate::device::{Device, DeviceError};
use crate::graph::{Graph, GraphError, Source, ValueId, autodiff};
use crate::nn::layers::{Activation, activation};
use crate::nn::losses::{ClassWeights, Loss, PosWeight};
use crate::scalar::UnaryFn;

/// A tensor of a case.
#[derive(Clone, Debug, Deserialize)]
pub struct CaseTensor {
    /// Extents.
    pub shape: Vec<usize>,
    /// `f32`, `i64` or `u32`.
    pub dtype: String,
    /// Elements; non-finite ones as strings.
    pub data: Vec<CaseNumber>,
}

/// A number, or one of `"NaN"`, `"inf"`, `"-inf"`.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum CaseNumber {
    /// Finite.
    Finite(f64),
    /// Not finite.
    Named(String),
}

impl CaseNumber {
    fn value(&self) -> f64 {
        match self {
            Self::Finite(x) => *x,
            Self::Named(name) => name.parse().unwrap_or(f64::NAN),
        }
    }
}

/// One line in.
#[derive(Clone, Debug, Deserialize)]
pub struct OperatorCase {
    /// Name, repeated in the result.
    pub name: String,
    /// Operator.
    pub op: String,
    /// Attributes.
    #[serde(default)]
    pub params: serde_json::Map<String, serde_json::Value>,
    /// Operands.
    pub inputs: BTreeMap<String, CaseTensor>,
    /// Cotangents of the results; without them, no gradients are computed.
    #[serde(default)]
    pub dy: Vec<CaseTensor>,
}

/// One line out.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum OperatorResult {
    /// Results and gradients, flat.
    Done {
        /// The case's name.
        name: String,
        /// Results.
        y: Vec<Vec<Number>>,
        /// Gradient of every floating-point input.
        grads: BTreeMap<String, Vec<Number>>,
    },
    /// The operator or one of its attributes is not supported.
    Skipped {
        /// The case's name.
        name: String,
        /// Why.
        skip: String,
    },
}

/// Operands by name, while a case is built.
pub(super) struct Operands<'a> {
    pub graph: &'a mut Graph,
    values: BTreeMap<String, ValueId>,
    pub case: &'a OperatorCase,
}

/// Why a case is skipped.
pub(super) type Skip = String;

impl Operands<'_> {
    /// The operand `name`.
    pub fn get(&self, name: &str) -> Result<ValueId, Skip> {
        self.values.get(name).copied().ok_or_else(|| format!("operand `{name}` is not given"))
    }

    /// The parameter `key`.
    pub fn param(&self, key: &str) -> Option<&serde_json::Value> {
        self.case.params.get(key)
    }

    /// The number `key`, or `default`.
    pub fn number(&self, key: &str, default: f64) -> f64 {
        self.case.params.get(key).and_then(serde_json::Value::as_f64).unwrap_or(default)
    }

    /// Checks that the parameter is absent or has this text.
    fn expect(&self, key: &str, wanted: &str) -> Result<(), Skip> {
        match self.case.params.get(key).and_then(serde_json::Value::as_str) {
            None => Ok(()),
            Some(found) if found == wanted => Ok(()),
            Some(found) => Err(format!("{key} = {found} is not supported, only {wanted}")),
        }
    }
}

/// Runs one case on `device`.
///
/// # Errors
/// If the device fails; an unsupported case is skipped, which is not an error.
pub fn run_case(case: &OperatorCase, device: &dyn Device) -> Result<OperatorResult, VerifyError> {
    let skipped = |skip: String| Ok(OperatorResult::Skipped { name: case.name.clone(), skip });
    let (compiled, names, results) = match build(case) {
        Ok(built) => built,
        Err(why) => return skipped(why),
    };
    let outputs = match run(device, &compiled) {
        Ok(outputs) => outputs,
        // A case too large for this device says nothing about the others.
        Err(VerifyError::Plan(why)) => return skipped(why.to_string()),
        Err(VerifyError::Device(
            why @ (DeviceError::OutOfMemory { .. }
            | DeviceError::HostMemory { .. }
            | DeviceError::Limit { .. }),
        )) => return skipped(why.to_string()),
        Err(other) => return Err(other),
    };
    let flat = |t: &Tensor| t.data.iter().map(|&x| Number(x)).collect::<Vec<_>>();
    let (y, grads) = outputs.split_at(results);
    Ok(OperatorResult::Done {
        name: case.name.clone(),
        y: y.iter().map(flat).collect(),
        grads: names.into_iter().zip(grads.iter().map(flat)).collect(),
    })
}

/// Builds the case as a graph with its gradients; also returns the names of the differentiated inputs and the
/// number of results.
fn build(case: &OperatorCase) -> Result<(Case, Vec<String>, usize), Skip> {
    let mut graph = Graph::new();
    let mut bindings = BTreeMap::new();
    let (mut values, mut wrt) = (BTreeMap::new(), vec![]);
    for (name, tensor) in &case.inputs {
        let value = bind(&mut graph, &mut bindings, name, tensor)?;
        values.insert(name.clone(), value);
        if tensor.dtype == "f32" {
            wrt.push((name.clone(), value));
        }
    }
    let mut operands = Operands { graph: &mut graph, values, case };
    let results = operator(&mut operands)?;
    let mut outputs = results.clone();
    let mut names = vec![];
    if !case.dy.is_empty() {
        if case.dy.len() != results.len() {
            return Err(format!("{} cotangents for {} results", case.dy.len(), results.len()));
        }
        let say = |e: GraphError| e.to_string();
        let mut total = None;
        for (at, (tensor, &y)) in case.dy.iter().zip(&results).enumerate() {
            let dy = bind(&mut graph, &mut bindings, &format!("cotangent {at}"), tensor)?;
            if graph.shape(dy) != graph.shape(y) {
                return Err(format!(
                    "result {at} has shape {:?}, its cotangent {:?}",
                    graph.shape(y),
                    graph.shape(dy)
                ));
            }
            let product = graph.mul(y, dy).map_err(say)?;
            let axes: Vec<usize> = (0..graph.shape(y).len()).collect();
            let sum = graph.sum(product, &axes, false).map_err(say)?;
            total = Some(match total {
                None => sum,
                Some(t) => graph.add(t, sum).map_err(say)?,
            });
        }
        if let Some(total) = total {
            let targets: Vec<ValueId> = wrt.iter().map(|(_, v)| *v).collect();
            outputs.extend(autodiff::gradients(&mut graph, total, &targets).map_err(say)?);
            names = wrt.into_iter().map(|(name, _)| name).collect();
        }
    }
    let case = Case {
        name: case.name.clone(),
        graph,
        bindings,
        outputs,
        step: StepRecord::default(),
        magnitude: 0.0,
    };
    Ok((case, names, results.len()))
}

fn bind(
    graph: &mut Graph,
    bindings: &mut BTreeMap<ValueId, Tensor>,
    name: &str,
    tensor: &CaseTensor,
) -> Result<ValueId, Skip> {
    let dtype = match tensor.dtype.as_str() {
        "f32" => DType::F32,
        "i64" | "i32" | "u32" => DType::U32,
        other => return Err(format!("input `{name}` has type {other}; f32 and integers are supported")),
    };
    if elements(&tensor.shape) != tensor.data.len() || tensor.data.is_empty() {
        return Err(format!(
            "input `{name}` has {} elements for shape {:?}",
            tensor.data.len(),
            tensor.shape
        ));
    }
    let data: Vec<f64> = tensor.data.iter().map(CaseNumber::value).collect();
    if dtype == DType::U32 && data.iter().any(|&x| !(0.0..4_294_967_296.0).contains(&x)) {
        return Err(format!("input `{name}` holds integers outside 0..2^32"));
    }
    let source = Source::Parameter(name.into());
    let value = graph.source(source, &tensor.shape, dtype).map_err(|e| e.to_string())?;
    bindings.insert(value, Tensor::new(tensor.shape.clone(), data));
    Ok(value)
}

/// The results of the operator.
fn operator(o: &mut Operands) -> Result<Vec<ValueId>, Skip> {
    let say = |e: GraphError| e.to_string();
    let one = |r: Result<ValueId, GraphError>| r.map(|v| vec![v]).map_err(say);
    let op = o.case.op.clone();
    match op.as_str() {
        "matmul" => {
            let (a, b) = (o.get("a")?, o.get("b")?);
            one(o.graph.matmul(a, b))
        }
        "linear" => {
            let (x, w, b) = (o.get("x")?, o.get("w")?, o.get("b")?);
            one(dense(o.graph, x, w, b))
        }
        "relu" | "tanh" | "sigmoid" | "leaky_relu" | "elu" | "softplus" | "gelu" | "silu" => {
            o.expect("approximate", "none")?;
            let x = o.get("x")?;
            let alpha = o.number("alpha", o.number("negative_slope", f64::NAN));
            match op.as_str() {
                "leaky_relu" => one(o.graph.leaky_relu(x, if alpha.is_nan() { 0.01 } else { alpha })),
                "elu" => one(o.graph.elu(x, if alpha.is_nan() { 1.0 } else { alpha })),
                other => one(activation(o.graph, function(other), x)),
            }
        }
        "softmax" | "log_softmax" => {
            let x = o.get("x")?;
            let rank = o.graph.shape(x).len() as f64;
            let axis = o.number("axis", -1.0);
            let axis = if axis < 0.0 { axis + rank } else { axis };
            if axis < 0.0 || axis.fract() != 0.0 {
                return Err(format!("axis {axis} of a tensor with {rank} axes"));
            }
            let axis = axis as usize;
            one(if op == "softmax" {
                o.graph.softmax_over(x, axis)
            } else {
                o.graph.log_softmax_over(x, axis)
            })
        }
        "conv1d" | "conv2d" | "conv_transpose1d" | "conv_transpose2d" => convolutions::build(o, &op),
        "batchnorm_train" | "layernorm" => normalisation(o, &op),
        "cross_entropy" | "mse" | "bce_with_logits" | "huber" => loss(o, &op),
        "kl_gauss" => {
            let (mu, logvar) = (o.get("mu")?, o.get("logvar")?);
            one(kl_gauss(o.graph, mu, logvar))
        }
        "reparam" => {
            let (mu, logvar, eps) = (o.get("mu")?, o.get("logvar")?, o.get("eps")?);
            one(o.graph.reparameterise(mu, logvar, eps))
        }
        "gauss_nll" => {
            let (mu, logvar, x) = (o.get("mu")?, o.get("logvar")?, o.get("x")?);
            one(gauss_nll(o.graph, mu, logvar, x))
        }
        "vae" => vae(o),
        "embedding" => {
            let (w, ids) = (o.get("w")?, o.get("ids")?);
            one(o.graph.gather(w, ids))
        }
        "maxpool2d" | "avgpool2d" | "upsample" | "interpolate" => pooling::build(o, &op),
        "rnn_tanh" | "rnn_with_output" | "lstm" | "gru" => recurrent::build(o, &op),
        _ => Err(format!("operator `{op}` is not supported in this version")),
    }
}

fn function(name: &str) -> Activation {
    match name {
        "tanh" => Activation::Tanh,
        "sigmoid" => Activation::Sigmoid,
        "softplus" => Activation::Softplus,
        "gelu" => Activation::Gelu,
        "silu" => Activation::Silu,
        _ => Activation::Relu,
    }
}

/// `x W^T + b`
pub(super) fn dense(g: &mut Graph, x: ValueId, w: ValueId, b: ValueId) -> Result<ValueId, GraphError> {
    let y = g.matmul_with(x, w, false, true)?;
    g.add(y, b)
}

fn normalisation(o: &mut Operands, op: &str) -> Result<Vec<ValueId>, Skip> {
    let (x, gamma, beta) = (o.get("x")?, o.get("gamma")?, o.get("beta")?);
    let rank = o.graph.shape(x).len();
    let eps = o.number("eps", 1e-5);
    let (axes, scale_axis): (Vec<usize>, usize) = if op == "layernorm" {
        (vec![rank - 1], rank - 1)
    } else {
        ((0..rank).filter(|&d| d != 1).collect(), 1)
    };
    let mut shape = vec![1; rank];
    shape[scale_axis] = o.graph.shape(x)[scale_axis];
    let build = |g: &mut Graph| -> Result<ValueId, GraphError> {
        let (gamma, beta) = (g.reshape(gamma, &shape)?, g.reshape(beta, &shape)?);
        Ok(g.normalise(x, &axes, eps, gamma, beta)?.y)
    };
    build(o.graph).map(|y| vec![y]).map_err(|e| e.to_string())
}

fn loss(o: &mut Operands, op: &str) -> Result<Vec<ValueId>, Skip> {
    o.expect("reduction", "mean")?;
    let (x, target) = (o.get("x")?, o.get("target")?);
    let loss = match op {
        "cross_entropy" => Loss::CrossEntropy {
            label_smoothing: o.number("label_smoothing", 0.0),
            class_weights: ClassWeights::default(),
        },
        "bce_with_logits" => Loss::BceWithLogits { pos_weight: PosWeight::default() },
        "huber" => Loss::Huber { delta: o.number("delta", 1.0) },
        _ => Loss::Mse {},
    };
    let build = |g: &mut Graph| -> Result<ValueId, GraphError> {
        if op == "cross_entropy" {
            return Ok(loss.build(g, x, target)?.1);
        }
        // The losses of models are over `[rows, outputs]`.
        let count = g.ty(x).elements();
        let (x, target) = (g.reshape(x, &[1, count])?, g.reshape(target, &[1, count])?);
        Ok(loss.build(g, x, target)?.1)
    };
    build(o.graph).map(|y| vec![y]).map_err(|e| e.to_string())
}

fn total(g: &mut Graph, x: ValueId) -> Result<ValueId, GraphError> {
    let axes: Vec<usize> = (0..g.shape(x).len()).collect();
    g.sum(x, &axes, false)
}

/// `-1/2 sum(1 + logvar - mu^2 - e^logvar)`
fn kl_gauss(g: &mut Graph, mu: ValueId, logvar: ValueId) -> Result<ValueId, GraphError> {
    let elements = g.gaussian_kl(mu, logvar)?;
    total(g, elements)
}

/// `1/2 sum(logvar + (x - mu)^2 / e^logvar + ln(2 pi))`
fn gauss_nll(g: &mut Graph, mu: ValueId, logvar: ValueId, x: ValueId) -> Result<ValueId, GraphError> {
    let elements = g.gaussian_nll(x, mu, logvar)?;
    total(g, elements)
}

fn vae(o: &mut Operands) -> Result<Vec<ValueId>, Skip> {
    o.expect("enc", "tanh")?;
    o.expect("dec", "tanh")?;
    let names = ["x", "eps", "w1", "b1", "wm", "bm", "wv", "bv", "w3", "b3", "w4", "b4"];
    let v: Vec<ValueId> = names.iter().map(|n| o.get(n)).collect::<Result<_, _>>()?;
    let build = |g: &mut Graph| -> Result<Vec<ValueId>, GraphError> {
        let pre = dense(g, v[0], v[2], v[3])?;
        let h = g.unary(UnaryFn::Tanh, pre)?;
        let (mu, logvar) = (dense(g, h, v[4], v[5])?, dense(g, h, v[6], v[7])?);
        let z = g.reparameterise(mu, logvar, v[1])?;
        let pre = dense(g, z, v[8], v[9])?;
        let h = g.unary(UnaryFn::Tanh, pre)?;
        let logits = dense(g, h, v[10], v[11])?;
        let elements = g.bernoulli_nll(logits, v[0])?;
        Ok(vec![total(g, elements)?, kl_gauss(g, mu, logvar)?])
    };
    build(o.graph).map_err(|e| e.to_string())
}
