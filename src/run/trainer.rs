//! Starts a training: data, model, device and run directory, then the loop of `epochs`.

use std::path::Path;

use super::begin;
use super::decide;
use super::directory::{self, RunDirectory};
use super::epochs::Trainer;
use super::job::{Job, Options, Outcome};
use super::likeness::Judge;
use super::manifest;
use super::parameters::check_names;
use super::room;
use crate::base::config::ConfigError;
use crate::base::number;
use crate::data::config::RowsIn;
use crate::data::{self, FittedText, Loaded};
use crate::device::Device;
use crate::experiment::{Experiment, NETWORK};
use crate::nn::Model;
use crate::nn::layers::LayerConfig;
use crate::nn::perturbed::Perturbed;
use crate::optim::schedule::ScheduleKind;
use crate::plan::{ImageChanges, Part, PlanError};
use crate::tasks;
use crate::train::TrainError;
use crate::train::checkpoint;
use crate::train::config::TrainConfig;
use crate::train::engine::{Engine, Training};
use crate::train::events::Observer;
use crate::train::fit;
use crate::train::optimizer_state::OptimizerState;
use crate::train::precision::Precision;
use crate::train::weights::Weights;

/// Encodes an experiment's data; paths are relative to `directory`.
///
/// # Errors
/// If the data are wrong or smaller than a batch.
pub fn load_data(experiment: &Experiment, directory: &Path) -> Result<Loaded, TrainError> {
    let mut loaded = data::load(&experiment.data, directory, experiment.goal())?;
    check_data(experiment, &loaded)?;
    let fitted = loaded.fitted.clone();
    tasks::of(experiment.settings(), &fitted).prepare(&mut loaded)?;
    Ok(loaded)
}

/// Checks the keys of an experiment that depend on its data: a batch must not be larger than the training rows, and
/// a threshold needs two classes.
///
/// # Errors
/// The key and what is wrong with it.
pub(super) fn check_data(experiment: &Experiment, data: &Loaded) -> Result<(), ConfigError> {
    let batch = experiment.batch_for(data.train.rows).unwrap_or(experiment.train.batch_size);
    check_batch(experiment, batch, data)?;
    decide::check(experiment, data)
}

fn check_batch(experiment: &Experiment, batch: usize, data: &Loaded) -> Result<(), ConfigError> {
    let (key, rows) = ("train.batch_size", data.train.rows);
    let batches = experiment.model.batches_per_step();
    if batch * batches <= rows {
        return Ok(());
    }
    let what = tasks::of(experiment.settings(), &data.fitted).unit(&data.train);
    if batch <= rows {
        let reason = format!(
            "= {batch} for each of model.critic_steps = {batches} is more than the {rows} {what} that train; set \
             it to at most {}",
            rows / batches
        );
        return Err(experiment.wrong(key, &reason));
    }
    let reason = format!("= {batch} is more than the {rows} {what} that train; set it to at most {rows}");
    Err(experiment.wrong(key, &reason))
}

/// The experiment with a batch that is no larger than the training rows, and holds all that are nodes of a graph, if its
/// size was left at the default; says so if it changes.
pub fn sized(experiment: &Experiment, data: &Loaded, note: &mut dyn FnMut(&str)) -> Experiment {
    let mut experiment = experiment.clone();
    let Some(size) = experiment.batch_for(data.train.rows) else { return experiment };
    let what = tasks::of(experiment.settings(), &data.fitted).unit(&data.train);
    let rows = data.train.rows;
    let default = experiment.train.batch_size;
    let why = match experiment.is_of_nodes() && size >= default {
        true => {
            format!("every step reads the whole graph, so that the {rows} {what} that train are one batch")
        }
        false => format!("only {rows} {what} train"),
    };
    note(&format!("train.batch_size is {size} instead of {default}, because {why}"));
    experiment.train.batch_size = size;
    experiment
}

/// The model that an experiment trains on `rows`.
///
/// # Errors
/// If it is to be trained on changed inputs, and none of them can be.
pub fn model_of(
    experiment: &Experiment,
    fitted: &data::Fitted,
    rows: &data::Dataset,
) -> Result<Box<dyn Model>, TrainError> {
    let model = tasks::model(experiment.settings(), fitted, rows);
    let Some(how) = experiment.train.adversarial.clone() else { return Ok(model) };
    let room = room::of(fitted, rows);
    if room.scale.iter().all(|scale| *scale == 0.0) {
        let reason = "moves numbers by degrees, and no column that the model reads is such a number";
        return Err(experiment.wrong("train.adversarial", reason).into());
    }
    Ok(Box::new(Perturbed { model, how, room }))
}

/// The random changes of training images; `None` if none are asked for.
///
/// # Errors
/// If some are asked for, but rows are not images.
pub fn image_changes(
    experiment: &Experiment,
    fitted: &data::Fitted,
) -> Result<Option<ImageChanges>, TrainError> {
    let wrong = |key: &str, reason: &str| experiment.wrong(key, reason);
    Ok(tasks::images::changes(experiment.settings(), fitted, wrong)?)
}

/// What the training steps of an experiment are made of.
pub fn training_of<'a>(
    experiment: &Experiment,
    data: &'a Loaded,
    images: Option<&'a ImageChanges>,
) -> Training<'a> {
    let config = &experiment.train;
    Training {
        data: &data.train,
        batch: config.batch_size,
        accumulate: config.accumulate,
        noise: experiment.data.augment.noise,
        images,
        optimizer: config.optimizer.clone(),
        decay: config.decay,
        groups: config.groups(),
        recompute: config.recompute,
        precision: config.precision,
        optimizer_state: config.optimizer_state,
        part: Part::default(),
        clip_norm: config.clip_norm,
    }
}

/// `error`, located in the experiment if a key of it asks for what no plan can give.
pub(super) fn placed(experiment: &Experiment, error: TrainError) -> TrainError {
    let TrainError::Plan(PlanError::Recompute { least, limit }) = error else { return error };
    let reason = format!(
        "allows {limit} bytes for the intermediate values of a training step, which need at least {least} however much of \
         them is computed again; allow more, or use a smaller batch or a larger `train.accumulate`"
    );
    experiment.wrong("train.recompute", &reason).into()
}

/// The part of the parameters that process `rank` of `size` updates.
pub(super) fn part_of(config: &TrainConfig, rank: usize, size: usize) -> Part {
    match config.optimizer_state {
        OptimizerState::Device => Part::default(),
        OptimizerState::Sharded | OptimizerState::Host => Part { number: rank, of: size },
    }
}

/// Trains `experiment` on `data` and writes the run directory.
///
/// # Errors
/// [`TrainError`]; everything up to the last checkpoint is kept.
pub fn train(
    experiment: &Experiment,
    data: &Loaded,
    device: &dyn Device,
    options: &Options,
    observer: &mut dyn Observer,
) -> Result<Outcome, TrainError> {
    with_engine(experiment, data, device, options, observer, |task, mut engine, observer| {
        if let Some(path) = &options.init {
            begin::from_file(&mut engine, &task.data.fitted, path, options, observer)?;
        } else if experiment.model.lora.is_some() && experiment.model.from.is_none() && !options.resume {
            observer.note(
                "model.lora adapts weights that are drawn at random and stay so; start from trained ones with --init FILE",
            );
        }
        let (options, run) = open_run(&task, observer)?;
        Trainer::new(Job { options: &options, ..task }, engine, run, observer)?.run()
    })
}

/// Takes part in the training that rank 0 of `options.ranks` leads with [`train`]; writes nothing.
///
/// # Errors
/// If what was given differs from what rank 0 was given, or the device or MPI fails.
pub fn follow(
    experiment: &Experiment,
    data: &Loaded,
    device: &dyn Device,
    options: &Options,
    observer: &mut dyn Observer,
) -> Result<(), TrainError> {
    with_engine(experiment, data, device, options, observer, |_, mut engine, observer| {
        engine.follow(&mut || observer.interrupted())
    })
}

/// Prepares a training up to its first values, and goes on with it.
fn with_engine<T>(
    experiment: &Experiment,
    data: &Loaded,
    device: &dyn Device,
    options: &Options,
    observer: &mut dyn Observer,
    go_on: impl FnOnce(Job, Engine, &mut dyn Observer) -> Result<T, TrainError>,
) -> Result<T, TrainError> {
    let experiment = &balanced(sized(experiment, data, &mut |text| observer.note(text)), data);
    let config = &experiment.train;
    if config.exact && !device.target().exact {
        let reason =
            "`train.exact` needs a device opened in exact mode (`CpuDevice::exact`, `GpuOptions::exact`)";
        return Err(TrainError::Input(reason.into()));
    }
    let model = model_of(experiment, &data.fitted, &data.train)?;
    let images = image_changes(experiment, &data.fitted)?;
    let mut training = training_of(experiment, data, images.as_ref());
    check_names(experiment, &*model)?;
    match &options.ranks {
        Some(group) => training.part = part_of(config, group.rank(), group.size()),
        None if config.optimizer_state == OptimizerState::Sharded => observer.note(
            "`train.optimizer_state = \"sharded\"` is shared by the processes of mpirun; this one keeps all of it",
        ),
        None => {}
    }
    let mut engine = Engine::new(device, &*model, Some(&training), &data.validation)
        .map_err(|e| fit::explain(e, &*model, &training, &data.validation, device.target()))
        .map_err(|error| placed(experiment, error))?;
    if engine.streams() {
        let from = match data.train.stored.as_ref().is_some_and(|stored| stored.is_file()) {
            true => "disk",
            false => "memory",
        };
        observer.note(&format!("rows stream to the device from {from}, while it works on those before"));
    }
    let mut shares = config.shares.clone();
    if let Some(group) = options.ranks.as_ref().filter(|_| config.measure_shares) {
        shares = engine.measured_shares(group)?;
        let told: Vec<String> = shares.iter().map(usize::to_string).collect();
        observer.note(&format!("measured shares of the processes: {} micro-batches", told.join(", ")));
    }
    if config.precision == Precision::Mixed && engine.compiled.saved.is_none() {
        let why = "takes no less memory for this network here, so all values stay in single precision";
        observer.note(&format!("`train.precision = \"mixed\"` {why}"));
    }
    engine.initialise(experiment.seed_words())?;
    if let Some(group) = &options.ranks {
        let facts = format!("{}{}", data.digest, experiment.resolved());
        engine.join(group.clone(), &shares, config.exact, &facts)?;
    }
    let features = experiment.model.features.as_ref();
    let judge = features.map(|run| Judge::open(Path::new(run), data.fitted.image.as_ref())).transpose()?;
    let judge = judge.as_ref();
    let task = Job { experiment, data, device, model: &*model, training: &training, options, judge };
    go_on(task, engine, observer)
}

/// Opens the run directory, with the options that then hold: there may be nothing to resume.
fn open_run(task: &Job, observer: &mut dyn Observer) -> Result<(Options, RunDirectory), TrainError> {
    let Job { experiment, data, options, .. } = *task;
    if options.resume && manifest::is_ensemble(&options.out) {
        let reason =
            "is an ensemble; go on with the command that began it, --ensemble included, and --resume";
        return Err(TrainError::unusable(&options.out, reason));
    }
    // Only now, with everything checked, is anything written.
    let resume = options.resume && RunDirectory::has_saved(&options.out);
    if options.resume && !resume {
        observer.note(&format!("{}: nothing was saved yet, training starts anew", options.out.display()));
    }
    let options = Options { resume, ..options.clone() };
    let run = if resume {
        let run = RunDirectory::resume(&options.out)?;
        let begun = run.experiment_if_any()?;
        match &begun {
            Some(begun) => check_same(begun, experiment)?,
            None => observer.note(&format!(
                "{}: experiment.toml is missing; the run goes on as the experiment now says",
                run.path.display()
            )),
        }
        let step = checkpoint::list(&run.path.join("checkpoints")).pop().map_or(0, |(step, _)| step);
        let rows = data.train.rows;
        if let Some(text) = begun.as_ref().and_then(|begun| stretched(begun, experiment, step, rows)) {
            observer.note(&text);
        }
        run
    } else {
        let (run, moved) = RunDirectory::create(&options.out)?;
        if let Some(moved) = moved {
            observer.note(&format!("the earlier run was moved to {}", moved.display()));
        }
        run
    };
    directory::check_writable(&run.path)?;
    if let Some(network) = &experiment.model.network {
        checkpoint::write_atomically(&run.path.join(NETWORK), network.0.bytes())?;
    }
    let reads_edges = |layer: &LayerConfig| layer.layer().mixes_nodes().is_some();
    if experiment.data.graph.is_some() && !experiment.model.hidden_layers().iter().any(reads_edges) {
        let what = match data.fitted.graphs {
            Some(_) => "graph is predicted from its nodes",
            None => "node is predicted from itself",
        };
        observer.note(&format!(
            "no layer reads the edges of [data.graph], so each {what} alone; list graph_conv, graph_sage or \
             graph_attention layers in [[model.layer]]"
        ));
    }
    let file = run.path.join(data::graph::FILE);
    // A resumed run has it; whether the data are the same is not known yet.
    if let Some(graph) = data.fitted.graph.as_ref().filter(|_| !resume || !file.exists()) {
        let bytes = data::graph::save(&graph.nodes).map_err(|reason| TrainError::unusable(&file, reason))?;
        checkpoint::write_atomically(&file, &bytes)?;
    }
    let file = run.path.join(directory::TOKENS);
    if let Some(tokens) =
        data.fitted.symbols().and_then(FittedText::file).filter(|_| !resume || !file.exists())
    {
        checkpoint::write_atomically(&file, tokens.as_bytes())?;
    }
    Ok((options, run))
}

/// The experiment, with the numbers of weights that follow from the training rows.
pub(super) fn balanced(mut experiment: Experiment, data: &Loaded) -> Experiment {
    if data.train.stored.as_ref().is_some_and(|stored| stored.is_file()) {
        // Rows in a file have another order, in which a run goes on.
        experiment.data.memory.rows = RowsIn::Disk;
    }
    if let Some(target) = &data.train.target {
        let loss = &mut experiment.train.loss;
        loss.balance(&data.train.class_weights(data.fitted.target.labels()));
        loss.start_from(Weights(&data.train.weights).mean(target.values().into_iter()));
    }
    experiment
}

/// What becomes of the learning-rate schedule of a run that goes on after `step` with another number of
/// epochs.
fn stretched(begun: &Experiment, now: &Experiment, step: u64, rows: usize) -> Option<String> {
    let (before, after) = (begun.train.epochs, now.train.epochs);
    let per_epoch = (rows / now.rows_per_step().max(1)) as u64;
    let rate = |step: u64, epochs: usize| {
        let total = per_epoch * epochs as u64;
        number::shown(now.train.schedule.learning_rate(now.train.learning_rate, step, per_epoch, total))
    };
    let what = match now.train.schedule.kind {
        _ if before == after => return None,
        ScheduleKind::Constant => "the learning rate remains as it is".into(),
        ScheduleKind::Step => "the learning rate goes on in the same steps".into(),
        ScheduleKind::Cosine => format!(
            "the cosine is stretched over them, so the learning rate goes on at {}, where it had come to {}",
            rate(step + 1, after),
            rate(step.max(1), before)
        ),
    };
    Some(format!("the run was begun for {before} epochs and goes on for {after}: {what}"))
}

/// Refuses to go on with another experiment than the run was begun with; more epochs are allowed.
fn check_same(begun: &Experiment, now: &Experiment) -> Result<(), TrainError> {
    let text = |e: &Experiment| {
        let mut e = e.clone();
        e.train.epochs = 1;
        // Another number of processes may go on.
        e.train.shares = vec![];
        e.train.measure_shares = false;
        // As may one that keeps the same state elsewhere.
        e.train.optimizer_state = OptimizerState::Device;
        e.resolved()
    };
    let (begun, now) = (text(begun), text(now));
    let differing = begun.lines().zip(now.lines()).find(|(a, b)| a != b);
    if begun == now {
        return Ok(());
    }
    let (begun, now) = differing.unwrap_or(("", "other keys"));
    Err(TrainError::Changed { begun: begun.into(), now: now.into() })
}
