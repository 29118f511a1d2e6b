//! The tests of webnn-baseline as graphs of this crate. What is not an operator here is composed of operators
//! where a line or two suffice; what the engine lacks is left out, with the reason.

use std::collections::BTreeMap;

use gridlight::base::step::StepRecord;
use gridlight::base::tensor::{DType, Tensor};
use gridlight::device::Device;
use gridlight::graph::{Graph, GraphError, Source, ValueId};
use gridlight::scalar::UnaryFn;
use gridlight::verify::{Case, relative_error, run};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{webnn_operators, webnn_recurrent};

/// One test: calls of operators with their results.
#[derive(Clone, Deserialize)]
pub struct Test {
    pub file: String,
    pub name: String,
    pub calls: Vec<Call>,
}

/// One call. Its figures come from the baseline's own code in double precision.
#[derive(Clone, Deserialize)]
pub struct Call {
    pub op: String,
    pub args: Vec<Value>,
    expected: BTreeMap<usize, Given>,
}

/// A tensor of the file.
#[derive(Clone, Debug, Deserialize)]
pub struct Given {
    pub shape: Vec<usize>,
    pub data: Vec<f64>,
}

/// A graph under construction, with the call's arguments.
pub struct Builder<'a> {
    pub g: Graph,
    bindings: BTreeMap<ValueId, Tensor>,
    pub call: &'a Call,
}

/// The result of building; an error fails the test.
pub type Built<T = ValueId> = Result<T, String>;

/// The text of a graph error.
pub fn say(error: GraphError) -> String {
    error.to_string()
}

impl Call {
    /// Argument `at` as a tensor.
    pub fn given(&self, at: usize) -> Built<Given> {
        let argument = self.args.get(at).ok_or_else(|| format!("no argument {at}"))?;
        serde_json::from_value(argument.clone()).map_err(|e| format!("argument {at}: {e}"))
    }

    /// Argument `at` as a list of numbers or a number.
    pub fn numbers(&self, at: usize) -> Vec<f64> {
        let list = self.args.get(at).and_then(Value::as_array);
        list.map(|l| l.iter().filter_map(Value::as_f64).collect()).unwrap_or_default()
    }

    /// Like [`Call::numbers`], as extents.
    pub fn extents(&self, at: usize) -> Vec<usize> {
        self.numbers(at).into_iter().map(|x| x as usize).collect()
    }

    /// The options: the last argument, if it is an object and not a tensor.
    pub fn options(&self) -> Map<String, Value> {
        let last = self.args.last().and_then(Value::as_object);
        last.filter(|o| !o.contains_key("shape")).cloned().unwrap_or_default()
    }

    /// A numeric option.
    pub fn number(&self, key: &str, default: f64) -> f64 {
        self.options().get(key).and_then(Value::as_f64).unwrap_or(default)
    }

    /// An option that lists axes.
    pub fn axes(&self) -> Option<Vec<usize>> {
        let options = self.options();
        let list = options.get("axes")?.as_array()?.iter().filter_map(Value::as_u64);
        Some(list.map(|x| x as usize).collect())
    }

    /// Whether an option is set and is not `false`.
    pub fn flag(&self, key: &str, default: bool) -> bool {
        self.options().get(key).and_then(Value::as_bool).unwrap_or(default)
    }

    /// Why this version cannot run the call, if it cannot.
    fn missing(&self) -> Option<&'static str> {
        let options = self.options();
        let mode = options.get("mode").and_then(Value::as_str).unwrap_or("constant");
        Some(match self.op.as_str() {
            "argMax" | "argMin" => "no argmax operator in this version (metrics compute it on the host)",
            "cast" | "quantizeLinear" | "dequantizeLinear" => "graphs hold f32 and u32 alone",
            "cumulativeSum" | "reverse" => "no scan or reversal in this version",
            "gatherElements" | "gatherND" | "scatterElements" | "scatterND" => {
                "gather takes whole rows in this version; there is no scatter operator"
            }
            "pow" => "no power function in this version",
            "tan" | "ceil" => "not among the scalar functions of this version",
            "reduceProduct" => "reductions are sums and maxima in this version",
            "constant" => "ranges are not generated in this version",
            "pad" if mode != "constant" => "padding is with a constant in this version",
            "slice" if options.contains_key("strides") => "slices have no strides in this version",
            "gather" if self.given(1).is_ok_and(|i| i.data.iter().any(|&x| x < 0.0)) => {
                "indices are counted from the front"
            }
            "sign" if self.given(0).is_err() => "the file has null in place of infinities",
            _ => return None,
        })
    }
}

impl Test {
    /// Why this version cannot run the test, if it cannot.
    pub fn missing(&self) -> Option<&'static str> {
        self.calls.iter().find_map(Call::missing)
    }
}

impl Builder<'_> {
    /// A source with the values of `given`.
    pub fn bind(&mut self, given: &Given, dtype: DType) -> Built {
        let name = format!("input {}", self.bindings.len());
        let value = self.g.source(Source::Parameter(name), &given.shape, dtype).map_err(say)?;
        self.bindings.insert(value, Tensor::new(given.shape.clone(), given.data.clone()));
        Ok(value)
    }

    /// Argument `at`.
    pub fn input(&mut self, at: usize) -> Built {
        let given = self.call.given(at)?;
        self.bind(&given, DType::F32)
    }

    /// Argument `at` as indices.
    pub fn indices(&mut self, at: usize) -> Built {
        let given = self.call.given(at)?;
        self.bind(&given, DType::U32)
    }

    /// A tensor option.
    pub fn option(&mut self, key: &str) -> Built<Option<ValueId>> {
        let Some(value) = self.call.options().get(key).cloned() else { return Ok(None) };
        let given: Given = serde_json::from_value(value).map_err(|e| format!("{key}: {e}"))?;
        self.bind(&given, DType::F32).map(Some)
    }

    /// A tensor option, or zeros if it is not given.
    pub fn option_or_zeros(&mut self, key: &str, shape: &[usize]) -> Built {
        match self.option(key)? {
            Some(value) => Ok(value),
            None => {
                let data = vec![0.0; shape.iter().product()];
                self.bind(&Given { shape: shape.to_vec(), data }, DType::F32)
            }
        }
    }

    /// An elementwise function.
    pub fn unary(&mut self, f: UnaryFn, x: ValueId) -> Built {
        self.g.unary(f, x).map_err(say)
    }
}

/// Runs every call on `device` and compares within `tolerance` of each figure plus the root mean square of
/// all.
pub fn check(test: &Test, device: &dyn Device, tolerance: f64) -> Result<(), String> {
    for (at, call) in test.calls.iter().enumerate() {
        check_call(call, device, tolerance).map_err(|e| format!("call {at} ({}): {e}", call.op))?;
    }
    Ok(())
}

fn check_call(call: &Call, device: &dyn Device, tolerance: f64) -> Result<(), String> {
    let mut b = Builder { g: Graph::new(), bindings: BTreeMap::new(), call };
    let outputs = match call.op.as_str() {
        "lstm" | "lstmCell" | "gru" | "gruCell" => webnn_recurrent::build(&mut b)?,
        "split" => webnn_operators::split(&mut b)?,
        _ => vec![webnn_operators::build(&mut b)?],
    };
    let Builder { g: graph, bindings, .. } = b;
    let step = StepRecord::default();
    let case = Case { name: call.op.clone(), graph, bindings, outputs, step, magnitude: 0.0 };
    let found = run(device, &case).map_err(|e| e.to_string())?;
    if found.len() != call.expected.len() {
        return Err(format!("{} results where the baseline has {}", found.len(), call.expected.len()));
    }
    for (found, (at, expected)) in found.iter().zip(&call.expected) {
        if found.shape != expected.shape {
            return Err(format!("result {at} has shape {:?}, expected {:?}", found.shape, expected.shape));
        }
        let error = relative_error(&expected.data, &found.data, 0.0);
        // A NaN must not pass.
        if error.is_nan() || error > tolerance {
            let (expected, found) = (&expected.data, &found.data);
            return Err(format!("result {at}: relative error {error:.2e}: {expected:?}, found {found:?}"));
        }
    }
    Ok(())
}
