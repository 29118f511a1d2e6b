//! Training on a GPU: as reproducible and resumable as on the CPU, with the same losses up to rounding.

use std::path::{Path, PathBuf};
use std::rc::Rc;

use gridlight::base::target::Family;
use gridlight::data::Loaded;
use gridlight::device::cpu::CpuDevice;
use gridlight::device::gpu::GpuOptions;
use gridlight::device::open::{Installed, Spares};
use gridlight::device::{Device, DeviceChoice, DeviceInfo};
use gridlight::experiment::Experiment;
use gridlight::run::job::{Options, Outcome};
use gridlight::run::replay;
use gridlight::run::trainer;
use gridlight::train::optimizer_state::OptimizerState;
use libtest_mimic::{Failed, Trial};

use crate::silent::Silent;
use crate::{faults, harness, interruptions, rings, synthetic};

pub fn trials() -> Vec<Trial> {
    harness::trials(&[
        ("the_same_seed_gives_the_same_bits", the_same_seed_gives_the_same_bits),
        ("a_resumed_run_has_the_bits_of_an_uninterrupted_one", a_resumed_run_has_the_same_bits),
        ("interrupted_runs_have_the_bits_of_an_uninterrupted_one", interrupted_runs_have_the_same_bits),
        ("a_run_is_repeated_with_the_same_bits", a_run_is_repeated_with_the_same_bits),
        ("what_overflows_ends_the_run_at_once", what_overflows_ends_the_run_at_once),
        ("exact_runs_have_the_bits_of_the_cpu", exact_runs_have_the_bits_of_the_cpu),
        ("exact_runs_on_graphs_have_the_bits_of_the_cpu", exact_runs_on_graphs_have_the_bits_of_the_cpu),
        ("adversarial_training_has_the_bits_of_the_cpu", adversarial_training_has_the_bits_of_the_cpu),
        (
            "exact_runs_of_micro_batches_have_the_bits_of_the_cpu",
            exact_runs_of_micro_batches_have_the_same_bits,
        ),
        ("micro_batches_are_resumable", micro_batches_are_resumable),
        ("exact_updates_on_the_host_have_the_bits_of_the_device", updates_on_the_host_have_the_same_bits),
        ("a_destroyed_device_leaves_no_trace", a_destroyed_device_leaves_no_trace),
        ("the_device_that_was_lost_is_opened_again", the_device_that_was_lost_is_opened_again),
        ("gpu_and_cpu_losses_agree_after_an_epoch", gpu_and_cpu_losses_agree_after_an_epoch),
    ])
}

struct Bench {
    directory: tempfile::TempDir,
    experiment: Experiment,
    data: Loaded,
}

impl Bench {
    /// 180 training rows, 11 steps per epoch, with noise, dropout, batch norm and clipping.
    fn new() -> Result<Self, Failed> {
        let directory = tempfile::tempdir()?;
        let source = directory.path().join("table.csv");
        std::fs::write(&source, synthetic::table(300))?;
        let text = format!(
            "name = \"bench\"\nseed = 3\n[data]\nsource = {:?}\ntarget = \"y\"\n[data.augment]\nnoise = 0.1\n\
             [data.split]\nby = \"random\"\nvalidation = 0.2\ntest = 0.2\n[model]\nhidden = [16]\n\
             dropout = 0.1\nnorm = \"batch\"\n[train]\nepochs = 2\nbatch_size = 16\nclip_norm = 1.0\n",
            source.to_string_lossy()
        );
        let experiment = Experiment::parse(&text, "bench.toml", &[])?;
        let data = trainer::load_data(&experiment, Path::new(""))?;
        Ok(Self { directory, experiment, data })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn train(&self, device: &dyn Device, options: &Options) -> Result<Outcome, Failed> {
        Ok(trainer::train(&self.experiment, &self.data, device, options, &mut Silent)?)
    }

    fn options(&self, out: &str) -> Options {
        Options { out: self.path(out), ..Options::default() }
    }

    fn best(&self, out: &str) -> Result<Vec<u8>, Failed> {
        Ok(std::fs::read(self.path(out).join("best.safetensors"))?)
    }
}

fn the_same_seed_gives_the_same_bits() -> Result<(), Failed> {
    let bench = Bench::new()?;
    let device = harness::device(&GpuOptions::default())?;
    bench.train(&device, &bench.options("a"))?;
    bench.train(&device, &bench.options("b"))?;
    assert_eq!(bench.best("a")?, bench.best("b")?);
    Ok(())
}

fn a_resumed_run_has_the_same_bits() -> Result<(), Failed> {
    let bench = Bench::new()?;
    let device = harness::device(&GpuOptions::default())?;
    bench.train(&device, &bench.options("whole"))?;
    bench.train(&device, &Options { max_steps: Some(15), ..bench.options("cut") })?;
    bench.train(&device, &Options { resume: true, ..bench.options("cut") })?;
    assert_eq!(bench.best("whole")?, bench.best("cut")?);
    Ok(())
}

fn interrupted_runs_have_the_same_bits() -> Result<(), Failed> {
    interruptions::interrupted_runs_have_the_same_bits(&harness::device(&GpuOptions::default())?);
    Ok(())
}

fn a_run_is_repeated_with_the_same_bits() -> Result<(), Failed> {
    let bench = Bench::new()?;
    let device = harness::device(&GpuOptions::default())?;
    bench.train(&device, &bench.options("run"))?;
    let recorded = replay::open(&bench.path("run"))?;
    let replay = recorded.replay(&device, &mut Silent)?;
    assert!(replay.same && replay.differences.is_empty(), "{replay:?}");
    // Other hardware rounds differently: reported, with what changed.
    let replay = recorded.replay(&CpuDevice::new(Some(2)), &mut Silent)?;
    assert!(!replay.same && replay.differences.iter().any(|d| d.starts_with("device ")), "{replay:?}");
    Ok(())
}

fn what_overflows_ends_the_run_at_once() -> Result<(), Failed> {
    interruptions::what_overflows_ends_the_run_at_once(&harness::device(&GpuOptions::default())?);
    Ok(())
}

fn exact_runs_have_the_bits_of_the_cpu() -> Result<(), Failed> {
    let bench = Bench::new()?;
    bench.train(&CpuDevice::new(Some(2)).exact(true), &bench.options("cpu"))?;
    for (name, family) in [("registers", Family::Registers), ("workgroup", Family::Workgroup)] {
        let options = GpuOptions { family: Some(family), exact: true, ..GpuOptions::default() };
        bench.train(&harness::device(&options)?, &bench.options(name))?;
        assert_eq!(bench.best(name)?, bench.best("cpu")?, "{name}");
    }
    // The reason for all of this: without it, the last digits differ.
    bench.train(&CpuDevice::new(Some(2)), &bench.options("fast"))?;
    assert_ne!(bench.best("fast")?, bench.best("cpu")?);
    Ok(())
}

fn exact_runs_on_graphs_have_the_bits_of_the_cpu() -> Result<(), Failed> {
    let directory = tempfile::tempdir()?;
    rings::write(directory.path(), &rings::rings(60));
    let layers = "model.layer=[{type=\"graph_conv\",units=5},{type=\"batch_norm\"},{type=\"activation\",function=\"tanh\"},\
                  {type=\"graph_attention\",units=3,heads=2},{type=\"dropout\",rate=0.1},{type=\"graph_sage\",units=7},\
                  {type=\"global_pool\",kind=\"max\"}]";
    let changes = [layers.to_string(), "train.epochs=2".into()];
    let experiment = Experiment::parse(&rings::experiment(directory.path()), "rings.toml", &changes)?;
    let data = trainer::load_data(&experiment, Path::new(""))?;
    let bench = Bench { directory, experiment, data };
    bench.train(&CpuDevice::new(Some(2)).exact(true), &bench.options("cpu"))?;
    for (name, family) in [("registers", Family::Registers), ("workgroup", Family::Workgroup)] {
        let options = GpuOptions { family: Some(family), exact: true, ..GpuOptions::default() };
        bench.train(&harness::device(&options)?, &bench.options(name))?;
        assert_eq!(bench.best(name)?, bench.best("cpu")?, "{name}");
    }
    bench.train(&CpuDevice::new(Some(2)), &bench.options("fast"))?;
    assert_ne!(bench.best("fast")?, bench.best("cpu")?);
    Ok(())
}

fn adversarial_training_has_the_bits_of_the_cpu() -> Result<(), Failed> {
    for norm in ["linf", "l2"] {
        let mut bench = Bench::new()?;
        let keys = format!("train.adversarial={{ radius = 0.2, steps = 2, norm = \"{norm}\" }}");
        bench.experiment = Experiment::parse(&bench.experiment.resolved(), "bench.toml", &[keys])?;
        let options = |bench: &Bench, name: &str| Options { max_steps: Some(6), ..bench.options(name) };
        bench.train(&CpuDevice::new(Some(2)).exact(true), &options(&bench, "cpu"))?;
        let exact = GpuOptions { exact: true, ..GpuOptions::default() };
        bench.train(&harness::device(&exact)?, &options(&bench, "gpu"))?;
        assert_eq!(bench.best("gpu")?, bench.best("cpu")?, "{norm}");
    }
    Ok(())
}

fn exact_runs_of_micro_batches_have_the_same_bits() -> Result<(), Failed> {
    let mut bench = Bench::new()?;
    bench.experiment.train.accumulate = 4;
    bench.train(&CpuDevice::new(Some(2)).exact(true), &bench.options("cpu"))?;
    for (name, family) in [("registers", Family::Registers), ("workgroup", Family::Workgroup)] {
        let options = GpuOptions { family: Some(family), exact: true, ..GpuOptions::default() };
        bench.train(&harness::device(&options)?, &bench.options(name))?;
        assert_eq!(bench.best(name)?, bench.best("cpu")?, "{name}");
    }
    Ok(())
}

fn updates_on_the_host_have_the_same_bits() -> Result<(), Failed> {
    let mut bench = Bench::new()?;
    let device = harness::device(&GpuOptions { exact: true, ..GpuOptions::default() })?;
    bench.train(&device, &bench.options("device"))?;
    bench.experiment.train.optimizer_state = OptimizerState::Host;
    bench.train(&device, &bench.options("host"))?;
    assert_eq!(bench.best("host")?, bench.best("device")?);
    bench.train(&device, &Options { max_steps: Some(15), ..bench.options("cut") })?;
    bench.train(&device, &Options { resume: true, ..bench.options("cut") })?;
    assert_eq!(bench.best("cut")?, bench.best("device")?);
    Ok(())
}

fn micro_batches_are_resumable() -> Result<(), Failed> {
    let mut bench = Bench::new()?;
    bench.experiment.train.accumulate = 4;
    let device = harness::device(&GpuOptions::default())?;
    bench.train(&device, &bench.options("whole"))?;
    bench.train(&device, &Options { max_steps: Some(15), ..bench.options("cut") })?;
    bench.train(&device, &Options { resume: true, ..bench.options("cut") })?;
    assert_eq!(bench.best("whole")?, bench.best("cut")?);
    Ok(())
}

fn gpu_and_cpu_losses_agree_after_an_epoch() -> Result<(), Failed> {
    let bench = Bench::new()?;
    let gpu = bench.train(&harness::device(&GpuOptions::default())?, &bench.options("gpu"))?;
    let cpu = bench.train(&CpuDevice::new(Some(2)), &bench.options("cpu"))?;
    for (g, c) in gpu.history.iter().zip(&cpu.history) {
        let validation = [g, c].map(|row| row.validation.get("loss").unwrap_or(f64::NAN));
        for [g, c] in [[g.train_loss, c.train_loss], validation] {
            assert!((g - c).abs() <= 1e-3 * c.abs(), "GPU {g}, CPU {c}");
        }
    }
    Ok(())
}

/// Actually destroys the device with steps in progress, then reopens it.
fn a_destroyed_device_leaves_no_trace() -> Result<(), Failed> {
    let open = || -> faults::Victim {
        let device = Rc::new(harness::device(&GpuOptions::default()).unwrap());
        let destroyed = device.clone();
        (device, Some(Box::new(move || destroyed.destroy())))
    };
    faults::losses_leave_no_trace(&open, 12, 1);
    faults::losses_leave_no_trace(&open, 3, 3);
    Ok(())
}

fn the_device_that_was_lost_is_opened_again() -> Result<(), Failed> {
    let mut installed = Installed { choice: DeviceChoice::Gpu, exact: false };
    let device = harness::device(&GpuOptions::default())?;
    device.destroy();
    assert_eq!(installed.reopen(device.info())?.info(), device.info());
    let gone = DeviceInfo { name: "another".into(), ..device.info().clone() };
    let error = installed.reopen(&gone).err().ok_or("another adapter was taken")?;
    assert!(error.to_string().contains("another is gone"), "{error}");
    assert!(installed.fallback().is_none(), "the user asked for a GPU");
    let mut automatic = Installed { choice: DeviceChoice::Auto, ..installed };
    assert_eq!(automatic.fallback().ok_or("no fallback")?.info().backend, "cpu");
    Ok(())
}
