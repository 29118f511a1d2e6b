//! GPU kernels are correct: random kernels of every family compared with the oracle, and every operator with
//! its gradients, as planned, compared with the reference in `f64`. Tested for both kernel families, with and
//! without wgpu's injected checks; every buffer that is not an input initially holds NaN.

mod single;

use std::collections::BTreeMap;

use gridlight::base::rng;
use gridlight::base::rng::RandomKind;
use gridlight::base::step::StepRecord;
use gridlight::base::target::Family;
use gridlight::base::tensor::{DType, Tensor, elements};
use gridlight::device::cpu::CpuDevice;
use gridlight::device::gpu::GpuOptions;
use gridlight::graph::{Graph, GraphError, Source, ValueId, autodiff};
use gridlight::kernels::samples::{self};
use gridlight::scalar::{BinaryFn, UnaryFn};
use gridlight::verify::{Case, compare, run};
use libtest_mimic::{Failed, Trial};

use crate::harness;

/// Extents on both sides of vector, workgroup and tile sizes.
const EXTENTS: [usize; 8] = [1, 2, 3, 17, 63, 64, 65, 257];

pub fn trials() -> Vec<Trial> {
    let mut tests: Vec<(String, harness::Test)> = vec![];
    for family in samples::families() {
        tests.push((
            format!("random_kernels_agree_with_the_oracle::{family}"),
            Box::new(|| single::samples_agree(family)),
        ));
    }
    let graphs: [(&str, harness::Check); 16] = [
        ("every_geometry_has_the_same_bits", single::every_geometry_has_the_same_bits),
        ("workgroup_tiles_of_every_layout", single::workgroup_tiles_of_every_layout),
        ("verify_finds_a_wrong_kernel", single::verify_finds_a_wrong_kernel),
        ("exact_mode_has_the_bits_of_the_cpu", single::exact_bits),
        ("matrix_products_and_their_gradients", matrix_products),
        ("long_dot_products_are_split", long_dot_products),
        ("an_mlp_and_its_gradients", mlps),
        ("functions_of_one_element", unary_functions),
        ("functions_of_two_elements_broadcast", binary_functions),
        ("values_that_are_not_finite_stay_so", non_finite_values),
        ("reductions_and_their_gradients", reductions),
        ("softmax_and_cross_entropy", softmax),
        ("rows_by_index_and_their_gradient", gathers),
        ("gradients_of_rows_have_the_bits_of_the_cpu", gathered_bits),
        ("views_cost_nothing_and_are_right", views),
        ("random_numbers_have_the_bits_of_the_cpu", random_numbers),
    ];
    for (name, test) in graphs {
        tests.push((name.into(), Box::new(test)));
    }
    harness::trials_of(tests)
}

/// A graph under construction with values for its sources.
#[derive(Default)]
struct Builder {
    graph: Graph,
    bindings: BTreeMap<ValueId, Tensor>,
    inputs: Vec<ValueId>,
}

impl Builder {
    fn bind(&mut self, shape: &[usize], dtype: DType, data: Vec<f64>) -> Result<ValueId, GraphError> {
        let name = format!("input {}", self.bindings.len());
        let value = self.graph.source(Source::Parameter(name), shape, dtype)?;
        self.bindings.insert(value, Tensor::new(shape, data));
        if dtype == DType::F32 {
            self.inputs.push(value);
        }
        Ok(value)
    }

    /// A source of standard normal numbers.
    fn normal(&mut self, shape: &[usize]) -> Result<ValueId, GraphError> {
        let stream = 7 + self.bindings.len() as u32;
        let data = (0..elements(shape) as u32).map(|i| f64::from(normal(stream, i))).collect();
        self.bind(shape, DType::F32, data)
    }

    /// The case that compares `value` and, if `gradients`, the gradients of a weighted sum of it.
    fn case(mut self, value: ValueId, gradients: bool) -> Result<Case, GraphError> {
        let mut outputs = vec![value];
        if gradients {
            let shape = self.graph.shape(value).clone();
            let wrt = self.inputs.clone();
            let weights = self.normal(&shape)?;
            outputs.extend(autodiff::vjp(&mut self.graph, value, weights, &wrt)?);
        }
        let step = StepRecord { step: 5, seed_low: 11, seed_high: 13, ..StepRecord::default() };
        Ok(Case {
            name: String::new(),
            graph: self.graph,
            bindings: self.bindings,
            outputs,
            step,
            magnitude: 0.0,
        })
    }
}

fn normal(stream: u32, element: u32) -> f32 {
    rng::normal(rng::word([1, 2], stream, 0, element))
}

/// A pseudo-random number in `0..count`.
fn pick(stream: u32, element: u32, count: usize) -> usize {
    rng::word([3, 4], stream, 0, element) as usize % count
}

/// Compares on every family, with and without checks.
fn agree(name: &str, case: &Case, tolerance: f64) -> Result<(), Failed> {
    for (family, checked) in [
        (Family::Registers, false),
        (Family::Registers, true),
        (Family::Workgroup, false),
        (Family::Workgroup, true),
    ] {
        let device = harness::shared(family, checked)?;
        let agreement = compare(device, case, tolerance)
            .map_err(|e| format!("{name}, {family:?}, checked {checked}: {e}"))?;
        if !agreement.passed() {
            return Err(format!("{name}, {family:?}, checked {checked}: {agreement:?}").into());
        }
    }
    Ok(())
}

fn matrix_products() -> Result<(), Failed> {
    let mut shapes: Vec<[usize; 3]> = vec![[32, 128, 64], [32, 64, 128], [32, 1, 64], [128, 64, 32]];
    shapes.extend((0..10u32).map(|i| {
        let extent = |d: u32| EXTENTS[pick(20 + d, i, EXTENTS.len())];
        [extent(0), extent(1), extent(2)]
    }));
    for (at, [m, n, k]) in shapes.into_iter().enumerate() {
        let (ta, tb) = (at % 2 == 1, at / 2 % 2 == 0);
        let mut b = Builder::default();
        let a_shape = if ta { [k, m] } else { [m, k] };
        let b_shape = if tb { [n, k] } else { [k, n] };
        let (x, y) = (b.normal(&a_shape)?, b.normal(&b_shape)?);
        let product = b.graph.matmul_with(x, y, ta, tb)?;
        agree(&format!("matmul {m}x{n}x{k} {ta} {tb}"), &b.case(product, true)?, 1e-5)?;
    }
    for (batch, [m, n, k]) in [(3, [5, 7, 9]), (2, [33, 65, 17])] {
        let mut b = Builder::default();
        let (x, y) = (b.normal(&[batch, m, k])?, b.normal(&[batch, k, n])?);
        let product = b.graph.matmul(x, y)?;
        agree(&format!("matmul {batch} of {m}x{n}x{k}"), &b.case(product, true)?, 1e-5)?;
    }
    Ok(())
}

fn long_dot_products() -> Result<(), Failed> {
    let mut b = Builder::default();
    let (x, y) = (b.normal(&[3, 70_000])?, b.normal(&[70_000, 2])?);
    let product = b.graph.matmul(x, y)?;
    agree("matmul over 70,000", &b.case(product, false)?, 1e-5)?;
    let mut b = Builder::default();
    let x = b.normal(&[1_000_000])?;
    let mean = b.graph.mean(x, &[0], false)?;
    agree("mean of 1,000,000", &b.case(mean, false)?, 1e-4)
}

fn mlps() -> Result<(), Failed> {
    for (batch, sizes) in [(32, &[64, 128, 64, 1][..]), (1, &[1, 1]), (17, &[3, 65, 63, 2])] {
        let mut b = Builder::default();
        let mut h = b.normal(&[batch, sizes[0]])?;
        for (i, pair) in sizes.windows(2).enumerate() {
            let (weight, bias) = (b.normal(&[pair[1], pair[0]])?, b.normal(&[pair[1]])?);
            let product = b.graph.matmul_with(h, weight, false, true)?;
            h = b.graph.add(product, bias)?;
            if i + 2 < sizes.len() {
                h = b.graph.unary(UnaryFn::Relu, h)?;
            }
        }
        let square = b.graph.unary(UnaryFn::Square, h)?;
        let loss = b.graph.mean(square, &[0, 1], false)?;
        agree(&format!("mlp {batch} {sizes:?}"), &b.case(loss, true)?, 1e-5)?;
    }
    Ok(())
}

fn unary_functions() -> Result<(), Failed> {
    for &f in UnaryFn::ALL {
        let mut b = Builder::default();
        let positive = matches!(f, UnaryFn::Log | UnaryFn::Sqrt | UnaryFn::Log1p | UnaryFn::Reciprocal);
        let value = |i: u32| match positive {
            true => f64::from(normal(40, i)).abs() + 0.05,
            false => f64::from(normal(40, i)) * 3.0,
        };
        let x = b.bind(&[7, 43], DType::F32, (0..301).map(value).collect())?;
        let y = b.graph.unary(f, x)?;
        agree(&format!("{f:?}"), &b.case(y, true)?, 2e-5)?;
    }
    Ok(())
}

fn binary_functions() -> Result<(), Failed> {
    let shapes: [(&[usize], &[usize]); 5] =
        [(&[65, 3], &[65, 3]), (&[17, 63], &[63]), (&[5, 1, 4], &[7, 1]), (&[1], &[257]), (&[], &[3, 5])];
    for (at, f) in BinaryFn::ALL.into_iter().enumerate() {
        for (left, right) in [shapes[at % 5], shapes[(at + 2) % 5]] {
            let mut b = Builder::default();
            // Multiples of a quarter, so that equal elements occur; none is zero.
            let quarters = |stream: u32, count: usize| -> Vec<f64> {
                (0..count as u32).map(|i| pick(stream, i, 16) as f64 / 4.0 + 0.25).collect()
            };
            let x = b.bind(left, DType::F32, quarters(50, elements(left)))?;
            let y = b.bind(right, DType::F32, quarters(51, elements(right)))?;
            let z = b.graph.binary(f, x, y)?;
            let smooth = matches!(f, BinaryFn::Add | BinaryFn::Sub | BinaryFn::Mul | BinaryFn::Div);
            agree(&format!("{f:?} {left:?} {right:?}"), &b.case(z, smooth)?, 1e-5)?;
        }
    }
    Ok(())
}

fn non_finite_values() -> Result<(), Failed> {
    let special =
        vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -0.0, 1.0, -100.0, 100.0, -3e38, 3e38];
    let functions = [
        UnaryFn::Relu,
        UnaryFn::Sign,
        UnaryFn::Abs,
        UnaryFn::Neg,
        UnaryFn::Tanh,
        UnaryFn::Sigmoid,
        UnaryFn::Softplus,
        UnaryFn::Sin,
        UnaryFn::Cos,
    ];
    for f in functions {
        let mut b = Builder::default();
        let x = b.bind(&[special.len()], DType::F32, special.clone())?;
        let y = b.graph.unary(f, x)?;
        agree(&format!("{f:?} of special values"), &b.case(y, false)?, 1e-5)?;
    }
    for f in [BinaryFn::Min, BinaryFn::Max, BinaryFn::Add] {
        // Sums of the last two overflow in `f32`, but not in the reference.
        let count = if f == BinaryFn::Add { special.len() - 2 } else { special.len() };
        let mut b = Builder::default();
        let x = b.bind(&[count, 1], DType::F32, special[..count].to_vec())?;
        let y = b.bind(&[count], DType::F32, special[..count].to_vec())?;
        let z = b.graph.binary(f, x, y)?;
        agree(&format!("{f:?} of special values"), &b.case(z, false)?, 1e-5)?;
    }
    let mut b = Builder::default();
    let x = b.bind(&[2, 5], DType::F32, special)?;
    let y = b.graph.max(x, &[1], false)?;
    agree("maximum of special values", &b.case(y, false)?, 1e-5)
}

fn reductions() -> Result<(), Failed> {
    let cases: [(&[usize], &[usize]); 9] = [
        (&[1], &[0]),
        (&[257], &[0]),
        (&[65, 63], &[0]),
        (&[65, 63], &[1]),
        (&[17, 3, 64], &[1]),
        (&[17, 3, 64], &[0, 2]),
        (&[3, 5000], &[1]),
        (&[9000, 2], &[0]),
        (&[40, 300], &[0, 1]),
    ];
    for (shape, axes) in cases {
        let mut b = Builder::default();
        let x = b.normal(shape)?;
        let square = b.graph.unary(UnaryFn::Square, x)?;
        let sum = b.graph.sum(square, axes, false)?;
        let root = b.graph.unary(UnaryFn::Sqrt, sum)?;
        agree(&format!("norm of {shape:?} over {axes:?}"), &b.case(root, true)?, 1e-5)?;
        let mut b = Builder::default();
        let x = b.normal(shape)?;
        let max = b.graph.max(x, axes, true)?;
        agree(&format!("max of {shape:?} over {axes:?}"), &b.case(max, false)?, 0.0)?;
    }
    Ok(())
}

fn softmax() -> Result<(), Failed> {
    for [rows, columns] in [[1, 1], [3, 2], [65, 10], [17, 257], [2, 5000], [1, 70_000]] {
        let mut b = Builder::default();
        let x = b.normal(&[rows, columns])?;
        let x = b.graph.mul_scalar(x, 10.0)?;
        let y = if rows % 2 == 1 { b.graph.softmax(x)? } else { b.graph.log_softmax(x)? };
        agree(&format!("softmax {rows}x{columns}"), &b.case(y, columns < 1000)?, 2e-5)?;
        if columns > 5000 {
            continue;
        }
        let mut b = Builder::default();
        let x = b.normal(&[rows, columns])?;
        let labels = (0..rows as u32).map(|i| pick(60, i, columns) as f64).collect();
        let labels = b.bind(&[rows], DType::U32, labels)?;
        let weights: Vec<f32> = (0..columns).map(|c| 0.5 + (c % 3) as f32).collect();
        let weights = b.graph.constant(&[columns], &weights)?;
        let loss = b.graph.cross_entropy(x, labels, weights, 0.1)?;
        agree(&format!("cross-entropy {rows}x{columns}"), &b.case(loss, true)?, 2e-5)?;
    }
    Ok(())
}

/// Rows of a table, their width and how many are gathered: few, and more than one loop may go through.
const GATHERED: [[usize; 3]; 7] =
    [[1, 1, 1], [10, 3, 65], [257, 17, 63], [5, 64, 300], [3, 2, 6001], [7, 3, 70_001], [50_000, 3, 70_001]];

/// Rows of a table by index, and the gradient of the table.
fn gathered([vocabulary, width, count]: [usize; 3]) -> Result<Case, Failed> {
    let mut b = Builder::default();
    let table = b.normal(&[vocabulary, width])?;
    let indices = (0..count as u32).map(|i| pick(70, i, vocabulary) as f64).collect();
    let indices = b.bind(&[count], DType::U32, indices)?;
    let rows = b.graph.gather(table, indices)?;
    Ok(b.case(rows, true)?)
}

fn gathers() -> Result<(), Failed> {
    for sizes in GATHERED {
        agree(&format!("gather {sizes:?}"), &gathered(sizes)?, 1e-5)?;
    }
    Ok(())
}

/// The CPU adds up the gradients of rows in one kernel, a GPU in several.
fn gathered_bits() -> Result<(), Failed> {
    for sizes in GATHERED {
        let case = gathered(sizes)?;
        let expected = run(&CpuDevice::new(Some(2)).exact(true), &case).map_err(|e| e.to_string())?;
        for family in [Family::Registers, Family::Workgroup] {
            let options = GpuOptions { family: Some(family), exact: true, ..GpuOptions::default() };
            let found = run(&harness::device(&options)?, &case).map_err(|e| e.to_string())?;
            assert!(expected == found, "{sizes:?}, {family:?}");
        }
    }
    Ok(())
}

fn views() -> Result<(), Failed> {
    let mut b = Builder::default();
    let x = b.normal(&[6, 10, 7])?;
    let y = b.graph.permute(x, &[2, 0, 1])?;
    let y = b.graph.slice(y, &[1, 2, 3], &[5, 3, 6])?;
    let y = b.graph.pad(y, &[1, 0, 2], &[0, 3, 1])?;
    let y = b.graph.unary(UnaryFn::Tanh, y)?;
    let y = b.graph.reshape(y, &[36, 9])?;
    let z = b.normal(&[36, 4])?;
    let y = b.graph.concat(&[y, z], 1)?;
    let w = b.normal(&[13, 5])?;
    let product = b.graph.matmul(y, w)?;
    agree("permute, slice, pad, reshape, concat, matmul", &b.case(product, true)?, 2e-5)
}

fn random_numbers() -> Result<(), Failed> {
    for kind in [RandomKind::Uniform, RandomKind::Normal, RandomKind::Mask { threshold: 3 << 30 }] {
        let mut b = Builder::default();
        let x = b.graph.random(kind, 0x2_0001, &[17, 63])?;
        let case = b.case(x, false)?;
        let expected = run(&CpuDevice::new(Some(1)), &case).map_err(|e| e.to_string())?;
        for family in [Family::Registers, Family::Workgroup] {
            let found = run(harness::shared(family, false)?, &case).map_err(|e| e.to_string())?;
            assert_eq!(expected, found, "{kind:?}, {family:?}");
        }
    }
    Ok(())
}
