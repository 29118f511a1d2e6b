//! Shaders for gathering rows.

use super::{Gather, GatherGrad};
use crate::kernels::shader::{LANES, Shader, ShaderError, grid};
use crate::shader::Template;

pub(super) fn gather(k: &Gather) -> Result<Shader, ShaderError> {
    let t =
        Template::new("gather").set("VOCABULARY", k.vocabulary).set("WIDTH", k.width).set("COUNT", k.count);
    grid("gather", t, (k.count * k.width).div_ceil(LANES), LANES, false)
}

pub(super) fn gather_grad(k: &GatherGrad) -> Result<Shader, ShaderError> {
    let t = Template::new("gather_grad")
        .set("VOCABULARY", k.vocabulary)
        .set("WIDTH", k.width)
        .set("COUNT", k.count);
    grid("gather_grad", t, (k.vocabulary * k.width).div_ceil(LANES), LANES, false)
}
