//! `gridlight plan`

use std::path::{Path, PathBuf};

use clap::Args;
use gridlight::base::target::{Family, Target};
use gridlight::data::Loaded;
use gridlight::device::cpu::host;
use gridlight::device::limits;
use gridlight::device::tuning::Tuned;
use gridlight::device::{Device, DeviceChoice};
use gridlight::experiment::Experiment;
use gridlight::kernels::Kernel;
use gridlight::kernels::shader::{launch, shader};
use gridlight::plan::{Compiled, Dispatch, Phase, PlanReport, quantity};
use gridlight::run::planned::{Planned, planned};
use gridlight::run::scaling::{self, Scale};
use gridlight::run::trainer;
use gridlight::train::TrainError;

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
    /// Predict a step of so many processes (`mpirun`), each on a device like this one.
    #[arg(long, value_name = "N", requires = "network")]
    ranks: Option<usize>,
    /// What the network between them carries each way, in GB/s.
    #[arg(long, value_name = "GB/S", requires = "ranks")]
    network: Option<f64>,
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
        let mut data = trainer::load_data(&experiment, &Experiment::directory(&self.experiment))?;
        if !self.quiet {
            // On standard error: standard output is for results.
            tell(super::inspect::text(&data.understood).trim_end());
        }
        let (compiled, step) = fitting(&experiment, &mut data, device.target())?;
        let target = device.target();
        let workgroups = |kernel: &Kernel| match target.family {
            Family::Native => [1, 1, 1],
            _ => shader(kernel, target).map_or([0, 0, 0], |s| s.workgroups),
        };
        let report = compiled.report(&step, workgroups);
        if let Some(directory) = &self.dump {
            dump(directory, &compiled, target)?;
        }
        let layouts = layouts(&compiled, &*device);
        let ranks = match self.ranks.zip(self.network) {
            Some((_, network)) if !(network > 0.0 && network.is_finite()) => {
                return Err(Failure::input(format!("--network = {network} is no number of GB/s above 0")));
            }
            Some((ranks, network)) => {
                Some(scaling::predict(&experiment, &data, &*device, ranks, 1e9 * network)?)
            }
            None => None,
        };
        let (rows, what) = place_of_rows(&data);
        if self.json {
            print_json(&Shown { rows, report: &report, layouts: &layouts, ranks: ranks.as_deref() })?;
        } else {
            let rows = format!("rows: {what}\n");
            let ranks = ranks.map_or_else(String::new, |ranks| table_of(&ranks));
            let memory = memory_of(target, report.peak_bytes);
            print(&(report.table() + &rows + &memory + &text_of(&layouts, target) + &ranks))?;
        }
        Ok(())
    }
}

/// A plan as JSON.
#[derive(serde::Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    report: &'a PlanReport,
    /// Where rows are: `device`, `host` or `disk`.
    rows: &'static str,
    /// Layouts of launches that were measured on this machine.
    #[serde(skip_serializing_if = "<[Tuned]>::is_empty")]
    layouts: &'a [Tuned],
    /// Predicted steps of several processes.
    #[serde(skip_serializing_if = "Option::is_none")]
    ranks: Option<&'a [Scale]>,
}

/// What was measured of the launches of training and evaluation on this machine, each kind of launch once.
fn layouts(compiled: &Compiled, device: &dyn Device) -> Vec<Tuned> {
    let mut found: Vec<Tuned> = vec![];
    let launches = compiled.program.phases.iter().flat_map(Phase::launches);
    for tuned in launches.filter_map(|launch| device.measured(launch)) {
        if !found.contains(&tuned) {
            found.push(tuned);
        }
    }
    found
}

/// Layouts, for people.
fn text_of(layouts: &[Tuned], target: &Target) -> String {
    match (target.family, layouts) {
        (Family::Native, _) => String::new(),
        (_, []) => {
            "layouts: the usual ones; none was measured on this device (`gridlight tune-kernels`)\n".into()
        }
        _ => {
            let head = "\nLayouts that were measured on this device, in training and evaluation (* is taken; other \
                        launches have the usual one):\n";
            head.to_string() + &super::tune_kernels::text(layouts)
        }
    }
}

/// Predicted steps, for people.
fn table_of(scales: &[Scale]) -> String {
    let mut text =
        "\nA model of steps of several processes, not a measurement: kernels and copies as measured here on \
                    one, gradients exchanged after the backward pass.\n"
            .to_string();
    text += "ranks    rows each  kernels ms  copies ms  network ms     step ms  speed-up  efficiency  bytes each\n";
    for scale in scales {
        let ms = |seconds: f64| format!("{:.3}", 1e3 * seconds);
        text += &format!(
            "{:<8} {:>9} {:>11} {:>10} {:>11} {:>11} {:>9.2} {:>10.0}% {:>11}\n",
            scale.ranks,
            scale.rows,
            ms(scale.compute_seconds),
            ms(scale.copy_seconds),
            ms(scale.network_seconds),
            ms(scale.step_seconds),
            scale.speed_up,
            100.0 * scale.efficiency,
            quantity(scale.bytes)
        );
    }
    text
}

/// Where rows are, for programs and for people.
fn place_of_rows(data: &Loaded) -> (&'static str, String) {
    match &data.train.stored {
        None if !data.train.streams => ("device", "all on the device".into()),
        Some(stored) if stored.is_file() => {
            let mixing = match stored.blocks() {
                Some(blocks) => format!("; {}", blocks.describe()),
                None => "; all rows are shuffled among each other".into(),
            };
            ("disk", format!("on disk, from which they stream to the device{mixing}"))
        }
        _ => ("host", "in the host's memory, from which they stream to the device".into()),
    }
}

/// The program that a device has room for: with all rows, or with some at a time.
fn fitting(experiment: &Experiment, data: &mut Loaded, target: &Target) -> Result<Planned, Failure> {
    let whole = compile_for(experiment, data, target);
    let fits = |planned: &Planned| match target.family {
        Family::Native => host::available().is_none_or(|available| planned.0.program.bytes() <= available),
        _ => limits::check_program(&planned.0.program, target, 1).is_ok(),
    };
    if whole.as_ref().is_ok_and(fits)
        || data.train.streams
        || data.train.stored.is_some()
        || data.train.on_device
    {
        return whole;
    }
    let mut streaming = data.clone();
    streaming.train.store();
    streaming.validation.store();
    match compile_for(experiment, &streaming, target) {
        Ok(planned) => {
            *data = streaming;
            Ok(planned)
        }
        Err(_) => whole,
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

fn compile_for(experiment: &Experiment, data: &Loaded, target: &Target) -> Result<Planned, Failure> {
    Ok(planned(experiment, data, target, &mut |text| tell(format_args!("note: {text}")))?)
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
