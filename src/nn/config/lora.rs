//! The `model.lora` table.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Family, Head, ModelConfig};
use crate::base::number::is_positive;
use crate::nn::patterns::Patterns;

/// The name of a new last layer of an imported network.
pub const HEAD: &str = "head";
/// Ends of the names of adapters, as PEFT's.
pub const ENDS: [&str; 2] = [".lora_A.weight", ".lora_B.weight"];

/// Low-rank adapters: only they are trained, all other parameters remain as they are (Hu et al. 2021,
/// arXiv:2106.09685).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table such as { rank = 8, alpha = 16 }")]
pub struct LoraConfig {
    /// Rank of what is added to a weight.
    #[serde(default = "eight")]
    pub rank: usize,
    /// What is added is multiplied by `alpha / rank`.
    #[serde(default = "default_alpha")]
    pub alpha: f64,
    /// Names of the dense layers and of the projections of attention that have adapters, in which `*` stands for any
    /// text: `["*.self_attn", "*.linear1"]`; by default all. Those of an imported network are called as the weight that
    /// they multiply by, less `.weight`.
    #[serde(default = "all")]
    pub layers: Vec<String>,
    /// Names of parameters that are trained as a whole besides, such as those of a new output layer (PEFT's
    /// `modules_to_save`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trained: Vec<String>,
}

fn eight() -> usize {
    8
}

fn default_alpha() -> f64 {
    8.0
}

fn all() -> Vec<String> {
    vec!["*".into()]
}

/// Maximum rank.
const MAX_RANK: usize = 1024;

impl LoraConfig {
    /// The factor of what is added to a weight.
    pub fn scale(&self) -> f64 {
        self.alpha / self.rank.max(1) as f64
    }

    /// What training leaves as it is: all but the adapters, what is trained besides, and a new last layer, which has
    /// learnt nothing that could be adapted.
    pub fn frozen(&self, head: Option<Head>) -> Patterns {
        let adapters = ENDS.iter().map(|end| format!("*{end}"));
        let new = (head == Some(Head::New)).then(|| format!("{HEAD}.*"));
        let trained: Vec<String> = adapters.chain(self.trained.iter().cloned()).chain(new).collect();
        // Checked when the experiment was read.
        Patterns::new(&all()).and_then(|all| all.except(&trained)).unwrap_or_default()
    }
}

/// The first key that is out of range, or does not go with the family.
pub(crate) fn check(model: &ModelConfig, freezes: bool) -> Result<(), (&'static str, String)> {
    let Some(lora) = &model.lora else { return Ok(()) };
    let refuse = |reason: String| Err(("model.lora", reason));
    if matches!(model.family, Family::Gan | Family::Vae) {
        return refuse("is for networks that predict, without `vae` and `gan`".into());
    }
    if freezes {
        return refuse("leaves all but the adapters as they are; remove train.freeze".into());
    }
    if !(1..=MAX_RANK).contains(&lora.rank) {
        return refuse(format!("has rank = {}; allowed are 1 to {MAX_RANK}", lora.rank));
    }
    if !is_positive(lora.alpha) {
        return refuse(format!("has alpha = {}, which is not a finite number above 0", lora.alpha));
    }
    if lora.layers.is_empty() {
        return refuse("has no layers; leave the key out for all".into());
    }
    for names in [&lora.layers, &lora.trained] {
        Patterns::new(names).map_err(|reason| ("model.lora", reason))?;
    }
    Ok(())
}
