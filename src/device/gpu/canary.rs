//! One dispatch with a known result. Some drivers accept everything and compute nothing (null devices for
//! driver tests, broken installations); training on one would report a loss of zero.

use std::sync::Arc;

use super::handle::Gpu;
use super::session::GpuSession;
use crate::base::step::StepRecord;
use crate::base::target::Target;
use crate::device::tuning::Tuning;
use crate::device::{DeviceError, DeviceInfo, Session};
use crate::kernels::Kernel;
use crate::kernels::shader::Shader;
use crate::kernels::store::{Store, Stored};
use crate::plan::{BufferClass, BufferId, BufferSpec, Dispatch, Phase, Program, Slice};

const WORDS: usize = 64;
const SOURCE: &str = include_str!("../../../shaders/canary.wgsl");

/// Runs the canary on an opened device.
///
/// # Errors
/// If its result is wrong or the device fails.
#[cfg(not(target_family = "wasm"))]
pub fn check(gpu: &Arc<Gpu>, info: &DeviceInfo, target: &Target) -> Result<(), DeviceError> {
    let (mut session, input) = begin(gpu, info, target)?;
    compare(&input, &session.read(BufferId(1), 0, WORDS)?, info)
}

/// Runs the canary on an opened device.
///
/// # Errors
/// If its result is wrong or the device fails.
#[cfg(target_family = "wasm")]
pub async fn check(gpu: &Arc<Gpu>, info: &DeviceInfo, target: &Target) -> Result<(), DeviceError> {
    let (mut session, input) = begin(gpu, info, target)?;
    session.fetch(&[Slice { buffer: BufferId(1), start: 0, words: WORDS }]).await?;
    compare(&input, &session.read(BufferId(1), 0, WORDS)?, info)
}

/// Runs the kernel; returns the session and what it was given.
fn begin(gpu: &Arc<Gpu>, info: &DeviceInfo, target: &Target) -> Result<(GpuSession, Vec<u32>), DeviceError> {
    let buffer = |name: &str| BufferSpec { name: name.into(), class: BufferClass::Activations, words: WORDS };
    let slice = |buffer| Slice { buffer: BufferId(buffer), start: 0, words: WORDS };
    let dispatch = Dispatch {
        kernel: Kernel::new(Store { values: vec![Stored::result(WORDS)] }),
        reads: vec![slice(0)],
        writes: vec![slice(1)],
        label: "canary".into(),
        launch: 0,
    };
    let program = Program {
        buffers: vec![buffer("canary input"), buffer("canary output")],
        phases: vec![Phase { name: "canary".into(), dispatches: vec![dispatch] }],
    };
    let shader = |_: &[Dispatch], _: &Target| {
        let (source, name) = (SOURCE.to_string(), "canary".to_string());
        Ok(Shader { source, workgroups: [1, 1, 1], name, ..Shader::default() })
    };
    let mut session = GpuSession::load(gpu, info, target, &program, &shader, Tuning::Off, 1)?;
    let input: Vec<u32> = (0..WORDS as u32).map(|i| i.wrapping_mul(0x9E37_79B1)).collect();
    session.write(BufferId(0), 0, &input)?;
    session.run(0, &[StepRecord { step: 41, ..StepRecord::default() }])?;
    Ok((session, input))
}

/// Compares what the kernel wrote with what it should have.
fn compare(input: &[u32], output: &[u32], info: &DeviceInfo) -> Result<(), DeviceError> {
    match input.iter().map(|x| x ^ 41).zip(output).find(|(expected, found)| expected != *found) {
        None => Ok(()),
        Some((expected, found)) => Err(DeviceError::WrongResults(format!(
            "{} ({}): a test kernel returned {found:#x} instead of {expected:#x}",
            info.name, info.driver
        ))),
    }
}
