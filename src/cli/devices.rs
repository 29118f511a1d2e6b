//! `gridlight devices`

use clap::Args;
use gridlight::device::adapter::AdapterReport;
use gridlight::device::cpu::CpuDevice;
use gridlight::device::open;
use gridlight::device::{Device, DeviceInfo};
use gridlight::mpi::{self, Found};

use super::{Failure, print, print_json};

/// List adapters with driver, features and limits, and which one `auto` selects.
#[derive(Args)]
#[command(after_help = "Example:\n  gridlight devices --json")]
pub struct Devices {
    /// Print one JSON object on standard output.
    #[arg(long)]
    json: bool,
}

/// All devices that `--device` can name.
#[derive(serde::Serialize)]
struct Report {
    /// What `--device auto` selects: `cpu` or `gpu:N`.
    auto: String,
    cpu: DeviceInfo,
    adapters: Vec<AdapterReport>,
    /// The MPI library that several processes under mpirun would use.
    mpi: Option<Found>,
}

impl Devices {
    pub fn run(self) -> Result<(), Failure> {
        let adapters = open::list();
        let taken = adapters.iter().find(|a| a.auto);
        let report = Report {
            auto: taken.map_or("cpu".into(), |a| format!("gpu:{}", a.number)),
            cpu: CpuDevice::new(None).info().clone(),
            adapters,
            mpi: mpi::find().ok(),
        };
        if self.json {
            print_json(&report)?;
        } else {
            print(&text(&report))?;
        }
        Ok(())
    }
}

fn text(report: &Report) -> String {
    let mut text = format!("cpu    {} ({})\n", report.cpu.name, report.cpu.driver);
    for adapter in &report.adapters {
        let (info, limits) = (&adapter.info, &adapter.limits);
        let features = if adapter.features.is_empty() { "none".into() } else { adapter.features.join(", ") };
        text += &format!(
            "gpu:{}  {} ({}, {}, {})\n       features: {features}\n       limits: buffer {} MiB, binding {} \
             MiB, {} storage buffers, {} invocations, {} KiB workgroup memory\n       auto: {}\n",
            adapter.number,
            info.name,
            info.kind,
            info.backend,
            info.driver,
            limits.max_buffer_bytes >> 20,
            limits.max_binding_bytes >> 20,
            limits.max_storage_buffers,
            limits.max_invocations,
            limits.max_workgroup_bytes >> 10,
            adapter.why
        );
    }
    if report.adapters.is_empty() {
        text += if cfg!(feature = "gpu") {
            "No GPU adapter: no Vulkan, Metal or DX12 driver is installed.\n"
        } else {
            "No GPU adapter: this build has no GPU backend.\n"
        };
    }
    let why = if report.auto == "cpu" { " (no discrete or integrated GPU works)" } else { "" };
    text += &format!("auto selects {}{why}\n", report.auto);
    text + &match &report.mpi {
        Some(Found { library, abi, version }) => format!("mpi    {version} ({library}, interface: {abi})"),
        None => "No MPI library: training runs in one process.".into(),
    }
}
