//! The shaders of the steps of the gradient.

use super::{GradientStep, Step};
use crate::base::target::Target;
use crate::kernels::KernelDef;
use crate::kernels::gather::PIECE;
use crate::kernels::shader::{Shader, ShaderError, grid, lanes};
use crate::shader::Template;

/// One invocation per result.
pub(super) fn step(k: &GradientStep, target: &Target) -> Result<Shader, ShaderError> {
    let name = k.name();
    let t = Template::new(name).set("VOCABULARY", k.vocabulary);
    let t = match k.step {
        Step::Order { run } => t
            .flag("FIRST", run == 1)
            .set("COUNT", k.count)
            .set("RUN", run)
            .set("RUNS", k.count.div_ceil(run))
            .set("FAN", Step::fan(run)),
        Step::Starts => t.set("COUNT", k.count),
        Step::Pieces => t.set("WIDTH", k.width).set("PIECE", PIECE).set("PIECES", k.pieces()),
        Step::Sums => t.set("WIDTH", k.width).set("PIECE", PIECE).flag("LONG", k.pieces() > 0),
    };
    let lanes = lanes(k.words(), target);
    grid(name, t, k.words().div_ceil(lanes), lanes, false)
}
