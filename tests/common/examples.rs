//! The programs of `examples/` on any device.

use gridlight::device::Device;

#[path = "../../examples/custom_loop.rs"]
mod custom_loop;
#[path = "../../examples/custom_model.rs"]
mod custom_model;

const PIXELS: usize = 64;

/// Mean squared distance of each image to the nearest of `digits`, and the position of that one.
fn nearest(images: &[f32], digits: &[f32]) -> Vec<(f64, usize)> {
    let distance = |a: &[f32], b: &[f32]| {
        a.iter().zip(b).map(|(a, b)| f64::from((a - b) * (a - b))).sum::<f64>() / PIXELS as f64
    };
    let of = |image: &[f32]| {
        let distances = digits.chunks(PIXELS).map(|digit| distance(image, digit)).enumerate();
        distances.map(|(at, d)| (d, at)).min_by(|a, b| a.0.total_cmp(&b.0)).unwrap()
    };
    images.chunks(PIXELS).map(of).collect()
}

/// The images of the adversarial network look like digits, and like different ones.
pub fn an_adversarial_network_draws_digits(device: &dyn Device) {
    let digits = custom_loop::digits().unwrap();
    let images = custom_loop::play(device, &digits, 4000).unwrap();
    let found = nearest(&images, &digits);
    let distance = found.iter().map(|(d, _)| d).sum::<f64>() / found.len() as f64;
    let mut different: Vec<usize> = found.iter().map(|(_, at)| *at).collect();
    different.sort_unstable();
    different.dedup();
    // Before training the distance is 0.58, and five digits are the nearest to all 64 images.
    assert!(distance < 0.25, "the mean distance to the nearest digit is {distance}");
    assert!(different.len() > 15, "the images are like {} digits only", different.len());
}

/// The quantiles of the own model have the intended coverage.
pub fn a_custom_model_learns_quantiles(device: &dyn Device) {
    let below = custom_model::train(device).unwrap();
    for (found, intended) in below.iter().zip([0.1, 0.5, 0.9]) {
        assert!((found - intended).abs() < 0.04, "{below:?}");
    }
}
