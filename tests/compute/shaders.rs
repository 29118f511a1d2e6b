//! Every shader that can be asked for passes naga's validation and its SPIR-V, MSL, HLSL and GLSL writers; no
//! GPU is needed.

use gridlight::base::image::ImageShape;
use gridlight::base::rng::RandomKind;
use gridlight::base::step::StepScalar;
use gridlight::base::target::{Family, Target};
use gridlight::data::{self, Dataset};
use gridlight::kernels::matmul::{Left, MatMul, MatrixView, Sums};
use gridlight::kernels::samples::random_kernel;
use gridlight::kernels::shader::{Bound, ShaderError, launch, shader};
use gridlight::kernels::storage::Storage;
use gridlight::kernels::{
    Kernel, KernelDef, augment, batch, cross_entropy, gather, norm, optimizer, pointwise, reduce, softmax,
    store,
};
use gridlight::nn::Supervised;
use gridlight::nn::config::{Family as ModelFamily, ModelConfig};
use gridlight::nn::inputs::Inputs;
use gridlight::nn::losses::Loss;
use gridlight::optim::Optimizer;
use gridlight::plan::Dispatch;
use gridlight::scalar::ReduceKind;
use gridlight::scalar::{BinaryFn, Body, Inst, UnaryFn, View};
use gridlight::train::engine::{self, Training};

/// Parses, validates and translates a module.
pub fn check(name: &str, source: &str) {
    fn failed<T>(name: &str, source: &str, stage: &str, error: String) -> T {
        panic!("{name}: {stage}: {error}\n{source}")
    }
    let fail = |stage: &str, error: String| failed::<()>(name, source, stage, error);
    let module = naga::front::wgsl::parse_str(source)
        .unwrap_or_else(|e| failed(name, source, "parse", e.emit_to_string(source)));
    let mut validator =
        naga::valid::Validator::new(naga::valid::ValidationFlags::all(), naga::valid::Capabilities::SUBGROUP);
    let info = validator
        .validate(&module)
        .unwrap_or_else(|e| failed(name, source, "validate", e.emit_to_string(source)));
    if let Err(e) = naga::back::spv::write_vec(&module, &info, &naga::back::spv::Options::default(), None) {
        fail("SPIR-V", e.to_string());
    }
    let lang_version = (2, 1);
    let options =
        naga::back::msl::Options { fake_missing_bindings: true, lang_version, ..Default::default() };
    if let Err(e) = naga::back::msl::write_string(&module, &info, &options, &Default::default()) {
        fail("MSL", e.to_string());
    }
    let shader_model = naga::back::hlsl::ShaderModel::V6_0;
    let options = naga::back::hlsl::Options { shader_model, ..Default::default() };
    let mut text = String::new();
    let pipeline = naga::back::hlsl::PipelineOptions::default();
    if let Err(e) = naga::back::hlsl::Writer::new(&mut text, &options, &pipeline).write(&module, &info, None)
    {
        fail("HLSL", e.to_string());
    }
    let options = naga::back::glsl::Options {
        version: naga::back::glsl::Version::Desktop(430),
        ..naga::back::glsl::Options::default()
    };
    let pipeline = naga::back::glsl::PipelineOptions {
        shader_stage: naga::ShaderStage::Compute,
        entry_point: "main".into(),
        multiview: None,
    };
    let mut text = String::new();
    let policies = naga::proc::BoundsCheckPolicies::default();
    let written = naga::back::glsl::Writer::new(&mut text, &module, &info, &options, &pipeline, policies)
        .and_then(|mut writer| writer.write());
    if let Err(e) = written {
        fail("GLSL", e.to_string());
    }
}

fn check_kernel(kernel: &Kernel) {
    for (family, subgroup_size, exact) in [
        (Family::Registers, 0, false),
        (Family::Registers, 8, false),
        (Family::Registers, 8, true),
        (Family::Workgroup, 0, false),
        (Family::Workgroup, 0, true),
    ] {
        let target = Target { subgroup_size, exact, ..Target::webgpu_minimum(family) };
        let shader = match shader(kernel, &target) {
            // One invocation a row cannot go through as many columns.
            Err(ShaderError::TooLong { .. })
                if exact && ["softmax", "cross_entropy"].contains(&kernel.name()) =>
            {
                continue;
            }
            shader => shader.unwrap(),
        };
        let (name, shape) = (kernel.name(), kernel.shape());
        let name = format!("{name} {shape} {family:?}, subgroups of {subgroup_size}, exact {exact}");
        check(&name, &shader.source);
    }
}

/// A table of noise-augmented numbers with three classes.
fn table(rows: usize) -> Dataset {
    Dataset {
        rows,
        features: vec!["a".into(), "b".into(), "c".into()],
        x: vec![0.5; rows * 3],
        categories: vec![],
        target: Some(data::Target::Labels((0..rows as u32).map(|row| row % 3).collect())),
        source_rows: (0..rows).collect(),
        ..Dataset::default()
    }
}

#[test]
fn launches_of_several_kernels() {
    let data = table(40);
    let config = ModelConfig { hidden: vec![33, 20], dropout: 0.2, ..ModelConfig::default() };
    let inputs = Inputs { features: 3, ..Inputs::default() };
    let model = Supervised::new(&config, inputs, 3, Loss::named("cross_entropy").unwrap());
    let optimizer = Optimizer::default();
    let training = Training { noise: 0.1, clip_norm: Some(1.0), ..Training::new(&data, 8, optimizer) };
    for (family, subgroup_size) in [(Family::Registers, 0), (Family::Registers, 8), (Family::Workgroup, 0)] {
        let target = Target { subgroup_size, ..Target::webgpu_minimum(family) };
        let (compiled, _) = engine::compile(&model, Some(&training), &data, &target).unwrap();
        let mut largest = 0;
        for dispatches in compiled.program.phases.iter().flat_map(|p| p.launches()) {
            let members: Vec<_> = dispatches.iter().map(Dispatch::bound).collect();
            let bindings: usize = dispatches.iter().map(|d| d.reads.len() + d.writes.len()).sum();
            let shader = launch(&members, &target).unwrap();
            check(&format!("{} {family:?}, subgroups of {subgroup_size}", shader.name), &shader.source);
            assert!(bindings + shader.normal_tables.len() <= target.max_storage_buffers);
            largest = largest.max(members.len());
        }
        assert!(largest > 1, "{family:?}: nothing shares a launch");
    }
}

#[test]
fn a_step_of_a_small_network_is_twelve_kernels_in_eight_launches() {
    let rows = 64;
    let data = Dataset {
        rows,
        features: (0..64).map(|c| format!("x{c}")).collect(),
        x: vec![0.5; rows * 64],
        categories: vec![],
        target: Some(data::Target::Numbers(vec![1.0; rows])),
        source_rows: (0..rows).collect(),
        ..Dataset::default()
    };
    let config = ModelConfig { hidden: vec![128, 64], ..ModelConfig::default() };
    let model = Supervised::new(&config, Inputs { features: 64, ..Inputs::default() }, 1, Loss::Mse {});
    let optimizer = Optimizer::default();
    let training = Training::new(&data, 32, optimizer);
    for family in [Family::Registers, Family::Workgroup] {
        let target = Target { max_storage_buffers: 16, ..Target::webgpu_minimum(family) };
        let (compiled, _) = engine::compile(&model, Some(&training), &data, &target).unwrap();
        let step = &compiled.program.phases[0];
        assert_eq!((step.dispatches.len(), step.launches().count()), (12, 8), "{family:?}");
    }
}

#[test]
fn a_step_of_a_network_of_pictures_is_at_most_24_kernels() {
    let (rows, image) = (64, ImageShape { channels: 1, height: 28, width: 28 });
    let features = 28 * 28;
    let data = Dataset {
        rows,
        features: (0..features).map(|c| format!("x{c}")).collect(),
        x: vec![0.5; rows * features],
        target: Some(data::Target::Labels((0..rows as u32).map(|row| row % 10).collect())),
        source_rows: (0..rows).collect(),
        ..Dataset::default()
    };
    let config = ModelConfig { family: ModelFamily::Cnn, ..ModelConfig::default() };
    let inputs = Inputs { features, image: Some(image), ..Inputs::default() };
    let model = Supervised::new(&config, inputs, 10, Loss::named("cross_entropy").unwrap());
    let training = Training::new(&data, 32, Optimizer::default());
    let kernels = |target: &Target| {
        let (compiled, _) = engine::compile(&model, Some(&training), &data, target).unwrap();
        compiled.program.phases[0].dispatches.len()
    };
    let gpu = |family| kernels(&Target { max_storage_buffers: 16, ..Target::webgpu_minimum(family) });
    // Few tiles of a product are split for workgroups, whose parts are added up with its bias.
    assert_eq!([gpu(Family::Registers), gpu(Family::Workgroup)], [23, 24]);
    assert_eq!(kernels(&Target::native()), 24);
}

/// A body with every instruction, over `shape`, with contiguous, broadcast, strided and guarded loads.
fn rich_body(shape: &[usize], accumulator: bool) -> Body {
    let mut body = Body::default();
    let zero = View { offset: 0, strides: vec![0; shape.len()], guards: vec![] };
    let guarded = View {
        offset: if shape.is_empty() { 0 } else { -1 },
        strides: vec![1; shape.len()],
        guards: if shape.is_empty() { vec![] } else { vec![(0, 1, 2)] },
    };
    let mut last = body.push(Inst::Load { operand: 2, view: View::contiguous(shape) });
    for view in [zero, guarded] {
        let x = body.push(Inst::Load { operand: 2, view });
        last = body.push(Inst::Binary(BinaryFn::Add, last, x));
    }
    if accumulator {
        let x = body.push(Inst::Accumulator);
        last = body.push(Inst::Binary(BinaryFn::Add, last, x));
    }
    for (kind, stream) in
        [(RandomKind::Uniform, 1), (RandomKind::Normal, 2), (RandomKind::Mask { threshold: 1 << 31 }, 3)]
    {
        let x = body.push(Inst::Random { kind, stream });
        last = body.push(Inst::Binary(BinaryFn::Add, last, x));
    }
    for scalar in [StepScalar::LearningRate, StepScalar::Optimizer(3), StepScalar::LossWeight] {
        let x = body.push(Inst::Step(scalar));
        last = body.push(Inst::Binary(BinaryFn::Mul, last, x));
    }
    for value in [0.5, -3.0, 1e-30, 3e38, f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let x = body.constant(value);
        last = body.push(Inst::Binary(BinaryFn::Max, last, x));
    }
    for &f in UnaryFn::ALL {
        last = body.push(Inst::Unary(f, last));
    }
    for f in BinaryFn::ALL {
        last = body.push(Inst::Binary(f, last, 0));
    }
    last = body.push(Inst::Select(last, 0, last));
    body.stores = vec![(last, 0), (0, 1)];
    body
}

#[test]
fn elementwise_kernels() {
    for shape in [vec![], vec![1], vec![17], vec![3, 65], vec![2, 3, 4, 5], vec![5_000_000]] {
        let body = rich_body(&shape, false);
        check_kernel(&Kernel::new(pointwise::Pointwise { shape, body }));
    }
    for name in Optimizer::NAMES {
        let rule = Optimizer::named(name).unwrap();
        for (clipped, grouped) in [(false, false), (true, false), (false, true), (true, true)] {
            let (slots, body) = (rule.slots() + usize::from(rule.adapts().is_some()), rule.body());
            let cuts = vec![];
            check_kernel(&Kernel::new(optimizer::Optimizer {
                len: 640,
                slots,
                clipped,
                grouped,
                body,
                cuts,
            }));
        }
    }
    for noise in [0.0f32, 0.05] {
        let columns = vec![
            batch::BatchColumn { noise: noise.to_bits(), stream: 2, ..batch::BatchColumn::rows(58) },
            batch::BatchColumn::rows(1),
            batch::BatchColumn {
                noise: noise.to_bits(),
                only: Some(7..30),
                ..batch::BatchColumn::bytes(12, 4)
            },
            batch::BatchColumn { only: Some(0..1), ..batch::BatchColumn::bytes(15, 5) },
        ];
        check_kernel(&Kernel::new(batch::Batch { batch: 32, columns }));
    }
    for (rotation, noise) in [(0.0f32, 0.0f32), (0.5, 0.1)] {
        let changes =
            augment::Changes { shift: 2, rotation: rotation.to_bits(), cutout: 4, ..Default::default() };
        let (fill, noise) = (vec![0, 1f32.to_bits(), 2f32.to_bits()], noise.to_bits());
        let shape = [3, 9, 11];
        for storage in [Storage::Words, Storage::Bytes { plane: 99 }] {
            for only in [None, Some(3..8)] {
                let (fill, (stream, noise_stream)) = (fill.clone(), (4, 2));
                let (batch, shape, changes) = (5, shape, changes);
                check_kernel(&Kernel::new(augment::Augment {
                    batch,
                    shape,
                    changes,
                    fill,
                    stream,
                    noise,
                    noise_stream,
                    storage,
                    only,
                }));
            }
        }
    }
    let sum = store::Stored { words: 300, parts: 5, by_step: false };
    let values = vec![store::Stored::result(1), store::Stored::result(512), sum];
    check_kernel(&Kernel::new(store::Store { values }));
}

#[test]
fn reductions_and_rows() {
    for kind in [ReduceKind::Sum, ReduceKind::Max] {
        for (kept, reduced, chunk) in
            [(vec![], vec![32], None), (vec![7, 3], vec![65, 2], None), (vec![3], vec![5000], Some(1024))]
        {
            let mut prologue = rich_body(&[&kept[..], &reduced[..]].concat(), false);
            let value = prologue.stores.remove(0).0;
            prologue.stores.clear();
            let mut output = kept.clone();
            output.extend(chunk.map(|_| 5));
            let epilogue = rich_body(&output, true);
            check_kernel(&Kernel::new(reduce::Reduce {
                kind,
                kept,
                reduced,
                prologue,
                value,
                chunk,
                epilogue,
            }));
        }
    }
    for columns in [1, 10, 257, 70_000] {
        for flag in [false, true] {
            check_kernel(&Kernel::new(softmax::Softmax { rows: 17, columns, log: flag }));
            let (loss, delta) = if flag { (Some(0), Some(1)) } else { (None, Some(0)) };
            let smoothing = 0.1f32.to_bits();
            let k = cross_entropy::CrossEntropy { rows: 17, classes: columns, smoothing, loss, delta };
            check_kernel(&Kernel::new(k));
        }
    }
    check_kernel(&Kernel::new(gather::Gather { vocabulary: 7, width: 5, count: 33 }));
    check_kernel(&Kernel::new(gather::GatherGrad { vocabulary: 7, width: 5, count: 33 }));
    for kernel in gather::steps::GradientStep::benchmarks() {
        check_kernel(&Kernel::new(kernel));
    }
    for stage in [0, 1] {
        let max_norm = 1f32.to_bits();
        check_kernel(&Kernel::new(norm::GradientNorm { len: 70_000, stage, max_norm }));
    }
}

#[test]
fn matrix_products() {
    for (m, n, k) in
        [(1, 1, 1), (32, 128, 64), (32, 1, 64), (1, 64, 32), (33, 65, 17), (300, 257, 4), (8, 512, 512)]
    {
        for (transpose_a, transpose_b) in [(false, false), (false, true), (true, false), (true, true)] {
            let view = |rows: usize, columns: usize, swapped: bool| {
                let (row, col) = if swapped { (1, rows) } else { (columns, 1) };
                MatrixView { offset: 0, batch: rows * columns, row, col }
            };
            for (splits, sums, batch) in [(1, None, 2), (1, Some(2), 1), (3, Some(1), 1)] {
                let sums = sums.map(|output| Sums { output, parts: splits });
                let shape = [batch, m, n];
                let mut epilogue = rich_body(&shape, true);
                if splits > 1 {
                    epilogue = Body::default();
                    let r = epilogue.push(Inst::Accumulator);
                    epilogue.stores.push((r, 0));
                }
                let (a, b) = (view(m, k, transpose_a), view(k, n, transpose_b));
                check_kernel(&Kernel::new(MatMul {
                    batch,
                    m,
                    n,
                    k,
                    a: Left::Matrix(a),
                    b,
                    epilogue,
                    sums,
                    splits,
                }));
            }
        }
    }
}

#[test]
fn pooling() {
    for family in ["pool", "pool_grad"] {
        for seed in 0..60 {
            check_kernel(&random_kernel(family, seed).unwrap().kernel);
        }
    }
}

#[test]
fn recurrences() {
    for family in ["recurrence", "recurrence_grad"] {
        for seed in 0..60 {
            check_kernel(&random_kernel(family, seed).unwrap().kernel);
        }
    }
}

#[test]
fn convolutions() {
    for seed in 0..40 {
        let kernel = random_kernel("conv", seed).unwrap().kernel;
        check_kernel(&kernel);
        let target = Target { subgroup_size: 8, ..Target::webgpu_minimum(Family::Registers) };
        check(
            "two convolutions",
            &launch(&[Bound::new(&kernel), Bound::new(&kernel)], &target).unwrap().source,
        );
    }
}

#[test]
fn tanh_is_clamped_and_no_shader_writes_an_infinite_literal() {
    let body = rich_body(&[4], false);
    let kernel = Kernel::new(pointwise::Pointwise { shape: vec![4], body });
    let text = shader(&kernel, &Target::webgpu_minimum(Family::Registers)).unwrap().source;
    assert!(text.contains("clamp(abs(x), 0.0, 15.0)") && !text.contains(" tanh("), "{text}");
    assert!(!text.contains("inf") && !text.contains("NaN"), "{text}");
}
