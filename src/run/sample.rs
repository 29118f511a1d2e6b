//! Samples of a generative model: rows or images from an autoencoder, or texts.

use std::path::Path;

use super::opened::open;
use crate::device::Device;
pub use crate::tasks::{Drawn, Request};
use crate::train::{TrainError, output};

/// Draws samples with the best weights of `run`.
///
/// # Errors
/// If the run cannot be read or its model generates nothing, an option does not apply to the model or is out
/// of range, or the device fails.
pub fn draw(run: &Path, request: &Request, device: &dyn Device) -> Result<Drawn, TrainError> {
    let opened = open(run)?;
    opened.task().sample(&opened.trained(device), request)
}

/// Draws samples as [`draw`] does, and writes them to the file in `request`.
///
/// # Errors
/// As for [`draw`], and if the output cannot be written.
pub fn sample(run: &Path, request: &Request, device: &dyn Device) -> Result<Drawn, TrainError> {
    let drawn = draw(run, request, device)?;
    if let (Drawn::File(_, bytes), Some(path)) = (&drawn, request.output) {
        output::write(path, bytes)?;
    }
    Ok(drawn)
}
