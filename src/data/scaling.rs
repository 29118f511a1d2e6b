//! Invertible scalings of numbers, fitted on training values.

use serde::{Deserialize, Serialize};

use super::config::Scaling;
use crate::base::number::figure;
use crate::base::rng::normal_quantile;

/// A fitted scaling.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum FittedScaling {
    /// Unscaled.
    None,
    /// `(x - shift) / scale`
    Affine {
        /// Subtracted first.
        shift: f64,
        /// Divisor.
        scale: f64,
    },
    /// `(ln(1 + x) - shift) / scale`; values at or below -1, which no training row has, are
    /// clamped to just above.
    Log1p {
        /// Subtracted first.
        shift: f64,
        /// Divisor.
        scale: f64,
    },
    /// The standard normal quantile of the value's rank among `points` (ascending, at evenly spaced ranks).
    Quantile {
        /// Training values at evenly spaced ranks.
        points: Vec<f64>,
    },
}

/// Maximum ranks stored for quantile scaling.
const MAX_POINTS: usize = 1000;

impl FittedScaling {
    /// Ranks are kept this far from 0 and 1, so that extreme values have finite quantiles.
    pub const EDGE: f64 = 1e-4;

    /// The scaled value in single precision, within its range: far from the training values, it may lie beyond.
    pub fn apply_f32(&self, x: f64) -> f32 {
        self.apply(x).clamp(-f64::from(f32::MAX), f64::from(f32::MAX)) as f32
    }

    /// The formula, for people.
    pub fn describe(&self) -> String {
        match self {
            Self::None => "as it is".into(),
            Self::Affine { shift, scale } => format!("(x {}) / {}", minus(*shift), figure(*scale)),
            Self::Log1p { shift, scale } => format!("(ln(1 + x) {}) / {}", minus(*shift), figure(*scale)),
            Self::Quantile { .. } => "normal quantile of its rank".into(),
        }
    }

    /// Why training values cannot be scaled like this, if they cannot.
    pub fn problem(scaling: Scaling, values: &[f64]) -> Option<String> {
        let least = values.iter().copied().fold(f64::INFINITY, f64::min);
        (scaling == Scaling::Log1p && least <= -1.0).then(|| {
            format!(
                "`log1p` is ln(1 + x), which needs numbers above -1; it holds {least}. Use \"standardise\" or \
                 \"quantile\", or derive a column that is positive"
            )
        })
    }

    /// Fits `scaling` on training values; a constant column is only shifted.
    pub fn fit(scaling: Scaling, values: &[f64]) -> Self {
        match scaling {
            Scaling::None => Self::None,
            Scaling::Standardise => {
                let (shift, scale) = mean_and_deviation(values);
                Self::Affine { shift, scale }
            }
            Scaling::MinMax => {
                let low = values.iter().copied().fold(f64::INFINITY, f64::min);
                let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                if values.is_empty() {
                    return Self::None;
                }
                Self::Affine { shift: low, scale: if high > low { high - low } else { 1.0 } }
            }
            Scaling::Log1p => {
                let logs: Vec<f64> = values.iter().map(|&x| log1p(x)).collect();
                let (shift, scale) = mean_and_deviation(&logs);
                Self::Log1p { shift, scale }
            }
            Scaling::Quantile => {
                let mut sorted = values.to_vec();
                sorted.sort_by(f64::total_cmp);
                let count = sorted.len().min(MAX_POINTS);
                let last = sorted.len().saturating_sub(1);
                let at = |i: usize| sorted[i * last / count.saturating_sub(1).max(1)];
                Self::Quantile { points: (0..count).map(at).collect() }
            }
        }
    }

    /// The scaled value.
    pub fn apply(&self, x: f64) -> f64 {
        match self {
            Self::None => x,
            Self::Affine { shift, scale } => (x - shift) / scale,
            Self::Log1p { shift, scale } => (log1p(x) - shift) / scale,
            Self::Quantile { points } => {
                // The midpoint of the ranks that x could have.
                let below = points.partition_point(|&p| p < x) as f64;
                let up_to = points.partition_point(|&p| p <= x) as f64;
                let rank = if below == up_to {
                    let i = below as usize;
                    match (i.checked_sub(1).map(|j| points[j]), points.get(i)) {
                        (Some(low), Some(high)) => below - 1.0 + (x - low) / (high - low),
                        (None, _) => 0.0,
                        (_, None) => points.len() as f64 - 1.0,
                    }
                } else {
                    0.5 * (below + up_to - 1.0)
                };
                let p = rank / (points.len() as f64 - 1.0).max(1.0);
                normal_quantile(p.clamp(Self::EDGE, 1.0 - Self::EDGE))
            }
        }
    }

    /// The value whose scaled value is `y`.
    pub fn invert(&self, y: f64) -> f64 {
        match self {
            Self::None => y,
            Self::Affine { shift, scale } => y * scale + shift,
            Self::Log1p { shift, scale } => (y * scale + shift).exp_m1(),
            Self::Quantile { points } => {
                let p = 0.5 * libm::erfc(-y * std::f64::consts::FRAC_1_SQRT_2);
                let rank = p * (points.len() as f64 - 1.0).max(0.0);
                let low = (rank.floor() as usize).min(points.len().saturating_sub(1));
                let high = (low + 1).min(points.len().saturating_sub(1));
                // A malicious file may have no points.
                let at = |i: usize| points.get(i).copied().unwrap_or(f64::NAN);
                at(low) + (rank - low as f64) * (at(high) - at(low))
            }
        }
    }
}

fn log1p(x: f64) -> f64 {
    x.max(-1.0 + 1e-9).ln_1p()
}

/// Mean and population standard deviation; 1 for the deviation of a constant.
pub fn mean_and_deviation(values: &[f64]) -> (f64, f64) {
    let count = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / count;
    let variance = values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / count;
    let scale = if variance.sqrt() > 1e-12 * mean.abs().max(1e-300) { variance.sqrt() } else { 1.0 };
    (mean, scale)
}

/// `- x`, with one sign.
fn minus(x: f64) -> String {
    let sign = if x < 0.0 { '+' } else { '-' };
    format!("{sign} {}", figure(x.abs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scaling_inverts() {
        // Ascending, so that the interior values below are not the extremes, which quantile scaling bounds.
        let values: Vec<f64> =
            (0..200).map(|i| f64::from(i) * 0.37 + 0.2 * (f64::from(i) * 1.7).sin()).collect();
        for scaling in
            [Scaling::None, Scaling::Standardise, Scaling::MinMax, Scaling::Log1p, Scaling::Quantile]
        {
            let fitted = FittedScaling::fit(scaling, &values);
            for &x in &values[1..values.len() - 1] {
                let back = fitted.invert(fitted.apply(x));
                assert!((back - x).abs() < 1e-6, "{scaling:?}: {x} came back as {back}");
            }
        }
    }
}
