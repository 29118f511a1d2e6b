//! What a fitted target is called, how many outputs predict it, and its own units.

use super::fitted::{FittedPixels, FittedTarget};
use super::scaling::FittedScaling;
use super::symbols::FittedText;
use crate::base::order::Order;

impl FittedTarget {
    /// Column name, if there is a target.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Absent | Self::Text(_) | Self::Pixels(_) => None,
            Self::Number { name, .. }
            | Self::Rate { name }
            | Self::Binary { name, .. }
            | Self::Classes { name, .. } => Some(name),
            Self::Numbers { columns, .. } => columns.first().map(String::as_str),
        }
    }

    /// Names of the columns; none if there is no target.
    pub fn columns(&self) -> Vec<&str> {
        match self {
            Self::Numbers { columns, .. } => columns.iter().map(String::as_str).collect(),
            other => other.name().into_iter().collect(),
        }
    }

    /// Number of model outputs for this target.
    pub fn outputs(&self) -> usize {
        match self {
            Self::Absent => 0,
            Self::Text(text) => text.symbols(),
            Self::Number { .. } | Self::Rate { .. } | Self::Binary { .. } => 1,
            Self::Classes { names, .. } => names.len(),
            Self::Numbers { columns, steps, .. } => columns.len() * steps,
            Self::Pixels(pixels) => pixels.shape.plane() * pixels.each(),
        }
    }

    /// Scaling of model output `at`, if it is a number.
    pub fn scaling(&self, at: usize) -> Option<&FittedScaling> {
        match self {
            Self::Number { scaling, .. } => Some(scaling),
            Self::Numbers { scalings, .. } => scalings.get(at % scalings.len().max(1)),
            Self::Pixels(pixels) => pixels.scaling.get(at / pixels.shape.plane().max(1)),
            Self::Absent | Self::Rate { .. } | Self::Binary { .. } | Self::Classes { .. } | Self::Text(_) => {
                None
            }
        }
    }

    /// The predicted numeric columns with their scalings; empty if the target is not numeric.
    pub fn numbers(&self) -> Vec<(&str, &FittedScaling)> {
        match self {
            Self::Number { name, scaling } => vec![(name, scaling)],
            Self::Rate { name } => vec![(name, &FittedScaling::None)],
            Self::Numbers { columns, scalings, .. } => {
                columns.iter().map(String::as_str).zip(scalings).collect()
            }
            Self::Absent | Self::Binary { .. } | Self::Classes { .. } | Self::Text(_) | Self::Pixels(_) => {
                vec![]
            }
        }
    }

    /// The names of the classes in label order; empty unless the target is a class.
    pub fn classes(&self) -> &[String] {
        match self {
            Self::Binary { names, .. } => names,
            Self::Classes { names, .. } => names,
            Self::Absent
            | Self::Number { .. }
            | Self::Rate { .. }
            | Self::Numbers { .. }
            | Self::Text(_)
            | Self::Pixels(_) => &[],
        }
    }

    /// The fitted text, if the target is its next symbol.
    pub fn text(&self) -> Option<&FittedText> {
        match self {
            Self::Text(text) => Some(text),
            Self::Absent
            | Self::Number { .. }
            | Self::Rate { .. }
            | Self::Numbers { .. }
            | Self::Binary { .. }
            | Self::Classes { .. }
            | Self::Pixels(_) => None,
        }
    }

    /// What is predicted of each pixel, if that is the target.
    pub fn pixels(&self) -> Option<&FittedPixels> {
        match self {
            Self::Pixels(pixels) => Some(pixels),
            _ => None,
        }
    }

    /// Number of labels, of rows or of pixels.
    pub fn labels(&self) -> usize {
        self.pixels().map_or(self.classes().len(), |pixels| pixels.classes.len())
    }

    /// Titles of a model's outputs: the columns, with the horizon if several steps are predicted.
    pub fn titles(&self) -> Vec<String> {
        match self {
            Self::Numbers { columns, steps, .. } if *steps > 1 => {
                let of = |step: usize| columns.iter().map(move |name| format!("{name} (+{})", step + 1));
                (0..*steps).flat_map(of).collect()
            }
            Self::Numbers { columns, .. } => columns.clone(),
            other => other.name().map(String::from).into_iter().collect(),
        }
    }

    /// Titles of `quantiles` of each output: `cars_q10 (+1)`. Without any, [`FittedTarget::titles`].
    pub fn quantile_titles(&self, quantiles: &[f64]) -> Vec<String> {
        if quantiles.is_empty() {
            return self.titles();
        }
        // Without the last digits of the rounding: 2.5, not 2.5000000000000004.
        let of = |title: String| {
            quantiles.iter().map(move |q| {
                let level = (q * 1e8).round() / 1e6;
                match title.rsplit_once(" (+") {
                    Some((name, step)) => format!("{name}_q{level} (+{step}"),
                    None => format!("{title}_q{level}"),
                }
            })
        };
        self.titles().into_iter().flat_map(of).collect()
    }

    /// What a model's output stands for, still scaled.
    pub fn linked(&self, output: f64) -> f64 {
        if let Self::Rate { .. } = self { output.exp() } else { output }
    }

    /// Converts scaled outputs `[rows, outputs]` to the target's own units.
    pub fn own_units(&self, scaled: impl Iterator<Item = f64>) -> Vec<f64> {
        let outputs = self.outputs().max(1);
        let invert = |(at, y): (usize, f64)| self.scaling(at % outputs).map_or(y, |s| s.invert(y));
        scaled.enumerate().map(invert).collect()
    }

    /// Orders the class labels by `names`; classes not listed keep their order and come first.
    pub(super) fn order_classes(&mut self, names: &[String]) {
        if let Self::Classes { names: known, .. } = self {
            known.order_by_key(|name| names.iter().position(|class| class == name));
        }
    }
}

impl FittedPixels {
    /// Outputs for each pixel: one for each class, or each channel.
    pub fn each(&self) -> usize {
        if self.classes.is_empty() { self.shape.channels } else { self.classes.len() }
    }
}
