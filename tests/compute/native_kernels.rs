//! Every kernel of the CPU backend agrees with the oracle within the allowed rounding error, and gives the
//! same bits for any number of threads.

use gridlight::base::rng;
use gridlight::base::step::StepRecord;
use gridlight::device::cpu::CpuDevice;
use gridlight::kernels::Kernel;
use gridlight::kernels::gather::GatherGrad;
use gridlight::kernels::matmul::{Left, MatMul, MatrixView, Sums};
use gridlight::kernels::optimizer::Optimizer;
use gridlight::kernels::oracle::{self, Operands};
use gridlight::kernels::reduce::Reduce;
use gridlight::kernels::samples::{self, Operand, Sample};
use gridlight::kernels::softmax::Softmax;
use gridlight::optim;
use gridlight::scalar::{BinaryFn, Body, Inst, ReduceKind, View};
use gridlight::verify::kernels::{compare, run};

use crate::planted;

/// Samples per family.
const SAMPLES: u32 = 80;

fn check(device: &CpuDevice, sample: &Sample, what: &str) {
    let worst = compare(device, sample).unwrap();
    assert!(worst.excess <= 1.0, "{what}: {worst:?}\n{:?}", sample.kernel);
}

#[test]
fn random_kernels_agree_with_the_oracle() {
    for exact in [false, true] {
        let device = CpuDevice::new(Some(1)).exact(exact);
        for family in samples::families() {
            for seed in 0..SAMPLES {
                let sample = samples::random_kernel(family, seed).unwrap();
                assert_eq!(sample.kernel.name(), family);
                check(&device, &sample, &format!("{family} {seed}, exact {exact}"));
            }
        }
    }
}

#[test]
fn nan_goes_where_the_oracle_says() {
    let device = CpuDevice::new(Some(1));
    for family in [
        "matmul",
        "pointwise",
        "reduce",
        "softmax",
        "cross_entropy",
        "optimizer",
        "gradient_norm",
        "pool",
        "pool_grad",
        "recurrence",
        "recurrence_grad",
    ] {
        for seed in 0..SAMPLES {
            let sample = samples::random_kernel(family, seed).unwrap().with_nan(seed);
            check(&device, &sample, &format!("{family} {seed} with NaN"));
        }
    }
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    for exact in [false, true] {
        let devices = [1, 2, 3].map(|threads| CpuDevice::new(Some(threads)).exact(exact));
        same_bits(&devices);
    }
}

fn same_bits(devices: &[CpuDevice; 3]) {
    let mut large: Vec<Sample> = vec![product(300, 130, 257), product(1, 70, 5000), row_sum(900, 100)];
    large.extend(PANELS.map(transposed_product));
    large.extend(PANELS.map(|[m, n, k]| product(m, n, k)));
    large.extend(PANELS.map(weight_gradient));
    large.extend(PANELS.map(finished_product));
    large.extend(["adam", "sgd", "rmsprop"].map(update));
    let gathered = Kernel::new(GatherGrad { vocabulary: 700, width: 65, count: 7001 });
    large.push(Sample::of(&gathered));
    for family in samples::families() {
        large.extend((0..10).map(|seed| samples::random_kernel(family, seed).unwrap()));
    }
    for sample in &large {
        let [one, two, three] = [0, 1, 2].map(|i| run(&devices[i], sample).unwrap());
        assert!(one == two && one == three, "{:?}", sample.kernel);
    }
}

#[test]
fn long_loops_agree_with_the_oracle() {
    let device = CpuDevice::new(Some(2));
    check(&device, &product(3, 2, 70_000), "70,000 products");
    check(&device, &row_sum(1, 1_000_000), "a sum of 1,000,000");
    let softmax = Sample {
        kernel: Kernel::new(Softmax { rows: 2, columns: 70_000, log: false }),
        reads: vec![normals(140_000, 1)],
        writes: vec![Operand::unwritten(140_000)],
        step: StepRecord::default(),
    };
    check(&device, &softmax, "softmax of 70,000");
    for vocabulary in [7, 50_000] {
        let kernel = Kernel::new(GatherGrad { vocabulary, width: 3, count: 70_001 });
        check(&device, &Sample::of(&kernel), "the gradient of 70,001 rows");
    }
}

#[test]
fn the_allowed_error_is_a_few_roundings() {
    let sample = samples::random_kernel("softmax", 1).unwrap();
    let numbers = |operands: &[Operand]| operands.iter().map(Operand::numbers).collect::<Vec<_>>();
    let (reads, previous) = (numbers(&sample.reads), numbers(&sample.writes));
    let operands = Operands { reads: &reads, previous: &previous, step: &sample.step };
    for expected in &oracle::evaluate(&sample.kernel, &operands)[0] {
        assert!(expected.excess(expected.value) == 0.0 && expected.excess(f64::NAN) > 1.0);
        assert!(expected.excess(expected.value * (1.0 + 1e-4) + 1e-30) > 1.0, "{expected:?}");
    }
}

fn normals(len: usize, stream: u32) -> Operand {
    Operand::Floats((0..len as u32).map(|i| rng::normal(rng::word([5, 6], stream, 0, i))).collect())
}

fn accumulator() -> Body {
    let mut body = Body::default();
    let register = body.push(Inst::Accumulator);
    body.stores.push((register, 0));
    body
}

/// `[m, k] x [k, n]`, plain.
fn product(m: usize, n: usize, k: usize) -> Sample {
    let view = |columns| MatrixView { offset: 0, batch: 0, row: columns, col: 1 };
    let (a, b, epilogue) = (view(k), view(n), accumulator());
    let kernel = MatMul { batch: 1, m, n, k, a: Left::Matrix(a), b, epilogue, sums: None, splits: 1 };
    Sample {
        kernel: Kernel::new(kernel),
        reads: vec![normals(m * k, 1), normals(k * n, 2)],
        writes: vec![Operand::unwritten(m * n)],
        step: StepRecord::default(),
    }
}

/// Sizes at which `B` is copied into panels: whole and partial ones.
const PANELS: [[usize; 3]; 4] = [[128, 400, 784], [33, 70, 2500], [64, 65, 1024], [37, 417, 600]];

/// A plain product whose `B` is stored transposed.
fn transposed_product([m, n, k]: [usize; 3]) -> Sample {
    let sample = product(m, n, k);
    let kernel = sample.kernel.downcast::<MatMul>().unwrap().clone();
    let b = MatrixView { offset: 0, batch: 0, row: 1, col: k };
    Sample { kernel: Kernel::new(MatMul { b, ..kernel }), ..sample }
}

/// A product whose `B` is stored transposed, to which a row is added, beside another matrix that is made of it.
fn finished_product([m, n, k]: [usize; 3]) -> Sample {
    let mut sample = transposed_product([m, n, k]);
    let kernel = sample.kernel.downcast::<MatMul>().unwrap().clone();
    let mut epilogue = Body::default();
    let product = epilogue.push(Inst::Accumulator);
    let load = |operand, strides: [usize; 3]| {
        let view =
            View { offset: 0, strides: strides.map(|stride| stride as isize).to_vec(), guards: vec![] };
        Inst::Load { operand, view }
    };
    let row = epilogue.push(load(2, [0, 0, 1]));
    let matrix = epilogue.push(load(3, [0, n, 1]));
    let sum = epilogue.push(Inst::Binary(BinaryFn::Add, product, row));
    let scaled = epilogue.push(Inst::Binary(BinaryFn::Mul, sum, matrix));
    epilogue.stores.extend([(sum, 0), (scaled, 1)]);
    sample.kernel = Kernel::new(MatMul { epilogue, ..kernel });
    sample.reads.extend([normals(n, 3), normals(m * n, 4)]);
    sample.writes.push(Operand::unwritten(m * n));
    sample
}

/// An update of a region with large tensors.
fn update(rule: &str) -> Sample {
    let rule = optim::Optimizer::named(rule).unwrap();
    let (len, slots, block) = (1 << 18, rule.slots(), Optimizer::BLOCK);
    let cuts = vec![100 * block, 3001 * block, 4000 * block];
    let body = rule.body();
    Sample::of(&Kernel::new(Optimizer { len, slots, clipped: false, grouped: false, body, cuts }))
}

/// A product whose `A` is stored transposed, with its row sums.
fn weight_gradient([m, n, k]: [usize; 3]) -> Sample {
    let mut sample = product(m, n, k);
    let kernel = sample.kernel.downcast::<MatMul>().unwrap().clone();
    let a = Left::Matrix(MatrixView { offset: 0, batch: 0, row: 1, col: m });
    sample.kernel = Kernel::new(MatMul { a, sums: Some(Sums { output: 1, parts: 1 }), ..kernel });
    sample.writes.push(Operand::unwritten(m));
    sample
}

#[test]
fn products_of_panels_agree_with_the_oracle() {
    let device = CpuDevice::new(Some(2));
    for size in PANELS {
        check(&device, &transposed_product(size), &format!("{size:?} transposed"));
        check(&device, &weight_gradient(size), &format!("{size:?} with row sums"));
        check(&device, &product(size[0], size[1], size[2]), &format!("{size:?}"));
        check(&device, &finished_product(size), &format!("{size:?} with an epilogue"));
    }
}

/// Sums of `rows` rows of `columns` elements.
fn row_sum(rows: usize, columns: usize) -> Sample {
    let mut prologue = Body::default();
    let value = prologue.push(Inst::Load { operand: 0, view: View::contiguous(&[rows, columns]) });
    let kernel = Reduce {
        kind: ReduceKind::Sum,
        kept: vec![rows],
        reduced: vec![columns],
        prologue,
        value,
        chunk: None,
        epilogue: accumulator(),
    };
    Sample {
        kernel: Kernel::new(kernel),
        reads: vec![normals(rows * columns, 1)],
        writes: vec![Operand::unwritten(rows)],
        step: StepRecord::default(),
    }
}

#[test]
fn verify_finds_a_wrong_kernel() {
    planted::one_wrong_element_is_found(&CpuDevice::new(Some(1)));
}
