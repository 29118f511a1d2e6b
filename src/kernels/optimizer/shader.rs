//! The shader that updates parameters.

use super::Optimizer;
use crate::base::target::Target;
use crate::kernels::shader::bindings::{declare, insert_bindings};
use crate::kernels::shader::{Shader, ShaderError, over};
use crate::shader::Template;
use crate::shader::body::{self, Operands, Width};

pub(super) fn optimizer(k: &Optimizer, target: &Target) -> Result<Shader, ShaderError> {
    // Regions consist of whole blocks, so four words have a single owner and decay mask.
    let width = Width::Four;
    let (body, shape) = (k.whole_body(), [k.len / Optimizer::BLOCK, Optimizer::BLOCK]);
    let block = Optimizer::BLOCK;
    let index = [format!("(i / {block}u)"), format!("(i % {block}u)")];
    let read = |operand: usize, at: &str, _: Width| format!("read_{operand}[{at}]");
    let (linear, accumulator, exact) = ("i", "gradient", target.exact);
    let operands = Operands { index: &index, shape: &shape, linear, accumulator, width, exact, read: &read };
    let mut declared: Vec<String> = (0..=k.slots).map(|i| declare(0, i, width.kind())).collect();
    declared.push(declare(1, 0, width.kind()));
    declared.extend((1..2 + usize::from(k.clipped) + usize::from(k.grouped)).map(|i| declare(1, i, "f32")));
    let template = Template::new("optimizer").insert("body", body::print(&body, &operands, "r"));
    over("optimizer", insert_bindings(template, declared), k.len, width.elements(), false, target)
}
