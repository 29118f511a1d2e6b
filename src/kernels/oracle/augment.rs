//! Augmentation of images.

use super::{Approx, Operands, ROUNDOFF, sum};
use crate::base::rng;
use crate::base::rng::RandomKind;
use crate::kernels::augment::Augment;

pub(super) fn augment(k: &Augment, operands: &Operands, writes: &mut [Vec<Approx>]) {
    let [channels, height, width] = k.shape;
    let (plane, step) = (height * width, operands.step);
    for (at, out) in writes[0].iter_mut().enumerate() {
        let (image, channel) = (at / (channels * plane), at / plane % channels);
        let (y, x) = (at / width % height, at % width);
        let row = operands.reads[0][step.batch_start as usize + image] as usize;
        let from = &operands.reads[1][(row * channels + channel) * plane..][..plane];
        let drawn = k.draw(step, image);
        let fill = f64::from(f32::from_bits(k.fill[channel]));
        let element = |y: f64, x: f64| {
            if y < 0.0 || x < 0.0 || y >= height as f64 || x >= width as f64 {
                return fill;
            }
            let line = if drawn.flip[0] { height - 1 - y as usize } else { y as usize };
            let column = if drawn.flip[1] { width - 1 - x as usize } else { x as usize };
            from[line * width + column]
        };
        let (moved_y, moved_x) = (y as f64 - f64::from(drawn.shift[0]), x as f64 - f64::from(drawn.shift[1]));
        let mut value = if k.changes.rotation == 0 {
            Approx::exact(element(moved_y, moved_x))
        } else {
            let centre = [0.5 * (height as f64 - 1.0), 0.5 * (width as f64 - 1.0)];
            let (sine, cosine) = f64::from(drawn.angle).sin_cos();
            let (v, u) = (moved_y - centre[0], moved_x - centre[1]);
            let (source_y, source_x) = (cosine * v - sine * u + centre[0], cosine * u + sine * v + centre[1]);
            let (y0, x0) = (source_y.floor(), source_x.floor());
            let (part_y, part_x) = (source_y - y0, source_x - x0);
            let across = |y: f64| element(y, x0) * (1.0 - part_x) + element(y, x0 + 1.0) * part_x;
            let value = across(y0) * (1.0 - part_y) + across(y0 + 1.0) * part_y;
            // A position that is off by a rounding error may lie in the next cell: so much a value can change.
            let around = (-1..=2).flat_map(|dy| (-1..=2).map(move |dx| (f64::from(dy), f64::from(dx))));
            let steepest = around.map(|(dy, dx)| element(y0 + dy, x0 + dx).abs()).fold(0.0, f64::max);
            let off = 32.0 * ROUNDOFF * (height + width) as f64;
            Approx { value, error: 4.0 * off * steepest + 4.0 * ROUNDOFF * steepest }
        };
        if k.changes.contrast != 0 {
            let factor = f64::from(drawn.factor);
            let error = value.error * factor.abs() + value.value.abs() * 2.0 * ROUNDOFF;
            value = Approx { value: value.value * factor, error }.rounded(ROUNDOFF);
        }
        if k.changes.brightness != 0 {
            value = sum([value, Approx::exact(f64::from(drawn.offset)).rounded(ROUNDOFF)].into_iter());
        }
        if k.changes.cutout != 0 && drawn.covers(y, x, k.changes.cutout) {
            value = Approx::exact(0.0);
        }
        if k.noise != 0 {
            let z = rng::element(
                RandomKind::Normal,
                step,
                k.noise_stream,
                step.element(at, k.batch * k.values()),
            );
            let noise = f64::from(f32::from_bits(k.noise)) * f64::from(z);
            value = sum([value, Approx::exact(noise).rounded(ROUNDOFF)].into_iter());
        }
        *out = value;
    }
}
