//! Checks of experiments that predict something for each pixel.

use crate::data::config::ITSELF;
use crate::data::image::files::may_hold_images;
use crate::nn::config::Family;
use crate::nn::losses::Loss;
use crate::tasks::Settings;

/// The first key that does not go with a target of pixels, or is missing for one.
pub(in crate::tasks) fn check(settings: Settings) -> Result<(), (&'static str, String)> {
    let Settings { data, model, train } = settings;
    let wrong = |key, reason: &str| Err((key, reason.to_string()));
    let Some(target) = data.pixel_target() else {
        if model.family == Family::Unet {
            let reason = "is missing; `family = \"unet\"` predicts something for each pixel: give the folder or file of the \
                          targets, or \"self\" to restore the images themselves";
            return wrong("data.image.target", reason);
        }
        return Ok(());
    };
    let itself = target == ITSELF;
    if data.window.is_some() || data.text.is_some() || data.graph.is_some() {
        return wrong("data.image.target", "is of images, and rows are none");
    }
    if !itself && !may_hold_images(&data.source) {
        let reason =
            "can only be \"self\" for images that are rows of a table; others need files of pictures";
        return wrong("data.image.target", reason);
    }
    if data.target.is_some() {
        return wrong(
            "data.target",
            "is of whole rows, and `data.image.target` of each pixel; remove one of them",
        );
    }
    if data.labels.is_some() {
        return wrong(
            "data.labels",
            "is of whole images, and `data.image.target` of each pixel; remove one of them",
        );
    }
    if model.from.is_some() || (model.family != Family::Unet && model.layers.is_empty()) {
        let reason = "has no output for each pixel, which `data.image.target` needs; set family = \"unet\", or list layers \
                      that keep the size of the image";
        return wrong(if model.from.is_some() { "model.from" } else { "model.family" }, reason);
    }
    if matches!(model.family, Family::Vae | Family::Gan) || model.lora.is_some() {
        let key = if model.lora.is_some() { "model.lora" } else { "model.family" };
        return wrong(key, "does not go with `data.image.target`");
    }
    match &train.loss {
        Loss::Mse {} | Loss::Mae {} | Loss::Huber { .. } => {}
        Loss::CrossEntropy { .. } | Loss::Focal { .. } if !itself => {}
        Loss::CrossEntropy { .. } | Loss::Focal { .. } => {
            return wrong(
                "train.loss",
                "is of classes, and the target is the image itself; use \"mse\", \"mae\" or \"huber\"",
            );
        }
        _ => {
            return wrong(
                "train.loss",
                "is not of pixels; for classes use \"cross_entropy\" or \"focal\", for values \"mse\", \"mae\" or \"huber\"",
            );
        }
    }
    if itself && data.augment.noise == 0.0 {
        let reason = "is missing; with `data.image.target = \"self\"` the model learns to remove it, and without it only to \
                      copy";
        return wrong("data.augment.noise", reason);
    }
    let changes = data.augment.changes();
    let moved = [
        ("data.augment.flip_horizontal", changes.flip_horizontal),
        ("data.augment.flip_vertical", changes.flip_vertical),
        ("data.augment.shift", changes.shift > 0),
        ("data.augment.rotation", f32::from_bits(changes.rotation) != 0.0),
    ];
    if let Some((key, _)) = moved.iter().find(|(_, given)| *given) {
        return wrong(
            key,
            "moves the pixels of images and not those of their targets (`data.image.target`); remove it",
        );
    }
    Ok(())
}
