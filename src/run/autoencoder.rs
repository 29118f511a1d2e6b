//! What a variational autoencoder asks of rows, and what it says of them.

use std::path::Path;

use super::evaluate::Opened;
use crate::data::{self, Dataset, Loaded};
use crate::device::Device;
use crate::experiment::Experiment;
use crate::nn::config::variational::Decoder;
use crate::nn::vae::{KL, LOG_LIKELIHOOD, LOG_WEIGHT, RECONSTRUCTION};
use crate::train::TrainError;
use crate::train::checkpoint;
use crate::train::engine::Engine;
use crate::train::metrics::Predictions;

/// Draws of the latent code of each row, where none are asked for: scores are means over them.
pub const DRAWS: u32 = 32;
/// Most draws.
pub const MOST_DRAWS: u32 = 100_000;

/// Checks training rows, and makes the others such as the decoder can score.
///
/// # Errors
/// If the model convolves and rows are no images, or a Bernoulli decoder is given training values outside 0..1.
pub(super) fn prepare(experiment: &Experiment, data: &mut Loaded) -> Result<(), TrainError> {
    let Some(settings) = experiment.model.variational() else { return Ok(()) };
    let convolves = experiment.model.channels.as_ref().is_some_and(|channels| !channels.is_empty());
    if convolves && data.fitted.image.is_none() {
        let reason = "`model.channels` convolves images, but the rows are none; say their shape in `data.image.shape`, or \
                      take `channels` out";
        return Err(TrainError::Input(reason.into()));
    }
    let width = data.train.features.len().max(1);
    let outside = |x: &f32| !(0.0..=1.0).contains(x);
    if let (Decoder::Bernoulli, Some(at)) = (settings.decoder, data.train.x.iter().position(outside)) {
        return Err(TrainError::Input(format!(
            "training row {} has {} = {} after scaling; a Bernoulli decoder learns values from 0 to 1: set \
             `data.transform.numbers` = \"min_max\", or `model.decoder` = \"gaussian\"",
            data.train.source_rows.get(at / width).map_or(at / width, |row| row + 1),
            data.train.features[at % width],
            data.train.x[at]
        )));
    }
    clamp(experiment, &mut data.validation);
    clamp(experiment, &mut data.test);
    Ok(())
}

/// Values of rows that were not trained on may leave the range of those that were. Under a Bernoulli decoder, which gives
/// no probability to what is outside 0..1, they count as the nearer of the two.
pub(super) fn clamp(experiment: &Experiment, rows: &mut Dataset) {
    if experiment.model.variational().is_some_and(|v| v.decoder == Decoder::Bernoulli) {
        rows.x.iter_mut().for_each(|x| *x = x.clamp(0.0, 1.0));
    }
}

/// Evaluates the evaluation rows with `draws` latent codes each: the parts of the loss are means over them, and
/// [`LOG_LIKELIHOOD`] takes the place of [`LOG_WEIGHT`].
///
/// # Errors
/// If the device fails.
pub(super) fn evaluate(engine: &mut Engine, draws: u32) -> Result<Predictions, TrainError> {
    let mut found = engine.evaluate_draw(0)?;
    let of = |p: &Predictions, name: &str| -> Vec<f64> {
        p.part(name).unwrap_or_default().iter().map(|&x| f64::from(x)).collect()
    };
    let mut reconstruction = of(&found, RECONSTRUCTION);
    let mut losses: Vec<f64> = found.losses.iter().map(|&x| f64::from(x)).collect();
    // The largest weight of each row, and the sum of all relative to it.
    let mut weights: Vec<(f64, f64)> = of(&found, LOG_WEIGHT).into_iter().map(|w| (w, 1.0)).collect();
    for draw in 1..draws {
        let next = engine.evaluate_draw(draw)?;
        let add = |sums: &mut [f64], terms: &[f64]| sums.iter_mut().zip(terms).for_each(|(s, t)| *s += t);
        add(&mut reconstruction, &of(&next, RECONSTRUCTION));
        add(&mut losses, &next.losses.iter().map(|&x| f64::from(x)).collect::<Vec<_>>());
        for ((largest, sum), w) in weights.iter_mut().zip(of(&next, LOG_WEIGHT)) {
            let top = largest.max(w);
            (*largest, *sum) = (top, *sum * (*largest - top).exp() + (w - top).exp());
        }
    }
    let count = f64::from(draws.max(1));
    let mean = |sums: &[f64]| -> Vec<f32> { sums.iter().map(|s| (s / count) as f32).collect() };
    found.losses = mean(&losses);
    for (name, rows) in &mut found.parts {
        if *name == RECONSTRUCTION {
            *rows = mean(&reconstruction);
        } else if *name == LOG_WEIGHT {
            *name = LOG_LIKELIHOOD;
            *rows = weights.iter().map(|(largest, sum)| (largest + (sum / count).ln()) as f32).collect();
        }
    }
    Ok(found)
}

/// Writes to `output` what an autoencoder says of the rows of `input`: how strange each is (`anomaly`, its negative
/// evidence lower bound in nats), the two parts of that, the log-likelihood, and the mean of its latent code.
pub(super) fn scores(
    opened: &Opened,
    input: &Path,
    output: &Path,
    device: &dyn Device,
) -> Result<usize, TrainError> {
    let mut rows = data::load_with(&opened.fitted, input, opened.experiment.reads_target())?;
    clamp(&opened.experiment, &mut rows);
    let predictions = opened.predict(device, &rows, DRAWS)?;
    let fail = |e: csv::Error| TrainError::Io { path: output.into(), reason: e.to_string() };
    let part = |name| predictions.part(name).unwrap_or_default();
    let (reconstruction, kl, likelihood) = (part(RECONSTRUCTION), part(KL), part(LOG_LIKELIHOOD));
    let pictures = if input.is_dir() { data::image::folder::names(input)? } else { vec![] };
    let (title, names) = match &opened.fitted.reshape {
        _ if !pictures.is_empty() => ("image", &pictures),
        Some(reshape) => (reshape.row_name(), &rows.row_names),
        None => ("row", &rows.row_names),
    };
    let mut writer = csv::Writer::from_writer(vec![]);
    let codes = (1..=predictions.outputs).map(|at| format!("code {at}"));
    let titles = [title, "anomaly", RECONSTRUCTION, KL, LOG_LIKELIHOOD].map(String::from);
    writer.write_record(titles.into_iter().chain(codes)).map_err(fail)?;
    for (at, code) in predictions.raw.chunks(predictions.outputs.max(1)).enumerate() {
        let name = names.get(at).cloned().unwrap_or_else(|| (rows.source_rows[at] + 1).to_string());
        let [reconstruction, kl, likelihood] = [reconstruction[at], kl[at], likelihood[at]].map(f64::from);
        let numbers = [reconstruction + kl, reconstruction, kl, likelihood].map(|x| x.to_string());
        let row = std::iter::once(name).chain(numbers);
        writer.write_record(row.chain(code.iter().map(f32::to_string))).map_err(fail)?;
    }
    let bytes =
        writer.into_inner().map_err(|e| TrainError::Io { path: output.into(), reason: e.to_string() })?;
    checkpoint::write_atomically(output, &bytes)?;
    Ok(rows.rows)
}
