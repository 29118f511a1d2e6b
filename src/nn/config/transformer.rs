//! Keys of the `transformer` family in the `[model]` table.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Family, ModelConfig};
use crate::nn::layers::keys::{check_units, default_eps};
use crate::nn::layers::tokens::four;
use crate::nn::layers::{
    GlobalPool, LayerConfig, LayerNorm, Pooling, Position, Positions, Tokens, Transformer,
};

/// How a `transformer` knows where a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// A trained vector for each position.
    Learned,
    /// Sines and cosines of the position.
    Sinusoidal,
    /// Queries and keys rotated by their position.
    Rotary,
    /// Scores that fall with how far apart tokens are.
    Alibi,
    /// It does not: tokens are a set.
    None,
}

/// What the tokens of a `transformer` are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokensOf {
    /// Symbols, already embedded; each predicts the next.
    Text,
    /// Symbols, already embedded; those that are hidden are predicted from all others.
    Masked,
    /// Symbols of a row's text, already embedded, which predict one target together.
    Documents,
    /// Steps of a series.
    Steps,
    /// Patches of images.
    Patches,
    /// The numbers of a row, which have no order.
    Numbers,
}

const WIDTH: usize = 64;
const HEADS: usize = 4;
const BLOCKS: usize = 2;

impl ModelConfig {
    /// The hidden layers for tokens of a kind.
    pub(crate) fn layers_of(&self, tokens: TokensOf) -> Vec<LayerConfig> {
        if self.family != Family::Transformer || !self.layers.is_empty() {
            let mut layers = self.hidden_layers();
            if tokens == TokensOf::Documents && self.family == Family::Mlp && self.layers.is_empty() {
                // The mean of a text's symbols.
                layers.insert(0, GlobalPool { kind: Pooling::Average }.into());
            }
            return layers;
        }
        let embedded = matches!(tokens, TokensOf::Text | TokensOf::Masked | TokensOf::Documents);
        let mut layers: Vec<LayerConfig> = vec![];
        if !embedded {
            let patch = self.patch.unwrap_or(four());
            layers.push(Tokens { width: self.token_width(), patch }.into());
        }
        let order = match tokens {
            TokensOf::Numbers => Order::None,
            _ => self.positions.unwrap_or(Order::Learned),
        };
        match order {
            Order::Learned => layers.push(Position { kind: Positions::Learned }.into()),
            Order::Sinusoidal => layers.push(Position { kind: Positions::Sinusoidal }.into()),
            Order::Rotary | Order::Alibi | Order::None => {}
        }
        for _ in 0..self.blocks.unwrap_or(BLOCKS) {
            let block = Transformer {
                heads: self.heads.unwrap_or(HEADS),
                hidden: self.feed_forward,
                dropout: self.dropout,
                activation: self.activation,
                norm_first: true,
                causal: tokens == TokensOf::Text,
                rotary: order == Order::Rotary,
                alibi: order == Order::Alibi,
                eps: default_eps(),
            };
            layers.push(block.into());
        }
        layers.push(LayerNorm { eps: default_eps() }.into());
        if !matches!(tokens, TokensOf::Text | TokensOf::Masked) {
            layers.push(GlobalPool { kind: Pooling::Average }.into());
        }
        layers
    }

    /// Features of the tokens of a `transformer`.
    pub(crate) fn token_width(&self) -> usize {
        self.width.unwrap_or(WIDTH)
    }

    pub(super) fn fill_in_transformer(&mut self) {
        self.width.get_or_insert(WIDTH);
        self.heads.get_or_insert(HEADS);
        self.blocks.get_or_insert(BLOCKS);
        self.positions.get_or_insert(Order::Learned);
    }
}

/// The first key that is out of range, or that belongs to another family.
pub(crate) fn check(model: &ModelConfig) -> Result<(), (&'static str, String)> {
    let given = [
        ("model.width", model.width.is_some()),
        ("model.heads", model.heads.is_some()),
        ("model.blocks", model.blocks.is_some()),
        ("model.feed_forward", model.feed_forward.is_some()),
        ("model.patch", model.patch.is_some()),
        ("model.tied", model.tied.is_some()),
        ("model.positions", model.positions.is_some()),
    ];
    if model.family != Family::Transformer || !model.layers.is_empty() {
        return match given.iter().find(|(_, given)| *given) {
            Some((key, _)) => {
                let reason =
                    "is a key of `family = \"transformer\"` without layers; set the family or remove the key";
                Err((key, reason.into()))
            }
            None => Ok(()),
        };
    }
    if model.hidden != super::default_hidden() {
        let reason = "is no key of `family = \"transformer\"`: its size is `width` (features of a token), `blocks` and \
                      `feed_forward` (units between the dense layers of a block)";
        return Err(("model.hidden", reason.into()));
    }
    if let (Some(true), Some(width)) = (model.tied, model.embedding_width)
        && width != model.token_width()
    {
        let reason = format!(
            "= {width} is not `width` = {}, which the output layer of a `tied` model reads; remove the key",
            model.token_width()
        );
        return Err(("model.embedding_width", reason));
    }
    if model.norm != super::Norm::None {
        let reason = "is no key of `family = \"transformer\"`, which has layer normalisation; remove it";
        return Err(("model.norm", reason.into()));
    }
    let (width, heads) = (model.token_width(), model.heads.unwrap_or(HEADS));
    check_units(width).map_err(|reason| ("model.width", reason))?;
    if let Some(units) = model.feed_forward {
        check_units(units).map_err(|reason| ("model.feed_forward", reason))?;
    }
    if model.patch.is_some_and(|patch| patch.get().contains(&0)) {
        return Err(("model.patch", "must be at least 1 pixel".into()));
    }
    if !(1..=256).contains(&model.blocks.unwrap_or(BLOCKS)) {
        return Err(("model.blocks", "must be 1 to 256".into()));
    }
    if heads == 0 || !width.is_multiple_of(heads) {
        let reason = format!("= {heads} does not divide `width` = {width} evenly");
        return Err(("model.heads", reason));
    }
    let layers = model.layers_of(TokensOf::Steps);
    layers.iter().try_for_each(|layer| layer.layer().check().map_err(|reason| ("model.family", reason)))
}
