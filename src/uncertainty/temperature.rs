//! The temperature of a classifier: one number that its logits are divided by, so that its probabilities are as often
//! right as they say (Guo et al. 2017, arXiv:1706.04599, section 4.2).

use crate::train::metrics::Predictions;

/// Sharpest and dullest `1 / T`.
const RANGE: [f64; 2] = [1e-3, 1e3];
/// Steps of the search, each of which at least halves the range.
const STEPS: usize = 200;

/// The temperature with the least negative log-likelihood of these rows, weighted as they are: the minimum of a
/// convex function of `1 / T`, by Newton's method within a bracket. `None` where there is no minimum: every row is
/// right, so that ever sharper probabilities are better, or they are wrong more often than by chance.
pub fn fit(predictions: &Predictions) -> Option<f64> {
    let logits = logits(predictions);
    let truth: Vec<usize> = predictions.truth.iter().map(|label| *label as usize).collect();
    let weights = predictions.weighted();
    // First and second derivative by the factor: mean and variance of the logits under the probabilities.
    let derivatives = |factor: f64| {
        let mut sums = [0.0; 2];
        for (row, (z, label)) in logits.iter().zip(&truth).enumerate() {
            let Some(own) = z.get(*label) else { continue };
            let most = z.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let [mut total, mut first, mut second] = [0.0; 3];
            for &z in z {
                let e = (factor * (z - most)).exp();
                total += e;
                first += e * (z - own);
                second += e * (z - own) * (z - own);
            }
            let mean = first / total;
            sums[0] += weights.of(row) * mean;
            sums[1] += weights.of(row) * (second / total - mean * mean);
        }
        sums
    };
    let [mut low, mut high] = RANGE;
    if !(derivatives(low)[0] < 0.0 && derivatives(high)[0] > 0.0) {
        return None;
    }
    let mut factor = 1.0;
    for _ in 0..STEPS {
        let [slope, curvature] = derivatives(factor);
        if slope < 0.0 {
            low = factor;
        } else {
            high = factor;
        }
        let step = factor - slope / curvature;
        // Far from the minimum a step may leave the bracket; the middle is by size.
        let next = if step > low && step < high { step } else { (low * high).sqrt() };
        if (next - factor).abs() <= 1e-13 * factor || high - low <= 1e-13 * low {
            break;
        }
        factor = next;
    }
    Some(1.0 / factor)
}

/// The logits of each class; of one logit, 0 and it.
fn logits(predictions: &Predictions) -> Vec<Vec<f64>> {
    let row = |row: &[f32]| match row {
        [only] => vec![0.0, f64::from(*only)],
        all => all.iter().map(|z| f64::from(*z)).collect(),
    };
    predictions.raw.chunks(predictions.outputs.max(1)).map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng;

    /// Rows of logits three times too sharp for labels drawn by their probabilities.
    fn sharp(outputs: usize) -> Predictions {
        let rows = 2000;
        let (mut raw, mut truth) = (vec![], vec![]);
        for row in 0..rows {
            let normal = |k: usize| rng::normal(rng::word([5, 0], 77, 0, (row * outputs + k) as u32));
            let z: Vec<f32> = (0..outputs).map(normal).collect();
            let all: Vec<f64> = if outputs == 1 {
                vec![0.0, f64::from(z[0])]
            } else {
                z.iter().map(|z| f64::from(*z)).collect()
            };
            let total: f64 = all.iter().map(|z| z.exp()).sum();
            let mut draw = f64::from(rng::uniform(rng::word([6, 0], 78, 0, row as u32))) * total;
            let label = all.iter().position(|z| {
                draw -= z.exp();
                draw < 0.0
            });
            truth.push(label.unwrap_or(0) as f64);
            raw.extend(z.iter().map(|z| 3.0 * z));
        }
        Predictions { raw, outputs, truth, ..Predictions::default() }
    }

    fn loss(predictions: &Predictions, temperature: f64) -> f64 {
        let of = |(z, label): (&Vec<f64>, &f64)| {
            let sum: f64 = z.iter().map(|z| (z / temperature).exp()).sum();
            sum.ln() - z[*label as usize] / temperature
        };
        logits(predictions).iter().zip(&predictions.truth).map(of).sum()
    }

    #[test]
    fn the_temperature_has_the_least_loss_and_undoes_the_sharpening() {
        for outputs in [1, 4] {
            let predictions = sharp(outputs);
            let found = fit(&predictions).unwrap();
            assert!((2.6..3.4).contains(&found), "{outputs} outputs: {found}");
            for factor in [0.999, 1.001] {
                assert!(loss(&predictions, found * factor) > loss(&predictions, found), "{outputs}");
            }
        }
    }

    /// `tests/pytorch/uncertainty.py` made these with L-BFGS and with a bounded search.
    #[test]
    fn it_is_the_minimum_that_pytorch_and_scipy_find() {
        let all: serde_json::Value =
            serde_json::from_str(include_str!("../../tests/pytorch/uncertainty.json")).unwrap();
        for outputs in [1, 5] {
            let expected = &all[outputs.to_string()];
            let truth = expected["labels"].as_array().unwrap().iter().filter_map(|y| y.as_f64()).collect();
            let raw = numbers(300 * outputs, 7 + outputs as u64);
            let found = fit(&Predictions { raw, outputs, truth, ..Predictions::default() }).unwrap();
            let wanted = expected["temperature"].as_f64().unwrap();
            assert!((found - wanted).abs() < 1e-6 * wanted, "{outputs}: {found}, not {wanted}");
        }
    }

    /// As in the script.
    fn numbers(count: usize, seed: u64) -> Vec<f32> {
        let next = |x: &mut u64| {
            *x = (1_103_515_245 * *x + 12_345) % (1 << 31);
            Some((((*x >> 16) % 128) as f32 - 64.0) / 16.0)
        };
        let mut x = seed;
        std::iter::from_fn(|| next(&mut x)).take(count).collect()
    }

    #[test]
    fn weights_count_as_copies() {
        let predictions = sharp(3);
        let weights: Vec<f64> = (0..2000).map(|row| f64::from(row % 3)).collect();
        let mut copied = Predictions { outputs: 3, ..Predictions::default() };
        for (row, weight) in weights.iter().enumerate() {
            for _ in 0..*weight as usize {
                copied.raw.extend_from_slice(&predictions.raw[3 * row..3 * row + 3]);
                copied.truth.push(predictions.truth[row]);
            }
        }
        let weighted = Predictions { weights, ..predictions };
        assert!((fit(&weighted).unwrap() - fit(&copied).unwrap()).abs() < 1e-9);
    }

    #[test]
    fn without_a_minimum_there_is_no_temperature() {
        let all = |label: f64| Predictions {
            raw: vec![1.0, -1.0, 2.0, 0.0],
            outputs: 2,
            truth: vec![label; 2],
            ..Predictions::default()
        };
        assert_eq!(fit(&all(0.0)), None, "all are right");
        assert_eq!(fit(&all(1.0)), None, "all are wrong");
        assert_eq!(fit(&Predictions::default()), None);
    }
}
