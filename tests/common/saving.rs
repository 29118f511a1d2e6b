//! Memory of training steps: parts of the forward pass computed again. The trained bits are those of the plain run.

use std::path::Path;

use gridlight::base::target::Target;
use gridlight::data::Loaded;
use gridlight::device::Device;
use gridlight::device::cpu::CpuDevice;
use gridlight::experiment::Experiment;
use gridlight::plan::Compiled;
use gridlight::run::job::Options;
use gridlight::run::trainer;
use gridlight::train::TrainError;
use gridlight::train::checkpoint::{self, NamedTensor};
use gridlight::train::engine;

use crate::silent::Silent;

/// A transformer with dropout on the words of a text, a convolutional network with batch norm on rows read as images,
/// and dense layers on noisy rows.
pub const NETWORKS: [(&str, &str); 3] = [
    (
        "transformer",
        "[model]\nfamily = \"transformer\"\nwidth = 16\nheads = 2\nblocks = 4\nactivation = \"gelu\"\ndropout = 0.1\n\
         [train]\nepochs = 1\nbatch_size = 8\nclip_norm = 1.0\noptimizer = \"adamw\"\n",
    ),
    (
        "cnn",
        "[model]\nfamily = \"cnn\"\nchannels = [8, 8, 8]\nhidden = [8]\nnorm = \"batch\"\ndropout = 0.1\n\
         [train]\nepochs = 1\nbatch_size = 16\nloss = \"cross_entropy\"\n",
    ),
    (
        "mlp",
        "[data.augment]\nnoise = 0.1\n[model]\nhidden = [32, 32, 32, 32]\nnorm = \"batch\"\ndropout = 0.1\n\
         [train]\nepochs = 1\nbatch_size = 32\naccumulate = 2\nloss = \"cross_entropy\"\n",
    ),
];

/// The experiment of a network, and its data.
pub fn bench(directory: &Path, network: &str, keys: &str) -> (Experiment, Loaded) {
    let (name, rest) = NETWORKS.into_iter().find(|(name, _)| *name == network).unwrap();
    let data = match name {
        "transformer" => {
            let text: String = (0u32..2000).map(|i| char::from(b'a' + (i * i % 11 + i % 3) as u8)).collect();
            std::fs::write(directory.join("data.txt"), text).unwrap();
            "source = \"data.txt\"\ntext = { length = 16 }\nsplit = { by = \"order\", validation = 0.1, test = 0.1 }\n"
        }
        _ => {
            let mut table: String = (0..64).map(|pixel| format!("p{pixel},")).collect();
            table += "label\n";
            for row in 0u32..200 {
                let class = row % 3;
                let pixel = |p: u32| (row * 31 + p * 17 + p * p * (class + 1)) % 16;
                table.extend((0..64).map(|p| format!("{},", pixel(p))));
                table += &format!("c{class}\n");
            }
            std::fs::write(directory.join("data.csv"), table).unwrap();
            match name {
                "cnn" => {
                    "source = \"data.csv\"\ntarget = \"label\"\nimage = { shape = [1, 8, 8] }\n\
                          split = { by = \"random\" }\n"
                }
                _ => "source = \"data.csv\"\ntarget = \"label\"\nsplit = { by = \"random\" }\n",
            }
        }
    };
    let text = format!("name = \"{name}\"\nseed = 5\n[data]\n{data}{rest}{keys}");
    let file = directory.join("experiment.toml");
    std::fs::write(&file, text).unwrap();
    let mut experiment = Experiment::read(&file, &[]).unwrap();
    let data = trainer::load_data(&experiment, directory).unwrap();
    experiment.data.source = directory.join(&experiment.data.source).display().to_string();
    (experiment, data)
}

/// Everything that a checkpoint keeps after `steps` steps of a network, trained with `keys` of `[train]`.
pub fn trained(device: &dyn Device, network: &str, keys: &str, steps: u64) -> Vec<NamedTensor> {
    let directory = tempfile::tempdir().unwrap();
    let (experiment, data) = bench(directory.path(), network, keys);
    let run = directory.path().join("run");
    let options = Options { out: run.clone(), max_steps: Some(steps), ..Options::default() };
    trainer::train(&experiment, &data, device, &options, &mut Silent).unwrap();
    let newest = checkpoint::list(&run.join("checkpoints")).pop().unwrap().1;
    checkpoint::load(&newest).unwrap().0
}

/// The program of a network with `keys` of `[train]`, its experiment changed by `change`.
pub fn compiled(
    network: &str,
    keys: &str,
    change: impl FnOnce(&mut Experiment),
    target: &Target,
) -> Result<Compiled, TrainError> {
    let directory = tempfile::tempdir().unwrap();
    let (mut experiment, data) = bench(directory.path(), network, keys);
    change(&mut experiment);
    let model = trainer::model_of(&experiment, &data.fitted, &data.train)?;
    let training = trainer::training_of(&experiment, &data, None);
    Ok(engine::compile(&*model, Some(&training), &data.validation, target)?.0)
}

/// Checks that what is computed again changes no bit of what is trained.
///
/// # Errors
/// The first tensor that differs.
pub fn recomputing_changes_no_bit(device: &dyn Device, settings: &[&str]) -> Result<(), String> {
    for (network, _) in NETWORKS {
        let plain = trained(device, network, "", 5);
        for setting in settings {
            let keys = format!("recompute = \"{setting}\"\n");
            let saved = compiled(network, &keys, |_| {}, device.target()).unwrap().saved;
            println!("{network}, {keys}: {saved:?}");
            if network == "transformer" && saved.is_none_or(|saved| saved.parts == 0) {
                return Err(format!("{network}: nothing is computed again"));
            }
            let again = trained(device, network, &keys, 5);
            let bits = |(name, shape, data): &NamedTensor| {
                (name.clone(), shape.clone(), data.iter().map(|x| x.to_bits()).collect::<Vec<u32>>())
            };
            for (a, b) in plain.iter().zip(&again) {
                if bits(a) != bits(b) {
                    return Err(format!("{network}, recompute = {setting}: {} differs", a.0));
                }
            }
            assert_eq!(plain.len(), again.len());
        }
    }
    Ok(())
}

/// Checks that gradients with values in half precision are those of single precision on the CPU within the rounding.
///
/// # Errors
/// The first network whose gradient is not.
pub fn mixed_gradients_are_near(device: &dyn Device) -> Result<(), String> {
    for (network, _) in NETWORKS {
        // The first moment of Adam after one step is a tenth of the gradient.
        let gradient = |all: Vec<NamedTensor>| {
            let first = all.into_iter().filter(|(name, ..)| name.starts_with("optimizer.0."));
            first.flat_map(|(_, _, data)| data).collect::<Vec<f32>>()
        };
        let single = gradient(trained(&CpuDevice::new(Some(2)), network, "", 1));
        let mixed = gradient(trained(device, network, "precision = \"mixed\"\n", 1));
        let norm = |x: &mut dyn Iterator<Item = f32>| x.map(|x| f64::from(x).powi(2)).sum::<f64>().sqrt();
        let size = norm(&mut single.iter().copied());
        let error = norm(&mut single.iter().zip(&mixed).map(|(a, b)| a - b)) / size;
        println!("{network}: relative error of the gradient {error:.2e}");
        let saved = compiled(network, "precision = \"mixed\"\n", |_| {}, device.target()).unwrap().saved;
        // Less than the rounding of single precision would be a sign that nothing was kept in half precision. Small
        // networks take no less memory with it.
        let least = if network == "transformer" || saved.is_some() { 1e-6 } else { 0.0 };
        if !(least..2e-3).contains(&error) {
            return Err(format!("{network}: the gradient is {error:.2e} from that of single precision"));
        }
    }
    Ok(())
}
