//! How the steps of a scan are divided into parts, each a separate kernel.

use super::Scan;
use crate::base::target::{Family, Target};

/// How a GPU shares the work of a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Path {
    /// A workgroup takes rows of the batch through all steps of the part; their states stay in its memory.
    Sequence,
    /// A workgroup takes rows of the batch and a block of the units through one step; states are read from
    /// memory.
    Step,
}

/// Steps of a scan that one kernel computes, in scan order. A part continues from what the previous one left
/// in the outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Part {
    /// Number of the first step.
    pub first: usize,
    /// Number of steps; at most 1 on [`Path::Step`].
    pub count: usize,
    /// How a GPU runs it.
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

    /// The parts of `scan` on `target`, in order: a single one for all steps unless something prevents it.
    pub fn of(scan: &Scan, target: &Target) -> Vec<Part> {
        let (path, most) = match target.family {
            Family::Native => (Path::Sequence, scan.steps),
            _ if prefers_steps(scan, target) => (Path::Step, 1),
            _ => (Path::Sequence, most_steps(scan)),
        };
        // Of roughly equal length.
        let parts = scan.steps.div_ceil(most.max(1));
        let start = |part: usize| part * scan.steps / parts;
        (0..parts)
            .map(|part| Part { first: start(part), count: start(part + 1) - start(part), path })
            .collect()
    }

    /// Description for display; empty for all steps.
    pub(super) fn shape(&self, scan: &Scan) -> String {
        match self.count == scan.steps {
            true => String::new(),
            false => format!(" steps {}..{}", self.first, self.end()),
        }
    }
}

/// Whether separate kernels for each step beat one for all of them. In the latter, every workgroup reads all
/// weights in each step; large weights are read faster by all workgroups together, which is worth a kernel
/// launch per step. A row that is taken through all steps keeps its states in at most 4 KiB of workgroup
/// memory, of which every device has 16.
fn prefers_steps(scan: &Scan, target: &Target) -> bool {
    /// Bytes of weights that one compute unit reads in about the time of a launch.
    const FEW: usize = 1 << 20;
    /// Up to this many units, software drivers run all steps together: their launches are cheap, but their
    /// threads few.
    const UNITS: usize = 1024;
    match target.family {
        Family::Workgroup => 4 * scan.width() * scan.hidden > FEW,
        _ => scan.hidden > UNITS,
    }
}

/// Maximum loop iterations per step of one shader invocation: products by four, one gate after the other,
/// plus the work on each vector of rows.
pub fn iterations(scan: &Scan) -> usize {
    let vectors = scan.batch.div_ceil(4).min(4);
    let products = scan.hidden / 4 + scan.hidden % 4;
    scan.cell.gates() * (products + vectors + 1) + vectors + 1
}

/// Maximum steps per kernel that software drivers reliably finish, in about 50 ms on two cores.
fn most_steps(scan: &Scan) -> usize {
    const ITERATIONS: usize = 50_000;
    const FLOPS: usize = 1_100_000_000;
    let flops = 2 * scan.batch * scan.hidden * scan.width();
    (ITERATIONS / iterations(scan)).min(FLOPS / flops.max(1)).max(1)
}
