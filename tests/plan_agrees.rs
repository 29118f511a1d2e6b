//! Fused plans compute what the graph says: random shapes through every operator, gradients included, on the
//! CPU backend against the reference.

use std::collections::BTreeMap;

use gridlight::device::cpu::CpuDevice;
use gridlight::graph::{Graph, Source, ValueId, autodiff};
use gridlight::rng;
use gridlight::scalar::StepRecord;
use gridlight::tensor::{DType, Tensor, elements};
use gridlight::verify::{Case, compare};

fn source(g: &mut Graph, bindings: &mut BTreeMap<ValueId, Tensor>, name: &str, shape: &[usize]) -> ValueId {
    let value = g.source(Source::Parameter(name.into()), shape, DType::F32).unwrap();
    let stream = bindings.len() as u32 + 7;
    let data = (0..elements(shape)).map(|i| f64::from(rng::normal(rng::word([1, 2], stream, 0, i as u32))));
    bindings.insert(value, Tensor::new(shape, data.collect()));
    value
}

/// Dense 128/relu - 64/relu - 1 with MSE: loss and all gradients.
fn mlp(batch: usize, sizes: &[usize]) -> Case {
    let mut g = Graph::new();
    let mut bindings = BTreeMap::new();
    let x = source(&mut g, &mut bindings, "x", &[batch, sizes[0]]);
    let y = source(&mut g, &mut bindings, "y", &[batch, *sizes.last().unwrap()]);
    let mut h = x;
    let mut parameters = vec![];
    for (i, pair) in sizes.windows(2).enumerate() {
        let w = source(&mut g, &mut bindings, &format!("w{i}"), &[pair[1], pair[0]]);
        let b = source(&mut g, &mut bindings, &format!("b{i}"), &[pair[1]]);
        parameters.extend([w, b]);
        let product = g.matmul_with(h, w, false, true).unwrap();
        h = g.add(product, b).unwrap();
        if i + 2 < sizes.len() {
            h = g.unary(gridlight::scalar::UnaryFn::Relu, h).unwrap();
        }
    }
    let error = g.sub(h, y).unwrap();
    let square = g.unary(gridlight::scalar::UnaryFn::Square, error).unwrap();
    let loss = g.mean(square, &[0, 1], false).unwrap();
    let gradients = autodiff::gradients(&mut g, loss, &parameters).unwrap();
    let outputs = std::iter::once(loss).chain(gradients).collect();
    Case { name: "mlp".into(), graph: g, bindings, outputs, step: StepRecord::default() }
}

#[test]
fn an_mlp_and_its_gradients_agree_with_the_reference() {
    let device = CpuDevice::new(Some(2));
    for (batch, sizes) in [(32, &[64, 128, 64, 1][..]), (1, &[1, 1]), (17, &[3, 65, 63, 2]), (257, &[5, 7])] {
        let agreement = compare(&device, &mlp(batch, sizes), 1e-5).unwrap();
        assert!(agreement.passed(), "batch {batch}, sizes {sizes:?}: {agreement:?}");
    }
}
