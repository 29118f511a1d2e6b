//! The shader of the augmentation of images.

use super::Augment;
use crate::base::target::Target;
use crate::kernels::shader::bindings::{declare, insert_bindings, normal_table};
use crate::kernels::shader::{Shader, ShaderError, grid, lanes};
use crate::shader::{Template, body};

pub(super) fn augment(k: &Augment, target: &Target) -> Result<Shader, ShaderError> {
    let ([channels, height, width], changes) = (k.shape, &k.changes);
    let noisy = k.noise != 0;
    let mut declared = vec![declare(0, 0, "f32"), declare(1, 0, "u32"), declare(1, 1, "f32")];
    if noisy {
        declared.push(normal_table(2));
    }
    let fill = |(channel, &bits): (usize, &u32)| {
        format!("if (channel == {channel}u) {{\nreturn {};\n}}\n", body::literal(bits))
    };
    let fills: String = k.fill.iter().enumerate().map(fill).collect();
    let lines = k.batch * channels * height;
    let template = Template::new("augment")
        .flag("ROTATE", changes.rotation != 0)
        .flag("NOISY", noisy)
        .set("LINES", lines)
        .set("CHANNELS", channels)
        .set("HEIGHT", height)
        .set("WIDTH", width)
        .set("STREAM", k.stream as usize)
        .set("FLIP_VERTICAL", usize::from(changes.flip_vertical))
        .set("FLIP_HORIZONTAL", usize::from(changes.flip_horizontal))
        .set("SHIFT", changes.shift as usize)
        .set_f32("ROTATION", changes.rotation)
        .set_f32("BRIGHTNESS", changes.brightness)
        .set_f32("CONTRAST", changes.contrast)
        .set("CUTOUT", changes.cutout as usize)
        .set_f32("NOISE", k.noise)
        .set("NOISE_STREAM", k.noise_stream as usize)
        .insert("fill", format!("{fills}return 0.0;"));
    let lanes = lanes(lines, target);
    grid("augment", insert_bindings(template, declared), lines.div_ceil(lanes), lanes, noisy)
}
