//! Damaged models of others, and weights of PyTorch: an error that names the file, within time and memory.

use std::collections::BTreeMap;
use std::path::Path;

use gridlight::onnx::import::Imported;
use gridlight::train::foreign;

use super::attack::attack;
use super::mutate::mutate;

const PLACE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/pytorch");
const COUNT: u32 = 1000;

fn read(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(PLACE).join(name)).unwrap()
}

#[test]
fn damaged_models_are_errors() {
    let directory = tempfile::tempdir().unwrap();
    let models = ["imported-mlp.onnx", "imported-cnn.onnx", "imported-lstm.onnx"].map(read);
    let damaged = (0..COUNT).map(|seed| mutate(&models[seed as usize % models.len()], seed));
    let refused = attack(&directory.path().join("damaged.onnx"), damaged, |path| {
        let model = Imported::read(path).map_err(|error| error.to_string())?;
        // What is not supported is listed, not an error.
        drop(model.inspect(&BTreeMap::new()));
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
