//! What does not fit the device, told with the plan's total and the batch size that would fit.

use super::TrainError;
use super::engine::{self, Training};
use crate::base::target::{Family, Target};
use crate::data::Dataset;
use crate::device::{DeviceError, limits};
use crate::nn::Model;
use crate::plan::{PlanError, Program, quantity};

/// The error of an engine that could not be made, with more advice if it was for want of memory or for a
/// limit.
pub(crate) fn explain(
    error: TrainError,
    model: &dyn Model,
    training: &Training,
    evaluation: &Dataset,
    target: &Target,
) -> TrainError {
    let parts = training.accumulate.max(1);
    let plan = |rows: usize, target: &Target| {
        let batch = rows * parts;
        let training = Training { batch, ..training.clone() };
        engine::compile(model, Some(&training), evaluation, target).map(|(compiled, _)| compiled.program)
    };
    let unlimited = Target { max_binding_bytes: 1 << 60, max_buffer_bytes: 1 << 60, ..target.clone() };
    let Ok(whole) = plan(training.rows(), &unlimited) else { return error };
    let granted = match &error {
        TrainError::Device(DeviceError::OutOfMemory { purpose, .. }) => match granted(&whole, purpose) {
            Some(granted) => granted,
            None => return error,
        },
        TrainError::Device(DeviceError::HostMemory { available, .. }) => *available,
        TrainError::Device(DeviceError::Limit { .. }) | TrainError::Plan(PlanError::TooLarge { .. }) => {
            u64::MAX
        }
        _ => return error,
    };
    let bytes_if_fits = |rows: usize| {
        let program = plan(rows, target).ok()?;
        let allowed = target.family == Family::Native || limits::check(&program, target).is_ok();
        (allowed && program.bytes() <= granted).then(|| program.bytes())
    };
    let fitting = largest(training.rows(), bytes_if_fits).map(|(rows, bytes)| (rows * parts, bytes));
    TrainError::DoesNotFit { cause: Box::new(error), batch: training.batch, bytes: whole.bytes(), fitting }
}

/// Bytes that were allocated before the buffer that `purpose` names, if it names one: so much there is.
fn granted(program: &Program, purpose: &str) -> Option<u64> {
    let at = program
        .buffers
        .iter()
        .position(|b| purpose == b.name || purpose == format!("buffer `{}`", b.name))?;
    Some(program.buffers[..at].iter().map(|b| 4 * b.words as u64).sum())
}

/// The largest number below `above` for which `bytes` has an answer, with the answer; those below it have one
/// too.
fn largest(above: usize, bytes: impl Fn(usize) -> Option<u64>) -> Option<(usize, u64)> {
    let (mut good, mut bad) = (None, above);
    // Some models cannot be trained on single rows.
    let mut next = 2.min(above - above.min(1)).max(1);
    while next < bad {
        match bytes(next) {
            Some(found) => good = Some((next, found)),
            None => bad = next,
        }
        let low = good.map_or(0, |(batch, _)| batch);
        next = low + (bad - low).div_ceil(2);
    }
    good
}

/// How to go on, for the error message.
pub(super) fn advice(fitting: Option<(usize, u64)>) -> String {
    match fitting {
        Some((batch, bytes)) => {
            format!("train.batch_size={batch} would fit ({} bytes in all)", quantity(bytes))
        }
        None => "no smaller train.batch_size would fit; use fewer rows or smaller layers, or another device"
            .into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_batch_is_found() {
        for (above, most) in [(1, 1), (2, 1), (100, 1), (100, 37), (100, 99), (1000, 512)] {
            let found = largest(above, |batch| (batch <= most).then_some(batch as u64 * 8));
            let expected = (above > 1).then(|| most.min(above - 1)).map(|n| (n, n as u64 * 8));
            assert_eq!(found, expected, "{most} below {above}");
        }
        assert_eq!(largest(100, |_| None), None);
    }
}
