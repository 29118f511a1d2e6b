//! Trains several models at the same time, each exactly as if alone: the same bits, checkpoints, early stopping
//! and run directory.
//!
//! Each model has its ordinary training loop on a thread of its own; only the device behind it is shared
//! ([`Device::together`]). On the CPU, as many models as there are threads train at a time, each on its own
//! thread, so that none waits for the others' parts of a small kernel. On a GPU, where a small step costs
//! launches rather than arithmetic, models with equal programs run as copies of one: a launch computes the
//! step of every model that has one to do. What does not fit this trains one after the other.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::evaluate::{Evaluation, evaluate_loaded};
use super::job::{Options, Outcome};
use super::planned::planned;
use super::recovery::{Recovery, Told};
use super::trainer;
use crate::data::Loaded;
use crate::device::{Device, DeviceError};
use crate::experiment::Experiment;
use crate::plan::Program;
use crate::train::TrainError;
use crate::train::events::Observer;

/// Stack of a thread that trains: as large as that of a program's first thread.
const STACK_BYTES: usize = 8 << 20;

/// One of several models to train.
pub struct ManyJob<'a> {
    /// What to train.
    pub experiment: Experiment,
    /// Its data; models may share them.
    pub data: Arc<Loaded>,
    /// Its run directory.
    pub out: PathBuf,
    /// Go on from the newest checkpoint; begin where there is none yet.
    pub resume: bool,
    /// Stop after this many steps in total.
    pub max_steps: Option<u64>,
    /// Who is told of this model alone, from the thread that trains it.
    pub observer: Box<dyn Observer + Send + 'a>,
}

/// What holds for all of several models. See [`Options`].
#[derive(Clone, Debug, Default)]
pub struct ManyOptions {
    /// Start from these weights.
    pub init: Option<PathBuf>,
    /// As in [`Options`].
    pub init_map: Vec<String>,
    /// As in [`Options`].
    pub init_partial: bool,
    /// Report the loss every so many steps.
    pub log_every: Option<u64>,
    /// Only train and validate: no test predictions and no reports.
    pub without_report: bool,
    /// Name the operator when a training diverges.
    pub anomaly: bool,
    /// Judge the best weights of each on this split ([`evaluate_loaded`]) when it is trained.
    pub evaluates: Option<Split>,
    /// When the program started, for `first_step_seconds`.
    pub started: Option<Instant>,
}

/// A part of the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// The test rows, or the validation rows if there are none.
    Usual,
    /// The validation rows.
    Validation,
    /// The test rows.
    Test,
}

/// A model that was trained.
#[derive(Clone, Debug)]
pub struct Done {
    /// How its training ended.
    pub outcome: Outcome,
    /// What [`ManyOptions::evaluates`] asks for.
    pub evaluation: Option<Evaluation>,
}

/// A model, and what became of it.
struct Slot<'a> {
    job: ManyJob<'a>,
    told: Told<Box<dyn Observer + Send + 'a>>,
    result: Option<Result<Done, TrainError>>,
}

/// Trains all `jobs`; the results are in their order. A model that fails does not stop the others. If the device is
/// lost, those that are not done resume on another as [`Recovery::train`] does; `observer` is told.
pub fn train<'a>(
    jobs: Vec<ManyJob<'a>>,
    options: &ManyOptions,
    recovery: &mut Recovery,
    observer: &mut dyn Observer,
) -> Vec<Result<Done, TrainError>> {
    let slot = |mut job: ManyJob<'a>| {
        let told = Told::new(std::mem::replace(&mut job.observer, Box::new(())));
        Mutex::new(Slot { job, told, result: None })
    };
    let slots: Vec<Mutex<Slot>> = jobs.into_iter().map(slot).collect();
    let ended = recovery.run(observer, |device, observer| {
        for group in groups(&slots, device)? {
            train_group(&slots, group, options, device, observer)?;
        }
        // Those that lost their device have no result yet.
        let lost = slots.iter().find_map(|slot| match &lock(slot).result {
            Some(Err(error @ TrainError::Device(DeviceError::Lost(_)))) => Some(error.clone()),
            _ => None,
        });
        lost.map_or(Ok(()), Err)
    });
    let failed = |slot: Mutex<Slot>| {
        let slot = slot.into_inner().unwrap_or_else(PoisonError::into_inner);
        match (slot.result, &ended) {
            (None | Some(Err(TrainError::Device(DeviceError::Lost(_)))), Err(error)) => Err(error.clone()),
            (Some(result), _) => result,
            (None, Ok(())) => Err(TrainError::Input("this model was not trained".into())),
        }
    };
    slots.into_iter().map(failed).collect()
}

/// Models that can train together, by position.
struct Group {
    members: Vec<usize>,
    /// What each of them runs, as far as that matters.
    program: Option<Program>,
}

/// The models without a result, in groups that the device can train together.
fn groups(slots: &[Mutex<Slot>], device: &dyn Device) -> Result<Vec<Group>, TrainError> {
    let mut groups: Vec<Group> = vec![];
    for (at, slot) in slots.iter().enumerate() {
        let mut slot = lock(slot);
        match &slot.result {
            None | Some(Err(TrainError::Device(DeviceError::Lost(_)))) => slot.result = None,
            Some(_) => continue,
        }
        let Slot { job, .. } = &*slot;
        // One that cannot be compiled says why when its turn comes.
        let planned = planned(&job.experiment, &job.data, device.target(), &mut |_| ()).ok();
        let program = planned.map(|(compiled, _)| compiled.program);
        let fits = |group: &&mut Group| match (&group.program, &program) {
            (Some(_), Some(_)) if !device.needs_equal_programs() => true,
            (one, other) => one.is_some() && one == other,
        };
        match groups.iter_mut().find(fits) {
            Some(group) => {
                group.members.push(at);
                // Memory is shared out by the largest.
                if let (Some(most), Some(program)) = (&mut group.program, program)
                    && program.bytes() > most.bytes()
                {
                    *most = program;
                }
            }
            None => groups.push(Group { members: vec![at], program }),
        }
    }
    Ok(groups)
}

/// Trains the models of a group, as many at a time as the device takes.
fn train_group(
    slots: &[Mutex<Slot>],
    group: Group,
    options: &ManyOptions,
    device: &dyn Device,
    observer: &mut dyn Observer,
) -> Result<(), TrainError> {
    let members = group.members;
    let devices = match &group.program {
        Some(program) if members.len() > 1 => device.together(program, members.len())?,
        _ => vec![],
    };
    if devices.is_empty() {
        members.iter().for_each(|&at| train_one(&mut lock(&slots[at]), options, device));
        return Ok(());
    }
    if devices.len() < members.len() && device.needs_equal_programs() {
        let (some, all) = (devices.len(), members.len());
        observer.note(&format!("{some} of the {all} models fit the device at a time"));
    }
    drop(group.program);
    let queue = Mutex::new(VecDeque::from(members));
    let work = |device: Box<dyn Device + Send>| {
        loop {
            let next = lock(&queue).pop_front();
            let Some(at) = next else { break };
            train_one(&mut lock(&slots[at]), options, &*device);
        }
    };
    std::thread::scope(|scope| {
        let work = &work;
        for device in devices {
            let thread = std::thread::Builder::new().name("model".into()).stack_size(STACK_BYTES);
            // Without a thread there is one device fewer; the last one's work is done here.
            if thread.spawn_scoped(scope, move || work(device)).is_err() {
                break;
            }
        }
    });
    // What no thread could be started for.
    let left: Vec<usize> = lock(&queue).drain(..).collect();
    left.into_iter().for_each(|at| train_one(&mut lock(&slots[at]), options, device));
    Ok(())
}

/// Trains one model, and judges it if that is asked for.
fn train_one(slot: &mut Slot, options: &ManyOptions, device: &dyn Device) {
    let Slot { job, told, result } = slot;
    if told.interrupted() {
        let run = job.out.clone();
        *result = Some(Err(TrainError::Interrupted { step: 0, run }));
        return;
    }
    let own = Options {
        out: job.out.clone(),
        max_steps: job.max_steps,
        // Before the start event there is no run yet, or an earlier one of the same name.
        resume: job.resume || told.started,
        init: options.init.clone(),
        init_map: options.init_map.clone(),
        init_partial: options.init_partial,
        log_every: options.log_every,
        without_report: options.without_report,
        anomaly: options.anomaly,
        started: options.started,
        ..Options::default()
    };
    let trained = trainer::train(&job.experiment, &job.data, device, &own, told);
    *result = Some(trained.and_then(|outcome| {
        let judge = |split| evaluated(&job.out, &job.data, split, device);
        Ok(Done { outcome, evaluation: options.evaluates.map(judge).transpose()? })
    }));
}

fn evaluated(out: &Path, data: &Loaded, split: Split, device: &dyn Device) -> Result<Evaluation, TrainError> {
    let name = match split {
        Split::Usual => None,
        Split::Validation => Some("validation"),
        Split::Test => Some("test"),
    };
    evaluate_loaded(out, data, name, device)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
