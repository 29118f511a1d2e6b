//! Random kernels of every family by themselves, compared with the oracle, and what a wrong one looks like.

use std::collections::BTreeSet;

use gridlight::base::target::{Family, Geometry, Target};
use gridlight::device::cpu::CpuDevice;
use gridlight::device::gpu::{GpuDevice, GpuOptions};
use gridlight::device::{Device, DeviceError, DeviceInfo, Session};
use gridlight::kernels::matmul::{Left, MatMul, MatrixView};
use gridlight::kernels::samples::{self, Sample, random_kernel};
use gridlight::kernels::{Kernel, shader};
use gridlight::plan::{Dispatch, Program};
use gridlight::scalar::{Body, Inst};
use gridlight::verify::kernels;
use libtest_mimic::Failed;

use crate::{harness, planted};

/// Every layout of a kernel's shader, exact or not, has the bits of the usual one.
pub fn every_geometry_has_the_same_bits() -> Result<(), Failed> {
    let mut others = 0;
    for (family, exact) in [(Family::Registers, false), (Family::Registers, true), (Family::Workgroup, false)]
    {
        let options = GpuOptions { family: Some(family), exact, ..GpuOptions::default() };
        let usual = harness::device(&options)?;
        // Most layouts are the same for most kernels.
        let mut seen = BTreeSet::new();
        for geometry in Geometry::all(family) {
            let device = harness::device(&GpuOptions { geometry: Some(geometry), ..options.clone() })?;
            for name in samples::families() {
                // Exact shaders take longest to compile, and differ in nothing that a layout changes.
                for seed in 300..if exact { 301 } else { 302 } {
                    let sample = random_kernel(name, seed).ok_or("no sample")?;
                    let source = |device: &GpuDevice| {
                        shader::launch(&[shader::Bound::new(&sample.kernel)], device.target())
                            .map(|s| s.source)
                    };
                    let other = source(&device).ok();
                    if other == source(&usual).ok() || !seen.insert(other) {
                        continue;
                    }
                    others += 1;
                    if kernels::run(&usual, &sample)? != kernels::run(&device, &sample)? {
                        return Err(format!(
                            "{name} {}, seed {seed}: {geometry:?} has other bits (exact: {exact})",
                            sample.kernel.shape()
                        )
                        .into());
                    }
                }
            }
        }
    }
    assert!(others > 40, "only {others} kernels have other layouts");
    Ok(())
}

/// `A B` of matrices that lie as they are or transposed.
fn product([m, n, k]: [usize; 3], [a, b]: [bool; 2], splits: usize) -> Kernel {
    let view = |rows: usize, columns: usize, transposed: bool| {
        let (row, col) = if transposed { (1, rows) } else { (columns, 1) };
        MatrixView { offset: 0, batch: 0, row, col }
    };
    let mut epilogue = Body::default();
    let result = epilogue.push(Inst::Accumulator);
    epilogue.stores.push((result, 0));
    let (a, b) = (Left::Matrix(view(m, k, a)), view(k, n, b));
    Kernel::new(MatMul { batch: 1, m, n, k, a, b, epilogue, sums: None, splits })
}

/// Tiles in workgroup memory, of every layout and way to load operands, agree with the oracle, and have the bits of the
/// usual layout: rows, columns and depths that fill tiles and those that don't, a few rows or columns, operands whose
/// neighbours are loaded together and those whose are not.
pub fn workgroup_tiles_of_every_layout() -> Result<(), Failed> {
    let (large, odd) = ([260, 276, 20], [259, 257, 19]);
    let products = [
        (large, [false, false], 1),
        (large, [true, true], 2),
        (large, [false, true], 1),
        (odd, [true, false], 2),
        ([300, 10, 36], [false, true], 1),
        ([12, 300, 40], [true, false], 1),
        ([70, 3, 33], [false, false], 1),
    ];
    let mut shaders = BTreeSet::new();
    // Where small operands are makes no difference to tiles.
    for geometry in Geometry::all(Family::Workgroup).into_iter().filter(|geometry| !geometry.uniforms) {
        let options =
            GpuOptions { family: Some(Family::Workgroup), geometry: Some(geometry), ..GpuOptions::default() };
        let device = harness::device(&options)?;
        let usual = harness::device(&GpuOptions { geometry: None, ..options })?;
        for (size, transposed, splits) in products {
            let kernel = product(size, transposed, splits);
            let shader = shader::launch(&[shader::Bound::new(&kernel)], device.target())?;
            if !shaders.insert(shader.source) {
                continue;
            }
            let sample = Sample::of(&kernel);
            let what = format!("{} in {geometry:?}", kernel.shape());
            let checked = kernels::check(&device, &sample).map_err(|e| format!("{what}: {e}"))?;
            if !checked.passed {
                return Err(format!("{what}: {checked:?}").into());
            }
            if kernels::run(&usual, &sample)? != kernels::run(&device, &sample)? {
                return Err(format!("{what}: other bits than in the usual layout").into());
            }
        }
    }
    assert!(shaders.len() > 20, "only {} shaders", shaders.len());
    Ok(())
}

/// Kernels of every family in exact mode agree with the oracle and have the bits of the CPU. NaN may have any
/// sign and payload.
pub fn exact_bits() -> Result<(), Failed> {
    let cpu = CpuDevice::new(Some(1)).exact(true);
    for family in [Family::Registers, Family::Workgroup] {
        let options = GpuOptions { family: Some(family), exact: true, ..GpuOptions::default() };
        let device = harness::device(&options)?;
        for name in samples::families() {
            for seed in seeds(name, family, 100..110) {
                let mut sample = random_kernel(name, seed).ok_or("no sample")?;
                if seed % 5 == 3 && name != "batch" {
                    sample = sample.with_nan(seed);
                }
                let what = format!("{name} {}, seed {seed}, {family:?}", sample.kernel.shape());
                let (right, found) = (kernels::run(&cpu, &sample)?, kernels::run(&device, &sample)?);
                let nan = |word: u32| f32::from_bits(word).is_nan();
                for (right, found) in right.iter().flatten().zip(found.iter().flatten()) {
                    if right != found && !(nan(*right) && nan(*found)) {
                        return Err(format!("{what}: {found:#010x}, the CPU has {right:#010x}").into());
                    }
                }
                let worst = kernels::compare(&device, &sample)?;
                if worst.excess > 1.0 {
                    return Err(format!("{what}: {worst:?}").into());
                }
            }
        }
    }
    Ok(())
}

/// The seeds of samples of a family for one kind of kernels: all where shaders of both kinds differ, else every second.
fn seeds(family: &str, kind: Family, all: std::ops::Range<u32>) -> impl Iterator<Item = u32> {
    let differ = ["matmul", "conv", "reduce", "softmax", "cross_entropy"].contains(&family);
    all.filter(move |seed| differ || (seed % 2 == 0) == (kind == Family::Registers))
}

/// Compares random kernels of one family, with operands that hold whatever the kernel may encounter, with the
/// oracle, whose bounds follow the condition of each element. Every second kernel is compiled with checks;
/// every third reads NaN in some elements, which must propagate as the oracle says.
pub fn samples_agree(family: &str) -> Result<(), Failed> {
    for kind in [Family::Registers, Family::Workgroup] {
        for seed in seeds(family, kind, 0..40) {
            let mut sample =
                random_kernel(family, seed).ok_or_else(|| format!("no samples of `{family}`"))?;
            if seed % 3 == 2 && family != "batch" {
                sample = sample.with_nan(seed);
            }
            let kernel = &sample.kernel;
            let checked = seed / 2 % 2 == 1;
            let name =
                || format!("{} {}, seed {seed}, {kind:?}, checked {checked}", kernel.name(), kernel.shape());
            let worst = kernels::compare(harness::shared(kind, checked)?, &sample)
                .map_err(|e| format!("{}: {e}", name()))?;
            if worst.excess > 1.0 {
                return Err(format!("{}: {worst:?}", name()).into());
            }
        }
    }
    Ok(())
}

/// A GPU that skips the first iteration of loops unrolled by four.
struct Miscompiling(GpuDevice);

impl Device for Miscompiling {
    fn info(&self) -> &DeviceInfo {
        self.0.info()
    }

    fn target(&self) -> &Target {
        self.0.target()
    }

    fn load(&self, program: &Program) -> Result<Box<dyn Session>, DeviceError> {
        self.0.load_with(program, &|launch: &[Dispatch], target: &Target| {
            let members: Vec<_> = launch.iter().map(Dispatch::bound).collect();
            let mut shader = shader::launch(&members, target).expect("a sample has a shader");
            shader.source =
                shader.source.replace("(var k = first_k; k + 3u", "(var k = first_k + 4u; k + 3u");
            Ok(shader)
        })
    }
}

pub fn verify_finds_a_wrong_kernel() -> Result<(), Failed> {
    planted::one_wrong_element_is_found(&harness::device(&GpuOptions::default())?);
    let options = GpuOptions { family: Some(Family::Registers), ..GpuOptions::default() };
    let device = Miscompiling(harness::device(&options)?);
    for seed in 0..16 {
        let sample = random_kernel("matmul", seed).ok_or("no sample")?;
        if !kernels::check(&device, &sample)?.passed {
            return Ok(());
        }
    }
    Err("a product without its first four terms was not found wrong".into())
}
