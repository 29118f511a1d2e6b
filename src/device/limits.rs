//! Checks that a program fits a device, before anything is allocated or submitted.

use crate::base::step::StepRecord;
use crate::base::target::Target;
use crate::device::DeviceError;
use crate::kernels::shader::{self, Shader};
use crate::plan::{Dispatch, Phase, Program};

/// Checks the sizes of buffers and bindings of a program that is loaded `copies` times.
///
/// # Errors
/// The first thing that does not fit, by name, with what to change.
pub fn check_program(program: &Program, target: &Target, copies: usize) -> Result<(), DeviceError> {
    program.validate().map_err(DeviceError::Validation)?;
    let smaller = "use a smaller batch, smaller layers or fewer rows, or `--device cpu`";
    for buffer in &program.buffers {
        let what = format!("buffer `{}` in bytes", buffer.name);
        within(what, 4 * (copies * buffer.words) as u64, target.max_buffer_bytes, smaller)?;
    }
    for phase in &program.phases {
        for (at, dispatch) in phase.dispatches.iter().enumerate() {
            let name = || format!("phase {}, dispatch {at} ({})", phase.name, describe(dispatch));
            for slice in dispatch.reads.iter().chain(&dispatch.writes) {
                let buffer = &program.buffers[slice.buffer.0 as usize];
                let what = format!("{}: binding of `{}` in bytes", name(), buffer.name);
                let words = (copies - 1) * buffer.words + slice.words;
                within(what, 4 * words as u64, target.max_binding_bytes, smaller)?;
            }
        }
    }
    Ok(())
}

/// Most bytes of all copies of a program: what trains faster in copies is small.
const COPIES_BYTES: u64 = 2 << 30;

/// Checks that `copies` copies of a program may run together.
///
/// # Errors
/// As [`check_program`].
pub fn check_copies(program: &Program, target: &Target, copies: usize) -> Result<(), DeviceError> {
    let fewer = "train fewer models at a time";
    let records = (copies * size_of::<StepRecord>()) as u64;
    within("step records in bytes".into(), records, target.max_uniform_bytes as u64, fewer)?;
    within("workgroups in one dimension".into(), copies as u64, target.max_workgroups.into(), fewer)?;
    within("all models in bytes".into(), copies as u64 * program.bytes(), COPIES_BYTES, fewer)
}

/// Checks the bindings and workgroups of a launch's shader.
///
/// # Errors
/// As [`check_program`].
pub fn check_shader(launch: &[Dispatch], shader: &Shader, target: &Target) -> Result<(), DeviceError> {
    let name = || launch.iter().map(describe).collect::<Vec<_>>().join(" and ");
    let operands: usize = launch.iter().map(|d| d.reads.len() + d.writes.len()).sum();
    let bindings = operands + shader.normal_tables.len();
    let what = format!("{}: storage buffers of one launch", name());
    let fewer = "combine fewer tensors in one step, or use `--device cpu`";
    within(what, bindings as u64, target.max_storage_buffers as u64, fewer)?;
    for count in shader.workgroups {
        let what = format!("{}: workgroups in one dimension", name());
        let smaller = "use a smaller batch or smaller layers, or `--device cpu`";
        within(what, count.into(), target.max_workgroups.into(), smaller)?;
    }
    Ok(())
}

fn describe(dispatch: &Dispatch) -> String {
    let kernel = format!("{} {}", dispatch.kernel.name(), dispatch.kernel.shape());
    if dispatch.label.is_empty() { kernel } else { format!("{kernel}, {}", dispatch.label) }
}

fn within(what: String, needed: u64, limit: u64, advice: &str) -> Result<(), DeviceError> {
    if needed <= limit {
        return Ok(());
    }
    Err(DeviceError::Limit { what, needed, limit, advice: advice.into() })
}

/// Checks the whole program, with its shaders made for `target`.
///
/// # Errors
/// As [`check_program`].
pub fn check(program: &Program, target: &Target) -> Result<(), DeviceError> {
    check_program(program, target, 1)?;
    for launch in program.phases.iter().flat_map(Phase::launches) {
        let members: Vec<_> = launch.iter().map(Dispatch::bound).collect();
        let shader = shader::launch(&members, target).map_err(|e| DeviceError::Validation(e.to_string()))?;
        check_shader(launch, &shader, target)?;
    }
    Ok(())
}
