//! What training with several processes would take: a model of a step, from kernels that are measured here and the
//! bytes that processes exchange.

use serde::Serialize;

use super::trainer;
use crate::base::step::StepRecord;
use crate::data::Loaded;
use crate::device::Device;
use crate::experiment::Experiment;
use crate::mpi;
use crate::train::TrainError;
use crate::train::engine::{Engine, Training};

/// Times that each phase is measured.
const MEASURED: usize = 3;
/// Seconds that a message takes whatever its length, on a network of a cluster.
const LATENCY: f64 = 5e-6;

/// A step with a number of processes, as predicted.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Scale {
    /// Processes, each on a device like this one.
    pub ranks: usize,
    /// Rows of a step that each computes.
    pub rows: usize,
    /// Seconds of the kernels of each, measured here.
    pub compute_seconds: f64,
    /// Seconds in which gradients are read from the device and they or weights are written to it, and in which the host
    /// updates these if it does, measured here; 0 where all stays on the device.
    pub copy_seconds: f64,
    /// Seconds in which gradients are exchanged, by the network's speed and 5 microseconds a message.
    pub network_seconds: f64,
    /// All of these.
    pub step_seconds: f64,
    /// Times as many steps a second as one process does.
    pub speed_up: f64,
    /// That, per process.
    pub efficiency: f64,
    /// Bytes of the buffers of each process on its device.
    pub bytes: u64,
}

/// Predicts steps of 1, 2, 4 and so on up to `ranks` processes that exchange `network` bytes a second each way. Numbers of
/// processes that cannot share a batch equally are left out.
///
/// # Errors
/// If the batch cannot be shared by `ranks` processes, or the model does not fit or the device fails.
pub fn predict(
    experiment: &Experiment,
    data: &Loaded,
    device: &dyn Device,
    ranks: usize,
    network: f64,
) -> Result<Vec<Scale>, TrainError> {
    let experiment = &trainer::sized(experiment, data, &mut |_| ());
    let batch = experiment.train.batch_size;
    if ranks == 0 || !batch.is_multiple_of(ranks) {
        let reason = format!(
            "--ranks = {ranks} processes cannot share the {batch} rows of a step (train.batch_size) equally; give a \
             number that divides it, or set another batch size"
        );
        return Err(TrainError::Input(reason));
    }
    let mut found: Vec<Scale> = vec![];
    let powers = (0..usize::BITS).map(|power| 1usize << power).take_while(|&count| count < ranks);
    for count in powers.chain([ranks]).filter(|count| batch.is_multiple_of(*count)) {
        let (mut scale, exchanged) = measure(experiment, data, device, count)?;
        if count > 1 {
            scale.network_seconds = exchange(exchanged, count, network);
        }
        scale.step_seconds = scale.compute_seconds + scale.copy_seconds + scale.network_seconds;
        let first = found.first().map_or(scale.step_seconds, |one| one.step_seconds);
        scale.speed_up = first / scale.step_seconds.max(1e-12);
        scale.efficiency = scale.speed_up / count as f64;
        found.push(scale);
    }
    Ok(found)
}

/// Seconds in which `ranks` processes add up `bytes` of gradients: each sends and receives what all but one have of a
/// part, twice, in messages of a piece's part.
fn exchange(bytes: f64, ranks: usize, network: f64) -> f64 {
    let others = (ranks - 1) as f64;
    let sent = 2.0 * bytes * others / ranks as f64;
    let pieces = (bytes / mpi::PIECE_BYTES as f64).ceil();
    sent / network + 2.0 * pieces * others * LATENCY
}

/// The step of one of `ranks` processes, as far as it is measured here, and the bytes of its gradients.
fn measure(
    experiment: &Experiment,
    data: &Loaded,
    device: &dyn Device,
    ranks: usize,
) -> Result<(Scale, f64), TrainError> {
    let config = &experiment.train;
    let rows = config.batch_size / ranks;
    let model = trainer::model_of(experiment, &data.fitted, &data.train)?;
    let images = trainer::image_changes(experiment, &data.fitted)?;
    let training = Training {
        // Gradients and updates are phases of their own, as where several exchange gradients.
        batch: if ranks == 1 { rows } else { 2 * rows },
        accumulate: if ranks == 1 { config.accumulate } else { 2 },
        part: trainer::part_of(config, 0, ranks),
        ..trainer::training_of(experiment, data, images.as_ref())
    };
    let mut engine = Engine::new(device, &*model, Some(&training), &data.validation)?;
    if engine.plays() {
        let reason = "`family = \"gan\"` is trained by one process, so that there is nothing to predict";
        return Err(TrainError::Input(reason.into()));
    }
    engine.initialise(experiment.seed_words())?;
    let step = StepRecord {
        step: 1,
        learning_rate: 1e-9,
        optimizer: engine.optimizer_scalars(1),
        ..StepRecord::default()
    };
    let mut compute_seconds = 0.0;
    for (phase, times) in engine.step() {
        let times = if ranks == 1 { times } else { 1 };
        let mut least = f64::INFINITY;
        for _ in 0..MEASURED {
            let launches = engine.session().profile(phase, &step)?;
            least = least.min(launches.iter().sum());
        }
        compute_seconds += times as f64 * least;
    }
    let words = engine.gradients().map_or(0, |slice| slice.words);
    let mut copy_seconds = 0.0;
    if ranks > 1 || engine.compiled.update.is_some() {
        copy_seconds = f64::INFINITY;
        for _ in 0..MEASURED {
            copy_seconds = copy_seconds.min(engine.exchange_seconds(&step)?);
        }
    }
    let scale = Scale {
        ranks,
        rows,
        compute_seconds,
        copy_seconds,
        network_seconds: 0.0,
        step_seconds: 0.0,
        speed_up: 1.0,
        efficiency: 1.0,
        bytes: engine.session().allocated_bytes(),
    };
    // With parts, gradients are added up for each alone, and what it updates is sent to the others, which is as much; unless all
    // have to be known for their norm.
    let is_clipped = training.part.of > 1 && training.clip_norm.is_some();
    Ok((scale, if is_clipped { 1.5 } else { 1.0 } * 4.0 * words as f64))
}

#[cfg(test)]
mod tests {
    use super::exchange;

    #[test]
    fn an_exchange_takes_what_its_bytes_and_messages_take() {
        // 100 MB among two: each sends half twice, in 96 pieces of two messages.
        let two = exchange(100e6, 2, 1e9);
        assert!((two - (0.1 + 2.0 * 96.0 * 5e-6)).abs() < 1e-9, "{two}");
        // Among many, twice all bytes, and the messages count.
        let many = exchange(100e6, 1000, 1e9);
        assert!((many - (0.2 * 0.999 + 2.0 * 96.0 * 999.0 * 5e-6)).abs() < 1e-9, "{many}");
    }
}
