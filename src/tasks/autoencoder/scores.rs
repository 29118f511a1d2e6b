//! Scores of rows by an autoencoder: the parts of its loss as means over draws, and the log-likelihood.

use crate::nn::vae::{KL, LOG_LIKELIHOOD, LOG_WEIGHT, RECONSTRUCTION};
use crate::train::TrainError;
use crate::train::engine::Engine;
use crate::train::metrics::{Metric, Predictions};

/// Evaluates the evaluation rows with `draws` latent codes each: the parts of the loss are means over them,
/// and [`LOG_LIKELIHOOD`] replaces [`LOG_WEIGHT`].
///
/// # Errors
/// If the device fails.
pub(super) fn evaluate(engine: &mut Engine, draws: u32) -> Result<Predictions, TrainError> {
    let mut found = engine.evaluate_draw(0)?;
    let of = |p: &Predictions, name: &str| -> Vec<f64> {
        p.part(name).unwrap_or_default().iter().map(|&x| f64::from(x)).collect()
    };
    let mut reconstruction = of(&found, RECONSTRUCTION);
    let mut losses: Vec<f64> = found.losses.iter().map(|&x| f64::from(x)).collect();
    // The largest weight of each row, and the sum of all weights relative to it (a running log-sum-exp).
    let mut weights: Vec<(f64, f64)> = of(&found, LOG_WEIGHT).into_iter().map(|w| (w, 1.0)).collect();
    for draw in 1..draws {
        let next = engine.evaluate_draw(draw)?;
        let add = |sums: &mut [f64], terms: &[f64]| sums.iter_mut().zip(terms).for_each(|(s, t)| *s += t);
        add(&mut reconstruction, &of(&next, RECONSTRUCTION));
        add(&mut losses, &next.losses.iter().map(|&x| f64::from(x)).collect::<Vec<_>>());
        for ((largest, sum), w) in weights.iter_mut().zip(of(&next, LOG_WEIGHT)) {
            let top = largest.max(w);
            (*largest, *sum) = (top, *sum * (*largest - top).exp() + (w - top).exp());
        }
    }
    let count = f64::from(draws.max(1));
    let mean = |sums: &[f64]| -> Vec<f32> { sums.iter().map(|s| (s / count) as f32).collect() };
    found.losses = mean(&losses);
    for (name, rows) in &mut found.parts {
        if *name == RECONSTRUCTION {
            *rows = mean(&reconstruction);
        } else if *name == LOG_WEIGHT {
            *name = LOG_LIKELIHOOD;
            *rows = weights.iter().map(|(largest, sum)| (largest + (sum / count).ln()) as f32).collect();
        }
    }
    Ok(found)
}

/// The anomaly score of each row: its negative evidence lower bound, in nats.
pub(super) fn anomalies(predictions: &Predictions) -> Vec<f64> {
    let part = |name| predictions.part(name).unwrap_or_default().iter().map(|&x| f64::from(x));
    part(RECONSTRUCTION).zip(part(KL)).map(|(reconstruction, kl)| reconstruction + kl).collect()
}

/// The evidence lower bound, its parts, and the estimated log-likelihood if present: means over the rows, in
/// nats.
pub(super) fn bound(reconstruction: &[f32], kl: &[f32], log_likelihood: Option<&[f32]>) -> Vec<Metric> {
    let mean = |rows: &[f32]| rows.iter().map(|&x| f64::from(x)).sum::<f64>() / rows.len().max(1) as f64;
    let (reconstruction, kl) = (mean(reconstruction), mean(kl));
    let mut metrics = vec![
        Metric { name: "elbo", value: -reconstruction - kl },
        Metric { name: RECONSTRUCTION, value: reconstruction },
        Metric { name: KL, value: kl },
    ];
    metrics.extend(log_likelihood.map(|rows| Metric { name: LOG_LIKELIHOOD, value: mean(rows) }));
    metrics
}
