//! `gridlight plan`

use std::path::{Path, PathBuf};

use clap::Args;
use gridlight::base::target::{Family, Target};
use gridlight::data::Loaded;
use gridlight::device::DeviceChoice;
use gridlight::device::cpu::host;
use gridlight::experiment::Experiment;
use gridlight::kernels::Kernel;
use gridlight::kernels::shader::{launch, shader};
use gridlight::plan::{Compiled, Dispatch, quantity};
use gridlight::run::trainer;
use gridlight::train::TrainError;
use gridlight::train::engine;

use super::{Failure, open_device, print, print_json, tell};

/// Show what a training step will do, before it runs.
#[derive(Args)]
#[command(after_help = "Example:\n  gridlight plan assets/experiments/traffic.toml --device gpu --dump \
                        shaders-as-compiled")]
pub struct Plan {
    /// Experiment file.
    experiment: PathBuf,
    /// auto, cpu, gpu or gpu:N (see `gridlight devices`).
    #[arg(long, default_value = "auto")]
    device: DeviceChoice,
    /// Override a key of the experiment: table.key=value. May be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Write the WGSL of every kernel, as compiled, into this directory.
    #[arg(long, value_name = "DIR")]
    dump: Option<PathBuf>,
    /// Do not show what was understood of the data.
    #[arg(long)]
    quiet: bool,
    /// Print one JSON object on standard output.
    #[arg(long)]
    json: bool,
}

impl Plan {
    pub fn run(self) -> Result<(), Failure> {
        let experiment = Experiment::read(&self.experiment, &self.set)?;
        let device = open_device(self.device, experiment.train.exact)?;
        let data = trainer::load_data(&experiment, &Experiment::directory(&self.experiment))?;
        if !self.quiet {
            // On standard error: standard output is for results.
            tell(super::inspect::text(&data.understood).trim_end());
        }
        let (compiled, step) = compile_for(&experiment, &data, device.target())?;
        let target = device.target();
        let workgroups = |kernel: &Kernel| match target.family {
            Family::Native => [1, 1, 1],
            _ => shader(kernel, target).map_or([0, 0, 0], |s| s.workgroups),
        };
        let report = compiled.report(&step, workgroups);
        if let Some(directory) = &self.dump {
            dump(directory, &compiled, target)?;
        }
        if self.json {
            print_json(&report)?;
        } else {
            print(&(report.table() + &memory_of(target, report.peak_bytes)))?;
        }
        Ok(())
    }
}

/// What the machine has for a plan of the CPU.
fn memory_of(target: &Target, bytes: u64) -> String {
    let Some(available) = host::available().filter(|_| target.family == Family::Native) else {
        return String::new();
    };
    let verdict = if bytes > available { "too little: training would refuse to start" } else { "enough" };
    format!("this machine has {} bytes of memory available: {verdict}\n", quantity(available))
}

/// The program of an experiment, whose paths are relative to `directory`, for a device: the first phases
/// train, the last one evaluates.
pub fn compile(experiment: &Experiment, directory: &Path, target: &Target) -> Result<Compiled, Failure> {
    Ok(compile_for(experiment, &trainer::load_data(experiment, directory)?, target)?.0)
}

/// The program, the phases of a training step, and how often each runs.
type Planned = (Compiled, Vec<(usize, usize)>);

fn compile_for(experiment: &Experiment, data: &Loaded, target: &Target) -> Result<Planned, Failure> {
    let experiment = &trainer::sized(experiment, data, &mut |text| tell(format_args!("note: {text}")));
    let model = trainer::model_of(experiment, &data.fitted, &data.train)?;
    trainer::check_names(experiment, &*model)?;
    let images = trainer::image_changes(experiment, &data.fitted)?;
    let training = trainer::training_of(experiment, data, images.as_ref());
    let step = engine::phases(&*model, &training)?;
    Ok((engine::compile(&*model, Some(&training), &data.validation, target)?.0, step))
}

/// Writes `<phase>-<number>-<kernels>.wgsl` for every launch.
fn dump(directory: &Path, compiled: &Compiled, target: &Target) -> Result<(), Failure> {
    if target.family == Family::Native {
        let reason = "--dump shows the shaders of a GPU; add --device gpu (the CPU backend runs native code)";
        return Err(Failure::input(reason));
    }
    let io = |e: std::io::Error| TrainError::Io { path: directory.into(), reason: e.to_string() };
    std::fs::create_dir_all(directory).map_err(io)?;
    for phase in &compiled.program.phases {
        for (number, dispatches) in phase.launches().enumerate() {
            let members: Vec<_> = dispatches.iter().map(Dispatch::bound).collect();
            let shader = launch(&members, target).map_err(Failure::input)?;
            let name = format!("{}-{:02}-{}.wgsl", phase.name, number + 1, shader.name);
            std::fs::write(directory.join(name), shader.source).map_err(io)?;
        }
    }
    Ok(())
}
