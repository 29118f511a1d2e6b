//! Inputs changed within a radius so that predictions become worse: by noise, by one step along the gradient
//! of the loss (fast gradient sign method, Goodfellow et al. 2015), or by projected gradient descent (Madry
//! et al. 2018).
//!
//! Radii are in units of each input's own scale: of a column, its standard deviation over the training rows;
//! of a pixel, the distance from black to white. What cannot change by degrees (categories, dates) stays as
//! it is, and no number leaves the range that the training rows have.

use super::network::{Given, Network, Probe, Wanted};
use super::points::{Points, words};
use super::response::Response;
use crate::base::rng::{self, RandomKind, streams};
use crate::base::step::StepRecord;
pub use crate::nn::perturbed::{Norm, Room};
use crate::train::TrainError;
use crate::train::metrics::{argmax, decide};

/// How inputs are changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attack {
    /// Uniform in the box, or a random direction.
    Noise,
    /// One step along the gradient.
    Fgsm,
    /// Steps along the gradient, each followed by a projection into the radius, with several beginnings.
    Pgd {
        /// Steps from each beginning.
        steps: usize,
        /// Beginnings: the first at the row itself, the others at random.
        restarts: usize,
    },
}

impl Attack {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Noise => "noise",
            Self::Fgsm => "fgsm",
            Self::Pgd { .. } => "pgd",
        }
    }
}

/// The outputs of the model for attacked rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Attacked {
    /// `[rows, outputs]`
    pub raw: Vec<f32>,
    /// The changed points, `[rows, width]`.
    pub x: Vec<f32>,
    /// Loss of each row.
    pub losses: Vec<f32>,
}

/// An attack in progress.
pub struct Attacker<'a> {
    probe: Probe,
    points: &'a Points,
    room: &'a Room,
    width: usize,
    response: &'a Response<'a>,
    threshold: Option<f64>,
    seed: u64,
}

impl<'a> Attacker<'a> {
    /// Attacks `points`, which have targets.
    ///
    /// # Errors
    /// If the program does not fit the device, or the device fails.
    pub fn new(
        network: &Network,
        points: &'a Points,
        room: &'a Room,
        response: &'a Response<'a>,
        threshold: Option<f64>,
        seed: u64,
    ) -> Result<Self, TrainError> {
        let probe = network.probe(Wanted::Loss, points.count)?;
        Ok(Self { probe, points, room, width: network.space.width(), response, threshold, seed })
    }

    /// The rows changed within `radius` so that their losses grow. Of the points that gradient descent
    /// passes, each row's worst is kept: a wrong class if there is one, else the largest loss.
    ///
    /// # Errors
    /// If the device fails.
    pub fn run(&mut self, attack: Attack, norm: Norm, radius: f64) -> Result<Attacked, TrainError> {
        let clean = self.points.x.clone();
        match attack {
            Attack::Noise => {
                let x = self.random(norm, radius, 0, false);
                Ok(self.evaluate(x)?.0)
            }
            Attack::Fgsm => {
                let (_, gradient) = self.evaluate(clean.clone())?;
                let x = self.step(&clean, &gradient, norm, radius, radius);
                Ok(self.evaluate(x)?.0)
            }
            Attack::Pgd { steps, restarts } => {
                let mut worst: Option<Attacked> = None;
                for restart in 0..restarts.max(1) {
                    let mut x =
                        if restart == 0 { clean.clone() } else { self.random(norm, radius, restart, true) };
                    for _ in 0..steps {
                        let (found, gradient) = self.evaluate(x.clone())?;
                        self.keep(&mut worst, found);
                        x = self.step(&x, &gradient, norm, 2.5 * radius / steps as f64, radius);
                    }
                    let (found, _) = self.evaluate(x)?;
                    self.keep(&mut worst, found);
                }
                Ok(worst.unwrap_or(Attacked { raw: vec![], x: clean, losses: vec![] }))
            }
        }
    }

    /// Number of rows whose loss does not depend on what may move.
    ///
    /// # Errors
    /// If the device fails.
    pub fn flat(&mut self) -> Result<usize, TrainError> {
        let (_, gradient) = self.evaluate(self.points.x.clone())?;
        let is_flat = |row: &&[f32]| row.iter().zip(&self.room.scale).all(|(g, s)| *s == 0.0 || *g == 0.0);
        Ok(gradient.chunks(self.width).filter(is_flat).count())
    }

    /// Outputs and losses of points, and the losses' gradients.
    fn evaluate(&mut self, x: Vec<f32>) -> Result<(Attacked, Vec<f32>), TrainError> {
        let mut results = self.probe.run(&x, Given { y: &self.points.y, ..Given::default() })?;
        let gradient = self.probe.gradient(&mut results, 2);
        let losses = results.pop().unwrap_or_default();
        let raw = results.pop().unwrap_or_default();
        Ok((Attacked { raw, x, losses }, gradient))
    }

    /// One step along the gradient, with the result in the radius and the range.
    fn step(&self, x: &[f32], gradient: &[f32], norm: Norm, length: f64, radius: f64) -> Vec<f32> {
        let mut moved = Vec::with_capacity(x.len());
        for (x, gradient) in x.chunks(self.width).zip(gradient.chunks(self.width)) {
            // Per unit of distance.
            let slopes: Vec<f64> =
                gradient.iter().zip(&self.room.scale).map(|(g, s)| f64::from(*g) * f64::from(*s)).collect();
            let direction: Vec<f64> = match norm {
                Norm::Infinity => slopes.iter().map(|g| if *g == 0.0 { 0.0 } else { g.signum() }).collect(),
                Norm::Two => {
                    let size = slopes.iter().map(|g| g * g).sum::<f64>().sqrt();
                    slopes.iter().map(|g| if size > 0.0 { g / size } else { 0.0 }).collect()
                }
            };
            let to = |((x, d), s): ((&f32, &f64), &f32)| (f64::from(*x) + length * d * f64::from(*s)) as f32;
            moved.extend(x.iter().zip(&direction).zip(&self.room.scale).map(to));
        }
        self.project(&mut moved, norm, radius);
        moved
    }

    /// Moves points into the radius around their rows, and into the range.
    fn project(&self, x: &mut [f32], norm: Norm, radius: f64) {
        for (x, clean) in x.chunks_mut(self.width).zip(self.points.x.chunks(self.width)) {
            let change = |at: usize, x: f32| match self.room.scale[at] {
                s if s > 0.0 => (f64::from(x) - f64::from(clean[at])) / f64::from(s),
                _ => 0.0,
            };
            let mut changes: Vec<f64> = x.iter().enumerate().map(|(at, &x)| change(at, x)).collect();
            match norm {
                Norm::Infinity => changes.iter_mut().for_each(|c| *c = c.clamp(-radius, radius)),
                Norm::Two => {
                    let size = changes.iter().map(|c| c * c).sum::<f64>().sqrt();
                    let factor = if size > radius { radius / size } else { 1.0 };
                    changes.iter_mut().for_each(|c| *c *= factor);
                }
            }
            for (at, (x, change)) in x.iter_mut().zip(changes).enumerate() {
                let scale = self.room.scale[at];
                if scale > 0.0 {
                    let [low, high] = self.room.range[at];
                    // A row beyond the training rows' range may stay where it is.
                    let (low, high) = (low.min(clean[at]), high.max(clean[at]));
                    *x = ((f64::from(clean[at]) + change * f64::from(scale)) as f32).clamp(low, high);
                } else {
                    *x = clean[at];
                }
            }
        }
    }

    /// Random points within the radius, or of the l2 norm and not `inside`, on its edge.
    fn random(&self, norm: Norm, radius: f64, draw: usize, inside: bool) -> Vec<f32> {
        let [seed_low, seed_high] = words(self.seed);
        let step = StepRecord { step: draw as u32, seed_low, seed_high, ..StepRecord::default() };
        let mut noise = vec![0.0; self.points.x.len()];
        let kind = if norm == Norm::Two { RandomKind::Normal } else { RandomKind::Uniform };
        rng::fill(kind, &step, streams::ATTACK, 0, &mut noise);
        let mut parts = vec![0.0; self.points.count];
        rng::fill(RandomKind::Uniform, &step, streams::ATTACK ^ 0x100, 0, &mut parts);
        let free = self.room.scale.iter().filter(|s| **s > 0.0).count().max(1) as f64;
        let mut x = self.points.x.clone();
        for (row, (x, noise)) in x.chunks_mut(self.width).zip(noise.chunks(self.width)).enumerate() {
            let size = || {
                let moved = noise.iter().zip(&self.room.scale).filter(|(_, s)| **s > 0.0);
                moved.map(|(e, _)| f64::from(*e).powi(2)).sum::<f64>().sqrt().max(f64::MIN_POSITIVE)
            };
            let factor = match (norm, inside) {
                (Norm::Infinity, _) => radius,
                (Norm::Two, false) => radius / size(),
                // Uniform in the ball.
                (Norm::Two, true) => radius * f64::from(parts[row]).powf(1.0 / free) / size(),
            };
            for ((x, e), s) in x.iter_mut().zip(noise).zip(&self.room.scale) {
                let e = if norm == Norm::Infinity { 2.0 * f64::from(*e) - 1.0 } else { f64::from(*e) };
                *x = (f64::from(*x) + factor * e * f64::from(*s)) as f32;
            }
        }
        self.project(&mut x, norm, radius);
        x
    }

    /// Replaces the rows that `found` predicts worse.
    fn keep(&self, worst: &mut Option<Attacked>, found: Attacked) {
        let Some(kept) = worst else {
            *worst = Some(found);
            return;
        };
        let outputs = found.raw.len() / self.points.count.max(1);
        for row in 0..self.points.count {
            let of = |attacked: &Attacked| {
                let raw = &attacked.raw[row * outputs..(row + 1) * outputs];
                (self.is_wrong(raw, row), attacked.losses[row])
            };
            let (new, old) = (of(&found), of(kept));
            if (new.0 && !old.0) || (new.0 == old.0 && new.1 > old.1) {
                let (r, w) = (row * outputs..(row + 1) * outputs, row * self.width..(row + 1) * self.width);
                kept.raw[r.clone()].copy_from_slice(&found.raw[r]);
                kept.x[w.clone()].copy_from_slice(&found.x[w]);
                kept.losses[row] = found.losses[row];
            }
        }
    }

    /// Whether outputs decide for another class than the true one; never for numbers.
    fn is_wrong(&self, raw: &[f32], row: usize) -> bool {
        if self.response.target.classes().is_empty() {
            return false;
        }
        decided(raw, self.threshold) != self.points.truth[row] as usize
    }
}

/// The class that outputs decide for: logits of all classes, or of the positive one.
pub(super) fn decided(raw: &[f32], threshold: Option<f64>) -> usize {
    match raw {
        [logit] => {
            let p = 1.0 / (1.0 + (-f64::from(*logit)).exp());
            decide(&[1.0 - p, p], threshold)
        }
        [a, b] if threshold.is_some() => {
            let p = 1.0 / (1.0 + (f64::from(*a) - f64::from(*b)).exp());
            decide(&[1.0 - p, p], threshold)
        }
        raw => argmax(&raw.iter().map(|&x| f64::from(x)).collect::<Vec<_>>()),
    }
}
