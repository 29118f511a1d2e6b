//! The course of a training: what each step reads, at which rate, and which epoch is the best. It is the same whether
//! a run directory keeps it or nothing does.

use crate::base::rng::{self, streams};
use crate::base::step::StepRecord;
use crate::data::Dataset;
use crate::experiment::Experiment;
use crate::train::checkpoint::Progress;
use crate::train::engine;

/// The course of a training on some rows.
#[derive(Clone, Copy)]
pub(super) struct Course<'a> {
    pub experiment: &'a Experiment,
    /// The rows that train.
    pub rows: &'a Dataset,
}

impl Course<'_> {
    /// Steps of an epoch; rows that do not fill one are left out.
    pub fn steps_per_epoch(&self) -> u64 {
        (self.rows.rows / self.experiment.rows_per_step()) as u64
    }

    /// Steps of all epochs.
    pub fn total(&self) -> u64 {
        self.steps_per_epoch() * self.experiment.train.epochs as u64
    }

    /// The row order of the epoch after `epoch` epochs.
    pub fn order(&self, epoch: u64) -> Vec<u32> {
        let (rows, train) = (self.rows.rows, &self.experiment.train);
        if self.rows.text.is_some() && !train.shuffle {
            return engine::text_order(rows, train.batch_size);
        }
        let (seed, round) = (self.experiment.seed_words(), epoch as u32);
        let blocks = self.rows.stored.as_ref().and_then(|stored| stored.blocks());
        if let Some(blocks) = blocks.filter(|_| train.shuffle) {
            return blocks.shuffled(rows, seed, round);
        }
        let mut order: Vec<u32> = (0..rows as u32).collect();
        if train.shuffle {
            rng::shuffle(&mut order, seed, streams::SHUFFLE, round);
        }
        order
    }

    /// The learning rate of step `step`, from 1.
    pub fn learning_rate(&self, step: u64) -> f64 {
        let config = &self.experiment.train;
        config.schedule.learning_rate(config.learning_rate, step, self.steps_per_epoch(), self.total())
    }

    /// What the step `ahead` steps after the next one is given; `optimizer` are the optimizer's scalars of a step.
    pub fn record(&self, progress: &Progress, ahead: u64, optimizer: impl Fn(u64) -> [f32; 4]) -> StepRecord {
        let step = progress.step + ahead + 1;
        let [seed_low, seed_high] = self.experiment.seed_words();
        StepRecord {
            step: step as u32,
            batch_start: ((progress.position + ahead) as usize * self.experiment.rows_per_step()) as u32,
            slot: 0,
            seed_low,
            seed_high,
            learning_rate: self.learning_rate(step) as f32,
            optimizer: optimizer(step),
            loss_weight: self.experiment.model.loss_weight(step, self.steps_per_epoch()) as f32,
            ..StepRecord::default()
        }
    }

    /// Notes the validation loss of an epoch; returns whether it is the best one.
    pub fn judge(&self, progress: &mut Progress, loss: f64) -> bool {
        let min_delta = self.experiment.train.early_stopping.as_ref().map_or(0.0, |s| s.min_delta);
        let best_loss = progress.best_loss;
        let mut to_beat = progress.loss_to_beat.unwrap_or(best_loss);
        if loss < f64::from_bits(to_beat) - min_delta {
            to_beat = loss.to_bits();
            progress.stale_epochs = 0;
        } else {
            progress.stale_epochs += 1;
        }
        // The best is the best, by however little.
        let is_best = self.experiment.settings().last_is_best() || loss < f64::from_bits(best_loss);
        let least = if is_best { loss.to_bits() } else { best_loss };
        progress.loss_to_beat = (to_beat != least).then_some(to_beat);
        if is_best {
            progress.best_loss = loss.to_bits();
            progress.best_epoch = progress.epoch;
        }
        is_best
    }

    /// Whether no epoch was the best for so many that training stops early.
    pub fn is_stale(&self, progress: &Progress) -> bool {
        let patience = self.experiment.train.early_stopping.as_ref().map(|s| s.patience as u64);
        patience.is_some_and(|patience| progress.stale_epochs >= patience)
    }
}
