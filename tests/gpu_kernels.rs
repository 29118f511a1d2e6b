//! GPU kernels compute what the graph says: every operator with its gradients against the reference in `f64`,
//! and the kernels that graphs do not name against the CPU backend. Both kernel families, with and without
//! wgpu's injected checks; every buffer that is not an input holds NaN before.

mod common;

use std::collections::BTreeMap;
use std::process::ExitCode;

use gridlight::device::cpu::CpuDevice;
use gridlight::device::{Device, Family};
use gridlight::graph::{Graph, GraphError, Source, ValueId, autodiff};
use gridlight::kernels::matmul::{MatMul, MatrixView};
use gridlight::kernels::{Kernel, batch, norm, optimizer, store};
use gridlight::optim::Optimizer;
use gridlight::plan::{BufferClass, BufferId, BufferSpec, Dispatch, Phase, Program, Slice};
use gridlight::rng;
use gridlight::scalar::{BinaryFn, Body, Inst, RandomKind, StepRecord, UnaryFn};
use gridlight::tensor::{DType, Tensor, elements};
use gridlight::verify::{Case, compare, run};
use libtest_mimic::Failed;

/// Extents on both sides of the sizes of vectors, workgroups and tiles.
const EXTENTS: [usize; 8] = [1, 2, 3, 17, 63, 64, 65, 257];

fn main() -> ExitCode {
    common::run(&[
        ("matrix_products_and_their_gradients", matrix_products),
        ("long_dot_products_are_split", long_dot_products),
        ("an_mlp_and_its_gradients", mlps),
        ("functions_of_one_element", unary_functions),
        ("functions_of_two_elements_broadcast", binary_functions),
        ("values_that_are_not_finite_stay_so", non_finite_values),
        ("reductions_and_their_gradients", reductions),
        ("softmax_and_cross_entropy", softmax),
        ("rows_by_index_and_their_gradient", gathers),
        ("views_cost_nothing_and_are_right", views),
        ("random_numbers_have_the_bits_of_the_cpu", random_numbers),
        ("batches_and_results", batches),
        ("optimizers_and_clipping", optimizers),
        ("splits_and_row_sums_of_matrix_products", split_products),
    ])
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

    /// The case that compares `value` and, if `gradients`, those of a weighted sum of it.
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

/// A number of `0..count` that looks random.
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
        let device = common::shared(family, checked)?;
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
    shapes.extend((0..20u32).map(|i| {
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
    for f in UnaryFn::ALL {
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
            // Quarters, so that equal elements occur; none is zero.
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
    let functions =
        [UnaryFn::Relu, UnaryFn::Abs, UnaryFn::Neg, UnaryFn::Tanh, UnaryFn::Sigmoid, UnaryFn::Softplus];
    for f in functions {
        let mut b = Builder::default();
        let x = b.bind(&[special.len()], DType::F32, special.clone())?;
        let y = b.graph.unary(f, x)?;
        agree(&format!("{f:?} of special values"), &b.case(y, false)?, 1e-5)?;
    }
    for f in [BinaryFn::Min, BinaryFn::Max, BinaryFn::Add] {
        // Sums of the last two overflow in `f32` but not in the reference.
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

fn gathers() -> Result<(), Failed> {
    for [vocabulary, width, count] in [[1, 1, 1], [10, 3, 65], [257, 17, 63], [5, 64, 300]] {
        let mut b = Builder::default();
        let table = b.normal(&[vocabulary, width])?;
        let indices = (0..count as u32).map(|i| pick(70, i, vocabulary) as f64).collect();
        let indices = b.bind(&[count], DType::U32, indices)?;
        let rows = b.graph.gather(table, indices)?;
        agree(&format!("gather {count} of {vocabulary}x{width}"), &b.case(rows, true)?, 1e-5)?;
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
            let found = run(common::shared(family, false)?, &case).map_err(|e| e.to_string())?;
            assert_eq!(expected, found, "{kind:?}, {family:?}");
        }
    }
    Ok(())
}

/// One dispatch on the CPU and on every kind of GPU kernel: `reads` and the former content of the writes are
/// given; the largest relative error of any write must be at most `tolerance`.
fn kernel_agrees(
    kernel: Kernel,
    reads: &[Vec<u32>],
    writes: &[Vec<u32>],
    tolerance: f64,
) -> Result<(), Failed> {
    let name = format!("{} {}", kernel.name(), kernel.shape());
    let operands: Vec<&Vec<u32>> = reads.iter().chain(writes).collect();
    let buffer = |words: &&Vec<u32>| BufferSpec {
        name: "operand".into(),
        class: BufferClass::State,
        words: words.len().next_multiple_of(64),
    };
    let slices: Vec<Slice> = (0..operands.len())
        .map(|i| Slice { buffer: BufferId(i as u32), start: 0, words: operands[i].len() })
        .collect();
    let (read_slices, write_slices) = slices.split_at(reads.len());
    let label = name.clone();
    let dispatch = Dispatch { kernel, reads: read_slices.to_vec(), writes: write_slices.to_vec(), label };
    let program = Program {
        buffers: operands.iter().map(buffer).collect(),
        phases: vec![Phase { name: "test".into(), dispatches: vec![dispatch] }],
    };
    let optimizer = [0.9, 0.99, 1.5, 0.25];
    let step =
        StepRecord { step: 9, batch_start: 3, slot: 1, learning_rate: 0.01, optimizer, ..Default::default() };
    let on = |device: &dyn Device| -> Result<Vec<Vec<u32>>, Failed> {
        let mut session = device.load(&program).map_err(|e| format!("{name}: {e}"))?;
        for (slice, words) in slices.iter().zip(&operands) {
            session.write(slice.buffer, 0, words)?;
        }
        session.run(0, &[step])?;
        let results = write_slices.iter().map(|s| session.read(s.buffer, 0, s.words));
        Ok(results.collect::<Result<_, _>>()?)
    };
    let expected = on(&CpuDevice::new(Some(1)))?;
    for (family, checked) in
        [(Family::Registers, false), (Family::Workgroup, false), (Family::Registers, true)]
    {
        let found = on(common::shared(family, checked)?)?;
        for (e, f) in expected.iter().zip(&found) {
            let values =
                |words: &[u32]| words.iter().map(|&w| f64::from(f32::from_bits(w))).collect::<Vec<_>>();
            let error = gridlight::verify::relative_error(&values(e), &values(f), 0.0);
            if error > tolerance {
                return Err(
                    format!("{name}, {family:?}, checked {checked}: {error:e} above {tolerance:e}").into()
                );
            }
        }
    }
    Ok(())
}

fn normals(stream: u32, count: usize) -> Vec<u32> {
    (0..count as u32).map(|i| normal(stream, i).to_bits()).collect()
}

fn poison(count: usize) -> Vec<u32> {
    vec![f32::NAN.to_bits(); count]
}

fn batches() -> Result<(), Failed> {
    let rows = 50;
    let order: Vec<u32> = (0..80).map(|i| pick(80, i, rows) as u32).collect();
    for (count, noise) in [(1, 0.0f32), (32, 0.0), (17, 0.5)] {
        let columns = vec![
            batch::BatchColumn { width: 5, noise: noise.to_bits(), stream: 2 },
            batch::BatchColumn { width: 1, noise: 0, stream: 0 },
        ];
        let kernel = Kernel::Batch(batch::Batch { batch: count, columns });
        let reads = [order.clone(), normals(81, rows * 5), normals(82, rows)];
        kernel_agrees(kernel, &reads, &[poison(count * 5), poison(count)], 1e-6)?;
    }
    let kernel = Kernel::Store(store::Store { widths: vec![1, 65] });
    kernel_agrees(kernel, &[normals(83, 1), normals(84, 65)], &[poison(3), poison(3 * 65)], 0.0)
}

fn optimizers() -> Result<(), Failed> {
    for len in [64, 640, 70_016] {
        let max_norm = 1.0f32.to_bits();
        let first = norm::GradientNorm { len, stage: 0, max_norm };
        let partials = first.partials();
        kernel_agrees(Kernel::GradientNorm(first), &[normals(90, len)], &[poison(partials)], 1e-5)?;
        let last = norm::GradientNorm { len, stage: 1, max_norm };
        let squares = (0..partials).map(|i| (3.0 + i as f32).to_bits()).collect();
        kernel_agrees(Kernel::GradientNorm(last), &[squares], &[poison(2)], 1e-5)?;
        for name in ["sgd", "adam", "adamw", "rmsprop"] {
            for clipped in [false, true] {
                let rule = Optimizer::named(name).ok_or("no such optimizer")?;
                let (slots, body) = (rule.slots(), rule.body());
                let kernel = Kernel::Optimizer(optimizer::Optimizer { len, slots, clipped, body });
                let decay = (0..len / 64).map(|i| ((i % 2) as f32).to_bits()).collect();
                let mut reads = vec![normals(91, len), decay];
                if clipped {
                    reads.push(vec![4.0f32.to_bits(), 0.25f32.to_bits()]);
                }
                let squares = |stream| normals(stream, len).iter().map(|w| w & 0x7fff_ffff).collect();
                let mut writes = vec![normals(92, len)];
                writes.extend((0..slots as u32).map(|s| squares(93 + s)));
                kernel_agrees(kernel, &reads, &writes, 1e-5)?;
            }
        }
    }
    Ok(())
}

fn split_products() -> Result<(), Failed> {
    for (m, n, k, splits) in [(128, 64, 32, 1), (1, 64, 32, 1), (17, 3, 1000, 3), (65, 1, 63, 1)] {
        let mut epilogue = Body::default();
        let value = epilogue.push(Inst::Accumulator);
        epilogue.stores = vec![(value, 0)];
        // A is a transposed matrix, as in the gradient of a weight.
        let a = MatrixView { offset: 0, batch: 0, row: 1, col: m };
        let b = MatrixView { offset: 0, batch: 0, row: n, col: 1 };
        let product = MatMul { batch: 1, m, n, k, a, b, epilogue, row_sums: Some(1), splits };
        let reads = [normals(100, m * k), normals(101, k * n)];
        kernel_agrees(Kernel::MatMul(product), &reads, &[poison(splits * m * n), poison(splits * m)], 1e-5)?;
    }
    Ok(())
}
