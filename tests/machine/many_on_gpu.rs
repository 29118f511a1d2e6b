//! Several models as copies of one program on a GPU, and every kernel in copies.

use gridlight::base::target::Family as Kernels;
use gridlight::device::gpu::GpuOptions;
use gridlight::device::{Device, DeviceError};
use gridlight::kernels::samples::{self, Operand, Sample, random_kernel};
use gridlight::verify::kernels;
use libtest_mimic::{Failed, Trial};

use crate::interruptions::Family;
use crate::{harness, many};

pub fn trials() -> Vec<Trial> {
    harness::trials(&[
        ("every_kernel_has_the_same_bits_in_copies", every_kernel_has_the_same_bits_in_copies),
        ("models_end_as_each_does_alone", models_end_as_each_does_alone),
        ("exact_models_end_as_each_does_alone", exact_models_end_as_each_does_alone),
        ("models_on_workgroup_kernels_end_as_each_does_alone", workgroup_models_end_as_each_does_alone),
        ("interrupted_models_go_on_together", interrupted_models_go_on_together),
        ("what_does_not_fit_is_no_group", what_does_not_fit_is_no_group),
    ])
}

fn open(family: Option<Kernels>, exact: bool) -> Box<dyn Device> {
    let options = GpuOptions { family, exact, ..GpuOptions::default() };
    Box::new(harness::device(&options).expect("there is a GPU"))
}

/// The sample with other numbers: each operand's, further on.
fn moved(sample: &Sample, by: usize) -> Sample {
    let mut sample = sample.clone();
    for operand in &mut sample.reads {
        // Integers may have to ascend.
        if let Operand::Floats(values) = operand {
            let by = by % values.len().max(1);
            values.rotate_left(by);
        }
    }
    sample.step.step += by as u32;
    sample
}

/// Kernels of every family, with other operands and another step in each copy, have the bits that each has alone.
fn every_kernel_has_the_same_bits_in_copies() -> Result<(), Failed> {
    for (family, exact) in
        [(Kernels::Registers, false), (Kernels::Workgroup, false), (Kernels::Registers, true)]
    {
        let device = harness::device(&GpuOptions { family: Some(family), exact, ..GpuOptions::default() })?;
        for name in samples::families() {
            // Exact shaders take longest to compile.
            for seed in 500..if exact { 501 } else { 502 } {
                let sample = random_kernel(name, seed).ok_or("no sample")?;
                let copies: Vec<Sample> = [0, 1, 5].map(|by| moved(&sample, by)).into();
                let members = device.together(&kernels::program(&sample), copies.len())?;
                assert_eq!(members.len(), copies.len());
                let found: Vec<Result<Vec<Vec<u32>>, DeviceError>> = std::thread::scope(|scope| {
                    let run = |(member, copy): (Box<dyn Device + Send>, &'_ Sample)| {
                        let copy = copy.clone();
                        scope.spawn(move || kernels::run(&*member, &copy))
                    };
                    let threads: Vec<_> = members.into_iter().zip(&copies).map(run).collect();
                    threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
                });
                for (at, (copy, found)) in copies.iter().zip(found).enumerate() {
                    let what =
                        format!("{name} {}, seed {seed}, {family:?}, copy {at}", sample.kernel.shape());
                    let expected = kernels::run(&device, copy)?;
                    if found.map_err(|e| format!("{what}: {e}"))? != expected {
                        return Err(format!("{what}: other bits").into());
                    }
                }
            }
        }
    }
    Ok(())
}

fn models_end_as_each_does_alone() -> Result<(), Failed> {
    let all = [Family::Mlp, Family::Cnn, Family::Rnn, Family::Text, Family::Vae, Family::Gan];
    many::models_end_as_each_does_alone(&|| open(None, false), &all);
    Ok(())
}

fn exact_models_end_as_each_does_alone() -> Result<(), Failed> {
    many::models_end_as_each_does_alone(&|| open(None, true), &[Family::Mlp]);
    Ok(())
}

fn workgroup_models_end_as_each_does_alone() -> Result<(), Failed> {
    many::models_end_as_each_does_alone(&|| open(Some(Kernels::Workgroup), false), &[Family::Mlp]);
    Ok(())
}

fn interrupted_models_go_on_together() -> Result<(), Failed> {
    many::interrupted_models_go_on_together(&|| open(None, false));
    Ok(())
}

/// More copies than a device binds or holds are fewer, and none if not even two fit.
fn what_does_not_fit_is_no_group() -> Result<(), Failed> {
    let device = harness::device(&GpuOptions::default())?;
    let sample = random_kernel("pointwise", 1).ok_or("no sample")?;
    let mut program = kernels::program(&sample);
    assert_eq!(device.together(&program, 100_000)?.len() as u64, {
        // Halved until the step records fit a uniform buffer.
        let mut fits = 100_000u64;
        while 64 * fits > device.target().max_uniform_bytes as u64 {
            fits = fits.div_ceil(2);
        }
        fits
    });
    program.buffers[0].words = device.target().max_binding_bytes as usize / 4 / 64 * 64;
    assert!(device.together(&program, 8)?.is_empty());
    Ok(())
}
