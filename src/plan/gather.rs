//! The gradient of gathered rows as several dispatches, on devices with many invocations.

use super::draft::{Draft, Place};
use crate::base::target::{Family, Target};
use crate::kernels::Kernel;
use crate::kernels::gather::steps::{GradientStep, Step};
use crate::kernels::gather::{GatherGrad, PIECE};

/// The dispatches of a kernel; a single one unless it is a gradient of many gathered rows.
pub(super) fn in_steps(draft: Draft, target: &Target, temporaries: &mut Vec<usize>) -> Vec<Draft> {
    let whole = draft.kernel.downcast::<GatherGrad>().cloned();
    let Some(whole) = whole.filter(|k| target.family != Family::Native && !k.is_small()) else {
        return vec![draft];
    };
    let GatherGrad { vocabulary, width, count } = whole;
    let (indices, gradients) = (draft.reads[0], draft.reads[1]);
    let mut drafts = vec![];
    let mut add = |step, reads, result: Option<Place>| {
        let kernel = GradientStep { vocabulary, width, count, step };
        let result = result.unwrap_or_else(|| {
            temporaries.push(kernel.words());
            Place::Temporary(temporaries.len() - 1)
        });
        let (kernel, label) = (Kernel::new(kernel), draft.label.clone());
        drafts.push(Draft { kernel, reads, writes: vec![result], label });
        result
    };
    let mut order = add(Step::Order { run: 1 }, vec![indices], None);
    let mut run = Step::merged(1);
    while run < count {
        order = add(Step::Order { run }, vec![indices, order], None);
        run = Step::merged(run);
    }
    let starts = add(Step::Starts, vec![indices, order], None);
    let mut reads = vec![order, starts, gradients];
    if count >= PIECE {
        reads.push(add(Step::Pieces, reads.clone(), None));
    }
    add(Step::Sums, reads, Some(draft.writes[0]));
    drafts
}
