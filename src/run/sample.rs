//! Samples of a generative model: rows or images from an autoencoder, or texts.

use std::path::Path;

use super::evaluate::open;
use crate::device::Device;
pub use crate::tasks::{Drawn, Request};
use crate::train::{TrainError, checkpoint};

/// Draws samples with the best weights of `run`, and writes them to the file in `request`.
///
/// # Errors
/// If the run cannot be read or its model generates nothing, an option does not apply to the model or is out
/// of range, the output cannot be written, or the device fails.
pub fn sample(run: &Path, request: &Request, device: &dyn Device) -> Result<Drawn, TrainError> {
    let opened = open(run)?;
    let drawn = opened.task().sample(&opened.trained(device), request)?;
    if let (Drawn::File(_, bytes), Some(output)) = (&drawn, request.output) {
        checkpoint::write_atomically(output, bytes)?;
    }
    Ok(drawn)
}
