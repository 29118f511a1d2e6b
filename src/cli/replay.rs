//! `gridlight replay`

use std::path::PathBuf;

use clap::Args;
use gridlight::device::{DeviceChoice, DeviceInfo, open};
use gridlight::run::replay;

use super::progress::Console;
use super::{Failure, is_exact, open_device, print, print_json};

/// Repeat a run from its record and compare the bits of the weights.
#[derive(Args)]
#[command(after_help = "Example:\n  gridlight replay runs/traffic")]
pub struct Replay {
    /// Run directory.
    run: PathBuf,
    /// Device: auto, cpu, gpu or gpu:N; by default the device that made the run.
    #[arg(long)]
    device: Option<DeviceChoice>,
    /// Print one JSON object on standard output.
    #[arg(long)]
    json: bool,
}

impl Replay {
    pub fn run(self) -> Result<(), Failure> {
        let mut console = Console::new(self.json);
        let recorded = replay::open(&self.run)?;
        let choice = self.device.map_or_else(|| same_device(recorded.device()), Ok)?;
        let device = open_device(choice, is_exact(&self.run)?)?;
        let replay = recorded.replay(&*device, &mut console)?;
        if self.json {
            print_json(&replay)?;
        } else if replay.same {
            print(&format!("{}: the repeated run has the same bits (weights {})", replay.run, replay.found))?;
        }
        console.all_was_printed()?;
        if replay.same {
            return Ok(());
        }
        let why = if replay.differences.is_empty() {
            "the recorded conditions are unchanged, so the device does not reproduce its own results".into()
        } else {
            format!("what changed: {}", replay.differences.join("; "))
        };
        let (run, found, expected) = (&replay.run, &replay.found, &replay.expected);
        let text =
            format!("{run}: the repeated run has different weights ({found}, expected {expected}); {why}");
        Err(Failure { code: 1, error: anyhow::Error::msg(text) })
    }
}

/// The device of this machine that the run was made on.
fn same_device(made: &DeviceInfo) -> Result<DeviceChoice, Failure> {
    if made.kind == "cpu" {
        return Ok(DeviceChoice::Cpu);
    }
    let same = |info: &DeviceInfo| (&info.name, &info.backend) == (&made.name, &made.backend);
    let found = open::list().into_iter().find(|adapter| same(&adapter.info));
    let missing = || {
        let text = format!(
            "the run was made on {} ({}), which this machine does not have; choose a device with --device",
            made.name, made.backend
        );
        Failure::input(text)
    };
    found.map(|adapter| DeviceChoice::GpuNumber(adapter.number)).ok_or_else(missing)
}
