//! In which parts the steps of a scan are done, each by a kernel of its own.

use super::Scan;
use crate::base::target::{Family, Target};

/// How a GPU shares the work of a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Path {
    /// A workgroup takes rows of the batch through all steps of the part; their states stay in its memory.
    Sequence,
    /// A workgroup takes rows of the batch and a block of the units through one step; states come from memory.
    Step,
}

/// Steps of a scan that one kernel does, in the order of the scan. A part goes on with what the part before has left in the
/// outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Part {
    /// Number of the first step.
    pub first: usize,
    /// How many; at most 1 on [`Path::Step`].
    pub count: usize,
    /// How a GPU does it.
    pub path: Path,
}

impl Part {
    /// All steps of a scan.
    pub fn whole(steps: usize) -> Self {
        Self { first: 0, count: steps, path: Path::Sequence }
    }

    /// One more than the last step.
    pub fn end(&self) -> usize {
        self.first + self.count
    }

    /// The parts of `scan` on `target`, in order: one for all steps where nothing stands against it.
    pub fn of(scan: &Scan, target: &Target) -> Vec<Part> {
        let (path, most) = match target.family {
            Family::Native => (Path::Sequence, scan.steps),
            _ if prefers_steps(scan, target) => (Path::Step, 1),
            _ => (Path::Sequence, most_steps(scan)),
        };
        // Of about the same length.
        let parts = scan.steps.div_ceil(most.max(1));
        let start = |part: usize| part * scan.steps / parts;
        (0..parts)
            .map(|part| Part { first: start(part), count: start(part + 1) - start(part), path })
            .collect()
    }

    /// For people: nothing for all steps.
    pub(super) fn shape(&self, scan: &Scan) -> String {
        match self.count == scan.steps {
            true => String::new(),
            false => format!(" steps {}..{}", self.first, self.end()),
        }
    }
}

/// Whether single steps beat a kernel for all of them. Every workgroup of the latter reads all weights in each step: many of
/// them are read faster by all workgroups together, which is worth the launch of a kernel a step. The states of a row that
/// is taken through all steps need 4 KiB of workgroup memory at most, of which every device has 16.
fn prefers_steps(scan: &Scan, target: &Target) -> bool {
    /// Bytes of weights that one compute unit reads in about the time of a launch.
    const FEW: usize = 1 << 20;
    /// Units up to which software drivers, whose launches cost little but whose threads are few, stay with all steps.
    const UNITS: usize = 1024;
    match target.family {
        Family::Workgroup => 4 * scan.width() * scan.hidden > FEW,
        _ => scan.hidden > UNITS,
    }
}

/// Loop iterations of one invocation of a shader for each step, at most: products by four, one gate after the other,
/// and what is done for each vector of rows.
pub fn iterations(scan: &Scan) -> usize {
    let vectors = scan.batch.div_ceil(4).min(4);
    let products = scan.hidden / 4 + scan.hidden % 4;
    scan.cell.gates() * (products + vectors + 1) + vectors + 1
}

/// Most steps of one kernel that software drivers are sure to finish, and soon: in about 50 ms on two cores.
fn most_steps(scan: &Scan) -> usize {
    const ITERATIONS: usize = 50_000;
    const FLOPS: usize = 1_100_000_000;
    let flops = 2 * scan.batch * scan.hidden * scan.width();
    (ITERATIONS / iterations(scan)).min(FLOPS / flops.max(1)).max(1)
}
