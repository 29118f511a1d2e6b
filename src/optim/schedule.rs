//! Learning-rate schedules as functions of the step.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the learning rate changes over training; a linear warm-up may precede any schedule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(
    deny_unknown_fields,
    expecting = "a name such as \"cosine\", or a table such as { type = \"cosine\", warmup_steps = 100 }"
)]
pub struct Schedule {
    /// The schedule after the warm-up.
    #[serde(rename = "type", default)]
    pub kind: ScheduleKind,
    /// Steps of linear warm-up from 0; 0 for none.
    #[serde(default)]
    pub warmup_steps: u64,
    /// `step`: epochs between decays.
    #[serde(default = "default_every")]
    pub every_epochs: u64,
    /// `step`: factor at each decay.
    #[serde(default = "default_gamma")]
    pub gamma: f64,
    /// `cosine`: the final learning rate, as a fraction of the initial one.
    #[serde(default)]
    pub final_fraction: f64,
}

/// The form of a schedule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ScheduleKind {
    /// The same learning rate throughout.
    #[default]
    Constant,
    /// Multiplied by `gamma` every `every_epochs` epochs (PyTorch's `StepLR`).
    Step,
    /// Half a cosine down to `final_fraction` at the last step (Loshchilov and Hutter 2017,
    /// arXiv:1608.03983).
    Cosine,
}

fn default_every() -> u64 {
    10
}

fn default_gamma() -> f64 {
    0.1
}

impl Default for Schedule {
    fn default() -> Self {
        let (every_epochs, gamma) = (default_every(), default_gamma());
        Self { kind: ScheduleKind::Constant, warmup_steps: 0, every_epochs, gamma, final_fraction: 0.0 }
    }
}

impl Schedule {
    /// The names of all schedules.
    pub const NAMES: &[&str] = &["constant", "step", "cosine"];

    /// The schedule of this name with default settings.
    pub fn named(name: &str) -> Option<Self> {
        let kind = match name {
            "constant" => ScheduleKind::Constant,
            "step" => ScheduleKind::Step,
            "cosine" => ScheduleKind::Cosine,
            _ => return None,
        };
        Some(Self { kind, ..Self::default() })
    }

    /// A key that is set although another type reads it, and that type.
    pub fn unused(&self) -> Option<(&'static str, &'static str)> {
        let default = Self::default();
        let steps = self.kind != ScheduleKind::Step;
        if steps && self.every_epochs != default.every_epochs {
            return Some(("every_epochs", "step"));
        }
        if steps && self.gamma != default.gamma {
            return Some(("gamma", "step"));
        }
        let cosine = self.kind != ScheduleKind::Cosine && self.final_fraction != default.final_fraction;
        cosine.then_some(("final_fraction", "cosine"))
    }

    /// The learning rate at step `step` (counted from 1) of `total` steps, with `steps_per_epoch` per epoch.
    pub fn learning_rate(&self, first: f64, step: u64, steps_per_epoch: u64, total: u64) -> f64 {
        if step <= self.warmup_steps {
            return first * step as f64 / self.warmup_steps as f64;
        }
        match self.kind {
            ScheduleKind::Constant => first,
            ScheduleKind::Step => {
                let epoch = (step - 1) / steps_per_epoch.max(1);
                let decays = epoch / self.every_epochs.max(1);
                first * self.gamma.powi(i32::try_from(decays).unwrap_or(i32::MAX))
            }
            ScheduleKind::Cosine => {
                let span = total.saturating_sub(self.warmup_steps).max(1) as f64;
                let progress = ((step - 1 - self.warmup_steps) as f64 / span).clamp(0.0, 1.0);
                let wave = 0.5 * (1.0 + (std::f64::consts::PI * progress).cos());
                first * (self.final_fraction + (1.0 - self.final_fraction) * wave)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_follow_their_definitions() {
        let step = Schedule { kind: ScheduleKind::Step, every_epochs: 2, gamma: 0.5, ..Schedule::default() };
        let rates: Vec<f64> = (1..=6).map(|s| step.learning_rate(1.0, s, 1, 6)).collect();
        assert_eq!(rates, [1.0, 1.0, 0.5, 0.5, 0.25, 0.25]);
        let cosine = Schedule { kind: ScheduleKind::Cosine, warmup_steps: 2, ..Schedule::default() };
        let rates: Vec<f64> = (1..=6).map(|s| cosine.learning_rate(1.0, s, 1, 6)).collect();
        assert_eq!(rates[..3], [0.5, 1.0, 1.0]);
        assert!((rates[4] - 0.5).abs() < 1e-12 && rates[5] > 0.0 && rates[5] < rates[4]);
    }
}
