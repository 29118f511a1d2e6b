//! What varies from one step to the next.

/// A value that changes from step to step, read from the [`StepRecord`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StepScalar {
    /// Learning rate of this step.
    LearningRate,
    /// Optimizer scalar by number (for example Adam's bias corrections); see `optim`.
    Optimizer(u8),
    /// Weight of the part of a loss that training fades in (a variational autoencoder's KL term).
    LossWeight,
}

/// Everything that varies from one step to the next: 16 words in a uniform with a dynamic offset.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
pub struct StepRecord {
    /// Step number from the start of training (0 for evaluation); the RNG counter.
    pub step: u32,
    /// First entry of this batch in the row order.
    pub batch_start: u32,
    /// Where `Store` kernels put this step's results, in units of their row count.
    pub slot: u32,
    /// Low word of the seed.
    pub seed_low: u32,
    /// High word of the seed.
    pub seed_high: u32,
    /// Learning rate.
    pub learning_rate: f32,
    /// Optimizer scalars, computed on the host in `f64` and rounded once.
    pub optimizer: [f32; 4],
    /// Weight of the part of a loss that training fades in.
    pub loss_weight: f32,
    /// Position of this micro-batch among those whose gradients one update adds up; 0 where a batch is not cut.
    pub micro_batch: u32,
    /// Unused; keeps the record at 16 words.
    pub reserved: [u32; 4],
}

impl StepRecord {
    /// The random element that element `at` of the `count` drawn for a micro-batch takes: micro-batches number theirs
    /// one after the other, so that rows have the numbers they would have in the whole batch.
    #[inline(always)]
    pub fn element(&self, at: usize, count: usize) -> u32 {
        self.micro_batch.wrapping_mul(count as u32).wrapping_add(at as u32)
    }

    /// The value of a scalar of the step.
    pub fn scalar(&self, scalar: StepScalar) -> f32 {
        match scalar {
            StepScalar::LearningRate => self.learning_rate,
            StepScalar::Optimizer(i) => self.optimizer[usize::from(i) % self.optimizer.len()],
            StepScalar::LossWeight => self.loss_weight,
        }
    }
}
