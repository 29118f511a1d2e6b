//! Keys of the `unet` family in the `[model]` table.

use super::{Family, ModelConfig, Named};
use crate::nn::layers::{Layer as _, Unet};

/// Default channels at each size.
const CHANNELS: [usize; 4] = [32, 64, 128, 256];
/// The name of the output layer, as in `Pytorch-UNet`.
pub(super) const OUTPUT: &str = "outc.conv";

impl ModelConfig {
    /// The network before its output layer.
    pub(super) fn u_shaped(&self) -> Vec<Named> {
        let channels = self.channels.clone().unwrap_or_else(|| CHANNELS.to_vec());
        vec![Named::new("", Unet { channels })]
    }

    pub(super) fn fill_in_u_shaped(&mut self) {
        self.channels.get_or_insert(CHANNELS.to_vec());
    }
}

/// The first key that is out of range, or that it does not read.
pub(crate) fn check(model: &ModelConfig) -> Result<(), (&'static str, String)> {
    if model.family != Family::Unet || !model.layers.is_empty() {
        return Ok(());
    }
    let channels = model.channels.clone().unwrap_or_else(|| CHANNELS.to_vec());
    Unet { channels }.check().map_err(|reason| ("model.channels", reason))?;
    if model.kernel.is_some() {
        let reason = "is not read by `family = \"unet\"`, whose convolutions are 3 x 3; remove the key";
        return Err(("model.kernel", reason.into()));
    }
    super::unread::check_named(model)
}
