//! Shaders of the gradient norm.

use super::GradientNorm;
use crate::kernels::shader::{LANES, Shader, ShaderError, grid};
use crate::shader::Template;

pub(super) fn gradient_norm(k: &GradientNorm) -> Result<Shader, ShaderError> {
    let t = Template::new("gradient_norm").set("LEN", k.len).set("PARTIALS", k.partials());
    let t = t.set_f32("MAX_NORM", k.max_norm).flag("FINAL", k.stage == 1);
    let groups = if k.stage == 1 { 1 } else { k.partials().div_ceil(LANES) };
    grid("gradient_norm", t, groups, LANES, false)
}
