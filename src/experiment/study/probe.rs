//! Tries what is searched on the experiment before anything is trained: every choice, and both ends of every range.

use super::search::Problem;
use super::{Experiment, Study};
use crate::base::config::ConfigError;
use crate::search::{Domain, Parameter, Setting};

/// Finds the first value that the experiment, or a further check of it, refuses.
pub(super) fn check(
    study: &Study,
    further: &mut dyn FnMut(&Experiment) -> Result<(), ConfigError>,
) -> Result<(), Problem> {
    for (number, parameter) in study.space.iter().enumerate() {
        for value in values(&parameter.domain) {
            let mut setting: Setting = vec![None; study.space.len()];
            setting[number] = Some(value);
            exist(&study.space, number, &mut setting);
            let tried = study.experiment_with(&setting, &[]);
            if let Err(error) = tried.and_then(|experiment| further(&experiment)) {
                let value = study.keys[number].value(value);
                // The key is named already.
                let key = &study.keys[number].key;
                let reason = error.reason.strip_prefix(&format!("`{key}` ")).unwrap_or(&error.reason);
                let said = if reason.starts_with('=') {
                    reason.into()
                } else {
                    format!("= {value} is refused: {reason}")
                };
                return Err((key.clone(), said));
            }
        }
    }
    Ok(())
}

/// Every choice, or both ends of a range.
fn values(domain: &Domain) -> Vec<f64> {
    match domain {
        Domain::Choice { count } => (0..*count).map(|at| at as f64).collect(),
        Domain::Number { low, high, .. } => {
            let last = domain.count().map_or(*high, |count| domain.value(count - 1));
            vec![*low, last]
        }
    }
}

/// Chooses what the conditions of a parameter need, and theirs.
fn exist(space: &[Parameter], number: usize, setting: &mut Setting) {
    for condition in &space[number].when {
        setting[condition.parent] = condition.allowed.first().map(|&choice| choice as f64);
        exist(space, condition.parent, setting);
    }
}
