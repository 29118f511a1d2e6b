//! Damaged models of others, and weights of PyTorch: an error that names the file, within time and memory.

use std::collections::BTreeMap;
use std::path::Path;

use gridlight::device::cpu::CpuDevice;
use gridlight::onnx::import::Imported;
use gridlight::onnx::import::known::{Kind, Known};
use gridlight::onnx::import::model::Side;
use gridlight::run::imported;
use gridlight::train::foreign;

use super::attack::attack;
use super::mutate::mutate;

const PLACE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/pytorch");
const COUNT: u32 = 1000;

fn read(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(PLACE).join(name)).unwrap()
}

/// Runs a model that can be built on two rows, with an outcome of any kind.
fn run(model: &Imported) {
    let extent = |(axis, side): (usize, &Side)| match side {
        _ if axis == 0 => 2,
        Side::Fixed(n) => *n,
        _ => 3,
    };
    let mut inputs = BTreeMap::new();
    for port in &model.source.inputs {
        let shape: Vec<usize> =
            port.shape.iter().flat_map(|sides| sides.iter().enumerate().map(extent)).collect();
        let count = shape.iter().try_fold(1usize, |count, &extent| count.checked_mul(extent));
        let Some(count) = count.filter(|&count| count <= 1 << 16) else { return };
        let data = (0..count).map(|at| (at % 7) as f64 - 3.0).collect();
        inputs.insert(port.name.clone(), Known { kind: Kind::Float, shape, data });
    }
    drop(imported::run(model, &inputs, &CpuDevice::new(Some(1))));
}

#[test]
fn damaged_models_are_errors() {
    let directory = tempfile::tempdir().unwrap();
    let models = ["imported-mlp.onnx", "imported-cnn.onnx", "imported-lstm.onnx"].map(read);
    let damaged = (0..COUNT).map(|seed| mutate(&models[seed as usize % models.len()], seed));
    let refused = attack(&directory.path().join("damaged.onnx"), damaged, |path| {
        let model = Imported::read(path).map_err(|error| error.to_string())?;
        // What is not supported is listed, not an error.
        let found = model.inspect(&BTreeMap::new());
        if found.problems.is_empty() {
            run(&model);
        }
        Ok(())
    });
    assert!(refused > 100, "{refused} of {COUNT} damaged models were refused");
}

#[test]
fn damaged_weights_are_errors() {
    let directory = tempfile::tempdir().unwrap();
    let files = ["imported.pt", "imported-nested.pt"].map(read);
    let damaged = (0..COUNT).map(|seed| mutate(&files[seed as usize % files.len()], seed));
    let refused = attack(&directory.path().join("damaged.pt"), damaged, |path| {
        foreign::load(path).map(drop).map_err(|error| error.to_string())
    });
    assert!(refused > 100, "{refused} of {COUNT} damaged weights were refused");
}
