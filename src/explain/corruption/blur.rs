//! Pictures that are not sharp.

use super::{Draws, at, places};
use crate::base::image::ImageShape;

/// A plane blurred along both axes; beyond the border it goes on as it ends.
pub fn gaussian(plane: &[f64], shape: ImageShape, deviation: f64) -> Vec<f64> {
    let reach = (3.0 * deviation).ceil() as isize;
    let weight = |by: isize| (-((by * by) as f64) / (2.0 * deviation * deviation)).exp();
    let total: f64 = (-reach..=reach).map(weight).sum();
    let along = |plane: &[f64], dy: isize, dx: isize| -> Vec<f64> {
        let inside =
            |at: usize, by: isize, extent: usize| (at as isize + by).clamp(0, extent as isize - 1) as usize;
        let of = |at: usize| {
            let (y, x) = (at / shape.width, at % shape.width);
            let tap = |by: isize| {
                let (y, x) = (inside(y, by * dy, shape.height), inside(x, by * dx, shape.width));
                weight(by) * plane[y * shape.width + x]
            };
            (-reach..=reach).map(tap).sum::<f64>() / total
        };
        (0..plane.len()).map(of).collect()
    };
    along(&along(plane, 0, 1), 1, 0)
}

/// Parts of a pixel along each axis when the area of a disk is counted.
const PARTS: isize = 5;
/// Steps of a moving camera, for each pixel of its way.
const STEPS: f64 = 4.0;
/// Magnifications of a zoom.
const ZOOMS: usize = 12;

/// A plane of which every point became a disk of even brightness.
pub fn defocus(plane: &[f64], shape: ImageShape, radius: f64) -> Vec<f64> {
    let reach = (radius + 0.5).ceil() as isize;
    // How much of a pixel at (dy, dx) is within the disk around (0, 0).
    let share = |dy: isize, dx: isize| {
        let middle = |by: isize, part: isize| by as f64 + (part as f64 + 0.5) / PARTS as f64 - 0.5;
        let parts = (0..PARTS).flat_map(|y| (0..PARTS).map(move |x| (y, x)));
        parts.filter(|&(y, x)| middle(dy, y).hypot(middle(dx, x)) <= radius).count() as f64
    };
    let around = (-reach..=reach).flat_map(|dy| (-reach..=reach).map(move |dx| (dy, dx)));
    let taps: Vec<(isize, isize, f64)> =
        around.map(|(dy, dx)| (dy, dx, share(dy, dx))).filter(|(_, _, share)| *share > 0.0).collect();
    let total: f64 = taps.iter().map(|(_, _, share)| share).sum();
    let of = |(y, x): (usize, usize)| {
        let tap = |(dy, dx, share): &(isize, isize, f64)| {
            share * at(plane, shape, (y as isize + dy) as f64, (x as isize + dx) as f64)
        };
        taps.iter().map(tap).sum::<f64>() / total
    };
    places(shape).map(of).collect()
}

/// A picture as its camera moves `length` pixels in a direction that is drawn, within 45 degrees of the horizontal;
/// the light of the middle of the way counts most.
pub fn motion(picture: &[f64], shape: ImageShape, length: f64, draws: &Draws) -> Vec<f64> {
    let angle = (draws.uniform(1)[0] - 0.5) * std::f64::consts::FRAC_PI_2;
    let (down, over) = angle.sin_cos();
    let steps = (length * STEPS).ceil() as isize;
    let taps: Vec<(f64, f64)> = (-steps..=steps)
        .map(|step| {
            // From one end of the way (-1/2) to the other; a deviation of a quarter of it.
            let part = step as f64 / (2 * steps) as f64;
            (length * part, (-part * part * 8.0).exp())
        })
        .collect();
    let total: f64 = taps.iter().map(|(_, weight)| weight).sum();
    let of_plane = |plane: &[f64]| -> Vec<f64> {
        let of = |(y, x): (usize, usize)| {
            let tap = |(by, weight): &(f64, f64)| {
                weight * at(plane, shape, y as f64 + by * down, x as f64 + by * over)
            };
            taps.iter().map(tap).sum::<f64>() / total
        };
        places(shape).map(of).collect()
    };
    picture.chunks(shape.plane()).flat_map(of_plane).collect()
}

/// The mean of a plane magnified from once to `most` times about its middle.
pub fn zoom(plane: &[f64], shape: ImageShape, most: f64) -> Vec<f64> {
    let [middle_y, middle_x] = [shape.height, shape.width].map(|extent| (extent - 1) as f64 / 2.0);
    let of = |(y, x): (usize, usize)| {
        let magnified = |number: usize| {
            let by = 1.0 + (most - 1.0) * number as f64 / (ZOOMS - 1) as f64;
            at(plane, shape, middle_y + (y as f64 - middle_y) / by, middle_x + (x as f64 - middle_x) / by)
        };
        (0..ZOOMS).map(magnified).sum::<f64>() / ZOOMS as f64
    };
    places(shape).map(of).collect()
}

/// A plane in blocks of `block` by `block` pixels, from the top left corner, each its own mean.
pub fn pixelated(plane: &[f64], shape: ImageShape, block: usize) -> Vec<f64> {
    let of = |at: usize| {
        let start = |at: usize| at / block * block;
        let (top, left) = (start(at / shape.width), start(at % shape.width));
        let rows = top..(top + block).min(shape.height);
        let columns = left..(left + block).min(shape.width);
        let count = rows.len() * columns.len();
        let sum: f64 = rows.flat_map(|y| columns.clone().map(move |x| plane[y * shape.width + x])).sum();
        sum / count as f64
    };
    (0..plane.len()).map(of).collect()
}
