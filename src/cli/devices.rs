//! `gridlight devices`

use clap::Args;
use gridlight::device::Device;
use gridlight::device::cpu::CpuDevice;

use super::{Failure, print, print_json};

/// Adapters with driver, features and limits, and which one `auto` takes.
#[derive(Args)]
#[command(after_help = "Example:\n  gridlight devices --json")]
pub struct Devices {
    /// One JSON object on standard output.
    #[arg(long)]
    json: bool,
}

impl Devices {
    pub fn run(self) -> Result<(), Failure> {
        let cpu = CpuDevice::new(None);
        if self.json {
            print_json(cpu.info());
        } else {
            print(&format!("cpu    {} ({})", cpu.info().name, cpu.info().driver));
        }
        Ok(())
    }
}
