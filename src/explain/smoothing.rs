//! Certified classes by randomised smoothing (Cohen, Rosenfeld, Kolter 2019, arXiv:1902.02918): the class that a model
//! gives most often under Gaussian noise cannot be changed by any move of the inputs within a radius in l2.

use super::attack::{Room, decided};
use super::network::{Given, Probe};
use super::points::{Points, words};
use crate::base::rng::{self, RandomKind, streams};
use crate::base::step::StepRecord;
use crate::train::TrainError;

/// Draws that the class is chosen by.
const CHOOSING: usize = 100;
/// Probability that a row's certificate is wrong.
pub const ALPHA: f64 = 0.001;

/// The class of a row under noise, and the radius, in units of [`Room`], within which it is certain.
pub type Certificate = Option<(usize, f64)>;

/// Certificates of points under noise of this standard deviation, from `draws` draws of each; `None` where no class has
/// more than half of them for certain.
///
/// # Errors
/// If the device fails.
pub fn certify(
    probe: &mut Probe,
    points: &Points,
    room: &Room,
    threshold: Option<f64>,
    (deviation, draws): (f64, usize),
    seed: u64,
) -> Result<Vec<Certificate>, TrainError> {
    let mut classes = |draw: usize| -> Result<Vec<usize>, TrainError> {
        let [seed_low, seed_high] = words(seed);
        let step = StepRecord { step: draw as u32, seed_low, seed_high, ..StepRecord::default() };
        let mut x = vec![0.0; points.x.len()];
        rng::fill(RandomKind::Normal, &step, streams::ATTACK ^ 0x400, 0, &mut x);
        for (at, (x, clean)) in x.iter_mut().zip(&points.x).enumerate() {
            *x = clean + deviation as f32 * room.scale[at % room.scale.len()] * *x;
        }
        let raw = probe.run(&x, Given { y: &points.y, ..Given::default() })?.swap_remove(0);
        let outputs = (raw.len() / points.count.max(1)).max(1);
        Ok(raw.chunks(outputs).map(|raw| decided(raw, threshold)).collect())
    };
    let mut counts: Vec<Vec<usize>> = vec![vec![]; points.count];
    for draw in 0..CHOOSING {
        for (counts, class) in counts.iter_mut().zip(classes(draw)?) {
            counts.resize(counts.len().max(class + 1), 0);
            counts[class] += 1;
        }
    }
    // The first of equally frequent ones.
    let most = |counts: &Vec<usize>| (0..counts.len()).rev().max_by_key(|&class| counts[class]).unwrap_or(0);
    let chosen: Vec<usize> = counts.iter().map(most).collect();
    let mut hits = vec![0usize; points.count];
    for draw in CHOOSING..CHOOSING + draws {
        for ((hits, chosen), class) in hits.iter_mut().zip(&chosen).zip(classes(draw)?) {
            *hits += usize::from(class == *chosen);
        }
    }
    let certificate = |(class, hits): (usize, usize)| {
        let least = least_probability(hits, draws);
        (least > 0.5).then(|| (class, deviation * rng::normal_quantile(least)))
    };
    Ok(chosen.into_iter().zip(hits).map(certificate).collect())
}

/// The lower end of the exact one-sided interval of a probability that showed `hits` times in `draws`, at
/// confidence `1 - ALPHA` (Clopper and Pearson 1934): where as many hits or more have the probability `ALPHA`.
fn least_probability(hits: usize, draws: usize) -> f64 {
    if hits == 0 {
        return 0.0;
    }
    let choose = |k: usize| {
        libm::lgamma(draws as f64 + 1.0)
            - libm::lgamma(k as f64 + 1.0)
            - libm::lgamma((draws - k) as f64 + 1.0)
    };
    let chances: Vec<f64> = (hits..=draws).map(choose).collect();
    let as_many = |p: f64| -> f64 {
        let of = |(at, chance): (usize, &f64)| {
            let k = (hits + at) as f64;
            (chance + k * p.ln() + (draws as f64 - k) * (-p).ln_1p()).exp()
        };
        chances.iter().enumerate().map(of).sum()
    };
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if as_many(middle) < ALPHA { low = middle } else { high = middle }
    }
    low
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SciPy's `beta.ppf(0.001, k, n - k + 1)`.
    #[test]
    fn the_interval_is_exact() {
        for (hits, draws, expected) in EXPECTED {
            let found = least_probability(hits, draws);
            assert!((found - expected).abs() < 1e-9, "{hits} of {draws}: {found}, expected {expected}");
        }
        assert_eq!(least_probability(0, 10), 0.0);
    }

    const EXPECTED: [(usize, usize, f64); 4] = [
        (1000, 1000, 0.993116048420934),
        (990, 1000, 0.976036187155311),
        (550, 1000, 0.500675960092558),
        (3, 10, 0.021037971320987),
    ];
}
