//! Compiles every launch of experiment files, in every layout of its shader that the tuner may choose, for the best adapter
//! there is: `cargo run --release --example layouts -- assets/experiments/*.toml`.
//!
//! A line on standard error names each shader before the driver compiles it, so that what drivers say of their code stands
//! below the name (tests/long/isa.py). Nothing runs: the driver may be one that computes nothing.

use std::collections::BTreeSet;
use std::path::Path;

use gridlight::base::target::{Family, Geometry, Target};
use gridlight::device::Device;
use gridlight::device::gpu::{GpuOptions, adapters};
use gridlight::experiment::Experiment;
use gridlight::kernels::shader;
use gridlight::plan::{Dispatch, Phase, Program};
use gridlight::run::planned::planned;
use gridlight::run::trainer;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let family = Family::Workgroup;
    let usual = Geometry::usual(family);
    let mut geometries = Geometry::all(family);
    geometries.sort_by_key(|geometry| *geometry != usual);
    let mut seen = BTreeSet::new();
    for path in std::env::args().skip(1) {
        let path = Path::new(&path);
        let experiment = Experiment::read(path, &[])?;
        let data = trainer::load_data(&experiment, &Experiment::directory(path))?;
        let limits = Target { exact: experiment.train.exact, ..Target::webgpu_minimum(family) };
        let (compiled, _) = planned(&experiment, &data, &limits, &mut |_| ())?;
        for &geometry in &geometries {
            let options = GpuOptions {
                family: Some(family),
                geometry: Some(geometry),
                minimum_limits: true,
                subgroups: Some(false),
                untested: true,
                ..GpuOptions::default()
            };
            let device = adapters::open(None, &options)?;
            for launch in compiled.program.phases.iter().flat_map(Phase::launches) {
                let members: Vec<_> = launch.iter().map(Dispatch::bound).collect();
                let source = shader::launch(&members, device.target())?.source;
                if !seen.insert(source) {
                    continue;
                }
                let kernels = launch.iter().map(|d| format!("{} {}", d.kernel.name(), d.kernel.shape()));
                let kernels = kernels.collect::<Vec<_>>().join(" | ");
                let layout = if geometry == usual { "usual".into() } else { name(geometry) };
                let experiment = path.file_stem().unwrap_or_default().to_string_lossy();
                eprintln!("\n== {experiment} == {layout} == {kernels}");
                let phase = Phase { name: "one".into(), dispatches: launch.to_vec() };
                device.load(&Program { buffers: compiled.program.buffers.clone(), phases: vec![phase] })?;
            }
        }
    }
    Ok(())
}

fn name(geometry: Geometry) -> String {
    let Geometry { side, row_blocks, col_blocks, uniforms, .. } = geometry;
    let space = if uniforms { "uniform" } else { "storage" };
    format!("{side} wide, {}x{}, {space}", 4 * row_blocks, 4 * col_blocks)
}
