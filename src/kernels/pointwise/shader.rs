//! The shader of an elementwise body.

use super::Pointwise;
use crate::base::target::Target;
use crate::base::tensor::elements;
use crate::kernels::shader::bindings::{declare_operands, elementwise, read_kind};
use crate::kernels::shader::{Shader, ShaderError, over};
use crate::shader::Template;
use crate::shader::body::{self, Width};

pub(super) fn pointwise(k: &Pointwise, target: &Target) -> Result<Shader, ShaderError> {
    let (body, shape) = (&k.body, &k.shape);
    let width = if body::allows_four(body, shape) { Width::Four } else { Width::One };
    let template = Template::new("pointwise")
        .insert("body", elementwise(body, shape, "i", "", "r", width, target.exact));
    let read = |operand| read_kind(body, shape, operand, width);
    let (template, normal) = declare_operands(template, &[body], 0, |_| width.kind(), read);
    over("pointwise", template, elements(shape), width.elements(), normal, target)
}
