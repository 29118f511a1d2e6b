//! The command line: one file per command, one place for devices, errors and exit codes.

mod advice;
mod bench;
mod compare;
mod completions;
mod devices;
mod evaluate;
mod explain;
mod export;
#[cfg(feature = "serve")]
mod http;
mod import;
mod input;
mod inspect;
mod keys;
mod list;
mod output;
mod plan;
mod predict;
mod progress;
mod replay;
mod results;
mod robustness;
mod sample;
#[cfg(feature = "serve")]
mod serve;
mod signals;
mod starter;
mod stream;
mod summary;
mod together;
mod train;
mod tune;
mod tune_kernels;
mod verify;
#[cfg(feature = "serve")]
mod watch;
mod web;

use std::process::ExitCode;
use std::time::Instant;

use clap::{Parser, Subcommand};
use gridlight::device::{Device, DeviceChoice};
use gridlight::run::directory::experiment_of;
use gridlight::train::{ErrorKind, TrainError};
use output::{print, print_json, tell};

/// Trains neural networks on any GPU, from one binary.
#[derive(Parser)]
#[command(name = "gridlight", version, about, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Train(train::Train),
    Evaluate(evaluate::Evaluate),
    Predict(predict::Predict),
    #[cfg(feature = "serve")]
    Serve(serve::Serve),
    Explain(explain::Explain),
    Robustness(robustness::Robustness),
    #[cfg(feature = "serve")]
    Watch(watch::Watch),
    Export(export::Export),
    Web(web::Web),
    Import(import::Import),
    List(list::List),
    Compare(compare::Compare),
    Init(starter::Init),
    Inspect(inspect::Inspect),
    Keys(keys::Keys),
    Tune(tune::Tune),
    TuneKernels(tune_kernels::TuneKernels),
    Plan(plan::Plan),
    Sample(sample::Sample),
    Replay(replay::Replay),
    Verify(verify::Verify),
    Bench(bench::Bench),
    Devices(devices::Devices),
    Completions(completions::Completions),
    Man(completions::Man),
}

/// Why a command ends early: a message that says how to go on, and the exit code.
pub struct Failure {
    /// Exit code.
    pub code: u8,
    /// One line, then how to go on.
    pub error: anyhow::Error,
}

impl From<TrainError> for Failure {
    fn from(error: TrainError) -> Self {
        Self { code: exit_code(error.kind()), error: anyhow::Error::msg(advice::in_flags(&error)) }
    }
}

impl Failure {
    /// What the user gave cannot be.
    pub fn input(reason: impl ToString) -> Self {
        Self { code: exit_code(ErrorKind::Input), error: anyhow::Error::msg(reason.to_string()) }
    }
}

/// The exit code of the contract.
pub fn exit_code(kind: ErrorKind) -> u8 {
    match kind {
        ErrorKind::Input => 2,
        ErrorKind::Diverged => 3,
        ErrorKind::Device => 4,
        ErrorKind::File => 5,
        ErrorKind::Interrupted => 130,
    }
}

impl From<gridlight::device::DeviceError> for Failure {
    fn from(error: gridlight::device::DeviceError) -> Self {
        TrainError::from(error).into()
    }
}

impl From<gridlight::base::config::ConfigError> for Failure {
    fn from(error: gridlight::base::config::ConfigError) -> Self {
        TrainError::from(error).into()
    }
}

impl From<gridlight::verify::VerifyError> for Failure {
    fn from(error: gridlight::verify::VerifyError) -> Self {
        use gridlight::verify::VerifyError;
        match error {
            VerifyError::Plan(error) => TrainError::from(error).into(),
            VerifyError::Device(error) => TrainError::from(error).into(),
            VerifyError::Reference(error) => Failure::input(error),
        }
    }
}

/// Runs the command line and returns the exit code.
pub fn run(started: Instant) -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let code = if error.use_stderr() { 2 } else { 0 };
            // If printing fails, nobody is reading.
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    let result = match arguments.command {
        Command::Train(command) => command.run(started),
        Command::Evaluate(command) => command.run(),
        Command::Predict(command) => command.run(),
        #[cfg(feature = "serve")]
        Command::Serve(command) => command.run(),
        Command::Explain(command) => command.run(),
        Command::Robustness(command) => command.run(),
        #[cfg(feature = "serve")]
        Command::Watch(command) => command.run(),
        Command::Export(command) => command.run(),
        Command::Web(command) => command.run(),
        Command::Import(command) => command.run(),
        Command::List(command) => command.run(),
        Command::Compare(command) => command.run(),
        Command::Init(command) => command.run(),
        Command::Inspect(command) => command.run(),
        Command::Keys(command) => command.run(),
        Command::Tune(command) => command.run(started),
        Command::TuneKernels(command) => command.run(),
        Command::Plan(command) => command.run(),
        Command::Sample(command) => command.run(),
        Command::Replay(command) => command.run(),
        Command::Verify(command) => command.run(),
        Command::Bench(command) => command.run(),
        Command::Devices(command) => command.run(),
        Command::Completions(command) => command.run(),
        Command::Man(command) => command.run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            tell(format_args!("error: {:#}", failure.error));
            ExitCode::from(failure.code)
        }
    }
}

/// Opens the requested device and reports it on standard error.
pub fn open_device(choice: DeviceChoice, exact: bool) -> Result<Box<dyn Device>, Failure> {
    let device = gridlight::device::open::open(choice, exact)?;
    let info = device.info();
    tell(format_args!("device: {} ({}, {})", info.name, info.backend, info.driver));
    Ok(device)
}

/// Whether a run was trained in exact mode, so that it is also used in exact mode.
pub fn is_exact(run: &std::path::Path) -> Result<bool, Failure> {
    Ok(experiment_of(run)?.train.exact)
}
