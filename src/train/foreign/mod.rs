//! Weights in files of others: safetensors of any precision and in several parts, and PyTorch's own files.

pub mod pickle;
mod safetensors_parts;
mod torch;

use std::io::Read;
use std::path::Path;

use super::TrainError;
use super::checkpoint::{self, Meta, NamedTensor};
use crate::base::input;

/// Named tensors, and what a checkpoint has besides them.
pub type Weights = (Vec<NamedTensor>, Option<Meta>);

/// Reads weights: a checkpoint or a `.safetensors` file, the `.index.json` of one in several parts, or a file of
/// `torch.save`, of which no code is run.
///
/// # Errors
/// If the file is none of these, or damaged.
pub fn load(path: &Path) -> Result<Weights, TrainError> {
    let io = |e: std::io::Error| TrainError::io(path, &e);
    input::refuse_special(path).map_err(|reason| TrainError::unusable(path, reason))?;
    let mut start = vec![];
    std::fs::File::open(path).map_err(io)?.take(9).read_to_end(&mut start).map_err(io)?;
    match start[..] {
        [b'P', b'K', 3, 4, ..] => Ok((torch::load(path)?, None)),
        [0x80, 1..=5, ..] => Err(TrainError::unusable(
            path,
            "is a file of PyTorch before 1.6, or a plain pickle; save it again with torch.save(model.state_dict(), ...)",
        )),
        [b'{', ..] => Ok((safetensors_parts::load(path)?, None)),
        // The length of the header in eight bytes, then its JSON.
        [.., b'{'] if start.len() == 9 => checkpoint::load(path),
        // The first field of an ONNX file is the number of its format, below 128.
        [8, 1..=127, ..] => Err(TrainError::unusable(
            path,
            "looks like an ONNX model; name it in `model.from`, and training starts from its weights",
        )),
        _ => Err(TrainError::unusable(
            path,
            "is no file of weights; give a .safetensors file, the .index.json of one in several parts, or a file of \
             torch.save",
        )),
    }
}

/// A tensor that is kept, with numbers that are finite.
fn check_finite(path: &Path, name: &str, data: &[f32]) -> Result<(), TrainError> {
    match data.iter().position(|x| !x.is_finite()) {
        Some(at) => Err(TrainError::unusable(
            path,
            format!("tensor `{name:.120}` holds {} at element {at}", data[at]),
        )),
        None => Ok(()),
    }
}
