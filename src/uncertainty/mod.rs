//! How sure a prediction is: intervals and sets with a coverage that holds, the spread of several models, calibrated
//! probabilities, and how unlike the training rows a row is. In `f64`, on the host, from predictions.

pub mod adaptive;
pub mod calibration;
pub mod config;
pub mod coverage;
pub mod mixture;
pub mod novelty;
pub mod quantile;
pub mod scores;
mod stored;
pub mod temperature;
