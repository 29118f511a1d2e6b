//! Devices: allocate a program's buffers and run its phases. A device knows kernels, not operators.

pub mod adapter;
pub mod cpu;
#[cfg(feature = "gpu")]
pub mod gpu;
#[cfg(feature = "gpu")]
pub mod group;
pub mod limits;
pub mod open;
pub mod tuning;

use std::pin::Pin;

use crate::base::step::StepRecord;
use crate::base::target::Target;
use crate::plan::{BufferId, Dispatch, Program, Slice};
use tuning::{Tuned, Tuning};

/// What went wrong on a device.
#[derive(Clone, Debug, thiserror::Error, PartialEq)]
pub enum DeviceError {
    /// No adapter of the requested kind.
    #[error("no GPU adapter found: {0}")]
    NoAdapter(String),
    /// No adapter of the requested number.
    #[error("no such GPU adapter: {0}")]
    NoSuchAdapter(String),
    /// A GPU was asked for, and this build can use none.
    #[error("this build has no GPU backend; build it with the feature `gpu`, or use `--device cpu`")]
    NoBackend,
    /// The device was lost (driver reset, unplugged, watchdog).
    #[error("the GPU device was lost: {0}")]
    Lost(String),
    /// An allocation failed.
    #[error(
        "out of device memory: {}{purpose}",
        if *bytes > 0 { format!("{bytes} bytes for ") } else { String::new() }
    )]
    OutOfMemory {
        /// Bytes requested.
        bytes: u64,
        /// Which buffer.
        purpose: String,
    },
    /// The program needs more than the machine's memory.
    #[error(
        "the machine has {} bytes of memory available; the CPU needs {} for this",
        crate::plan::quantity(*available),
        crate::plan::quantity(*bytes)
    )]
    HostMemory {
        /// Bytes needed.
        bytes: u64,
        /// Bytes available.
        available: u64,
    },
    /// The program exceeds a limit of the adapter.
    #[error("{what} needs {needed}, this adapter allows {limit}; {advice}")]
    Limit {
        /// The buffer, dispatch or binding.
        what: String,
        /// Amount needed.
        needed: u64,
        /// Amount allowed.
        limit: u64,
        /// What to change.
        advice: String,
    },
    /// The driver or wgpu rejected something this crate created: a bug in one of them.
    #[error("GPU validation error: {0}")]
    Validation(String),
    /// The driver accepts work but computes wrong results.
    #[error("the GPU gives wrong results and is not used: {0}; update its driver or use `--device cpu`")]
    WrongResults(String),
    /// An environment variable has an invalid value.
    #[error("environment variable {name} is `{found}`; set it to {allowed}, or unset it")]
    Environment {
        /// Its name.
        name: &'static str,
        /// Its value.
        found: String,
        /// Valid values.
        allowed: &'static str,
    },
    /// Waited too long.
    #[error("the GPU did not finish within {seconds} s")]
    Timeout {
        /// Seconds waited.
        seconds: u64,
    },
}

/// The device the user requested.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum DeviceChoice {
    /// A discrete GPU, else an integrated one, else the CPU backend.
    #[default]
    Auto,
    /// The CPU backend.
    Cpu,
    /// The best adapter, including software adapters.
    Gpu,
    /// The adapter with this number in `gridlight devices`.
    GpuNumber(usize),
}

/// As users write it: what [`std::str::FromStr`] reads.
impl std::fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Auto => write!(f, "auto"),
            Self::Cpu => write!(f, "cpu"),
            Self::Gpu => write!(f, "gpu"),
            Self::GpuNumber(number) => write!(f, "gpu:{number}"),
        }
    }
}

impl std::str::FromStr for DeviceChoice {
    type Err = String;

    /// `auto`, `cpu`, `gpu` or `gpu:N`.
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "gpu" => Ok(Self::Gpu),
            other => {
                let number = other.strip_prefix("gpu:").and_then(|n| n.parse().ok());
                number.map(Self::GpuNumber).ok_or_else(|| "expected auto, cpu, gpu or gpu:N".into())
            }
        }
    }
}

/// A device's description, as shown and recorded.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct DeviceInfo {
    /// `cpu`, `vulkan`, `metal`, `dx12`.
    pub backend: String,
    /// Adapter or processor name.
    pub name: String,
    /// Driver and version.
    pub driver: String,
    /// `discrete`, `integrated`, `software`, `cpu`.
    #[serde(rename = "type")]
    pub kind: String,
}

/// One run of a phase.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Run {
    /// Position of the phase in the program.
    pub phase: usize,
    /// What this run is given.
    pub step: StepRecord,
}

/// Refuses runs of phases that a program of `phases` phases does not have.
///
/// # Errors
/// Naming the first such phase.
fn check_phases(runs: &[Run], phases: usize) -> Result<(), DeviceError> {
    match runs.iter().find(|run| run.phase >= phases) {
        Some(Run { phase, .. }) => {
            Err(DeviceError::Validation(format!("no phase {phase}: the program has {phases}")))
        }
        None => Ok(()),
    }
}

/// A copy to the host under way.
pub type Fetch<'s> = Pin<Box<dyn Future<Output = Result<(), DeviceError>> + 's>>;

/// A program loaded on a device: its buffers (zeroed) and its compiled phases.
pub trait Session {
    /// The device.
    fn info(&self) -> &DeviceInfo;

    /// Copies `words` into a buffer, starting at word `start`. Never called within a step.
    ///
    /// # Errors
    /// If the device fails.
    fn write(&mut self, buffer: BufferId, start: usize, words: &[u32]) -> Result<(), DeviceError>;

    /// Waits for all work and copies words out of a buffer.
    ///
    /// # Errors
    /// If the device fails.
    fn read(&mut self, buffer: BufferId, start: usize, words: usize) -> Result<Vec<u32>, DeviceError>;

    /// As [`Session::read`], into memory of the caller's.
    ///
    /// # Errors
    /// If the device fails.
    fn read_into(&mut self, buffer: BufferId, start: usize, words: &mut [u32]) -> Result<(), DeviceError> {
        words.copy_from_slice(&self.read(buffer, start, words.len())?);
        Ok(())
    }

    /// The words of a buffer, where they lie in the host's memory and can be used there; none on other devices.
    fn words(&mut self, _buffer: BufferId) -> Option<&mut [u32]> {
        None
    }

    /// Copies `parts` to the host; reading them, or parts of them, then does not wait, until the next run or write.
    /// In a browser, where nothing may wait, only such parts can be read. Elsewhere [`Session::read`] waits itself.
    ///
    /// # Errors
    /// If the device fails.
    fn fetch<'s>(&'s mut self, _parts: &'s [Slice]) -> Fetch<'s> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// Runs phases one after the other, without reading anything back between them. May return before the
    /// work is done; `wait` and `read` finish it.
    ///
    /// # Errors
    /// If the program has no such phase, or the device fails.
    fn run_all(&mut self, runs: &[Run]) -> Result<(), DeviceError>;

    /// Runs phase `phase` once per record, in order, as [`Session::run_all`].
    ///
    /// # Errors
    /// As [`Session::run_all`].
    fn run(&mut self, phase: usize, steps: &[StepRecord]) -> Result<(), DeviceError> {
        let runs: Vec<Run> = steps.iter().map(|&step| Run { phase, step }).collect();
        self.run_all(&runs)
    }

    /// Waits for all work.
    ///
    /// # Errors
    /// If the device fails.
    fn wait(&mut self) -> Result<(), DeviceError>;

    /// Returns the seconds that each launch of a phase takes in one run of `step`, for profiling.
    ///
    /// # Errors
    /// If the device fails.
    fn profile(&mut self, phase: usize, step: &StepRecord) -> Result<Vec<f64>, DeviceError>;

    /// Bytes this session has allocated for buffers, counted at allocation.
    fn allocated_bytes(&self) -> u64;

    /// Bytes uploaded and blocking reads so far: `(bytes, reads)`. A steady-state step adds to neither.
    fn traffic(&self) -> (u64, u64);

    /// What was measured when the program was loaded, to choose the layout of its shaders.
    fn tuned(&self) -> &[Tuned] {
        &[]
    }
}

/// A device that can load programs.
pub trait Device {
    /// The device.
    fn info(&self) -> &DeviceInfo;

    /// The facts the planner needs.
    fn target(&self) -> &Target;

    /// Allocates the program's buffers and compiles its kernels.
    ///
    /// # Errors
    /// If the program does not fit or the device fails.
    fn load(&self, program: &Program) -> Result<Box<dyn Session>, DeviceError>;

    /// What was measured of a launch on this machine before, if anything was: its layouts, and the one it has.
    fn measured(&self, _launch: &[Dispatch]) -> Option<Tuned> {
        None
    }

    /// Devices for at most `count` models that train at the same time, each on a thread of its own; none where
    /// that would gain nothing. Each computes the bits that this one does. `program` is what each of them loads
    /// first; see [`Device::needs_equal_programs`].
    ///
    /// # Errors
    /// If the device fails.
    fn together(
        &self,
        _program: &Program,
        _count: usize,
    ) -> Result<Vec<Box<dyn Device + Send>>, DeviceError> {
        Ok(vec![])
    }

    /// Whether models train together only if their programs are equal, as where one launch computes for all.
    fn needs_equal_programs(&self) -> bool {
        true
    }

    /// What [`Device::load`] may do to find the fastest layout of shaders; nothing on a device without any.
    fn set_tuning(&mut self, _tuning: Tuning) {}
}
