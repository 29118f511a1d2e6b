//! The program of an experiment, without a device and without running anything.

use super::{parameters, trainer};
use crate::base::target::Target;
use crate::data::Loaded;
use crate::experiment::Experiment;
use crate::plan::Compiled;
use crate::train::TrainError;
use crate::train::engine;

/// The program that [`trainer::train`] loads first, the phases of a training step, and how often each runs. The first
/// phases train, the last one evaluates.
pub type Planned = (Compiled, Vec<(usize, usize)>);

/// The program that trains `experiment` on `data`, on devices like `target`. What is chosen because the experiment leaves
/// it open is told to `note`.
///
/// # Errors
/// If the model does not fit the data or the device.
pub fn planned(
    experiment: &Experiment,
    data: &Loaded,
    target: &Target,
    note: &mut dyn FnMut(&str),
) -> Result<Planned, TrainError> {
    let experiment = &trainer::balanced(trainer::sized(experiment, data, note), data);
    let model = trainer::model_of(experiment, &data.fitted, &data.train)?;
    parameters::check_names(experiment, &*model)?;
    let images = trainer::image_changes(experiment, &data.fitted)?;
    let training = trainer::training_of(experiment, data, images.as_ref());
    let step = engine::phases(&*model, &training)?;
    let compiled = engine::compile(&*model, Some(&training), &data.validation, target);
    Ok((compiled.map_err(|error| trainer::placed(experiment, error))?.0, step))
}
