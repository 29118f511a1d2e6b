//! Attention rollout: which tokens a prediction of a transformer looks at through all of its layers (Abnar, Zuidema
//! 2020, arXiv:2005.00928).
//!
//! Of each layer, `A = (mean over heads of softmax(Q K^T scale) + I) / 2`, where the identity stands for the way past
//! the attention; the product of all layers, the last on the left, says how much of each token is in each token of
//! the end. A prediction has that of the tokens at the end which reach it, all alike where they are averaged.

use super::network::{Given, Network, Wanted};
use super::points::Points;
use super::response::Response;
use crate::train::TrainError;

/// How much of each token predictions have.
#[derive(Clone, Debug, PartialEq)]
pub struct Rollout {
    /// Tokens of a row.
    pub tokens: usize,
    /// `[rows, tokens]`, of each row summing to 1.
    pub values: Vec<f64>,
}

/// The rollout of each of `points`.
///
/// # Errors
/// If the model has no attention over tokens of its inputs, or the device fails.
pub fn rollout(network: &Network, points: &Points, response: &Response) -> Result<Rollout, TrainError> {
    let raw = network.probe(Wanted::Outputs, points.count)?.run(&points.x, Given::default())?.swap_remove(0);
    let focus = response.focus(&raw, points.count, None);
    let mut probe = network.probe(Wanted::Attention, points.count)?;
    let results = probe.run(&points.x, Given { selector: &focus.weights, ..Given::default() })?;
    let tokens = probe.width_of(0).isqrt();
    let per_token = probe.width_of(1) / tokens.max(1);
    let of_row = |(rolled, gradient): (&[f32], &[f32])| {
        // Through what follows the last attention, each token goes by itself: what has no gradient does not arrive.
        let arrives = |at: &usize| gradient[at * per_token..(at + 1) * per_token].iter().any(|g| *g != 0.0);
        let mut ends: Vec<usize> = (0..tokens).filter(arrives).collect();
        if ends.is_empty() {
            ends = (0..tokens).collect();
        }
        let of = |token: usize| {
            let sum: f64 = ends.iter().map(|end| f64::from(rolled[end * tokens + token])).sum();
            sum / ends.len() as f64
        };
        (0..tokens).map(of).collect::<Vec<f64>>()
    };
    let rows = results[0].chunks(tokens * tokens).zip(results[1].chunks(tokens * per_token));
    Ok(Rollout { tokens, values: rows.flat_map(of_row).collect() })
}
