//! What of a prediction is explained: the probability of a class, or a value in the target's own units.

use crate::data::{FittedTarget, Members};
use crate::train::metrics::{Predictions, argmax};

/// What the outputs of a model stand for.
#[derive(Clone, Debug)]
pub struct Response<'a> {
    /// The target.
    pub target: &'a FittedTarget,
    /// The quantiles that each target has an output for; empty if outputs are no quantiles.
    pub quantiles: &'a [f64],
}

/// The weights of outputs in the sum that is explained of each row, `[rows, outputs]`, and the unit of the
/// sum.
#[derive(Clone, Debug, PartialEq)]
pub struct Focus {
    /// `[rows, outputs]`
    pub weights: Vec<f32>,
    /// What is added to the sum of each row for the value in the target's own units, `[rows]`.
    pub offsets: Vec<f64>,
    /// What the sum is, for people.
    pub what: String,
    /// Explained class of each row; empty for numbers.
    pub classes: Vec<usize>,
}

impl Response<'_> {
    /// What there is to explain: each class (of two, the positive one), or each predicted column and step.
    pub fn names(&self) -> Vec<String> {
        match self.target.classes() {
            [] => self.target.titles(),
            [_, positive] if self.target.outputs() == 1 => vec![format!("probability of {positive}")],
            names => names.iter().map(|name| format!("probability of {name}")).collect(),
        }
    }

    /// What is explained of each row, in a few words.
    pub fn subject(&self) -> String {
        match (self.target.classes(), &self.names()[..]) {
            ([], [one]) => one.clone(),
            ([], _) => format!("mean predicted {}", self.target.name().unwrap_or_default()),
            (_, [one]) => one.clone(),
            _ => "probability of the predicted class".into(),
        }
    }

    /// The values of [`Response::names`], `[rows, names]`, of model outputs.
    pub fn of(&self, raw: Vec<f32>, rows: usize) -> Vec<f64> {
        let outputs = raw.len() / rows.max(1);
        let quantiles = self.quantiles.to_vec();
        let predictions = Predictions { raw, outputs, quantiles, ..Predictions::default() };
        if self.target.classes().is_empty() {
            return predictions.values(self.target);
        }
        let probabilities = predictions.probabilities();
        match outputs {
            1 => probabilities.iter().map(|p| p[1]).collect(),
            _ => probabilities.concat(),
        }
    }

    /// For each row of outputs, the position among [`Response::names`] that is explained: the most probable
    /// class. `None` stands for the mean over all names.
    pub fn chosen(&self, values: &[f64]) -> Vec<Option<usize>> {
        let names = self.names().len().max(1);
        let pick = |row: &[f64]| match (self.target.classes().is_empty(), names) {
            (_, 1) => Some(0),
            (true, _) => None,
            (false, _) => Some(argmax(row)),
        };
        values.chunks(names).map(pick).collect()
    }

    /// Of values `[rows, names]`, the one that is chosen of each row.
    pub fn pick(&self, values: &[f64], chosen: impl Iterator<Item = Option<usize>>) -> Vec<f64> {
        let names = self.names().len().max(1);
        let of = |(row, at): (&[f64], Option<usize>)| match at {
            Some(at) => row[at],
            None => row.iter().sum::<f64>() / names as f64,
        };
        values.chunks(names).zip(chosen).map(of).collect()
    }

    /// The weighted sum of outputs whose gradient is taken: the logit of the most probable class, or of
    /// numbers the mean over predicted columns and steps (the median of quantiles), in the target's own units
    /// if its scaling is affine.
    pub fn focus(&self, raw: &[f32], rows: usize, members: Option<&Members>) -> Focus {
        let outputs = raw.len() / rows.max(1);
        let mut weights = vec![0.0; rows * outputs];
        if !self.target.classes().is_empty() {
            let classes = match outputs {
                1 => vec![1; rows],
                _ => raw
                    .chunks(outputs)
                    .map(|row| argmax(&row.iter().map(|&x| f64::from(x)).collect::<Vec<_>>()))
                    .collect(),
            };
            for (row, &class) in classes.iter().enumerate() {
                weights[row * outputs + if outputs == 1 { 0 } else { class }] = 1.0;
            }
            let what = match (self.target.classes(), outputs) {
                ([_, positive], 1) => format!("log-odds of {positive}"),
                _ => "logit of the predicted class".into(),
            };
            return Focus { weights, offsets: vec![0.0; rows], what, classes };
        }
        let levels = self.quantiles.len().max(1);
        let median = (0..levels)
            .min_by(|&a, &b| self.distance_from_median(a).total_cmp(&self.distance_from_median(b)))
            .unwrap_or(0);
        let values = outputs / levels;
        let (mut affine, mut offsets) = (true, vec![0.0; rows]);
        for row in 0..rows {
            for at in 0..values {
                let own = members.and_then(|m| m.scalings.get(*m.of.get(row)? as usize));
                let scaling = match own.filter(|own| !own.is_empty()) {
                    Some(own) => own.get(at % own.len()),
                    None => self.target.scaling(at),
                };
                let line = scaling.map_or(Some([1.0, 0.0]), line);
                affine &= line.is_some() && !matches!(self.target, FittedTarget::Rate { .. });
                let [scale, shift] = line.unwrap_or([1.0, 0.0]);
                let weight = scale / values as f64;
                offsets[row] += shift / values as f64;
                weights[row * outputs + at * levels + median] = weight as f32;
            }
        }
        let name = self.target.name().unwrap_or_default();
        let mean = if values > 1 { "mean predicted " } else { "" };
        let what = match (affine, self.target) {
            (true, _) => format!("{mean}{name}"),
            (false, FittedTarget::Rate { .. }) => format!("logarithm of {name}"),
            (false, _) => format!("{mean}{name}, scaled as in training"),
        };
        Focus { weights, offsets, what, classes: vec![] }
    }

    fn distance_from_median(&self, level: usize) -> f64 {
        self.quantiles.get(level).map_or(0.0, |q| (q - 0.5).abs())
    }
}

/// The own units of one scaled unit, if they are the same everywhere, and the value of a scaled 0.
fn line(scaling: &crate::data::FittedScaling) -> Option<[f64; 2]> {
    match scaling {
        crate::data::FittedScaling::None => Some([1.0, 0.0]),
        crate::data::FittedScaling::Affine { scale, shift } => Some([*scale, *shift]),
        _ => None,
    }
}
