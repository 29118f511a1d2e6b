//! Keys of the `tcn` family in the `[model]` table.

use super::transformer::TokensOf;
use super::{Family, ModelConfig, Named};
use crate::nn::layers::keys::three;
use crate::nn::layers::{GlobalPool, Pair, Pooling, TemporalBlock};

/// Default features of the blocks' steps.
const CHANNELS: [usize; 3] = [64; 3];
/// Most blocks: the dilation doubles with each.
const MAX_BLOCKS: usize = 16;

impl ModelConfig {
    /// The blocks of a `tcn`, then its last step, or all of them for a text.
    pub(super) fn temporal(&self, tokens: TokensOf) -> Vec<Named> {
        let block = |(at, &channels): (usize, &usize)| {
            let block = TemporalBlock {
                channels,
                kernel: self.kernel_size().get()[0],
                dilation: 1 << at.min(MAX_BLOCKS),
                dropout: self.dropout,
                weight_norm: true,
            };
            Named::new(format!("tcn.network.{at}"), block)
        };
        let channels = self.channels.as_deref().unwrap_or(&CHANNELS);
        let mut layers: Vec<Named> = channels.iter().enumerate().map(block).collect();
        if tokens != TokensOf::Text {
            layers.push(Named::new("last", GlobalPool { kind: Pooling::Last }));
        }
        layers
    }

    pub(super) fn fill_in_temporal(&mut self) {
        self.channels.get_or_insert(CHANNELS.to_vec());
        self.kernel.get_or_insert(three());
    }
}

/// The first key that is out of range.
pub(crate) fn check(model: &ModelConfig) -> Result<(), (&'static str, String)> {
    if model.family != Family::Tcn || !model.layers.is_empty() {
        return Ok(());
    }
    if let Some(Pair::Each(kernel)) = model.kernel {
        let reason =
            format!("= {kernel:?} has two numbers; a `tcn` reads along the steps alone, such as kernel = 3");
        return Err(("model.kernel", reason));
    }
    let blocks = model.channels.as_deref().unwrap_or(&CHANNELS).len();
    if !(1..=MAX_BLOCKS).contains(&blocks) {
        let reason = format!(
            "has {blocks} blocks; allowed are 1 to {MAX_BLOCKS}, because the dilation doubles with each"
        );
        return Err(("model.channels", reason));
    }
    for named in model.temporal(TokensOf::Steps) {
        named.layer.layer().check().map_err(|reason| ("model.channels", reason))?;
    }
    super::unread::check_named(model)
}
