//! Pictures as bad cameras and bad connections give them, at five severities, after Hendrycks and Dietterich 2019
//! (arXiv:1903.12261), whose strengths for small pictures these are where they have some.
//!
//! Shades are parts of the distance from black (0) to white (1); pictures are `[channels, height, width]`.

use super::points::words;
use crate::base::image::ImageShape;
use crate::base::rng::{self, RandomKind, streams};
use crate::base::step::StepRecord;

/// A kind of corruption.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Corruption {
    /// Gaussian noise on every value.
    GaussianNoise,
    /// The noise of few photons: the deviation grows with the root of the shade (a normal approximation to Poisson's
    /// distribution).
    ShotNoise,
    /// Pixels that are black or white.
    ImpulseNoise,
    /// A Gaussian blur.
    Blur,
    /// Blocks of the mean of their pixels.
    Pixelate,
}

impl Corruption {
    /// All kinds.
    pub const ALL: [Self; 5] =
        [Self::GaussianNoise, Self::ShotNoise, Self::ImpulseNoise, Self::Blur, Self::Pixelate];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::GaussianNoise => "gaussian_noise",
            Self::ShotNoise => "shot_noise",
            Self::ImpulseNoise => "impulse_noise",
            Self::Blur => "blur",
            Self::Pixelate => "pixelate",
        }
    }

    /// Its five strengths: the noise's standard deviation; the reciprocal of the photons of a white pixel; the part of
    /// pixels; the standard deviation of the blur in pixels; the side of a block in pixels.
    pub fn strengths(self) -> [f64; 5] {
        match self {
            Self::GaussianNoise => [0.04, 0.08, 0.12, 0.18, 0.26],
            Self::ShotNoise => [0.01, 0.02, 0.04, 0.1, 0.2],
            Self::ImpulseNoise => [0.01, 0.03, 0.06, 0.12, 0.2],
            Self::Blur => [0.4, 0.6, 0.8, 1.0, 1.5],
            Self::Pixelate => [2.0, 3.0, 4.0, 5.0, 6.0],
        }
    }

    /// The pictures corrupted; noise depends on the seed and is the same at every strength, but for its size.
    pub fn apply(self, shades: &[f64], shape: ImageShape, strength: f64, seed: u64) -> Vec<f64> {
        let draws = |kind, count| {
            let [seed_low, seed_high] = words(seed);
            let step = StepRecord { seed_low, seed_high, ..StepRecord::default() };
            let mut found = vec![0.0f32; count];
            rng::fill(kind, &step, streams::ATTACK ^ (0x300 + self as u32), 0, &mut found);
            found
        };
        match self {
            Self::GaussianNoise | Self::ShotNoise => {
                let size = |shade: f64| match self {
                    Self::ShotNoise => (shade.max(0.0) * strength).sqrt(),
                    _ => strength,
                };
                let noise = draws(RandomKind::Normal, shades.len());
                shades.iter().zip(noise).map(|(&x, e)| (x + size(x) * f64::from(e)).clamp(0.0, 1.0)).collect()
            }
            Self::ImpulseNoise => {
                // All channels of a pixel are hit together.
                let hits = draws(RandomKind::Uniform, shades.len() / shape.channels.max(1));
                let of = |at: usize| {
                    let (picture, place) = (at / shape.values(), at % shape.plane());
                    f64::from(hits[picture * shape.plane() + place])
                };
                let corrupted = |(at, &x): (usize, &f64)| match of(at) {
                    hit if hit < strength / 2.0 => 0.0,
                    hit if hit < strength => 1.0,
                    _ => x,
                };
                shades.iter().enumerate().map(corrupted).collect()
            }
            Self::Blur => shades
                .chunks(shape.plane().max(1))
                .flat_map(|plane| blurred(plane, shape, strength))
                .collect(),
            Self::Pixelate => {
                let block = (strength as usize).max(1);
                shades.chunks(shape.plane().max(1)).flat_map(|plane| pixelated(plane, shape, block)).collect()
            }
        }
    }
}

/// A plane blurred along both axes; beyond the border it goes on as it ends.
fn blurred(plane: &[f64], shape: ImageShape, deviation: f64) -> Vec<f64> {
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

/// A plane in blocks of `block` by `block` pixels, from the top left corner, each its own mean.
fn pixelated(plane: &[f64], shape: ImageShape, block: usize) -> Vec<f64> {
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

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: ImageShape = ImageShape { channels: 2, height: 20, width: 30 };

    fn deviation(found: &[f64], from: &[f64]) -> f64 {
        (found.iter().zip(from).map(|(a, b)| (a - b).powi(2)).sum::<f64>() / found.len() as f64).sqrt()
    }

    #[test]
    fn noise_has_its_size() {
        let grey = vec![0.5; 4 * SHAPE.values()];
        let of = |kind: Corruption, strength| kind.apply(&grey, SHAPE, strength, 1);
        let gaussian = of(Corruption::GaussianNoise, 0.1);
        assert!((deviation(&gaussian, &grey) - 0.1).abs() < 0.005);
        assert_ne!(gaussian, Corruption::GaussianNoise.apply(&grey, SHAPE, 0.1, 2));
        assert!((deviation(&of(Corruption::ShotNoise, 0.02), &grey) - 0.1).abs() < 0.005);
        let impulses = of(Corruption::ImpulseNoise, 0.2);
        let part =
            |shade: f64| impulses.iter().filter(|x| **x == shade).count() as f64 / impulses.len() as f64;
        assert!((part(0.0) - 0.1).abs() < 0.02 && (part(1.0) - 0.1).abs() < 0.02);
        // Both channels of a pixel.
        for picture in impulses.chunks(SHAPE.values()) {
            let (first, second) = picture.split_at(SHAPE.plane());
            assert_eq!(first, second);
        }
        let black = vec![0.0; SHAPE.values()];
        assert_eq!(Corruption::ShotNoise.apply(&black, SHAPE, 0.2, 1), black);
    }

    #[test]
    fn a_blurred_point_is_the_gaussian_around_it() {
        let mut point = vec![0.0; SHAPE.values()];
        point[10 * SHAPE.width + 15] = 1.0;
        let blurred = Corruption::Blur.apply(&point, SHAPE, 1.0, 0);
        assert!((blurred.iter().sum::<f64>() - 1.0).abs() < 1e-9);
        let at = |y: usize, x: usize| blurred[y * SHAPE.width + x];
        let ratio = at(11, 17) / at(10, 15);
        assert!((ratio - (-(1.0 + 4.0) / 2.0f64).exp()).abs() < 1e-9, "{ratio}");
        // Nothing of a plane is in the other one, and a plain surface stays as it is.
        assert!(blurred[SHAPE.plane()..].iter().all(|x| *x == 0.0));
        let grey = vec![0.3; SHAPE.values()];
        assert!(deviation(&Corruption::Blur.apply(&grey, SHAPE, 1.5, 0), &grey) < 1e-12);
    }

    #[test]
    fn blocks_have_their_mean() {
        let shape = ImageShape { channels: 1, height: 2, width: 3 };
        let found = Corruption::Pixelate.apply(&[0.0, 0.2, 0.4, 0.6, 0.8, 1.0], shape, 2.0, 0);
        let expected = [0.4, 0.4, 0.7, 0.4, 0.4, 0.7];
        assert!(deviation(&found, &expected) < 1e-12, "{found:?}");
    }
}
