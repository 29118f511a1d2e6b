//! Models that train at the same time, compared with the same models trained alone, on any device.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use gridlight::device::open::Installed;
use gridlight::device::{Device, DeviceChoice};
use gridlight::experiment::Experiment;
use gridlight::run::job::Options;
use gridlight::run::many::{self, ManyJob, ManyOptions};
use gridlight::run::recovery::Recovery;
use gridlight::run::trainer;
use gridlight::train::TrainError;
use gridlight::train::events::{Event, Observer, Tick};

use crate::interruptions::{Bench, Family, Interrupter, bits};

/// 48 steps.
const SHORT: &str = "epochs = 3\nbatch_size = 16\nclip_norm = 1.0\nschedule = { type = \"cosine\" }\n";

/// Opens a device.
pub type Open<'a> = &'a dyn Fn() -> Box<dyn Device>;

/// Interrupts at a step, as [`Interrupter`], and is late now and then.
struct Late {
    interrupter: Interrupter,
    /// Ticks after which it is late.
    ticks: Vec<usize>,
    seen: usize,
}

impl Observer for Late {
    fn event(&mut self, event: &Event) {
        self.interrupter.event(event);
    }

    fn tick(&mut self, tick: &Tick) {
        self.interrupter.tick(tick);
        self.seen += 1;
        if self.ticks.contains(&self.seen) {
            // Longer than others wait for it.
            std::thread::sleep(Duration::from_millis(130));
        }
    }

    fn interrupted(&mut self) -> bool {
        self.interrupter.interrupted()
    }
}

/// The experiment with other seeds and learning rates; one stops early if `stops`, one more diverges if `diverges`.
fn variants(bench: &Bench, stops: bool, diverges: bool) -> Vec<Experiment> {
    let base = &bench.experiment;
    let mut all: Vec<Experiment> = (0..4u64)
        .map(|at| {
            let mut experiment = base.clone();
            experiment.seed += at;
            experiment.train.learning_rate *= [1.0, 0.5, 2.0, 1.0][at as usize];
            experiment
        })
        .collect();
    let mut stopping = base.clone();
    if stops {
        // No epoch is that much better than the one before.
        let text = "[train]\nearly_stopping = { patience = 1, min_delta = 1e6 }\n";
        let text = base.resolved().replace("[train]\n", text);
        stopping = Experiment::parse(&text, "bench.toml", &[]).unwrap();
    }
    all.push(stopping);
    if diverges {
        let mut wild = base.clone();
        wild.train.learning_rate = 1e30;
        all.push(wild);
    }
    all
}

/// Trains `experiments` at the same time, each in `out` and its number.
fn together(
    bench: &Bench,
    experiments: &[Experiment],
    device: Box<dyn Device>,
    out: &str,
    options: &ManyOptions,
    (resume, interrupt): (bool, Option<u64>),
) -> Vec<Result<(), TrainError>> {
    let data = Arc::new(bench.data.clone());
    let jobs = experiments.iter().enumerate().map(|(at, experiment)| ManyJob {
        experiment: experiment.clone(),
        data: data.clone(),
        out: bench.path(&format!("{out}/{at}")),
        resume,
        max_steps: None,
        observer: Box::new(Late {
            interrupter: Interrupter::at(interrupt.map(|step| step + 5 * at as u64)),
            ticks: if at == 1 { vec![2, 4] } else { vec![] },
            seen: 0,
        }),
    });
    let exact = device.target().exact;
    let mut installed = Installed { choice: DeviceChoice::Cpu, exact };
    let mut recovery = Recovery::new(device, &mut installed);
    let results = many::train(jobs.collect(), options, &mut recovery, &mut ());
    results.into_iter().map(|result| result.map(drop)).collect()
}

fn alone(bench: &Bench, experiment: &Experiment, device: &dyn Device, out: &str) -> Result<(), TrainError> {
    let options = Options { out: bench.path(out), without_report: true, ..Options::default() };
    trainer::train(experiment, &bench.data, device, &options, &mut ()).map(drop)
}

/// Every model that trains with others ends as it does alone: with the same bits, or the same error.
pub fn models_end_as_each_does_alone(open: Open, families: &[Family]) {
    for &family in families {
        let bench = Bench::of(family, SHORT);
        // The gates of a recurrent network saturate, so its states stay finite.
        let diverges = ![Family::Rnn, Family::Text].contains(&family);
        // An adversarial pair has no best epoch.
        let stops = family != Family::Gan;
        let experiments = variants(&bench, stops, diverges);
        let options = ManyOptions { without_report: true, ..ManyOptions::default() };
        let found = together(&bench, &experiments, open(), "together", &options, (false, None));
        let device = open();
        for (at, (experiment, found)) in experiments.iter().zip(found).enumerate() {
            let expected = alone(&bench, experiment, &*device, &format!("alone/{at}"));
            let text = |result: &Result<(), TrainError>| {
                format!("{:?}", result.as_ref().map_err(TrainError::to_string))
            };
            assert_eq!(text(&found), text(&expected), "{family:?}, model {at}");
            let [one, other] = ["together", "alone"].map(|which| bench.path(&format!("{which}/{at}")));
            if expected.is_ok() {
                assert!(bits(&one) == bits(&other), "{family:?}, model {at}: other bits");
            }
        }
        assert_ne!(bits(&bench.path("together/0")), bits(&bench.path("together/1")));
        let epochs = if stops { 2 } else { 3 };
        assert_eq!(lines(&bench.path("together/4")), 1 + epochs, "{family:?}");
        assert_eq!(diverges, !bench.path("together/5/best.safetensors").exists() && experiments.len() > 5);
    }
}

/// Lines of a run's history.
fn lines(run: &Path) -> usize {
    std::fs::read_to_string(run.join("metrics.csv")).unwrap().lines().count()
}

/// Models that are interrupted at different steps go on together to the bits of each alone.
pub fn interrupted_models_go_on_together(open: Open) {
    let bench = Bench::of(Family::Mlp, SHORT);
    let experiments = variants(&bench, true, false);
    let options = ManyOptions { without_report: true, log_every: Some(1), ..ManyOptions::default() };
    let found = together(&bench, &experiments, open(), "together", &options, (false, Some(9)));
    for (at, found) in found.iter().enumerate() {
        let expected = 9 + 5 * at as u64;
        assert!(
            matches!(found, Err(TrainError::Interrupted { step, .. }) if *step == expected),
            "model {at}: {found:?}"
        );
    }
    let options = ManyOptions { without_report: true, ..ManyOptions::default() };
    let found = together(&bench, &experiments, open(), "together", &options, (true, None));
    let device = open();
    for (at, (experiment, found)) in experiments.iter().zip(found).enumerate() {
        assert_eq!(found, Ok(()), "model {at}");
        alone(&bench, experiment, &*device, &format!("alone/{at}")).unwrap();
        let [one, other] = ["together", "alone"].map(|which| bench.path(&format!("{which}/{at}")));
        assert!(bits(&one) == bits(&other), "model {at}: other bits");
    }
}
