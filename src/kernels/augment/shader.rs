//! The shader of the augmentation of images.

use super::Augment;
use crate::base::target::Target;
use crate::kernels::shader::bindings::{declare, insert_bindings, normal_table};
use crate::kernels::shader::{Shader, ShaderError, grid, lanes};
use crate::kernels::storage::{LEVELS, Storage, place_in_shader};
use crate::shader::{Template, body};

pub(super) fn augment(k: &Augment, target: &Target) -> Result<Shader, ShaderError> {
    let ([channels, height, width], changes) = (k.shape, &k.changes);
    let noisy = k.noise != 0;
    let bytes = k.storage != Storage::Words;
    let kind = if bytes { "u32" } else { "f32" };
    let mut declared = vec![declare(0, 0, "f32"), declare(1, 0, "u32"), declare(1, 1, kind)];
    if bytes {
        declared.push(declare(1, 2, "f32"));
    }
    if noisy {
        declared.push(normal_table(if bytes { 3 } else { 2 }));
    }
    let pixel = match bytes {
        true => format!(
            "return read_2[channel * {LEVELS}u + ((read_1[image + at / 4u] >> (8u * (at % 4u))) & 255u)];"
        ),
        false => "return read_1[image + at];".into(),
    };
    let (missing, place) = place_in_shader(k.only.as_ref());
    let leave = missing.map(|missing| format!("if ({missing}) {{\nreturn;\n}}\n")).unwrap_or_default();
    let image = format!("{leave}let start = {place} * {}u;", k.words());
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
        .insert("fill", format!("{fills}return 0.0;"))
        .insert("pixel", pixel)
        .insert("image", image);
    let lanes = lanes(lines, target);
    grid("augment", insert_bindings(template, declared), lines.div_ceil(lanes), lanes, noisy)
}
