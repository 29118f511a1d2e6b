//! Shaders of kernels that reduce long rows.

use super::{LANES, Shader, ShaderError, grid};
use crate::base::target::Target;
use crate::shader::Template;

/// Invocations that share a row of softmax or cross-entropy.
pub(in crate::kernels) fn row_lanes(columns: usize, target: &Target) -> usize {
    if columns > 2048 && !target.exact { 64 } else { 1 }
}

/// A shader in which one invocation, or a whole workgroup, processes a row.
pub(in crate::kernels) fn rows_kernel(
    name: &str,
    rows: usize,
    columns: usize,
    target: &Target,
    fill: impl FnOnce(Template) -> Template,
) -> Result<Shader, ShaderError> {
    let lanes = row_lanes(columns, target);
    let template = fill(Template::new(name).flag("WIDE", lanes > 1));
    let shader = grid(name, template, (rows * lanes).div_ceil(LANES), LANES, false)?;
    let workgroup_bytes = if lanes > 1 { 4 * LANES as u32 } else { 0 };
    Ok(Shader { workgroup_bytes, in_storage: true, ..shader })
}
