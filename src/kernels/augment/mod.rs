//! Augmentation of images: the images of a batch picked from the data set resident on the device as the batch
//! kernel picks rows, each moved, turned, brightened and partly covered by its own random draws, in one pass.
//!
//! Pixel `(y, x)` of the result is that of the image at `R ((y, x) - shift - centre) + centre`, mirrored
//! where drawn, interpolated bilinearly if `R` turns, and `fill` beyond the edge; times a contrast factor,
//! plus a brightness, 0 within the cut-out square; plus noise.

pub mod native;
mod oracle;
mod sample;
mod shader;

use std::ops::Range;

use super::native::NativeRun;
use super::oracle::Operands;
use super::samples::Family;
use super::shader::{Shader, ShaderError};
use super::signature::{Content, OperandSpec, Signature};
use super::storage::Storage;
use super::{Cost, KernelDef};
use crate::base::rng;
use crate::base::step::StepRecord;
use crate::base::target::Target;
use crate::oracle::Approx;
use crate::scalar::exact;

/// Random words of an image.
pub const DRAWS: u32 = 8;

/// Read 0: row order `u32[..]`; read 1: images `[rows, channels, height, width]`; read 2: the table, if they
/// are bytes. Write 0: `[batch, channels, height, width]`, image `b` made of image `order[step.batch_start + b]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Augment {
    /// Images of a batch.
    pub batch: usize,
    /// Channels, height and width of an image.
    pub shape: [usize; 3],
    /// What is done to them.
    pub changes: Changes,
    /// The value of each channel beyond the edge (bits of `f32`).
    pub fill: Vec<u32>,
    /// Random stream of the draws: image `b` has the elements `8 b` to `8 b + 7`, counted over all
    /// micro-batches of the step.
    pub stream: u32,
    /// Standard deviation of the Gaussian noise added to each element (bits of an `f32`; 0 adds none).
    pub noise: u32,
    /// Random stream of the noise, one element a value.
    pub noise_stream: u32,
    /// How the images are stored.
    pub storage: Storage,
    /// The images that the operand holds, if these are not all: other images of the batch are left as they
    /// are.
    pub only: Option<Range<usize>>,
}

/// Changes of images; what is 0 or false is not done. Numbers are bits of an `f32`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Changes {
    /// Half of the images are mirrored left to right.
    pub flip_horizontal: bool,
    /// Half of the images are mirrored top to bottom.
    pub flip_vertical: bool,
    /// Most pixels up or down and left or right; whole pixels, all equally probable.
    pub shift: u32,
    /// Largest angle in radians, at most pi; to either side.
    pub rotation: u32,
    /// Most that is added to or taken from all values.
    pub brightness: u32,
    /// All values are multiplied by 1 plus or minus at most this.
    pub contrast: u32,
    /// Side of the square of zeros, its centre anywhere in the image.
    pub cutout: u32,
}

impl Changes {
    /// Whether anything is done.
    pub fn any(&self) -> bool {
        *self != Self::default()
    }
}

/// What was drawn for an image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Drawn {
    /// Mirrored top to bottom, left to right.
    pub flip: [bool; 2],
    /// Pixels down, right.
    pub shift: [i32; 2],
    /// The angle.
    pub angle: f32,
    /// Times this.
    pub factor: f32,
    /// Plus this.
    pub offset: f32,
    /// First line and column of the square of zeros.
    pub cutout: [i32; 2],
}

impl Augment {
    /// Values of an image.
    pub fn values(&self) -> usize {
        self.shape.iter().product()
    }

    /// Words of an image.
    pub fn words(&self) -> usize {
        self.storage.words(self.values())
    }

    /// The draws of image `image` of a batch. Products and sums are rounded once, so that they are the same
    /// on every device.
    pub fn draw(&self, step: &StepRecord, image: usize) -> Drawn {
        let word = |number: u32| {
            let element = step.element(image, self.batch).wrapping_mul(DRAWS).wrapping_add(number);
            rng::word([step.seed_low, step.seed_high], self.stream, step.step, element)
        };
        // A multiple of 2^-23 in -1..1.
        let signed = |number: u32| 2.0 * rng::uniform(word(number)) - 1.0;
        let pick = |number: u32, below: u32| (((word(number) >> 16) * below) >> 16) as i32;
        let Changes { flip_horizontal, flip_vertical, shift, rotation, brightness, contrast, cutout } =
            self.changes;
        let [_, height, width] = self.shape;
        let shifted = |number: u32| pick(number, 2 * shift + 1) - shift as i32;
        let half = (cutout / 2) as i32;
        Drawn {
            flip: [flip_vertical && word(0) >> 1 & 1 == 1, flip_horizontal && word(0) & 1 == 1],
            shift: [shifted(1), shifted(2)],
            angle: signed(3) * f32::from_bits(rotation),
            offset: signed(4) * f32::from_bits(brightness),
            factor: 1.0 + signed(5) * f32::from_bits(contrast),
            cutout: [pick(6, height as u32) - half, pick(7, width as u32) - half],
        }
    }
}

impl KernelDef for Augment {
    fn name(&self) -> &'static str {
        "augment"
    }

    fn shape(&self) -> String {
        let [channels, height, width] = self.shape;
        let bytes = if self.storage == Storage::Words { "" } else { " bytes" };
        let part = self.only.as_ref().map(|rows| format!(" of rows {}..{}", rows.start, rows.end));
        format!("{} images {channels}x{height}x{width}{bytes}{}", self.batch, part.unwrap_or_default())
    }

    fn cost(&self) -> Cost {
        let values = (self.batch * self.values()) as u64;
        let of = |done: bool, flops: u64| if done { flops } else { 0 };
        let flops = of(self.changes.rotation != 0, 18)
            + of(self.changes.brightness != 0, 1)
            + of(self.changes.contrast != 0, 1)
            + of(self.noise != 0, 2);
        let read = (self.batch * self.words()) as u64;
        Cost { flops: flops * values, bytes: 4 * (values + read + self.batch as u64) }
    }

    fn signature(&self) -> Signature {
        let rows = self.only.as_ref().map_or(2 * self.batch, |rows| rows.end);
        let held = self.only.as_ref().map_or(rows, Range::len);
        let content = match self.storage {
            Storage::Words => Content::Normal,
            Storage::Bytes { .. } => Content::Index { below: u32::MAX as usize },
        };
        let reads = [(self.batch, Content::Index { below: rows }), (held * self.words(), content)];
        let mut signature = Signature::new(&reads, &[self.batch * self.values()]);
        signature.writes[0].updated = self.only.is_some();
        let table = OperandSpec::new(self.storage.entries(self.values()), Content::Normal);
        signature.reads.extend((table.words > 0).then_some(table));
        signature
    }

    fn iterations(&self, _target: &Target) -> usize {
        self.shape[2]
    }

    fn native(&self, exact: bool) -> Box<dyn NativeRun> {
        Box::new(native::NativeAugment::new(self.clone(), exact))
    }

    fn oracle(&self, operands: &Operands, writes: &mut [Vec<Approx>]) {
        self.evaluate(operands, writes);
    }

    fn shader(&self, target: &Target) -> Result<Shader, ShaderError> {
        shader::augment(self, target)
    }

    fn samples() -> &'static [Family] {
        &[("augment", sample::augment)]
    }

    fn benchmarks() -> Vec<Self> {
        sample::benchmarks()
    }
}

impl Drawn {
    /// Whether a pixel lies in the square of zeros of side `side`.
    pub fn covers(&self, y: usize, x: usize, side: u32) -> bool {
        let within = |at: usize, first: i32| (first..first + side as i32).contains(&(at as i32));
        within(y, self.cutout[0]) && within(x, self.cutout[1])
    }
}

/// Sine and cosine of an angle of at most pi to either side, to 8 units in the last place of 1: Taylor's
/// polynomials of half the angle, in the order of shaders/augment.wgsl.
pub fn sine_and_cosine(angle: f32) -> (f32, f32) {
    let h = exact::mul(0.5, angle);
    let z = exact::mul(h, h);
    let series = |first: f32, rest: &[f32]| rest.iter().fold(first, |p, &c| exact::multiply_add(p, z, c));
    let sine = exact::mul(
        h,
        series(-2.505_210_8e-8, &[2.755_732e-6, -1.984_127e-4, 8.333_333e-3, -1.666_666_7e-1, 1.0]),
    );
    let cosine =
        series(2.087_675_7e-9, &[-2.755_732e-7, 2.480_158_7e-5, -1.388_888_9e-3, 4.166_666_8e-2, -0.5, 1.0]);
    let doubled = exact::mul(2.0, sine);
    (exact::mul(doubled, cosine), exact::sub(1.0, exact::mul(doubled, sine)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sine_and_cosine_are_accurate() {
        for i in -1000..=1000 {
            let angle = i as f32 * std::f32::consts::PI / 1000.0;
            let (sine, cosine) = sine_and_cosine(angle);
            let (s, c) = f64::from(angle).sin_cos();
            let error = (f64::from(sine) - s).abs().max((f64::from(cosine) - c).abs());
            assert!(error < 8.0 * f64::from(f32::EPSILON), "{angle}: {error:e}");
        }
    }
}
