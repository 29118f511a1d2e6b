//! Burn's tests of convolution gradients: inputs count up from 0, and the loss is the sum of the result.

use std::collections::BTreeMap;

use gridlight::device::Device;
use gridlight::verify::cases::{OperatorCase, OperatorResult, run_case};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// One test.
#[derive(Clone, Deserialize)]
pub struct Test {
    pub name: String,
    pub op: String,
    params: Map<String, Value>,
    expected_grads: BTreeMap<String, Value>,
}

impl Test {
    /// A parameter for every axis: `key` for one axis or a list, or `key_1`, `key_2`.
    fn axes(&self, key: &str) -> Vec<u64> {
        let number = |v: &Value| v.as_u64().expect("a parameter is a whole number");
        match self.params.get(key) {
            Some(Value::Array(list)) => list.iter().map(number).collect(),
            Some(value) => vec![number(value)],
            None => (1..).map_while(|d| self.params.get(&format!("{key}_{d}")).map(number)).collect(),
        }
    }

    fn number(&self, key: &str) -> Option<u64> {
        self.params.get(key).and_then(Value::as_u64)
    }
}

/// A tensor that counts up from 0.
fn counting(shape: &[u64]) -> Value {
    let count: u64 = shape.iter().product();
    json!({"shape": shape, "dtype": "f32", "data": (0..count).collect::<Vec<_>>()})
}

/// The numbers of nested lists, in order.
fn flat(value: &Value, into: &mut Vec<f64>) {
    match value {
        Value::Array(list) => list.iter().for_each(|v| flat(v, into)),
        other => into.push(other.as_f64().expect("a gradient is a number")),
    }
}

/// Compares all three gradients on `device`; they are integers, so they must match exactly up to rounding.
pub fn check(test: &Test, device: &dyn Device) -> Result<(), String> {
    let transposed = test.op.starts_with("conv_transpose");
    let (batch, groups) = (test.number("batch_size").unwrap_or(1), test.number("groups").unwrap_or(1));
    let (kernel, stride) = (test.axes("kernel_size"), test.axes("stride"));
    let (dilation, padding) = (test.axes("dilation"), test.axes("padding"));
    let extra = test.axes("padding_out");
    let (inputs, outputs) = match test.axes("channels")[..] {
        [inputs, outputs] => (inputs, outputs),
        _ => (test.number("channels_in").unwrap_or(1), test.number("channels_out").unwrap_or(1)),
    };
    let size = match (test.number("length"), test.number("height"), test.number("width")) {
        (Some(length), _, _) => vec![length],
        (_, Some(height), Some(width)) => vec![height, width],
        _ => test.axes("size"),
    };
    let first = if transposed { [inputs, outputs / groups] } else { [outputs, inputs / groups] };
    let result = |d: usize| match transposed {
        true => (size[d] - 1) * stride[d] + dilation[d] * (kernel[d] - 1) + extra[d] + 1 - 2 * padding[d],
        false => (size[d] + 2 * padding[d] - dilation[d] * (kernel[d] - 1) - 1) / stride[d] + 1,
    };
    let result: Vec<u64> = [batch, outputs].into_iter().chain((0..size.len()).map(result)).collect();
    let ones = vec![1; result.iter().product::<u64>() as usize];
    let case = json!({
        "name": test.name,
        "op": test.op,
        "params": {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups,
                   "output_padding": if transposed { extra } else { vec![0] }},
        "inputs": {
            "x": counting(&[&[batch, inputs], &size[..]].concat()),
            "w": counting(&[&first[..], &kernel[..]].concat()),
            "b": counting(&[outputs]),
        },
        "dy": [{"shape": result, "dtype": "f32", "data": ones}],
    });
    let case: OperatorCase = serde_json::from_value(case).map_err(|e| e.to_string())?;
    let grads = match run_case(&case, device).map_err(|e| e.to_string())? {
        OperatorResult::Done { grads, .. } => grads,
        OperatorResult::Skipped { skip, .. } => return Err(skip),
    };
    for (name, key) in [("x", "x"), ("weight", "w"), ("bias", "b")] {
        let mut expected = vec![];
        flat(&test.expected_grads[name], &mut expected);
        let found: Vec<f64> = grads[key].iter().map(|n| n.0).collect();
        let close = |(e, f): (&f64, &f64)| (e - f).abs() <= 1e-5 * (1.0 + e.abs());
        if expected.len() != found.len() || !expected.iter().zip(&found).all(close) {
            return Err(format!("gradient of {name}: {expected:?}, found {found:?}"));
        }
    }
    Ok(())
}
