//! The sample operator cases computed by PyTorch in double precision, and those of every variant of
//! convolution (tests/pytorch/convolutions.py): every supported operator agrees on both backends.

use std::sync::Arc;

use gridlight::device::Device;
use gridlight::verify::cases::{CaseNumber, CaseTensor, OperatorCase, OperatorResult, run_case};
use gridlight::verify::relative_error;

use crate::{everywhere, harness};

fn values(tensor: &CaseTensor) -> Vec<f64> {
    let value = |x: &CaseNumber| match x {
        CaseNumber::Finite(x) => *x,
        CaseNumber::Named(name) => name.parse().unwrap(),
    };
    tensor.data.iter().map(value).collect()
}

pub fn trials() -> Vec<libtest_mimic::Trial> {
    let mut trials: Vec<_> =
        include_str!("../pytorch/convolutions.jsonl").lines().flat_map(trials_of).collect();
    trials.extend(include_str!("../pytorch/extremes.jsonl").lines().flat_map(trials_of));
    trials.extend(match everywhere::shared_file("conformance/operator-cases-sample.jsonl") {
        Err(reason) => vec![harness::ignored("operator_cases", &reason)],
        Ok(text) => text.lines().flat_map(trials_of).collect(),
    });
    trials
}

fn trials_of(line: &str) -> Vec<libtest_mimic::Trial> {
    let case: OperatorCase = serde_json::from_str(line).unwrap();
    let (name, line) = (case.name.clone(), line.to_string());
    everywhere::on_every_backend(&name, Arc::new(move |device: &dyn Device| check(&line, &case, device)))
}

fn check(line: &str, case: &OperatorCase, device: &dyn Device) -> Result<(), String> {
    let expected: serde_json::Value = serde_json::from_str(line).unwrap();
    match run_case(case, device).map_err(|e| e.to_string())? {
        OperatorResult::Skipped { skip, .. } => Err(format!("skipped: {skip}")),
        OperatorResult::Done { y, grads, .. } => {
            let tensor = |v: &serde_json::Value| values(&serde_json::from_value(v.clone()).unwrap());
            for (at, found) in y.iter().enumerate() {
                let found: Vec<f64> = found.iter().map(|x| x.0).collect();
                compare(&format!("y[{at}]"), &tensor(&expected["y"][at]), &found)?;
            }
            // The file has no gradients for targets and noise.
            for (name, found) in
                grads.iter().filter(|(name, _)| expected["grads"].get(name.as_str()).is_some())
            {
                let found: Vec<f64> = found.iter().map(|x| x.0).collect();
                compare(&format!("gradient of {name}"), &tensor(&expected["grads"][name.as_str()]), &found)?;
            }
            Ok(())
        }
    }
}

fn compare(what: &str, expected: &[f64], found: &[f64]) -> Result<(), String> {
    let error = relative_error(expected, found, 1e-3);
    if error > 1e-5 { Err(format!("{what}: relative error {error}: {expected:?} {found:?}")) } else { Ok(()) }
}
