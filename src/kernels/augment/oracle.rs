//! Augmentation of images.

use super::Augment;
use crate::base::rng;
use crate::base::rng::RandomKind;
use crate::kernels::oracle::Operands;
use crate::kernels::storage::place;
use crate::oracle::{Approx, Real};

impl Augment {
    /// Writes what the kernel computes.
    pub(super) fn evaluate(&self, operands: &Operands, writes: &mut [Vec<Approx>]) {
        let [channels, height, width] = self.shape;
        let (plane, step) = (height * width, operands.step);
        for (at, out) in writes[0].iter_mut().enumerate() {
            let (image, channel) = (at / (channels * plane), at / plane % channels);
            let (y, x) = (at / width % height, at % width);
            let row = operands.reads[0][step.batch_start as usize + image] as u32;
            let Some(row) = place(self.only.as_ref(), row) else { continue };
            let words = &operands.reads[1][row * self.words()..][..self.words()];
            let table = operands.reads.get(2).map_or(&[][..], Vec::as_slice);
            let from = |at: usize| self.storage.value(words, table, channel * plane + at);
            let drawn = self.draw(step, image);
            let fill = f64::from(f32::from_bits(self.fill[channel]));
            let element = |y: f64, x: f64| {
                if y < 0.0 || x < 0.0 || y >= height as f64 || x >= width as f64 {
                    return fill;
                }
                let line = if drawn.flip[0] { height - 1 - y as usize } else { y as usize };
                let column = if drawn.flip[1] { width - 1 - x as usize } else { x as usize };
                from(line * width + column)
            };
            let (moved_y, moved_x) =
                (y as f64 - f64::from(drawn.shift[0]), x as f64 - f64::from(drawn.shift[1]));
            let mut value = if self.changes.rotation == 0 {
                Approx::exact(element(moved_y, moved_x))
            } else {
                let centre = [0.5 * (height as f64 - 1.0), 0.5 * (width as f64 - 1.0)];
                let (sine, cosine) = f64::from(drawn.angle).sin_cos();
                let (v, u) = (moved_y - centre[0], moved_x - centre[1]);
                let (source_y, source_x) =
                    (cosine * v - sine * u + centre[0], cosine * u + sine * v + centre[1]);
                let (y0, x0) = (source_y.floor(), source_x.floor());
                let (part_y, part_x) = (source_y - y0, source_x - x0);
                let across = |y: f64| element(y, x0) * (1.0 - part_x) + element(y, x0 + 1.0) * part_x;
                let value = across(y0) * (1.0 - part_y) + across(y0 + 1.0) * part_y;
                // A position that is off by a rounding error may lie in the next cell: so much a value can
                // change.
                let around = (-1..=2).flat_map(|dy| (-1..=2).map(move |dx| (f64::from(dy), f64::from(dx))));
                let steepest = around.map(|(dy, dx)| element(y0 + dy, x0 + dx).abs()).fold(0.0, f64::max);
                let off = 32.0 * (height + width) as f64;
                Approx { value, error: (4.0 * off + 4.0) * Approx::ROUNDOFF * steepest }
            };
            if self.changes.contrast != 0 {
                value = value * Approx { value: f64::from(drawn.factor), error: 2.0 * Approx::ROUNDOFF };
            }
            if self.changes.brightness != 0 {
                value = value + Approx::exact(f64::from(drawn.offset)).rounded(1.0);
            }
            if self.changes.cutout != 0 && drawn.covers(y, x, self.changes.cutout) {
                value = Approx::exact(0.0);
            }
            if self.noise != 0 {
                let number = step.element(at, self.batch * self.values());
                let z = rng::element(RandomKind::Normal, step, self.noise_stream, number);
                let deviation = f64::from(f32::from_bits(self.noise));
                value = value + Approx::exact(deviation) * Approx::exact(f64::from(z));
            }
            *out = value;
        }
    }
}
