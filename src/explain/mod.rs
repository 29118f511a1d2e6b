//! Why a model predicts what it does, and how far its predictions hold when its inputs are changed.
//!
//! Everything is computed on batches of *points*: rows of numbers in which categories are already embedded
//! ([`Space`]), so that any of them can be mixed, shifted and differentiated. A [`Network`] is the trained
//! model over points: its outputs, their gradients with respect to the inputs, and those of its losses.
//!
//! | module | method | source |
//! |---|---|---|
//! | [`permutation`] | permutation importance | Breiman 2001; scikit-learn's definition |
//! | [`path`](mod@path) | integrated gradients | Sundararajan, Taly, Yan 2017 |
//! | [`shapley`] | Shapley values, exact or sampled | Lundberg, Lee 2017; Strumbelj, Kononenko 2014 |
//! | [`curves`] | partial dependence, accumulated local effects | Friedman 2001; Apley, Zhu 2020 |
//! | [`pictures`] | saliency, SmoothGrad, Grad-CAM, occlusion | see there |
//! | [`rollout`](mod@rollout) | attention rollout | Abnar, Zuidema 2020 |
//! | [`attack`] | fast gradient sign, projected gradient descent, noise | Goodfellow 2015; Madry 2018 |
//! | [`smoothing`] | certified classes by randomised smoothing | Cohen, Rosenfeld, Kolter 2019 |
//! | [`stress`] | missing, shifted and scaled columns | |
//! | [`sensors`] | stuck, late and drifting sensors of series | |
//! | [`corruption`] | ImageNet-C's corruptions of pictures | Hendrycks, Dietterich 2019 |

pub mod attack;
mod attention;
pub mod corruption;
pub mod curves;
pub mod found;
pub mod network;
pub mod path;
pub mod permutation;
pub mod pictures;
pub mod points;
pub mod response;
pub mod rollout;
pub mod sensors;
pub mod shapley;
pub mod smoothing;
pub mod space;
pub mod stress;

pub use network::Network;
pub use points::Points;
pub use space::{Space, Unit};
