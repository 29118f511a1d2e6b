//! Networks: layers, losses and initialisation; from an experiment's model to graphs.

mod adapted;
pub mod arrangement;
mod cache;
mod class_weights;
pub mod config;
pub mod focal;
pub mod frozen;
pub mod gan;
pub mod imported;
pub mod init;
pub mod inputs;
pub mod layers;
pub mod lora;
pub mod losses;
mod masked;
pub mod model;
pub mod network;
mod nodes;
mod on_graphs;
mod on_nodes;
pub mod patterns;
pub mod perturbed;
mod relative;
mod spectral;
mod supervised;
pub mod tensors;
mod text;
pub mod vae;

pub use gan::Gan;
pub use masked::Masked;
pub use model::{Model, ModelGraph, Opponent, Turn};
pub use supervised::{Dropping, Supervised};
pub use text::Language;
pub use vae::Vae;
