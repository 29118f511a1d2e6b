//! How far the numbers that a model reads may be moved: in units of their columns, within the range of the training
//! rows.

use crate::data::{Dataset, Encoding, Fitted, FittedImage};
use crate::nn::perturbed::Room;

/// The room of rows like those of `training`: numbers of a table or of series by their deviation, pixels by the
/// distance from black to white. Categories, dates, booleans and what is known in advance of a forecast stay.
pub(super) fn of(fitted: &Fitted, training: &Dataset) -> Room {
    let width = training.width();
    if let Some(image) = &fitted.image {
        let range = picture_range(image);
        let of = |at: usize| range[at / image.shape.plane().max(1)];
        let scale = (0..width).map(|at| of(at)[1] - of(at)[0]).collect();
        return Room { scale, range: (0..width).map(of).collect() };
    }
    let per_step = training.features.len();
    let mut room = Room { scale: vec![0.0; width], range: vec![[0.0; 2]; width] };
    let moves = |title: &String| {
        let is_number = |encoding: &Encoding| matches!(encoding, Encoding::Number { boolean: false, .. });
        let past = fitted.window.iter().flat_map(|window| &window.past).any(|(name, _)| name == title);
        past || fitted.columns.iter().any(|column| column.name == *title && is_number(&column.encoding))
    };
    for (place, _) in training.features.iter().enumerate().filter(|(_, title)| moves(title)) {
        let column = || training.x.iter().skip(place).step_by(per_step);
        let values: Vec<f64> = column().map(|&x| f64::from(x)).collect();
        let count = values.len().max(1) as f64;
        let mean = values.iter().sum::<f64>() / count;
        let deviation = (values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / count).sqrt();
        let low = column().copied().fold(f32::INFINITY, f32::min);
        let high = column().copied().fold(f32::NEG_INFINITY, f32::max);
        for at in (place..width).step_by(per_step).filter(|_| low < high) {
            room.scale[at] = deviation as f32;
            room.range[at] = [low, high];
        }
    }
    room
}

/// Black and white of each channel, as the model reads them.
pub(super) fn picture_range(image: &FittedImage) -> Vec<[f32; 2]> {
    let of = |channel: usize| match image.scaling.get(channel) {
        Some(scaling) => image.range.map(|x| scaling.apply_f32(x)),
        None => image.range.map(|x| x as f32),
    };
    (0..image.shape.channels).map(of).collect()
}
