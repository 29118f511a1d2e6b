//! Augmentation on the CPU: one image after another, each with its draws.
#![allow(unsafe_code, reason = "images are written in parts")]

use super::{Augment, Drawn, sine_and_cosine};
use crate::base::rng;
use crate::base::rng::RandomKind;
use crate::base::step::StepRecord;
use crate::kernels::native::NativeRun;
use crate::kernels::storage::{Storage, place};
use crate::native::operands::Operands;
use crate::native::parts::{part_range, parts_for};
use crate::native::pool::Pool;
use crate::scalar::exact;

/// The kernel; in exact mode if `exact`.
pub struct NativeAugment {
    kernel: Augment,
    exact: bool,
}

impl NativeAugment {
    /// Prepares `kernel`.
    pub fn new(kernel: Augment, exact: bool) -> Self {
        Self { kernel, exact }
    }
}

#[inline(always)]
fn add<const EXACT: bool>(a: f32, b: f32) -> f32 {
    if EXACT { exact::add(a, b) } else { a + b }
}

#[inline(always)]
fn mul<const EXACT: bool>(a: f32, b: f32) -> f32 {
    if EXACT { exact::mul(a, b) } else { a * b }
}

impl NativeRun for NativeAugment {
    fn run(&self, operands: &Operands, step: &StepRecord, pool: &Pool) {
        if self.exact {
            self.all::<true>(operands, step, pool)
        } else {
            self.all::<false>(operands, step, pool)
        }
    }
}

impl NativeAugment {
    fn all<const EXACT: bool>(&self, operands: &Operands, step: &StepRecord, pool: &Pool) {
        let k = &self.kernel;
        let values = k.values();
        let first = step.batch_start as usize;
        let order = &operands.read_words(0)[first..first + k.batch];
        let source = operands.read_words(1);
        let parts = parts_for(16 * k.batch * values, k.batch);
        pool.run(parts, |part| {
            let mut decoded = vec![];
            for image in part_range(k.batch, parts, part) {
                let Some(row) = place(k.only.as_ref(), order[image]) else { continue };
                let words = &source[row * k.words()..][..k.words()];
                let from: &[f32] = match k.storage {
                    Storage::Words => bytemuck::cast_slice(words),
                    Storage::Bytes { .. } => {
                        decoded.resize(values, 0.0);
                        k.storage.read(words, operands.read(2), &mut decoded);
                        &decoded
                    }
                };
                // SAFETY: each image is written by exactly one part.
                let to = unsafe { operands.write(0, image * values, values) };
                let drawn = k.draw(step, image);
                move_image::<EXACT>(k, &drawn, from, to);
                finish_image::<EXACT>(k, &drawn, to);
                add_noise::<EXACT>(k, step, image, to);
            }
        });
    }
}

/// The geometry: flip, shift and rotation.
fn move_image<const EXACT: bool>(k: &Augment, drawn: &Drawn, from: &[f32], to: &mut [f32]) {
    let [_, height, width] = k.shape;
    let (h, w) = (height as i32, width as i32);
    // The element at a line and column, before flipping.
    let element = |plane: &[f32], fill: f32, y: i32, x: i32| {
        if y < 0 || y >= h || x < 0 || x >= w {
            return fill;
        }
        let y = if drawn.flip[0] { h - 1 - y } else { y };
        let x = if drawn.flip[1] { w - 1 - x } else { x };
        plane[(y * w + x) as usize]
    };
    let [down, right] = drawn.shift;
    let (sine, cosine) = sine_and_cosine(drawn.angle);
    let centre = [0.5 * (height as f32 - 1.0), 0.5 * (width as f32 - 1.0)];
    let planes = from.chunks_exact(height * width).zip(to.chunks_exact_mut(height * width));
    for ((from, to), &fill) in planes.zip(&k.fill) {
        let fill = f32::from_bits(fill);
        for (y, line) in to.chunks_exact_mut(width).enumerate() {
            let y = y as i32 - down;
            if k.changes.rotation == 0 {
                for (x, out) in line.iter_mut().enumerate() {
                    *out = element(from, fill, y, x as i32 - right);
                }
                continue;
            }
            // Halves of integers, so this is exact.
            let v = y as f32 - centre[0];
            for (x, out) in line.iter_mut().enumerate() {
                let u = (x as i32 - right) as f32 - centre[1];
                let source_x =
                    add::<EXACT>(add::<EXACT>(mul::<EXACT>(cosine, u), mul::<EXACT>(sine, v)), centre[1]);
                let source_y =
                    add::<EXACT>(add::<EXACT>(mul::<EXACT>(cosine, v), -mul::<EXACT>(sine, u)), centre[0]);
                let (x0, y0) = (source_x.floor(), source_y.floor());
                let (part_x, part_y) = (add::<EXACT>(source_x, -x0), add::<EXACT>(source_y, -y0));
                let (x0, y0) = (x0 as i32, y0 as i32);
                let across = |y: i32| {
                    let (a, b) = (element(from, fill, y, x0), element(from, fill, y, x0 + 1));
                    add::<EXACT>(mul::<EXACT>(a, add::<EXACT>(1.0, -part_x)), mul::<EXACT>(b, part_x))
                };
                *out = add::<EXACT>(
                    mul::<EXACT>(across(y0), add::<EXACT>(1.0, -part_y)),
                    mul::<EXACT>(across(y0 + 1), part_y),
                );
            }
        }
    }
}

/// Brightness, contrast and the square of zeros.
fn finish_image<const EXACT: bool>(k: &Augment, drawn: &Drawn, to: &mut [f32]) {
    let [_, height, width] = k.shape;
    if k.changes.contrast != 0 {
        to.iter_mut().for_each(|x| *x = mul::<EXACT>(*x, drawn.factor));
    }
    if k.changes.brightness != 0 {
        to.iter_mut().for_each(|x| *x = add::<EXACT>(*x, drawn.offset));
    }
    if k.changes.cutout != 0 {
        for (line, values) in to.chunks_exact_mut(width).enumerate() {
            for (x, value) in values.iter_mut().enumerate() {
                if drawn.covers(line % height, x, k.changes.cutout) {
                    *value = 0.0;
                }
            }
        }
    }
}

fn add_noise<const EXACT: bool>(k: &Augment, step: &StepRecord, image: usize, to: &mut [f32]) {
    if k.noise == 0 {
        return;
    }
    let mut noise = vec![0.0; to.len()];
    let first = step.element(image * to.len(), k.batch * to.len());
    rng::fill(RandomKind::Normal, step, k.noise_stream, first, &mut noise);
    for (x, z) in to.iter_mut().zip(noise) {
        *x = add::<EXACT>(*x, mul::<EXACT>(f32::from_bits(k.noise), z));
    }
}
