//! Several predictions of the same rows as one, with what they differ by: of the models of an ensemble, or of one
//! model with other units dropped each time.

use std::collections::BTreeMap;

use crate::base::tensor::{DType, Tensor};
use crate::data::FittedTarget;
use crate::graph::ops::EvalContext;
use crate::graph::{Graph, Source, reference};
use crate::nn::losses::Loss;
use crate::train::TrainError;
use crate::train::metrics::Predictions;

/// How much predictions differ.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Spread {
    /// Of numbers: sample standard deviation in the target's own units, `[rows, values]`; 0 for a single prediction.
    pub deviation: Vec<f64>,
    /// Of classes: mutual information of class and model in nats, `[rows]`: the entropy of the mean probabilities less
    /// the mean entropy (Depeweg et al. 2018). It is what more data would tell; the rest of the entropy is chance.
    pub information: Vec<f64>,
}

/// Predictions added so far.
#[derive(Clone, Debug, Default)]
pub struct Mixture {
    count: usize,
    first: Predictions,
    /// Means of outputs or of probabilities.
    means: Vec<f64>,
    /// Means in own units, and sums of squared distances from them (Welford 1962).
    own: Vec<(f64, f64)>,
    /// Sums of entropies.
    entropies: Vec<f64>,
}

impl Mixture {
    /// Adds predictions of the same rows.
    pub fn add(&mut self, predictions: Predictions, target: &FittedTarget) {
        self.count += 1;
        let count = self.count as f64;
        let towards = |mean: &mut f64, x: f64| *mean += (x - *mean) / count;
        if target.classes().is_empty() {
            let outputs: Vec<f64> = predictions.raw.iter().map(|y| target.linked(f64::from(*y))).collect();
            self.means.resize(outputs.len(), 0.0);
            self.means.iter_mut().zip(outputs).for_each(|(mean, x)| towards(mean, x));
            let own = predictions.values(target);
            self.own.resize(own.len(), (0.0, 0.0));
            for ((mean, squares), x) in self.own.iter_mut().zip(own) {
                let off = x - *mean;
                *mean += off / count;
                *squares += off * (x - *mean);
            }
        } else {
            let probabilities = predictions.probabilities();
            self.means.resize(probabilities.iter().map(Vec::len).sum(), 0.0);
            self.entropies.resize(probabilities.len(), 0.0);
            self.entropies.iter_mut().zip(&probabilities).for_each(|(sum, p)| *sum += entropy(p));
            self.means.iter_mut().zip(probabilities.concat()).for_each(|(mean, x)| towards(mean, x));
        }
        if self.count == 1 {
            self.first = predictions;
        }
    }

    /// The mean of what was added, of numbers in the model's scaled units, of counts and probabilities as they are
    /// (Lakshminarayanan et al. 2017, section 2.4); a single one as it is. And how much they differ.
    ///
    /// # Errors
    /// If the loss does not suit the predictions.
    pub fn finish(self, target: &FittedTarget, loss: &Loss) -> Result<(Predictions, Spread), TrainError> {
        let classes = target.classes().len();
        let spread = Spread {
            deviation: self
                .own
                .iter()
                .map(|(_, s)| (s / (self.count as f64 - 1.0).max(1.0)).sqrt())
                .collect(),
            information: match classes {
                0 => vec![],
                _ => {
                    let rows = self.means.chunks(classes).zip(&self.entropies);
                    rows.map(|(p, sum)| (entropy(p) - sum / self.count as f64).max(0.0)).collect()
                }
            },
        };
        if self.count < 2 {
            return Ok((self.first, spread));
        }
        let raw: Vec<f32> = match (classes, self.first.outputs) {
            (0, _) if loss.has_log_link() => self.means.iter().map(|mean| mean.ln() as f32).collect(),
            (0, _) => self.means.iter().map(|mean| *mean as f32).collect(),
            (_, 1) => self.means.chunks(2).map(|p| (p[1].ln() - p[0].ln()) as f32).collect(),
            _ => self.means.iter().map(|p| p.ln().max(LEAST) as f32).collect(),
        };
        let mut mean = Predictions { raw, temperature: None, parts: vec![], ..self.first };
        // A logit whose other probability vanished is not finite.
        mean.raw.iter_mut().for_each(|y| *y = y.clamp(-f32::MAX, f32::MAX));
        mean.losses = losses(&mean, loss)?;
        Ok((mean, spread))
    }
}

/// The logarithm of a probability that vanished.
const LEAST: f64 = -750.0;

/// In nats.
fn entropy(p: &[f64]) -> f64 {
    -p.iter().filter(|p| **p > 0.0).map(|p| p * p.ln()).sum::<f64>()
}

/// The loss of each row, by the definition that training uses.
fn losses(predictions: &Predictions, loss: &Loss) -> Result<Vec<f32>, TrainError> {
    const ROWS: usize = 1024;
    let outputs = predictions.outputs.max(1);
    let rows = predictions.raw.len() / outputs;
    let targets = predictions.truth.len() / rows.max(1);
    let mut all = Vec::with_capacity(rows);
    for first in (0..rows).step_by(ROWS) {
        let count = ROWS.min(rows - first);
        let mut graph = Graph::new();
        let p = graph.source(Source::Batch("predictions".into()), &[count, outputs], DType::F32)?;
        let (shape, kind) =
            if loss.wants_labels() { (vec![count], DType::U32) } else { (vec![count, targets], DType::F32) };
        let y = graph.source(Source::Batch("target".into()), &shape, kind)?;
        let (losses, _) = loss.build(&mut graph, p, y)?;
        let raw = predictions.raw[first * outputs..(first + count) * outputs].iter();
        let truth = predictions.truth[first * targets..(first + count) * targets].to_vec();
        let bound = BTreeMap::from([
            (p, Tensor::new(vec![count, outputs], raw.map(|y| f64::from(*y)).collect())),
            (y, Tensor::new(shape, truth)),
        ]);
        let found = reference::evaluate(&graph, &bound, &EvalContext::default(), &[losses]);
        let found = found.map_err(|e| TrainError::Input(e.to_string()))?;
        all.extend(found.iter().flat_map(|tensor| &tensor.data).map(|x| *x as f32));
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::FittedScaling;

    fn mixed(each: &[Predictions], target: &FittedTarget, loss: &Loss) -> (Predictions, Spread) {
        let mut mixture = Mixture::default();
        each.iter().for_each(|predictions| mixture.add(predictions.clone(), target));
        mixture.finish(target, loss).unwrap()
    }

    fn of(raw: &[f32], outputs: usize, truth: &[f64]) -> Predictions {
        Predictions {
            raw: raw.to_vec(),
            outputs,
            truth: truth.to_vec(),
            losses: vec![0.125; truth.len()],
            ..Predictions::default()
        }
    }

    #[test]
    fn numbers_are_averaged_and_their_deviation_is_in_own_units() {
        let scaling = FittedScaling::Affine { shift: 10.0, scale: 2.0 };
        let target = FittedTarget::Number { name: "y".into(), scaling };
        let each = [
            of(&[1.0, 0.0], 1, &[0.0, 0.0]),
            of(&[2.0, 0.0], 1, &[0.0, 0.0]),
            of(&[6.0, 0.0], 1, &[0.0, 0.0]),
        ];
        let (mean, spread) = mixed(&each, &target, &Loss::Mse {});
        assert_eq!(mean.raw, [3.0, 0.0]);
        assert_eq!(mean.losses, [9.0, 0.0]);
        // 2, 4 and 12 around their mean 6.
        assert!((spread.deviation[0] - 28f64.sqrt()).abs() < 1e-12 && spread.deviation[1] == 0.0);
        let (one, alone) = mixed(&each[..1], &target, &Loss::Mse {});
        assert_eq!((one, alone.deviation), (each[0].clone(), vec![0.0, 0.0]));
    }

    #[test]
    fn counts_are_averaged_as_counts() {
        let target = FittedTarget::Rate { name: "y".into() };
        let (a, b) = (of(&[0.0], 1, &[2.0]), of(&[3f32.ln()], 1, &[2.0]));
        let loss = Loss::Poisson { offset: None };
        let (mean, spread) = mixed(&[a, b], &target, &loss);
        assert!((mean.values(&target)[0] - 2.0).abs() < 1e-6);
        assert!((f64::from(mean.losses[0]) - (2.0 - 2.0 * 2f64.ln())).abs() < 1e-6);
        assert!((spread.deviation[0] - 2f64.sqrt()).abs() < 1e-6);
    }

    #[test]
    fn probabilities_are_averaged_and_the_information_is_what_models_disagree_on() {
        let names = ["a", "b", "c"].map(String::from).to_vec();
        let target = FittedTarget::Classes { name: "y".into(), names };
        let log = |p: [f32; 3]| p.map(f32::ln);
        let (sure, other) = (log([0.8, 0.1, 0.1]), log([0.1, 0.8, 0.1]));
        let loss = Loss::CrossEntropy { class_weights: Default::default(), label_smoothing: 0.0 };
        let (mean, spread) = mixed(&[of(&sure, 3, &[1.0]), of(&other, 3, &[1.0])], &target, &loss);
        let p = mean.probabilities();
        assert!((p[0][0] - 0.45).abs() < 1e-6 && (p[0][2] - 0.1).abs() < 1e-6);
        assert!((f64::from(mean.losses[0]) + 0.45f64.ln()).abs() < 1e-6);
        let h = |p: &[f64]| -p.iter().map(|p| p * p.ln()).sum::<f64>();
        let expected = h(&[0.45, 0.45, 0.1]) - h(&[0.8, 0.1, 0.1]);
        assert!((spread.information[0] - expected).abs() < 1e-6);
        let (_, alike) = mixed(&[of(&sure, 3, &[1.0]), of(&sure, 3, &[1.0])], &target, &loss);
        assert!(alike.information[0] < 1e-9);
    }

    #[test]
    fn two_classes_with_one_logit() {
        let target = FittedTarget::Binary { name: "y".into(), names: ["n".into(), "y".into()] };
        let loss = Loss::BceWithLogits { pos_weight: Default::default() };
        let (mean, _) = mixed(&[of(&[0.0], 1, &[1.0]), of(&[3f32.ln()], 1, &[1.0])], &target, &loss);
        assert!((mean.probabilities()[0][1] - 0.625).abs() < 1e-6);
        // So sure that one minus the probability vanished.
        let (mean, _) = mixed(&[of(&[800.0], 1, &[1.0]), of(&[900.0], 1, &[1.0])], &target, &loss);
        assert!(mean.raw[0].is_finite() && mean.probabilities()[0][1] == 1.0);
    }
}
