//! The shaders of half precision.

use super::Half;
use crate::base::target::Target;
use crate::kernels::KernelDef;
use crate::kernels::shader::{Shader, ShaderError, over};
use crate::shader::Template;

/// One invocation per word of two numbers.
pub(super) fn half(k: &Half, target: &Target) -> Result<Shader, ShaderError> {
    over(k.name(), Template::new(k.name()).set("LENGTH", k.len), Half::words(k.len), 1, false, target)
}
