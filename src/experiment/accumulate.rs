//! `train.accumulate`: checks that splitting a step into micro-batches gives the result of the whole.

use super::Experiment;
use crate::nn::losses::Loss;

/// Maximum micro-batches per step.
const MOST: usize = 1 << 16;

/// What prevents splitting a step into micro-batches: the key and what is wrong.
pub(super) fn check(experiment: &Experiment) -> Result<(), (&'static str, String)> {
    let train = &experiment.train;
    let parts = train.accumulate;
    let wrong = |reason: String| Err(("train.accumulate", reason));
    if !(1..=MOST).contains(&parts) {
        return wrong(format!("= {parts} is not in 1..={MOST}"));
    }
    if let Some(share) = train.shares.iter().find(|share| !(1..=MOST).contains(share)) {
        return Err(("train.shares", format!("has a share of {share}, which is not in 1..={MOST}")));
    }
    if train.measure_shares && !train.shares.is_empty() {
        return Err(("train.measure_shares", "finds what train.shares gives; remove one of them".into()));
    }
    if parts == 1 {
        return Ok(());
    }
    if experiment.data.text.is_some() {
        return wrong(format!(
            "= {parts} cannot be used with a text, whose batches go on from the states of those before them; \
             use a smaller train.batch_size"
        ));
    }
    if matches!(&train.loss, Loss::CrossEntropy { class_weights, .. } if !class_weights.is_empty()) {
        return wrong(format!(
            "= {parts} cannot be used with `class_weights`: the loss is divided by the weights of the whole \
             batch"
        ));
    }
    if let Some(name) = &experiment.data.weight {
        return wrong(format!(
            "= {parts} cannot be used with data.weight = \"{name}\": the loss is divided by the weights of the \
             whole batch"
        ));
    }
    let size = train.batch_size;
    if !size.is_multiple_of(parts) {
        let reason = format!("= {size} is not a multiple of train.accumulate = {parts}");
        return Err(("train.batch_size", reason));
    }
    Ok(())
}
