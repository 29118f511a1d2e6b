//! The shader that stores the results of a step.

use super::Store;
use crate::base::target::Target;
use crate::kernels::shader::bindings::{declare, insert_bindings};
use crate::kernels::shader::{Shader, ShaderError, over};
use crate::shader::Template;

pub(super) fn store(k: &Store, target: &Target) -> Result<Shader, ShaderError> {
    let count = k.widths.len();
    let mut declared: Vec<String> = (0..count).map(|b| declare(0, b, "u32")).collect();
    declared.extend((0..count).map(|b| declare(1, b, "u32")));
    let (mut blocks, mut first) = (String::new(), 0);
    for (b, width) in k.widths.iter().enumerate() {
        let end = first + width;
        blocks += &format!(
            "if (i >= {first}u && i < {end}u) {{\n\
             write_{b}[step.slot * {width}u + i - {first}u] = read_{b}[i - {first}u];\n}}\n"
        );
        first = end;
    }
    let template = insert_bindings(Template::new("store").insert("blocks", blocks), declared);
    over("store", template, first, 1, false, target)
}
