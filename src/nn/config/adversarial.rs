//! Keys of the `gan` family in the `[model]` table.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Family, ModelConfig};
use crate::nn::layers::{LayerConfig, Pair};

/// What generator and discriminator minimise. `D` is the discriminator's score of a row, `x` a real row and
/// `g` a generated one; all are means over a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GanLoss {
    /// `-ln sigmoid(D(x)) - ln(1 - sigmoid(D(g)))`; the generator's, which does not saturate, is
    /// `-ln sigmoid(D(g))` (Goodfellow et al. 2014, arXiv:1406.2661).
    #[default]
    Original,
    /// `(D(x) - 1)^2 / 2 + D(g)^2 / 2`; the generator's is `(D(g) - 1)^2 / 2` (Mao et al. 2017,
    /// arXiv:1611.04076).
    LeastSquares,
    /// `D(g) - D(x)`, the generator's is `-D(g)`; every weight of the critic is kept within `clip` (Arjovsky
    /// et al. 2017, arXiv:1701.07875).
    Wasserstein,
    /// `D(g) - D(x) + penalty (|D'| - 1)^2` with the length of the critic's gradient at rows between real and
    /// generated ones; the generator's is `-D(g)` (Gulrajani et al. 2017, arXiv:1704.00028).
    WassersteinGp,
}

impl GanLoss {
    /// Whether the discriminator is a critic, whose scores estimate a distance.
    pub fn is_wasserstein(self) -> bool {
        matches!(self, Self::Wasserstein | Self::WassersteinGp)
    }

    /// The name in an experiment.
    pub fn name(self) -> &'static str {
        match self {
            Self::Original => "original",
            Self::LeastSquares => "least_squares",
            Self::Wasserstein => "wasserstein",
            Self::WassersteinGp => "wasserstein_gp",
        }
    }
}

/// What a generator's output layer ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OutputRange {
    /// Any number.
    Linear,
    /// The logistic function: numbers in 0..1.
    Sigmoid,
}

/// The settings of a `gan`, with defaults filled in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adversarial {
    /// Dimension of the latent code.
    pub latent: usize,
    /// What both parts minimise.
    pub loss: GanLoss,
    /// Bound of the critic's weights (`wasserstein`).
    pub clip: f64,
    /// Factor of the gradient penalty (`wasserstein_gp`).
    pub penalty: f64,
    /// Steps of the discriminator before each of the generator.
    pub critic_steps: usize,
    /// Whether the discriminator's weights are divided by how far they lengthen vectors.
    pub spectral_norm: bool,
    /// Decay of the running average of the generator's weights; 0 for none.
    pub average: f64,
    /// Whether both parts read the class in `data.target`.
    pub conditional: bool,
    /// What the generator's output layer ends with.
    pub output: OutputRange,
}

impl Adversarial {
    /// Decay of the running average at step `step`, counted from 1: `(step - 1) / (step + 9)` up to `average`, so
    /// that early weights, which are far off, are soon forgotten; the first step takes the weights as they are.
    pub fn decay(&self, step: u64) -> f64 {
        self.average.min(step.saturating_sub(1) as f64 / (step as f64 + 9.0))
    }
}

/// Default dimension of a code.
const LATENT: usize = 64;
/// Default decay of the running average.
const AVERAGE: f64 = 0.999;

impl ModelConfig {
    /// The settings of a `gan`; `None` for other families.
    pub fn adversarial(&self) -> Option<Adversarial> {
        let loss = self.gan_loss.unwrap_or_default();
        (self.family == Family::Gan).then(|| Adversarial {
            latent: self.latent.unwrap_or(LATENT),
            loss,
            clip: self.clip.unwrap_or(0.01),
            penalty: self.penalty.unwrap_or(10.0),
            critic_steps: self.critic_steps.unwrap_or(if loss.is_wasserstein() { 5 } else { 1 }),
            spectral_norm: self.spectral_norm.unwrap_or(false),
            average: self.average.unwrap_or(AVERAGE),
            conditional: self.conditional.unwrap_or(false),
            output: self.output.unwrap_or(OutputRange::Linear),
        })
    }

    /// Batches of rows that a training step reads one after the other.
    pub fn batches_per_step(&self) -> usize {
        self.adversarial().map_or(1, |gan| gan.critic_steps)
    }

    /// Fills in the defaults of a `gan` for missing keys; that of `output` follows from the data.
    pub(super) fn fill_in_adversarial(&mut self) {
        let Some(gan) = self.adversarial() else { return };
        if self.mirrored() {
            let channels = self.channels.get_or_insert_default();
            if !channels.is_empty() {
                self.kernel.get_or_insert(Pair::Both(4));
            }
        }
        self.latent = Some(gan.latent);
        self.gan_loss = Some(gan.loss);
        match gan.loss {
            GanLoss::Wasserstein => self.clip = Some(gan.clip),
            GanLoss::WassersteinGp => self.penalty = Some(gan.penalty),
            _ => {}
        }
        self.critic_steps = Some(gan.critic_steps);
        self.average = Some(gan.average);
        self.conditional = Some(gan.conditional);
    }

    /// Whether a part of a `gan` has the layers that `hidden` and `channels` say.
    pub(crate) fn mirrored(&self) -> bool {
        self.generator.is_empty() || self.discriminator.is_empty()
    }

    /// The layers of one's own of both parts of a `gan`, with their keys.
    pub(crate) fn parts(&self) -> [(&'static str, &[LayerConfig]); 2] {
        [("model.generator", &self.generator), ("model.discriminator", &self.discriminator)]
    }

    /// The first key of this family alone that is set.
    pub(crate) fn adversarial_key(&self) -> Option<&'static str> {
        let given = [
            ("model.gan_loss", self.gan_loss.is_some()),
            ("model.clip", self.clip.is_some()),
            ("model.penalty", self.penalty.is_some()),
            ("model.critic_steps", self.critic_steps.is_some()),
            ("model.spectral_norm", self.spectral_norm.is_some()),
            ("model.average", self.average.is_some()),
            ("model.features", self.features.is_some()),
            ("model.output", self.output.is_some()),
            ("model.generator", !self.generator.is_empty()),
            ("model.discriminator", !self.discriminator.is_empty()),
        ];
        given.into_iter().find(|(_, given)| *given).map(|(key, _)| key)
    }
}
