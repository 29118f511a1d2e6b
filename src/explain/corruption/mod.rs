//! Pictures as bad cameras, bad weather and bad connections give them, at five severities: the kinds of ImageNet-C
//! (Hendrycks and Dietterich 2019, arXiv:1903.12261), each in an implementation of its own with one strength. Brightness
//! and contrast, the other two, are changed by more and by less elsewhere.
//!
//! Shades are parts of the distance from black (0) to white (1); pictures are `[channels, height, width]`.

mod blur;
mod jpeg;
mod noise;
mod warp;
mod weather;

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
    /// A lens out of focus: every point becomes a disk.
    DefocusBlur,
    /// Frosted glass: every pixel is seen from somewhere near.
    GlassBlur,
    /// A camera that moves while it takes the picture, in a direction of each picture's own.
    MotionBlur,
    /// A camera that zooms in while it takes the picture.
    ZoomBlur,
    /// Flakes that fall at a slant, in a brightened picture.
    Snow,
    /// Bright crystals that cover a part of the picture.
    Frost,
    /// Bright clouds of all sizes, which take contrast away.
    Fog,
    /// A picture on rubber that is pulled here and there.
    Elastic,
    /// Blocks of the mean of their pixels.
    Pixelate,
    /// Compression as JPEG's.
    Jpeg,
}

impl Corruption {
    /// All kinds.
    pub const ALL: [Self; 14] = [
        Self::GaussianNoise,
        Self::ShotNoise,
        Self::ImpulseNoise,
        Self::Blur,
        Self::DefocusBlur,
        Self::GlassBlur,
        Self::MotionBlur,
        Self::ZoomBlur,
        Self::Snow,
        Self::Frost,
        Self::Fog,
        Self::Elastic,
        Self::Pixelate,
        Self::Jpeg,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::GaussianNoise => "gaussian_noise",
            Self::ShotNoise => "shot_noise",
            Self::ImpulseNoise => "impulse_noise",
            Self::Blur => "blur",
            Self::DefocusBlur => "defocus_blur",
            Self::GlassBlur => "glass_blur",
            Self::MotionBlur => "motion_blur",
            Self::ZoomBlur => "zoom_blur",
            Self::Snow => "snow",
            Self::Frost => "frost",
            Self::Fog => "fog",
            Self::Elastic => "elastic",
            Self::Pixelate => "pixelate",
            Self::Jpeg => "jpeg",
        }
    }

    /// Its five strengths, from the weakest on.
    pub fn strengths(self) -> [f64; 5] {
        match self {
            // The standard deviation.
            Self::GaussianNoise => [0.04, 0.08, 0.12, 0.18, 0.26],
            // The reciprocal of the photons of a white pixel.
            Self::ShotNoise => [0.01, 0.02, 0.04, 0.1, 0.2],
            // The part of pixels.
            Self::ImpulseNoise => [0.01, 0.03, 0.06, 0.12, 0.2],
            // The standard deviation in pixels.
            Self::Blur => [0.4, 0.6, 0.8, 1.0, 1.5],
            // The radius of the disk in pixels.
            Self::DefocusBlur => [0.6, 0.8, 1.0, 1.5, 2.0],
            // The furthest distance along each axis in pixels.
            Self::GlassBlur => [0.5, 0.75, 1.0, 1.5, 2.0],
            // The length of the way in pixels.
            Self::MotionBlur => [1.5, 2.5, 3.5, 5.0, 7.0],
            // The largest magnification.
            Self::ZoomBlur => [1.06, 1.11, 1.16, 1.21, 1.26],
            // The part of the picture's brightness that flakes and light take over.
            Self::Snow => [0.1, 0.2, 0.3, 0.4, 0.5],
            // The part that the crystals take over where they are thickest.
            Self::Frost => [0.2, 0.3, 0.4, 0.5, 0.6],
            // The clouds' brightness, by that of a white pixel.
            Self::Fog => [0.2, 0.5, 0.75, 1.0, 1.5],
            // The standard deviation of the displacement in pixels.
            Self::Elastic => [0.4, 0.6, 0.8, 1.2, 1.6],
            // The side of a block in pixels.
            Self::Pixelate => [2.0, 3.0, 4.0, 5.0, 6.0],
            // What is lost: 100 less JPEG's quality.
            Self::Jpeg => [20.0, 35.0, 50.0, 70.0, 85.0],
        }
    }

    /// The pictures corrupted; what is drawn depends on the seed and is the same at every strength, but for its size.
    pub fn apply(self, shades: &[f64], shape: ImageShape, strength: f64, seed: u64) -> Vec<f64> {
        let draws = Draws { seed, stream: streams::ATTACK ^ (0x300 + self as u32) };
        let planes = |of: &dyn Fn(&[f64]) -> Vec<f64>| -> Vec<f64> {
            shades.chunks(shape.plane().max(1)).flat_map(of).collect()
        };
        // Of a picture, by its number.
        let pictures = |of: &dyn Fn(usize, &[f64]) -> Vec<f64>| -> Vec<f64> {
            let all = shades.chunks(shape.values().max(1)).enumerate();
            all.flat_map(|(number, picture)| of(number, picture)).collect()
        };
        match self {
            Self::GaussianNoise => noise::normal(shades, &draws, |_| strength),
            Self::ShotNoise => noise::normal(shades, &draws, |shade| (shade.max(0.0) * strength).sqrt()),
            Self::ImpulseNoise => noise::impulses(shades, shape, &draws, strength),
            Self::Blur => planes(&|plane| blur::gaussian(plane, shape, strength)),
            Self::DefocusBlur => planes(&|plane| blur::defocus(plane, shape, strength)),
            Self::GlassBlur => pictures(&|at, one| warp::glass(one, shape, strength, &draws.of(at))),
            Self::MotionBlur => pictures(&|at, one| blur::motion(one, shape, strength, &draws.of(at))),
            Self::ZoomBlur => planes(&|plane| blur::zoom(plane, shape, strength)),
            Self::Snow => pictures(&|at, one| weather::snow(one, shape, strength, &draws.of(at))),
            Self::Frost => pictures(&|at, one| weather::frost(one, shape, strength, &draws.of(at))),
            Self::Fog => pictures(&|at, one| weather::fog(one, shape, strength, &draws.of(at))),
            Self::Elastic => pictures(&|at, one| warp::elastic(one, shape, strength, &draws.of(at))),
            Self::Pixelate => planes(&|plane| blur::pixelated(plane, shape, (strength as usize).max(1))),
            Self::Jpeg => pictures(&|_, one| jpeg::compressed(one, shape, 100.0 - strength)),
        }
    }
}

/// Numbers of the counter-based generator.
struct Draws {
    seed: u64,
    stream: u32,
}

impl Draws {
    /// Those of a picture, so that it is corrupted the same way whichever others are there.
    fn of(&self, picture: usize) -> Self {
        Self { seed: self.seed.wrapping_add((picture as u64 + 1) << 32), stream: self.stream }
    }

    fn take(&self, kind: RandomKind, count: usize) -> Vec<f64> {
        let [seed_low, seed_high] = words(self.seed);
        let step = StepRecord { seed_low, seed_high, ..StepRecord::default() };
        let mut found = vec![0.0f32; count];
        rng::fill(kind, &step, self.stream, 0, &mut found);
        found.into_iter().map(f64::from).collect()
    }

    /// Standard normal numbers.
    fn normal(&self, count: usize) -> Vec<f64> {
        self.take(RandomKind::Normal, count)
    }

    /// Numbers from 0 to below 1.
    fn uniform(&self, count: usize) -> Vec<f64> {
        self.take(RandomKind::Uniform, count)
    }
}

/// The shade of a plane at a place between pixels; beyond the border it goes on as it ends.
fn at(plane: &[f64], shape: ImageShape, y: f64, x: f64) -> f64 {
    let inside = |at: f64, extent: usize| at.clamp(0.0, (extent - 1) as f64);
    let (y, x) = (inside(y, shape.height), inside(x, shape.width));
    let (top, left) = (y as usize, x as usize);
    let (bottom, right) = ((top + 1).min(shape.height - 1), (left + 1).min(shape.width - 1));
    let (down, over) = (y - top as f64, x - left as f64);
    let of = |y: usize, x: usize| plane[y * shape.width + x];
    let upper = of(top, left) * (1.0 - over) + of(top, right) * over;
    let lower = of(bottom, left) * (1.0 - over) + of(bottom, right) * over;
    upper * (1.0 - down) + lower * down
}

/// Row and column of each pixel of a plane.
fn places(shape: ImageShape) -> impl Iterator<Item = (usize, usize)> {
    (0..shape.plane()).map(move |at| (at / shape.width, at % shape.width))
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

    /// A picture with edges, textures and colours.
    fn scene(shape: ImageShape) -> Vec<f64> {
        let of = |at: usize| {
            let (channel, place) = (at / shape.plane(), at % shape.plane());
            let (y, x) = (place / shape.width, place % shape.width);
            let square = f64::from(u8::from(y > 5 && y < 14 && x > 8 && x < 20));
            0.15 + 0.2 * channel as f64 + 0.5 * square + 0.1 * ((x as f64).sin() * (0.7 * y as f64).cos())
        };
        (0..shape.values()).map(of).collect()
    }

    #[test]
    fn every_kind_changes_more_the_stronger_it_is_and_stays_between_black_and_white() {
        let scene = scene(SHAPE);
        for kind in Corruption::ALL {
            let changed = kind.strengths().map(|strength| {
                let found = kind.apply(&scene, SHAPE, strength, 3);
                assert_eq!(found.len(), scene.len());
                assert!(found.iter().all(|x| (0.0..=1.0).contains(x)), "{}", kind.name());
                assert_eq!(found, kind.apply(&scene, SHAPE, strength, 3));
                deviation(&found, &scene)
            });
            assert!(changed[0] > 0.003, "{}: {changed:?}", kind.name());
            // Blocks of some sizes happen to fit the edges.
            let ordered = if kind == Corruption::Pixelate { &changed[..2] } else { &changed[..] };
            assert!(ordered.is_sorted_by(|a, b| a < b), "{}: {changed:?}", kind.name());
        }
    }

    #[test]
    fn a_picture_is_corrupted_the_same_way_beside_others() {
        let scene = scene(SHAPE);
        let two = [scene.clone(), scene.clone()].concat();
        for kind in Corruption::ALL {
            let strength = kind.strengths()[2];
            let found = kind.apply(&two, SHAPE, strength, 3);
            assert_eq!(found[..scene.len()], kind.apply(&scene, SHAPE, strength, 3), "{}", kind.name());
            let drawn = [Corruption::GlassBlur, Corruption::MotionBlur, Corruption::Snow, Corruption::Fog];
            if drawn.contains(&kind) {
                assert_ne!(found[..scene.len()], found[scene.len()..], "{}", kind.name());
            }
        }
    }

    #[test]
    fn pictures_of_one_pixel_and_of_one_row_have_something_of_each_kind() {
        for (height, width) in [(1, 1), (1, 9), (9, 1), (8, 8)] {
            let shape = ImageShape { channels: 1, height, width };
            for kind in Corruption::ALL {
                for strength in kind.strengths() {
                    let found = kind.apply(&vec![0.4; shape.values()], shape, strength, 1);
                    assert!(found.iter().all(|x| (0.0..=1.0).contains(x)), "{} {shape:?}", kind.name());
                }
            }
        }
    }

    #[test]
    fn blurs_spread_a_point_and_keep_its_light() {
        let shape = ImageShape { channels: 1, height: 31, width: 31 };
        let mut point = vec![0.0; shape.values()];
        point[15 * 31 + 15] = 1.0;
        let defocused = Corruption::DefocusBlur.apply(&point, shape, 2.0, 0);
        assert!((defocused.iter().sum::<f64>() - 1.0).abs() < 1e-9);
        // A disk of radius 2 has an area of 4 pi.
        assert!((defocused[15 * 31 + 15] - 1.0 / (4.0 * std::f64::consts::PI)).abs() < 0.003);
        assert_eq!((defocused[15 * 31 + 18], defocused[17 * 31 + 17]), (0.0, 0.0));
        let moved = Corruption::MotionBlur.apply(&point, shape, 5.0, 0);
        assert!((moved.iter().sum::<f64>() - 1.0).abs() < 1e-9);
        let columns: Vec<f64> =
            (0..31).map(|x| (0..31).map(|y| moved[y * 31 + x]).sum()).collect::<Vec<f64>>();
        // Along the way, half a length to both sides, and not beyond.
        assert!(columns[15] > 0.1 && columns[19..].iter().chain(&columns[..12]).all(|x| *x == 0.0));
        let middle = Corruption::ZoomBlur.apply(&point, shape, 1.26, 0);
        assert!((middle[15 * 31 + 15] - 1.0).abs() < 1e-9, "the middle stays where it is");
    }
}
