//! Classes that are certain within a radius.

use super::{Judge, Request};
use crate::explain::found::Smoothing;
use crate::explain::smoothing::{ALPHA, certify};
use crate::run::opened::Opened;
use crate::run::studied::Studied;
use crate::train::TrainError;

/// Radii, in standard deviations of the noise: a thousand draws certify up to 2.46.
const RADII: [f64; 6] = [0.0, 0.5, 1.0, 1.5, 2.0, 2.4];

/// The part of the rows whose class is right and certain by radius, if `request` asks for it.
pub(super) fn certified(
    opened: &Opened,
    studied: &Studied,
    judge: &mut Judge,
    request: &Request,
) -> Result<Option<Smoothing>, TrainError> {
    let Some(deviation) = request.smoothing else { return Ok(None) };
    if opened.fitted.target.classes().is_empty() || opened.fitted.window.is_some() {
        return Err(
            opened.refuse("smoothing certifies classes of rows or pictures, and its model predicts none")
        );
    }
    if studied.room.scale.iter().all(|scale| *scale == 0.0) {
        return Err(
            opened.refuse("smoothing adds noise to numbers, and its model reads none that moves by degrees")
        );
    }
    let (points, settings) = (judge.points, (deviation, request.draws));
    let found =
        certify(&mut judge.probe, points, &studied.room, opened.fitted.threshold, settings, request.seed)?;
    let radii: Vec<f64> = RADII.iter().map(|radius| radius * deviation).collect();
    let right = |radius: f64| {
        let is_right = |(certificate, truth): &(&Option<(usize, f64)>, &f64)| {
            certificate.is_some_and(|(class, certain)| class as f64 == **truth && certain >= radius)
        };
        found.iter().zip(&points.truth).filter(is_right).count() as f64 / points.count.max(1) as f64
    };
    Ok(Some(Smoothing {
        deviation,
        draws: request.draws,
        confidence: 1.0 - ALPHA,
        abstained: found.iter().filter(|certificate| certificate.is_none()).count(),
        certified: radii.iter().map(|&radius| right(radius)).collect(),
        radii,
    }))
}
