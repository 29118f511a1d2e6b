//! The shader of softmax.

use super::Softmax;
use crate::base::target::Target;
use crate::kernels::shader::rows::rows_kernel;
use crate::kernels::shader::{Shader, ShaderError};

pub(super) fn softmax(k: &Softmax, target: &Target) -> Result<Shader, ShaderError> {
    rows_kernel("softmax", k.rows, k.columns, target, |t| {
        t.set("ROWS", k.rows).set("COLUMNS", k.columns).flag("LOG", k.log)
    })
}
