//! Every shipped experiment, and a data set as large as MNIST, trains on a device with only the limits that
//! every WebGPU implementation guarantees.

use std::path::{Path, PathBuf};

use gridlight::base::target::{Family, Target};
use gridlight::device::Device;
use gridlight::device::gpu::{GpuDevice, GpuOptions, adapters};
use gridlight::experiment::Experiment;
use gridlight::nn::config::Family as ModelFamily;
use gridlight::run::job::Options;
use gridlight::run::trainer;
use libtest_mimic::{Failed, Trial};

use crate::harness;
use crate::silent::Silent;

pub fn trials() -> Vec<Trial> {
    let mut tests: Vec<(String, harness::Test)> = vec![];
    for path in shipped() {
        for family in [Family::Registers, Family::Workgroup] {
            let name = path.file_stem().unwrap_or_default().to_string_lossy();
            let name = format!("{name}_with_{family:?}").to_lowercase();
            let path = path.clone();
            tests.push((name, Box::new(move || a_few_steps(&path, family))));
        }
    }
    assert!(tests.len() >= 6, "the shipped experiments are found");
    tests.push(("as_many_images_as_mnist_as_bytes".into(), Box::new(|| as_mnist(false))));
    tests.push(("as_many_images_as_mnist_as_numbers".into(), Box::new(|| as_mnist(true))));
    harness::trials_of(tests)
}

/// The experiments under `assets/`.
fn shipped() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/experiments");
    let entries = std::fs::read_dir(directory).expect("the source tree has its assets").flatten();
    let mut paths: Vec<PathBuf> =
        entries.map(|e| e.path()).filter(|p| p.extension().is_some_and(|e| e == "toml")).collect();
    paths.sort();
    paths
}

/// An adapter with no more than the least limits.
fn least(family: Family) -> Result<GpuDevice, Failed> {
    let options = GpuOptions { family: Some(family), minimum_limits: true, ..GpuOptions::default() };
    let device = adapters::open(None, &options)?;
    let target = device.target();
    let minimum = Target::webgpu_minimum(target.family);
    assert_eq!(
        *target,
        Target { subgroup_size: target.subgroup_size, ..minimum },
        "the limits are the least"
    );
    Ok(device)
}

/// Trains on 60,000 images of 28 x 28 pixels: as numbers, they are larger than a buffer may be.
fn as_mnist(numbers: bool) -> Result<(), Failed> {
    const IMAGES: usize = 60_000;
    let device = least(Family::Registers)?;
    let scratch = tempfile::tempdir()?;
    let header = |kind: u8, shape: &[usize]| {
        let sides = shape.iter().flat_map(|&side| (side as u32).to_be_bytes());
        [0, 0, 8, kind].into_iter().chain(sides).collect::<Vec<u8>>()
    };
    let mut images = header(3, &[IMAGES, 28, 28]);
    images.extend((0..IMAGES * 784).map(|i| (i.wrapping_mul(0x9e37_79b9) >> 13) as u8));
    let mut labels = header(1, &[IMAGES]);
    labels.extend((0..IMAGES).map(|i| (i % 10) as u8));
    std::fs::write(scratch.path().join("images-idx3-ubyte"), images)?;
    std::fs::write(scratch.path().join("labels-idx1-ubyte"), labels)?;
    let text = "name = \"mnist\"\n[data]\nsource = \"images-idx3-ubyte\"\n[data.split]\nby = \"random\"\n\
                validation = 0.002\ntest = 0.0\n[model]\nfamily = \"cnn\"\nchannels = [2]\nhidden = [4]\n";
    let experiment = Experiment::parse(text, "mnist.toml", &[])?;
    let mut data = trainer::load_data(&experiment, scratch.path())?;
    assert!(data.train.pixels.is_some() && data.train.x.is_empty());
    if numbers {
        data.train.x = data.train.features_of(0..data.train.rows).into_owned();
        data.train.pixels = None;
        assert!(4 * data.train.x.len() as u64 > device.target().max_binding_bytes);
    }
    let options = Options { out: scratch.path().join("run"), max_steps: Some(2), ..Options::default() };
    let outcome = trainer::train(&experiment, &data, &device, &options, &mut Silent)?;
    assert!(outcome.best.get("loss").is_some_and(|loss| loss.is_finite()));
    Ok(())
}

/// Trains three steps, validates and tests.
fn a_few_steps(path: &Path, family: Family) -> Result<(), Failed> {
    let device = least(family)?;
    let scratch = tempfile::tempdir()?;
    // Only part of a long text is read: software Vulkan takes minutes for a hundred thousand characters.
    let mut less = vec![];
    let shipped = Experiment::read(path, &[])?;
    match &shipped.data.text {
        Some(text) if text.column.is_some() => {
            let source = Experiment::directory(path).join(&shipped.data.source);
            let few = scratch.path().join("few.csv");
            thin_out(&source, &few)?;
            less.push(format!("data.source={}", few.display()));
        }
        Some(_) => less.extend(["validation", "test"].map(|part| format!("data.split.{part}=0.003"))),
        None => {}
    }
    // Nor whole batches of a network of 20 GFLOP a step.
    if shipped.data.text.is_some() && shipped.model.family == ModelFamily::Transformer {
        less.push("train.batch_size=4".into());
    }
    let experiment = Experiment::read(path, &less)?;
    let data = trainer::load_data(&experiment, &Experiment::directory(path))?;
    let out = scratch.path().join("run");
    let options = Options { out, max_steps: Some(3), ..Options::default() };
    let outcome = trainer::train(&experiment, &data, &device, &options, &mut Silent)?;
    let loss = outcome.best.get("loss").ok_or("no loss")?;
    assert!(loss.is_finite(), "{loss}");
    Ok(())
}

/// Writes every twentieth row of the table at `source` to `few`.
fn thin_out(source: &Path, few: &Path) -> Result<(), Failed> {
    let mut rows = csv::ReaderBuilder::new().has_headers(false).from_path(source)?;
    let mut kept = csv::Writer::from_path(few)?;
    for row in rows.records().step_by(20) {
        kept.write_record(&row?)?;
    }
    Ok(kept.flush()?)
}
