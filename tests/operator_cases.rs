//! The sample operator cases that PyTorch computed in double precision: every operator that is there agrees, on
//! the CPU backend, and none is wrong.

use std::path::Path;

use gridlight::device::cpu::CpuDevice;
use gridlight::verify::cases::{CaseNumber, CaseTensor, OperatorCase, OperatorResult, run_case};
use gridlight::verify::relative_error;

fn values(tensor: &CaseTensor) -> Vec<f64> {
    let value = |x: &CaseNumber| match x {
        CaseNumber::Finite(x) => *x,
        CaseNumber::Named(name) => name.parse().unwrap(),
    };
    tensor.data.iter().map(value).collect()
}

fn main() {
    let arguments = libtest_mimic::Arguments::from_args();
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/conformance/operator-cases-sample.jsonl");
    let text = std::fs::read_to_string(&path);
    let trials = match text {
        Err(_) => {
            let name = "operator_cases [ignored: ../shared/conformance is not beside this checkout]";
            vec![libtest_mimic::Trial::test(name, || Ok(())).with_ignored_flag(true)]
        }
        Ok(text) => text.lines().map(|line| trial(line.to_string())).collect(),
    };
    libtest_mimic::run(&arguments, trials).exit();
}

fn trial(line: String) -> libtest_mimic::Trial {
    let case: OperatorCase = serde_json::from_str(&line).unwrap();
    let not_yet = ["conv2d", "conv_transpose2d", "maxpool2d", "avgpool2d"].contains(&case.op.as_str());
    let name =
        if not_yet { format!("{} [ignored: not in this version]", case.name) } else { case.name.clone() };
    libtest_mimic::Trial::test(name, move || check(&line, &case)).with_ignored_flag(not_yet)
}

fn check(line: &str, case: &OperatorCase) -> Result<(), libtest_mimic::Failed> {
    let expected: serde_json::Value = serde_json::from_str(line).unwrap();
    let device = CpuDevice::new(Some(1));
    match run_case(case, &device).map_err(|e| e.to_string())? {
        OperatorResult::Skipped { skip, .. } => Err(format!("skipped: {skip}").into()),
        OperatorResult::Done { y, grads, .. } => {
            let tensor = |v: &serde_json::Value| values(&serde_json::from_value(v.clone()).unwrap());
            for (at, found) in y.iter().enumerate() {
                let found: Vec<f64> = found.iter().map(|x| x.0).collect();
                compare(&format!("y[{at}]"), &tensor(&expected["y"][at]), &found)?;
            }
            // The file holds no gradient for targets and noise.
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

fn compare(what: &str, expected: &[f64], found: &[f64]) -> Result<(), libtest_mimic::Failed> {
    let error = relative_error(expected, found, 1e-3);
    if error > 1e-5 {
        Err(format!("{what}: relative error {error}: {expected:?} {found:?}").into())
    } else {
        Ok(())
    }
}
