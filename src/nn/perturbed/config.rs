//! The `[train.adversarial]` table.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How distances between inputs are measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Norm {
    /// The largest change.
    #[default]
    #[serde(rename = "linf")]
    Infinity,
    /// The root of the sum of squared changes.
    #[serde(rename = "l2")]
    Two,
}

impl Norm {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Infinity => "linf",
            Self::Two => "l2",
        }
    }
}

/// How inputs are changed during adversarial training, and what is minimised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// One step of 1.25 radii from a random start (Wong, Rice and Kolter 2020, arXiv:2001.03994).
    Fgsm,
    /// The loss at the points that projected gradient descent finds (Madry et al. 2018, arXiv:1706.06083).
    Pgd,
    /// The loss at the rows themselves, and `beta` times the Kullback-Leibler divergence of the predictions
    /// there from those nearby, where descent makes it largest (Zhang et al. 2019, arXiv:1901.08573); for classes.
    Trades,
}

/// Train on inputs that are changed, within a radius, so that the loss becomes larger: the model that comes of it
/// holds up better when inputs are noisy, wrong or attacked, and is usually a little worse where they are not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table such as { method = \"pgd\", radius = 0.1 }")]
pub struct AdversarialTraining {
    /// How inputs are changed: `"fgsm"`, `"pgd"` or `"trades"`.
    #[serde(default = "default_method")]
    pub method: Method,
    /// How far, in the units of `gridlight robustness`: of a column, its standard deviation over the training rows; of
    /// a pixel, the distance from black to white. Categories, dates and booleans stay as they are, and no number
    /// leaves the range of the training rows.
    pub radius: f64,
    /// How the distance is measured: `"linf"`, each number by itself, or `"l2"`, all together.
    #[serde(default)]
    pub norm: Norm,
    /// Steps of `pgd` and `trades`, each 2.5 radii divided by their number; every one costs a forward and a backward
    /// pass.
    #[serde(default = "default_steps")]
    pub steps: usize,
    /// `trades`: the weight of the divergence.
    #[serde(default = "default_beta")]
    pub beta: f64,
}

fn default_method() -> Method {
    Method::Pgd
}

fn default_steps() -> usize {
    7
}

fn default_beta() -> f64 {
    6.0
}

impl AdversarialTraining {
    /// The first key with an invalid value, and what is wrong with it.
    pub fn problem(&self) -> Option<(&'static str, String)> {
        const MOST: usize = 50;
        let positive = |x: f64| x.is_finite() && x > 0.0 && (x as f32).is_normal();
        if !positive(self.radius) {
            let reason = format!("= {} must be a finite number above 0", self.radius);
            return Some(("train.adversarial.radius", reason));
        }
        if !(1..=MOST).contains(&self.steps) {
            return Some(("train.adversarial.steps", format!("= {} is not in 1..={MOST}", self.steps)));
        }
        if !positive(self.beta) {
            return Some((
                "train.adversarial.beta",
                format!("= {} must be a finite number above 0", self.beta),
            ));
        }
        if self.method == Method::Fgsm && self.steps != default_steps() {
            return Some(("train.adversarial.steps", "is not for method = \"fgsm\", which takes one".into()));
        }
        if self.method != Method::Trades && self.beta != default_beta() {
            return Some(("train.adversarial.beta", "is only for method = \"trades\"".into()));
        }
        None
    }

    /// Number of steps, and the length of each in radii.
    pub(super) fn descent(&self) -> (usize, f64) {
        match self.method {
            Method::Fgsm => (1, 1.25),
            Method::Pgd | Method::Trades => (self.steps, 2.5 / self.steps as f64),
        }
    }
}
