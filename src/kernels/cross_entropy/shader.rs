//! The shader of softmax cross-entropy.

use super::CrossEntropy;
use crate::base::target::Target;
use crate::kernels::shader::bindings::{declare, insert_bindings};
use crate::kernels::shader::rows::rows_kernel;
use crate::kernels::shader::{Shader, ShaderError};

pub(super) fn cross_entropy(k: &CrossEntropy, target: &Target) -> Result<Shader, ShaderError> {
    rows_kernel("cross_entropy", k.rows, k.classes, target, |t| {
        let writes = k.loss.iter().len() + k.delta.iter().len();
        let declared = (0..writes).map(|i| declare(0, i, "f32")).collect();
        let output = k.delta.unwrap_or(0);
        let t = t
            .set("ROWS", k.rows)
            .set("CLASSES", k.classes)
            .set_f32("SMOOTHING", k.smoothing)
            .flag("LOSS", k.loss.is_some())
            .flag("DELTA", k.delta.is_some())
            .insert("store_delta", format!("write_{output}[start + c] = delta;"));
        insert_bindings(t, declared)
    })
}
