//! `gridlight train` under mpirun: one of several processes that share every step.

use std::path::PathBuf;
use std::rc::Rc;
use std::time::Instant;

use gridlight::device::{Device, DeviceChoice, open};
use gridlight::experiment::Experiment;
use gridlight::mpi::{self, Group};
use gridlight::run::directory::RunDirectory;
use gridlight::run::evaluate::evaluate;
use gridlight::run::job::{Options, Outcome};
use gridlight::run::trainer;
use gridlight::train::engine;
use gridlight::train::events::Observer;
use gridlight::train::{ErrorKind, TrainError};

use super::super::progress::Console;
use super::super::{Failure, exit_code, inspect, signals, tell};
use super::{Train, how_to_go_on};

/// All but rank 0 print nothing.
struct Silent;

impl Observer for Silent {
    fn interrupted(&mut self) -> bool {
        signals::asked()
    }
}

impl Train {
    /// Joins the processes of the launcher, if one started this process or `--mpi` asks for it, and there are
    /// several.
    pub(super) fn group(&self) -> Result<Option<Rc<Group>>, Failure> {
        if !(self.mpi || mpi::is_launched()) {
            return Ok(None);
        }
        Ok(Some(Rc::new(Group::join().map_err(TrainError::from)?)))
    }

    /// Trains with all ranks. If this one fails, it says why and ends all with its exit code.
    pub(super) fn run_with(self, group: &Rc<Group>, started: Instant) -> Result<(), Failure> {
        // Before anything else, so that an interrupt while the data is read also ends in a saved checkpoint.
        signals::listen();
        let result = self.share(group, started);
        if let Err(failure) = &result
            && failure.code != exit_code(ErrorKind::Interrupted)
        {
            // As one text, so that the launcher does not mix it with that of another rank.
            tell(format!("rank {}: error: {:#}", group.rank(), failure.error));
            group.abort(failure.code);
        }
        result
    }

    fn share(mut self, group: &Rc<Group>, started: Instant) -> Result<(), Failure> {
        let out = self.check_for(group)?;
        let overrides = self.overrides();
        let experiment = self.experiment_for(group, overrides, &out)?;
        let data = trainer::load_data(&experiment, &PathBuf::new())?;
        if self.device == DeviceChoice::Auto {
            self.device = own_gpu(mpi::local_rank());
        }
        let options = Options { ranks: Some(group.clone()), started: Some(started), ..self.options(out) };
        if !group.leads() {
            let device = open::open(self.device, experiment.train.exact)?;
            return Ok(trainer::follow(&experiment, &data, &*device, &options, &mut Silent)?);
        }
        if !self.quiet {
            tell(inspect::text(&data.understood).trim_end());
        }
        let device = self.open(experiment.train.exact)?;
        let mut console = Console::new(self.json);
        let (all, shares) = (experiment.train.accumulate, &experiment.train.shares);
        let each = match &shares[..] {
            [] if experiment.train.measure_shares => "they compute measured shares".into(),
            [] => format!("each computes {}", all / group.size()),
            shares => {
                let unit = all / shares.iter().sum::<usize>().max(1);
                let counts: Vec<String> = shares.iter().map(|share| (share * unit).to_string()).collect();
                format!("they compute {}", counts.join(", "))
            }
        };
        console.note(&format!("{} processes train together; {each} of {all} micro-batches", group.size()));
        let outcome = trainer::train(&experiment, &data, &*device, &options, &mut console);
        if matches!(&outcome, Ok(_) | Err(TrainError::Interrupted { .. })) {
            engine::dismiss(group)?;
        }
        self.show(
            &outcome.map_err(|error| how_to_go_on(error, &format!("mpirun -n {} ", group.size())))?,
            &options,
            &*device,
        )?;
        console.all_was_printed()
    }

    fn show(&self, outcome: &Outcome, options: &Options, device: &dyn Device) -> Result<(), Failure> {
        if self.json {
            return Ok(());
        }
        self.show_end(outcome)?;
        let evaluation = evaluate(&options.out, None, None, None, device)?;
        super::super::evaluate::show(&evaluation)
    }

    /// Refuses what one process must do; returns the run directory.
    fn check_for(&self, group: &Group) -> Result<PathBuf, Failure> {
        let refused = |what: &str| {
            let size = group.size();
            Err(Failure::input(format!("{what} cannot be used with {size} processes; run it without mpirun")))
        };
        if self.folds.is_some() {
            return refused("--folds");
        }
        if self.ensemble.is_some() {
            return refused("--ensemble");
        }
        if self.seeds.is_some() {
            return refused("--seeds");
        }
        let experiment = self.read(&self.overrides())?;
        if experiment.data.text.is_some() && experiment.train.accumulate == 1 {
            return refused("[data.text], whose batches go on from the states of those before them,");
        }
        if self.max_steps == Some(0) {
            return Err(Failure::input(super::NO_STEPS));
        }
        Ok(self.out_of(&experiment))
    }

    /// The experiment with micro-batches for every rank: where the file does not split steps, as many as ranks,
    /// or as many as the run to resume has.
    fn experiment_for(
        &self,
        group: &Group,
        mut overrides: Vec<String>,
        out: &std::path::Path,
    ) -> Result<Experiment, Failure> {
        let experiment = self.read(&overrides)?;
        let begun = if self.resume { RunDirectory::open(out).ok() } else { None };
        let begun = begun.map(|run| run.experiment()).transpose()?.map(|e| e.train.accumulate);
        let size = group.size();
        let shares = &experiment.train.shares;
        if !shares.is_empty() && shares.len() != size {
            return Err(Failure::input(format!(
                "train.shares has {} numbers, for {size} processes; give one for each, or none",
                shares.len()
            )));
        }
        let units = match shares.iter().sum::<usize>() {
            // Enough that shares can differ.
            0 if experiment.train.measure_shares => {
                let divides = |parts: &usize| experiment.train.batch_size.is_multiple_of(*parts);
                [4 * size, 2 * size].into_iter().find(divides).unwrap_or(size)
            }
            0 => size,
            shares => shares,
        };
        let parts = match experiment.train.accumulate {
            1 => begun.filter(|&parts| parts > 1).unwrap_or(units),
            given => given,
        };
        let units = if experiment.train.measure_shares { 1 } else { units };
        if parts % units != 0 {
            let of = if shares.is_empty() { "processes" } else { "shares of train.shares" };
            return Err(Failure::input(format!(
                "train.accumulate = {parts} is not a multiple of the {units} {of}; start as many as divide it, or \
                 set train.accumulate to a multiple of {units}"
            )));
        }
        if parts == experiment.train.accumulate {
            return Ok(experiment);
        }
        overrides.push(format!("train.accumulate={parts}"));
        let why = |f: Failure| Failure {
            code: f.code,
            error: f
                .error
                .context(format!("a step is split into {parts} micro-batches for {size} processes")),
        };
        self.read(&overrides).map_err(why)
    }
}

/// The GPU of process `local` of this machine: among those of the kind that `auto` takes, in turn.
fn own_gpu(local: usize) -> DeviceChoice {
    let adapters = open::list();
    let Some(first) = adapters.iter().find(|a| a.auto) else { return DeviceChoice::Auto };
    let same: Vec<usize> =
        adapters.iter().filter(|a| a.info.kind == first.info.kind).map(|a| a.number).collect();
    same.get(local % same.len().max(1)).map_or(DeviceChoice::Auto, |&number| DeviceChoice::GpuNumber(number))
}
