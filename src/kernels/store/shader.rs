//! The shader that puts values in place.

use super::{Store, Stored};
use crate::base::target::Target;
use crate::kernels::shader::bindings::{declare, insert_bindings};
use crate::kernels::shader::{Shader, ShaderError, over};
use crate::shader::Template;

pub(super) fn store(k: &Store, target: &Target) -> Result<Shader, ShaderError> {
    // What is one part need not be numbers.
    let ty = |stored: &Stored| if stored.parts > 1 { "f32" } else { "u32" };
    let each = || k.values.iter().enumerate();
    let mut declared: Vec<String> = each().map(|(b, stored)| declare(0, b, ty(stored))).collect();
    declared.extend(each().map(|(b, stored)| declare(1, b, ty(stored))));
    let (mut blocks, mut first) = (String::new(), 0);
    for (b, stored) in each() {
        let Stored { words, parts, by_step } = *stored;
        let end = first + words;
        let start = if by_step { format!("step.slot * {words}u + ") } else { String::new() };
        let sum = match parts {
            1 => String::new(),
            _ => format!(
                "for (var part = 1u; part < {parts}u; part++) {{\n\
                 value = add_(value, read_{b}[part * {words}u + i - {first}u]);\n}}\n"
            ),
        };
        blocks += &format!(
            "if (i >= {first}u && i < {end}u) {{\nvar value = read_{b}[i - {first}u];\n{sum}\
             write_{b}[{start}i - {first}u] = value;\n}}\n"
        );
        first = end;
    }
    let template = insert_bindings(Template::new("store").insert("blocks", blocks), declared);
    let shader = over("store", template, first, 1, false, target)?;
    // With uniform buffers, drivers unroll the loops over parts.
    Ok(Shader { in_storage: k.values.iter().any(|stored| stored.parts > 1), ..shader })
}
