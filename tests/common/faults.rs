//! Devices that are lost at chosen moments, and training on them.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;

use gridlight::base::step::StepRecord;
use gridlight::base::target::Target;
use gridlight::device::cpu::CpuDevice;
use gridlight::device::open::Spares;
use gridlight::device::{Device, DeviceError, DeviceInfo, Run, Session};
use gridlight::plan::{BufferId, Program};
use gridlight::run::job::Options;
use gridlight::run::recovery::Recovery;
use gridlight::train::TrainError;
use gridlight::train::events::{Event, Observer, Tick};
use serde_json::Value;

use crate::interruptions::Bench;

/// The device that fails, and a handle that really destroys it, if there is one.
pub type Victim = (Rc<dyn Device>, Option<Box<dyn Fn()>>);

/// Opens one.
pub type Opener<'a> = dyn Fn() -> Victim + 'a;

/// Counts operations on devices; some of them lose the device.
#[derive(Default)]
pub struct Faults {
    /// Loads, writes, runs, reads and waits on all devices so far.
    pub operations: Cell<usize>,
    /// The operations at which the device is lost.
    pub at: RefCell<BTreeSet<usize>>,
}

/// The state that a device shares with its sessions.
#[derive(Clone)]
struct Fate {
    faults: Rc<Faults>,
    lost: Rc<Cell<bool>>,
    destroy: Rc<Option<Box<dyn Fn()>>>,
}

impl Fate {
    /// Called before every operation. A device that can be destroyed reports the loss itself.
    fn strike(&self) -> Result<(), DeviceError> {
        let number = self.faults.operations.get() + 1;
        self.faults.operations.set(number);
        let struck = self.faults.at.borrow().contains(&number);
        match &*self.destroy {
            Some(destroy) if struck => destroy(),
            Some(_) => {}
            None => self.lost.set(self.lost.get() || struck),
        }
        if self.lost.get() { Err(DeviceError::Lost("pulled out".into())) } else { Ok(()) }
    }
}

struct Faulty {
    inner: Rc<dyn Device>,
    fate: Fate,
}

struct FaultySession {
    inner: Box<dyn Session>,
    fate: Fate,
}

impl Device for Faulty {
    fn info(&self) -> &DeviceInfo {
        self.inner.info()
    }

    fn target(&self) -> &Target {
        self.inner.target()
    }

    fn load(&self, program: &Program) -> Result<Box<dyn Session>, DeviceError> {
        self.fate.strike()?;
        Ok(Box::new(FaultySession { inner: self.inner.load(program)?, fate: self.fate.clone() }))
    }
}

impl Session for FaultySession {
    fn info(&self) -> &DeviceInfo {
        self.inner.info()
    }

    fn write(&mut self, buffer: BufferId, start: usize, words: &[u32]) -> Result<(), DeviceError> {
        self.fate.strike()?;
        self.inner.write(buffer, start, words)
    }

    fn read(&mut self, buffer: BufferId, start: usize, words: usize) -> Result<Vec<u32>, DeviceError> {
        self.fate.strike()?;
        self.inner.read(buffer, start, words)
    }

    fn run_all(&mut self, runs: &[Run]) -> Result<(), DeviceError> {
        self.fate.strike()?;
        self.inner.run_all(runs)
    }

    fn wait(&mut self) -> Result<(), DeviceError> {
        self.fate.strike()?;
        self.inner.wait()
    }

    fn profile(&mut self, phase: usize, step: &StepRecord) -> Result<Vec<f64>, DeviceError> {
        self.inner.profile(phase, step)
    }

    fn allocated_bytes(&self) -> u64 {
        self.inner.allocated_bytes()
    }

    fn traffic(&self) -> (u64, u64) {
        self.inner.traffic()
    }
}

/// Reopens faulty devices.
pub struct Shelf<'a> {
    pub faults: Rc<Faults>,
    pub open: &'a Opener<'a>,
    /// Why a lost device cannot be reopened.
    pub refused: Option<&'static str>,
    /// Whether the CPU backend is available as a fallback.
    pub automatic: bool,
}

impl<'a> Shelf<'a> {
    /// Devices of `open` that are lost at the operations `at`.
    pub fn new(open: &'a Opener<'a>, at: &[usize]) -> Self {
        let at = RefCell::new(at.iter().copied().collect());
        let faults = Rc::new(Faults { at, ..Faults::default() });
        Self { faults, open, refused: None, automatic: false }
    }

    pub fn device(&self) -> Box<dyn Device> {
        let (inner, destroy) = (self.open)();
        let (faults, lost) = (self.faults.clone(), Rc::default());
        Box::new(Faulty { inner, fate: Fate { faults, lost, destroy: Rc::new(destroy) } })
    }
}

impl Spares for Shelf<'_> {
    fn reopen(&mut self, lost: &DeviceInfo) -> Result<Box<dyn Device>, DeviceError> {
        if let Some(reason) = self.refused {
            return Err(DeviceError::NoAdapter(reason.into()));
        }
        let device = self.device();
        assert_eq!(device.info(), lost, "the device that was lost is asked for again");
        Ok(device)
    }

    fn fallback(&mut self) -> Option<Box<dyn Device>> {
        self.automatic.then(|| Box::new(CpuDevice::new(Some(1))) as Box<dyn Device>)
    }
}

/// Records events.
#[derive(Default)]
pub struct Listener {
    pub events: Vec<Value>,
    pub notes: Vec<String>,
}

impl Listener {
    /// Events of one kind.
    pub fn of(&self, kind: &str) -> Vec<&Value> {
        self.events.iter().filter(|e| e["event"] == kind).collect()
    }
}

impl Observer for Listener {
    fn event(&mut self, event: &Event) {
        self.events.push(serde_json::to_value(event).unwrap());
    }

    fn tick(&mut self, _tick: &Tick) {}

    fn note(&mut self, text: &str) {
        self.notes.push(text.into());
    }

    fn interrupted(&mut self) -> bool {
        false
    }
}

/// Trains on a faulty device, with one event per step.
pub fn train(
    bench: &Bench,
    shelf: &mut Shelf,
    out: &str,
    resume: bool,
) -> (Result<(), TrainError>, Listener) {
    let device = shelf.device();
    let options = Options { log_every: Some(1), resume, ..bench.options(out) };
    let mut listener = Listener::default();
    let mut recovery = Recovery::new(device, shelf);
    let result = recovery.train(&bench.experiment, &bench.data, &options, &mut listener);
    (result.map(drop), listener)
}

/// With the device lost `losses` times in one training, at each of about `points` moments in turn, the files,
/// the steps and their losses match those of an undisturbed training.
pub fn losses_leave_no_trace(open: &Opener, points: usize, losses: usize) {
    let bench = Bench::with("epochs = 4\nbatch_size = 16\nclip_norm = 1.0\ncheckpoint_every_steps = 7\n");
    let mut whole = Shelf::new(open, &[]);
    let (result, undisturbed) = train(&bench, &mut whole, "whole", false);
    result.unwrap();
    let (expected, operations) = (bench.bits("whole"), whole.faults.operations.get());
    assert_eq!(undisturbed.of("step").len(), 64);
    for point in 0..points {
        let first = 1 + point * (operations - 1) / (points - 1).max(1);
        // The later losses occur while the run resumes, which alone takes more operations.
        let at: Vec<usize> = (0..losses).map(|n| first + 9 * n).collect();
        let (out, mut shelf) = (format!("lost-at-{first}"), Shelf::new(open, &at));
        let (result, heard) = train(&bench, &mut shelf, &out, false);
        result.unwrap_or_else(|e| panic!("lost at operation {first} of {operations}: {e}"));
        let happened = heard.notes.iter().filter(|n| n.contains("was lost")).count();
        assert!(happened == losses, "{first} of {operations}: {:?}", heard.notes);
        assert!(bench.bits(&out) == expected, "lost at operation {first} of {operations}");
        for kind in ["step", "epoch"] {
            assert_eq!(heard.of(kind), undisturbed.of(kind), "lost at operation {first} of {operations}");
        }
        assert_eq!(heard.of("end").len(), 1);
        assert!(!bench.path(&format!("{out}-1")).exists(), "the run itself is not moved aside");
    }
}
